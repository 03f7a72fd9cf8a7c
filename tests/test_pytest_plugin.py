"""The pytest plugin: its fixtures, its mark, and what it does for a whole run."""

import json
import subprocess
import sys

import _safepatch_py_pytest
import pytest

import safepatch

NAP = "from safepatch.decorators import replace\nimport pytest, safepatch, time\n"


def passed(result, **counts):
    result.assert_outcomes(**counts)
    assert safepatch.live() == []


# The fixtures.


def test_patches_is_a_registry_of_the_test_undone_at_its_end(run_tests):
    result = run_tests(
        NAP
        + """
original = time.sleep

def test_it(patches):
    assert isinstance(patches, safepatch.Registry)
    patches.apply("time:sleep", replace(lambda seconds: None), aliases="ignore")
    time.sleep(1000)

def test_the_next_finds_the_original():
    assert time.sleep is original
"""
    )

    passed(result, passed=2)


@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_there_is_a_registry_for_each_wider_scope(scope, run_tests):
    result = run_tests(
        NAP
        + f"""
original = time.sleep

@pytest.fixture(scope="{scope}", autouse=True)
def no_sleep({scope}_patches):
    {scope}_patches.apply("time:sleep", replace(lambda seconds: None), aliases="ignore")

class TestIt:
    def test_one(self):
        time.sleep(1000)

    def test_two(self):
        time.sleep(1000)
""",
        "-q",
    )

    passed(result, passed=2)


def test_undoing_that_fails_is_told_with_all_that_failed(run_tests):
    result = run_tests(
        NAP
        + """
undo = safepatch.Patch.undo

def failing(patch):
    undo(patch)
    raise RuntimeError(f"{patch.name} does not like it")

@pytest.fixture(autouse=True)
def failing_undo(monkeypatch):
    monkeypatch.setattr(safepatch.Patch, "undo", failing)

def test_it(failing_undo, patches):
    patches.apply("time:sleep", replace(lambda seconds: None), aliases="ignore", name="a")
    patches.apply("time:time", replace(lambda: 0), aliases="ignore", name="b")
"""
    )

    passed(result, passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ExceptionGroup: undoing all patches failed for 2*"])
    result.stdout.fnmatch_lines(["*b does not like it*", "*a does not like it*"])


# The mark.


def test_a_mark_is_live_during_the_test_and_its_own_fixtures_on_whatever_it_stands(run_tests):
    result = run_tests(
        NAP
        + """
import unittest

pytestmark = pytest.mark.safepatch("time:sleep", replace(lambda seconds: "module"))
original = time.sleep

@pytest.fixture
def slept():
    return time.sleep(1000)

@pytest.fixture(scope="module", autouse=True)
def wide():
    assert time.sleep is original
    yield
    assert time.sleep is original

def test_in_a_fixture(slept):
    assert slept == "module"

@pytest.mark.safepatch("time:sleep", replace(lambda seconds: "function"))
def test_its_own_is_the_outermost():
    assert time.sleep(1000) == "function"

@pytest.mark.safepatch("time:sleep", replace(lambda seconds: "outer"))
@pytest.mark.safepatch("time:sleep", replace(lambda seconds: "inner"))
def test_the_uppermost_is_the_outermost():
    assert time.sleep(1000) == "outer"

@pytest.mark.safepatch("time:sleep", replace(lambda seconds: "class"))
class TestIt:
    def test_method(self, slept):
        assert slept == time.sleep(1000) == "class"

class TestCase(unittest.TestCase):
    def setUp(self):
        self.slept = time.sleep(1000)

    @pytest.mark.safepatch("time:time", replace(lambda: 7.0))
    def test_method(self):
        assert self.slept == "module"
        assert time.time() == 7.0

@pytest.mark.parametrize("n", [
    1, pytest.param(2, marks=pytest.mark.safepatch("time:time", replace(lambda: 2.0)))
])
def test_parameters(n):
    assert (time.time() == 2.0) == (n == 2)
"""
    )

    passed(result, passed=7)


def test_a_mark_takes_the_options_of_patch(run_tests):
    result = run_tests(
        NAP
        + """
import json
from json import dumps

@pytest.mark.safepatch("json:dumps", replace(lambda obj, **kw: "patched"), aliases="rebind")
def test_it():
    assert dumps(1) == "patched"

@pytest.mark.safepatch("json:dumps", replace(lambda obj, **kw: 1), signature="(hours)")
def test_guarded():
    pass
"""
    )

    passed(result, passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["GuardError in the mark safepatch('json:dumps', *: cannot patch 'json:dumps': *"]
    )


def test_a_mark_names_a_patch_that_is_registered_or_offered(run_tests):
    result = run_tests(
        NAP
        + """
import socket

safepatch.register("no-sleep", "time:sleep", replace(lambda seconds: "patched"))

@pytest.mark.safepatch("no-sleep")
def test_registered():
    assert time.sleep(1000) == "patched"

@pytest.mark.safepatch("dns-cache")
def test_offered():
    assert "dns-cache" in str(safepatch.explain("socket:getaddrinfo"))

def test_both_are_undone():
    assert safepatch.live() == []
"""
    )

    passed(result, passed=3)


def test_a_mark_leaves_live_what_was_live_before(run_tests):
    result = run_tests(
        NAP
        + """
safepatch.register("no-sleep", "time:sleep", replace(lambda seconds: "patched"))

@pytest.fixture(scope="module", autouse=True)
def wide():
    with safepatch.apply("no-sleep"):
        yield

@pytest.mark.safepatch("no-sleep")
def test_marked():
    assert time.sleep(1000) == "patched"

def test_still():
    assert time.sleep(1000) == "patched"
""",
        "-W",
        "ignore",
    )

    passed(result, passed=2)


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("'dns-cach'", "no patch 'dns-cach' in *; did you mean 'dns-cache'[?]"),
        (
            "",
            "TypeError in the mark safepatch(): it says nothing to patch; write safepatch('name')",
        ),
        ("'dns-cache', len", "'dns-cache' is the name of a patch, which has its decorators *"),
        ("'time:sleep'", "no decorator given for 'time:sleep'*"),
        ("'time:slep', len", "cannot find 'time:slep': *; did you mean *sleep*"),
    ],
)
def test_a_mark_that_is_wrong_fails_the_test_and_says_why_once(mark, message, run_tests):
    result = run_tests(f"{NAP}\n@pytest.mark.safepatch({mark})\ndef test_it(): pass")

    passed(result, errors=1)
    result.stdout.fnmatch_lines([f"*{message}*"])
    result.stdout.no_fnmatch_line("*direct cause*")


