"""Find out what a crash, a failing disk or a flipped bit makes of what a program keeps in files."""

from safepatch.store.testing.checking import NotCrashSafe, check_crashes, check_faults
from safepatch.store.testing.damage import cuts, damages, flips, tails, zeros
from safepatch.store.testing.faults import CALLS, Fault, faults
from safepatch.store.testing.recorders import UnseenError
from safepatch.store.testing.recording import record, without_syncs
from safepatch.store.testing.traces import State, Trace

__all__ = [
    "CALLS",
    "Fault",
    "NotCrashSafe",
    "State",
    "Trace",
    "UnseenError",
    "check_crashes",
    "check_faults",
    "cuts",
    "damages",
    "faults",
    "flips",
    "record",
    "tails",
    "without_syncs",
    "zeros",
]
