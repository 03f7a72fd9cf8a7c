"""The conformance kit finds what a decorator assumes, and nothing else."""

import contextlib
import functools
import gc
import importlib.metadata
import logging
import pathlib
import threading
import time

import cachetools
import naive
import pytest
import wrapt
from children import child

from safepatch import decorators
from safepatch.decorators import count_calls, log_calls, memoize, replace, retry, ttl_cache
from safepatch.testing import PROMISES, Finding, NotTransparent, check_transparent, findings

DOCUMENT = pathlib.Path(__file__).parent.parent / "docs" / "howto" / "check-your-decorator.md"
logging.getLogger("enabled").setLevel(logging.DEBUG)

GENERATORS = {
    "generator functions": "their work is done after the call",
    "async generator functions": "their work is done after the call",
}
CACHES = {
    **GENERATORS,
    "calls": "it answers for the function",
    "release": "it keeps arguments, to know equal calls, and results",
}

#: Ours: how to make one, and the promises that it does not keep, with the reason. The documents
#: show the names of both.
EVERY = {
    "memoize": (lambda: memoize, CACHES),
    "memoize(copy='deep')": (lambda: memoize(copy="deep"), CACHES),
    "memoize(copy='no')": (
        lambda: memoize(copy="no"),
        {**CACHES, "equal calls": "a result is shared by those who get it"},
    ),
    "ttl_cache(ttl=60)": (lambda: ttl_cache(ttl=60), CACHES),
    "ttl_cache(ttl=60, negative_ttl=60)": (lambda: ttl_cache(ttl=60, negative_ttl=60), CACHES),
    "single_flight": (
        lambda: decorators.single_flight,
        {**GENERATORS, "calls": "equal calls at the same time share one"},
    ),
    "retry(on=OSError)": (lambda: retry(on=OSError), {}),
    "retry(on=Exception)": (
        lambda: retry(on=Exception, wait_initial=0, wait_jitter=0),
        {"calls": "it calls again", "errors": "a note tells how often it was tried"},
    ),
    "log_calls": (lambda: log_calls, {}),
    "log_calls(logger='enabled')": (lambda: log_calls(logger="enabled"), {}),
    "count_calls": (lambda: count_calls, {}),
    "timeout(seconds=60)": (
        lambda: decorators.timeout(seconds=60),
        {"plain functions": "without gevent, nothing ends a call in a thread", **GENERATORS},
    ),
    "rate_limit(rate=1000000, burst=1000)": (
        lambda: decorators.rate_limit(rate=1000000, burst=1000),
        GENERATORS,
    ),
    "circuit_breaker": (lambda: decorators.circuit_breaker, {}),
    "fault(error=OSError, share=0)": (lambda: decorators.fault(error=OSError, share=0), {}),
}
OURS = {name: EVERY[name] for name in EVERY if name.partition("(")[0] in decorators.__all__}


@pytest.mark.parametrize("name", OURS)
def test_ours_keep_all_promises_but_for_those_they_say(name):
    make, except_for = OURS[name]

    check_transparent(make(), except_for=except_for)


def test_replace_gives_another_function_and_no_wrapper():
    # Checked as what it is meant for: two functions that do the same.
    check_transparent(lambda wrapped: replace(wrapped)(wrapped))


#: Naive ones, and exactly what each assumes.
NAIVE = {
    naive.closure: "kinds",
    naive.no_wraps: "names, pickling, signature",
    naive.positional_only: "arguments, parameter names",
    naive.for_methods: "arguments, parameter names",
    naive.with_an_option: "parameter names",
    naive.swallowing: "errors, exits",
    naive.retrying: "calls",
    naive.retrying_all: "calls, errors, exits",
    naive.wrapping_errors: "errors",
    naive.marking_errors: "errors",
    naive.dropping_causes: "errors",
    naive.full_after_an_exit: "exits",
    naive.sorting_keywords: "arguments",
    naive.awaiting_for_the_caller: "results",
    naive.calling_while_handling: "any object, errors",
    naive.copying_arguments: "any object, arguments, methods",
    naive.replacing_false: "any object, results",
    naive.in_another_thread: "caller",
    naive.printing: "any object, callable objects",
    naive.remembering: "release",
    naive.locked: "recursion, threads",
    naive.locked_by_thread: "threads",
    naive.locked_by_task: "calls, recursion, tasks, threads",
    naive.uncancelled: "exits, tasks",
    naive.in_another_task: "caller",
    naive.sharing_a_task: (
        "any object, caller, calls, equal calls, errors, recursion, release, tasks"
    ),
    naive.by_text: "any object, calls, equal calls, release",
    naive.keeping_errors: "errors, release",
    naive.AsAClass: "copying, kinds, methods, parameter names, pickling",
    naive.WithSlots: (
        "copying, kinds, methods, names, parameter names, pickling, signature, weak references"
    ),
    naive.registering: "weak references",
    naive.marking: "callable objects, stacking",
    naive.decorate_once(): "stacking, weak references",
    naive.as_a_coroutine: "kinds",
    naive.looping_over: "generators",
    naive.as_a_list: "generators, kinds",
    naive.forgetful: "plain functions",
    naive.only_by_name: "callable objects",
}


