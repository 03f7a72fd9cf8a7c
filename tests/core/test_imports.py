"""Waiting for imports: what is told, what is left alone, and what must not break."""

import asyncio
import importlib
import importlib.machinery
import importlib.resources
import importlib.util
import inspect
import pathlib
import pkgutil
import sys
import textwrap
import threading
import warnings
import zipfile

import pytest
from children import child, run_python
from helpers import noting, pass_through

import safepatch
from safepatch import GuardWarning, imports
from safepatch.sites import Site

DEADLINE = 20

FUNCTION = """
    def function(a=1):
        return ("original", a)

    class Owner:
        def method(self):
            return "method"
    """


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write source files where import finds them; all they bring is forgotten at the end."""
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(sys.modules)

    def write(files):
        for name, source in files.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source))
        importlib.invalidate_caches()
        return tmp_path

    write.path = tmp_path
    yield write
    for name in set(sys.modules) - set(before):
        if name.startswith("watched"):
            del sys.modules[name]


@pytest.fixture
def watched(write):
    """A module named watched with something to patch."""
    return write({"watched": FUNCTION})


@pytest.fixture
def warned():
    """Collect warnings instead of failing at the first."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


@pytest.fixture
def finders():
    """Where finders of the test's own are put; the list itself, since others hold it too."""
    before = list(sys.meta_path)
    yield sys.meta_path
    sys.meta_path[:] = [finder for finder in sys.meta_path if finder in before]


@pytest.fixture(autouse=True)
def meta_path_is_as_before():
    before = list(sys.meta_path)
    yield
    assert before == sys.meta_path


def wait_for(registry, target="watched:function", *decorators, **options):
    return registry.apply(target, *(decorators or (pass_through,)), when="import", **options)


def failing(wrapped):
    raise KeyError("told")


# --- Waiting.


def test_a_patch_is_pending_until_the_module_is_imported(watched, patches):
    log = []
    patch = wait_for(patches, "watched:function", noting(log, "ran"))
    assert (patch.state, patches.live(), "watched" in sys.modules) == ("pending", [], False)

    import watched as module

    assert patch.state == "applied"
    assert patches.live() == [patch]
    assert module.function() == ("original", 1)
    assert log == ["ran"]


def test_a_module_that_is_imported_already_is_patched_at_once(watched, patches):
    importlib.import_module("watched")

    assert wait_for(patches).state == "applied"


@pytest.mark.parametrize(
    "look",
    [
        lambda patch: safepatch.explain(),
        lambda patch: str(safepatch.explain()),
        lambda patch: safepatch.live(),
        lambda patch: repr(patch),
        lambda patch: patch.superseded,
        lambda patch: patch.apply(),
        lambda patch: patch.undo(),
        lambda patch: (patch.undo(), patch.apply()),
        lambda patch: importlib.util.find_spec("watched"),
        lambda patch: pkgutil.find_loader("watched") if sys.version_info < (3, 12) else None,
        lambda patch: list(pkgutil.iter_modules()),
    ],
)
@pytest.mark.filterwarnings("ignore:.*find_loader:DeprecationWarning")
def test_nothing_that_one_asks_a_pending_patch_imports_its_module(look, watched, patches):
    patch = wait_for(patches)

    look(patch)

    assert "watched" not in sys.modules


def test_register_and_apply_by_name_wait_for_the_import(watched, patches):
    patches.register("waiting", "watched:function", pass_through)
    patch = patches.apply("waiting")
    assert (patch.state, "watched" in sys.modules) == ("pending", False)

    import watched  # noqa: F401

    assert patch.state == "applied"


@pytest.mark.parametrize("how", ["undo", "undo_all", "registry exit"])
def test_a_pending_patch_can_be_cancelled(how, watched):
    with safepatch.Registry() as registry:
        patch = wait_for(registry)
        if how == "undo":
            patch.undo()
        elif how == "undo_all":
            registry.undo_all()

    module = importlib.import_module("watched")

    assert patch.state == "undone"
    assert module.function.__code__.co_filename.endswith("watched.py")


def test_the_finder_is_there_only_while_somebody_waits(watched, patches):
    before = list(sys.meta_path)
    first, second = wait_for(patches), wait_for(patches)
    assert len(sys.meta_path) == len(before) + 1

    first.undo()
    assert len(sys.meta_path) == len(before) + 1
    second.undo()
    assert sys.meta_path == before


def test_undo_after_the_import_takes_the_finder_away_and_restores(watched, patches):
    before = list(sys.meta_path)
    patch = wait_for(patches)
    module = importlib.import_module("watched")

    patch.undo()

    assert sys.meta_path == before
    assert module.function.__code__.co_filename.endswith("watched.py")


def test_other_modules_are_imported_without_us(watched, patches, write):
    write({"watched_other": "value = 1"})
    wait_for(patches)

    other = importlib.import_module("watched_other")

    assert type(other.__spec__.loader) is importlib.machinery.SourceFileLoader
    assert "watched" not in sys.modules


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_several_patches_that_wait_for_one_module_apply_in_the_order_they_came(
    watched, patches, order
):
    log = []
    waiting = [wait_for(patches, "watched:function", noting(log, mark)) for mark in range(3)]
    method = wait_for(patches, "watched:Owner.method", noting(log, "method"))

    module = importlib.import_module("watched")
    module.function()
    module.Owner().method()

    assert log == [2, 1, 0, "method"]
    original = waiting[0].original
    for mark in order:
        waiting[mark].undo()
    method.undo()
    log.clear()
    assert module.function() == original() == ("original", 1)
    assert log == []


