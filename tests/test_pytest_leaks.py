"""What the pytest plugin does about tests that leave something patched, and whom it blames."""

import re
from unittest import mock

import pytest
from helpers import pass_through

import safepatch
from safepatch.pytest_plugin import blame

HEAD = """
import pytest, safepatch, time
from safepatch.decorators import replace
from unittest import mock

def quick(wrapped):
    return lambda seconds: "quick"

def leak(owner=safepatch, name=None):
    owner.apply("time:sleep", quick, aliases="ignore", name=name)

"""
LEAKS = f"{HEAD}original = time.sleep\n\n"
WATCH = ("-o", "safepatch_watch=time:sleep threading:Thread.join json:dumps")


@pytest.fixture(autouse=True)
def clean(run_tests):
    """Whatever is left on purpose."""
    yield
    safepatch.undo_all()
    mock.patch.stopall()


def outcome(result, **counts):
    result.assert_outcomes(**counts)


def blamed(result):
    """The tests that failed when they were torn down, in order."""
    return re.findall(r"ERROR at teardown of (\S+)", result.stdout.str())


def test_a_test_that_leaves_a_patch_fails_with_the_line_that_applied_it(run_tests):
    result = run_tests(
        LEAKS
        + """
def test_it():
    safepatch.apply("time:sleep", quick, aliases="ignore")  # line 15

def test_the_next_is_clean():
    assert time.sleep is original
"""
    )

    outcome(result, passed=2, errors=1)
    assert blamed(result) == ["test_it"]
    result.stdout.fnmatch_lines(
        [
            "the test left the patch 'time:sleep' live: applied at *leaves_a_patch*.py:15, "
            "in <the default Registry>; it is undone now",
            "Patch with the fixture 'patches', with the mark 'safepatch' or in a with block, *",
        ]
    )
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    "body",
    [
        "leak(safepatch.Registry())",
        "leak(name='mine')",
        "safepatch.patch('time:sleep', quick).__enter__()",
        "safepatch.register('later', 'not_there_yet:f', quick); safepatch.apply('later')",
        "safepatch.register('two', [safepatch.patch('time:sleep', quick),"
        " safepatch.patch('time:time', quick)]).__enter__()",
        "import threading; t = threading.Thread(target=leak); t.start(); t.join()",
        "for _ in range(40): leak()",
        "leak(); assert False, 'and fails'",
    ],
)
def test_it_is_seen_however_it_was_left(body, run_tests):
    result = run_tests(f"{LEAKS}def test_it():\n    {body}\n\ndef test_next(): pass")

    assert blamed(result) == ["test_it"]
    assert safepatch.live() == []


def test_a_fixture_of_the_test_that_leaves_a_patch_fails_the_test(run_tests):
    result = run_tests(
        LEAKS
        + """
@pytest.fixture
def leaking():
    leak()

@pytest.fixture
def leaking_at_the_end():
    yield
    leak()

def test_one(leaking): pass

def test_two(leaking_at_the_end): pass

def test_three(): pass
"""
    )

    outcome(result, passed=3, errors=2)
    assert blamed(result) == ["test_one", "test_two"]


def test_a_test_case_that_leaves_a_patch_fails(run_tests):
    result = run_tests(
        LEAKS
        + """
import unittest

class TestIt(unittest.TestCase):
    def test_leak(self):
        leak()

    def test_clean(self):
        self.addCleanup(safepatch.apply("time:sleep", quick, aliases="ignore").undo)
"""
    )

    outcome(result, passed=2, errors=1)
    assert blamed(result) == ["TestIt.test_leak"]


def test_a_test_that_fails_to_be_torn_down_is_told_its_leak_too(run_tests):
    result = run_tests(
        LEAKS
        + """
@pytest.fixture
def failing():
    yield
    raise RuntimeError("oh no")

def test_it(failing): leak()

def test_next(): pass
"""
    )

    assert blamed(result) == ["test_it"]
    result.stdout.fnmatch_lines(
        ["*RuntimeError: oh no", "*by safepatch during teardown*", "the test left the patch *"]
    )


