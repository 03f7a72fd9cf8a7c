"""SAFEPATCH_DISABLE: patches that whoever starts the process does not want."""

import importlib
import logging
import os
import subprocess
import sys
import types
import uuid

import pytest
from helpers import noting, pass_through

import safepatch


@pytest.fixture
def shop():
    """A module of a name of its own, since what is disabled is logged once in a process."""
    made = types.ModuleType(f"shop_{uuid.uuid4().hex}")
    exec("def one(): return 1\ndef two(): return 2", made.__dict__)
    sys.modules[made.__name__] = made
    before = dict(vars(made))
    yield made
    assert before == vars(made)
    del sys.modules[made.__name__]


@pytest.fixture
def disable(monkeypatch):
    return lambda text: monkeypatch.setenv("SAFEPATCH_DISABLE", text)


DISABLING = {
    "the name": "first",
    "the target": "{shop}:one",
    "everything": "*",
    "the name among others": "other,first",
    "the target among others": "other:f,{shop}:one",
    "everything among others": "other,*",
    "with spaces": " other , first ",
}

LEAVING = {
    "nothing": "",
    "another name": "second",
    "another target": "{shop}:two",
    "the beginning of the name": "fir",
    "the module alone": "{shop}",
    "commas": ",,",
}


@pytest.mark.parametrize("text", DISABLING.values(), ids=DISABLING.keys())
def test_a_patch_is_skipped_when_disabled_by(shop, disable, text):
    disable(text.format(shop=shop.__name__))

    patch = safepatch.apply(f"{shop.__name__}:one", pass_through, name="first")

    assert patch.state == "skipped"
    assert "SAFEPATCH_DISABLE" in patch.reason
    assert safepatch.live() == []


@pytest.mark.parametrize("text", LEAVING.values(), ids=LEAVING.keys())
def test_a_patch_is_applied_in_spite_of(shop, disable, text):
    disable(text.format(shop=shop.__name__))

    with safepatch.patch(f"{shop.__name__}:one", pass_through, name="first") as patch:
        assert patch.state == "applied"