def test_one_that_is_cancelled_leaves_the_others_waiting(watched, patches):
    log = []
    waiting = [wait_for(patches, "watched:function", noting(log, mark)) for mark in range(3)]
    waiting[1].undo()

    importlib.import_module("watched").function()

    assert log == [2, 0]


# --- What is told of the module, and when.


def test_the_patch_is_applied_when_the_code_of_the_module_has_run_to_its_end(write, patches):
    write(
        {
            "watched": """
        def function():
            return "first"
        early = function
        def function():
            return "second"
        called = function()
        """
        }
    )
    log = []
    wait_for(patches, "watched:function", noting(log, "ran"))

    module = importlib.import_module("watched")

    assert log == []
    assert module.function() == "second"
    assert log == ["ran"]


def test_a_module_that_replaces_itself_is_patched_as_it_then_is(write, patches):
    write(
        {
            "watched": """
        import sys, types

        class Facade(types.ModuleType):
            def function(self):
                return "facade"

        made = Facade(__name__)
        made.__spec__ = __spec__
        made.function = lambda: "replaced"
        sys.modules[__name__] = made
        """
        }
    )
    log = []
    patch = wait_for(patches, "watched:function", noting(log, "ran"))

    module = importlib.import_module("watched")

    assert type(module).__name__ == "Facade"
    assert patch.state == "applied"
    assert module.function() == "replaced"
    assert log == ["ran"]


@pytest.mark.parametrize("spec", ["", "made.__spec__ = __spec__"], ids=["no spec", "its spec"])
def test_a_module_may_replace_itself_by_an_object_that_is_no_module(write, patches, spec):
    write(
        {
            "watched": f"""
        import sys

        class Facade:
            @staticmethod
            def function():
                return "facade"

        made = Facade()
        made.function = lambda: "replaced"
        {spec}
        sys.modules[__name__] = made
        """
        }
    )
    patch = wait_for(patches)

    module = importlib.import_module("watched")

    assert patch.state == "applied"
    assert module.function() == "replaced"


def test_a_half_imported_module_is_waited_for(write, patches):
    """A patch applied by what the module imports, before it has come to the function."""
    write(
        {
            "watched": """
        import watched_helper
        def function():
            return "original"
        """,
            "watched_helper": """
        import watched
        hook()
        """,
        }
    )
    made = []
    helper = write.path / "watched_helper.py"
    helper.write_text("import sys\nsys.watched_hook()\n")
    sys.watched_hook = lambda: made.append((wait_for(patches), patches.live()))
    try:
        module = importlib.import_module("watched")
    finally:
        del sys.watched_hook

    (patch, live), *more = made
    assert (more, live) == ([], [])
    assert patch.state == "applied"
    assert module.function() == "original"


def test_a_half_imported_package_is_waited_for_from_its_submodule(write, patches):
    write(
        {
            "watched/__init__": """
        from watched import sub
        def function():
            return "original"
        """,
            "watched/sub": "import sys; sys.watched_hook()",
        }
    )
    made = []
    sys.watched_hook = lambda: made.append(wait_for(patches))
    try:
        importlib.import_module("watched")
    finally:
        del sys.watched_hook

    assert [patch.state for patch in made] == ["applied"]


def test_a_patch_that_waits_for_a_half_imported_module_can_be_cancelled(write, patches):
    write(
        {
            "watched": """
        import sys
        sys.watched_hook()
        def function():
            return "original"
        """
        }
    )
    made = []
    sys.watched_hook = lambda: made.append(wait_for(patches).undo())
    try:
        module = importlib.import_module("watched")
    finally:
        del sys.watched_hook

    assert module.function.__code__.co_filename.endswith("watched.py")
    assert type(module.__spec__) is importlib.machinery.ModuleSpec


def test_modules_that_import_each_other_are_patched_when_each_is_complete(write, patches):
    write(
        {
            "watched_a": "import watched_b\ndef function():\n    return watched_b.function() + 'a'",
            "watched_b": "import watched_a\ndef function():\n    return 'b'",
        }
    )
    log = []
    for name in "ab":
        wait_for(patches, f"watched_{name}:function", noting(log, name))

    module = importlib.import_module("watched_a")

    assert module.function() == "ba"
    assert log == ["a", "b"]


# --- Reload.

RELOADED = {
    "function": ("watched:function", lambda module: module.function(), {}),
    "method": ("watched:Owner.method", lambda module: module.Owner().method(), {}),
    "function in place": (
        "watched:function",
        lambda module: module.function(),
        {"aliases": "rebind"},
    ),
    "method in place": (
        "watched:Owner.method",
        lambda module: module.Owner().method(),
        {"aliases": "rebind"},
    ),
}


