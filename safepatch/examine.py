"""Looking at what is to be patched: which kind of attribute it is, and what may stand in for it."""

from __future__ import annotations

import functools
import sys
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from safepatch import bottoms, kinds
from safepatch.errors import TargetError, UnsupportedTargetError, nearest
from safepatch.sites import MISSING, Site, has_namespace, look_up, namespace, slot
from safepatch.stacks import Stack, weakly

_IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE


def examine(owner: Any, name: str, text: str, target: Any) -> Site:
    """Look at what is to be patched and prepare a site for it; changes nothing.

    Raises TargetError if there is nothing, UnsupportedTargetError if it cannot be patched safely;
    their `.target` is `target`.
    """
    try:
        if type(owner).__module__ in ("typing", "types") and hasattr(owner, "__origin__"):
            raise _refused(text, owner, "its owner is a parametrized alias", "the class")
        if not has_namespace(owner):
            raise _refused(text, owner, "its owner keeps no namespace (slots)", "its class")
        site = Site(owner, name, slot(owner, name), text)
        if isinstance(owner, type):
            _examine_class(site)
        else:
            _examine_object(site)
    except (TargetError, UnsupportedTargetError) as error:
        error.target = target
        raise
    return site


def _start(site: Site, bottom: bottoms.Bottom, found: Any, look: Any = None) -> Stack:
    """Start the site's stack over what `bottom` calls, which for others looks like `look`."""
    owner, name = site.owner, site.name
    original = found
    if bottom is not bottoms.itself:
        from safepatch.proxies import Adapted

        original = Adapted(look, bottom(lambda: owner, lambda: found, name))
    if bottom not in bottoms.BOUND.values():
        site.found = found
    site.stack = Stack(original, bottom(site.home, weakly(found), name), site)
    return site.stack


def _examine_object(site: Site) -> None:
    """Prepare a site in a module or an instance."""
    owner, name = site.owner, site.name
    in_class = look_up(type(owner), name)
    if in_class is not MISSING and _special(name) and not isinstance(owner, ModuleType):
        raise _refused(site.text, in_class, "Python looks it up in the class", "the class")
    if hasattr(type(in_class), "__set__") or hasattr(type(in_class), "__delete__"):
        raise _refused(site.text, in_class, "an attribute of its class hides it", "the class")
    bottom: bottoms.Bottom = bottoms.itself
    found = site.raw
    if found is MISSING:
        try:
            found = getattr(owner, name)
        except AttributeError as error:
            raise _absent(site, dir(owner)) from error
        if in_class is not MISSING:
            bottom = bottoms.by_class
    _require_callable(found, site.text)
    site.face = _stand_in(found, _start(site, bottom, found, found))


def _examine_class(site: Site) -> None:
    """Prepare a site in a class, for each way in which an attribute can be found there."""
    owner, name, text = site.owner, site.name, site.text
    found = look_up(owner, name)
    if owner.__flags__ & _IMMUTABLE and found is not MISSING:
        raise _refused(text, found, "its class is immutable", "a subclass, or whoever calls it")
    if found is MISSING:
        _examine_metaclass(site)
        return
    inherited = site.raw is MISSING
    if hasattr(type(look_up(type(owner), name)), "__set__"):
        # It is what setting the attribute calls; nobody can set __dict__ or __class__ of a class.
        raise _refused(text, found, "an attribute of its metaclass hides it", "what it calls")
    if name == "__new__" and inherited:
        # CPython never again accepts arguments for a class whose __new__ was set and deleted.
        raise _refused(text, found, "its class does not define it", "'__init__'")
    if name == "__new__" and type(found) is BuiltinFunctionType and found.__self__ is owner:
        # It asks whether its class still has it, and CPython does not notice that it came back.
        raise _refused(text, found, "its class defines it in C", "whoever calls the class")
    if inherited and _asks_who_overrides(owner, name, found):
        raise _refused(text, found, "Python asks who overrides it", _INSTEAD.get(name, "the base"))
    inner, site.binds = inside(found, text)
    inherited_bottom = bottoms.INHERITED[site.binds]
    if inner is found and type(inner) is not FunctionType and binding(inner):
        from safepatch.proxies import BindingFace

        bottom = inherited_bottom if inherited else bottoms.BOUND[site.binds]
        stack = _start(site, bottom, found, found.__get__(None, owner))
        site.face = BindingFace(found, stack, site.binds)
    else:
        stack = _start(site, inherited_bottom if inherited else bottoms.itself, inner, inner)
        site.face = _closed(found, _stand_in(inner, stack), owner, name)


def _examine_metaclass(site: Site) -> None:
    """Prepare a site in a class for a method that its metaclass has."""
    from safepatch.proxies import ClassOnly

    owner, name = site.owner, site.name
    found = look_up(type(owner), name)
    if found is MISSING:
        served = getattr(owner, name, MISSING)
        if served is MISSING:
            raise _absent(site, dir(owner))
        how = f"'{type(owner).__name__}.__getattr__'"
        raise _refused(site.text, served, "its metaclass serves it by __getattr__", how)
    if type(found) is not FunctionType or _special(name):
        raise _refused(site.text, found, "its metaclass has it", f"{type(owner).__name__!r}")
    stack = _start(site, bottoms.by_metaclass, found, found)
    meta = next(base for base in type(owner).__mro__ if name in namespace(base))
    site.face = ClassOnly(meta, kinds.dispatcher(found, stack), stack)


