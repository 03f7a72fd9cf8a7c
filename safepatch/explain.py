"""Who patched this: a patched site told as its source would look, and as a dict."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any

from safepatch import aliases, kinds, targets
from safepatch.counters import counters
from safepatch.errors import TargetError, UnsupportedTargetError
from safepatch.in_place import in_place
from safepatch.places import is_at, loaded, site_of
from safepatch.sites import has_namespace, opened, site_at, stack_of

if TYPE_CHECKING:
    from safepatch.registry import Registry


_HEAP = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, most likely


class Explanation:
    """What was found out: `str()` for people, `to_dict()` for programs."""

    def __init__(self, sites: list[dict[str, Any]], others: list[dict[str, Any]]) -> None:
        self._sites, self._others = sites, others

    @classmethod
    def join(cls, several: Iterable[Explanation]) -> Explanation:
        several = list(several)
        sites = {site["target"]: site for one in several for site in one._sites}
        others = {str(other): other for one in several for other in one._others}
        return cls(list(sites.values()), list(others.values()))

    def to_dict(self) -> dict[str, Any]:
        """{"sites": [...], "others": [...]}: patched places, outermost line first, and patches
        that stand nowhere (pending, skipped, failed, declared). Can be given to `json.dumps`.

        What the wrappers of a patch tell of themselves stands in "wrappers", in the order of
        "decorators": {"stats": {...}, "cache_info": {...}}, each if there is such a method.
        """
        return copy.deepcopy({"sites": self._sites, "others": self._others})

    def __str__(self) -> str:
        blocks = [_site_text(site) for site in self._sites]
        if self._others:
            blocks.append("\n".join(map(_patch_text, self._others)))
        return "\n\n".join(blocks) or "nothing is patched"

    __repr__ = __str__


def explain_target(target: Any, registries: list[Registry]) -> Explanation:
    """Explain one place, with the patches of any registry that wait for it or were replaced."""
    others = [
        _patch_dict(patch)
        for registry in registries
        for patch in _patches(registry)
        if (patch.state != "applied" or patch.superseded) and is_at(patch, target)
    ]
    # To import its module now would apply what waits for that.
    if any(other["state"] == "pending" for other in others) or (others and not loaded(target)):
        return Explanation([], others)
    try:
        return Explanation([_site_dict(targets.resolve(target))], others)
    except TargetError:
        if others:
            return Explanation([], others)  # it is no place, and that is why they failed
        raise


def explain_all(registries: list[Registry]) -> Explanation:
    """Explain every place that any registry patched, and every patch that stands nowhere."""
    sites: dict[tuple[int, str], dict[str, Any]] = {}
    others = []
    for registry in registries:
        for patch in _patches(registry):
            live = patch.live  # read once: another thread may be undoing
            if live is not None and patch.state == "applied" and not patch.superseded:
                place = live.place
                sites.setdefault((id(place.owner), place.name), _site_dict(place))
            else:
                others.append(_patch_dict(patch))
    return Explanation(list(sites.values()), others)


def _patches(registry: Registry) -> list[Any]:
    return [part for handle in registry.handles() for part in handle.parts]


def _site_dict(place: targets.Place) -> dict[str, Any]:
    """One place: the lines above the original, outermost first, then the original."""
    standing: Any = place.function
    held: list[str] = []
    if standing is None or targets.same_function(place):
        site = site_at(place.owner, place.name) if has_namespace(place.owner) else None
        if site is None:
            try:
                standing = site_of(place._replace(function=None)).stack.original
            except UnsupportedTargetError as error:
                standing = error.found
        else:
            standing = site.face
            held = aliases.written(aliases.in_modules(site.stack.original, site))
    *lines, original = _chain(standing)
    return {
        "target": place.text,
        "lines": lines,
        "original": original | {"elsewhere": _elsewhere(place, original["says"])},
        "aliases": held,
    }


def _elsewhere(place: targets.Place, says: str | None) -> bool:
    """Whether what stands at the end of a place says that it lives elsewhere: an alias, or what
    somebody put there instead."""
    return says is not None and says != targets.text_of((place.owner, place.name))


def _chain(standing: Any) -> Iterator[dict[str, Any]]:
    """From what stands at a place inwards: patches, other people's wrappers, the original."""
    from safepatch.proxies import Adapted

    seen: set[int] = set()
    while id(standing) not in seen:
        seen.add(id(standing))
        standing = opened(standing)
        stack, below = stack_of(standing), in_place(standing)
        if stack is not None:
            if kinds.has_foreign_code(standing):
                yield {"decorator": "@...", "foreign": True, "where": "code in place of ours"}
            yield from map(_entry_dict, reversed(stack.entries))
            standing = stack.original
        elif below is not None:
            for entry in reversed(below.stack.entries):
                yield _entry_dict(entry) | {"in_place": True}
            standing = below.stack.original
        elif type(standing) is Adapted:
            standing = standing.__wrapped__
        elif hasattr(standing, "__wrapped__"):
            if not _plumbing(standing):
                where = _where(_wrapper_of(standing) or standing)
                yield {"decorator": _foreign(standing), "foreign": True, "where": where}
            standing = standing.__wrapped__
    yield _original_dict(standing)


