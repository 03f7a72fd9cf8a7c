"""The handle: its states, what can be read from it, and how long a patch is applied."""

import asyncio
import contextlib
import functools
import importlib
import inspect
import sys
import types
from unittest import mock

import pytest
from helpers import noting, pass_through, spaces
from hypothesis import given
from hypothesis import strategies as st

import safepatch


class Shop:
    """Where patches stand in these tests; each test leaves it as it was."""

    def price(self, amount=1):
        return ("price", amount)

    @staticmethod
    def plain(value=1):
        return ("plain", value)

    @staticmethod
    async def coroutine(value=1):
        return ("awaited", value)

    @staticmethod
    def generator(value=1):
        got = yield value
        return got

    @staticmethod
    async def asyncgen(value=1):
        yield value

    @staticmethod
    @types.coroutine
    def iterable(value=1):
        yield from ()
        return ("awaited", value)


PLAIN = (Shop, "plain")


@pytest.fixture(autouse=True)
def shop_is_as_it_was():
    before = dict(vars(Shop))
    yield
    assert before == dict(vars(Shop))


@pytest.fixture
def late(tmp_path, monkeypatch):
    """A module that nobody has imported yet, by its name."""
    (tmp_path / "late_shop.py").write_text("def count():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "late_shop"
    sys.modules.pop("late_shop", None)


def here(back=0):
    """file:line of the line that calls this."""
    frame = sys._getframe(1)
    return f"{__file__}:{frame.f_lineno - back}"


def adding(mark):
    """A decorator that adds a mark to what is returned, and can be told from another."""

    def decorate(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args, **kwargs):
            return (mark, wrapped(*args, **kwargs))

        wrapper.mark = mark
        return wrapper

    return decorate


# States.


def test_a_patch_is_declared_until_it_is_applied():
    patch = safepatch.patch(PLAIN, adding("ours"))

    assert patch.state == "declared"
    assert patch.reason is None
    assert Shop.plain() == ("plain", 1)


def test_apply_applies_and_undo_undoes():
    patch = safepatch.apply(PLAIN, adding("ours"))

    assert patch.state == "applied"
    assert Shop.plain() == ("ours", ("plain", 1))

    patch.undo()

    assert patch.state == "undone"
    assert Shop.plain() == ("plain", 1)


def test_a_patch_that_waits_is_pending_and_says_for_what(late):
    with safepatch.patch(f"{late}:count", adding("ours"), when="import") as patch:
        assert patch.state == "pending"
        assert late in patch.reason
        assert late not in sys.modules

        assert importlib.import_module(late).count() == ("ours", 1)
        assert patch.state == "applied"
        assert patch.reason is None

    assert patch.state == "undone"
    assert sys.modules[late].count() == 1


def test_a_pending_patch_that_is_undone_never_happens(late):
    patch = safepatch.apply(f"{late}:count", adding("ours"), when="import")

    patch.undo()

    assert patch.state == "undone"
    assert importlib.import_module(late).count() == 1


def test_a_patch_that_a_guard_refused_is_skipped_and_says_why():
    with pytest.warns(safepatch.GuardWarning):
        patch = safepatch.apply(
            PLAIN, adding("ours"), guard=lambda original: "it rains", on_mismatch="skip"
        )

    assert patch.state == "skipped"
    assert "it rains" in patch.reason
    assert Shop.plain() == ("plain", 1)


def test_a_late_patch_that_goes_wrong_is_failed_and_says_why(late):
    patch = safepatch.apply(f"{late}:cuont", adding("ours"), when="import")
    with pytest.warns(safepatch.GuardWarning, match="cuont"):
        importlib.import_module(late)

    assert patch.state == "failed"
    assert "cuont" in patch.reason
    patch.undo()


def test_a_patch_that_was_skipped_applies_when_nothing_stands_against_it_any_more():
    answers = ["it rains", None]
    with pytest.warns(safepatch.GuardWarning):
        patch = safepatch.apply(
            PLAIN, adding("ours"), guard=lambda original: answers.pop(0), on_mismatch="skip"
        )

    with patch:
        state, reason = patch.state, patch.reason

    assert (state, reason) == ("applied", None)


@pytest.mark.parametrize("times", [1, 2, 3])
def test_apply_is_idempotent(times):
    log = []
    patch = safepatch.patch(PLAIN, noting(log, "ran"))

    applied = [patch.apply() for _ in range(times)]
    Shop.plain()
    patch.undo()

    assert applied == [patch] * times
    assert log == ["ran"]
    assert Shop.plain() == ("plain", 1)


@pytest.mark.parametrize("make", [safepatch.patch, safepatch.apply])
def test_undo_is_idempotent(make):
    patch = make(PLAIN, adding("ours"))

    assert [patch.undo(), patch.undo(), patch.undo()] == [None] * 3
    assert Shop.plain() == ("plain", 1)


def test_undo_of_a_declared_patch_leaves_it_declared():
    patch = safepatch.patch(PLAIN, adding("ours"))

    patch.undo()

    assert patch.state == "declared"


STEPS = st.lists(st.sampled_from(["apply", "undo", "enter", "exit"]), max_size=12)


@given(STEPS)
def test_any_history_gives_the_state_that_its_last_step_says(steps):
    """apply applies and undo undoes, whatever was entered; of exits only the last one counts."""
    patch = safepatch.patch(PLAIN, adding("ours"))
    entered, applied = 0, False
    for step in steps:
        if step == "exit" and not entered:
            continue
        if step in ("apply", "enter"):
            applied = True
        if step == "undo":
            applied = False
        {
            "apply": patch.apply,
            "undo": patch.undo,
            "enter": patch.__enter__,
            "exit": lambda: patch.__exit__(None, None, None),
        }[step]()
        entered += {"enter": 1, "exit": -1}.get(step, 0)
        if step == "exit" and not entered:
            applied = False

        assert (patch.state == "applied") == applied
        assert Shop.plain() == (("ours", ("plain", 1)) if applied else ("plain", 1))
    patch.undo()


# What can be read.


def test_the_name_is_the_text_of_the_target_unless_given():
    targets = {
        "json:dumps": "json:dumps",
        PLAIN: f"{__name__}:Shop.plain",
        Shop.price: f"{__name__}:Shop.price",
    }

    assert list(targets.values()) == [safepatch.patch(t, adding(1)).name for t in targets]
    assert safepatch.patch(PLAIN, adding(1), name="cheap").name == "cheap"


@pytest.mark.parametrize("target", ["json:dumps", PLAIN, Shop.price])
def test_the_target_is_what_was_named(target):
    patch = safepatch.patch(target, pass_through)

    assert target == patch.target
    with patch:
        assert target == patch.target
    assert target == patch.target


@pytest.mark.parametrize("fact", ["wrapper", "original"])
def test_before_the_first_apply_there_is_nothing_to_read(fact):
    patch = safepatch.patch(PLAIN, adding("ours"))

    with pytest.raises(safepatch.PatchError, match="declared"):
        getattr(patch, fact)

    assert patch.wrappers == ()
    assert patch.applied_from is None
    assert not patch.superseded


def test_the_wrapper_is_what_the_outermost_decorator_returned():
    with safepatch.patch(PLAIN, adding("inner"), adding("outer")) as patch:
        assert patch.wrapper.mark == "outer"
        assert [wrapper.mark for wrapper in patch.wrappers] == ["inner", "outer"]
        assert patch.wrapper is patch.wrappers[-1]


def test_the_wrappers_can_be_read_after_undo():
    patch = safepatch.apply(PLAIN, adding("inner"), adding("outer"))
    wrappers = patch.wrappers

    patch.undo()

    assert wrappers == patch.wrappers
    assert patch.wrapper is wrappers[-1]


def test_the_wrapper_is_the_very_object_that_the_decorator_returned():
    spy = mock.Mock(return_value="spied")

    with safepatch.patch(PLAIN, lambda wrapped: spy) as patch:
        result = Shop.plain(5)

    assert result == "spied"
    assert patch.wrapper is spy
    spy.assert_called_once_with(5)


def test_the_original_calls_what_was_there_before_every_patch():
    with safepatch.patch(PLAIN, adding("first")) as first:
        with safepatch.patch(PLAIN, adding("second")) as second:
            assert first.original(7) == ("plain", 7)
            assert second.original(7) == ("plain", 7)
        assert second.original(7) == ("plain", 7)


def test_the_original_of_a_function_in_place_bypasses_the_patches_by_name_too():
    function = vars(Shop)["price"]

    with (
        safepatch.patch((Shop, "price"), adding("name")) as by_name,
        safepatch.patch(function, adding("function")) as by_function,
    ):
        assert Shop().price(2) == ("name", ("function", ("price", 2)))
        assert by_name.original(Shop(), 2) == ("price", 2)
        assert by_function.original(Shop(), 2) == ("price", 2)


def test_the_original_of_an_inherited_attribute_is_the_inherited_one():
    class Sub(Shop):
        pass

    with safepatch.patch((Sub, "price"), adding("ours")) as patch:
        assert Sub().price(3) == ("ours", ("price", 3))
        assert patch.original(Sub(), 3) == ("price", 3)
        assert Shop().price(3) == ("price", 3)

    assert "price" not in vars(Sub)


def test_applied_from_is_the_line_that_applied():
    patch = safepatch.patch(PLAIN, adding("ours"))
    patch.apply()
    first = here(back=1)
    assert first == patch.applied_from
    patch.undo()

    with patch:
        entered = here(back=1)
        assert entered == patch.applied_from


def test_each_way_to_apply_is_told_by_its_line(patches):
    patches.register("named", PLAIN, adding("ours"))
    ways = [
        lambda: (patches.apply("named"), here()),
        lambda: (patches.apply_all()[0], here()),
        lambda: (contextlib.ExitStack().enter_context(patches.patch(PLAIN, adding(1))), here()),
        lambda: (patches.apply(PLAIN, adding(1)), here()),
    ]
    for way in ways:
        patch, line = way()

        assert line == patch.applied_from
        patch.undo()


def test_a_repr_says_the_name_and_the_state():
    with safepatch.patch(PLAIN, adding("ours"), name="cheap") as patch:
        assert "'cheap'" in repr(patch)
        assert "applied" in repr(patch)


def test_patch_is_generic_in_the_wrapper_for_type_checkers():
    assert safepatch.Patch[types.FunctionType]


# Superseded.


def test_a_patch_that_somebody_replaced_says_so_and_apply_puts_it_on_top_again():
    raw = vars(Shop)["plain"]
    patch = safepatch.apply(PLAIN, adding("ours"))
    Shop.plain = theirs = staticmethod(lambda value=1: ("theirs", value))
    assert patch.superseded
    assert patch.state == "applied"
    assert Shop.plain() == ("theirs", 1)

    patch.apply()

    assert not patch.superseded
    assert Shop.plain() == ("ours", ("theirs", 1))
    patch.undo()
    assert vars(Shop)["plain"] is theirs
    assert not patch.superseded
    Shop.plain = raw


LED_TO = {
    "a function in a class": lambda: (Shop, "price"),
    "a static method": lambda: PLAIN,
    "a method of an instance": lambda: (Shop(), "price"),
    "a bound method in a namespace": lambda: (types.SimpleNamespace(f=Shop().price), "f"),
    "a builtin in a namespace": lambda: (types.SimpleNamespace(f=len), "f"),
}


@pytest.mark.parametrize("make", LED_TO.values(), ids=LED_TO.keys())
def test_a_foreign_wrapper_that_leads_to_ours_does_not_supersede(make):
    owner, name = make()
    raw = vars(owner).get(name)

    with safepatch.patch((owner, name), pass_through) as patch:
        foreign = pass_through(getattr(owner, name))
        setattr(owner, name, staticmethod(foreign) if owner is Shop else foreign)

        assert not patch.superseded

        patch.apply()
        assert getattr(owner, name) is foreign

    setattr(owner, name, raw) if raw else delattr(owner, name)


def test_a_deleted_attribute_supersedes():
    class Sub(Shop):
        def price(self):
            return "sub"

    patch = safepatch.apply((Sub, "price"), adding("ours"))

    del Sub.price

    assert patch.superseded
    patch.undo()


def test_a_superseded_patch_that_a_guard_keeps_from_applying_again_stays_applied():
    """Applying again changed nothing, so the patch is what it was before: applied."""
    raw, answers = vars(Shop)["plain"], [None, "it rains"]
    patch = safepatch.apply(
        PLAIN, adding("ours"), guard=lambda original: answers.pop(0), on_mismatch="skip"
    )
    face = vars(Shop)["plain"]
    Shop.plain = staticmethod(lambda: "theirs")
    with pytest.warns(safepatch.GuardWarning):
        patch.apply()
    Shop.plain = face
    assert Shop.plain() == ("ours", ("plain", 1))

    assert patch.state == "applied"
    assert patch in safepatch.live()
    patch.undo()
    assert vars(Shop)["plain"] is raw


# with.


def test_with_gives_the_patch_and_undoes_it():
    patch = safepatch.patch(PLAIN, adding("ours"))

    with patch as entered:
        assert Shop.plain() == ("ours", ("plain", 1))

    assert entered is patch
    assert Shop.plain() == ("plain", 1)


def test_with_undoes_past_an_exception_and_lets_it_through():
    with pytest.raises(ZeroDivisionError), safepatch.patch(PLAIN, adding("ours")):
        1 / 0

    assert Shop.plain() == ("plain", 1)


def test_one_patch_entered_inside_itself_is_undone_by_the_last_exit():
    log = []
    patch = safepatch.patch(PLAIN, noting(log, "ran"))

    with patch:
        with patch:
            Shop.plain()
        assert patch.state == "applied"
        Shop.plain()

    assert log == ["ran", "ran"]
    assert patch.state == "undone"


def test_apply_inside_with_does_not_count():
    patch = safepatch.patch(PLAIN, adding("ours"))

    with patch:
        patch.apply()

    assert patch.state == "undone"


def test_undo_inside_with_does_not_count():
    patch = safepatch.patch(PLAIN, adding("ours"))

    with patch:
        patch.undo()
        assert patch.state == "undone"
        patch.apply()
        assert patch.state == "applied"

    assert patch.state == "undone"


def test_with_undoes_what_was_applied_before():
    patch = safepatch.apply(PLAIN, adding("ours"))

    with patch:
        pass

    assert patch.state == "undone"


def test_a_with_that_could_not_be_entered_counts_for_nothing():
    answers = ["it rains", None]
    patch = safepatch.patch(PLAIN, adding("ours"), guard=lambda original: answers.pop(0))
    with pytest.raises(safepatch.GuardError):
        patch.__enter__()

    with patch:
        pass

    assert patch.state == "undone"


def test_with_on_a_pending_patch_is_over_at_its_end(late):
    with safepatch.patch(f"{late}:count", adding("ours"), when="import"):
        pass

    assert importlib.import_module(late).count() == 1


# As a decorator.


def test_a_decorated_function_is_patched_while_it_runs():
    patch = safepatch.patch(PLAIN, adding("ours"))

    @patch
    def run(value, *, more):
        """Its docstring."""
        return Shop.plain(value), more

    assert patch.state == "declared"
    assert run(3, more=4) == (("ours", ("plain", 3)), 4)
    assert patch.state == "undone"
    assert (run.__name__, run.__doc__) == ("run", "Its docstring.")
    assert str(inspect.signature(run)) == "(value, *, more)"


def test_a_decorated_coroutine_function_is_patched_while_it_runs():
    patch = safepatch.patch(PLAIN, adding("ours"))

    @patch
    async def run():
        before = Shop.plain()
        await asyncio.sleep(0)
        return before, Shop.plain()

    assert inspect.iscoroutinefunction(run)
    coroutine = run()
    assert patch.state == "declared"
    assert asyncio.run(coroutine) == (("ours", ("plain", 1)),) * 2
    assert patch.state == "undone"


class Called:
    async def __call__(self):
        return Shop.plain()


def test_an_old_style_coroutine_function_is_patched_while_it_runs_and_stays_one():
    @safepatch.patch(PLAIN, adding("ours"))
    @types.coroutine
    def run():
        yield from ()
        return Shop.plain()

    async def main():
        return await run()

    assert asyncio.run(main())[0] == "ours"


def test_an_object_that_is_called_like_a_coroutine_function_is_patched_while_it_runs():
    run = safepatch.patch(PLAIN, adding("ours"))(Called())

    assert asyncio.run(run())[0] == "ours"


if hasattr(inspect, "markcoroutinefunction"):  # from 3.12 on

    def test_a_function_marked_as_a_coroutine_function_is_patched_while_it_runs():
        marked = inspect.markcoroutinefunction(lambda: Called()())
        run = safepatch.patch(PLAIN, adding("ours"))(marked)

        assert asyncio.run(run())[0] == "ours"
        assert inspect.iscoroutinefunction(run)


def test_a_decorated_coroutine_function_that_runs_twice_at_once_is_patched_until_both_end():
    @safepatch.patch(PLAIN, adding("ours"))
    async def run(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return Shop.plain()

    async def both():
        return await asyncio.gather(run(1), run(3), run(2))

    assert asyncio.run(both()) == [("ours", ("plain", 1))] * 3
    assert Shop.plain() == ("plain", 1)


def test_a_decorated_generator_function_is_patched_from_first_value_to_exhaustion():
    patch = safepatch.patch(PLAIN, adding("ours"))

    @patch
    def run():
        got = yield Shop.plain()
        yield got, Shop.plain()
        return "returned"

    assert inspect.isgeneratorfunction(run)
    generator = run()
    states = [patch.state]
    assert next(generator) == ("ours", ("plain", 1))
    states.append(patch.state)
    assert generator.send("sent") == ("sent", ("ours", ("plain", 1)))
    with pytest.raises(StopIteration) as stopped:
        next(generator)

    assert stopped.value.value == "returned"
    assert [*states, patch.state] == ["declared", "applied", "undone"]


def test_a_decorated_async_generator_function_is_patched_from_first_value_to_exhaustion():
    patch = safepatch.patch(PLAIN, adding("ours"))
    states = []

    @patch
    async def run():
        got = yield Shop.plain()
        yield got, Shop.plain()

    async def ask():
        generator = run()
        states.append(patch.state)
        values = [await generator.__anext__()]
        states.append(patch.state)
        values.append(await generator.asend("sent"))
        with pytest.raises(StopAsyncIteration):
            await generator.__anext__()
        states.append(patch.state)
        return values

    assert inspect.isasyncgenfunction(run)
    assert asyncio.run(ask()) == [("ours", ("plain", 1)), ("sent", ("ours", ("plain", 1)))]
    assert states == ["declared", "applied", "undone"]


@pytest.mark.parametrize("ending", ["close", "throw", "raise"])
def test_a_decorated_generator_that_ends_early_undoes(ending):
    patch = safepatch.patch(PLAIN, adding("ours"))

    @patch
    def run():
        yield 1
        raise KeyError

    generator = run()
    next(generator)
    if ending == "close":
        generator.close()
    else:
        with pytest.raises((KeyError, ZeroDivisionError)):
            next(generator) if ending == "raise" else generator.throw(ZeroDivisionError)

    assert patch.state == "undone"


@pytest.mark.parametrize("ending", ["close", "throw", "raise"])
def test_a_decorated_async_generator_that_ends_early_undoes(ending):
    patch = safepatch.patch(PLAIN, adding("ours"))

    @patch
    async def run():
        yield 1
        raise KeyError

    async def ask():
        generator = run()
        await generator.__anext__()
        if ending == "close":
            await generator.aclose()
        else:
            with pytest.raises((KeyError, ZeroDivisionError)):
                await (
                    generator.__anext__()
                    if ending == "raise"
                    else generator.athrow(ZeroDivisionError)
                )
        return patch.state

    assert asyncio.run(ask()) == "undone"


def test_a_decorated_async_generator_catches_what_is_thrown_into_it():
    @safepatch.patch(PLAIN, adding("ours"))
    async def run():
        try:
            yield 1
        except ZeroDivisionError:
            yield Shop.plain()

    async def ask():
        generator = run()
        await generator.__anext__()
        caught = await generator.athrow(ZeroDivisionError)
        await generator.aclose()
        return caught

    assert asyncio.run(ask()) == ("ours", ("plain", 1))


def test_a_decorated_recursive_function_is_patched_until_the_outermost_call_returns():
    @safepatch.patch(PLAIN, adding("ours"))
    def run(depth):
        return ([*run(depth - 1)] if depth else []) + [Shop.plain()]

    assert run(2) == [("ours", ("plain", 1))] * 3
    assert Shop.plain() == ("plain", 1)


class Base:
    def test_inherited(self):
        return Shop.plain()


def test_a_decorated_class_has_each_of_its_tests_patched_and_nothing_else():
    @safepatch.patch(PLAIN, adding("ours"))
    class Tests(Base):
        test_data = ("not", "a", "test")

        def test_method(self):
            return Shop.plain()

        @staticmethod
        def test_static():
            return Shop.plain()

        @classmethod
        def test_class(cls):
            return cls.__name__, Shop.plain()

        async def test_coroutine(self):
            return Shop.plain()

        def helper(self):
            return Shop.plain()

    patched = ("ours", ("plain", 1))
    tests = Tests()

    assert [tests.test_method(), tests.test_static(), Tests.test_static()] == [patched] * 3
    assert tests.test_class() == Tests.test_class() == ("Tests", patched)
    assert asyncio.run(tests.test_coroutine()) == patched
    assert tests.test_inherited() == patched
    assert tests.helper() == ("plain", 1)
    assert Tests.test_data == ("not", "a", "test")


def test_a_test_of_a_decorated_class_that_is_a_partialmethod_is_patched():
    """unittest users make one test of each case like this."""

    @safepatch.patch(PLAIN, adding("ours"))
    class Tests:
        def _check(self, value):
            return Shop.plain(value)

        test_seven = functools.partialmethod(_check, 7)

    assert Tests().test_seven() == ("ours", ("plain", 7))
    assert Tests()._check(7) == ("plain", 7)


def test_what_stands_above_staticmethod_or_classmethod_leaves_it_one():
    class Tests:
        @safepatch.patch(PLAIN, adding("ours"))
        @staticmethod
        def static(value):
            return Shop.plain(value)

        @safepatch.patch(PLAIN, adding("ours"))
        @classmethod
        def klass(cls, value):
            return cls.__name__, Shop.plain(value)

    assert Tests.static(2) == Tests().static(2) == ("ours", ("plain", 2))
    assert Tests.klass(2) == Tests().klass(2) == ("Tests", ("ours", ("plain", 2)))


def test_decorating_a_class_leaves_its_base_alone():
    before = dict(vars(Base))

    safepatch.patch(PLAIN, adding("ours"))(type("Tests", (Base,), {}))

    assert before == dict(vars(Base))
    assert Base().test_inherited() == ("plain", 1)


def test_a_subclass_of_a_decorated_class_inherits_its_patched_tests():
    @safepatch.patch(PLAIN, adding("ours"))
    class Tests:
        def test_it(self):
            return Shop.plain()

    class Sub(Tests):
        def test_it(self):
            return [super().test_it(), Shop.plain()]

    assert Sub().test_it() == [("ours", ("plain", 1)), ("plain", 1)]


def test_a_decorated_class_is_the_same_class():
    class Tests:
        pass

    assert safepatch.patch(PLAIN, adding("ours"))(Tests) is Tests


def test_decorators_of_tests_nest_as_they_are_written():
    @safepatch.patch(PLAIN, adding("outer"))
    @safepatch.patch(PLAIN, adding("inner"))
    def run():
        return Shop.plain()

    assert run() == ("inner", ("outer", ("plain", 1)))


# Decorators: when they are called, and in which order.


def test_declaring_calls_no_decorator():
    safepatch.patch(PLAIN, lambda wrapped: pytest.fail("called too early"))


def test_each_apply_calls_the_decorators_afresh():
    made = []

    def counting(wrapped):
        made.append(pass_through(wrapped))
        return made[-1]

    patch = safepatch.patch(PLAIN, counting)
    for _ in range(3):
        with patch:
            Shop.plain()

    assert len({id(wrapper) for wrapper in made}) == len(made) == 3
    assert patch.wrapper is made[-1]


def test_what_is_applied_already_calls_no_decorator():
    made = []
    with safepatch.patch(PLAIN, lambda wrapped: made.append(1) or wrapped) as patch:
        patch.apply()
        with patch:
            pass

    assert made == [1]


@given(st.lists(st.integers(), min_size=1, max_size=5))
def test_several_decorators_in_one_call_are_as_several_applies_in_a_row(marks):
    with safepatch.Registry() as rows:
        for mark in marks:
            rows.apply(PLAIN, adding(mark))
        in_a_row = Shop.plain()

    patch = safepatch.apply(PLAIN, *map(adding, marks))
    in_one_call = Shop.plain()
    patch.undo()

    assert in_a_row == in_one_call
    assert in_one_call[0] == marks[-1]
    assert Shop.plain() == ("plain", 1)


# What is refused, before anything changes.


NO_DECORATORS = {
    "a mock": mock.Mock,
    "a magic mock": mock.MagicMock,
    "an async mock": mock.AsyncMock,
    "a mock that cannot be called": mock.NonCallableMock,
    "a mock with a spec": lambda: mock.create_autospec(pass_through),
    "a mock of a subclass": type("Mine", (mock.Mock,), {}),
    "a mocked open": mock.mock_open,
    "a number": lambda: 3,
    "a text": lambda: "json:dumps",
    "None": lambda: None,
}


@pytest.mark.parametrize("make", NO_DECORATORS.values(), ids=NO_DECORATORS.keys())
@pytest.mark.parametrize("among", [0, 1])
def test_what_is_no_decorator_is_refused(make, among):
    decorator = make()
    decorators = [adding("ours")] * among + [decorator]

    with pytest.raises(safepatch.UnsupportedTargetError, match=r"replace\(func\)") as caught:
        safepatch.apply(PLAIN, *decorators)

    assert caught.value.found is decorator
    assert not getattr(decorator, "called", False)


def test_no_decorator_at_all_is_refused():
    with pytest.raises(TypeError, match="decorator"):
        safepatch.patch("json:dumps")


NOT_CALLABLE = {"nothing": None, "a number": 3, "a list": [], "a text": "x"}


@pytest.mark.parametrize("returned", NOT_CALLABLE.values(), ids=NOT_CALLABLE.keys())
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_decorator_that_returns_what_cannot_be_called_is_refused(returned, position):
    decorators = [adding("ours"), adding("ours")]
    decorators.insert(position, lambda wrapped: returned)
    patch = safepatch.patch(PLAIN, *decorators)

    with pytest.raises(safepatch.UnsupportedTargetError, match="returned") as caught:
        patch.apply()

    assert returned == caught.value.found
    assert patch.state == "declared"
    assert patch.wrappers == ()


class AsyncCallable:
    async def __call__(self):
        pass


async def coroutine():
    pass


async def asyncgen():
    yield


VISIBLY_ASYNC = {
    "a coroutine function": coroutine,
    "a partial of one": functools.partial(coroutine),
    "an object with an async __call__": AsyncCallable(),
    "an async generator function": asyncgen,
}


@pytest.mark.parametrize("wrapper", VISIBLY_ASYNC.values(), ids=VISIBLY_ASYNC.keys())
@pytest.mark.parametrize("name", ["plain", "generator"])
def test_a_visibly_async_wrapper_over_a_target_that_is_not_is_refused(name, wrapper):
    with pytest.raises(safepatch.UnsupportedTargetError, match="await") as caught:
        safepatch.apply((Shop, name), lambda wrapped: wrapper)

    assert caught.value.found is wrapper


def test_a_refusal_names_what_the_target_is_and_what_the_wrapper_is():
    with pytest.raises(safepatch.UnsupportedTargetError) as caught:
        safepatch.apply((Shop, "plain"), lambda wrapped: asyncgen)

    assert ":Shop.plain', a plain function: the decorator" in str(caught.value)
    assert "returned one that is an async generator function, which" in str(caught.value)


def test_an_async_wrapper_over_a_coroutine_function_is_welcome():
    def decorate(wrapped):
        async def wrapper(*args):
            return ("ours", await wrapped(*args))

        return wrapper

    with safepatch.patch((Shop, "coroutine"), decorate):
        assert asyncio.run(Shop.coroutine(2)) == ("ours", ("awaited", 2))


class Awaitable:
    def __await__(self):
        yield from ()
        return "from __await__"


async def awaited():
    return "from a coroutine"


async def in_a_future():
    future = asyncio.get_running_loop().create_future()
    future.set_result("from a future")
    return await future


RETURNED = {
    "a plain value": (lambda: 3, 3),
    "nothing": (lambda: None, None),
    "a list": (lambda: [1], [1]),
    "a plain generator": (lambda: (x for x in ()), types.GeneratorType),
    "a coroutine": (awaited, "from a coroutine"),
    "an awaitable object": (Awaitable, "from __await__"),
    "a task": (lambda: asyncio.ensure_future(in_a_future()), "from a future"),
    "what types.coroutine makes": (lambda: Shop.iterable(4), ("awaited", 4)),
}


@pytest.mark.parametrize(("make", "expected"), RETURNED.values(), ids=RETURNED.keys())
def test_a_coroutine_dispatcher_awaits_only_awaitables(make, expected):
    async def ask():
        return await Shop.coroutine()

    with safepatch.patch((Shop, "coroutine"), lambda wrapped: lambda *args: make()):
        result = asyncio.run(ask())

    assert result == expected or type(result) is expected


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_a_decorator_that_raises_leaves_nothing(error, position):
    def failing(wrapped):
        raise error

    before = dict(vars(Shop))
    decorators = [adding("ours")] * position + [failing]
    patch = safepatch.patch(PLAIN, *decorators)

    with pytest.raises(error):
        patch.apply()

    assert before == dict(vars(Shop))
    assert patch.state == "declared"
    assert patch.wrappers == ()
    assert safepatch.live() == []


def test_a_decorator_that_raises_leaves_the_patches_that_were_there():
    def failing(wrapped):
        raise ZeroDivisionError

    with safepatch.patch(PLAIN, adding("ours")):
        with pytest.raises(ZeroDivisionError):
            safepatch.apply(PLAIN, failing)

        assert Shop.plain() == ("ours", ("plain", 1))


UNKNOWN = {
    "on_mismatch": "ignore",
    "aliases": "error",
    "scope": "thread",
    "when": "later",
}


@pytest.mark.parametrize(("option", "value"), UNKNOWN.items())
def test_an_unknown_choice_is_refused_and_the_known_ones_are_named(option, value):
    with pytest.raises(ValueError, match=f"{option}='{value}'.*'"):
        safepatch.patch(PLAIN, pass_through, **{option: value})


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="wen"):
        safepatch.patch(PLAIN, pass_through, wen="now")


def test_undo_never_raises_because_of_what_others_did():
    raw = vars(Shop)["plain"]

    class Sub(Shop):
        def price(self):
            return "sub"

    before = spaces(Sub)
    replaced = safepatch.apply(PLAIN, adding("ours"))
    deleted = safepatch.apply((Sub, "price"), adding("ours"))
    Shop.plain = theirs = staticmethod(lambda: "theirs")
    del Sub.price

    replaced.undo()
    deleted.undo()

    assert vars(Shop)["plain"] is theirs
    assert {name for name in before[0] if name not in vars(Sub)} == {"price"}
    Shop.plain = raw


def test_a_patch_keeps_its_state_when_its_neighbours_come_and_go():
    """A decorator's own state survives: it is not decorated anew."""
    calls = []

    def counting(wrapped):
        @functools.wraps(wrapped)
        def wrapper(*args):
            wrapper.calls += 1
            calls.append(wrapper.calls)
            return wrapped(*args)

        wrapper.calls = 0
        return wrapper

    below = safepatch.apply(PLAIN, adding("below"))
    counted = safepatch.apply(PLAIN, counting)
    above = safepatch.apply(PLAIN, adding("above"))
    Shop.plain()
    below.undo()
    Shop.plain()
    above.undo()
    result = Shop.plain()

    assert calls == [1, 2, 3]
    assert counted.wrapper.calls == 3
    assert result == ("plain", 1)
    counted.undo()


@pytest.mark.parametrize("option", ["name", "only_from"])
@pytest.mark.parametrize("value", ["", 5, ["requests"]])
def test_what_is_no_name_is_refused_where_it_is_written(option, value):
    with pytest.raises(TypeError, match=option):
        safepatch.patch(PLAIN, pass_through, **{option: value})


def test_a_generator_function_over_a_coroutine_function_is_refused():
    def generating(wrapped):
        def generator(*args, **kwargs):
            yield wrapped(*args, **kwargs)

        return generator

    class Owner:
        async def coroutine(self):
            return 1

    with pytest.raises(safepatch.UnsupportedTargetError, match="generator function"):
        safepatch.apply((Owner, "coroutine"), generating)


def test_a_switched_off_patch_says_why_it_has_no_wrapper(monkeypatch):
    monkeypatch.setenv("SAFEPATCH_DISABLE", "*")
    patch = safepatch.apply(PLAIN, pass_through)

    with pytest.raises(safepatch.PatchError, match="SAFEPATCH_DISABLE"):
        patch.wrapper

    patch.undo()


@pytest.mark.parametrize("entry", [safepatch.apply, safepatch.patch])
def test_an_option_that_there_is_not_is_told_with_the_nearest(entry):
    with pytest.raises(TypeError, match=r"there is no option 'nmae'; did you mean 'name'\?"):
        entry(PLAIN, adding("ours"), nmae="mine")

    assert vars(Shop)["plain"].__func__.__code__.co_filename == __file__


@pytest.mark.parametrize(
    ("option", "options"),
    [
        ("aliases", {"aliases": "all"}),
        ("when", {"when": "later"}),
        ("on_mismatch", {"on_mismatch": None}),
        ("scope", {"scope": "thread"}),
        ("scope", {"scope": "context", "when": "import"}),
    ],
)
def test_a_wrong_value_of_an_option_is_a_patch_error_and_a_value_error(option, options):
    with pytest.raises(safepatch.PatchError, match=option) as caught:
        safepatch.apply(PLAIN, adding("ours"), **options)

    assert isinstance(caught.value, ValueError)
    assert caught.value.option == option
