"""The kinds of target there are, each made anew for a test."""

import asyncio
import contextlib
import dataclasses
import functools
import sys
import types
import uuid
from collections.abc import Callable
from typing import Any

import wrapt


@dataclasses.dataclass
class Victim:
    """A target, how it is called, what that gives, and whose namespaces must be as before."""

    owner: Any
    name: str
    call: Callable[[], Any]
    result: Any
    owners: tuple[Any, ...]
    kind: str = "plain"

    @property
    def target(self):
        return (self.owner, self.name)

    def standing(self):
        """What somebody who looks the attribute up now would hold."""
        return getattr(self.owner, self.name)


class CallableObject:
    def __init__(self):
        self.note = "reachable"

    def __call__(self, *args):
        return ("object", len(args))


def run(awaitable):
    return asyncio.run(_await(awaitable))


async def _await(awaitable):
    return await awaitable


async def collect(generator):
    return [item async for item in generator]


def make_module():
    name = f"victims_{uuid.uuid4().hex}"
    module = types.ModuleType(name)
    source = '''
import functools, types

def plain(a, b=2, *, c=3):
    """Its docstring."""
    return (a, b, c)

async def coroutine(a):
    return ("awaited", a)

def generator(a):
    got = yield a
    yield got
    return "returned"

async def asyncgen(a):
    yield a
    yield a

@types.coroutine
def iterable(a):
    yield from ()
    return a

@functools.lru_cache
def cached(a):
    return ("cached", a)

def __getattr__(name):
    if name == "served":
        return _served
    raise AttributeError(name)

def _served(a):
    return ("served", a)
'''
    sys.modules[name] = module
    exec(compile(source, f"<{name}>", "exec"), module.__dict__)
    return module


def make_classes():
    class Meta(type):
        def meta(cls):
            return cls.__name__

    class Base(metaclass=Meta):
        def method(self, a=1):
            return (type(self).__name__, a)

        @staticmethod
        def static(a=1):
            return ("static", a)

        @classmethod
        def klass(cls, a=1):
            return (cls.__name__, a)

        @property
        def prop(self):
            return ("prop", type(self).__name__)

        @functools.cached_property
        def lazy(self):
            return ("lazy", type(self).__name__)

        @functools.lru_cache
        def cached(self):
            return "cached"

        partial_method = functools.partialmethod(method, 5)

        @functools.singledispatchmethod
        def single(self, a):
            return "default"

        @single.register
        def _(self, a: int):
            return "int"

        async def coroutine(self):
            return "awaited"

        def generator(self):
            yield 1
            return 2

        async def asyncgen(self):
            yield 1
            yield 2

        def __len__(self):
            return 7

        def __private(self):
            return "private"

        @property
        def calls_private(self):
            return self.__private()

        builtin = len
        partial = functools.partial(divmod, 7)
        callable_object = CallableObject()

        @wrapt.decorator
        def _universal(self, instance, args, kwargs):
            assert instance is not None
            return self(*args, **kwargs)  # wrapt hands over the wrapped function first

        @_universal
        def wrapt_method(self):
            return ("wrapt", type(self).__name__)

        def __new__(cls, *args):
            return super().__new__(cls)

    class Derived(Base):
        pass

    return Meta, Base, Derived


class Mapping(dict):
    pass


def _module_victim(name, call, result, kind="plain"):
    def make():
        module = make_module()
        return Victim(module, name, lambda: call(module), result, (module,), kind)

    return make


def _class_victim(name, call, result, *, derived=False, kind="plain"):
    def make():
        _, base, cls = make_classes()
        owner = cls if derived else base
        return Victim(owner, name, lambda: call(owner), result(owner), (base, cls), kind)

    return make


def _generate(generator):
    items = [next(generator)]
    with contextlib.suppress(StopIteration):
        while True:
            items.append(generator.send("sent"))
    return items


def _instance_victim():
    _, base, derived = make_classes()
    instance = derived()
    return Victim(
        instance,
        "method",
        instance.__class__.method.__get__(instance) and (lambda: instance.method(4)),
        ("Derived", 4),
        (instance, base, derived),
    )


def _instance_function_victim():
    _, base, _ = make_classes()
    instance = base()
    instance.stored = lambda a: ("stored", a)
    return Victim(instance, "stored", lambda: instance.stored(4), ("stored", 4), (instance, base))


