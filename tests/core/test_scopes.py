"""Patches that only some calls see: one context's, one package's, or those a callable picks."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import importlib
import sys
import textwrap
import threading
import types
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers import noting, pass_through

import safepatch


class Shop:
    @staticmethod
    def price(amount=1):
        return ("price", amount)

    @staticmethod
    async def order(amount=1):
        return ("order", amount)

    @staticmethod
    def items():
        yield 1

    @staticmethod
    async def stream():
        yield 1

    @staticmethod
    @types.coroutine
    def iterable():
        yield from ()

    def total(self, amount=1):
        return ("total", amount)


PRICE = (Shop, "price")
PATCHED, UNPATCHED = ("ours", ("price", 1)), ("price", 1)


@pytest.fixture(autouse=True)
def shop_is_as_it_was():
    before = dict(vars(Shop))
    yield
    assert before == dict(vars(Shop))


def ours(wrapped):
    @functools.wraps(wrapped)
    def wrapper(*args, **kwargs):
        return ("ours", wrapped(*args, **kwargs))

    return wrapper


def in_a_thread(function, *args):
    """What a function gives in a thread started here."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*args)))
    thread.start()
    thread.join()
    return results[0]


def in_an_executor(function, *args):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *args).result()


def elsewhere(function, *args):
    """What a function gives in a context that is no copy of ours."""
    return contextvars.Context().run(function, *args)


# scope="context".


def test_a_context_patch_is_seen_in_its_context_and_undone_with_it():
    with safepatch.patch(PRICE, ours, scope="context") as patch:
        assert Shop.price() == PATCHED
        assert patch.state == "applied"

    assert Shop.price() == UNPATCHED


SEEING = {
    "a copy of the context": lambda: contextvars.copy_context().run(Shop.price),
    "a copy of a copy": lambda: contextvars.copy_context().run(
        lambda: contextvars.copy_context().run(Shop.price)
    ),
    "a thread that runs in a copy": lambda: in_a_thread(contextvars.copy_context().run, Shop.price),
    "a loop started here": lambda: asyncio.run(calling()),
}

OTHERS = {
    "a context that is no copy": lambda: elsewhere(Shop.price),
    "a thread": lambda: in_a_thread(Shop.price),
    "an executor": lambda: in_an_executor(Shop.price),
    "a loop started in a thread": lambda: in_a_thread(lambda: asyncio.run(calling())),
}


async def calling():
    return Shop.price()


@pytest.mark.parametrize("call", SEEING.values(), ids=SEEING.keys())
def test_a_context_patch_is_seen_by(call):
    with safepatch.patch(PRICE, ours, scope="context"):
        assert call() == PATCHED

    assert call() == UNPATCHED


# From 3.14 on, threads may inherit the context of whoever starts them.
inherits = getattr(sys.flags, "thread_inherit_context", 0)


@pytest.mark.skipif(inherits, reason="this Python's threads run in a copy of our context")
@pytest.mark.parametrize("call", OTHERS.values(), ids=OTHERS.keys())
def test_a_context_patch_is_not_seen_by(call):
    with safepatch.patch(PRICE, ours, scope="context"):
        assert call() == UNPATCHED


@pytest.mark.parametrize("call", [*SEEING.values(), *OTHERS.values()], ids=[*SEEING, *OTHERS])
def test_a_process_patch_is_seen_by_all(call):
    with safepatch.patch(PRICE, ours, scope="process"):
        assert call() == PATCHED


def test_tasks_and_threads_of_a_task_see_its_context_patch_and_other_tasks_do_not():
    async def main():
        seen = {}
        applied, asked = asyncio.Event(), asyncio.Event()

        async def neighbour():
            await applied.wait()
            seen["a task made before"] = Shop.price()
            asked.set()

        task = asyncio.create_task(neighbour())

        async def patching():
            with safepatch.patch(PRICE, ours, scope="context"):
                applied.set()
                await asked.wait()
                loop = asyncio.get_running_loop()
                later = loop.create_future()
                loop.call_soon(lambda: later.set_result(Shop.price()))
                seen["itself"] = Shop.price()
                seen["a task of it"] = await asyncio.create_task(calling())
                seen["to_thread"] = await asyncio.to_thread(Shop.price)
                seen["run_in_executor"] = await loop.run_in_executor(None, Shop.price)
                seen["a callback"] = await later
                seen["gather"] = (await asyncio.gather(calling(), calling()))[1]

        await asyncio.create_task(patching())
        await task
        seen["the task around it"] = Shop.price()
        return seen

    assert asyncio.run(main()) == {
        "a task made before": UNPATCHED,
        "itself": PATCHED,
        "a task of it": PATCHED,
        "to_thread": PATCHED,
        "run_in_executor": UNPATCHED,
        "a callback": PATCHED,
        "gather": PATCHED,
        "the task around it": UNPATCHED,
    }