def test_the_mark_and_the_options_are_known_to_a_strict_pytest(run_tests):
    result = run_tests(
        f"{NAP}\n@pytest.mark.safepatch('time:sleep', replace(len))\ndef test_it(): pass",
        "--strict-markers",
        "--strict-config",
        "-o",
        "safepatch_leaks=fail",
        "--fixtures",
    )

    result.stdout.fnmatch_lines(["patches -- *", "*safepatch.Registry of the test's own*"])
    assert result.ret == 0


# A whole run.

NO_SLEEP = """
import safepatch, time
from safepatch.decorators import replace

safepatch.register("no-sleep", "time:sleep", replace(lambda seconds: "patched"))
"""


@pytest.mark.parametrize(
    "options", [("--safepatch", "no-sleep"), ("-o", "safepatch_names=no-sleep")]
)
def test_a_whole_run_is_patched_by_name_and_told_in_one_line(options, run_tests, pytester):
    pytester.makeconftest(NO_SLEEP)
    result = run_tests(
        f"{NAP}\nat_import = time.sleep(9)\ndef test_it(): assert at_import == time.sleep(9)",
        *options,
    )

    passed(result, passed=1)
    result.stdout.fnmatch_lines(["safepatch: live in this run: no-sleep"])


def test_a_name_that_is_not_known_is_a_usage_error_before_any_test(run_tests, pytester):
    pytester.makeconftest(NO_SLEEP)
    result = run_tests(f"{NAP}\ndef test_it(): pass", "--safepatch=no-slep")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: safepatch: no patch 'no-slep' in *; did you mean 'no-sleep'?"]
    )
    assert safepatch.live() == []


def test_all_names_are_applied_or_none(run_tests, pytester):
    pytester.makeconftest(NO_SLEEP)
    result = run_tests("def test_it(): pass", "--safepatch=no-sleep", "--safepatch=other")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert safepatch.live() == []


def test_a_guard_that_says_no_stops_the_run(run_tests, pytester):
    pytester.makeconftest(NO_SLEEP.replace('"patched")', '"patched"), requires="python<3"'))
    result = run_tests("def test_it(): pass", "--safepatch=no-sleep")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: safepatch: cannot patch 'time:sleep': *"])