@pytest.mark.parametrize("kind", RELOADED)
@pytest.mark.parametrize("early", [True, False], ids=["before the import", "after the import"])
def test_a_reload_applies_the_patch_again_exactly_once(kind, early, watched, patches):
    target, call, options = RELOADED[kind]
    log = []
    if not early:
        importlib.import_module("watched")
    patch = wait_for(patches, target, noting(log, "ran"), **options)
    module = importlib.import_module("watched")

    for _ in range(3):
        importlib.reload(module)
        log.clear()
        call(module)
        assert log == ["ran"]

    assert patches.live() == [patch]
    patch.undo()
    log.clear()
    call(module)
    assert log == []
    assert module.function.__code__.co_filename.endswith("watched.py")


def test_a_module_imported_afresh_is_patched_again(watched, patches):
    """Tests often take a module out of sys.modules and import it anew."""
    log = []
    patch = wait_for(patches, "watched:function", noting(log, "ran"))
    importlib.import_module("watched")
    del sys.modules["watched"]

    fresh = importlib.import_module("watched")
    fresh.function()

    assert log == ["ran"]
    assert not patch.superseded


def test_a_reload_that_fails_leaves_a_patch_that_can_be_undone(watched, write, patches):
    log = []
    patch = wait_for(patches, "watched:function", noting(log, "ran"))
    module = importlib.import_module("watched")
    write({"watched": "raise KeyError('broken')  # of another length, so compiled anew"})

    with pytest.raises(KeyError):
        importlib.reload(module)

    module.function()
    assert log == ["ran"]
    patch.undo()
    assert module.function.__code__.co_filename.endswith("watched.py")


def test_a_reload_after_one_that_failed_applies_again(watched, write, patches):
    log = []
    wait_for(patches, "watched:function", noting(log, "ran"))
    module = importlib.import_module("watched")
    write({"watched": f"{FUNCTION}\n    raise KeyError('broken')\n"})
    with pytest.raises(KeyError):
        importlib.reload(module)

    write({"watched": f"{FUNCTION}\n    # and this is longer than both of the others were\n"})
    importlib.reload(module)
    module.function()

    assert log == ["ran"]


def test_a_reload_without_the_function_makes_the_patch_failed(write, warned, patches):
    write({"watched": "def function():\n    return 'original'\nfound = True\n"})
    patch = wait_for(patches)
    module = importlib.import_module("watched")
    write({"watched": "del function  # gone in the next version\n"})

    importlib.reload(module)

    assert patch.state == "failed"
    assert "function" in patch.reason
    assert len(warned) == 1


@pytest.mark.parametrize("kind", RELOADED)
@pytest.mark.parametrize("trouble", ["guard", "skipping guard", "decorator"])
def test_a_no_or_an_error_at_a_reload_leaves_nothing_patched_and_says_so(
    kind, trouble, watched, warned, patches
):
    target, call, options = RELOADED[kind]
    log, tries = [], []

    def no(original):
        return "it rains" if tries else None

    def deco(wrapped):
        if tries and trouble == "decorator":
            raise KeyError("told")
        return noting(log, "ran")(wrapped)

    if trouble != "decorator":
        options = {**options, "guard": no}
    on_mismatch = "skip" if trouble == "skipping guard" else "raise"
    patch = wait_for(patches, target, deco, on_mismatch=on_mismatch, **options)
    module = importlib.import_module("watched")
    old = module.Owner
    tries.append(1)
    importlib.reload(module)

    call(module)
    old().method()
    assert log == []
    assert patch.state == ("failed" if trouble == "decorator" else "skipped")
    assert ("told" if trouble == "decorator" else "it rains") in patch.reason
    assert (patch.superseded, patches.live()) == (False, [])
    assert len(warned) == 1

    tries.clear()
    importlib.reload(module)
    call(module)
    assert log == ["ran"]
    assert patch.state == "applied"


def test_the_applier_of_a_patch_that_waited_is_who_applied_it_not_who_imported(watched, patches):
    patch = patches.apply("watched:function", pass_through, when="import")
    line = sys._getframe().f_lineno - 1

    for importing in (importlib.import_module, lambda name: importlib.reload(sys.modules[name])):
        importing("watched")

        assert patch.applied_from == f"{__file__}:{line}"


WATCHES = {
    "before": lambda watch, undo: lambda *args: (undo(), watch(*args)),
    "after": lambda watch, undo: lambda *args: (watch(*args), undo()),
}


# Before the import an undo that comes before anybody watches undoes nothing.
@pytest.mark.parametrize(
    ("imported", "order"), [(True, "before"), (True, "after"), (False, "after")]
)
def test_an_undo_while_a_patch_begins_to_wait_is_the_end_of_it(
    order, imported, watched, patches, monkeypatch
):
    """By another thread, between any two steps of this one."""
    log = []
    if imported:
        importlib.import_module("watched")
    patch = patches.patch("watched:function", noting(log, "ran"), when="import")
    monkeypatch.setattr(imports, "watch", WATCHES[order](imports.watch, patch.undo))

    patch.apply()

    module = importlib.reload(importlib.import_module("watched"))
    module.function()
    assert log == []
    assert patch.state in ("declared", "undone")
    assert imports._waiting == {}