@pytest.mark.parametrize(
    "test",
    [
        "@pytest.mark.xfail\ndef test_it(): leak(); assert 0",
        "@pytest.mark.xfail\ndef test_it(): leak()",
        "@pytest.mark.xfail(raises=pytest.fail.Exception)\ndef test_it(): leak(); pytest.fail()",
        "@pytest.mark.xfail\ndef test_it(failing): leak()",
        "@pytest.mark.xfail\ndef test_it(leaking): pass",
        "def test_it(leaking, request): request.node.add_marker('xfail')",
        "def test_it(failing): leak(); pytest.xfail('known')",
        "def test_it(expecting): leak()",
        "def test_it(skipping): leak()",
    ],
)
def test_a_test_that_is_expected_to_fail_or_skips_may_not_leave_a_patch_either(test, run_tests):
    fixtures = """
@pytest.fixture
def failing():
    yield
    raise RuntimeError("as ever")

@pytest.fixture
def leaking():
    yield
    leak()

@pytest.fixture
def expecting():
    yield
    pytest.xfail("known")

@pytest.fixture
def skipping():
    yield
    pytest.skip("not here")

"""
    result = run_tests(f"{LEAKS}{fixtures}{test}\n\ndef test_next(): pass")

    assert blamed(result) == ["test_it"]
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["the test left the patch 'time:sleep' live: *; it is undone now"])


def test_a_test_that_is_expected_to_fail_and_leaves_nothing_is_as_expected(run_tests):
    result = run_tests(
        LEAKS
        + """
@pytest.fixture
def failing():
    yield
    raise RuntimeError("as ever")

@pytest.mark.xfail
@pytest.mark.safepatch("time:sleep", quick)
def test_it(failing, patches):
    patches.apply("time:sleep", quick, aliases="ignore")
    assert 0
"""
    )

    outcome(result, xfailed=2)


def test_what_wider_fixtures_and_imports_patch_is_theirs(run_tests):
    result = run_tests(
        LEAKS
        + """
import json, unittest

class Mine:
    def f(self): return 1

safepatch.apply((Mine, "f"), quick)  # for ever

@pytest.fixture(scope="session", autouse=True)
def of_session(session_patches):
    session_patches.apply("time:sleep", quick, aliases="ignore")

@pytest.fixture(scope="module")
def of_module():
    with safepatch.patch("json:dumps", lambda wrapped: lambda obj: "module"):
        yield

def setup_module():
    global patch
    patch = safepatch.apply("time:time", lambda wrapped: lambda: 7.0, aliases="ignore")

def teardown_module():
    patch.undo()

def test_one(): pass

def test_asks_in_its_body(request):
    request.getfixturevalue("of_module")

class TestIt:
    @classmethod
    def setup_class(cls):
        cls.patch = safepatch.apply("json:loads", quick, aliases="ignore")

    @classmethod
    def teardown_class(cls):
        cls.patch.undo()

    def test_one(self): pass
    def test_two(self): pass

class TestCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(safepatch.patch("json:loads", quick))

    def test_one(self): pass
    def test_two(self): assert json.loads(1) == "quick"

def test_last():
    assert time.time() == 7.0
    assert json.dumps(1) == "module"
"""
    )

    outcome(result, passed=7)


@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_a_wider_fixture_that_leaves_a_patch_is_named_at_the_end_of_its_scope(scope, run_tests):
    result = run_tests(
        f"{LEAKS}"
        + f"""
@pytest.fixture(scope="{scope}")
def leaking():
    leak()

class TestIt:
    def test_one(self, leaking): pass
    def test_two(self): assert time.sleep(9) == "quick"

def test_three(): pass
"""
    )

    outcome(result, passed=3, errors=1)
    assert blamed(result) == ["TestIt.test_two" if scope == "class" else "test_three"]
    result.stdout.fnmatch_lines(
        [f"the fixture 'leaking' of {scope} scope left the patch 'time:sleep' live: *"]
    )
    assert safepatch.live() == []