def test_a_failing_test_is_told_that_its_module_holds_the_original_of_what_the_run_patches(
    run_tests, pytester
):
    pytester.makeconftest(f"import worker\n{NO_SLEEP}")
    pytester.makepyfile(worker="from time import sleep\ndef work(): sleep(0) or 1 / 0")
    pytester.syspathinsert()
    result = run_tests(
        "import worker\n\ndef test_it(): worker.work()\n\ndef test_other(): assert False",
        "--safepatch=no-sleep",
    )

    passed(result, failed=2)
    assert result.stdout.str().count("time:sleep was patched; worker still holds the orig") == 1


def test_a_mark_may_be_added_by_a_conftest_file(run_tests, pytester):
    pytester.makeconftest(
        NO_SLEEP
        + """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.safepatch("no-sleep"))
"""
    )
    result = run_tests("import time\ndef test_it(): assert time.sleep(9) == 'patched'")

    passed(result, passed=1)


CONFIGURED = """
[patches.no-nap]
target = "time:sleep"
decorators = [{use = "testbed:quickly"}]
"""


def test_what_is_configured_can_be_named_and_is_watched(run_tests, pytester):
    pytester.path.joinpath("safepatch.toml").write_text(CONFIGURED)
    pytester.makepyfile(testbed="def quickly(wrapped): return lambda seconds: 'quick'")
    pytester.syspathinsert()
    result = run_tests(
        NAP
        + """
@pytest.mark.safepatch("no-nap")
def test_marked():
    assert time.sleep(9) == "quick"

def test_not():
    assert safepatch.live() == []
    time.sleep = time.time
"""
    )

    passed(result, passed=2, errors=1)
    result.stdout.fnmatch_lines(["safepatch: watched: time:sleep"])
    result.stdout.fnmatch_lines(["the test left time:sleep as <built-in function time>*"])


def test_a_wrong_configuration_is_a_usage_error(run_tests, pytester):
    pytester.path.joinpath("safepatch.toml").write_text(CONFIGURED.replace("target", "taget"))
    result = run_tests("def test_it(): pass")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: safepatch: *safepatch.toml: patches.no-nap.taget: *did you mean 'target'?"]
    )


def test_where_nothing_is_asked_for_there_is_no_header(run_tests):
    result = run_tests("def test_it(): pass")

    result.stdout.no_fnmatch_line("*safepatch:*")


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("safepatch_leaks=false", "safepatch_leaks = 'false' is unknown; use fail, warn or off"),
        ("safepatch_watch=time.sleep", "safepatch_watch has 'time.sleep', which is no target; *"),
    ],
)
def test_a_wrong_setting_is_a_usage_error(option, message, run_tests):
    result = run_tests("def test_it(): pass", "-o", option)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


# Drift.


@pytest.fixture
def locked(pytester):
    """A module that is relied on, with its lock file."""
    from safepatch import config, lock

    module = pytester.makepyfile(relied="def on(one, two=2): return one")
    pytester.path.joinpath("safepatch.toml").write_text(
        '[patches.mine]\ntarget = "relied:on"\ndecorators = [{use = "count_calls"}]\n'
        '[patches.theirs]\ntarget = "json:dumps"\ndecorators = [{use = "count_calls"}]\n'
    )
    pytester.syspathinsert()
    lock.write(lock.make(config.load()), pytester.path / "safepatch.lock")
    del sys.modules["relied"]
    return module


def test_each_locked_target_has_a_test(locked, run_tests):
    result = run_tests("def test_it(): pass", "--safepatch-drift", "-v")

    passed(result, passed=3)
    result.stdout.fnmatch_lines_random(
        ["safepatch::drift?json:dumps? PASSED*", "safepatch::drift?relied:on? PASSED*"]
    )


def test_a_target_that_has_changed_fails_its_test(locked, run_tests):
    locked.write_text("def on(one): return one # in one way or another")
    result = run_tests("def test_it(): pass", "--safepatch-drift", "-k", "drift")

    passed(result, passed=1, failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        ["*drift?relied:on?*", "relied:on: the signature changed: parameter 'two' is gone"]
    )


def test_a_target_that_has_changed_is_among_those_that_failed_last(locked, run_tests):
    locked.write_text("def on(one): return one")
    run_tests("def test_it(): pass", "--safepatch-drift", "-p", "cacheprovider")
    result = run_tests("def test_it(): pass", "--safepatch-drift", "-p", "cacheprovider", "--lf")

    passed(result, failed=1, deselected=2)


def test_drift_without_a_lock_file_is_a_usage_error(run_tests):
    result = run_tests("def test_it(): pass", "--safepatch-drift")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: safepatch: there is no lock file *safepatch.lock*; make it with `safepatch lock`"]
    )


# How it is installed.


