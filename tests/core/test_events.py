"""What becomes of a patch is told to the log, with its facts as attributes of the record."""

import importlib
import logging
import sys
import types
import uuid

import pytest
from children import child
from helpers import pass_through

import safepatch
from safepatch import stacks

FACTS = ("event", "patch", "target", "registry", "applied_from", "reason")


@pytest.fixture
def shop():
    made = types.ModuleType(f"shop_{uuid.uuid4().hex}")
    exec("def one(): return 1\ndef two(): return 2", made.__dict__)
    sys.modules[made.__name__] = made
    yield made
    del sys.modules[made.__name__]


@pytest.fixture
def told(caplog):
    """The events, as pairs of event and patch."""
    caplog.set_level(logging.DEBUG, "safepatch")
    return lambda: [
        (record.event, record.patch) for record in caplog.records if hasattr(record, "event")
    ]


def test_apply_and_undo_are_told_with_who_applied_it(shop, patches, caplog, told):
    patch = patches.apply((shop, "one"), pass_through, name="first")
    patch.undo()

    applied, undone = caplog.records
    assert told() == [("applied", "first"), ("undone", "first")]
    assert (applied.name, applied.levelname) == ("safepatch", "DEBUG")
    assert applied.getMessage() == f"patch 'first' of '{shop.__name__}:one' is applied"
    assert {fact: getattr(applied, fact) for fact in FACTS} == {
        "event": "applied",
        "patch": "first",
        "target": f"{shop.__name__}:one",
        "registry": repr(patches),
        "applied_from": patch.applied_from,
        "reason": None,
    }
    assert patch.applied_from.startswith(__file__)
    assert undone.applied_from == patch.applied_from


def test_what_changes_nothing_is_not_told(shop, patches, told):
    patch = patches.apply((shop, "one"), pass_through, name="first")
    patch.apply()
    patch.undo()
    patch.undo()
    patches.undo_all()

    assert told() == [("applied", "first"), ("undone", "first")]


def test_a_block_and_a_group_are_told_too(shop, patches, told):
    group = patches.register(
        "group", [patches.patch((shop, name), pass_through, name=name) for name in ("one", "two")]
    )

    with group, group.parts[0]:
        pass

    assert told() == [("applied", "one"), ("applied", "two"), ("undone", "two"), ("undone", "one")]


def test_half_a_group_that_is_taken_back_is_told(shop, patches, told):
    group = patches.register("group", [patches.patch((shop, "one"), pass_through, name="one")])
    broken = patches.patch((shop, "nothing"), pass_through, name="broken")

    with pytest.raises(safepatch.TargetError):
        patches.register("both", [broken, patches.patch((shop, "two"), pass_through)]).apply()
    group.apply()

    assert told() == [("applied", "one")]


def test_a_skip_is_told_with_its_reason(shop, patches, caplog, told):
    with pytest.warns(safepatch.GuardWarning):
        patches.apply(
            (shop, "one"),
            pass_through,
            name="first",
            guard=lambda original: "not today",
            on_mismatch="skip",
        )

    assert told() == [("skipped", "first")]
    assert caplog.records[-1].reason == "not today"
    assert caplog.records[-1].getMessage().endswith("is skipped: not today")


def test_what_the_environment_disables_is_told_each_time(shop, patches, told, monkeypatch):
    monkeypatch.setenv("SAFEPATCH_DISABLE", "*")

    patch = patches.apply((shop, "one"), pass_through, name="first")
    patch.apply()

    assert told() == [("skipped", "first")] * 2


@pytest.fixture
def late(tmp_path, monkeypatch):
    name = f"late_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("def one(): return 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def test_a_patch_that_waits_is_told_once_and_then_that_it_is_applied(late, patches, caplog, told):
    patch = patches.apply(f"{late}:one", pass_through, name="first", when="import")
    patch.apply()
    waiting = caplog.records[-1]
    importlib.import_module(late)
    patch.undo()

    assert told() == [("pending", "first"), ("applied", "first"), ("undone", "first")]
    assert waiting.reason == f"waits for {late} to be imported"
    assert waiting.levelname == "DEBUG"


def test_one_that_is_undone_while_it_waits_is_told(late, patches, told):
    patches.apply(f"{late}:one", pass_through, name="first", when="import").undo()

    assert told() == [("pending", "first"), ("undone", "first")]


def test_one_that_fails_in_an_import_is_told(late, patches, caplog, told):
    def broken(wrapped):
        raise KeyError("broken")

    patches.apply(f"{late}:one", broken, name="first", when="import")
    with pytest.warns(safepatch.GuardWarning):
        importlib.import_module(late)

    assert told() == [("pending", "first"), ("failed", "first")]
    assert caplog.records[-1].levelname == "INFO"
    assert caplog.records[-1].reason == "KeyError: 'broken'"


def test_that_somebody_replaced_the_site_is_told_once_when_it_is_noticed(
    shop, patches, caplog, told
):
    patch = patches.apply((shop, "one"), pass_through, name="first")
    standing, shop.one = shop.one, lambda: 3

    seen = [patch.superseded, patch.superseded]
    patches.explain()
    shop.one = standing

    assert seen == [True, True]
    assert told() == [("applied", "first"), ("superseded", "first")]
    assert caplog.records[-1].levelname == "INFO"


def test_handlers_run_without_our_lock(shop, patches):
    """A handler may take what locks it likes: here, another thread's apply is waited for."""
    import threading

    seen = []

    def take():
        with stacks.lock:
            pass

    def handle(record):
        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        thread.join(5)
        seen.append((record.event, "waits" if thread.is_alive() else "takes it"))
        return True

    logger = logging.getLogger("safepatch")
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addFilter(handle)
    try:
        with patches.patch((shop, "one"), pass_through) as patch:
            patch.undo()
            patch.apply()
            shop.one = None
            patch.superseded
    finally:
        logger.removeFilter(handle)
        logger.setLevel(before)

    events = ["applied", "undone", "applied", "superseded", "undone"]
    assert seen == [(event, "takes it") for event in events]


def test_a_filter_that_raises_changes_nothing(shop, patches):
    def broken(record):
        raise KeyError

    logger = logging.getLogger("safepatch")
    before, space = logger.level, dict(vars(shop))
    logger.setLevel(logging.DEBUG)
    logger.addFilter(broken)
    try:
        patch = patches.apply((shop, "one"), pass_through)
        assert patch.state == "applied"
        patch.undo()
    finally:
        logger.removeFilter(broken)
        logger.setLevel(before)

    assert space == vars(shop)


def test_a_program_that_has_not_set_up_logging_sees_nothing():
    """Not on stderr either, which `child` looks at."""
    printed = child(
        """
        import logging, types
        import safepatch

        def same(wrapped):
            return lambda: wrapped()

        made = types.SimpleNamespace(f=lambda: 1)
        patch = safepatch.apply((made, "f"), same)
        made.f = None
        assert patch.superseded
        safepatch.undo_all()
        safepatch.register("later", "json.tool:main", same)
        safepatch.apply("later")
        safepatch.undo_all()
        """
    )

    assert printed == ""


def test_importing_safepatch_does_not_import_logging():
    assert child("import sys, safepatch; print('logging' in sys.modules)") == "False"
