"""Patching in place: a function's code is swapped, so that all who hold it see the patch."""

import asyncio
import contextlib
import dataclasses
import functools
import gc
import inspect
import itertools
import pathlib
import pickle
import sys
import textwrap
import traceback
import types
import weakref
from unittest import mock

import pytest
from children import child
from helpers import noting, pass_through

import safepatch


def module_function(a, b=2, *, c=3):
    """Its docstring."""
    return (a, b, c)


default_of_another = module_function


def untouched(function):
    """What must be as before: the code and all that the function carries."""
    return function.__code__, dict(function.__dict__), function.__defaults__, function.__closure__


@pytest.fixture(autouse=True)
def module_function_is_as_before():
    before = untouched(module_function)
    yield
    assert before == untouched(module_function)


# --- Who is reached.


class Holder:
    method = module_function
    static = staticmethod(module_function)


class Bound:
    def method(self, a):
        return ("bound", a)


class Inheriting(Bound):
    pass


def captured(function=module_function):
    held = function
    return lambda: held(1)


BOUND = Bound()
REACHED = {
    "an import made before": (module_function, lambda: default_of_another(1)),
    "a default argument": (module_function, lambda call=module_function: call(1)),
    "a dict": (module_function, lambda d={"key": module_function}: d["key"](1)),
    "a list": (module_function, lambda d=[module_function]: d[0](1)),
    "a class attribute": (module_function, lambda: Holder.method(1)),
    "a staticmethod": (module_function, lambda: Holder.static(1)),
    "a closure": (module_function, captured()),
    "a partial": (module_function, functools.partial(module_function, 1)),
    "a bound method": (Bound.method, functools.partial(BOUND.method, 1)),
    "a subclass": (Bound.method, lambda: type("Sub", (Bound,), {})().method(1)),
    "super()": (Bound.method, lambda: super(Inheriting, Inheriting()).method(1)),
    "a naive wrapper": (module_function, functools.partial(pass_through(module_function), 1)),
}


@pytest.mark.parametrize("holder", REACHED)
def test_whoever_took_the_function_before_sees_the_patch_and_its_end(holder):
    function, call = REACHED[holder]
    log, result = [], call()
    patch = safepatch.apply(function, noting(log, "ran"))

    during = call()
    patch.undo()
    after = call()

    assert (result, result) == (during, after)
    assert log == ["ran"]


@pytest.mark.parametrize(
    "target",
    [f"{__name__}:module_function", (sys.modules[__name__], "module_function"), module_function],
    ids=["string", "owner and name", "function"],
)
def test_every_form_of_target_can_be_patched_in_place(target):
    log, original = [], module_function
    with safepatch.patch(target, noting(log, "ran"), aliases="rebind"):
        assert module_function is original
        default_of_another(1)

    assert log == ["ran"]


# --- Kinds.


def plain():
    def function(a, b=2, *, c=3, **more):
        return (a, b, c, more)

    return function, lambda: (function(1), function(1, c=4, d=5))


def defaults_that_change():
    def function(a=1, *, b=2):
        return (a, b)

    return function, lambda: (function(), function(b=3), function(4))


def a_lambda():
    function = lambda a: ("lambda", a)  # noqa: E731
    return function, lambda: function(1)


def closure():
    free = ["one"]

    def function(a):
        return (a, *free)

    return function, lambda: function(1)


def closure_over_the_names_that_a_trampoline_uses():
    args, kwargs, stack, dispatch, result, inner, value, sent, error, free0000 = range(10)

    def function(a):
        return (a, args, kwargs, stack, dispatch, result, inner, value, sent, error, free0000)

    return function, lambda: function(1)


def closure_that_assigns():
    count = 0

    def function():
        nonlocal count
        count += 1
        return count > 0

    return function, function


def closure_filled_later():
    def function():
        return later

    def call():
        return function()

    later = "filled"
    return function, call


def recursive():
    def function(n):
        return 1 if n == 0 else n * function(n - 1)

    return function, lambda: function(5)


def super_without_arguments():
    class Base:
        def method(self):
            return "base"

    class Sub(Base):
        def method(self):
            return (__class__.__name__, super().method())

    return Sub.method, lambda: Sub().method()


def generator():
    def function(a):
        yield a
        yield a + 1

    return function, lambda: list(function(1))


def generator_closure():
    free = 7

    def function(a):
        yield a
        yield free

    return function, lambda: list(function(1))


