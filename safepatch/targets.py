"""From what the user named to the place it lives."""

from __future__ import annotations

import builtins
import importlib.util
import sys
from collections.abc import Callable
from types import (
    BuiltinFunctionType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any, NamedTuple

from safepatch import kinds
from safepatch.errors import TargetError, UnsupportedTargetError, nearest
from safepatch.sites import MISSING, modules, slot, stack_of
from safepatch.stacks import weakly


class Place(NamedTuple):
    """Where a target lives; `function` is set when a function itself was named, not a place."""

    owner: Any
    name: str
    text: str
    target: Any
    function: Any = None


def text_of(target: Any) -> str:
    """How a target is written as a string, for names and messages; resolves nothing."""
    if isinstance(target, str):
        return target
    if isinstance(target, tuple):
        owner, name = target
        if isinstance(owner, ModuleType):
            return f"{owner.__name__}:{name}"
        if isinstance(owner, type):
            return f"{owner.__module__}:{owner.__qualname__}.{name}"
        return f"{type(owner).__module__}:{type(owner).__qualname__}().{name}"
    module, qualname = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    return f"{module}:{qualname}" if module and qualname else repr(target)


def by_place(target: Any) -> bool:
    """Whether a target names a place, rather than being the function itself."""
    return isinstance(target, (str, tuple))


def check(target: Any) -> None:
    """Refuse what cannot be a target, whether or not its module is imported."""
    if isinstance(target, str):
        module, colon, path = target.partition(":")
        parts = [*module.split("."), *(path.split(".") if colon else ())]
        if not all(part.isidentifier() for part in parts) or len(parts) < 2:
            raise TargetError(
                f"{target!r} is no target; write 'package.module:function' "
                "or 'package.module:Class.method'",
                target=target,
            )
    elif isinstance(target, tuple):
        if len(target) != 2 or not isinstance(target[1], str) or isinstance(target[0], str):
            raise TargetError(
                f"{target!r} is no target; give (owner, 'name') with the object that has the "
                "attribute, or a string such as 'package.module:function'",
                target=target,
            )
    elif isinstance(target, type) or not callable(target):
        what = "a class" if isinstance(target, type) else "no function"
        raise UnsupportedTargetError(
            f"cannot patch {target!r}: it is {what}; "
            "name one of its methods, as (owner, 'name') or 'package.module:Class.method'",
            target=target,
            found=target,
        )


def module_of(target: Any) -> str | None:
    """The module a string target waits for, or None for targets that are at hand already."""
    return split(target)[0] if isinstance(target, str) else None


def split(text: str) -> tuple[str, list[str]]:
    """The module of a string target, and the names that lead on from there; imports nothing.

    Raises TargetError where there is no colon and the module is not imported.
    """
    module, colon, path = text.partition(":")
    if colon:
        return module, path.split(".")
    names = text.split(".")
    for end in range(len(names) - 1, 0, -1):
        loaded = sys.modules.get(".".join(names[:end]))
        if loaded is not None and names[end] in vars(loaded):
            return ".".join(names[:end]), names[end:]
    raise TargetError(
        f"cannot tell which part of {text!r} is the module before it is imported; "
        f"write it with a colon, as {'.'.join(names[:-1])}:{names[-1]}",
        target=text,
    )


def resolve(target: Any) -> Place:
    """Find the place that a target names, importing its module if need be.

    Raises TargetError when there is no such place or more than one, UnsupportedTargetError when
    a class or a plain value was given. Changes nothing.
    """
    check(target)
    if isinstance(target, str):
        owner, name = _resolve_text(target)
        return Place(owner, name, target, target)
    if isinstance(target, tuple):
        return Place(target[0], mangled(*target), text_of(target), target)
    return _resolve_function(target)


def mangled(owner: Any, name: str) -> str:
    """The name under which a class keeps a private attribute."""
    if name.startswith("__") and not name.endswith("__"):
        for cls in getattr(owner if isinstance(owner, type) else type(owner), "__mro__", ()):
            private = f"_{cls.__name__.lstrip('_')}{name}"
            if private in vars(cls) or slot(owner, private) is not MISSING:
                return private
    return name


def _resolve_text(text: str) -> tuple[Any, str]:
    module_name, colon, path = text.partition(":")
    if colon:
        return _walk(_import(module_name, text), path.split("."), text)
    return _resolve_dotted(text)


def _resolve_dotted(text: str) -> tuple[Any, str]:
    """Import as long as the next name is no attribute of the module; refuse when it is both."""
    parts = text.split(".")
    module = _import(parts[0], text)
    for position, part in enumerate(parts[1:-1], 1):
        attribute = vars(module).get(part, MISSING)
        full = f"{module.__name__}.{part}"
        if not _is_module(full, module):
            return _walk(module, parts[position:], text)
        # To import it now would put it over the attribute.
        if attribute is not MISSING and attribute is not sys.modules.get(full):
            one = f"{module.__name__}:{'.'.join(parts[position:])}"
            other = f"{full}:{'.'.join(parts[position + 1 :])}"
            raise TargetError(
                f"{text!r} is ambiguous: {part!r} is both a module and an attribute of "
                f"{module.__name__!r}; write {one!r} or {other!r}",
                target=text,
                candidates=(one, other),
            )
        module = _import(full, text)
    return _walk(module, parts[-1:], text)


def _is_module(full: str, parent: ModuleType) -> bool:
    if full in sys.modules:
        return True
    return hasattr(parent, "__path__") and importlib.util.find_spec(full) is not None


def _import(name: str, text: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever its code raises
        known = [*sys.modules, *sys.stdlib_module_names]
        hint, candidates = nearest(text, name, known, "is it installed?")
        if not isinstance(error, ImportError):
            hint, candidates = "its code raises that", ()
        if hasattr(builtins, name.partition(".")[0]):
            candidates = (f"builtins:{text.replace(':', '.')}",)
            hint = f"did you mean {candidates[0]!r}?"
        raise TargetError(
            f"cannot find {text!r}: importing {name!r} failed with {_told(error)}; {hint}",
            target=text,
            candidates=candidates,
        ) from error


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ImportError) else repr(error)


def _walk(module: Any, path: list[str], text: str) -> tuple[Any, str]:
    owner = module
    for part in path[:-1]:
        try:
            owner = getattr(owner, mangled(owner, part))
        except AttributeError as error:
            advice = "check the spelling and the version"
            hint, candidates = nearest(text, part, dir(owner), advice)
            raise TargetError(
                f"cannot find {text!r}: {owner!r} has no attribute {part!r}; {hint}",
                target=text,
                candidates=candidates,
            ) from error
    return owner, mangled(owner, path[-1])


def _resolve_function(function: Any) -> Place:
    """Find out what a function that was handed to us is: itself in place, or a place of its own."""
    stack = stack_of(function)
    if stack is not None and type(function) is not FunctionType:
        site = stack.site
        return Place(site.home(), site.name, site.text, function)
    if stack is not None:
        function = stack.original
    if type(function) is MethodType and isinstance(function.__self__, type):
        function = function.__func__
    if isinstance(function, FunctionType):
        module, qualname = function.__module__, function.__qualname__
        owner: Any = sys.modules.get(module)
        try:
            for part in qualname.split(".")[:-1]:
                owner = getattr(owner, part)
        except AttributeError:
            owner = None
        return Place(owner, function.__name__, text_of(function), function, function)
    return _resolve_object(function)


def _resolve_object(function: Any) -> Place:
    """The one place where a builtin or a callable object lives; an error naming all if not one."""
    name = getattr(function, "__name__", None)
    if isinstance(function, (MethodDescriptorType, WrapperDescriptorType)):
        return Place(function.__objclass__, function.__name__, text_of(function), function)
    home = getattr(function, "__module__", None)
    # A twin in C (_socket, posix) is where the public module gets it from; patching it there
    # changes nothing for those who ask the public one. Methods of an object say no module.
    is_twin = type(function) is BuiltinFunctionType and (home is None or _is_twin(home))
    offered = _offering(function, name) if isinstance(name, str) else []
    if len(offered) == 1 and not is_twin:
        return Place(sys.modules[offered[0]], str(name), f"{offered[0]}:{name}", function)
    candidates = tuple(f"{module}:{name}" for module in offered)
    places = " or ".join(map(repr, candidates)) or "'module:name'"
    if not candidates and name is not None:
        places = f"(object, {name!r}), 'module:{name}' or 'module:Class.{name}'"
    raise TargetError(
        f"cannot tell where {function!r} is to be patched; name the place, as {places}",
        target=function,
        candidates=candidates,
    )


def _offering(function: Any, name: str) -> list[str]:
    """The modules that offer a function as theirs: where it says it lives, or by `__all__`.

    Twins come last.
    """
    home = getattr(function, "__module__", None)
    offering = []
    for module, _, namespace in modules():
        if namespace.get(name) is function:
            listed = namespace.get("__all__", ())
            if module == home or (type(listed) in (list, tuple) and name in listed):
                offering.append(module)
    return sorted(offering, key=_is_twin)


def _is_twin(module: str) -> bool:
    return module.startswith("_") or module in ("posix", "nt")


def same_function(place: Place) -> bool:
    """Whether the place where a function says it was defined still holds that very function."""
    if place.owner is None:
        return False
    standing = slot(place.owner, place.name)
    stack = stack_of(standing)
    inner = getattr(standing, "__func__", standing) if stack is None else stack.original
    return inner is place.function or kinds.dispatched(inner) is not None


def loosened(target: Any) -> Callable[[], Any]:
    """A way to a target, to apply to it again, that keeps its owner alive no longer."""
    if isinstance(target, str):
        return lambda: target
    if isinstance(target, tuple):
        owner, name = weakly(target[0]), target[1]
        return lambda: (owner(), name)
    return weakly(target)
