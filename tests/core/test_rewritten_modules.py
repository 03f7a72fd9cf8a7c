"""Modules whose assertions pytest rewrites are rewritten and patched, whoever comes first."""

import importlib
import sys
import textwrap
import types
import uuid

import pytest
from children import run_python
from helpers import noting

import safepatch

HELPER = """
def check(left, right=3):
    assert left == right

def price():
    return "original"
"""


@pytest.fixture
def helper(tmp_path, monkeypatch):
    """The name of a module of test helpers that nobody has imported yet."""
    name = f"helper_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(HELPER)
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    sys.modules.pop(name, None)


def what_it_said(check):
    with pytest.raises(AssertionError) as caught:
        check(1)
    return str(caught.value)


@pytest.mark.parametrize("first", ["rewriting", "patch"])
def test_a_watched_module_is_rewritten_and_patched(helper, patches, first):
    log = []
    if first == "rewriting":
        pytest.register_assert_rewrite(helper)
    patch = patches.apply(f"{helper}:check", noting(log, "ran"), when="import")
    if first == "patch":
        pytest.register_assert_rewrite(helper)

    module = importlib.import_module(helper)

    assert patch.state == "applied"
    assert what_it_said(module.check) == "assert 1 == 3"
    assert log == ["ran"]


def test_a_watched_module_has_the_loader_that_rewrites(helper, patches):
    pytest.register_assert_rewrite(helper)
    patches.apply(f"{helper}:check", noting([], "ran"), when="import")

    module = importlib.import_module(helper)

    assert type(module.__spec__.loader).__name__ == "AssertionRewritingHook"
    assert module.__loader__ is module.__spec__.loader


def test_a_rewritten_module_that_is_reloaded_is_rewritten_and_patched_again(helper, patches):
    log = []
    pytest.register_assert_rewrite(helper)
    patches.apply(f"{helper}:check", noting(log, "ran"), when="import")
    module = importlib.import_module(helper)

    importlib.reload(module)

    assert what_it_said(module.check) == "assert 1 == 3"
    assert log == ["ran"]


def test_a_module_that_is_not_to_be_rewritten_is_not(helper, patches):
    patches.apply(f"{helper}:check", noting([], "ran"), when="import")

    module = importlib.import_module(helper)

    assert what_it_said(module.check) == ""


def test_undo_leaves_a_rewritten_module_as_pytest_made_it(helper, patches):
    log = []
    pytest.register_assert_rewrite(helper)
    patch = patches.apply(f"{helper}:check", noting(log, "ran"), when="import")
    module = importlib.import_module(helper)

    patch.undo()

    assert what_it_said(module.check) == "assert 1 == 3"
    assert log == []


def test_a_rewritten_function_has_the_fingerprint_of_its_source(helper, tmp_path):
    pytest.register_assert_rewrite(helper)
    rewritten = safepatch.fingerprint(f"{helper}:check")
    del sys.modules[helper]
    plain = types.ModuleType(helper)
    exec(compile(HELPER, str(tmp_path / f"{helper}.py"), "exec"), vars(plain))

    assert rewritten == safepatch.fingerprint((plain, "check"))


def test_a_session_whose_conftest_waits_for_its_helpers(tmp_path, monkeypatch):
    """A whole run of pytest: conftest.py, a helper package that is rewritten, and a test module."""
    files = {
        "pytest.ini": "[pytest]\nfilterwarnings = error\n",
        "conftest.py": """
            import pytest
            import safepatch

            pytest.register_assert_rewrite("helpers_of_mine")

            def loudly(wrapped):
                return lambda *args: wrapped(*args).upper()

            safepatch.apply("helpers_of_mine.prices:price", loudly, when="import")
            safepatch.apply("test_mine:helper", loudly, when="import")
            """,
        "helpers_of_mine/__init__.py": "",
        "helpers_of_mine/prices.py": HELPER,
        "test_mine.py": """
            import pytest
            from helpers_of_mine.prices import check, price

            def helper():
                return "mine"

            def test_patched():
                assert price() == "ORIGINAL"
                assert helper() == "MINE"

            def test_rewritten():
                with pytest.raises(AssertionError, match="assert 1 == 3"):
                    check(1)
                with pytest.raises(AssertionError, match="assert 'MINE' == 'x'"):
                    assert helper() == "x"
            """,
    }
    for name, source in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source))

    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    printed = run_python("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))

    assert "2 passed" in printed