def coroutine():
    async def function(a):
        await asyncio.sleep(0)
        return ("awaited", a)

    return function, lambda: asyncio.run(function(1))


def coroutine_closure():
    free = 7

    async def function(a):
        return (free, a)

    return function, lambda: asyncio.run(function(1))


def async_generator():
    async def function(a):
        yield a
        await asyncio.sleep(0)
        yield a + 1

    return function, lambda: asyncio.run(collect(function(1)))


def async_generator_closure():
    free = 7

    async def function(a):
        yield a
        yield free

    return function, lambda: asyncio.run(collect(function(1)))


def types_coroutine():
    @types.coroutine
    def function(a):
        yield from ()
        return ("iterable", a)

    async def call():
        return await function(1)

    return function, lambda: asyncio.run(call())


def staticmethod_function():
    class Owner:
        @staticmethod
        def method(a):
            return ("static", a)

    return Owner.method, lambda: (Owner.method(1), Owner().method(1))


def classmethod_function():
    class Owner:
        @classmethod
        def method(cls, a):
            return (cls.__name__, a)

    return vars(Owner)["method"].__func__, lambda: (Owner.method(1), Owner().method(1))


def bound_classmethod():
    class Owner:
        @classmethod
        def method(cls, a):
            return (cls.__name__, a)

    return Owner.method, lambda: (Owner.method(1), Owner().method(1))


def property_getter():
    class Owner:
        @property
        def value(self):
            return "got"

    return vars(Owner)["value"].fget, lambda: Owner().value


def cached_property_getter():
    class Owner:
        @functools.cached_property
        def value(self):
            return "got"

    return vars(Owner)["value"].func, lambda: Owner().value


def inside_an_lru_cache():
    @functools.lru_cache
    def function(a):
        return ("computed", a)

    fresh = itertools.count()
    return function.__wrapped__, lambda: function(next(fresh))[0]


def context_manager():
    @contextlib.contextmanager
    def function(a):
        yield ("entered", a)

    def call():
        with function(1) as entered:
            return entered

    return function, call


def generator_inside_a_context_manager():
    function, call = context_manager()
    return function.__wrapped__, call


def special_method():
    class Owner:
        def __len__(self):
            return 7

    return Owner.__len__, lambda: len(Owner())


def dataclass_method():
    @dataclasses.dataclass
    class Owner:
        a: int = 1

    return Owner.__init__, lambda: Owner(2)


def in_shadowing_globals(source):
    """Functions of a module that shadows every builtin a trampoline might use."""

    def make():
        shadowed = (
            "type hasattr getattr isinstance callable BaseException Exception GeneratorExit "
            "StopIteration StopAsyncIteration stack awaitable async_generator dispatch args kwargs"
        )
        space = dict.fromkeys(shadowed.split(), "shadowed") | {"__name__": "shadowing"}
        exec(textwrap.dedent(source), space)
        return space["function"], lambda: drive(space["function"])

    return make


def drive(function):
    if inspect.iscoroutinefunction(function):
        return asyncio.run(function(1))
    if inspect.isasyncgenfunction(function):
        return asyncio.run(collect(function(1)))
    return list(function(1)) if inspect.isgeneratorfunction(function) else function(1)


KINDS = {
    made.__name__: made
    for made in (
        plain,
        defaults_that_change,
        a_lambda,
        closure,
        closure_over_the_names_that_a_trampoline_uses,
        closure_that_assigns,
        closure_filled_later,
        recursive,
        super_without_arguments,
        generator,
        generator_closure,
        coroutine,
        coroutine_closure,
        async_generator,
        async_generator_closure,
        types_coroutine,
        staticmethod_function,
        classmethod_function,
        bound_classmethod,
        property_getter,
        cached_property_getter,
        inside_an_lru_cache,
        context_manager,
        generator_inside_a_context_manager,
        special_method,
        dataclass_method,
    )
} | {
    f"{kind} in shadowing globals": in_shadowing_globals(source)
    for kind, source in {
        "plain": "def function(a):\n    return a",
        "generator": "def function(a):\n    yield a",
        "coroutine": "async def function(a):\n    return a",
        "async generator": "async def function(a):\n    yield a\n    yield a",
    }.items()
}


WITHOUT_SOURCE = {"dataclass_method", *(kind for kind in KINDS if "shadowing" in kind)}


async def collect(generator):
    return [item async for item in generator]


@pytest.fixture(params=KINDS)
def made(request):
    return KINDS[request.param]()


