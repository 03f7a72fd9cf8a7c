"""A site: an owner and the name of one of its attributes, with what stood there before.

What stands there while patches live is the *face*: an object of the same kind as the original,
around a dispatcher that calls the site's stack. The face is the only record of the site: finding
it in its slot finds the stack, whoever put it there and whenever.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, Final, NamedTuple

from safepatch import kinds, stacks
from safepatch.stacks import Entry, Stack, weakly


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


#: Stands for an attribute that is not there.
MISSING: Final = _Missing()


class Site:
    """One attribute of one owner, and the stack over what stood there; made by `examine`.

    `raw` is the very object that stood in the owner's namespace, or MISSING where it was
    inherited or served by `__getattr__`; it comes back when the last patch goes. `binds` says
    what the attribute is bound to when it is looked up: "instance", "class", "property", "static"
    or, outside a class, "". `found` is the function that the original leads to, where that is not
    another at each call. `owner` is None once the last patch is gone.
    """

    def __init__(self, owner: Any, name: str, raw: Any, text: str) -> None:
        self.owner, self.name, self.raw, self.text = owner, name, raw, text
        self.home = weakly(owner)
        self._face: Callable[[], Any] = lambda: None
        self.stack: Stack
        self.binds = ""
        self.found: Any = None
        self.holders: list[Held] = []

    @property
    def face(self) -> Any:
        return self._face()

    @face.setter
    def face(self, face: Any) -> None:
        self._face = lambda: face

    def address(self) -> tuple[str, str] | None:
        """The module and qualified name under which pickle would look for what stands here."""
        try:
            owner = self.home()
        except ReferenceError:
            return None
        if isinstance(owner, ModuleType):
            return owner.__name__, self.name
        if isinstance(owner, type):
            return owner.__module__, f"{owner.__qualname__}.{self.name}"
        return None

    def is_of(self, owner: Any, name: str) -> bool:
        """Whether it is the site of that place; of none, once its owner is gone."""
        try:
            return self.home() is owner and self.name == name
        except ReferenceError:
            return False

    def installed(self) -> bool:
        owner = self.owner  # read once: another thread may be undoing
        return owner is not None and faced(slot(owner, self.name)) is self.face

    def install(self) -> bool:
        """Put the face in place, unless somebody changed the slot since it was looked at."""
        if slot(self.owner, self.name) is not self.raw:
            return False
        put(self.owner, self.name, self.face)
        return True

    def push(self, entry: Entry) -> bool:
        """Add an entry; False, and nothing changed, if the site is no longer what it was."""
        with stacks.lock:
            if self.owner is None or not (self.stack.entries or self.install()):
                return False
            self.stack.push(entry)
            return True

    def remove(self, entry: Entry) -> None:
        """Take an entry out; with the last one, give the site back as it was."""
        with stacks.lock:
            # In an order in which an interruption loses nothing: a second call does the rest.
            self.stack.remove(entry)
            self.give_back_holders()
            if self.owner is not None:
                if not self.stack.entries:
                    self.give_back(self.owner)
                site_at(self.owner, self.name)  # what came back here may be as dead
            if not self.stack.entries and self.owner is not None:
                self.step_aside()
                _remember(opened(self.face))
                self.owner = None
                try:
                    self._face = weakref.ref(self.face)  # its stack leads here: a circle else
                except TypeError:
                    pass

    def give_back(self, owner: Any) -> None:
        """Put back what stood here, unless somebody else's object or code stands here now."""
        standing = faced(slot(owner, self.name))
        if standing is self.face and not kinds.has_foreign_code(opened(standing)):
            put(owner, self.name, self.raw)

    def step_aside(self) -> None:
        """Let the face wrap what the original wraps, for those who take off the outermost wrapper
        (OpenTelemetry) and find the face that somebody put back: they are to take their own."""
        face: Any = opened(self.face)
        original: Any = self.stack.original
        if type(face) is type(original) is FunctionType:
            if "__wrapped__" in original.__dict__:
                face.__dict__["__wrapped__"] = original.__dict__["__wrapped__"]
            return
        import wrapt

        if issubclass(type(original), wrapt.FunctionWrapper):
            face.__wrapped__ = original.__wrapped__

    def give_back_holders(self) -> None:
        """Give those who held the original under another name their original back."""
        if not self.holders or any(entry.patch.rebinds for entry in self.stack.entries):
            return
        for owner, name, raw in self.holders:
            if faced(slot(owner, name)) is self.face:
                put(owner, name, raw)
            above = site_at(owner, name)
            if above is not None and above.raw is self.face:
                above.raw = raw  # a patch of that name alone, made over ours
        self.holders = []
        _holders_moved()

    def rebind(self, holders: list[tuple[Any, str]]) -> None:
        """Give others who hold the original the face as well; call under the lock."""
        faces = inert(self.stack.original) if holders else []
        for owner, name in holders:
            raw = slot(owner, name)
            if raw is self.stack.original or any(raw is face for face in faces):
                self.holders.append(Held(owner, name, raw))  # first, so that undo finds it
                put(owner, name, self.face)
        if self.holders:
            _holders_moved()


#: How often holders were given a face, or their original back. Who looked for holders before, or
#: in the middle of it, took some for somebody else's.
moves = 0


def _holders_moved() -> None:
    global moves
    moves += 1


class Held(NamedTuple):
    """A name other than the site's that was given its face, and what was there."""

    owner: Any
    name: str
    raw: Any


