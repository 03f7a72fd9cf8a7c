"""explain(): what stands at a site, told as its source would look, and every patch there is."""

import asyncio
import functools
import gc
import importlib
import importlib.metadata
import json
import platform
import sys
import types
import uuid
from unittest import mock

import pytest
from helpers import noting, pass_through
from victims import VICTIMS

import safepatch

SOURCE = """\
import functools

def price(amount=1, *, tax=0):
    return amount

async def order(amount):
    return amount

class Till:
    def open(self):
        return "opened"

    @property
    def total(self):
        return 0

def loud(wrapped):
    @functools.wraps(wrapped)
    def shouting(*args):
        return wrapped(*args)
    return shouting

@loud
def decorated(amount):
    return amount
"""


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A module on disk, of a name of its own, whose namespace must be as before."""
    name = f"shop_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    made = importlib.import_module(name)
    before = dict(vars(made))
    yield made
    assert before == vars(made)
    sys.modules.pop(name, None)


def decorating(mark):
    return pass_through


def counting(mark, more=None):
    return functools.partial(_counting, mark=mark)


def _counting(wrapped, mark):
    return pass_through(wrapped)


def here(back=0):
    return f"{__file__}:{sys._getframe(1).f_lineno - back}"


def code_line(function):
    return function.__code__.co_firstlineno


def target(shop, name="price"):
    return f"{shop.__name__}:{name}"


def code(explanation):
    """The lines that would be code: decorators and the def line, without their remarks."""
    lines = str(explanation).splitlines()
    return [line.partition("  # ")[0] for line in lines if line[0] in "@da"]


# One site.


def test_an_unpatched_site_is_its_def_line_and_where_it_is(shop, patches):
    text = str(patches.explain(target(shop)))

    assert text.splitlines() == [
        f"# {target(shop)}",
        f"def price(amount=1, *, tax=0):  # {shop.__file__}:3, no distribution",
    ]


ORIGINALS = {
    "async": ("order", "async def order(amount):"),
    "a method": ("Till.open", "def open(self):"),
    "a property": ("Till.total", "def total(self):"),
}


@pytest.mark.parametrize(("name", "line"), ORIGINALS.values(), ids=ORIGINALS.keys())
@pytest.mark.parametrize("patched", [False, True])
def test_the_def_line_is_that_of_the_original(shop, patches, name, line, patched):
    if patched:
        patches.apply(target(shop, name), pass_through)

    assert line == code(patches.explain(target(shop, name)))[-1]
    patches.undo_all()


def test_the_distribution_and_version_of_the_original_are_told(patches):
    found = {
        name: str(patches.explain(name))
        for name in ("json:dumps", "math:sqrt", "packaging.tags:sys_tags")
    }

    assert f"Python {platform.python_version()}" in found["json:dumps"]
    assert f"Python {platform.python_version()}" in found["math:sqrt"]
    assert (
        f"packaging {importlib.metadata.version('packaging')}" in found["packaging.tags:sys_tags"]
    )


def test_a_builtin_is_told_to_be_c_code(patches):
    text = str(patches.explain("math:sqrt"))

    assert "def sqrt(x, /):" in text
    assert "C code" in text


def test_patches_stand_above_the_original_outermost_first(shop, patches):
    patches.apply(target(shop), pass_through, name="first")
    patches.apply(target(shop), noting([], 1), functools.partial(_counting, mark=3), name="second")

    text = str(patches.explain(target(shop)))

    assert code(text) == [
        f"@{__name__}._counting(mark=3)",
        "@helpers.noting(...)",
        "@helpers.pass_through",
        "def price(amount=1, *, tax=0):",
    ]
    assert text.index("'second'") < text.index("'first'")
    patches.undo_all()


def test_it_is_told_who_applied_what_and_where(shop, patches):
    patches.apply(target(shop), pass_through, name="cheap")
    line = here(back=1)

    text = str(patches.explain(target(shop)))

    (decorator,) = [line for line in text.splitlines() if line.startswith("@")]
    assert "'cheap'" in decorator
    assert line in decorator
    patches.undo_all()


def test_patches_of_all_registries_at_the_site_are_told(shop, patches):
    with safepatch.Registry() as other:
        patches.apply(target(shop), pass_through, name="ours")
        other.apply(target(shop), pass_through, name="theirs")

        for registry in (patches, other, safepatch):
            text = str(registry.explain(target(shop)))

            assert text.index("'theirs'") < text.index("'ours'")
        patches.undo_all()


def test_guard_verdicts_stand_with_their_patch(shop, patches):
    def fair_weather(original):
        return "it rains"

    with pytest.warns(safepatch.GuardWarning):
        patches.apply(
            target(shop),
            pass_through,
            requires=["python>=3.11", "a-library-that-nobody-has"],
            signature="(amount=1, *, tax=0)",
            guard=fair_weather,
            on_mismatch="apply",
            name="guarded",
        )
    patches.apply(target(shop), pass_through, name="above")

    lines = str(patches.explain(target(shop))).splitlines()

    found = [line for line in lines if "python>=3.11" in line]
    assert found == ["#   requires python>=3.11: ok"]
    assert any("that-nobody-has" in line and "not installed" in line for line in lines)
    assert any("signature" in line and line.endswith(": ok") for line in lines)
    assert any("fair_weather" in line and "it rains" in line for line in lines)
    position = lines.index(found[0])
    assert "'guarded'" in lines[position - 1]
    patches.undo_all()


FORMS = {
    "text": target,
    "dots": lambda shop: target(shop).replace(":", "."),
    "a pair": lambda shop: (shop, "price"),
    "the name of a patch": lambda shop: "cheap",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_site_can_be_asked_for_by(shop, patches, form):
    patches.register("cheap", target(shop), pass_through).apply()

    lines = code(patches.explain(form(shop)))

    assert lines == ["@helpers.pass_through", "def price(amount=1, *, tax=0):"]
    patches.undo_all()


def test_what_is_patched_in_place_says_so(shop, patches):
    original = shop.price
    patches.apply(original, pass_through, name="inside")
    patches.apply(target(shop), pass_through, name="outside")

    lines = str(patches.explain(target(shop))).splitlines()

    decorators = [line for line in lines if line.startswith("@")]
    assert ["in place" in line for line in decorators] == [False, True]
    assert "'outside'" in decorators[0]
    assert "'inside'" in decorators[1]
    assert f"{shop.__file__}:3" in lines[-1]
    assert "'inside'" in str(patches.explain(original))
    patches.undo_all()


def test_a_foreign_wrapper_above_ours_is_told(shop, patches):
    original = shop.price
    patches.apply(target(shop), pass_through, name="ours")
    shop.price = shop.loud(shop.price)

    text = str(patches.explain(target(shop)))
    foreign, ours = [line for line in text.splitlines() if line.startswith("@")]

    assert "not by safepatch" in foreign
    assert f"{shop.__file__}:{code_line(shop.loud(len))}" in foreign
    assert "'ours'" in ours
    patches.undo_all()
    shop.price = original


def test_a_foreign_wrapper_below_ours_is_told(shop, patches):
    patches.apply(target(shop, "decorated"), pass_through, name="ours")

    text = str(patches.explain(target(shop, "decorated")))
    ours, foreign = [line for line in text.splitlines() if line.startswith("@")]

    assert "'ours'" in ours
    assert "not by safepatch" in foreign
    assert code(text)[-1] == "def decorated(amount):"
    original = shop.decorated.__wrapped__.__wrapped__
    assert f"{shop.__file__}:{code_line(original)}" in text.splitlines()[-1]
    patches.undo_all()


@pytest.mark.parametrize("patched", [False, True])
def test_a_foreign_wrapper_is_named_for_itself_not_for_what_it_wraps(shop, patches, patched):
    """functools.wraps gives a wrapper the name of what it wraps; its code knows better."""
    if patched:
        patches.apply(target(shop, "decorated"), pass_through)

    text = str(patches.explain(target(shop, "decorated")))

    assert f"@{target(shop, 'decorated').replace(':', '.')}" not in text
    assert "loud" in text or "shouting" in text
    patches.undo_all()


def test_a_foreign_wrapper_between_two_of_ours_is_told(shop, patches):
    original = shop.price
    patches.apply(target(shop), pass_through, name="below")
    shop.price = foreign = shop.loud(shop.price)
    patches.apply((shop, "price"), pass_through, name="above", aliases="ignore")

    text = str(patches.explain(target(shop)))

    lines = [line for line in text.splitlines() if line.startswith("@")]
    assert ["'above'" in lines[0], "not by" in lines[1], "'below'" in lines[2]] == [True] * 3
    patches.undo_all()
    assert shop.price is foreign
    shop.price = original


def test_what_a_decorator_was_given_is_a_function_like_others_wherever_it_is_put(patches):
    """Over a plain wrapper of a coroutine function it is one that we made, and at no site."""
    kept, log = [], []

    def keeping(wrapped):
        kept.append(wrapped)
        return wrapped

    async def fetch():
        return 1

    owner = types.SimpleNamespace(fetch=fetch)
    patches.apply((owner, "fetch"), noting(log, "inner"), keeping)
    other = types.SimpleNamespace(fetch=kept[0])

    assert "async def fetch" in str(patches.explain((other, "fetch")))
    patches.apply((other, "fetch"), noting(log, "outer"))
    assert asyncio.run(other.fetch()) == 1
    assert log == ["outer", "inner"]


def test_aliases_that_are_not_reached_are_told(shop, patches):
    customer = types.ModuleType("customer_of_explain")
    customer.bought = shop.price
    sys.modules[customer.__name__] = customer
    patches.apply(target(shop), pass_through, aliases="ignore")

    explanation = patches.explain(target(shop))

    assert "not reached: customer_of_explain:bought" in str(explanation)
    assert explanation.to_dict()["sites"][0]["aliases"] == ["customer_of_explain:bought"]
    patches.undo_all()
    del sys.modules[customer.__name__]


def test_aliases_that_are_reached_are_not_told(shop, patches):
    customer = types.ModuleType("customer_of_explain")
    customer.bought = shop.price
    sys.modules[customer.__name__] = customer
    patches.apply(target(shop), pass_through, aliases="rebind")

    assert "not reached" not in str(patches.explain(target(shop)))
    patches.undo_all()
    del sys.modules[customer.__name__]


def test_a_site_that_cannot_be_explained_is_a_target_error(shop, patches):
    with pytest.raises(safepatch.TargetError, match="'price'"):
        patches.explain(target(shop, "prcie"))


def test_an_inert_dispatcher_that_somebody_left_is_removed_and_not_told(shop, patches):
    original = shop.price
    patch = patches.apply(target(shop), pass_through, name="gone")
    face = shop.price
    patch.undo()
    shop.price = face

    text = str(patches.explain(target(shop)))

    assert code(text) == ["def price(amount=1, *, tax=0):"]
    assert "'gone'" not in text
    assert shop.price is original


def test_an_inert_dispatcher_under_a_foreign_wrapper_is_not_told(shop, patches):
    original = shop.price
    patch = patches.apply(target(shop), pass_through, name="gone")
    shop.price = foreign = shop.loud(shop.price)
    patch.undo()

    text = str(patches.explain(target(shop)))

    assert len(code(text)) == 2
    assert "not by safepatch" in text
    assert "'gone'" not in text
    assert shop.price is foreign
    shop.price = original


# Patches that stand nowhere.


def test_a_superseded_patch_is_told(shop, patches):
    original = shop.price
    patch = patches.apply(target(shop), pass_through, name="ours")
    line = here(back=1)
    shop.price = lambda amount=1: "theirs"

    for text in (str(patches.explain(target(shop))), str(patches.explain())):
        assert "superseded" in text
        assert "'ours'" in text
        assert line in text

    patch.undo()
    shop.price = original


def test_a_superseded_patch_that_was_applied_again_is_told_as_any_other(shop, patches):
    original = shop.price
    patch = patches.apply(target(shop), pass_through, name="ours")
    shop.price = theirs = lambda amount=1: "theirs"
    patch.apply()

    text = str(patches.explain(target(shop)))

    assert " is superseded" not in text
    assert len([line for line in text.splitlines() if line.startswith("@")]) == 1
    patch.undo()
    assert shop.price is theirs
    shop.price = original


def test_a_pending_patch_is_told_with_what_it_waits_for(patches):
    patches.register("waiting", "a_module_that_nobody_imports:f", pass_through).apply()

    for asked in ([], ["waiting"], ["a_module_that_nobody_imports:f"]):
        text = str(patches.explain(*asked))

        assert "'waiting'" in text
        assert "pending" in text
        assert "a_module_that_nobody_imports" in text


def test_a_declared_patch_that_is_registered_is_told(shop, patches):
    patches.register("declared", target(shop), pass_through)
    line = here(back=1)

    text = str(patches.explain())

    assert "'declared'" in text
    assert line in text


def test_a_skipped_patch_is_told_with_its_reason(shop, patches):
    patches.register(
        "skipped-one",
        target(shop),
        pass_through,
        guard=lambda original: "it rains",
        on_mismatch="skip",
    )
    with pytest.warns(safepatch.GuardWarning):
        patches.apply("skipped-one")

    for text in (str(patches.explain(target(shop))), str(patches.explain())):
        assert "'skipped-one'" in text
        assert "skipped" in text
        assert "it rains" in text


def test_a_skipped_patch_that_was_never_registered_is_told_too(shop, patches):
    """explain() tells every patch of every registry, skipped and failed ones too."""
    with pytest.warns(safepatch.GuardWarning):
        patch = patches.apply(
            target(shop),
            pass_through,
            guard=lambda original: "it rains",
            on_mismatch="skip",
            name="skipped-one",
        )

    text = str(patches.explain())

    assert patch.state == "skipped"
    assert "'skipped-one'" in text
    assert "it rains" in text


def test_a_failed_patch_is_told_with_its_reason(patches, tmp_path, monkeypatch):
    name = f"late_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("def f(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)

    def failing(wrapped):
        raise ZeroDivisionError("no decoration today")

    patches.apply(f"{name}:f", failing, when="import", name="failed-one")
    with pytest.warns(safepatch.GuardWarning):
        importlib.import_module(name)

    text = str(patches.explain())

    assert "'failed-one'" in text
    assert "failed" in text
    assert "no decoration today" in text
    patches.undo_all()
    del sys.modules[name]


# All there is.


def test_without_a_target_every_registry_is_told(shop, patches):
    with safepatch.Registry() as other, safepatch.patch(target(shop, "order"), pass_through) as at:
        patches.apply(target(shop), pass_through, name="ours")
        other.apply(target(shop, "Till.open"), pass_through, name="theirs")

        for registry in (patches, other, safepatch):
            text = str(registry.explain())

            assert "'ours'" in text
            assert "'theirs'" in text
            assert repr(at.name) in text
        patches.undo_all()


def test_a_site_of_several_patches_is_told_once(shop, patches):
    patches.apply(target(shop), pass_through, name="one-of-them")
    patches.apply((shop, "price"), pass_through, name="another")
    patches.apply(target(shop).replace(":", "."), pass_through, name="third")

    text = str(patches.explain())

    assert text.count("def price(") == 1
    assert text.count("'one-of-them'") == 1
    patches.undo_all()


def test_each_patch_of_a_group_is_told(shop, patches):
    patches.register(
        "group",
        [
            patches.patch(target(shop), pass_through),
            patches.patch(target(shop, "order"), pass_through),
        ],
    ).apply()

    for text in (str(patches.explain()), str(patches.explain("group"))):
        assert "def price(" in text
        assert "async def order(" in text
    patches.undo_all()


def test_an_undone_patch_that_was_never_registered_is_forgotten(shop, patches):
    patches.apply(target(shop), pass_through, name="forgotten").undo()

    assert "'forgotten'" not in str(patches.explain())


def test_what_left_sys_modules_is_told_without_importing_it_again(patches, tmp_path, monkeypatch):
    name = f"gone_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("def f(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    patches.apply(f"{name}:f", pass_through, name="of-a-module-that-is-gone")
    del sys.modules[name]

    text = str(patches.explain())

    assert name not in sys.modules
    assert "'of-a-module-that-is-gone'" in text
    patches.undo_all()


# 3.13 says of each partial in a class that 3.14 will bind it.
@pytest.mark.filterwarnings("ignore:functools.partial will be:FutureWarning")
@pytest.mark.parametrize("make", VICTIMS.values(), ids=VICTIMS.keys())
def test_every_kind_of_target_can_be_told(patches, make):
    victim = make()
    before = len(code(patches.explain(victim.target)))
    patches.apply(victim.target, pass_through, name="ours", aliases="ignore")

    texts = [str(patches.explain(victim.target)), str(patches.explain())]

    for text in texts:
        assert "@helpers.pass_through  # patch 'ours' applied from" in text
    assert before + 1 == len(code(texts[0]))
    assert " def " in f" {code(texts[0])[-1]}"
    patches.undo_all()
    sys.modules.pop(getattr(victim.owner, "__name__", None), None)


# For programs.


def simple(value):
    """Whether JSON would give back the same."""
    return value == json.loads(json.dumps(value))


def test_a_dict_for_programs_holds_what_the_text_says(shop, patches):
    original = shop.price
    with pytest.warns(safepatch.GuardWarning):
        patches.apply(
            target(shop),
            pass_through,
            noting([], 1),
            guard=lambda original: "it rains",
            on_mismatch="apply",
            name="first",
        )
    shop.price = shop.loud(shop.price)
    patches.apply((shop, "price"), pass_through, name="second", aliases="ignore")
    line = here(back=1)

    explanation = patches.explain(target(shop))
    found = explanation.to_dict()

    assert simple(found)
    assert [*found] == ["sites", "others"]
    (site,) = found["sites"]
    assert site["target"] == target(shop)
    assert [line["foreign"] for line in site["lines"]] == [False, True, False]
    assert [line.get("name") for line in site["lines"]] == ["second", None, "first"]
    assert site["lines"][0]["applied_from"] == line
    assert site["lines"][2]["decorators"] == ["@helpers.noting(...)", "@helpers.pass_through"]
    assert [guard["reason"] for guard in site["lines"][2]["guards"]] == ["it rains"]
    assert {line["state"] for line in site["lines"] if not line["foreign"]} == {"applied"}
    assert site["original"]["def"] == "def price(amount=1, *, tax=0):"
    assert site["original"]["where"] == f"{shop.__file__}:3"
    assert site["aliases"] == []
    patches.undo_all()
    shop.price = original


def test_a_dict_for_programs_holds_patches_that_stand_nowhere(shop, patches):
    gc.collect()  # registries of other tests, which have patches of the same names
    patches.register("waiting", "a_module_that_nobody_imports:f", pass_through).apply()
    patches.register("declared", target(shop), pass_through)

    found = patches.explain().to_dict()

    assert simple(found)
    states = {other["name"]: other["state"] for other in found["others"]}
    assert states["waiting"] == "pending"
    assert states["declared"] == "declared"


def test_a_dict_is_the_callers_own(shop, patches):
    """Whoever changes it changes nothing of what is told."""
    explanation = patches.explain(target(shop))
    text = str(explanation)

    explanation.to_dict()["sites"].clear()

    assert text == str(explanation)


def test_explaining_changes_nothing(shop, patches):
    patches.apply(target(shop), pass_through)
    before, modules = dict(vars(shop)), set(sys.modules)

    patches.explain(target(shop))
    patches.explain()

    assert before == vars(shop)
    assert modules == set(sys.modules)
    patches.undo_all()


def test_decorators_are_written_as_they_were_made_as_far_as_that_is_known(shop, patches):
    class Callable:
        def __call__(self, wrapped):
            return wrapped

    patches.apply(
        target(shop),
        pass_through,
        decorating(1),
        noting([], "a mark"),
        counting("x" * 100),
        Callable(),
        lambda wrapped: wrapped,
    )

    lines = code(patches.explain(target(shop)))

    assert lines[-2] == lines[-3] == "@helpers.pass_through"
    assert lines[-4] == "@helpers.noting(...)"
    assert lines[-5].startswith(f"@{__name__}._counting(mark='xxx")
    assert all(len(line) < 100 for line in lines)
    assert all("0x" not in line for line in lines)
    patches.undo_all()


NO_FUNCTIONS = {
    "json:JSONEncoder": "class JSONEncoder: ...  # no function, and cannot be patched",
    "os:sep": "str: ...  # no function, and cannot be patched",
    "enum:Enum.name": "property: ...  # no function, and cannot be patched",
}


@pytest.mark.parametrize(("asked", "told"), NO_FUNCTIONS.items())
def test_what_is_no_function_is_told_for_what_it_is(asked, told):
    assert told in str(safepatch.explain(asked))


def test_what_cannot_be_patched_can_still_be_explained():
    assert "def get(self, key, default=None, /)" in str(safepatch.explain("builtins:dict.get"))


def test_what_somebody_put_there_instead_is_told_to_live_elsewhere(shop):
    original = shop.price

    def fake(amount=1):
        return amount

    shop.price = fake
    text = str(safepatch.explain(target(shop)))
    shop.price = original

    assert f"says it is {__name__}:{fake.__qualname__}" in text
    assert "says it is" not in str(safepatch.explain(target(shop)))


def test_a_name_whose_patch_failed_is_explained_by_why(patches, tmp_path, monkeypatch):
    (tmp_path / "explained_late.py").write_text("def function():\n    return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    patches.register("misspelt", "explained_late:functoin", pass_through).apply()
    with pytest.warns(safepatch.GuardWarning):
        importlib.import_module("explained_late")

    told = str(patches.explain("misspelt"))

    assert "patch 'misspelt'" in told
    assert "failed" in told
    assert "did you mean 'function'?" in told


def test_which_calls_alone_see_a_patch_is_told(patches):
    def slow(*args, **kwargs):
        return True

    told = []
    for options in [{}, {"scope": "context"}, {"only_from": "requests"}, {"only_if": slow}]:
        with patches.patch("json:dumps", pass_through, **options):
            told.append(patches.explain("json:dumps"))

    only = [one.to_dict()["sites"][0]["lines"][0]["only"] for one in told]
    assert only[:3] == [[], ["in the context that applied it"], ["from 'requests'"]]
    assert only[3][0].startswith("if test_explain.test_which")
    assert ", only from 'requests'\n" in str(told[2])


def test_a_mock_that_stands_at_a_place_is_told_as_an_object(patches):
    with mock.patch("json.dumps"):
        told = str(patches.explain("json:dumps"))

    assert "an object of unittest.mock:MagicMock" in told


def test_what_another_registry_has_declared_is_told_and_not_imported(patches):
    sys.modules.pop("colorsys", None)
    other = safepatch.Registry()
    other.register("another's", "colorsys:rgb_to_hls", pass_through)

    told = str(patches.explain("colorsys:rgb_to_hls"))

    assert 'patch "another\'s"' in told
    assert "colorsys" not in sys.modules


def test_a_patch_and_a_group_can_be_explained_themselves(shop, patches):
    patch = patches.apply((shop, "price"), pass_through, aliases="ignore")
    group = patches.register("group", [patches.patch("json:dumps", pass_through)])

    assert str(patches.explain(patch)) == str(patches.explain((shop, "price")))
    assert "patch 'json:dumps'" in str(patches.explain(group))


def test_an_owner_without_a_namespace_is_told(patches):
    assert "cannot be patched" in str(patches.explain((3, "real")))
