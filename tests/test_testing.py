"""The conformance kit finds what a decorator assumes, and nothing else."""

import functools
import gc
import logging
import threading
import time

import naive
import pytest
import wrapt
from children import child

from safepatch.decorators import count_calls, log_calls, memoize, replace, retry, ttl_cache
from safepatch.testing import PROMISES, Finding, NotTransparent, check_transparent, findings

logging.getLogger("enabled").setLevel(logging.DEBUG)

GENERATORS = {
    "generator functions": "their work is done after the call",
    "async generator functions": "their work is done after the call",
}
CACHES = {
    **GENERATORS,
    "calls": "a cache answers for the function",
    "release": "it keeps arguments, to know equal calls, and results",
}
CALLED_ONLY = {"kinds": "of a generator function, it sees the making of generators only"}

#: Ours: how to make one, and the promises that it does not keep, with the reason.
OURS = {
    "memoize": (lambda: memoize, CACHES),
    "memoize(copy='deep')": (lambda: memoize(copy="deep"), CACHES),
    "ttl_cache": (lambda: ttl_cache(ttl=60), CACHES),
    "ttl_cache, expired": (
        lambda: ttl_cache(ttl=1e-9, clock=time.perf_counter),
        {**CACHES, "calls": "equal calls at the same time share one"},
    ),
    "ttl_cache(negative_ttl=60)": (lambda: ttl_cache(ttl=60, negative_ttl=60), CACHES),
    "retry": (lambda: retry(on=OSError), GENERATORS),
    "retry, of all errors": (
        lambda: retry(on=Exception, wait_initial=0, wait_jitter=0),
        {
            **GENERATORS,
            "calls": "it calls again",
            "errors": "a note tells how often it was tried",
        },
    ),
    "log_calls": (lambda: log_calls, CALLED_ONLY),
    "log_calls, enabled": (lambda: log_calls(logger="enabled"), CALLED_ONLY),
    "count_calls": (lambda: count_calls, CALLED_ONLY),
}


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


HANGING = [naive.retrying_all, naive.locked, naive.locked_by_thread, naive.locked_by_task]


@pytest.mark.parametrize("decorator", NAIVE, ids=lambda decorator: decorator.__qualname__)
def test_a_naive_decorator_fails_by_what_it_assumes(decorator):
    # Only those that hang have to wait for it.
    found = findings(decorator, deadline=0.6 if decorator in HANGING else 5)

    assert NAIVE[decorator] == ", ".join(sorted({finding.promise for finding in found}))


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
        Finding(f"{kind} functions", f"{kind} functions", "to decorate them", f"TypeError: {text}")
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


def test_what_hangs_is_found_and_does_not_hang_the_check():
    def hang(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            threading.Event().wait()

        return wrapper

    found = findings(hang, deadline=0.05)

    assert {finding.found for finding in found if finding.expected == "to end"} == {
        "not ended after 0.05 seconds"
    }


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


def test_decorators_of_wrapt_are_found_neither_to_pickle_nor_to_copy():
    @wrapt.decorator
    def decorator(wrapped, instance, args, kwargs):
        return wrapped(*args, **kwargs)

    assert {finding.promise for finding in findings(decorator)} == {"copying", "pickling"}


def test_under_gevent_ours_keep_the_same_promises():
    code = """
        from gevent import monkey
        monkey.patch_all()
        from safepatch.decorators import retry
        from safepatch.testing import check_transparent

        refused = {"generator functions": "", "async generator functions": ""}
        check_transparent(retry(on=OSError), except_for=refused)
    """
    pytest.importorskip("gevent")
    assert child(code) == ""
