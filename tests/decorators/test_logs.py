"""What log_calls promises."""

import asyncio
import contextvars
import functools
import inspect
import itertools
import json
import logging
import time
import types

import pytest

from safepatch.decorators import count_calls, log_calls, logs


class WorkError(Exception):
    pass


@pytest.fixture
def log(caplog):
    caplog.set_level("DEBUG", logger="calls")
    return caplog


def logged(log, function, *args, hide=(), **kwargs):
    """Call a function under log_calls; the record of the one call."""
    log.clear()
    clock = iter([10.0, 12.5]).__next__
    log_calls(function, logger="calls", hide=hide, clock=clock)(*args, **kwargs)
    [record] = log.records
    return record


def add(a, b=2):
    return a + b


def test_a_call_is_logged_when_it_is_over(log):
    record = logged(log, add, 1, b=3)

    assert record.getMessage() == f"{__name__}.add(a=1, b=3) returned 4 in 2.500000 seconds"
    assert record.levelname == "DEBUG"


def test_the_facts_are_attributes_of_the_record(log):
    record = logged(log, add, 1)

    facts = {name: value for name, value in vars(record).items() if name.startswith("call_")}
    assert facts == {
        "call_function": f"{__name__}.add",
        "call_arguments": {"a": "1"},
        "call_outcome": "returned",
        "call_result": "3",
        "call_seconds": 2.5,
    }


def test_a_record_points_at_the_line_that_called(log):
    shown = log_calls(add, logger="calls")

    shown(1)
    line = inspect.currentframe().f_lineno - 1

    assert (log.records[0].pathname, log.records[0].lineno) == (__file__, line)


def test_a_failure_is_logged_and_raised_itself(log):
    error = WorkError("no")

    @log_calls(logger="calls")
    def fail():
        raise error

    with pytest.raises(WorkError) as raised:
        fail()

    assert raised.value is error
    assert error.__context__ is None
    assert "fail() raised WorkError('no') in" in log.text


def test_the_result_is_returned_itself_and_an_iterator_is_not_used_up(log):
    items = iter([1, 2])

    assert log_calls(lambda: items, logger="calls")() is items
    assert list(items) == [1, 2]


@pytest.mark.parametrize("logger", [None, "calls", logging.getLogger("calls")])
def test_the_logger_is_that_of_the_module_unless_given(caplog, logger):
    caplog.set_level("INFO")

    log_calls(add, logger=logger, level=logging.INFO)(1)

    assert [record.name for record in caplog.records] == [__name__ if logger is None else "calls"]


def test_an_adapter_can_log(log):
    log_calls(add, logger=logging.LoggerAdapter(logging.getLogger("calls"), {}))(1)

    assert "add(a=1)" in log.text


def test_a_record_has_what_adapters_add_and_the_facts(log):
    class Prefixing(logging.LoggerAdapter):
        def process(self, msg, kwargs):
            return f"[prefix] {msg}", kwargs | {"extra": {"prefixed": True}}

    inner = logging.LoggerAdapter(logging.getLogger("calls"), {"host": "a"})

    log_calls(add, logger=Prefixing(inner, None))(1)
    line = inspect.currentframe().f_lineno - 1

    [record] = log.records
    assert record.getMessage().startswith(f"[prefix] {__name__}.add(a=1) returned 3 in")
    assert (record.host, record.prefixed) == ("a", True)
    assert (record.call_result, record.call_arguments) == ("3", {"a": "1"})
    assert (record.pathname, record.lineno) == (__file__, line)


def test_off_it_looks_at_no_argument():
    class Silent:
        def __repr__(self):
            raise AssertionError("looked at")

    assert log_calls(lambda a: a, logger="calls")(Silent) is Silent


def test_it_works_bare_called_and_with_options(caplog):
    caplog.set_level("DEBUG")
    for decorate in (log_calls, log_calls(), log_calls(level="INFO")):
        assert decorate(add)(1) == 3

    assert [record.levelname for record in caplog.records] == ["DEBUG", "DEBUG", "INFO"]


def test_without_a_signature_only_types_of_unnamed_arguments_are_shown(log):
    unreadable = type("C", (), {"__call__": lambda *a, **k: 1, "__signature__": "none"})()

    record = logged(log, unreadable, "hunter2", 5, password="hunter2", family=2)

    assert record.call_arguments == {
        "0": "<str>",
        "1": "<int>",
        "password": "***",
        "family": "2",
    }


# Sizes, and whatever could go wrong


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x" * 10**6, "'" + "x" * 99 + "..."),
        (b"x" * 1000, "<1000 bytes>"),
        (bytearray(5), "<5 bytes>"),
        (memoryview(bytes(8)).cast("i"), "<8 bytes>"),
        (list(range(100)), "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ... 100 in all]"),
        ({"a": (1, {2})}, "{'a': (1, {2})}"),
        (dict.fromkeys(range(11)), None),
        ([[[[[[1]]]]]], "[[[[[...]]]]]"),
        (frozenset({1}), "frozenset({1})"),
        (None, "None"),
    ],
)
def test_long_values_are_cut(log, value, text):
    shown = logged(log, lambda value: 0, value).call_arguments["value"]

    assert shown == text or (text is None and "11 in all" in shown)