SPELLINGS = {
    "a pair": lambda shop: (shop, "one"),
    "a function": lambda shop: shop.one,
    "dots": lambda shop: f"{shop.__name__}.one",
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_target_is_disabled_however_the_patch_spells_it(shop, disable, spell):
    disable(f"{shop.__name__}:one")

    with safepatch.patch(spell(shop), pass_through) as patch:
        assert patch.state == "skipped"


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_target_is_disabled_by_another_name_of_the_same_place(shop, disable, spell, monkeypatch):
    """requests:Session.send is requests.sessions:Session.send, which patches may say or not."""
    monkeypatch.setitem(sys.modules, "another_name_of_the_shop", shop)
    disable("another_name_of_the_shop:one")

    with safepatch.patch(spell(shop), pass_through) as patch:
        assert patch.state == "skipped"


def test_what_leads_to_no_place_disables_nothing(shop, disable):
    disable("nobody:f, shop:, :, json:nope, another.thing")

    with safepatch.patch(f"{shop.__name__}:one", pass_through) as patch:
        assert patch.state == "applied"


def test_a_target_is_disabled_in_its_dotted_form(shop, disable):
    disable(f"{shop.__name__}.one")

    with safepatch.patch(f"{shop.__name__}:one", pass_through) as patch:
        assert patch.state == "skipped"


WAYS = {
    "apply": lambda patches, shop: patches.apply(f"{shop.__name__}:one", pass_through),
    "with": lambda patches, shop: patches.patch(f"{shop.__name__}:one", pass_through).__enter__(),
    "apply by name": lambda patches, shop: (
        patches.register("first", f"{shop.__name__}:one", pass_through) and patches.apply("first")
    ),
    "apply all": lambda patches, shop: (
        patches.register("first", f"{shop.__name__}:one", pass_through),
        patches.apply_all(),
    )[0],
    "a group": lambda patches, shop: patches.register(
        "group", [patches.patch(f"{shop.__name__}:one", pass_through)]
    ).apply(),
}


@pytest.mark.parametrize("apply", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("text", ["*", "{shop}:one"])
def test_every_way_to_apply_heeds_it(shop, patches, disable, apply, text):
    before = dict(vars(shop))
    disable(text.format(shop=shop.__name__))

    patch = apply(patches, shop)

    assert patch.state == "skipped"
    assert before == vars(shop)
    assert patches.live() == []


def test_a_decorated_function_runs_unpatched(shop, disable):
    disable("*")
    log = []

    run = safepatch.patch(f"{shop.__name__}:one", noting(log, "ran"))(lambda: shop.one())

    assert run() == 1
    assert log == []


def test_it_holds_for_every_registry(shop, patches, disable):
    disable("first")
    other = safepatch.Registry()

    states = [
        registry.apply(f"{shop.__name__}:one", pass_through, name="first").state
        for registry in (patches, other, safepatch)
    ]

    assert states == ["skipped"] * 3


def test_a_group_is_disabled_by_its_name(shop, patches, disable):
    disable("group")
    group = patches.register(
        "group", [patches.patch(f"{shop.__name__}:{name}", pass_through) for name in ("one", "two")]
    )

    group.apply()

    assert group.state == "skipped"
    assert "SAFEPATCH_DISABLE" in group.reason
    assert patches.live() == []


def test_other_patches_are_applied_beside_a_disabled_one(shop, patches, disable):
    disable("first")
    patches.register("first", f"{shop.__name__}:one", pass_through)
    second = patches.register("second", f"{shop.__name__}:two", pass_through)

    patches.apply_all()

    assert patches.live() == [second]


def test_a_disabled_patch_asks_nothing_and_imports_nothing(disable, tmp_path, monkeypatch):
    name = f"late_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("def f(): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    disable("first")

    patch = safepatch.apply(
        f"{name}:f",
        lambda wrapped: pytest.fail("decorated"),
        guard=lambda original: pytest.fail("guarded"),
        name="first",
    )

    assert patch.state == "skipped"
    assert name not in sys.modules


def test_a_disabled_patch_does_not_wait_for_an_import(disable, tmp_path, monkeypatch):
    name = f"late_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("def f(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    disable("*")
    patch = safepatch.apply(f"{name}:f", lambda wrapped: lambda: 2, when="import")

    module = importlib.import_module(name)

    assert patch.state == "skipped"
    assert module.f() == 1


def test_it_is_said_once_in_the_log(shop, disable, caplog):
    name = f"first-{uuid.uuid4().hex}"
    disable(name)

    with caplog.at_level(logging.INFO):
        patch = safepatch.patch(f"{shop.__name__}:one", pass_through, name=name)
        for _ in range(3):
            patch.apply()
            with patch:
                pass

    said = [record for record in caplog.records if name in record.getMessage()]
    assert len(said) == 1
    assert "SAFEPATCH_DISABLE" in said[0].getMessage()
    assert said[0].name.partition(".")[0] == "safepatch"


def test_each_disabled_patch_is_said(shop, disable, caplog):
    disable("*")

    with caplog.at_level(logging.INFO):
        for name in ("one", "two"):
            safepatch.apply(f"{shop.__name__}:{name}", pass_through)

    text = caplog.text
    assert f"{shop.__name__}:one" in text
    assert f"{shop.__name__}:two" in text


@pytest.mark.parametrize("by", ["name", "everything"])
def test_a_disabled_group_is_said_once(shop, patches, disable, caplog, by):
    name = f"group-{uuid.uuid4().hex}"
    disable(name if by == "name" else "*")
    group = patches.register(
        name, [patches.patch(f"{shop.__name__}:{each}", pass_through) for each in ("one", "two")]
    )

    with caplog.at_level(logging.INFO):
        group.apply()

    said = f"patch {name!r} of '{shop.__name__}:one and 1 more' is skipped"
    assert [each.getMessage() for each in caplog.records] == [f"{said}: SAFEPATCH_DISABLE names it"]


def test_two_patches_of_one_name_are_both_said(shop, patches, disable, caplog):
    """A name is one registry's own; the log tells which target is left alone."""
    name = f"first-{uuid.uuid4().hex}"
    disable(name)

    with caplog.at_level(logging.INFO):
        patches.apply(f"{shop.__name__}:one", pass_through, name=name)
        safepatch.apply(f"{shop.__name__}:two", pass_through, name=name)

    assert caplog.text.count(name) == 2


def test_what_is_live_already_stays(shop, disable):
    patch = safepatch.apply(f"{shop.__name__}:one", lambda wrapped: lambda: "ours")

    disable("*")
    patch.apply()

    assert patch.state == "applied"
    assert shop.one() == "ours"
    patch.undo()


def test_without_it_the_patch_can_be_applied_again(shop, monkeypatch, disable):
    disable("*")
    patch = safepatch.apply(f"{shop.__name__}:one", lambda wrapped: lambda: "ours")
    monkeypatch.delenv("SAFEPATCH_DISABLE")

    with patch:
        assert shop.one() == "ours"
        assert patch.reason is None


def test_explain_tells_what_is_disabled(shop, patches, disable):
    disable("first")
    patches.register("first", f"{shop.__name__}:one", pass_through).apply()

    text = str(patches.explain())

    assert "'first'" in text
    assert "skipped" in text
    assert "SAFEPATCH_DISABLE" in text


def test_the_environment_of_a_process_is_enough():
    program = (
        "import json, safepatch;"
        "p = safepatch.apply('json:dumps', lambda wrapped: lambda *a: 'patched');"
        "print(p.state, json.dumps(1))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ
        | {"SAFEPATCH_DISABLE": "json:dumps", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout == "skipped 1\n"
    assert "SAFEPATCH_DISABLE" in found.stderr