def test_two_tasks_patch_one_site_and_each_sees_its_own():
    def adding(mark):
        return lambda wrapped: lambda *args: (mark, *wrapped(*args))

    async def one(mark, barrier):
        with safepatch.patch(PRICE, adding(mark), scope="context"):
            await barrier.wait()
            seen = Shop.price()
            await barrier.wait()
        return seen, Shop.price()

    async def both():
        barrier = asyncio.Barrier(3)
        return await asyncio.gather(*(one(mark, barrier) for mark in "abc"))

    assert asyncio.run(both()) == [((mark, *UNPATCHED), UNPATCHED) for mark in "abc"]


def test_the_decorator_of_a_context_patch_can_be_a_test_of_its_own():
    @safepatch.patch(PRICE, ours, scope="context")
    async def run():
        await asyncio.sleep(0)
        return Shop.price(), await asyncio.to_thread(elsewhere, Shop.price)

    assert asyncio.run(run()) == (PATCHED, UNPATCHED)


def test_a_context_patch_on_a_coroutine_function():
    async def ask():
        return await Shop.order()

    def decorate(wrapped):
        async def wrapper(*args):
            return ("ours", await wrapped(*args))

        return wrapper

    with safepatch.patch((Shop, "order"), decorate, scope="context"):
        assert asyncio.run(ask()) == ("ours", ("order", 1))
        assert elsewhere(asyncio.run, ask()) == ("order", 1)


def test_a_context_patch_on_a_function_itself():
    held = Shop.price

    with safepatch.patch(Shop.price, ours, scope="context"):
        assert held() == PATCHED
        assert elsewhere(held) == UNPATCHED


def test_a_context_patch_between_two_others_is_passed_by_elsewhere():
    def adding(mark):
        return lambda wrapped: lambda *args: (mark, *wrapped(*args))

    with (
        safepatch.patch(PRICE, adding("below")),
        safepatch.patch(PRICE, adding("context"), scope="context"),
        safepatch.patch(PRICE, adding("above")),
    ):
        assert Shop.price() == ("above", "context", "below", "price", 1)
        assert elsewhere(Shop.price) == ("above", "below", "price", 1)


def test_several_decorators_of_a_context_patch_are_seen_or_passed_by_together():
    log = []

    with safepatch.patch(PRICE, noting(log, "inner"), noting(log, "outer"), scope="context"):
        Shop.price()
        elsewhere(Shop.price)

    assert log == ["outer", "inner"]


def test_undo_from_another_context_undoes_everywhere():
    patch = safepatch.apply(PRICE, ours, scope="context")

    elsewhere(patch.undo)

    assert patch.state == "undone"
    assert Shop.price() == UNPATCHED
    assert safepatch.live() == []


def test_undo_in_a_copy_undoes_everywhere():
    patch = safepatch.apply(PRICE, ours, scope="context")

    contextvars.copy_context().run(patch.undo)

    assert Shop.price() == UNPATCHED


@pytest.mark.parametrize("undo", [elsewhere, lambda undo: undo()])
def test_a_context_patch_applied_anew_elsewhere_is_not_seen_by_those_who_saw_it_before(undo):
    """Only the context that applied and copies made from it afterwards see the patch."""
    patch = safepatch.apply(PRICE, ours, scope="context")
    copied = contextvars.copy_context()
    assert copied.run(Shop.price) == PATCHED
    undo(patch.undo)

    elsewhere(patch.apply)

    assert Shop.price() == UNPATCHED
    assert copied.run(Shop.price) == UNPATCHED
    patch.undo()


def test_an_undone_context_patch_keeps_nothing_alive():
    class Owner:
        def method(self):
            return 1

    patch = safepatch.apply((Owner, "method"), pass_through, scope="context")
    kept = [patch, contextvars.copy_context()]
    Owner().method()
    patch.undo()
    reference = weakref.ref(Owner)

    del Owner
    gc.collect()

    assert kept
    assert reference() is None


def test_a_context_patch_is_undone_by_undo_all(patches):
    patches.apply(PRICE, ours, scope="context")

    elsewhere(patches.undo_all)

    assert Shop.price() == UNPATCHED


@pytest.mark.parametrize("name", ["items", "stream"])
def test_a_context_patch_on_a_generator_function_is_refused(name):
    with pytest.raises(safepatch.UnsupportedTargetError, match="context") as caught:
        safepatch.apply((Shop, name), pass_through, scope="context")

    assert (Shop, name) == caught.value.target
    assert safepatch.live() == []