QUESTIONS = (
    inspect.iscoroutinefunction,
    inspect.isgeneratorfunction,
    inspect.isasyncgenfunction,
    inspect.isfunction,
    inspect.isroutine,
    asyncio.iscoroutinefunction,
    inspect.signature,
    lambda function: function.__name__,
    lambda function: function.__qualname__,
    lambda function: function.__module__,
    lambda function: function.__doc__,
    lambda function: function.__defaults__,
    lambda function: function.__kwdefaults__,
    lambda function: function.__annotations__,
    lambda function: function.__code__.co_name,
    lambda function: bool(function.__code__.co_flags & inspect.CO_ITERABLE_COROUTINE),
)


def asked(function):
    return [question(function) for question in QUESTIONS]


# inspect's question is older than asyncio's, which 3.14 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*iscoroutinefunction:DeprecationWarning")


def test_a_function_of_each_kind_runs_the_patch_and_gives_the_same(made):
    function, call = made
    log, result = [], call()

    with safepatch.patch(function, noting(log, "ran")):
        during = call()

    assert result == during
    assert set(log) == {"ran"}


def test_undo_gives_a_function_of_each_kind_its_code_and_namespace_back(made):
    function, call = made
    function = getattr(function, "__func__", function)
    before = untouched(function)
    patches = [safepatch.apply(function, pass_through) for _ in range(2)]
    call()

    for patch in patches:
        patch.undo()

    assert before[0] is function.__code__
    assert before == untouched(function)


def test_a_function_of_each_kind_looks_as_before(made):
    function, _ = made
    before = asked(function)

    with safepatch.patch(function, pass_through):
        assert before == asked(function)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in WITHOUT_SOURCE])
def test_the_source_of_a_patched_function_can_be_read(kind):
    function, _ = KINDS[kind]()
    before = inspect.getsource(function)

    with safepatch.patch(function, pass_through):
        assert before == inspect.getsource(function)


def test_who_asks_without_following_wrapped_is_told_the_parameters():
    before = inspect.getfullargspec(module_function)

    with safepatch.patch(module_function, pass_through):
        assert before == inspect.getfullargspec(module_function)


def test_attributes_set_while_patched_stay():
    def function():
        function.calls = getattr(function, "calls", 0) + 1

    with safepatch.patch(function, pass_through):
        function()
        function.note = "set"

    assert function.__dict__ == {"calls": 1, "note": "set"}


def test_attributes_of_the_function_are_found_by_the_decorator():
    def function(): ...

    function.note = "there"
    found = []
    with safepatch.patch(function, lambda wrapped: found.append(wrapped.note) or wrapped):
        pass

    assert found == ["there"]


# --- Protocols, told as transcripts: the same with and without a patch.


class ToldError(Exception):
    pass


def telling(log):
    def function():
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

    return function


def async_telling(log):
    async def function():
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

    return function


def step(function, *args):
    try:
        return function(*args)
    except BaseException as error:
        return (type(error), error.args, type(error.__cause__), getattr(error, "value", None))


async def async_step(function, *args):
    try:
        return await function(*args)
    except BaseException as error:
        return (type(error), error.args, type(error.__cause__))


SCRIPTS = [
    [("send", None), ("send", "a"), ("send", "stop")],
    [("send", "too early")],
    [("send", None), ("throw", ToldError("here")), ("send", "stop")],
    [("throw", ToldError("before the start"))],
    [("send", None), ("throw", KeyError("unknown")), ("send", None)],
    [("send", None), ("throw", GeneratorExit())],
    [("send", None), ("throw", StopIteration("inside"))],
    [("send", None), ("throw", StopAsyncIteration("inside"))],
    [("send", None), ("throw", asyncio.CancelledError())],
    [("send", None), ("close",), ("send", None)],
    [("close",), ("send", None)],
    [("send", None), ("send", "stop"), ("send", None), ("close",)],
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: " ".join(s[0] for s in script))
def test_a_generator_answers_as_before(script):
    def transcript():
        log.clear()
        generator = function()
        return [step(getattr(generator, name), *args) for name, *args in script], list(log)

    log = []
    function = telling(log)
    expected = transcript()

    with safepatch.patch(function, pass_through):
        assert expected == transcript()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: " ".join(s[0] for s in script))
