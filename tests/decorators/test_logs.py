"""What log_calls promises."""

import asyncio
import dataclasses
import functools
import inspect
import json
import logging
import time
from collections import OrderedDict, deque

import pytest

from safepatch.decorators import log_calls


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


# Secrets


@dataclasses.dataclass
class Login:
    user: str
    password: str


LEAK = "hunter2"


@pytest.mark.parametrize(
    "call",
    [
        lambda log: logged(log, lambda password: 0, LEAK),
        lambda log: logged(log, lambda *, api_key: 0, api_key=LEAK),
        lambda log: logged(log, lambda apiKey: 0, LEAK),  # noqa: N803
        lambda log: logged(log, lambda **options: 0, Token=LEAK),
        lambda log: logged(log, lambda pin, pan: 0, LEAK, pan=LEAK, hide=["pin", "pan"]),
        lambda log: logged(log, lambda pin: 0, LEAK, hide="pin"),
        lambda log: logged(log, lambda headers: 0, {"Authorization": f"Bearer {LEAK}"}),
        lambda log: logged(log, lambda headers: 0, {b"Cookie": LEAK.encode()}),
        lambda log: logged(log, lambda headers: 0, [("Authorization", f"Basic {LEAK}")]),
        lambda log: logged(log, lambda data: 0, {"login": {"passwd": [LEAK]}}),
        lambda log: logged(log, lambda data: 0, {"pin": LEAK}, hide=["pin"]),
        lambda log: logged(log, lambda url: 0, f"https://host/?access_token={LEAK}&page=1"),
        lambda log: logged(log, lambda text: 0, f"Authorization: Bearer {LEAK}"),
        lambda log: logged(log, lambda json: 0, f'{{"secret": "{LEAK} {LEAK}"}}'),
        lambda log: logged(log, lambda login: 0, Login("me", LEAK)),
        lambda log: logged(log, lambda logins: 0, [Login("me", f"it's {LEAK}")]),
        lambda log: logged(log, lambda data: 0, LEAK.encode()),
        lambda log: logged(log, lambda: Login("me", LEAK)),
        lambda log: logged(log, get_token),
        lambda log: logged(log, functools.partial(get_token)),
        lambda log: logged(log, lambda data: 0, {"db.password.old": LEAK}),
        lambda log: logged(log, lambda data: 0, {"user[password]": LEAK}),
        lambda log: logged(log, lambda data: 0, {"user password": LEAK}),
        lambda log: logged(log, lambda data: 0, {("db", "password"): LEAK}),
        lambda log: logged(log, lambda data: 0, {"card.pin": LEAK}, hide=["card.pin"]),
        lambda log: logged(log, lambda data: 0, {"card.pin.old": LEAK}, hide=["pin"]),
        lambda log: logged(log, lambda data: 0, ["--password", LEAK]),
        lambda log: logged(log, lambda data: 0, ("token", 1, LEAK)),
        lambda log: logged(log, lambda data: 0, OrderedDict(password=LEAK)),
        lambda log: logged(log, lambda data: 0, {"password": LEAK}.items()),
        lambda log: logged(log, lambda data: 0, deque([("a", 1), ("password", LEAK)])),
        lambda log: logged(log, lambda data: 0, deque([{"password": {"a": [1, LEAK]}}])),
        lambda log: logged(log, lambda text: 0, str({"password": LEAK, "note": "it's"})),
        lambda log: logged(log, lambda text: 0, json.dumps({"password": f'a"{LEAK}'})),
        lambda log: logged(log, lambda text: 0, json.dumps({"user[password]": LEAK})),
        lambda log: logged(log, lambda text: 0, json.dumps({"user password": LEAK})),
        lambda log: logged(log, lambda text: 0, json.dumps({"a": json.dumps({"pwd": LEAK})})),
        lambda log: logged(log, lambda text: 0, repr(json.dumps({"password": f"'\"{LEAK}"}))),
        lambda log: logged(log, lambda text: 0, json.dumps({"password": [LEAK]}, indent=1)),
        lambda log: logged(log, lambda text: 0, f"Authorization: Token {LEAK}"),
        lambda log: logged(log, lambda text: 0, f"Cookie: a=b; session={LEAK}"),
        lambda log: logged(log, lambda text: 0, f"pin = {LEAK}", hide=["pin"]),
        lambda log: logged(log, lambda text: 0, f"password =>\n{LEAK}"),
        lambda log: logged(log, lambda text: 0, f"password (of 'me'): {LEAK}"),
        lambda log: logged(log, lambda text: 0, f"<password>{LEAK}</password>"),
        lambda log: logged(log, lambda error: 0, WorkError({"password": f"it's \"{LEAK}"})),
    ],
)
def test_what_is_named_like_a_secret_is_not_shown(log, call):
    record = call(log)

    assert LEAK not in repr(vars(record))
    assert LEAK not in record.getMessage()
    assert "***" in record.getMessage() or "<7 bytes>" in record.getMessage()


def get_token():
    return LEAK


def test_the_text_of_an_error_hides_secrets_too(log):
    @log_calls(logger="calls")
    def fail():
        raise WorkError(f"refused token={LEAK}")

    with pytest.raises(WorkError, match=LEAK):
        fail()

    assert LEAK not in log.messages[0]


def test_what_is_not_named_like_a_secret_is_shown(log):
    def order(keyword, author, url):
        return "ok"

    record = logged(log, order, "a", "b", "https://host/?page=1&monday=2")

    assert record.call_arguments == {
        "keyword": "'a'",
        "author": "'b'",
        "url": "'https://host/?page=1&monday=2'",
    }


@pytest.mark.parametrize(
    "text",
    [
        "https://host/keyboards?page=1",
        "<Monkey 5>",
        "the token was refused",
        "KeyError('host', 'port')",
        "spinning: 5",
        "author=me, authors=[us]",
    ],
)
def test_a_text_without_the_value_of_a_secret_is_shown(log, text):
    record = logged(log, lambda text: 0, text, hide=["pin"])

    assert record.call_arguments == {"text": repr(text)}


def test_a_text_is_shown_up_to_the_value_of_a_secret(log):
    record = logged(log, lambda url: 0, f"https://host/?page=1&token={LEAK}&user=me")

    assert record.call_arguments == {"url": "'https://host/?page=1&token=***'"}


def test_a_long_text_of_names_is_searched_in_no_time(log):
    for part in ("key", "key ", "key.[", "key'"):
        text = logged(log, lambda text: 0, part * 10**6).call_arguments["text"]

        assert text.endswith("...")


def test_without_a_signature_only_types_of_unnamed_arguments_are_shown(log):
    unreadable = type("C", (), {"__call__": lambda *a, **k: 1, "__signature__": "none"})()

    record = logged(log, unreadable, LEAK, 5, password=LEAK, family=2)

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