@pytest.mark.parametrize("item", ["x" * 200, 1])
@pytest.mark.parametrize(
    "within", [lambda value: [value] * 10, lambda value: dict.fromkeys("abcdefghij", value)]
)
def test_collections_of_collections_are_cut_together(log, item, within):
    value = functools.reduce(lambda value, _: within(value), range(4), item)
    shown = logged(log, lambda value: 0, value).call_arguments["value"]

    assert len(shown) < 5000
    assert "10 in all" in shown


def test_a_list_that_contains_itself_can_be_shown(log):
    circle = []
    circle.append(circle)

    assert logged(log, lambda value: 0, circle).call_arguments == {"value": "[[[[[...]]]]]"}


def test_a_repr_that_raises_is_told_and_harms_nobody(log):
    class Broken:
        def __repr__(self):
            raise WorkError

    record = logged(log, lambda a, b: b, Broken(), [Broken()])

    text = "<Broken whose repr raises WorkError>"
    assert record.call_arguments == {"a": text, "b": f"[{text}]"}


def test_a_wrong_call_raises_what_the_function_raises(log):
    with pytest.raises(TypeError, match=r"add\(\) missing 1 required positional argument"):
        log_calls(add, logger="calls")()

    assert "add() raised TypeError" in log.text


@pytest.mark.parametrize("outcome", ["returned", "raised"])
def test_a_filter_that_raises_changes_nothing(log, outcome):
    def broken(record):
        raise ZeroDivisionError

    def work():
        if outcome == "raised":
            raise WorkError
        return 1

    logger = logging.getLogger("calls")
    logger.addFilter(broken)
    try:
        if outcome == "raised":
            with pytest.raises(WorkError):
                log_calls(work, logger="calls")()
        else:
            assert log_calls(work, logger="calls")() == 1
    finally:
        logger.removeFilter(broken)


def test_a_function_that_logging_itself_calls_can_be_logged(log, patches):
    with patches.apply((time, "time"), log_calls(logger="calls"), aliases="ignore"):
        time.time()

    assert len(log.records) == 1


def test_calls_of_a_task_that_a_handler_made_are_logged(log):
    class Sending(logging.Handler):
        def emit(self, record):
            if not tasks:
                tasks.append(asyncio.create_task(send()))

    async def send():
        log_calls(add, logger="calls")(5)

    async def main():
        log_calls(add, logger="calls")(1)
        await tasks[0]

    tasks = []
    handler = Sending()
    logging.getLogger("calls").addHandler(handler)
    try:
        asyncio.run(main())
    finally:
        logging.getLogger("calls").removeHandler(handler)

    assert [record.call_arguments for record in log.records] == [{"a": "1"}, {"a": "5"}]


def test_an_interrupt_while_a_record_begins_does_not_switch_logging_off(log, monkeypatch):
    class Interrupting:
        def get(self):
            return real.get()

        def set(self, value):
            real.set(value)
            raise KeyboardInterrupt

    def work():
        with monkeypatch.context() as patch:
            patch.setattr(logs, "_reporting", Interrupting())
            with pytest.raises(KeyboardInterrupt):
                shown(1)
        shown(2)

    real, shown = logs._reporting, log_calls(add, logger="calls")
    contextvars.copy_context().run(work)

    assert [record.call_arguments for record in log.records] == [{"a": "2"}]


# Kinds of function


def test_a_coroutine_function_is_logged_when_awaited(log):
    @log_calls(logger="calls")
    async def later(x):
        await asyncio.sleep(0)
        if x is None:
            raise WorkError
        return x

    coroutine = later(5)
    assert log.records == []

    assert asyncio.run(coroutine) == 5
    with pytest.raises(WorkError):
        asyncio.run(later(None))
    assert [record.call_outcome for record in log.records] == ["returned", "raised"]
    assert [record.call_result for record in log.records] == ["5", "WorkError()"]
    assert inspect.iscoroutinefunction(later)


def test_methods_and_partials_are_logged(log):
    class Number(int):
        @log_calls(logger="calls")
        def plus(self, other):
            return self + other

    assert Number(1).plus(2) == 3
    assert log_calls(functools.partial(add, 1), logger="calls")(5) == 6
    assert "Number.plus(self=1, other=2) returned 3" in log.messages[0]
    assert "functools.partial(b=5) returned 6" in log.messages[1]


def test_a_level_that_does_not_exist_is_refused_at_once():
    with pytest.raises(ValueError, match="level='LOUD'; give a number or one of CRITICAL"):
        log_calls(level="LOUD")