def test_an_async_generator_answers_as_before(script):
    async def transcript():
        log.clear()
        generator = function()
        told = [await async_step(getattr(generator, f"a{n}"), *args) for n, *args in script]
        return told, list(log)

    log = []
    function = async_telling(log)
    expected = asyncio.run(transcript())

    with safepatch.patch(function, pass_through):
        assert expected == asyncio.run(transcript())


@pytest.mark.parametrize(
    "act",
    [
        lambda coroutine: coroutine.send(None),
        lambda coroutine: coroutine.throw(ToldError("thrown")),
        lambda coroutine: (coroutine.send(None), coroutine.throw(ToldError("thrown"))),
        lambda coroutine: (coroutine.send(None), coroutine.close()),
        lambda coroutine: coroutine.close(),
    ],
)
def test_a_coroutine_answers_as_before(act):
    async def function():
        try:
            return await waiting()
        except ToldError:
            return "caught"

    @types.coroutine
    def waiting():
        return (yield "waiting")

    def transcript():
        coroutine = function()
        told = step(act, coroutine)
        coroutine.close()
        return told

    expected = transcript()

    with safepatch.patch(function, pass_through):
        assert expected == transcript()


def test_a_generator_that_was_started_before_goes_on_as_it_was():
    log = []
    function = telling(log)
    generator = function()
    next(generator)

    patch = safepatch.apply(function, noting(log, "ran"))
    answers = [generator.send("a"), step(generator.send, "stop")[3]]
    patch.undo()

    assert answers == ["a", "returned"]
    assert log == ["finally"]


def test_a_generator_that_was_started_while_patched_goes_on_after_undo():
    log = []
    function = telling(log)
    patch = safepatch.apply(function, noting(log, "ran"))
    generator = function()
    next(generator)

    patch.undo()
    answers = [generator.send("a"), step(generator.send, "stop")[3]]

    assert answers == ["a", "returned"]
    assert log == ["ran", "finally"]


def test_errors_keep_their_type_cause_and_context():
    def function():
        try:
            raise ToldError("first")
        except ToldError as error:
            raise KeyError("second") from error

    with safepatch.patch(function, pass_through), pytest.raises(KeyError) as raised:
        function()

    assert isinstance(raised.value.__cause__, ToldError)
    assert raised.value.__context__ is raised.value.__cause__


# --- Frames.


def test_frames_of_the_trampoline_say_whose_they_are():
    def function():
        raise ToldError

    with safepatch.patch(function, pass_through), pytest.raises(ToldError) as raised:
        function()

    files = [frame.filename for frame in traceback.extract_tb(raised.value.__traceback__)]
    ours = [file for file in files if file == "<safepatch>"]
    assert len(ours) == 1
    assert set(files) - {"<safepatch>"} == {__file__, pass_through.__code__.co_filename}


def test_the_file_of_no_function_is_taken_for_its_trampoline():
    """The frame of the original still says where its source is."""

    def function():
        return sys._getframe().f_code.co_filename, sys._getframe().f_code.co_name

    with safepatch.patch(function, pass_through):
        assert (__file__, "function") == function()


LOCALS = """
import asyncio, gc, inspect, sys, traceback, types
import safepatch
from test_in_place import KINDS

def look(frame):
    while frame is not None:
        dict(frame.f_locals)
        list(frame.f_locals.items())
        repr(frame.f_locals)
        frame.f_code.co_varnames, list(frame.f_code.co_positions()), list(frame.f_code.co_lines())
        frame = frame.f_back

def looking(wrapped):
    def wrapper(*args, **kwargs):
        locals()
        look(sys._getframe())
        result = wrapped(*args, **kwargs)
        for name in ("gi_frame", "cr_frame", "ag_frame"):
            look(getattr(result, name, None))
        return result
    return wrapper

def failing(wrapped):
    def wrapper(*args, **kwargs):
        raise KeyError("told")
    return wrapper

def drive(call):
    try:
        return call()
    except KeyError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        "".join(told.format())
        at = error.__traceback__
        while at is not None:
            look(at.tb_frame)
            at = at.tb_next

for name, make in KINDS.items():
    function, call = make()
    for decorator in (looking, failing):
        patch = safepatch.apply(function, decorator)
        drive(call)
        inspect.getclosurevars(function) if inspect.isfunction(function) else None
        result = None
        try:
            result = function(1)
        except Exception:
            pass
        for attribute in ("gi_frame", "cr_frame", "ag_frame"):
            look(getattr(result, attribute, None))
        if hasattr(result, "close"):
            result.close()
        gc.collect()
        patch.undo()
        drive(call)
print("done")
"""