def test_a_patch_that_cannot_be_put_in_place_is_failed_and_tried_again(
    watched, warned, patches, monkeypatch
):
    patch, push = wait_for(patches, "watched:function"), Site.push

    def refusing(site, entry):
        raise RuntimeError("told")

    monkeypatch.setattr(Site, "push", refusing)
    module = importlib.import_module("watched")
    assert (patch.state, patch.reason) == ("failed", "RuntimeError: told")
    monkeypatch.setattr(Site, "push", push)

    importlib.reload(module)

    assert patch.state == "applied"


# --- Errors never break the import.


def test_an_import_that_fails_and_then_succeeds_is_patched(write, patches):
    write({"watched": f"{FUNCTION}\n    import sys; sys.watched_hook()\n"})
    log = []
    patch = wait_for(patches, "watched:function", noting(log, "ran"))

    with pytest.raises(AttributeError):
        importlib.import_module("watched")
    assert patch.state == "pending"
    sys.watched_hook = lambda: None
    try:
        importlib.import_module("watched").function()
    finally:
        del sys.watched_hook

    assert patch.state == "applied"
    assert log == ["ran"]


def no(original):
    return "the guard says no"


def raising_guard(original):
    raise KeyError("told")


def returning_nothing(wrapped):
    return None


LATE = {
    "decorator raises": ((failing,), {}, "failed", "told"),
    "decorator returns nothing": ((returning_nothing,), {}, "failed", "cannot be called"),
    "guard says no": ((pass_through,), {"guard": no}, "skipped", "the guard says no"),
    "guard says no, skip": (
        (pass_through,),
        {"guard": no, "on_mismatch": "skip"},
        "skipped",
        "the guard says no",
    ),
    "guard says no, apply": (
        (pass_through,),
        {"guard": no, "on_mismatch": "apply"},
        "applied",
        None,
    ),
    "guard raises": ((pass_through,), {"guard": raising_guard}, "failed", "told"),
    "signature is another": ((pass_through,), {"signature": "(x, y)"}, "skipped", "signature"),
}


@pytest.mark.parametrize("strict", [False, True], ids=["", "-W error"])
@pytest.mark.parametrize("case", LATE)
def test_what_goes_wrong_late_is_said_and_never_breaks_the_import(
    case, strict, watched, patches, caplog
):
    decorators, options, state, reason = LATE[case]
    patch = wait_for(patches, "watched:function", *decorators, **options)

    with warnings.catch_warnings(record=not strict) as caught:
        warnings.simplefilter("error" if strict else "always")
        module = importlib.import_module("watched")

    assert module.function() == ("original", 1)
    assert patch.state == state
    assert reason is None or reason in patch.reason
    if strict:
        assert len(caplog.records) == 1
    else:
        assert [GuardWarning] == [warning.category for warning in caught]


def test_a_target_that_is_not_there_fails_late_and_names_the_nearest(watched, warned, patches):
    patch = wait_for(patches, "watched:functoin")

    importlib.import_module("watched")

    assert patch.state == "failed"
    assert "'function'" in patch.reason
    assert len(warned) == 1


def test_the_warning_of_a_late_failure_points_where_the_patch_was_declared(
    watched, warned, patches
):
    patches.apply("watched:function", failing, when="import")
    line = sys._getframe().f_lineno - 1

    importlib.import_module("watched")

    assert (__file__, line) == (warned[0].filename, warned[0].lineno)


def test_one_that_fails_does_not_keep_the_others_from_being_applied(watched, warned, patches):
    log = []
    states = [
        wait_for(patches, "watched:function", noting(log, "first")),
        wait_for(patches, "watched:function", failing),
        wait_for(patches, "watched:function", noting(log, "last")),
    ]

    importlib.import_module("watched").function()

    assert [patch.state for patch in states] == ["applied", "failed", "applied"]
    assert log == ["last", "first"]


def test_a_patch_that_failed_is_tried_again_at_the_next_reload(watched, warned, patches):
    tries = []

    def failing_once(wrapped):
        tries.append(wrapped)
        if len(tries) == 1:
            raise KeyError("told")
        return pass_through(wrapped)

    patch = wait_for(patches, "watched:function", failing_once)
    module = importlib.import_module("watched")
    assert patch.state == "failed"

    importlib.reload(module)

    assert (patch.state, patch.reason) == ("applied", None)


def test_a_patch_that_failed_can_be_cancelled(watched, warned, patches):
    before = list(sys.meta_path)
    patch = wait_for(patches, "watched:function", failing)
    module = importlib.import_module("watched")

    patch.undo()
    importlib.reload(module)

    assert len(warned) == 1
    assert patch.state in ("failed", "undone")
    assert sys.meta_path == before


def test_failed_and_skipped_ones_are_told_by_explain_and_are_not_live(watched, warned, patches):
    wait_for(patches, "watched:function", failing, name="will fail")
    wait_for(patches, guard=no, name="will be skipped")

    importlib.import_module("watched")

    told = str(patches.explain())
    assert "will fail" in told
    assert "will be skipped" in told
    assert patches.live() == []


def test_an_alias_that_is_warned_of_late_does_not_keep_the_patch_from_being_applied(write, patches):
    """Warnings are errors here, and an import must not fail for them."""
    write(
        {
            "watched/__init__": "from watched.sub import function, other",
            "watched/sub": "def function(): return 1\ndef other(): return 2",
            "watched_user": "from watched.sub import function",
        }
    )
    importlib.import_module("watched_user")
    del sys.modules["watched"]
    patch = wait_for(patches)

    importlib.import_module("watched")

    assert patch.state == "applied"