def _plumbing(wrapper: Any) -> bool:
    """Whether a wrapper is what functools makes anew at each look-up of a singledispatchmethod."""
    return type(wrapper) is FunctionType and wrapper.__globals__ is vars(functools)


def _foreign(wrapper: Any) -> str:
    """A wrapper by its own name: functools.wraps and proxies give it that of what it wraps."""
    if type(wrapper) is not FunctionType:
        name = type(wrapper).__qualname__
        by = _wrapper_of(wrapper)
        return f"@{type(wrapper).__module__}.{name}({'...' if by is None else _name_of(by)})"
    outer, made, _ = wrapper.__code__.co_qualname.partition(".<locals>")
    return f"@{wrapper.__globals__.get('__name__')}.{outer}{'(...)' if made else ''}"


def _wrapper_of(proxy: Any) -> Any:
    """What a FunctionWrapper of wrapt calls; it says of itself what it wraps says."""
    return getattr(proxy, "_self_wrapper", None)


def _entry_dict(entry: Any) -> dict[str, Any]:
    return _patch_dict(entry.patch) | {"foreign": False, "in_place": False}


def _patch_dict(patch: Any) -> dict[str, Any]:
    failures = patch.failures
    return {
        "name": patch.name,
        "registry": repr(patch.registry),
        "target": patch.text,
        "state": patch.state,
        "reason": patch.reason,
        "decorators": [written(decorator) for decorator in reversed(patch.decorators)],
        "applied_from": patch.applied_from,
        "declared_at": patch.declared_at,
        "superseded": patch.superseded,
        "only": _only(*patch.seen_by),
        "guards": [{"guard": text, "reason": reason} for text, reason in patch.verdicts],
        "wrappers": [counters(wrapper) for wrapper in reversed(patch.wrappers)],
        "fail_open": None if failures is None else failures.to_dict(),
    }


def told(registries: list[Registry]) -> list[dict[str, Any]]:
    """Every patch of these registries as `to_dict()` has it, without a look at the places."""
    return [_patch_dict(patch) for registry in registries for patch in _patches(registry)]


def _only(scope: str, only_from: str | None, only_if: Any) -> list[str]:
    """Which calls alone see a patch; nothing if all do."""
    told = ["in the context that applied it"] if scope == "context" else []
    told += [f"from {only_from!r}"] if only_from is not None else []
    return [*told, f"if {_name_of(only_if)}"] if only_if is not None else told


def _original_dict(original: Any) -> dict[str, Any]:
    import inspect

    if isinstance(original, type) or not callable(original):
        is_class = isinstance(original, type)
        what = f"class {original.__qualname__}" if is_class else type(original).__qualname__
        module = original.__module__ if is_class else type(original).__module__
        return {
            "def": f"{what}: ...",
            "where": "no function, and cannot be patched",
            "distribution": _distribution(module),
            "says": None,
        }
    try:
        parameters = str(inspect.signature(original))
    except (ValueError, TypeError):
        parameters = "(...)"
    is_async = kinds.kind(original) in (kinds.COROUTINE, kinds.ASYNC_GENERATOR)
    name = getattr(original, "__name__", None) or type(original).__name__
    return {
        "def": f"{'async def' if is_async else 'def'} {name}{parameters}:",
        "where": _where(original),
        "distribution": _distribution(getattr(original, "__module__", None)),
        "says": _says(original),
    }


