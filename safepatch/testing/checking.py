"""Put a decorator on functions of all kinds, and see which promises it keeps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from safepatch.testing import calls, errors, generators, looks, passing, together
from safepatch.testing.deadlines import Hung, within
from safepatch.testing.findings import Finding, name_of, told
from safepatch.testing.promises import PROMISES
from safepatch.testing.victims import (
    ASYNC_GENERATOR,
    COROUTINE,
    GENERATOR,
    KINDS,
    PLAIN,
    Kind,
    shown,
)

Probe = Callable[..., Iterator[tuple[str, str]]]

#: The promise that a probe is about, and the probe; those of `PATIENT` are told how long to wait
#: for what should not take any time.
PROBES: list[tuple[str, Probe]] = [
    ("kinds", looks.kinds),
    ("signature", looks.signature),
    ("names", looks.names),
    ("arguments", passing.arguments),
    ("parameter names", passing.parameter_names),
    ("any object", passing.any_object),
    ("results", passing.results),
    ("errors", errors.errors),
    ("exits", errors.exits),
    ("calls", calls.calls),
    ("equal calls", calls.equal_calls),
    ("caller", calls.caller),
    ("release", calls.release),
    ("methods", calls.methods),
    ("recursion", together.recursion),
    ("threads", together.threads),
    ("calls", together.equal_calls_at_once),
    ("stacking", together.stacking),
    ("pickling", looks.pickling),
    ("copying", looks.copying),
    ("weak references", looks.weak_references),
]
PATIENT = [together.threads, together.equal_calls_at_once, together.tasks]
OF_ONE_KIND: list[tuple[Kind, str, Probe]] = [
    (PLAIN, "callable objects", calls.callable_objects),
    (COROUTINE, "tasks", together.tasks),
    (GENERATOR, "generators", generators.generators),
    (ASYNC_GENERATOR, "generators", generators.async_generators),
]


class NotTransparent(AssertionError):  # noqa: N818
    """A decorator keeps not all promises, or more than was said.

    `findings` are those that were not excepted, `needless` the names of promises that were
    excepted although they are kept.
    """

    def __init__(self, text: str, found: list[Finding], needless: list[str]) -> None:
        super().__init__(text)
        self.findings, self.needless = found, needless


def check_transparent(
    decorator: Callable[[Any], Any],
    *,
    except_for: Mapping[str, str] | None = None,
    deadline: float = 5.0,
) -> None:
    """Raise NotTransparent, an AssertionError, if a decorator can be told from none at all.

    ::

        def test_my_decorator_is_transparent():
            check_transparent(my_decorator)
            check_transparent(my_cache(ttl=60), except_for={"calls": "it is a cache"})

    The decorator is put on functions of each kind, which are called in ways that people call
    functions. The error says what it takes for granted where that is not so, and how it was seen.
    `except_for` has the promises, by the names in `PROMISES`, that it is not to keep, each with
    the reason. One that it does keep is an error as well, so that the list stays true.

    What does not end within `deadline` seconds counts as found. The thread it hangs in is left
    behind; it does not keep the process from ending. Raises ValueError, before anything else, for
    a name that is no promise, and for a deadline that is not above 0.

    **Assumes** that the decorator does the same in a thread that is not the main one, where all
    calls are made, and for a class of errors it does not know; that it can be put on many
    functions; and that a machine which is busy needs no longer than `deadline` for a few calls.
    Processes that fork, and gevent in a process it has not patched, are not tried.
    """
    excepted = dict(except_for or {})
    unknown = [name for name in excepted if name not in PROMISES]
    if unknown:
        raise ValueError(
            f"got except_for={unknown[0]!r}; give one of {', '.join(map(repr, PROMISES))}"
        )
    found = findings(decorator, deadline=deadline)
    broken = {finding.promise for finding in found}
    unexpected = [finding for finding in found if finding.promise not in excepted]
    needless = [name for name in excepted if name not in broken]
    text = []
    if unexpected:
        text.append(f"{name_of(decorator)} assumes\n{told(unexpected)}")
    if needless:
        text.append(f"{name_of(decorator)} keeps what it is excepted from: {', '.join(needless)}")
    if text:
        raise NotTransparent("\n".join(text), unexpected, needless)


def findings(decorator: Callable[[Any], Any], *, deadline: float = 5.0) -> list[Finding]:
    """List all that `check_transparent` finds about a decorator, with no exceptions made.

    Raises ValueError for a deadline that is not above 0.
    """
    if not deadline > 0:
        raise ValueError(f"got deadline={deadline!r}; give a number of seconds above 0")
    return [finding for kind in KINDS for finding in _of_kind(kind, decorator, deadline)]


def _of_kind(kind: Kind, decorator: Callable[[Any], Any], deadline: float) -> Iterator[Finding]:
    refusal = _refusal(kind, decorator, deadline)
    if refusal is not None:
        yield Finding(kind.name, kind.name, "to decorate and call them", refusal)
        return
    probes = [*PROBES, *((promise, probe) for one, promise, probe in OF_ONE_KIND if one is kind)]
    hung = 0  # times in a row
    for promise, probe in probes:
        if probe in PATIENT:
            probe = functools.partial(probe, patience=deadline / 4)
        differences = _differences(kind, decorator, probe, deadline)
        yield from (Finding(promise, kind.name, *difference) for difference in differences)
        hung = hung + 1 if any(expected == TO_END for expected, _ in differences) else 0
        # A function that changes its kind cannot be called as it was; one that always hangs would
        # do so for as many times the deadline.
        if hung == 3 or (promise == "kinds" and _is_other(kind, decorator)):
            return


def _refusal(kind: Kind, decorator: Callable[[Any], Any], deadline: float) -> str | None:
    """Why a kind of functions cannot be decorated, or not be called then."""

    def first_call() -> str | None:
        try:
            wrapper = decorator(kind.make(lambda value: None))
            if not callable(wrapper):
                return f"{shown(wrapper)}, which cannot be called"
            if looks.keeps_or_hides_kind(kind, wrapper):
                kind.outcome(lambda: wrapper(1))
        except BaseException as error:
            return shown(error)
        return None

    try:
        return within(deadline, first_call)
    except Hung as error:
        return str(error)


def _is_other(kind: Kind, decorator: Callable[[Any], Any]) -> bool:
    return not looks.keeps_or_hides_kind(kind, decorator(kind.make(lambda: None)))


TO_END = "to end"


def _differences(
    kind: Kind, decorator: Callable[[Any], Any], probe: Probe, deadline: float
) -> list[tuple[str, str]]:
    def answers() -> list[tuple[str, str]]:
        try:
            return [*probe(kind, decorator)]
        except BaseException as error:
            # Not only Exception: a probe provokes exits. Caught in here, since one out there is
            # that of who started the check, and does not want to wait for its end.
            return [("no error", shown(error))]

    try:
        return within(deadline, answers)
    except Hung as error:
        return [(TO_END, str(error))]
