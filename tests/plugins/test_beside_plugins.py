"""Our plugin beside others that run tests in another way: in processes, threads, event loops,
greenlets, or another order."""

import os
import re
import subprocess
import sys

import pytest

from safepatch import config, lock

HEAD = """
import asyncio, socket, threading
import pytest, safepatch, time
from safepatch.decorators import replace

original = time.sleep

def quick(wrapped):
    return lambda seconds: "quick"

"""

SUITE = (
    HEAD
    + """
@pytest.mark.safepatch("time:sleep", quick)
def test_marked():
    assert time.sleep(9) == "quick"

@pytest.mark.parametrize("n", range(4))
def test_fixture(patches, n):
    assert time.sleep is original
    patches.apply("time:sleep", replace(lambda *args: n), aliases="ignore")
    assert time.sleep(9) == n

@pytest.fixture(scope="module")
def of_module(module_patches):
    module_patches.apply("time:time", replace(lambda: 7.0), aliases="ignore")

class TestWider:
    def test_one(self, of_module): assert time.time() == 7.0
    def test_two(self, of_module): assert time.time() == 7.0

def test_leak():
    safepatch.apply("time:sleep", quick, aliases="ignore")

def test_clean():
    assert time.sleep is original
"""
)


@pytest.fixture
def run(pytester):
    """Run tests in a pytest of its own process, with ours and the plugins that are named."""

    def run_pytest(source, *options, plugins=(), launcher=("-m", "pytest")):
        path = pytester.makepyfile(source)
        wanted = [option for plugin in plugins for option in ("-p", plugin)]
        ran = subprocess.run(
            [
                *(sys.executable, *launcher, "-p", "safepatch", *wanted, *options),
                *("-p", "no:cacheprovider", str(path)),
            ],
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            cwd=pytester.path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return ran.stderr + ran.stdout

    return run_pytest


def outcomes(printed):
    """What the last line counts, as {"passed": 3, "error": 1}."""
    counted = re.findall(r"(\d+) (passed|failed|errors?|skipped)", printed.splitlines()[-1])
    return {what.rstrip("s"): int(number) for number, what in counted}


def blamed(printed):
    return re.findall(r"ERROR at teardown of (\S+)", printed)


@pytest.mark.parametrize("options", [("-n2",), ("-n0",)])
def test_xdist(options, run):
    printed = run(SUITE, *options, plugins=["xdist"])

    assert blamed(printed) == ["test_leak"], printed
    assert outcomes(printed) == {"passed": 9, "error": 1}, printed


def test_xdist_patches_the_run_in_the_workers_and_not_where_no_tests_run(run, pytester):
    pytester.makeconftest(
        """
        import os, safepatch, time
        from safepatch.decorators import replace

        safepatch.register("no-sleep", "time:sleep", replace(lambda seconds: "patched"),
                           aliases="ignore")

        def pytest_unconfigure(config):
            live = [patch.name for patch in safepatch.live()]
            with open(f"live-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}", "w") as file:
                file.write(",".join(live))
        """
    )
    printed = run(
        "import time\ndef test_it(): assert time.sleep(99) == 'patched'",
        "-n1",
        "--safepatch=no-sleep",
        plugins=["xdist"],
    )

    assert outcomes(printed) == {"passed": 1}, printed
    assert "safepatch: live in this run: no-sleep" in printed
    assert pytester.path.joinpath("live-main").read_text() == ""
    assert pytester.path.joinpath("live-gw0").read_text() == "no-sleep"


def test_xdist_shows_why_a_patch_may_not_have_worked(run):
    printed = run(
        f"{HEAD}def test_it(patches):\n    patches.apply('time:sleep', quick, aliases='ignore')\n"
        "    assert False",
        "-n1",
        plugins=["xdist"],
    )

    assert "time:sleep was patched; test_xdist_shows_why" in printed


def test_xdist_tells_of_a_name_that_is_not_known(run):
    printed = run("def test_it(): pass", "-n1", "--safepatch=dns-cach", plugins=["xdist"])

    assert "ERROR: safepatch: no patch 'dns-cach'" in printed
    assert "did you mean 'dns-cache'?" in printed


@pytest.mark.parametrize("seed", range(2))
def test_randomly(seed, run):
    printed = run(SUITE, f"--randomly-seed={seed}", plugins=["pytest_randomly"])

    assert blamed(printed) == ["test_leak"], printed
    assert outcomes(printed) == {"passed": 9, "error": 1}, printed


ASYNC = (
    HEAD
    + """
@pytest.mark.{mark}
@pytest.mark.safepatch("asyncio:sleep", lambda wrapped: lambda *args: wrapped(0))
async def test_marked():
    await asyncio.sleep(1000)

@pytest.mark.{mark}
async def test_fixture(patches):
    patches.apply("asyncio:sleep", lambda wrapped: lambda *args: wrapped(0), aliases="ignore")
    await asyncio.sleep(1000)

@pytest.mark.{mark}
async def test_context():
    with safepatch.patch("time:sleep", quick, scope="context"):
        assert await asyncio.create_task(inside()) == "quick"

async def inside():
    return time.sleep(0)

@pytest.mark.{mark}
async def test_leak():
    safepatch.apply("time:sleep", quick, aliases="ignore")

@{fixture}
async def wide():
    patch = safepatch.apply("time:time", replace(lambda: 7.0), aliases="ignore")
    yield
    patch.undo()

@pytest.mark.{mark}
async def test_wide(wide):
    assert time.time() == 7.0

@{fixture}
async def leaking():
    safepatch.apply("json:dumps", quick, aliases="ignore")

@pytest.mark.{mark}
async def test_wide_leak(leaking): pass
"""
)


def test_asyncio(run):
    source = ASYNC.replace("{mark}", "asyncio(loop_scope='module')").replace(
        "{fixture}", "pytest_asyncio.fixture(scope='module', loop_scope='module')"
    )
    printed = run(f"import pytest_asyncio\n{source}", plugins=["pytest_asyncio.plugin"])

    assert blamed(printed) == ["test_leak", "test_wide_leak"], printed
    assert outcomes(printed) == {"passed": 6, "error": 2}, printed
    assert "the fixture 'leaking' of module scope left the patch 'json:dumps' live" in printed


def test_anyio(run):
    backend = '\n@pytest.fixture(scope="module")\ndef anyio_backend(): return "asyncio"\n'
    source = ASYNC.replace("{mark}", "anyio").replace("{fixture}", "pytest.fixture(scope='module')")
    printed = run(source + backend, plugins=["anyio"])

    assert blamed(printed) == ["test_leak", "test_wide_leak"], printed
    assert outcomes(printed) == {"passed": 6, "error": 2}, printed
    assert "the fixture 'leaking' of module scope left the patch 'json:dumps' live" in printed


def test_threads_that_run_one_test_at_once_see_their_own_patches(run):
    printed = run(
        HEAD
        + """
@pytest.mark.safepatch("time:time", replace(lambda: 7.0))
def test_marked():
    assert time.time() == 7.0

def test_context(patches, thread_index, num_parallel_threads):
    assert num_parallel_threads == 4
    for _ in range(20):
        with patches.patch("time:sleep", replace(lambda seconds: thread_index), scope="context"):
            assert time.sleep(9) == thread_index

def test_of_the_registry(patches, thread_index):
    patches.apply("time:sleep", replace(lambda s: thread_index), scope="context", aliases="ignore")
    assert time.sleep(9) == thread_index

def test_leak():
    safepatch.apply("time:sleep", quick, scope="context", aliases="ignore")

def test_clean():
    assert time.sleep is original
""",
        "--parallel-threads=4",
        plugins=["pytest_run_parallel.plugin"],
    )

    assert blamed(printed) == ["test_leak"], printed
    assert printed.count("the test left the patch 'time:sleep' live") == 4, printed
    assert outcomes(printed) == {"passed": 5, "error": 1}, printed


def test_a_locked_target_is_looked_at_once_and_without_a_warning(run, pytester):
    pytester.path.joinpath("safepatch.toml").write_text(
        '[patches.mine]\ntarget = "json:dumps"\ndecorators = [{use = "count_calls"}]\n'
    )
    lock.write(
        lock.make(config.load(pytester.path / "safepatch.toml")), pytester.path / "safepatch.lock"
    )
    printed = run(
        "def test_it(): pass",
        *("--safepatch-drift", "--parallel-threads=4", "-W", "error"),
        plugins=["pytest_run_parallel.plugin"],
    )

    assert outcomes(printed) == {"passed": 2}, printed


@pytest.mark.parametrize(
    "launcher", [("-m", "pytest"), ("-m", "gevent.monkey", "--module", "pytest")]
)
def test_gevent(launcher, run):
    """Patched before pytest, or by the test module."""
    printed = run(f"from gevent import monkey\nmonkey.patch_all()\n{SUITE}", launcher=launcher)

    assert blamed(printed) == ["test_leak"], printed
    assert outcomes(printed) == {"passed": 9, "error": 1}, printed


def test_pytest_mock_is_not_blamed_and_what_is_left_beside_it_is(run):
    printed = run(
        HEAD
        + """
def test_mocker(mocker):
    mocker.patch("time.sleep")

def test_over_ours(mocker, patches):
    patches.apply("time:sleep", quick, aliases="ignore")
    mocker.patch("time.sleep")

def test_under_ours(mocker):
    mocker.patch("time.sleep")
    with safepatch.patch("time:sleep", quick):
        assert time.sleep(9) == "quick"

def test_leak():
    import unittest.mock
    unittest.mock.patch("time.sleep").start()

@pytest.fixture(scope="module")
def wide(module_mocker):
    module_mocker.patch("time.sleep")

def test_wide(wide): pass
""",
        "-o",
        "safepatch_watch=time:sleep",
        plugins=["pytest_mock"],
    )

    assert blamed(printed) == ["test_leak"], printed
    assert outcomes(printed) == {"passed": 5, "error": 1}, printed


def test_coverage_counts_the_same_lines(run, pytester):
    module = pytester.makepyfile(covered="def f(x):\n    if x:\n        return 1\n    return 2")
    test = "import covered\ndef test_it(): assert covered.f(1) == 1"
    options = ("--cov=covered", "--cov-branch", "--cov-report=term-missing")

    with_ours = run(test, *options, plugins=["pytest_cov"])
    without = run(test, *options, "-p", "no:safepatch", plugins=["pytest_cov"])

    lines = [re.findall(r"^covered.*", printed, re.M) for printed in (with_ours, without)]
    assert lines[0] == lines[1] != [], with_ours
    assert module.exists()


def test_timeout_and_rerun_like_wrappers_do_no_harm(run):
    printed = run(SUITE, "--timeout=60", plugins=["pytest_timeout"])

    assert outcomes(printed) == {"passed": 9, "error": 1}, printed