def test_a_fixture_with_parameters_that_leaves_a_patch_each_time_is_told_each_time(run_tests):
    result = run_tests(
        LEAKS
        + """
@pytest.fixture(scope="module", params=[1, 2])
def leaking(request):
    leak(name=f"leak {request.param}")

def test_one(leaking):
    assert len(safepatch.live()) == 1
"""
    )

    outcome(result, passed=2, errors=1)

    told = re.findall(
        "^the fixture 'leaking' of module.* left the patch '(.*?)'", result.stdout.str(), re.M
    )
    assert {*told} == {"leak 1", "leak 2"}


def test_warn_tells_and_leaves_the_patch(run_tests):
    result = run_tests(
        LEAKS
        + """
def test_one(): leak()

def test_two(): assert time.sleep(9) == "quick"
""",
        "--safepatch-leaks=warn",
        "-W",
        "default",
    )

    outcome(result, passed=2, warnings=1)
    result.stdout.fnmatch_lines(["*LeakWarning: the test left the patch 'time:sleep' live: *"])


def test_warn_tells_of_a_test_that_is_expected_to_fail(run_tests):
    result = run_tests(
        f"{LEAKS}@pytest.mark.xfail\ndef test_one():\n    leak()\n    assert 0",
        "--safepatch-leaks=warn",
        "-W",
        "default",
    )

    outcome(result, xfailed=1, warnings=1)


def test_warn_fails_where_warnings_are_errors(run_tests):
    result = run_tests(f"{LEAKS}def test_one(): leak()", "--safepatch-leaks=warn", "-W", "error")

    outcome(result, passed=1, errors=1)


@pytest.mark.parametrize("options", [("--safepatch-leaks=off",), ("-o", "safepatch_leaks=off")])
def test_off_says_nothing_and_touches_nothing(options, run_tests):
    result = run_tests(
        LEAKS
        + """
def test_one(): leak()

def test_two():
    assert time.sleep(9) == "quick"
    time.sleep = original
""",
        *options,
        *WATCH,
    )

    outcome(result, passed=2)


# Targets that are watched.


@pytest.mark.parametrize(
    "body",
    [
        "time.sleep = quick",
        "mock.patch('time.sleep').start()",
        "mock.patch('time.sleep', autospec=True).start()",
        "mock.patch.object(threading.Thread, 'join').start()",
        "pytest.MonkeyPatch().setattr('time.sleep', quick)",
        "del time.sleep",
        "time.sleep = quick; safepatch.apply('time:sleep', quick, aliases='ignore')",
    ],
)
def test_a_watched_target_that_is_left_otherwise_fails_the_test_and_is_put_back(body, run_tests):
    result = run_tests(
        LEAKS
        + f"""
import threading
join = threading.Thread.join

def test_it():
    {body}

def test_next():
    assert time.sleep is original
    assert threading.Thread.join is join
""",
        *WATCH,
    )

    outcome(result, passed=2, errors=1)
    assert blamed(result) == ["test_it"]
    result.stdout.fnmatch_lines(["the test left *, was *; it is put back now"])


def test_what_stands_there_is_told_with_where_it_comes_from(run_tests):
    result = run_tests(f"{LEAKS}def test_it(): mock.patch('time.sleep').start()", *WATCH)

    result.stdout.fnmatch_lines(
        [
            "the test left time:sleep as <MagicMock name='sleep' id='*'> (unittest.mock.MagicMock "
            "*), was <built-in function sleep> (*of time); it is put back now"
        ]
    )