def test_a_context_patch_cannot_wait_for_an_import(patches):
    with pytest.raises(ValueError, match="context"):
        safepatch.patch("json:dumps", ours, scope="context", when="import")
    with pytest.raises(ValueError, match="context"):
        patches.register("waiting", "json:dumps", ours, scope="context")

    assert patches.register("waiting", "json:dumps", ours, scope="context", when="now")


# only_from.


@pytest.fixture
def callers(tmp_path, monkeypatch):
    """Modules that call what they are given."""
    package = {
        "callers/__init__.py": "def call(f, *args): return f(*args)",
        "callers/below.py": "def call(f, *args): return f(*args)",
        "callers_beside.py": "def call(f, *args): return f(*args)",
        "caller.py": "def call(f, *args): return f(*args)",
    }
    for path, source in package.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    names = ["callers", "callers.below", "callers_beside", "caller"]
    yield {name: importlib.import_module(name).call for name in names}
    for name in names:
        del sys.modules[name]


FROM = {
    "the package": (["callers"], True),
    "a module below": (["callers.below"], True),
    "a package whose name begins alike": (["callers_beside"], False),
    "a package whose name is the beginning": (["caller"], False),
    "nobody": ([], False),
    "the package, somewhere in the stack": (["callers", "caller", "callers_beside"], True),
    "the package, at the end of the stack": (["caller", "callers"], True),
}


@pytest.mark.parametrize(("path", "patched"), FROM.values(), ids=FROM.keys())
def test_only_from_a_package_sees_calls_from(callers, path, patched):
    with safepatch.patch(PRICE, ours, only_from="callers"):
        call = Shop.price
        for name in reversed(path):
            call = functools.partial(callers[name], call)
        result = call()

    assert result == (PATCHED if patched else UNPATCHED)


def test_only_from_one_module_leaves_its_package_out(callers):
    with safepatch.patch(PRICE, ours, only_from="callers.below"):
        assert callers["callers.below"](Shop.price) == PATCHED
        assert callers["callers"](Shop.price) == UNPATCHED


def test_only_from_works_on_methods(callers):
    with safepatch.patch((Shop, "total"), ours, only_from="callers"):
        assert callers["callers"](Shop().total, 2) == ("ours", ("total", 2))
        assert Shop().total(2) == ("total", 2)


def test_only_from_does_not_see_the_stack_of_another_thread(callers):
    with safepatch.patch(PRICE, ours, only_from="callers"):
        assert callers["callers"](in_a_thread, Shop.price) == UNPATCHED


@pytest.mark.parametrize("names", [{}, {"__name__": None}, {"__name__": 3}])
def test_only_from_passes_by_frames_of_code_without_a_name(names):
    with safepatch.patch(PRICE, ours, only_from="callers"):
        exec("result = price()", names | {"price": Shop.price}, found := {})

    assert found["result"] == UNPATCHED


@pytest.mark.parametrize("name", ["order", "items", "stream", "iterable"])
def test_only_from_is_refused_on_all_but_plain_functions(name):
    with pytest.raises(safepatch.UnsupportedTargetError, match="only_from") as caught:
        safepatch.apply((Shop, name), pass_through, only_from="callers")

    assert (Shop, name) == caught.value.target


# only_if.


def test_only_if_is_asked_at_each_call():
    answers = [True, False, 1, 0, None, "yes"]
    with safepatch.patch(PRICE, ours, only_if=lambda: answers.pop(0)):
        results = [Shop.price() for _ in range(6)]

    assert results == [PATCHED, UNPATCHED, PATCHED, UNPATCHED, UNPATCHED, PATCHED]


class Asked:
    def __init__(self):
        self.seen = []

    def method(self, amount):
        self.seen.append(amount)
        return amount == 1

    def __call__(self, amount):
        return self.method(amount)


CONDITIONS = {
    "a function of the arguments": lambda amount: amount == 1,
    "a function of any arguments": lambda *args, **kwargs: args == (1,),
    "a function of one argument and more": lambda amount, *more: amount == 1,
    "a bound method": Asked().method,
    "a callable object": Asked(),
    "a partial": functools.partial(lambda wanted, amount: amount == wanted, 1),
    "a builtin": (1).__eq__,
}


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS.keys())
def test_only_if_with_arguments_is_given_those_of_the_call(condition):
    with safepatch.patch(PRICE, ours, only_if=condition):
        assert Shop.price(1) == PATCHED
        assert Shop.price(2) == ("price", 2)


KEYWORDS = {
    "keyword-only": lambda *, amount: amount == 1,
    "any keywords": lambda **kwargs: kwargs == {"amount": 1},
    "a keyword that a default stands for": lambda *args, amount=0: amount == 1,
}