# --- The module and its loader look as ever.


def test_the_loader_of_a_watched_module_is_the_real_one_during_and_after_import(write, patches):
    write(
        {
            "watched": f"""{FUNCTION}
    seen = [type(__loader__).__name__, type(__spec__.loader).__name__, type(__spec__).__name__]
    """
        }
    )
    wait_for(patches)

    module = importlib.import_module("watched")

    after = [type(one).__name__ for one in (module.__loader__, module.__spec__.loader)]
    assert module.seen == ["SourceFileLoader", "SourceFileLoader", "ModuleSpec"]
    assert after == ["SourceFileLoader", "SourceFileLoader"]
    assert type(module.__spec__) is importlib.machinery.ModuleSpec
    importlib.reload(module)
    assert module.seen == ["SourceFileLoader", "SourceFileLoader", "ModuleSpec"]


def test_the_spec_of_a_half_imported_module_is_an_ordinary_one_afterwards(write, patches):
    write({"watched": f"import sys; sys.watched_hook()\n{textwrap.dedent(FUNCTION)}"})
    sys.watched_hook = lambda: wait_for(patches)
    try:
        module = importlib.import_module("watched")
    finally:
        del sys.watched_hook

    assert type(module.__spec__) is importlib.machinery.ModuleSpec
    assert not module.__spec__._initializing


def test_source_resources_and_packages_are_found_in_a_watched_package(write, patches):
    write({"watched/__init__": FUNCTION, "watched/sub": "value = 1"})
    (write.path / "watched" / "data.txt").write_text("data")
    wait_for(patches)

    package = importlib.import_module("watched")

    assert "original" in inspect.getsource(package)
    assert 'return ("original", a)' in inspect.getsource(package.function)
    assert importlib.resources.files("watched").joinpath("data.txt").read_text() == "data"
    assert pkgutil.get_data("watched", "data.txt") == b"data"
    assert [found.name for found in pkgutil.iter_modules(package.__path__)] == ["sub"]
    assert [found.name for found in pkgutil.walk_packages(package.__path__, "watched.")] == [
        "watched.sub"
    ]
    assert package.__loader__.get_filename() == package.__file__


def test_resources_of_a_watched_package_are_found_while_it_is_imported(write, patches):
    write(
        {
            "watched/__init__": f"""{FUNCTION}
    import importlib.resources, inspect, pkgutil, sys
    data = importlib.resources.files(__name__).joinpath("data.txt").read_text()
    same = pkgutil.get_data(__name__, "data.txt").decode()
    source = inspect.getsource(function)
    """
        }
    )
    (write.path / "watched" / "data.txt").write_text("data")
    wait_for(patches)

    package = importlib.import_module("watched")

    assert (package.data, package.same) == ("data", "data")
    assert "original" in package.source


@pytest.mark.parametrize("imported", [False, True])
def test_find_spec_tells_of_a_watched_module_what_it_tells_of_others(imported, watched, patches):
    before = importlib.util.find_spec("watched")
    wait_for(patches)
    if imported:
        importlib.import_module("watched")

    spec = importlib.util.find_spec("watched")

    assert (before.name, before.origin, before.cached) == (spec.name, spec.origin, spec.cached)
    assert spec.loader.get_source("watched") == before.loader.get_source("watched")
    assert spec.loader.get_code("watched").co_filename == before.origin
    assert spec.loader.is_package("watched") is False
    assert ("watched" in sys.modules) == imported


def test_a_loader_taken_from_find_spec_loads_the_module_and_the_patch_is_applied(watched, patches):
    log = []
    wait_for(patches, "watched:function", noting(log, "ran"))
    spec = importlib.util.find_spec("watched")

    module = importlib.util.module_from_spec(spec)
    sys.modules["watched"] = module
    spec.loader.exec_module(module)
    module.function()

    assert type(module.__loader__) is importlib.machinery.SourceFileLoader
    assert log == ["ran"]


def test_a_watched_module_runs_as_main(write):
    """Its limit, documented: `__main__` is not patched; but all else is as ever."""
    write(
        {
            "watched": """
        import inspect, pickle, sys
        def function():
            return "original"
        if __name__ == "__main__":
            assert __spec__.name == "watched"
            assert "original" in __loader__.get_source("watched")
            assert __spec__.loader.is_package("watched") is False
            assert "original" in inspect.getsource(function)
            print(function(), sys.modules["__main__"].__spec__.origin.endswith("watched.py"))
        """,
            "sitecustomize": """
        import safepatch
        def refuse(wrapped):
            return lambda: "patched"
        safepatch.apply("watched:function", refuse, when="import")
        """,
        }
    )

    printed = run_python("-m", "watched", path=(write.path,))

    assert printed == "original True"


def test_a_watched_package_runs_as_main(write):
    write(
        {
            "watched/__init__": "def function():\n    return 'original'",
            "watched/__main__": """
        import watched
        print(watched.function())
        """,
            "sitecustomize": """
        import safepatch
        for target in ("watched:function", "watched.__main__:function"):
            safepatch.apply(target, lambda wrapped: lambda: "patched", when="import")
        """,
        }
    )

    assert run_python("-m", "watched", path=(write.path,)) == "patched"


