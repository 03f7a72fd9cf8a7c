"""How users check programs for crashes, as type checkers see it."""

import pathlib
from collections.abc import Iterator
from typing import Any, assert_type

from safepatch.store.testing import (
    NotCrashSafe,
    State,
    check_crashes,
    check_faults,
    cuts,
    damages,
    faults,
    record,
)


def workload(directory: str, note: Any) -> None: ...


def check(directory: str, notes: list[Any]) -> None: ...


def swapped(content: bytes) -> Iterator[tuple[str, bytes]]:
    yield "swapped", content[::-1]


assert_type(check_crashes(workload, check, start=pathlib.Path("old"), recovery_limit=20), int)
assert_type(check_faults(workload, check, raises=(OSError, ValueError), calls=["write"]), int)
with record(pathlib.Path("state")) as trace:
    trace.note("saved")
for state in trace.states(limit=10, seed=3):
    assert_type(state, State)
    assert_type(state.files, dict[str, bytes | str | None])
    state.write("crashed")
for fault in faults(calls=["write"], errors=[5], short=False):
    with fault("state") as trace:
        print(fault, fault.call, fault.number, trace)
for state in damages("state", cuts, swapped, chosen=lambda name: name.endswith(".log")):
    print(state)
try:
    check_crashes(workload, check)
except NotCrashSafe as error:
    assert_type(error.violations, list[tuple[State, BaseException]])
