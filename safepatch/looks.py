"""What a patch relies on: a target's distribution, version, signature and source, as installed."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import safepatch

if TYPE_CHECKING:
    from inspect import Parameter


class Look(NamedTuple):
    """What was seen at a target; None is what it does not have.

    The distribution of what comes with Python is "Python". The signature is the parameters
    without annotations, as text, with the marks `/` and `*` between them; functions in C may have
    none. They have no source, and so no fingerprint.
    """

    distribution: str | None
    version: str | None
    signature: tuple[str, ...] | None
    fingerprint: str | None
    source: str | None


def look(target: str) -> Look:
    """Look at what stands at a target below all patches of ours, importing its module.

    Raises TargetError if nothing is there, UnsupportedTargetError if it cannot be patched.
    """
    original = _original(target)
    module = getattr(original, "__module__", None) or target.partition(":")[0]
    source = _source(original)
    return Look(
        *_distribution(module, original),
        _signature(original),
        None if source is None else safepatch.fingerprint(target),
        source,
    )


def is_installed(target: str) -> bool:
    """Whether the package that a target would be in is there."""
    from importlib.util import find_spec

    top = target.replace(":", ".").partition(".")[0]
    try:
        return find_spec(top) is not None
    except ValueError:  # of a module that was made by hand; or it is no name at all
        return True


def _original(target: str) -> Any:
    """Ask for a patch whose guard says no: guards see the original, and nothing is changed."""
    seen = []

    def only_looking(original: Any) -> str:
        seen.append(original)
        return "only looking"

    try:
        safepatch.Registry().apply(target, _same, guard=only_looking)
    except safepatch.GuardError:
        return seen[0]
    except SystemExit as error:  # of a program that was taken for a module
        raise safepatch.TargetError(
            f"cannot find {target!r}: importing its module ended with {error!r}; is it a program?",
            target=target,
        ) from error
    raise safepatch.PatchError(
        f"cannot look at {target!r}: SAFEPATCH_DISABLE names it; unset that variable",
        target=target,
    )


def _same(function: Any) -> Any:
    return function


def _source(original: Any) -> str | None:
    import inspect
    import textwrap

    try:
        return textwrap.dedent(inspect.getsource(original))
    except (OSError, TypeError):
        return None


def _signature(original: Any) -> tuple[str, ...] | None:
    import inspect

    try:
        parameters = inspect.signature(original).parameters
    except (ValueError, TypeError):
        return None
    return tuple(_written([*parameters.values()]))


def _written(parameters: list[Parameter]) -> Iterator[str]:
    """The parameters as a `def` line has them; see PEP 570 for where `/` and `*` go."""
    for position, parameter in enumerate(parameters):
        before = parameters[position - 1].kind if position else parameter.kind
        if before == parameter.POSITIONAL_ONLY != parameter.kind:
            yield "/"
        # `*` is said already by an `*args`.
        first = position == 0 or before < parameter.VAR_POSITIONAL
        if parameter.kind == parameter.KEYWORD_ONLY and first:
            yield "*"
        stars: dict[Any, str] = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        name = stars.get(parameter.kind, "") + parameter.name
        has_default = parameter.default is not parameter.empty
        yield f"{name}={_default(parameter.default)}" if has_default else name
    if parameters and parameters[-1].kind == parameters[-1].POSITIONAL_ONLY:
        yield "/"


def _default(value: Any) -> str:
    """A default, the same in every process: no addresses, and sets in order."""
    import enum
    import re

    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}({{{', '.join(sorted(map(_default, value)))}}})"
    if isinstance(value, enum.Enum):  # whose repr changed with 3.12
        return f"{type(value).__qualname__}.{value.name}"
    name = getattr(value, "__qualname__", None)
    if callable(value) and isinstance(name, str):
        return f"{getattr(value, '__module__', None)}.{name}"
    try:
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
    except Exception:  # whatever its code raises
        return f"<{type(value).__qualname__}>"


def _distribution(module: str, original: Any) -> tuple[str | None, str | None]:
    """The distribution that a module comes from, and its version."""
    import platform
    import sys
    from importlib.metadata import metadata

    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return "Python", platform.python_version()
    # A package is mostly named as its distribution, and to ask for that one is quick.
    names = [top] if _has_file(top, original) else sorted({*_distributions(*sys.path).get(top, [])})
    if len(names) > 1:  # a namespace that several share
        names = [name for name in names if _has_file(name, original)] or names
    if not names:
        return None, None
    told = metadata(names[0])
    return told["Name"], told["Version"]


@functools.cache
def _distributions(*path: str) -> Mapping[str, list[str]]:
    """The distributions of each package on a path; reads the metadata of all of them."""
    from importlib.metadata import packages_distributions

    return packages_distributions()


def _has_file(distribution: str, original: Any) -> bool:
    import inspect
    import os.path
    from importlib.metadata import PackageNotFoundError, files

    try:
        file = inspect.getsourcefile(inspect.unwrap(original))
        listed = files(distribution) or ()
    except (TypeError, PackageNotFoundError):
        return False
    if file is None:
        return False
    same = [path for path in listed if path.name == os.path.basename(file)]
    return os.path.realpath(file) in [os.path.realpath(path.locate()) for path in same]