def test_who_puts_back_what_he_replaced_is_not_blamed(run_tests):
    result = run_tests(
        LEAKS
        + """
import importlib, json

@pytest.fixture(scope="module")
def mocked():
    with mock.patch("time.sleep") as sleep:
        yield sleep

@pytest.fixture(scope="module")
def of_module(module_patches):
    module_patches.apply("json:dumps", lambda wrapped: lambda obj: "module", aliases="ignore")

def test_mock():
    with mock.patch("time.sleep"):
        pass

def test_ours(patches):
    patches.apply("time:sleep", quick, aliases="ignore")

def test_wider_mock(mocked):
    assert time.sleep is mocked

def test_over_wider_mock(mocked, monkeypatch):
    monkeypatch.setattr(time, "sleep", quick)

def test_wider_patch(of_module):
    assert json.dumps(1) == "module"

def test_over_wider_patch(patches):
    patches.apply("json:dumps", lambda wrapped: lambda obj: "test", aliases="ignore")

def test_reload():
    importlib.reload(json)
""",
        *WATCH,
    )

    outcome(result, passed=7)


def test_a_dead_face_that_a_mock_puts_back_is_nobodys_leak(run_tests):
    result = run_tests(
        LEAKS
        + """
def test_over_ours_and_stopped_after_it(monkeypatch, patches):
    patches.apply("time:sleep", quick, aliases="ignore")
    monkeypatch.setattr(time, "sleep", quick)

def test_next():
    assert time.sleep is original
""",
        *WATCH,
    )

    outcome(result, passed=2)


def test_a_module_that_is_imported_anew_is_watched_anew(run_tests, pytester):
    pytester.makepyfile(late="def f(): return 1")
    pytester.syspathinsert()
    result = run_tests(
        LEAKS
        + """
import sys, late

def test_anew():
    del sys.modules["late"]
    import late
    late.f = lambda: 2  # nobody can tell

def test_leak():
    sys.modules["late"].f = None
""",
        "-o",
        "safepatch_watch=late:f",
    )

    outcome(result, passed=2, errors=1)
    assert blamed(result) == ["test_leak"]


def test_what_a_wider_fixture_had_put_there_may_not_come_back_after_its_end(run_tests):
    result = run_tests(
        LEAKS
        + """
@pytest.fixture(scope="class")
def mocked():
    with mock.patch("time.sleep") as sleep:
        yield sleep

class TestIt:
    def test_one(self, mocked):
        TestIt.kept = mocked

def test_two(): pass

def test_three():
    time.sleep = TestIt.kept
""",
        *WATCH,
    )

    assert blamed(result) == ["test_three"]


def test_a_target_is_watched_once_its_module_is_imported_and_never_imported_for_that(
    run_tests, pytester
):
    pytester.makepyfile(late="def f(): return 1")
    pytester.syspathinsert()
    result = run_tests(
        LEAKS
        + """
import sys

def test_not_yet():
    assert "late" not in sys.modules

def test_import():
    import late

def test_leak():
    sys.modules["late"].f = None
""",
        "-o",
        "safepatch_watch=late:f nowhere:f",
    )

    outcome(result, passed=3, errors=1)
    assert blamed(result) == ["test_leak"]
    result.stdout.fnmatch_lines(["the test left late:f as None *, was <function f *"])


# Failing tests.

WORKER = "from time import sleep\n\ndef work():\n    return sleep(0)"


@pytest.fixture
def worker(pytester):
    pytester.makepyfile(worker=WORKER)
    pytester.syspathinsert()


# Others may hold it too, who were imported before these tests.
NOT_REACHED = (
    "time:sleep was patched; worker* still hold* the original: "
    """patch 'worker:sleep' or use aliases="rebind\""""
)