def _metaclass_victim():
    meta, base, derived = make_classes()
    return Victim(base, "meta", lambda: derived.meta(), "Derived", (meta, base, derived))


def _c_method_victim():
    cls = type("D", (dict,), {})
    return Victim(cls, "get", lambda: cls(a=1).get("a"), 1, (cls,))


def _c_special_victim():
    cls = type("D", (dict,), {})
    return Victim(cls, "__len__", lambda: len(cls(a=1)), 1, (cls,))


def _c_classmethod_victim():
    cls = type("D", (dict,), {})
    return Victim(cls, "fromkeys", lambda: cls.fromkeys("ab"), {"a": None, "b": None}, (cls,))


def _builtin_victim():
    module = make_module()
    module.builtin = len
    return Victim(module, "builtin", lambda: module.builtin("abc"), 3, (module,))


def _object_victim():
    module = make_module()
    module.thing = CallableObject()
    return Victim(module, "thing", lambda: module.thing(1, 2), ("object", 2), (module,))


def _bound_victim():
    module = make_module()
    module.bound = CallableObject().__call__
    return Victim(module, "bound", lambda: module.bound(1), ("object", 1), (module,))


def _both(name, call, result, kind="plain"):
    """The same in the class that defines it and in one that inherits it."""
    return {
        name: _class_victim(name, call, result, kind=kind),
        f"inherited {name}": _class_victim(name, call, result, derived=True, kind=kind),
    }


VICTIMS = {
    "function": _module_victim("plain", lambda m: m.plain(1, c=4), (1, 2, 4)),
    "coroutine function": _module_victim(
        "coroutine", lambda m: run(m.coroutine(1)), ("awaited", 1), "coroutine"
    ),
    "generator function": _module_victim(
        "generator", lambda m: _generate(m.generator(1)), [1, "sent"], "generator"
    ),
    "async generator function": _module_victim(
        "asyncgen", lambda m: asyncio.run(collect(m.asyncgen(1))), [1, 1], "asyncgen"
    ),
    "types.coroutine": _module_victim("iterable", lambda m: run(m.iterable(1)), 1, "iterable"),
    "lru_cache in a module": _module_victim("cached", lambda m: m.cached(1), ("cached", 1)),
    "served by __getattr__": _module_victim("served", lambda m: m.served(1), ("served", 1)),
    "builtin in a module": _builtin_victim,
    "callable object": _object_victim,
    "bound method in a module": _bound_victim,
    "instance method": _instance_victim,
    "function in an instance": _instance_function_victim,
    "metaclass method": _metaclass_victim,
    "method of a C type": _c_method_victim,
    "special method of a C type": _c_special_victim,
    "classmethod of a C type": _c_classmethod_victim,
    **_both("method", lambda c: c().method(4), lambda c: (c.__name__, 4)),
    **_both("static", lambda c: c.static(4), lambda c: ("static", 4)),
    **_both("klass", lambda c: c.klass(4), lambda c: (c.__name__, 4)),
    **_both("prop", lambda c: c().prop, lambda c: ("prop", c.__name__)),
    **_both("lazy", lambda c: c().lazy, lambda c: ("lazy", c.__name__)),
    **_both("cached", lambda c: c().cached(), lambda c: "cached"),
    **_both("partial_method", lambda c: c().partial_method(), lambda c: (c.__name__, 5)),
    **_both("single", lambda c: (c().single(1), c().single("")), lambda c: ("int", "default")),
    **_both("coroutine", lambda c: run(c().coroutine()), lambda c: "awaited", "coroutine"),
    **_both("generator", lambda c: list(c().generator()), lambda c: [1], "generator"),
    **_both("asyncgen", lambda c: run(collect(c().asyncgen())), lambda c: [1, 2], "asyncgen"),
    **_both("__len__", lambda c: len(c()), lambda c: 7),
    **_both("__private", lambda c: c().calls_private, lambda c: "private"),
    **_both("builtin", lambda c: c().builtin("abc"), lambda c: 3),
    **_both("partial", lambda c: c().partial(2), lambda c: (3, 1)),
    **_both("callable_object", lambda c: c().callable_object(1), lambda c: ("object", 1)),
    **_both("wrapt_method", lambda c: c().wrapt_method(), lambda c: ("wrapt", c.__name__)),
    "own __new__": _class_victim("__new__", lambda c: type(c(1)).__name__, lambda c: "Base"),
}