def test_reading_the_locals_of_any_frame_never_crashes_the_interpreter():
    """In a process of its own, since a trampoline with a wrong layout would end this one."""
    here = pathlib.Path(__file__).parent

    assert child(LOCALS, "-W", "ignore", path=(here, here.parent)) == "done"


def test_a_tracer_sees_a_patched_call_to_its_end():
    events = []

    def function(a):
        first = a
        return first + 1

    def tracer(frame, event, argument):
        frame.f_locals  # as debuggers do
        events.append((event, frame.f_code.co_filename, frame.f_lineno))
        return tracer

    with safepatch.patch(function, pass_through):
        sys.settrace(tracer)
        try:
            result = function(1)
        finally:
            sys.settrace(None)

    assert result == 2
    ours = [event for event, file, _ in events if file == "<safepatch>"]
    assert ours[0] == "call"
    assert ours[-1] == "return"
    lines = [line for event, file, line in events if (event, file) == ("line", __file__)]
    first = function.__code__.co_firstlineno
    assert lines == [first + 1, first + 2]


@pytest.mark.parametrize("kind", ["generator", "coroutine", "async_generator", "closure"])
def test_a_tracer_does_not_change_what_a_patched_function_gives(kind):
    function, call = KINDS[kind]()
    expected = call()

    def tracer(frame, event, argument):
        dict(frame.f_locals)
        frame.f_trace_opcodes = True
        return tracer

    with safepatch.patch(function, pass_through):
        before = sys.gettrace()
        sys.settrace(tracer)
        try:
            result = call()
        finally:
            sys.settrace(before)

    assert expected == result


def test_a_profiler_does_not_change_what_a_patched_function_gives():
    calls = []
    with safepatch.patch(module_function, pass_through):
        sys.setprofile(lambda frame, event, argument: calls.append(event))
        try:
            result = module_function(1)
        finally:
            sys.setprofile(None)

    assert result == (1, 2, 3)
    assert calls.count("call") >= 3


if sys.version_info >= (3, 12):

    def test_monitoring_does_not_change_what_a_patched_function_gives():
        monitoring, seen = sys.monitoring, []
        monitoring.use_tool_id(monitoring.COVERAGE_ID, "test")
        try:
            monitoring.register_callback(
                monitoring.COVERAGE_ID, monitoring.events.LINE, lambda code, line: seen.append(code)
            )
            monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)
            with safepatch.patch(module_function, pass_through):
                result = module_function(1)
            after = module_function(1)
        finally:
            monitoring.set_events(monitoring.COVERAGE_ID, 0)
            monitoring.free_tool_id(monitoring.COVERAGE_ID)

        assert result == after == (1, 2, 3)
        assert any(code.co_filename == "<safepatch>" for code in seen)
        assert module_function.__code__ in seen


# --- The stack of its own, below the site's.


@pytest.mark.parametrize("first", ["place", "in place"])
@pytest.mark.parametrize("undone", ["place", "in place"])
def test_patches_in_place_run_below_those_of_the_site_whichever_came_first(first, undone, patches):
    log, target = [], f"{__name__}:module_function"
    declared = {
        "place": patches.patch(target, noting(log, "place"), aliases="ignore"),
        "in place": patches.patch(target, noting(log, "in place"), aliases="rebind"),
    }
    for name in sorted(declared, key=lambda name: name != first):
        declared[name].apply()

    sys.modules[__name__].module_function(1)
    default_of_another(1)
    assert log == ["place", "in place", "in place"]

    log.clear()
    declared[undone].undo()
    sys.modules[__name__].module_function(1)
    assert log == [name for name in ("place", "in place") if name != undone]


@pytest.mark.parametrize("asked", ["place", "in place"])
@pytest.mark.parametrize("after_undo", [False, True])
def test_the_original_of_a_patch_bypasses_the_patches_of_the_site_and_those_in_place(
    asked, after_undo, patches
):
    log, target = [], f"{__name__}:module_function"
    by_kind = {
        "place": patches.apply(target, noting(log, "place"), aliases="ignore"),
        "in place": patches.apply(target, noting(log, "in place"), aliases="rebind"),
    }
    for aliases in ("ignore", "rebind"):
        patches.apply(target, noting(log, "another"), aliases=aliases)
    if after_undo:
        by_kind[asked].undo()

    result = by_kind[asked].original(1)

    assert result == (1, 2, 3)
    assert log == []


