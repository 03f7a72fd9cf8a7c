"""Run a program once, and look at what each crash leaves of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from safepatch.store.testing.faults import CALLS, faults
from safepatch.store.testing.recorders import Recorder
from safepatch.store.testing.recording import record, seeing, without_syncs
from safepatch.store.testing.traces import State, Trace
from safepatch.store.testing.trees import read_tree, write_tree

Note = Callable[[Any], object]
#: Given a directory to work in, and what puts notes into the order of calls.
Workload = Callable[[str, Note], object]
#: Given a directory that a crash left, and the notes made before; raises if that is wrong.
Check = Callable[[str, list[Any]], object]
ENOUGH = 20  # violations; who has that many knows


class NotCrashSafe(AssertionError):  # noqa: N818
    """A crash may leave what it must not.

    `violations` has pairs, at most 20: the state, a State, and the error that the check raised, or
    the workload, where a call failed.
    """

    def __init__(self, text: str, violations: list[tuple[State, BaseException]]) -> None:
        super().__init__(text)
        self.violations = violations


def check_crashes(
    workload: Workload,
    check: Check,
    *,
    start: str | os.PathLike[str] | None = None,
    limit: int = 200,
    recovery_limit: int = 0,
    block: int = 512,
    seed: int = 0,
) -> int:
    """Raise NotCrashSafe, an AssertionError, if a crash can leave what the check does not accept.

    ::

        def workload(directory, note):
            app = App(directory)
            app.save(5)
            note(5)              # from now on it must not be lost

        def check(directory, notes):
            assert set(notes) <= set(App(directory).load())

        check_crashes(workload, check)

    `workload` runs once, in a new directory, which has a copy of what is in `start`. For each
    state that a crash may leave, of `Trace.states`, which `limit`, `block` and `seed` are for,
    `check` is given a directory with it, and the notes made before. It recovers as the program
    would, and raises if that fails, or if what it finds is wrong. It must close what it opens.
    With a `recovery_limit` what `check` itself changes is recorded too, and crashed; of each such
    moment at most that many states are checked. Returns how many states were checked.

    Raises what `workload` raises, UnseenError if it changes files out of sight, and ValueError if
    it changes none. `os.fsync()` and the like do nothing meanwhile. Of one thread at a time.

    **Assumes** that what a program does depends on what is in the directory, not on its path.
    """
    with tempfile.TemporaryDirectory(prefix="crashes-") as scratch:
        home = os.path.join(scratch, "run")
        write_tree({} if start is None else read_tree(os.fspath(start)), home)
        with record(home) as trace:
            workload(home, trace.note)
        _need_changes(trace)
        judge = _Judge(scratch, check)
        with without_syncs():
            states = trace.states(limit=limit, block=block, seed=seed)
            if recovery_limit:
                _check_recoveries(judge, states, recovery_limit, block, seed)
            else:
                for state in states:
                    judge.judge(state)
                    if judge.has_enough():
                        break
        judge.report()
        return judge.count


def _need_changes(trace: Trace) -> None:
    if not any(event.change for event in trace.events):
        raise ValueError("the workload changed nothing in its directory, so no crash can harm it")


def _check_recoveries(
    judge: _Judge, states: Iterable[State], limit: int, block: int, seed: int
) -> None:
    seen: dict[str, set[int]] = {}  # by what was promised before
    with seeing() as see:
        for state in states:
            trace = judge.judge(state, see)
            if trace is not None:
                same = seen.setdefault(repr(state.notes), set())
                for later in trace.states(limit=limit, block=block, seed=seed, seen=same):
                    judge.judge(_after(state, later))
            if judge.has_enough():
                return


def _after(state: State, later: State) -> State:
    notes = [*state.notes, *later.notes]
    return State(later.files, notes, lambda: f"{state}; then, in recovery, {later}")


class _Judge:
    """Asks the check about one state after another, and keeps what it said."""

    def __init__(self, scratch: str, check: Check) -> None:
        self.scratch, self.check, self.count = scratch, check, 0
        self.violations: list[tuple[State, BaseException]] = []
        self.first = ""  # who raised the first of them

    def blame(self, who: str, state: State, error: BaseException) -> None:
        self.first = self.first or who
        self.violations.append((state, error))

    def judge(self, state: State, see: Recorder | None = None) -> Trace | None:
        """What the check did, if `see` is given and it changed anything."""
        self.count += 1
        # A check that failed may have left something open, such as a lock.
        place = os.path.join(self.scratch, f"crashed-{len(self.violations)}")
        state.write(place)
        trace = None if see is None else see.start(place)
        try:
            self.check(place, list(state.notes))
        except Exception as error:
            self.blame("check", state, error)
        else:
            if see is not None:
                see.stop()
        return trace if trace is not None and trace.events else None

    def has_enough(self) -> bool:
        return len(self.violations) >= ENOUGH

    def report(self) -> None:
        if not self.violations:
            return
        state, error = self.violations[0]
        some = "at least " * self.has_enough()
        raise NotCrashSafe(
            f"{some}{len(self.violations)} of {self.count} states are wrong; the first: {state}; "
            f"notes: {state.notes!r}; then the {self.first} raised {error!r}",
            self.violations,
        ) from error


def check_faults(
    workload: Workload,
    check: Check,
    *,
    raises: type[BaseException] | tuple[type[BaseException], ...] = OSError,
    calls: Iterable[str] = CALLS,
    limit: int = 20,
    block: int = 512,
    seed: int = 0,
) -> int:
    """Raise NotCrashSafe if a call that fails can make a program break its word.

    For each of `faults()`, `workload` is run in a new directory, and may raise what `raises` says;
    anything else is a violation. Then `check` looks at what it left, and at what a crash may leave,
    as in `check_crashes`; `calls` are those that are to fail. Returns how many states were checked.

    A sync that fails, in the model as in Linux, leaves in doubt what was written before: a later
    sync succeeds and saves it not, unless it is written again.
    """
    seen: set[int] = set()
    with tempfile.TemporaryDirectory(prefix="faults-") as scratch:
        judge = _Judge(scratch, check)
        for fault in faults(calls=calls):
            with _new_directory(scratch) as home, fault(home) as trace:
                try:
                    workload(home, trace.note)
                except Exception as error:
                    if not fault.call:
                        raise
                    if not isinstance(error, raises):
                        judge.blame("workload", State({}, [], fault.__str__), error)
            if not fault.call:
                _need_changes(trace)
            with without_syncs():
                for state in trace.states(limit=limit, block=block, seed=seed, seen=seen):
                    judge.judge(_with(fault, state))
                    if judge.has_enough():
                        break
            if judge.has_enough():
                break
        judge.report()
        return judge.count


def _with(fault: object, state: State) -> State:
    return State(state.files, state.notes, lambda: f"{fault}: {state}")


@contextlib.contextmanager
def _new_directory(scratch: str) -> Iterator[str]:
    home = tempfile.mkdtemp(prefix="run-", dir=scratch)
    yield home
    shutil.rmtree(home)
