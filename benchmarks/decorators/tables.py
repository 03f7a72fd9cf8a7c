"""What was measured, as tables: in the text that is printed, and in the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from benchmarks.decorators.candidates import AWAIT, LRU, LRU_BOUNDED
from benchmarks.decorators.measuring import APPLIED, BY_HAND, ratios

#: A table: by column and row. What was not measured is not there.
Columns = Mapping[str, Mapping[str, float | str]]


def _hits(found: Any) -> Columns:
    columns: dict[str, dict[str, float]] = {}
    for case, seconds in found["hits"].items():
        all_of_it = ratios(seconds, LRU)
        columns[case] = {n: one for n, one in all_of_it.items() if not n.endswith(APPLIED)}
        columns[case + APPLIED] = {
            n.removesuffix(APPLIED): one for n, one in all_of_it.items() if n.endswith(APPLIED)
        }
    return columns


def _elsewhere(found: Any) -> Columns:
    return {"4 threads": ratios(found["threads"], LRU), "gevent": ratios(found["gevent"], LRU)}


def _shares(found: Any) -> Columns:
    return {
        f"{trace}, {size}": shares
        for trace, by_size in found["hit shares"].items()
        for size, shares in by_size.items()
    }


def _answers(kind: str) -> Callable[[Any], Columns]:
    """A column for each cache, for there are more checks than caches."""

    def columns(found: Any) -> Columns:
        answers = found["features"][kind]
        caches = dict.fromkeys(cache for row in answers.values() for cache in row)
        return {cache: {check: row[cache] for check, row in answers.items()} for cache in caches}

    return columns


def _by_kind(section: str) -> Callable[[Any], Columns]:
    return lambda found: {kind: ratios(one, BY_HAND) for kind, one in found[section].items()}


WIDTH = 50

#: By the name of a table: what it tells, and how it is made.
TABLES: dict[str, tuple[str, Callable[[Any], Columns]]] = {
    "hits": (
        "A hit, in hits of functools.lru_cache(None); as a plain decorator, and applied as a patch",
        _hits,
    ),
    "variants": (
        "A hit with types in the key, and of a list that callers get copies of, in lru_cache hits",
        lambda found: {case: ratios(one, LRU) for case, one in found["variants"].items()},
    ),
    "misses": (
        "A miss of a full cache of 128, in misses of functools.lru_cache(128)",
        lambda found: {"miss": ratios(found["misses"], LRU_BOUNDED)},
    ),
    "decorating": (
        "To decorate a function, in the time that functools.lru_cache takes",
        lambda found: {"decorating": ratios(found["decorating"], LRU)},
    ),
    "elsewhere": ("A hit elsewhere, in hits of functools.lru_cache(None) there", _elsewhere),
    "async": (
        "A hit of a coroutine function, in plain awaits of it",
        lambda found: {"hit": ratios(found["async"], AWAIT)},
    ),
    "hit shares": ("Calls answered from the cache, of 100, by its size", _shares),
    "memory": (
        "Bytes an entry, of 100,000, besides the result and the host in its key",
        lambda found: {"bytes": found["bytes an entry"]},
    ),
    "features": ("What caches of functions do", _answers("function")),
    "async features": (
        "What caches of coroutine functions do",
        _answers("coroutine function"),
    ),
    "retries": ("A call that succeeds, in closures with try and except", _by_kind("retries")),
    "logs": ("A call that is not logged, in closures that do nothing", _by_kind("logs")),
    "counts": ("A call that is counted, in closures that do nothing", _by_kind("counts")),
    "rate limits": ("A call that is allowed, in closures that do nothing", _by_kind("rate limits")),
    "breakers": (
        "A call through a closed circuit breaker, in closures with try and except",
        _by_kind("breakers"),
    ),
}


def names(columns: Columns) -> list[str]:
    return list(dict.fromkeys(name for column in columns.values() for name in column))


def text(columns: Columns) -> Iterator[str]:
    yield " " * WIDTH + "".join(f"  {title:>8}" for title in columns)
    for name in names(columns):
        cells = (
            f"  {_cell(column.get(name)):>{max(8, len(title))}}"
            for title, column in columns.items()
        )
        yield f"{name:{WIDTH}}" + "".join(cells).rstrip()


def markdown(columns: Columns) -> Iterator[str]:
    yield "| | " + " | ".join(columns) + " |"
    yield "|---|" + "--:|" * len(columns)
    for name in names(columns):
        shown = f"**{name}**" if name.startswith("safepatch") else name
        cells = (_cell(column.get(name)) for column in columns.values())
        yield f"| {shown} | " + " | ".join(cells) + " |"


def _cell(figure: float | str | None) -> str:
    if figure is None or isinstance(figure, str):
        return figure or ""
    return f"{figure:.1f}" if figure < 100 else f"{figure:.0f}"