# --- Kinds of module.


def test_a_submodule_is_waited_for_without_importing_its_package(write, patches):
    write({"watched/__init__": "value = 1", "watched/sub": FUNCTION})
    log = []
    patch = wait_for(patches, "watched.sub:function", noting(log, "ran"))
    assert "watched" not in sys.modules

    import watched

    assert patch.state == "pending"
    assert "watched.sub" not in sys.modules
    importlib.import_module("watched.sub")
    assert watched.sub.function() == ("original", 1)
    assert log == ["ran"]


def test_a_submodule_of_a_namespace_package_is_waited_for(write, patches):
    write({"watched/space/sub": FUNCTION})
    patch = wait_for(patches, "watched.space.sub:function")

    module = importlib.import_module("watched.space.sub")

    assert patch.state == "applied"
    assert module.function() == ("original", 1)
    assert sys.modules["watched"].__file__ is None


def test_a_namespace_package_that_is_watched_is_imported_as_ever(write, warned, patches):
    """There is nothing in it to be patched, which must hurt nobody."""
    write({"watched/sub": FUNCTION})
    patch = wait_for(patches, "watched:function")

    package = importlib.import_module("watched")
    sub = importlib.import_module("watched.sub")

    assert sub.function() == ("original", 1)
    assert len(list(package.__path__)) == 1
    assert patch.state in ("pending", "failed")


def test_a_module_in_a_zip_file_is_patched(tmp_path, monkeypatch, patches, write):
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("watched_zip.py", textwrap.dedent(FUNCTION))
    monkeypatch.syspath_prepend(archive)
    patch = wait_for(patches, "watched_zip:function")

    module = importlib.import_module("watched_zip")

    assert patch.state == "applied"
    assert type(module.__loader__).__name__ == "zipimporter"
    assert "original" in inspect.getsource(module)


@pytest.mark.parametrize("target", ["faulthandler:is_enabled", "_bisect:insort_left"])
def test_modules_in_c_are_patched(target):
    """In a process where they are not imported yet; one is builtin, one may be a file."""
    name, _, attribute = target.partition(":")
    printed = child(f"""
        import importlib, sys
        import safepatch
        sys.modules.pop({name!r}, None)
        sys.modules.pop("bisect", None)
        patch = safepatch.apply(
            {target!r}, lambda wrapped: lambda *a: "patched", when="import", aliases="ignore"
        )
        assert patch.state == "pending", patch.state
        module = importlib.import_module({name!r})
        assert patch.state == "applied", patch.reason
        print(module.{attribute}(), module.__spec__.loader is module.__loader__,
              "safepatch" in type(module.__loader__).__module__)
        patch.undo()
    """)

    assert printed == "patched True False"


def test_a_lazily_loaded_module_is_patched_when_it_is_loaded_and_not_before(watched, patches):
    log = []
    patch = wait_for(patches, "watched:function", noting(log, "ran"))
    spec = importlib.util.find_spec("watched")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["watched"] = module
    spec.loader.exec_module(module)
    assert type(module).__name__ == "_LazyModule"
    assert patch.state == "pending"

    result = module.function()

    assert result == ("original", 1)
    assert patch.state == "applied"
    assert log == ["ran"]
    assert type(module.__loader__) is importlib.machinery.SourceFileLoader


class LazyFinder:
    """Makes imports lazy, as Mercurial and others do, and asks the other finders where they are."""

    def find_spec(self, name, path=None, target=None):
        if not name.startswith("watched"):
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = importlib.util.LazyLoader(spec.loader)
                return spec
        return None


@pytest.mark.parametrize("position", [0, 1], ids=["in front of ours", "behind ours"])
def test_a_finder_that_makes_imports_lazy_is_heeded(position, watched, patches, finders):
    """Importing loads nothing; the first use does, and finds the patch."""
    log = []
    patch = wait_for(patches, "watched:function", noting(log, "ran"))
    finders.insert(position, LazyFinder())

    module = importlib.import_module("watched")

    assert object.__getattribute__(module, "__class__").__name__ == "_LazyModule"
    assert module.function() == ("original", 1)
    assert log == ["ran"]
    assert patch.state == "applied"


def test_a_lazy_module_in_sys_modules_is_not_loaded_by_waiting_for_it(watched, patches):
    spec = importlib.util.find_spec("watched")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["watched"] = module
    spec.loader.exec_module(module)

    wait_for(patches)

    assert object.__getattribute__(module, "__class__").__name__ == "_LazyModule"


# --- Other finders.


class Delegating:
    """Asks all that is on sys.meta_path but itself, as coverage tools and others do."""

    def __init__(self):
        self.asked = []

    def find_spec(self, name, path=None, target=None):
        self.asked.append(name)
        for finder in sys.meta_path:
            if finder is not self and hasattr(finder, "find_spec"):
                spec = finder.find_spec(name, path, target)
                if spec is not None:
                    return spec
        return None