_REFLECTED = {
    f"__r{name}__"
    for name in (
        *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow"),
        *("lshift", "rshift", "and", "xor", "or"),
    )
}
_INSTEAD = {"__reduce__": "'__reduce_ex__'"}


def _asks_who_overrides(owner: type, name: str, found: Any) -> bool:
    """Whether Python does something else for a class that has an attribute than for one that
    inherits the same: an attribute that stands in a protocol is asked for by isinstance()."""
    is_protocol = bool(namespace(owner).get("_is_protocol"))
    return found is vars(object)["__reduce__"] or name in _REFLECTED or is_protocol


def _special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def inside(raw: Any, text: str) -> tuple[Any, str]:
    """The function inside a class attribute, and what it is bound to: instance, class or none."""
    if type(raw) in (staticmethod, classmethod):
        inner, binds = raw.__func__, "static" if type(raw) is staticmethod else "class"
    elif type(raw) is property:
        inner, binds = raw.fget, "property"
    elif type(raw) is functools.cached_property:
        inner, binds = raw.func, "property"
    elif type(raw) in (functools.partialmethod, functools.singledispatchmethod):
        return raw, "instance"
    elif issubclass(type(raw), _DESCRIPTORS) or hasattr(type(raw), "__set__"):
        raise _refused(text, raw, "it is a descriptor of an unknown kind", "what it calls")
    else:
        # A classmethod behind somebody's proxy says so by its __class__; C's have a type apart.
        is_class = isinstance(raw, classmethod) or type(raw).__name__ == "classmethod_descriptor"
        is_static = isinstance(raw, staticmethod) or not binding(raw)
        inner, binds = raw, "class" if is_class else "static" if is_static else "instance"
    _require_callable(inner, text)
    return inner, binds


def binding(value: Any) -> bool:
    """Whether a class attribute binds what it is looked up on (a bound method does not again)."""
    if isinstance(value, functools.partial) and sys.version_info < (3, 14):
        return False  # 3.13 has the method, but only to warn of what 3.14 does with it
    return hasattr(type(value), "__get__") and type(value) is not MethodType


_DESCRIPTORS = (
    staticmethod,
    classmethod,
    property,
    functools.cached_property,
    functools.partialmethod,
    functools.singledispatchmethod,
)


def _closed(raw: Any, function: Any, owner: type, name: str) -> Any:
    """The class attribute like `raw` around another function."""
    if type(raw) is property:
        made_property = property(function, raw.fset, raw.fdel, raw.__doc__)
        made_property.__set_name__(owner, name)  # type: ignore[attr-defined]  # errors tell it
        return made_property
    if type(raw) is functools.cached_property:
        made = functools.cached_property(function)
        made.__set_name__(owner, raw.attrname)  # type: ignore[arg-type]
        return made
    return type(raw)(function) if type(raw) in (staticmethod, classmethod) else function


def _stand_in(function: Any, stack: Stack) -> Any:
    """What stands in for a function: a function, or else a proxy that binds only if it did."""
    if type(function) is FunctionType:
        made: Any = kinds.dispatcher(function, stack)
        address = stack.site.address()
        # Functions are pickled by where they say they live. An alias or an inherited method says
        # another place, where pickle would find another object than ours.
        if address not in (None, (made.__module__, made.__qualname__)) and _at_home(function):
            made.__module__, made.__qualname__ = address
        return made
    from safepatch.proxies import BindingFace, Face

    if not binding(function):
        return Face(function, stack)
    # In a module they are called as they are, and bind once a class body takes them.
    return BindingFace(function, stack, "static" if type(function) is staticmethod else "instance")


def _at_home(function: FunctionType) -> bool:
    """Whether a function is found where it says it lives, so that it can be pickled."""
    found: Any = sys.modules.get(function.__module__)
    for part in function.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is function


def _require_callable(value: Any, text: str) -> None:
    if isinstance(value, type):
        raise _refused(text, value, "it is a class", "its '__init__' or another method")
    if value is None:
        raise _refused(text, value, "it has no getter, or is None", "a function or method")
    if not callable(value):
        raise _refused(text, value, "it is no function", "a function or method")


def _refused(text: str, found: Any, why: str, instead: str) -> UnsupportedTargetError:
    message = f"cannot patch {text!r} ({type(found).__name__}): {why}; patch {instead} instead"
    return UnsupportedTargetError(message, target=text, found=found)


def _absent(site: Site, names: list[str]) -> TargetError:
    advice = "check the spelling and the version"
    hint, candidates = nearest(site.text, site.name, names, advice)
    return TargetError(
        f"cannot find {site.text!r}: {site.owner!r} has no attribute {site.name!r}; {hint}",
        target=site.text,
        candidates=candidates,
    )
