"""Objects that look like one thing and call another, for what a plain function cannot stand in for.

Imported at the first patch, because wrapt and what it needs take longer to import than the rest.
"""

from __future__ import annotations

import copy
from types import MethodType
from typing import TYPE_CHECKING, Any

import wrapt

from safepatch import kinds

if TYPE_CHECKING:
    from safepatch.stacks import Stack


class _Wrapped(str):
    """What a class says under a name where its instances say what the object they wrap says."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else getattr(instance.__wrapped__, self.name)

    def __set__(self, instance: Any, value: Any) -> None:
        setattr(instance.__wrapped__, self.name, value)


class Link(wrapt.CallableObjectProxy):  # type: ignore[type-arg]
    __doc__ = _Wrapped(
        """What a decorator receives: it looks like, and calls, whatever lies below it right now.

        Setting `__wrapped__` re-points it, which is how the patches of a stack come and go while
        their wrappers keep their state. Calling it costs far less than a Python function would.
        """
    )
    __module__ = _Wrapped(__name__)
    # A subclass of wrapt's proxy asks what it wraps twice for an attribute that is not there, so
    # that n links would ask 2**n times; wrapt's FunctionWrapper does so on every call. Without
    # wrapt's __getattribute__ it is once, and what that knows of the two names is said above.
    __getattribute__ = object.__getattribute__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        # For decorators that return descriptors (wrapt's do) and bind what they wrap.
        return self if instance is None else MethodType(self, instance)


class Watched(Link):
    """A link of which somebody watches the calls: `watch(below, args, kwargs)` makes them."""

    def __init__(self, below: Any, watch: Any) -> None:
        super().__init__(below)
        self._self_watch = watch

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._self_watch(self.__wrapped__, args, kwargs)


class Adapted(wrapt.ObjectProxy):  # type: ignore[type-arg]
    """Looks like `like` and calls `call`."""

    def __init__(self, like: Any, call: Any) -> None:
        super().__init__(like)
        self._self_call = call

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._self_call(*args, **kwargs)

    # As it was before: functions and methods copy to themselves, other objects to new ones.
    def __copy__(self) -> Any:
        copied = copy.copy(self.__wrapped__)
        return self if copied is self.__wrapped__ else copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        copied = copy.deepcopy(self.__wrapped__, memo)
        return self if copied is self.__wrapped__ else copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.__wrapped__.__reduce_ex__(protocol)


def _by_address(face: Any, name: str) -> Any:
    """Pickle by reference to the site, as functions are, or else to where the original lives."""
    import pkgutil

    for address in (face._self_stack.site.address(), (face.__module__, name)):
        try:
            text = ":".join(address)
            if pkgutil.resolve_name(text) in (face, face.__wrapped__):
                return (pkgutil.resolve_name, (text,))
        except (ImportError, AttributeError, ValueError, TypeError):
            continue
    return name


class Face(Adapted):
    """Stands at a site in place of a callable that is no Python function; never binds self."""

    def __init__(self, like: Any, stack: Stack) -> None:
        super().__init__(like, None)
        self._self_stack = stack
        # A bound method, or a partial, of a coroutine function is to stay one.
        of_a_kind = kinds.kind(like) != kinds.PLAIN
        self._self_called = kinds.Top(kinds.dispatcher(like, stack)) if of_a_kind else stack

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return self._self_called.top(*args, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced = super().__reduce_ex__(protocol)
        return _by_address(self, reduced) if isinstance(reduced, str) else reduced


class BindingFace(Face):
    """The same for descriptors: binds as the original does, and calls with what it was bound to."""

    def __init__(self, like: Any, stack: Stack, binds: str) -> None:
        super().__init__(like, stack)
        self._self_binds = binds

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        natural = self.__wrapped__.__get__(instance, owner)
        if natural is self.__wrapped__:
            return self
        if self._self_binds == "class":
            return Adapted(natural, MethodType(self, owner))
        if self._self_binds == "static":
            return Adapted(natural, self)
        if instance is None:
            return _out_of_the_way(self, Unbound(natural, self), natural)
        return Adapted(natural, MethodType(self, instance))


class Unbound(Adapted):
    """A method as found in its class, which others may bind: in a class body, or by wrapping it."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        natural = self.__wrapped__.__get__(instance, owner)
        if instance is None or natural is self.__wrapped__:
            return _out_of_the_way(self._self_call, self, natural)
        return Adapted(natural, MethodType(self._self_call, instance))


def _out_of_the_way(face: Face, ours: Any, natural: Any) -> Any:
    """What looking a method up in its class gives: ours, or without patches what it would give
    without us, for those who ask what a method wraps, and put that there."""
    return ours if face._self_stack.entries else natural


class ClassOnly:
    """Stands in for a method that the metaclass `meta` has: found on the class, not on its
    instances."""

    def __init__(self, meta: type, function: Any, stack: Stack) -> None:
        self.meta, self.function, self.stack = meta, function, stack

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        name = self.stack.site.name
        if instance is not None:
            raise AttributeError(f"{type(instance).__name__!r} object has no attribute {name!r}")
        meta: Any = type(owner)
        has = next((base for base in meta.__mro__ if name in vars(base)), self.meta)
        if has is not self.meta:  # a subclass has a metaclass with a method of its own
            return vars(has)[name].__get__(owner, meta)
        return MethodType(self.function, owner)