def run_alone(pytester, *given):
    """In a process of its own, where safepatch is imported by nobody else."""
    plugins = ["hypothesispytest", "asyncio", "anyio", "xdist", "run-parallel", "randomly"]
    options = [option for plugin in plugins for option in ("-p", f"no:{plugin}")]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, *given],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=pytester.path,
    )


def test_pytest_loads_it_by_itself_and_it_imports_little(pytester):
    pytester.makepyfile(
        """
        import sys

        def test_nothing_is_imported_till_somebody_asks():
            assert [name for name in sys.modules if name.startswith("safepatch")] == []

        def test_it(patches):
            unwanted = {"wrapt", "safepatch.config", "safepatch.lock", "tomllib"}
            unwanted |= {"safepatch.pytest_plugin.blame", "safepatch.pytest_plugin.marks"}
            assert not unwanted & {*sys.modules}
        """
    )
    ran = run_alone(pytester)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "safepatch-py" in ran.stdout


@pytest.mark.parametrize(
    ("options", "source"),
    [
        (["-p", "safepatch.pytest_plugin"], ""),
        (["-p", "safepatch", "-p", "safepatch.pytest_plugin"], ""),
        ([], "pytest_plugins = ['safepatch.pytest_plugin']\n"),
    ],
)
def test_who_names_the_package_as_a_plugin_has_it_once(options, source, pytester):
    pytester.makeconftest(source)
    pytester.makepyfile(
        """
        import _safepatch_py_pytest

        def test_it(patches, pytestconfig):
            loaded = pytestconfig.pluginmanager.list_name_plugin()
            assert [name for name, one in loaded if one is _safepatch_py_pytest] == ["safepatch"]
        """
    )
    ran = run_alone(pytester, *options)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_who_names_the_package_as_a_plugin_may_leave_the_plugin_out(pytester):
    pytester.makepyfile("def test_it(patches): pass")
    ran = run_alone(pytester, "-p", "no:safepatch", "-p", "safepatch.pytest_plugin")

    assert "fixture 'patches' not found" in ran.stdout


FIRST = """
import pytest

def patch():
    import late
    return late.patch()
"""


@pytest.mark.parametrize(
    ("source", "counts", "told"),
    [
        (
            """
def test_it(): patch()
def test_next():
    import safepatch
    assert safepatch.live() == []
""",
            {"passed": 2, "errors": 1},
            ["*at teardown of test_it*", "the test left the patch 'json:dumps' live: applied at *"],
        ),
        (
            """
@pytest.fixture
def narrow(): patch()

def test_it(narrow): assert False
""",
            {"failed": 1, "errors": 1},
            ["the test left the patch 'json:dumps' live: applied at *"],
        ),
        (
            """
@pytest.mark.xfail
def test_it(): patch(); assert False
""",
            {"xfailed": 1, "errors": 1},
            ["the test left the patch 'json:dumps' live: applied at *"],
        ),
        (
            """
@pytest.fixture(scope="module")
def wide(): patch()

@pytest.fixture(scope="class")
def undone(wide):
    with patch():
        yield

class TestIt:
    def test_one(self, undone): pass

def test_last(wide): pass
""",
            {"passed": 2, "errors": 1},
            ["*at teardown of test_last*", "the fixture 'wide' of module scope left the patch *"],
        ),
        (
            """
@pytest.fixture
def narrow():
    with patch():
        yield

def test_it(narrow):
    import json
    json.dumps = len
    assert False
""",
            {"failed": 1},
            ["json:dumps was patched, and somebody put another object there since; *"],
        ),
    ],
)
def test_who_first_imports_safepatch_is_seen_as_any_other(
    source, counts, told, run_tests, pytester, monkeypatch
):
    # Here it is imported long since, so another module stands for it.
    monkeypatch.setattr(_safepatch_py_pytest, "_CORE", "late")
    monkeypatch.setattr(json, "dumps", json.dumps)
    pytester.makepyfile(
        late="""
import safepatch

def patch():
    return safepatch.apply("json:dumps", lambda wrapped: wrapped, aliases="ignore")
"""
    )
    pytester.syspathinsert()
    result = run_tests(FIRST + source)

    passed(result, **counts)
    result.stdout.fnmatch_lines(told)


def test_pytest_does_not_complain_where_safepatch_was_imported_before_it():
    """As by `safepatch run`; pytest wants to rewrite what has a plugin."""
    assert "PYTEST_DONT_REWRITE" in safepatch.__doc__
    assert "PYTEST_DONT_REWRITE" in safepatch.pytest_plugin.__doc__
    assert "PYTEST_DONT_REWRITE" in _safepatch_py_pytest.__doc__