class AsksImportlib(Delegating):
    """Asks importlib.util.find_spec, and guards only against asking itself again."""

    def __init__(self):
        super().__init__()
        self.busy = False

    def find_spec(self, name, path=None, target=None):
        if self.busy:
            return None
        self.busy = True
        self.asked.append(name)
        try:
            return importlib.util.find_spec(name)
        finally:
            self.busy = False


class Wrapping(Delegating):
    """Puts a loader of its own around what the others found."""

    def find_spec(self, name, path=None, target=None):
        spec = super().find_spec(name, path, target)
        if spec is not None and name.startswith("watched"):
            inner = spec.loader

            class Loader:
                create_module = staticmethod(lambda spec: inner.create_module(spec))
                exec_module = staticmethod(lambda module: inner.exec_module(module))

            spec.loader = Loader()
        return spec


@pytest.mark.parametrize("position", ["front", "back", "first while we wait"])
@pytest.mark.parametrize("finder", [Delegating, AsksImportlib, Wrapping])
def test_a_finder_that_asks_the_others_gets_an_answer(finder, position, watched, patches, finders):
    log, made = [], finder()
    if position != "first while we wait":
        finders.insert(len(sys.meta_path) if position == "back" else 0, made)
    wait_for(patches, "watched:function", noting(log, "ran"))
    if position == "first while we wait":
        finders.insert(0, made)

    importlib.import_module("watched").function()

    assert log == ["ran"]
    assert made.asked.count("watched") <= 1, "asked again by us"
    with pytest.raises(ImportError):
        importlib.import_module("watched_is_not_there")


def test_a_finder_that_raises_is_heard(watched, patches, finders):
    class Raising:
        @staticmethod
        def find_spec(name, path=None, target=None):
            raise PermissionError(name)

    wait_for(patches)
    finders.insert(1, Raising)

    with pytest.raises(PermissionError):
        importlib.import_module("watched")


def test_a_watched_module_that_is_not_there_raises_as_ever(write, patches):
    patch = wait_for(patches, "watched_missing:function")

    with pytest.raises(ModuleNotFoundError) as raised:
        importlib.import_module("watched_missing")

    assert raised.value.name == "watched_missing"
    assert patch.state == "pending"


def test_a_watched_module_barred_by_none_raises_as_ever(watched, patches, monkeypatch):
    monkeypatch.setitem(sys.modules, "watched", None)
    patch = wait_for(patches)

    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("watched")

    assert patch.state == "pending"


def test_the_traceback_of_a_failing_import_stays_short(write, patches):
    """As few frames of ours as possible; here, one."""
    write({"watched": "raise KeyError('told')"})
    wait_for(patches)

    with pytest.raises(KeyError) as raised:
        importlib.import_module("watched")

    ours = pathlib.Path(safepatch.__file__).parent
    files = [pathlib.Path(entry.path) for entry in raised.traceback]
    assert len([file for file in files if ours in file.parents]) == 1


# --- Hooks, threads.


def test_a_patch_made_while_another_hook_of_the_module_runs_is_applied(watched, patches):
    log, made = [], []

    def making_another(wrapped):
        made.append(wait_for(patches, "watched:function", noting(log, "made meanwhile")))
        return pass_through(wrapped)

    wait_for(patches, "watched:function", making_another)

    importlib.import_module("watched").function()

    assert [patch.state for patch in made] == ["applied"]
    assert log == ["made meanwhile"]


def test_who_waits_once_an_import_has_begun_hears_of_its_end_once(watched, patches, warned):
    """That import holds its lock from before it asks the finders until after its end."""
    lock = importlib._bootstrap._get_module_lock("watched")
    failed = wait_for(patches, "watched:absent")
    refused = wait_for(patches, "watched:function", guard=lambda original: "never")

    importlib.import_module("watched")
    del lock

    assert (failed.state, refused.state) == ("failed", "skipped")
    assert len(warned) == 2


def test_a_patch_undone_while_another_hook_of_the_module_runs_is_not_applied(watched, patches):
    log = []

    def undoing_the_next(wrapped):
        last.undo()
        return pass_through(wrapped)

    wait_for(patches, "watched:function", undoing_the_next)
    last = wait_for(patches, "watched:function", noting(log, "ran"))

    importlib.import_module("watched").function()

    assert last.state == "undone"
    assert log == []


def test_a_patch_undone_while_its_own_decorator_runs_is_not_applied(watched, patches):
    """As when another thread undoes it just then: who cancels will not look again."""

    def undoing_itself(wrapped):
        patch.undo()
        return pass_through(wrapped)

    patch = wait_for(patches, "watched:function", undoing_itself)

    module = importlib.import_module("watched")

    assert patch.state == "undone"
    assert module.function.__code__.co_filename.endswith("watched.py")


def test_a_decorator_may_import_another_watched_module(watched, write, patches):
    write({"watched_other": FUNCTION})
    log = []

    def importing(wrapped):
        importlib.import_module("watched_other")
        return noting(log, "first")(wrapped)

    wait_for(patches, "watched:function", importing)
    wait_for(patches, "watched_other:function", noting(log, "other"))

    importlib.import_module("watched").function()
    sys.modules["watched_other"].function()

    assert log == ["first", "other"]