def test_the_original_of_a_patch_of_an_inherited_method_bypasses_those_in_place(patches):
    class Derived(Bound):
        pass

    log = []
    patch = patches.apply((Derived, "method"), noting(log, "place"), aliases="ignore")
    patches.apply(Bound.method, noting(log, "in place"))

    result = patch.original(Derived(), 1)

    assert result == ("bound", 1)
    assert log == []


def test_the_original_of_a_patch_of_an_instance_bypasses_those_in_place(patches):
    log, instance = [], Bound()
    patch = patches.apply((instance, "method"), noting(log, "place"), aliases="ignore")
    patches.apply(Bound.method, noting(log, "in place"))

    assert patch.original(1) == ("bound", 1)
    assert log == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_patches_in_place_go_in_any_order(order):
    before, log = untouched(module_function), []
    made = [safepatch.apply(module_function, noting(log, mark)) for mark in range(3)]
    live = [0, 1, 2]

    for mark in order:
        made[mark].undo()
        live.remove(mark)
        log.clear()
        default_of_another(1)
        assert log == live[::-1]

    assert before == untouched(module_function)


def test_two_undos_are_one():
    log = []
    patch = safepatch.apply(module_function, noting(log, "one"))
    other = safepatch.apply(module_function, noting(log, "other"))

    patch.undo()
    patch.undo()
    module_function(1)
    other.undo()

    assert log == ["other"]


def test_a_patch_in_place_can_be_applied_again():
    log = []
    patch = safepatch.apply(module_function, noting(log, "ran"))
    patch.undo()

    patch.apply()
    default_of_another(1)
    patch.undo()

    assert log == ["ran"]


def test_a_function_that_is_patched_by_place_can_be_named_by_what_stands_there(patches):
    log = []
    patches.apply(f"{__name__}:module_function", noting(log, "place"), aliases="ignore")
    standing = sys.modules[__name__].module_function
    patches.apply(standing, noting(log, "in place"))

    default_of_another(1)

    assert log == ["in place"]


# --- What others do meanwhile.


def other(*args, **kwargs):
    return "other"


def test_code_that_somebody_else_put_there_meanwhile_is_left_alone():
    def function():
        return "original"

    patch = safepatch.apply(function, pass_through)
    function.__code__ = other.__code__

    superseded = patch.superseded
    patch.undo()

    assert superseded
    assert function() == "other"
    assert function.__dict__ == {}


def test_a_patch_that_somebody_swapped_out_can_be_put_on_top():
    def function():
        return "original"

    log = []
    patch = safepatch.apply(function, noting(log, "ran"))
    function.__code__ = other.__code__

    patch.apply()
    result = function()
    patch.undo()

    assert result == "other"
    assert log == ["ran"]
    assert other.__code__ is function.__code__


def test_a_swap_in_and_out_by_somebody_else_leaves_the_patch_as_it_was():
    def function():
        return "original"

    log, code = [], function.__code__
    patch = safepatch.apply(function, noting(log, "ran"))
    ours, function.__code__ = function.__code__, other.__code__
    function.__code__ = ours

    function()
    patch.undo()

    assert log == ["ran"]
    assert function.__code__ is code


@pytest.mark.parametrize(
    "act",
    [
        lambda function: safepatch.apply(function, pass_through).undo(),
        lambda function: safepatch.explain(function),
    ],
    ids=["apply", "explain"],
)
def test_captured_code_put_back_after_undo_is_inert_and_removed_by_the_next(act):
    def function():
        return "original"

    log, code = [], function.__code__
    patch = safepatch.apply(function, noting(log, "ran"))
    ours = function.__code__
    patch.undo()
    function.__code__ = ours

    assert function() == "original"
    assert log == []
    act(function)
    assert function.__code__ is code
    assert function.__dict__ == {}


def test_captured_code_put_back_stays_inert_under_a_later_patch():
    def function():
        return "original"

    log = []
    patch = safepatch.apply(function, noting(log, "old"))
    ours = function.__code__
    patch.undo()
    later = safepatch.apply(function, noting(log, "new"))
    function.__code__ = ours

    result = function()
    later.undo()

    assert result == "original"
    assert log == []
    safepatch.explain(function)