#: What hangs is to be found soon; a machine that is busy with something else gets more time.
DEADLINES = [0.3, 10]


@pytest.mark.parametrize("decorator", NAIVE, ids=lambda decorator: decorator.__qualname__)
def test_a_naive_decorator_fails_by_what_it_assumes(decorator):
    for deadline in DEADLINES:
        found = findings(decorator, deadline=deadline)
        names = ", ".join(sorted({finding.promise for finding in found}))
        if names == NAIVE[decorator]:
            break

    assert NAIVE[decorator] == names


def test_every_promise_is_broken_by_a_naive_decorator_or_one_that_refuses():
    broken = {name for names in NAIVE.values() for name in names.split(", ")}

    assert broken | {f"{kind} functions" for kind in KINDS} == {*PROMISES}


KINDS = ["plain", "coroutine", "generator", "async generator"]


@pytest.mark.parametrize("decorator", [lambda wrapped: wrapped, naive.faithful])
def test_a_faithful_decorator_passes(decorator):
    check_transparent(decorator)


def test_kinds_that_are_refused_are_told_with_the_reason():
    def refuse(wrapped):
        raise TypeError("not this one")

    assert findings(refuse) == [
        Finding(
            f"{kind} functions",
            f"{kind} functions",
            "to decorate and call them",
            f"TypeError: {text}",
        )
        for kind in KINDS
        for text in ["not this one"]
    ]


def test_the_error_tells_in_words_what_is_assumed_and_how_it_was_seen():
    with pytest.raises(NotTransparent) as caught:
        check_transparent(naive.with_an_option)

    assert str(caught.value) == (
        "with_an_option assumes\n"
        "- that no parameter has a name that the decorator uses itself [parameter names]\n"
        "    plain functions: expected any name to be free for a parameter; "
        "found not so timeout: the function was given []"
    )


def test_a_cause_that_is_lost_is_told_as_such():
    found = findings(naive.dropping_causes)

    assert found == [
        Finding("errors", "plain functions", "the Failure to keep the cause that it had", "none")
    ]


def test_who_exits_instead_of_decorating_refuses():
    def leave(wrapped):
        raise SystemExit("no license")

    assert {finding.found for finding in findings(leave)} == {"SystemExit: no license"}


def test_ctrl_c_ends_the_check():
    """Not only one question of it, to go on with the next."""
    child("""
        import _thread, signal
        from safepatch.testing import findings

        # A shell ignores it for what it starts in the background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        decorated = []

        def decorate(wrapped):
            decorated.append(wrapped)
            if len(decorated) == 5:
                _thread.interrupt_main()
            return wrapped

        try:
            findings(decorate)
        except KeyboardInterrupt:
            pass
        else:
            raise AssertionError
        """)


def test_what_is_excepted_is_not_an_error():
    check_transparent(naive.with_an_option, except_for={"parameter names": "it is its own"})


def test_an_exception_that_is_not_needed_is_an_error():
    except_for = {"parameter names": "it is its own", "errors": "no longer so"}

    with pytest.raises(NotTransparent, match="keeps what it is excepted from: errors") as caught:
        check_transparent(naive.with_an_option, except_for=except_for)

    assert (caught.value.findings, caught.value.needless) == ([], ["errors"])


def test_an_exception_from_no_promise_is_refused_before_anything_is_tried():
    def decorator(wrapped):
        raise AssertionError

    with pytest.raises(ValueError, match="got except_for='promise'; give one of 'plain functions'"):
        check_transparent(decorator, except_for={"promise": "there is none"})


def test_a_deadline_must_leave_some_time():
    with pytest.raises(ValueError, match="got deadline=0; give a number of seconds above 0"):
        check_transparent(naive.faithful, deadline=0)


def test_what_hangs_is_found_and_does_not_hang_the_check():
    def hang(wrapped):
        return lambda *args, **kwargs: threading.Event().wait()

    found = findings(hang, deadline=0.05)

    assert {finding.found for finding in found} == {"not ended after 0.05 seconds"}
    assert len(found) == len(KINDS)