def test_threads_that_import_one_watched_module_at_once_all_see_it_patched(watched, patches):
    log, errors = [], []
    wait_for(patches, "watched:function", noting(log, "ran"))
    barrier = threading.Barrier(8)

    def work():
        try:
            barrier.wait(DEADLINE)
            assert importlib.import_module("watched").function() == ("original", 1)
        except BaseException as error:
            errors.append(error)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
    finally:
        sys.setswitchinterval(before)

    assert errors == []
    assert log == ["ran"] * 8


def test_patches_come_and_go_while_threads_import(write, patches):
    names = [f"watched_{number}" for number in range(12)]
    write(dict.fromkeys(names, FUNCTION))
    errors, over = [], threading.Event()

    def wait_and_cancel():
        try:
            while not over.is_set():
                for name in names:
                    wait_for(patches, f"{name}:function").undo()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=wait_and_cancel, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    modules = [importlib.import_module(name) for name in names]
    over.set()
    for thread in threads:
        thread.join(DEADLINE)

    assert errors == []
    assert [module.function() for module in modules] == [("original", 1)] * 12
    assert all(module.function.__code__.co_filename.endswith(".py") for module in modules)


def test_undo_while_another_module_is_being_looked_for_hides_no_finder(watched, patches, finders):
    """Import walks over sys.meta_path itself; what is taken from it then makes it skip the next."""
    patch = wait_for(patches)

    class Serving:
        """Comes right after ours; its module is not to be found anywhere else."""

        create_module = staticmethod(lambda spec: None)
        exec_module = staticmethod(lambda module: None)

        @classmethod
        def find_spec(cls, name, path=None, target=None):
            if name == "watched_served":
                return importlib.machinery.ModuleSpec(name, cls)
            return None

    finders.insert(1, Serving)
    undone = []

    def undo_when_ours_is_asked(frame, event, argument):
        code = frame.f_code
        if code.co_name == "find_spec" and code.co_filename.endswith("imports.py") and not undone:
            undone.append(threading.Thread(target=patch.undo))
            undone[0].start()
            undone[0].join(DEADLINE)

    before = sys.gettrace()
    sys.settrace(undo_when_ours_is_asked)
    try:
        module = importlib.import_module("watched_served")
    finally:
        sys.settrace(before)

    assert patch.state == "undone"
    assert module.__name__ == "watched_served"


def test_a_package_that_imports_itself_from_a_thread_it_joins_does_not_hang(write):
    """dd-trace-py#17742; wrapt 2.5.2 hangs here."""
    write(
        {
            "watched/__init__": """
        import threading
        found = []
        def work():
            from watched.sub import function
            found.append(function())
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(10)
        alive = thread.is_alive()
        """,
            "watched/sub": "def function():\n    return 'original'",
        }
    )

    printed = child(
        """
        import safepatch
        patch = safepatch.apply(
            "watched.sub:function", lambda wrapped: lambda: "patched", when="import"
        )
        import watched
        print(watched.alive, watched.found, patch.state)
        """,
        path=(write.path,),
    )

    assert printed == "False ['patched'] applied"


def test_a_watched_package_that_starts_a_thread_importing_its_sibling_does_not_hang(write):
    write(
        {
            "watched/__init__": """
        import importlib, threading
        def function():
            return "original"
        # Not __import__, which for "watched.sub" waits for "watched", with us or without.
        work = importlib.import_module
        thread = threading.Thread(target=work, args=("watched.sub",), daemon=True)
        thread.start()
        thread.join(10)
        alive = thread.is_alive()
        """,
            "watched/sub": "value = 1",
        }
    )

    printed = child(
        """
        import safepatch
        safepatch.apply("watched:function", lambda wrapped: lambda: "patched", when="import")
        safepatch.apply("watched.sub:function", lambda wrapped: wrapped, when="import")
        import warnings
        warnings.simplefilter("ignore")
        import watched
        print(watched.alive, watched.function())
        """,
        path=(write.path,),
    )

    assert printed == "False patched"


def test_importing_in_a_coroutine_applies_there(watched, patches):
    log = []
    wait_for(patches, "watched:function", noting(log, "ran"))

    async def main():
        return importlib.import_module("watched").function()

    assert asyncio.run(main()) == ("original", 1)
    assert log == ["ran"]


def test_an_interpreter_that_ends_while_patches_wait_ends_quietly(write):
    printed = child(
        """
        import safepatch
        safepatch.apply("watched:function", lambda wrapped: wrapped, when="import")
        print("done")
        """,
        "-W",
        "error",
        path=(write.path,),
    )

    assert printed == "done"


@pytest.mark.parametrize("target", ["socket:getaddrinfo", "wrapt:decorator"])
def test_what_the_first_patch_itself_imports_is_patched_as_well(target):
    """What looks like the function that was patched comes from a module that needs wrapt, which
    needs asyncio, which needs socket."""
    printed = child(f"""
        import time, safepatch
        from safepatch.decorators import count_calls

        waiting = safepatch.apply(
            {target!r}, count_calls(), when="import", aliases="ignore"
        )
        print(waiting.state)
        first = safepatch.apply("time:sleep", count_calls(), aliases="ignore")
        import socket, wrapt
        print(waiting.state, waiting.reason)
        first.undo(), waiting.undo()
        print(safepatch.imports._waiting)
    """)

    assert printed.splitlines() == ["pending", "applied None", "{}"]