def test_a_copy_made_of_a_patched_function_goes_inert_with_it():
    def function(a):
        return ("original", a)

    log = []
    patch = safepatch.apply(function, noting(log, "ran"))
    copied = types.FunctionType(function.__code__, function.__globals__, "copied")
    patch.undo()

    assert copied(1) == ("original", 1)
    assert log == []


def test_a_mock_over_the_name_neither_sees_nor_hinders_a_patch_in_place():
    log = []
    mocked = mock.patch(f"{__name__}.module_function", return_value="mocked")
    with mocked, safepatch.patch(default_of_another, noting(log, "ran")):
        assert module_function(1) == "mocked"
        default_of_another(1)

    assert log == ["ran"]


# --- What is refused.


@pytest.mark.parametrize("patched_by_place", [False, True])
@pytest.mark.parametrize(
    "target", [(Inheriting, "method"), f"{__name__}:Inheriting.method"], ids=["tuple", "string"]
)
def test_an_inherited_method_in_place_is_refused_and_the_class_to_patch_named(
    target, patched_by_place, patches
):
    if patched_by_place:
        patches.apply(target, pass_through, aliases="ignore")
    before = dict(vars(Bound)), Bound.method.__code__

    with pytest.raises(safepatch.TargetError, match=r"Bound\.method") as raised:
        patches.apply(target, pass_through, aliases="rebind")

    assert raised.value.candidates == (f"{__name__}:Bound.method",)
    assert before == (dict(vars(Bound)), Bound.method.__code__)


def test_a_function_named_by_what_stands_in_a_subclass_does_not_patch_the_stand_in(patches):
    """`Inheriting.method` is a dispatcher now; what it stands for belongs to `Bound`."""
    log = []
    patches.apply((Inheriting, "method"), noting(log, "place"), aliases="ignore")
    try:
        patches.apply(Inheriting.method, noting(log, "in place"))
    except safepatch.TargetError as error:
        assert "Bound.method" in str(error)
        return

    Bound().method(1)
    assert log == ["in place"]


def test_nothing_is_changed_when_a_decorator_raises():
    before = untouched(module_function)

    def failing(wrapped):
        raise ToldError

    with pytest.raises(ToldError):
        safepatch.apply(module_function, failing)

    assert before == untouched(module_function)


# --- Pickles and whatever else carries functions.


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_patched_function_is_pickled_by_reference(protocol):
    with safepatch.patch(module_function, pass_through):
        pickled = pickle.dumps(module_function, protocol)
        assert pickle.loads(pickled) is module_function

    assert pickle.loads(pickled) is module_function


def test_identity_equality_and_hash_are_those_of_the_function():
    before = hash(module_function)
    with safepatch.patch(module_function, pass_through):
        assert sys.modules[__name__].module_function is default_of_another
        assert hash(module_function) == before


def test_an_lru_cache_around_a_patched_function_keeps_its_controls():
    @functools.lru_cache
    def function(a):
        return ("computed", a)

    log = []
    with safepatch.patch(function.__wrapped__, noting(log, "ran")):
        function(1)
        function(1)

    assert log == ["ran"]
    assert function.cache_info().hits == 1


def test_what_wrapped_said_before_it_says_again():
    """A function made by functools.wraps has a `__wrapped__` of its own."""
    function = pass_through(module_function)
    function.__signature__ = inspect.Signature()
    before = dict(function.__dict__)

    with safepatch.patch(function, pass_through):
        assert inspect.signature(function) == inspect.Signature()

    assert before == function.__dict__
    assert function.__wrapped__ is module_function


def test_a_patch_in_place_keeps_its_function_alive_no_longer_than_it_lives():
    def function():
        return "original"

    patch = safepatch.apply(function, pass_through)
    function()
    patch.undo()
    gone, wrapper = weakref.ref(function), patch.wrapper

    del function
    gc.collect()

    assert gone() is None
    assert callable(wrapper)


def test_a_wrapper_kept_after_undo_calls_the_function():
    patch = safepatch.apply(module_function, pass_through)
    patch.undo()

    assert patch.wrapper(1) == (1, 2, 3)
    assert patch.original(1) == (1, 2, 3)


def test_undo_leaves_no_cycle_that_keeps_what_the_function_refers_to():
    """Code is not tracked by the garbage collector: a cycle through it would live for ever."""

    class Big:
        pass

    def make():
        big = Big()

        def job():
            return big

        return job, weakref.ref(big)

    job, reference = make()
    safepatch.apply(job, pass_through).undo()
    del job
    gc.collect()

    assert reference() is None