@pytest.mark.parametrize(
    "test",
    [
        "(patches):\n    patches.apply('time:sleep', quick, aliases='ignore')\n"
        "    assert worker.work() == 'quick'",
        "():\n    with safepatch.patch('time:sleep', quick):\n"
        "        assert worker.work() == 'quick'",
        "():\n    with safepatch.patch('time:sleep', quick):\n        slept = worker.work()\n"
        "    assert slept == 'quick'",
        "(of_module):\n    assert worker.work() == 'quick'",
    ],
)
def test_a_failing_test_is_told_who_still_holds_the_original(test, worker, run_tests):
    result = run_tests(
        f"""{HEAD}
import worker

@pytest.fixture(scope="module")
def of_module(module_patches):
    module_patches.apply("time:sleep", quick, aliases="ignore")

def test_it{test}
"""
    )

    outcome(result, failed=1)
    result.stdout.fnmatch_lines(["*Captured by safepatch during call*", NOT_REACHED])


def test_a_patch_decorating_the_test_is_looked_at_too(worker, run_tests):
    result = run_tests(
        f"""{HEAD}
import worker

@safepatch.patch("time:sleep", quick)
def test_it():
    assert worker.work() == "quick"
"""
    )

    result.stdout.fnmatch_lines([NOT_REACHED])


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            "safepatch.patch('time:sleep', quick, requires='python<3', on_mismatch='skip').apply()",
            "time:sleep was not patched: 'time:sleep' is skipped: guard wants python<3 but *",
        ),
        (
            "safepatch.register('late', 'not_there:f', quick).apply()",
            "not_there:f is not patched yet: 'late' waits for not_there to be imported",
        ),
        (
            "patches.apply('time:sleep', quick, aliases='ignore'); time.sleep = len",
            "time:sleep was patched, and somebody put another object there since; *",
        ),
    ],
)
def test_a_failing_test_is_told_of_a_patch_that_is_not_live(body, told, run_tests):
    result = run_tests(
        f"{HEAD}def test_it(patches):\n    {body}\n    assert False", "-W", "ignore", *WATCH
    )

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([told])


def test_nothing_is_said_where_the_patch_reached_everybody_or_nothing_failed(worker, run_tests):
    result = run_tests(
        f"""{HEAD}
import json, worker
from json import dumps

def plain(): return 1

def test_nothing_patched():
    assert False

def test_rebound():
    with safepatch.patch("json:dumps", lambda wrapped: lambda obj: "patched", aliases="rebind"):
        assert False

@pytest.mark.skip
def test_skipped(): pass

def test_skips(patches):
    patches.apply("time:sleep", quick, aliases="ignore")
    pytest.skip("not here")

def test_passes(patches):
    patches.apply("time:sleep", quick, aliases="ignore")
    worker.work()

def test_fails_later():
    worker.work()
    assert False
""",
        "-rA",
    )

    outcome(result, failed=3, passed=1, skipped=2)
    result.stdout.no_fnmatch_line("*by safepatch*")


def test_many_holders_are_counted_with_the_failing_module_first(run_tests, pytester):
    for number in range(8):
        pytester.makepyfile(**{f"worker{number}": WORKER})
    pytester.makepyfile(zealous="from time import sleep\ndef work(): sleep(0) or 1 / 0")
    pytester.syspathinsert()
    result = run_tests(
        f"{HEAD}import {', '.join(f'worker{n}' for n in range(8))}, zealous\n"
        + """
def test_it(patches):
    patches.apply("time:sleep", quick, aliases="ignore")
    zealous.work()
"""
    )

    result.stdout.fnmatch_lines(
        ["time:sleep was patched; zealous, *, *, *, * and * more still hold the original: *"]
    )
    result.stdout.fnmatch_lines(["*: patch 'zealous:sleep' or use aliases*"])


def test_of_very_many_patches_of_a_run_the_first_are_looked_at():
    """A failing test is not to take a minute longer for what is unlikely."""
    looked_at = []

    def many():
        for number in range(1000):
            looked_at.append(number)
            yield safepatch.patch("colorsys:rgb_to_yiq", pass_through)

    blame.told(AssertionError(), [], many())

    assert len(looked_at) == 32
