"""Probes for what goes into a call and what comes out: it is all passed on as it is."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from safepatch.testing.victims import Decorate, Differences, Failure, Kind, Thing, caught, shown

#: What decorators call their own parameters and variables.
NAMES = """
self cls instance owner obj object wrapped wrapper func function fn f method callable callback args
kwargs arguments decorator name key keys cache default value result error exc exception timeout
deadline seconds delay wait sleep retries attempts attempt tries count limit on stop ttl maxsize
typed clock timer random lock loop task context logger level event type call _self _cls _func
_args _kwargs __self __cls __func
""".split()  # noqa: SIM905


def arguments(kind: Kind, decorate: Decorate) -> Differences:
    seen: list[Any] = []
    function = decorate(kind.make(lambda *args, **kwargs: seen.append((args, kwargs))))
    given, options = (Thing(), (1,), None), {"zeta": Thing(), "alpha": 1.0}
    kind.outcome(lambda: function(*given, **options))
    args, kwargs = seen[-1]
    wanted = f"{shown(given)} and {shown(options)}"
    if [*map(id, args)] != [*map(id, given)] or [*kwargs] != [*options]:
        yield wanted, f"{shown(args)} and {shown(kwargs)}"
    elif any(kwargs[name] is not options[name] for name in options):
        yield wanted, "equal ones, but not the same objects"
    kind.outcome(lambda: function())
    changeable: list[Any] = [[1], {"a": 1}, {2}]
    caught(kind, lambda: function(*changeable))  # `any_object` tells of what needs a hash
    if changeable != [[1], {"a": 1}, {2}]:
        yield "the arguments to be as they were", shown(changeable)

    named = decorate(kind.named(lambda *args: args))
    found = kind.outcome(lambda: named(1, second=2, fourth=4))
    if found != (1, 2, (), 3, {"fourth": 4}):
        yield "defaults for what was not given, (1, 2, (), 3, {'fourth': 4})", shown(found)


def parameter_names(kind: Kind, decorate: Decorate) -> Differences:
    function = decorate(kind.make(lambda first, /, **kwargs: [*kwargs]))

    def problem(*names: str) -> str | None:
        try:
            found = kind.outcome(lambda: function(1, **dict.fromkeys(names)))
        except Exception as error:
            return shown(error)
        # In any order, of which `arguments` tells.
        return None if {*found} == {*names} else f"the function was given {found}"

    problems = [problem(*NAMES)]
    if problems != [None]:
        clashing = [name for name in NAMES if problem(name) is not None]
        problems += [problem(name) for name in clashing[:1]]
        which = ", ".join([*clashing[:5], "and more"] if len(clashing) > 5 else clashing)
        yield "any name to be free for a parameter", f"not so {which}: {problems[-1]}"


class Prickly:
    """An object that can be passed on, and nothing else."""

    def _refuse(self, *args: Any) -> Any:
        raise Failure("nobody is to ask this of an argument or a result")

    __eq__ = __ne__ = __lt__ = __hash__ = __bool__ = __len__ = __iter__ = __repr__ = __str__ = (
        _refuse
    )
    __contains__ = __getitem__ = __copy__ = __deepcopy__ = __reduce_ex__ = __format__ = _refuse


def any_object(kind: Kind, decorate: Decorate) -> Differences:
    yield from _takes(kind, decorate, Prickly(), "that can be asked nothing")
    yield from _takes(kind, decorate, [1], "without a hash")


def _takes(kind: Kind, decorate: Decorate, one: Any, what: str) -> Differences:
    function = decorate(kind.make(lambda value: value))
    try:
        found = kind.outcome(lambda: function(one))
    except Exception as error:
        yield f"to take an object {what}, and return it", shown(error)
    else:
        if found is not one:
            yield f"to return an object {what}", shown(found)


class Awaitable:
    """What a plain function may return as well as any other."""

    def __await__(self) -> Iterator[None]:
        yield


def results(kind: Kind, decorate: Decorate) -> Differences:
    values: list[Any] = [
        ["list"],
        {"a": 1},
        {1},
        None,
        False,
        0,
        "",
        Failure("returned, not raised"),
    ]
    values += [..., iter([1]), (value for value in (1,)), len, Failure, Thing(), Awaitable()]
    function = decorate(kind.make(lambda number: values[number]))
    for number, value in enumerate(values):
        found = kind.outcome(lambda number=number: function(number))
        if found is not value:
            yield (
                f"the very {shown(value)} that the function returned",
                "an equal one" if found == value else shown(found),
            )
            if inspect.iscoroutine(found):
                found.close()  # so that Python does not complain as well that nobody awaits it
        elif hasattr(value, "__next__") and next(value, None) != 1:
            yield f"an unused {type(value).__name__}", "that it was used up"