def test_what_cannot_be_called_is_refused_when_decorating():
    with pytest.raises(TypeError, match="cannot log calls of 5"):
        log_calls(5)


@pytest.mark.parametrize("options", [{"logger": 5}, {"hide": [5]}, {"clock": 5}])
def test_an_option_of_a_wrong_type_is_refused_at_once(options):
    with pytest.raises(
        TypeError, match=r"got (logger=5; give one of|hide=.5.; give names|clock=5; give a f)"
    ):
        log_calls(**options)(add)


# Generators


def numbers(n, error=None):
    yield from range(n)
    if error:
        raise error
    return "done"


async def anumbers(n, error=None):
    for i in range(n):
        yield i
    if error:
        raise error


def use(function, *args, most=None):
    """Take some of the values, or all, and close the generator."""
    generator = function(*args)
    if inspect.isasyncgen(generator):
        return asyncio.run(ause(generator, most))
    taken = list(itertools.islice(generator, most))
    generator.close()
    return taken


async def ause(generator, most):
    taken = []
    while most is None or len(taken) < most:
        try:
            taken.append(await anext(generator))
        except StopAsyncIteration:
            break
    await generator.aclose()
    return taken


@pytest.mark.parametrize(("function", "result"), [(numbers, "'done'"), (anumbers, "None")])
def test_a_generator_is_logged_when_it_is_used_up(log, function, result):
    clock = iter([10.0, 12.5]).__next__
    shown = log_calls(function, logger="calls", clock=clock)
    shown(3)
    assert log.records == []

    assert use(shown, 3) == [0, 1, 2]

    [record] = log.records
    assert record.getMessage() == (
        f"{__name__}.{function.__name__}(n=3) returned {result} after 3 values in 2.500000 seconds"
    )
    facts = {name: value for name, value in vars(record).items() if name.startswith("call_")}
    assert facts == {
        "call_function": f"{__name__}.{function.__name__}",
        "call_arguments": {"n": "3"},
        "call_outcome": "returned",
        "call_result": result,
        "call_seconds": 2.5,
        "call_values": 3,
    }
    assert inspect.isasyncgenfunction(shown) == inspect.isasyncgenfunction(function)
    assert inspect.isgeneratorfunction(shown) == inspect.isgeneratorfunction(function)


@pytest.mark.parametrize("function", [numbers, anumbers])
def test_a_generator_that_is_closed_or_fails_is_logged_so(log, function):
    shown = log_calls(function, logger="calls")

    assert use(shown, 3, most=2) == [0, 1]
    with pytest.raises(WorkError):
        use(shown, 1, WorkError())

    closed, failed = log.records
    assert (closed.call_outcome, closed.call_values) == ("closed", 2)
    assert "(n=3) closed after 2 values in " in closed.getMessage()
    assert (failed.call_outcome, failed.call_values) == ("raised", 1)
    assert failed.call_result == "WorkError()"


@pytest.mark.parametrize("function", [numbers, anumbers])
def test_of_a_generator_nothing_is_logged_while_that_is_off(function, caplog):
    caplog.set_level("INFO")

    assert use(log_calls(function), 3) == [0, 1, 2]

    assert caplog.records == []


# Where a record points


def here():
    """The line of the caller."""
    return inspect.currentframe().f_back.f_lineno


async def later():
    await asyncio.sleep(0)


def places(log):
    assert {record.pathname for record in log.records} == {__file__}
    return [record.lineno for record in log.records]


def test_a_record_of_a_coroutine_function_points_at_the_line_that_awaited(log):
    async def main():
        await log_calls(later, logger="calls")()
        return here() - 1

    assert [asyncio.run(main())] == places(log)


def test_a_record_of_a_generator_points_at_the_line_that_took_the_last_value(log):
    async def main():
        async for _ in log_calls(anumbers, logger="calls")(1):
            pass
        return here() - 2

    list(log_calls(numbers, logger="calls")(1))
    line = here() - 1

    assert [line, asyncio.run(main())] == places(log)


def test_a_record_points_past_other_decorators_and_patches(log, patches):
    module = types.ModuleType("module")
    module.add = add
    patches.apply((module, "add"), log_calls(logger="calls"), aliases="ignore")
    patches.apply((module, "add"), count_calls(), aliases="ignore")

    module.add(1)

    assert places(log) == [here() - 2]


def test_structlog_can_render_a_record_with_its_facts(log):
    structlog = pytest.importorskip("structlog")
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ExtraAdder(),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ]
    )

    rendered = json.loads(formatter.format(logged(log, add, 1)))

    assert rendered["event"].endswith("add(a=1) returned 3 in 2.500000 seconds")
    assert rendered["call_arguments"] == {"a": "1"}
    assert rendered["call_seconds"] == 2.5