def test_what_hangs_three_times_in_a_row_is_tried_no_more():
    calls = []

    @naive.plain_only
    def hang_later(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            calls.append(args)
            return threading.Event().wait() if len(calls) > 1 else wrapped(*args, **kwargs)

        return wrapper

    wanted = ["kinds", "arguments", "parameter names", "any object"]
    for deadline in DEADLINES:
        calls.clear()
        found = findings(hang_later, deadline=deadline)
        hung = [finding.promise for finding in found if finding.kind == "plain functions"]
        if hung == wanted:
            break

    assert wanted == hung


def test_what_hangs_does_not_keep_the_process_from_ending():
    code = """
        import threading
        from safepatch.testing import findings

        def hang(wrapped):
            threading.Event().wait()

        print(len(findings(hang, deadline=0.05)))
    """
    assert child(code) == "4"


def test_who_calls_for_ever_is_stopped_after_the_deadline():
    calls = []

    @naive.plain_only
    def call_for_ever(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            while True:
                calls.append(wrapped)
                wrapped(*args, **kwargs)

        return wrapper

    findings(call_for_ever, deadline=0.05)
    deadline = time.monotonic() + 5
    while (made := len(calls)) and time.monotonic() < deadline:
        time.sleep(0.1)
        if len(calls) == made:
            break

    assert len(calls) == made


def test_the_garbage_collector_stays_as_it_was():
    for switch in (gc.disable, gc.enable):
        switch()
        before = gc.isenabled()
        findings(naive.faithful)
        assert gc.isenabled() is before


@wrapt.decorator
def by_wrapt(wrapped, instance, args, kwargs):
    return wrapped(*args, **kwargs)


class Nothing(contextlib.ContextDecorator):
    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False


def by_tenacity():
    import tenacity

    return tenacity.retry(reraise=True, stop=tenacity.stop_after_attempt(2))


#: Other people's: by whom, of which version, and how to make one.
THEIRS = {
    "a closure with `functools.wraps`": (None, None, lambda: naive.closure),
    "a class with `__call__` and `functools.update_wrapper`": (None, None, lambda: naive.AsAClass),
    "`contextlib.ContextDecorator`": (None, None, Nothing),
    "`functools.lru_cache`": (None, None, lambda: functools.lru_cache),
    "`wrapt.decorator`": ("wrapt", "2", lambda: by_wrapt),
    "`cachetools.cached({})`": (
        "cachetools",
        "8",
        lambda: lambda wrapped: cachetools.cached({})(wrapped),
    ),
    "`cachetools.cached({}, condition=Condition())`": (
        "cachetools",
        "8",
        lambda: lambda wrapped: cachetools.cached({}, condition=threading.Condition())(wrapped),
    ),
    "`tenacity.retry(reraise=True, stop=stop_after_attempt(2))`": ("tenacity", "9", by_tenacity),
}


def is_installed(distribution, version):
    try:
        found = distribution is None or importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return found is True or found.partition(".")[0] == version


def rows(title):
    """The cells of the table under a title of the document."""
    text = DOCUMENT.read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def listed(found):
    return ", ".join(name for name in PROMISES if name in found)


def test_the_document_shows_what_ours_do_not_keep():
    shown = {name.strip("`"): text for name, text in rows("Ours")}

    assert {name: listed(except_for) for name, (_, except_for) in OURS.items()} == {
        name: text for name, text in shown.items() if name in OURS
    }
    assert {*shown} == {*EVERY}


@pytest.mark.parametrize("name", [name for name, one in THEIRS.items() if is_installed(*one[:2])])
def test_the_document_shows_what_others_do_not_keep(name):
    shown = {name: texts for name, *texts in rows("Others")}
    for deadline in DEADLINES:
        found = findings(THEIRS[name][2](), deadline=deadline)
        on_plain = {finding.promise for finding in found if finding.kind == "plain functions"}
        broken = {finding.promise for finding in found}
        texts = [listed(on_plain), listed(broken - on_plain)]
        if texts == shown[name]:
            break

    assert shown[name] == texts
    assert {*shown} == {*THEIRS}


def test_the_document_tells_every_promise():
    assert rows("The promises") == [[name, promise.kept] for name, promise in PROMISES.items()]


def test_under_gevent_ours_keep_the_same_promises():
    code = """
        from gevent import monkey
        monkey.patch_all()
        from safepatch.decorators import count_calls
        from safepatch.testing import check_transparent

        check_transparent(count_calls)
    """
    pytest.importorskip("gevent")
    assert child(code) == ""