# Faces that were taken from their sites. Who took one by name while it stood there has it still,
# and with it the original, so that to later patches it is an alias.
_inert_faces: dict[int, weakref.ref[Any]] = {}


def _remember(face: Any) -> None:
    key = id(face)
    try:
        # A partial runs no Python, in which Ctrl-C would be lost.
        _inert_faces[key] = weakref.ref(face, functools.partial(_inert_faces.pop, key))
    except TypeError:
        pass  # what nobody can refer to weakly, modules seldom hold


def inert(original: Any) -> list[Any]:
    """The faces of that original that stand at no site any more, and that somebody still has."""
    faces = [reference() for reference in list(_inert_faces.values())]
    return [
        face
        for face in faces
        if (stack := stack_of(face)) is not None
        and stack.original is original
        and not stack.entries
    ]


def slot(owner: Any, name: str) -> Any:
    """What stands in the owner's own namespace, or MISSING; never asks `getattr`."""
    return namespace(owner).get(name, MISSING)


def look_up(cls: type, name: str) -> Any:
    """What stands in the namespace of a class or of the first base that has the name there, or
    MISSING."""
    for base in cls.__mro__:
        if name in namespace(base):
            return namespace(base)[name]
    return MISSING


def modules() -> list[tuple[str, ModuleType, dict[str, Any]]]:
    """The imported modules, by name, with their namespaces.

    Anything may be in `sys.modules`, and asking it for an attribute may import things; so only
    real modules count, and their namespaces are read past whatever they define. Other threads may
    be importing, so it is copied, in one step; a list of items takes more, since Python up to 3.11
    may collect garbage at each.
    """
    return [
        (name, module, namespace(module))
        for name, module in sys.modules.copy().items()
        if type(name) is str and issubclass(type(module), ModuleType)
    ]


_of_class, _of_module = vars(type)["__dict__"].__get__, vars(ModuleType)["__dict__"].__get__


def namespace(owner: Any) -> Any:
    """An owner's own namespace, past what its class or metaclass does when it is asked."""
    kind = type(owner)
    if kind is ModuleType or kind is type:  # the quick way for nearly all: nothing is overridden
        return owner.__dict__
    if issubclass(kind, type):
        return _of_class(owner)
    return (
        _of_module(owner)
        if issubclass(kind, ModuleType)
        else object.__getattribute__(owner, "__dict__")
    )


def has_namespace(owner: Any) -> bool:
    """Whether an owner has a namespace of its own, which slots are none of."""
    try:
        return namespace(owner) is not None
    except AttributeError:
        return False


def put(owner: Any, name: str, value: Any) -> None:
    """Set, or with MISSING delete, what stands in the owner's own namespace."""
    if not isinstance(owner, type):
        # Straight into the namespace: a __setattr__ of the owner's own is foreign code.
        if value is MISSING:
            del namespace(owner)[name]
        else:
            namespace(owner)[name] = value
    elif value is MISSING:
        delattr(owner, name) if _guarded(owner) else type.__delattr__(owner, name)
    elif _guarded(owner):
        setattr(owner, name, value)
    else:
        type.__setattr__(owner, name, value)


def _guarded(owner: type) -> bool:
    """Whether the metaclass has a __setattr__ in C, which Python lets nobody pass by."""
    meta: Any = type(owner)
    if meta is type:  # nearly always
        return False
    first = next(base for base in meta.__mro__ if "__setattr__" in vars(base))
    return first is not type and type(vars(first)["__setattr__"]) is not FunctionType


def opened(value: Any) -> Any:
    """The function inside a descriptor of a known kind; any other value itself.

    Asks for the exact type: a proxy has the attributes of what it stands for.
    """
    if type(value) in (staticmethod, classmethod):
        return value.__func__
    if type(value) is property:
        return value.fget
    return value.func if type(value) is functools.cached_property else value


def faced(value: Any) -> Any:
    """The face that gave a method when it was looked up in its class; any other value itself.

    Who takes a wrapper of wrapt off a method (OpenTelemetry, ddtrace) puts into the class not what
    was wrapped, but what looking that up in the class gave.
    """
    if type(value) is not FunctionType and type(value).__module__ == "safepatch.proxies":
        from safepatch.proxies import Unbound

        if type(value) is Unbound:
            return value._self_call
    return value


def stack_of(value: Any) -> Stack | None:
    """The stack behind an object of ours, live or not; None for anybody else's object."""
    value = faced(opened(value))
    stack: Stack | None = kinds.dispatched(value)
    if stack is None and type(value).__module__ == "safepatch.proxies":
        from safepatch.proxies import ClassOnly, Face

        if issubclass(type(value), Face):
            return value._self_stack  # type: ignore[no-any-return]
        return value.stack if type(value) is ClassOnly else None
    return stack


def site_at(owner: Any, name: str) -> Site | None:
    """The site whose face stands at an owner's name, if one does.

    The face of a site that has no patches any more may have been put back by somebody (a mock
    started over it and stopped after our undo); it is removed on sight.
    """
    with stacks.lock:
        standing = faced(slot(owner, name))
        stack = stack_of(standing)
        if stack is None or stack.site.face is not standing:
            return None
        if kinds.has_foreign_code(opened(standing)):
            return None  # what stands there is somebody's wrapper around ours
        site: Site = stack.site
        if not site.is_of(owner, name):
            return None  # somebody keeps our face under another name
        if stack.entries:
            return site
        site.give_back(owner)
        return None