@pytest.mark.parametrize("condition", KEYWORDS.values(), ids=KEYWORDS.keys())
def test_only_if_with_keywords_is_given_those_of_the_call(condition):
    with safepatch.patch(PRICE, ours, only_if=condition):
        assert Shop.price(amount=1) == PATCHED
        assert Shop.price(amount=2) == ("price", 2)


def test_only_if_without_arguments_is_given_none():
    switch = threading.Event()
    with safepatch.patch(PRICE, ours, only_if=switch.is_set):
        off = Shop.price(1)
        switch.set()
        on = Shop.price(1)

    assert (off, on) == (UNPATCHED, PATCHED)


def test_only_if_on_a_method_is_given_self():
    shop = Shop()
    with safepatch.patch((Shop, "total"), ours, only_if=lambda self, *args: self is shop):
        assert shop.total() == ("ours", ("total", 1))
        assert Shop().total() == ("total", 1)


def test_only_if_works_on_every_kind():
    async def ask():
        return await Shop.order(1), [x async for x in Shop.stream()], list(Shop.items())

    log, answers = [], []

    def condition():
        answers.append(1)
        return len(answers) > 3

    with (
        safepatch.patch((Shop, "order"), noting(log, "order"), only_if=condition),
        safepatch.patch((Shop, "stream"), noting(log, "stream"), only_if=condition),
        safepatch.patch((Shop, "items"), noting(log, "items"), only_if=condition),
    ):
        first = asyncio.run(ask())
        assert log == []
        second = asyncio.run(ask())

    assert log == ["order", "stream", "items"]
    assert first == second == (("order", 1), [1], [1])


def test_only_if_that_raises_says_so_to_the_caller():
    def condition():
        raise ZeroDivisionError

    with (
        safepatch.patch(PRICE, ours, only_if=condition),
        pytest.raises(ZeroDivisionError),
    ):
        Shop.price()


def test_what_is_no_condition_is_refused_where_it_is_written():
    for nonsense in (True, "callers"):
        with pytest.raises(TypeError, match="only_if"):
            safepatch.patch(PRICE, ours, only_if=nonsense)


def test_all_conditions_must_hold(callers):
    answers = {"if": True}
    with safepatch.patch(
        PRICE, ours, scope="context", only_from="callers", only_if=lambda: answers["if"]
    ):
        assert callers["callers"](Shop.price) == PATCHED
        assert Shop.price() == UNPATCHED
        assert elsewhere(callers["callers"], Shop.price) == UNPATCHED
        answers["if"] = False
        assert callers["callers"](Shop.price) == UNPATCHED


def a_patch(patches):
    return patches.patch(PRICE, ours, scope="context")


def a_group(patches):
    return patches.register("group", [a_patch(patches)])


@pytest.mark.parametrize("make", [a_patch, a_group])
def test_two_tasks_that_enter_one_context_patch_both_see_it(make, patches):
    patch = make(patches)

    async def one(barrier):
        with patch:
            await barrier.wait()
            seen = Shop.price()
            await barrier.wait()
        return seen, Shop.price()

    async def both():
        barrier = asyncio.Barrier(2)
        return await asyncio.gather(one(barrier), one(barrier))

    assert asyncio.run(both()) == [(PATCHED, UNPATCHED)] * 2


@pytest.mark.parametrize("make", [a_patch, a_group])
def test_two_threads_that_enter_one_context_patch_at_once_both_see_it(make, patches):
    """Both have called the decorators before either is installed."""
    both, inside = threading.Barrier(2, timeout=20), threading.Barrier(2, timeout=20)

    def deco(wrapped):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait()
        return ours(wrapped)

    patch = patches.patch(PRICE, deco, scope="context")
    if make is a_group:
        patch = patches.register("group", [patch])
    seen = []

    def enter():
        with patch:
            inside.wait()
            seen.append(Shop.price())
            inside.wait()

    threads = [threading.Thread(target=enter, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert seen == [PATCHED, PATCHED]
    assert Shop.price() == UNPATCHED


def test_a_context_patch_put_on_top_again_elsewhere_is_seen_where_it_was(patches):
    patch = a_patch(patches)
    one, other = contextvars.copy_context(), contextvars.copy_context()
    raw = vars(Shop)["price"]
    one.run(patch.__enter__)
    Shop.price = staticmethod(lambda: UNPATCHED)
    try:
        other.run(patch.__enter__)

        assert [one.run(Shop.price), other.run(Shop.price)] == [PATCHED, PATCHED]
    finally:
        other.run(patch.__exit__)
        one.run(patch.__exit__)
        Shop.price = raw
