"""How the bottom of a stack calls what was there before.

Each function here makes one such way, given ways to the owner and to what was found there, which
may have to be weak, and the attribute's name.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from safepatch.sites import MISSING, look_up, stack_of

_Way = Callable[[], Any]
Bottom = Callable[[_Way, _Way, str], Callable[..., Any]]


def itself(owner: _Way, found: _Way, name: str) -> Callable[..., Any]:
    return lambda *args, **kwargs: found()(*args, **kwargs)


def _with_self(found: _Way, bind: Callable[[Any], Callable[..., Any]]) -> Callable[..., Any]:
    """Call what is bound to the first argument. One that is given by name, or is missing, is left
    to the function itself."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return bind(args[0])(*args[1:], **kwargs) if args else found()(**kwargs)

    def call_bound_or_not(*args: Any, **kwargs: Any) -> Any:
        bound = bind(args[0]) if args else found()
        return bound(*(args if bound is found() else args[1:]), **kwargs)

    # A descriptor that gives itself was not bound: the first argument is the caller's own.
    return call if type(found()) is FunctionType else call_bound_or_not


BOUND: dict[str, Bottom] = {
    "instance": lambda owner, found, name: _with_self(
        found, lambda self: found().__get__(self, type(self))
    ),
    "class": lambda owner, found, name: (
        lambda cls, /, *args, **kwargs: found().__get__(None, cls)(*args, **kwargs)
    ),
    "static": lambda owner, found, name: (
        lambda *args, **kwargs: found().__get__(None, owner())(*args, **kwargs)
    ),
}


# An inherited attribute is looked up anew at each call, as if nothing stood in the class: another
# base may come before the one that has it in the order of a subclass, or get a patch of its own.
def _next(owner: _Way, found: _Way, name: str, subject: Any) -> Any:
    cls = owner()
    if _is_of(subject, cls) or (isinstance(subject, type) and type.__subclasscheck__(cls, subject)):
        return getattr(super(cls, subject), name)
    return found().__get__(subject, type(subject))


def _is_of(subject: Any, cls: type) -> bool:
    """`isinstance`, past a metaclass such as ABCMeta: it looks at attributes, which may be what is
    patched, and knows of instances that `super` does not."""
    return type.__instancecheck__(cls, subject)


def _inherited_init(owner: _Way, found: _Way) -> Callable[..., None]:
    """object.__init__ takes arguments, and ignores them, where no class overrides it but one
    overrides __new__. What stands in for it overrides it in the eyes of CPython."""

    def init(self: Any, /, *args: Any, **kwargs: Any) -> None:
        method = _next(owner, found, "__init__", self)
        if getattr(method, "__objclass__", None) is object and _ignores_arguments(type(self)):
            method()
        else:
            method(*args, **kwargs)

    return init


def _ignores_arguments(cls: type) -> bool:
    above = [vars(base)["__init__"] for base in cls.__mro__[:-1] if "__init__" in vars(base)]
    ours = [stack for face in above if (stack := stack_of(face)) and stack.site.raw is MISSING]
    new: Any = cls.__new__
    return len(ours) == len(above) and new is not object.__new__


INHERITED: dict[str, Bottom] = {
    "instance": lambda owner, found, name: (
        _inherited_init(owner, found)
        if name == "__init__"
        else _with_self(found, lambda self: _next(owner, found, name, self))
    ),
    "class": lambda owner, found, name: (
        lambda cls, /, *args, **kwargs: _next(owner, found, name, cls)(*args, **kwargs)
    ),
    "static": lambda owner, found, name: (
        lambda *args, **kwargs: _next(owner, found, name, owner())(*args, **kwargs)
    ),
    "property": lambda owner, found, name: (
        lambda self: getattr(super(owner(), self), name) if _is_of(self, owner()) else found()(self)
    ),
}


def by_class(owner: _Way, found: _Way, name: str) -> Callable[..., Any]:
    """For a method of an instance: its class is asked at each call, which may get a patch."""

    def call(*args: Any, **kwargs: Any) -> Any:
        instance = owner()
        method = look_up(type(instance), name)
        if method is MISSING:
            method = found()  # it was deleted since
        elif hasattr(type(method), "__get__"):
            method = method.__get__(instance, type(instance))
        return method(*args, **kwargs)

    return call


def by_metaclass(owner: _Way, found: _Way, name: str) -> Callable[..., Any]:
    """The same for a method of a class that its metaclass has: it may get a patch of its own."""
    return lambda cls, /, *args, **kwargs: getattr(type(cls), name)(cls, *args, **kwargs)