def _says(original: Any) -> str | None:
    """Where a function says it lives."""
    # What is no function by itself, such as a mock, is known by its class.
    found = original if isinstance(getattr(original, "__qualname__", None), str) else type(original)
    module, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    return f"{module}:{name}" if module and name else None


def _where(function: Any) -> str:
    code = getattr(function, "__code__", None)
    if code is None or not isinstance(getattr(code, "co_filename", None), str):
        kind = type(function)
        if kind.__flags__ & _HEAP:
            return f"an object of {kind.__module__}:{kind.__qualname__}"
        return f"C code of {getattr(function, '__module__', None) or kind.__module__}"
    return f"{code.co_filename}:{code.co_firstlineno}"


def _distribution(module: str | None) -> str:
    """The distribution and version that a module comes from, as far as that is known."""
    import platform
    import sys
    from importlib.metadata import version

    top = (module or "").partition(".")[0]
    if top in sys.stdlib_module_names:
        return f"Python {platform.python_version()}"
    names = _distributions().get(top, [])
    return (
        ", ".join(f"{name} {version(name)}" for name in dict.fromkeys(names)) or "no distribution"
    )


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    from importlib.metadata import packages_distributions

    return packages_distributions()  # reads the metadata of all that is installed


def written(decorator: Any) -> str:
    """A decorator as its line would read in source; unknown arguments are `...`."""
    if isinstance(decorator, functools.partial):
        given = [*map(_short_repr, decorator.args)]
        given += [f"{name}={_short_repr(value)}" for name, value in decorator.keywords.items()]
        return f"@{_name_of(decorator.func)}({', '.join(given)})"
    name = _name_of(decorator)
    outer, made, _ = name.partition(".<locals>")
    return f"@{outer}(...)" if made else f"@{name}"


def _short_repr(value: Any) -> str:
    if callable(value):
        return _name_of(value)
    try:
        text = repr(value)
    except Exception:  # it is told of as well
        text = object.__repr__(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _name_of(function: Any) -> str:
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    if not module or module == "builtins" or module.startswith("safepatch."):
        return str(name)
    return f"{module}.{name}"


def _site_text(site: dict[str, Any]) -> str:
    lines = [f"# {site['target']}"]
    for line in site["lines"]:
        if line["foreign"]:
            lines.append(f"{line['decorator']}  # not by safepatch; {line['where']}")
            continue
        lines += [f"{text}  # {_remark(line)}" for text in line["decorators"]]
        lines += [f"#   {guard['guard']}: {guard['reason'] or 'ok'}" for guard in line["guards"]]
    original = site["original"]
    remark = f"; says it is {original['says']}" if original["elsewhere"] else ""
    lines.append(f"{original['def']}  # {original['where']}, {original['distribution']}{remark}")
    if site["aliases"]:
        lines.append(f"# not reached: {', '.join(site['aliases'])}")
    return "\n".join(lines)


def _remark(line: dict[str, Any]) -> str:
    remark = f"patch {line['name']!r} applied from {line['applied_from']}"
    remark += ", in place" if line["in_place"] else ""
    remark += f", {line['reason']}" if line["reason"] else ""
    return remark + "".join(f", only {which}" for which in line["only"])


def _patch_text(patch: dict[str, Any]) -> str:
    if patch["superseded"]:
        return (
            f"# {patch['target']}: patch {patch['name']!r} applied from {patch['applied_from']} is "
            "superseded: somebody put another object there; apply() puts it on top again"
        )
    reason = f": {patch['reason']}" if patch["reason"] else ""
    decorators = " ".join(patch["decorators"])
    return (
        f"# {patch['target']}: patch {patch['name']!r} {decorators} is {patch['state']}{reason}"
        f" (declared at {patch['declared_at']})"
    )
