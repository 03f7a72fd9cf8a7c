"""Methods that Python itself calls are called as before when they are patched on the class."""

import asyncio
import operator
import pickle

import pytest
from helpers import noting, spaces

import safepatch

dead = []


def make_special():
    """A class with all of them, each telling that it ran."""

    class Special:
        registered = ()

        def __init_subclass__(cls, tag=None, **kwargs):
            super().__init_subclass__(**kwargs)
            cls.registered = (cls.__name__, tag)

        def __class_getitem__(cls, item):
            return (cls.__name__, item)

        def __init__(self, *args, **kwargs):
            self.made_with = args, kwargs

        def __call__(self, *args, **kwargs):
            return (type(self).__name__, args, kwargs)

        def __enter__(self):
            return "entered"

        def __exit__(self, *error):
            self.left_with = error[0]
            return True

        async def __aenter__(self):
            return "entered later"

        async def __aexit__(self, *error):
            return error[0] is KeyError

        def __len__(self):
            return 3

        def __getitem__(self, key):
            return ("item", key)

        def __setitem__(self, key, value):
            self.item = key, value

        def __delitem__(self, key):
            self.item = "deleted", key

        def __contains__(self, item):
            return item == "here"

        def __iter__(self):
            yield from "abc"

        def __next__(self):
            return "next"

        def __reversed__(self):
            return "reversed"

        def __await__(self):
            yield from ()
            return "awaited"

        def __aiter__(self):
            return self

        async def __anext__(self):
            raise StopAsyncIteration

        def __eq__(self, other):
            return other == "equal"

        def __hash__(self):
            return 42

        def __lt__(self, other):
            return "less"

        def __add__(self, other):
            return ("add", other)

        def __radd__(self, other):
            return ("radd", other)

        def __iadd__(self, other):
            return ("iadd", other)

        def __neg__(self):
            return "neg"

        def __bool__(self):
            return False

        def __index__(self):
            return 5

        def __str__(self):
            return "as text"

        def __repr__(self):
            return "as code"

        def __format__(self, spec):
            return f"formatted {spec}"

        def __getattr__(self, name):
            if name.startswith("_"):
                raise AttributeError(name)
            return ("served", name)

        def __getattribute__(self, name):
            return super().__getattribute__(name)

        def __setattr__(self, name, value):
            super().__setattr__(name, value)

        def __delattr__(self, name):
            super().__delattr__(name)

        def __dir__(self):
            return ["x"]

        def __reduce_ex__(self, protocol):
            return (str, ("reduced",))

        def __get__(self, instance, owner=None):
            return ("got", instance is not None)

        def __set_name__(self, owner, name):
            self.named = name

        def __del__(self):
            dead.append(self.made_with)

    return Special


# How Python comes to call each, with what that gives.


def inherit(cls):
    sub = type("Sub", (cls,), {}, tag="mark")
    return sub.registered, vars(cls).get("registered")


def leave_with(error):
    def use(cls):
        special = cls()
        with special as entered:
            raise error
        return entered, special.left_with

    return use


def await_leave(cls):
    async def main():
        async with cls() as entered:
            raise KeyError
        return entered

    return asyncio.run(main())


def await_it(cls):
    async def main():
        return await cls()

    return asyncio.run(main())


def iterate_later(cls):
    async def main():
        return [value async for value in cls()]

    return asyncio.run(main())


def act(action):
    """What an action on an instance gives, and what it leaves in it."""

    def use(cls):
        special = cls(1, a=2)
        return action(special), {name: vars(special)[name] for name in sorted(vars(special))}

    return use


def add_in_place(special):
    special += 1
    return special


def held_by_another(cls):
    special = cls()
    holder = type("Holder", (), {"held": special})
    return vars(special)["named"], holder.held, holder().held


def drop(cls):
    dead.clear()
    cls("dropped")
    return list(dead)


USES = {
    "__init_subclass__": inherit,
    "__class_getitem__": lambda cls: cls[int],
    "__init__": lambda cls: cls(1, a=2).made_with,
    "__call__": act(lambda it: it(1, key=2)),
    "__enter__": leave_with(KeyError()),
    "__exit__": leave_with(KeyError()),
    "__aenter__": await_leave,
    "__aexit__": await_leave,
    "__len__": act(len),
    "__getitem__": act(operator.itemgetter("key")),
    "__setitem__": act(lambda it: operator.setitem(it, "key", "value")),
    "__delitem__": act(lambda it: operator.delitem(it, "key")),
    "__contains__": act(lambda it: ["here" in it, "there" in it]),
    "__iter__": act(lambda it: list(it)),
    "__next__": act(next),
    "__reversed__": act(reversed),
    "__await__": await_it,
    "__aiter__": iterate_later,
    "__anext__": iterate_later,
    "__eq__": act(lambda it: [it == "equal", it != "equal"]),
    "__hash__": act(lambda it: (hash(it), it in {it})),
    "__lt__": act(lambda it: it < 1),
    "__add__": act(lambda it: it + 1),
    "__radd__": act(lambda it: 1 + it),
    "__iadd__": act(add_in_place),
    "__neg__": act(operator.neg),
    "__bool__": act(bool),
    "__index__": act(lambda it: "abcdefgh"[it]),
    "__str__": act(str),
    "__repr__": act(lambda it: f"{it!r}"),
    "__format__": act(lambda it: f"{it:spec}"),
    "__getattr__": act(lambda it: (it.unknown, hasattr(it, "_private"))),
    "__getattribute__": act(lambda it: it.made_with),
    "__setattr__": act(lambda it: setattr(it, "new", 1)),
    "__delattr__": act(lambda it: delattr(it, "made_with")),
    "__dir__": act(dir),
    "__reduce_ex__": act(lambda it: pickle.loads(pickle.dumps(it))),
    "__get__": held_by_another,
    "__set_name__": held_by_another,
    "__del__": drop,
}


def test_each_special_method_of_the_class_has_a_use_here():
    methods = {name for name, value in vars(make_special()).items() if callable(value)}

    assert {*methods, "__init_subclass__", "__class_getitem__"} == set(USES)


# An inherited __radd__ is refused, for Python asks who overrides it.
CASES = [
    (name, inherited)
    for name in USES
    for inherited in (False, True)
    if (name, inherited) != ("__radd__", True)
]


@pytest.mark.parametrize(("name", "inherited"), CASES)
def test_python_calls_a_patched(name, inherited):
    use = USES[name]
    base = make_special()
    owner = type("Special", (base,), {}) if inherited else base
    expected, before, log = use(owner), spaces(owner, base), []

    with safepatch.patch((owner, name), noting(log, "ran")):
        found = use(owner)

    assert expected == found
    assert log
    assert before == spaces(owner, base)
    assert expected == use(owner)


def test_a_special_method_is_looked_up_in_the_class_so_patching_an_instance_is_refused():
    special = make_special()()

    with pytest.raises(safepatch.UnsupportedTargetError, match="class"):
        safepatch.apply((special, "__call__"), noting([], "ran"))
