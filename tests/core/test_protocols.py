"""What answers `send`, `throw` and `close` answers as before when it is patched by its name."""

import asyncio
import inspect
import types

import pytest
from helpers import noting, pass_through, spaces

import safepatch


class ToldError(Exception):
    pass


def telling(log):
    """Functions that suspend themselves, and tell in the log how they end."""

    def generator(*args):
        received = "nothing"
        try:
            while received != "stop":
                try:
                    received = yield received
                except ToldError as error:
                    received = f"caught {error}"
        finally:
            log.append("finally")
        return "returned"

    def ignoring(*args):
        try:
            yield 1
        except GeneratorExit:
            yield 2

    def replacing(*args):
        try:
            yield 1
        except ToldError as error:
            raise KeyError("instead") from error

    @types.coroutine
    def iterable(*args):
        received = yield from generator(*args)
        log.append("after")
        return received

    async def coroutine(*args):
        return await iterable(*args)

    async def stream(*args):
        received = "nothing"
        try:
            while received != "stop":
                try:
                    received = yield received
                    await asyncio.sleep(0)
                except ToldError as error:
                    received = f"caught {error}"
        finally:
            await asyncio.sleep(0)
            log.append("finally")

    async def ignoring_stream(*args):
        try:
            yield 1
        except GeneratorExit:
            yield 2

    return locals()


# Where a function may stand, made with it: the owner, the attribute, and the way to call it.


def in_a_module(function):
    module = types.ModuleType("shop")
    module.f = function
    return module, lambda: module.f()


def in_a_class(function, wrap=lambda function: function, heirs=0):
    owner = type("Shop", (), {"f": wrap(function)})
    for _ in range(heirs):
        owner = type("Heir", (owner,), {})
    return owner, lambda: owner().f()


def in_an_instance(function):
    instance = type("Shop", (), {})()
    instance.f = function
    return instance, lambda: instance.f()


def in_an_instance_by_class(function):
    instance = type("Shop", (), {"f": function})()
    return instance, lambda: instance.f()


def in_a_metaclass(function):
    meta = type("Meta", (type,), {"f": function})
    cls = meta("Shop", (), {})
    return meta, lambda: cls.f()


def in_a_class_by_metaclass(function):
    cls = type("Meta", (type,), {"f": function})("Shop", (), {})
    return cls, lambda: cls.f()


PLACES = {
    "a module": in_a_module,
    "a class": in_a_class,
    "a class that inherits it": lambda f: in_a_class(f, heirs=2),
    "a class, as static method": lambda f: in_a_class(f, staticmethod),
    "a class, as class method": lambda f: in_a_class(f, classmethod),
    "a class that inherits a class method": lambda f: in_a_class(f, classmethod, heirs=1),
    "an instance": in_an_instance,
    "the class of an instance": in_an_instance_by_class,
    "a metaclass": in_a_metaclass,
    "the metaclass of a class": in_a_class_by_metaclass,
}

SCRIPTS = [
    [("send", None), ("send", "a"), ("send", "stop")],
    [("send", "too early")],
    [("send", None), ("throw", ToldError("here")), ("send", "stop")],
    [("throw", ToldError("before the start"))],
    [("send", None), ("throw", KeyError("unknown")), ("send", None)],
    [("send", None), ("throw", GeneratorExit())],
    [("send", None), ("throw", StopIteration("inside"))],
    [("send", None), ("throw", asyncio.CancelledError())],
    [("send", None), ("close",), ("send", None)],
    [("close",), ("send", None), ("close",)],
    [("send", None), ("send", "stop"), ("send", None), ("close",)],
]


def told(error):
    return type(error), error.args, type(error.__cause__), getattr(error, "value", None)


def step(function, *args):
    try:
        return function(*args)
    except BaseException as error:
        return told(error)


async def async_step(function, *args):
    try:
        return await function(*args)
    except BaseException as error:
        return told(error)


def transcripts(call, log):
    """What each script gives, and what was told in the log."""
    results = []
    for script in SCRIPTS:
        log.clear()
        suspended = call()
        results.append([step(getattr(suspended, name), *args) for name, *args in script])
        results.append(list(log))
        suspended.close()
    return results


async def async_transcripts(call, log):
    results = []
    for script in SCRIPTS:
        log.clear()
        stream = call()
        results.append([await async_step(getattr(stream, f"a{n}"), *args) for n, *args in script])
        results.append(list(log))
        await async_step(stream.aclose)
    return results


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("name", ["generator", "iterable", "coroutine"])
def test_what_is_suspended_answers_as_before_in(place, name):
    log = []
    owner, call = place(telling(log)[name])
    before, expected = spaces(owner), transcripts(call, log)

    with safepatch.patch((owner, "f"), pass_through, pass_through):
        found = transcripts(call, log)

    assert expected == found
    assert before == spaces(owner)
    assert expected == transcripts(call, log)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_an_async_generator_answers_as_before_in(place):
    log = []
    owner, call = place(telling(log)["stream"])
    before, expected = spaces(owner), asyncio.run(async_transcripts(call, log))

    with safepatch.patch((owner, "f"), pass_through, pass_through):
        found = asyncio.run(async_transcripts(call, log))

    assert expected == found
    assert before == spaces(owner)
    assert expected == asyncio.run(async_transcripts(call, log))


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("ignoring", [("send", None), ("close",)]),
        ("replacing", [("send", None), ("throw", ToldError("first")), ("send", None)]),
    ],
)
def test_a_generator_that_does_not_do_as_it_is_told_is_heard(name, script):
    module, call = in_a_module(telling([])[name])

    def transcript():
        generator = call()
        return [step(getattr(generator, act), *args) for act, *args in script]

    expected = transcript()

    with safepatch.patch((module, "f"), pass_through):
        assert expected == transcript()


def test_an_async_generator_that_does_not_close_is_heard():
    module, call = in_a_module(telling([])["ignoring_stream"])

    async def transcript():
        stream = call()
        return [await async_step(stream.asend, None), await async_step(stream.aclose)]

    expected = asyncio.run(transcript())

    with safepatch.patch((module, "f"), pass_through):
        assert expected == asyncio.run(transcript())


def test_a_generator_that_delegates_to_a_patched_one_passes_all_through():
    log = []
    module, call = in_a_module(telling(log)["generator"])

    def delegating():
        result = yield from call()
        return ("delegated", result)

    expected = transcripts(delegating, log)

    with safepatch.patch((module, "f"), pass_through):
        found = transcripts(delegating, log)

    assert expected == found


def test_the_state_of_what_is_suspended_can_be_asked():
    module, call = in_a_module(telling([])["generator"])

    def states():
        generator = call()
        asked = [inspect.getgeneratorstate(generator)]
        next(generator)
        asked.append(inspect.getgeneratorstate(generator))
        generator.close()
        return [*asked, inspect.getgeneratorstate(generator), generator.__name__]

    expected = states()

    with safepatch.patch((module, "f"), pass_through):
        assert expected == states()


def test_the_body_begins_when_the_generator_does():
    """A call alone runs neither the wrapper nor the original; each generator counts once."""
    log = []
    module, call = in_a_module(telling(log)["generator"])

    with safepatch.patch((module, "f"), noting(log, "ran")):
        one, other = call(), call()
        assert log == []
        next(one)
        next(one)
        one.close()
        other.close()

    assert log == ["ran", "finally"]
