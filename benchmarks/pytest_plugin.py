"""What the pytest plugin adds to 2,000 tests that patch nothing, beside `-p no:safepatch`.

    python -m benchmarks.pytest_plugin [--quick]

Whole runs differ by more from one time to the next than the plugin adds. So its parts are measured
where they work, in a run of pytest: the hooks that it has, called with it and without it in turn,
and what it does once; to load it takes a fresh interpreter. All that is compared with the least
that 200 tests take. Trust the ratios.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import timing

TESTS, RUN = 200, 2000
#: The source of tests, and how many fixtures each sets up.
SUITES = {
    "plain": (
        """
import pytest

@pytest.mark.parametrize("n", range(TESTS))
def test_it(n):
    assert n >= 0
""",
        0,
    ),
    "three fixtures": (
        """
import pytest

@pytest.fixture
def one():
    return 1

@pytest.fixture
def two(one):
    yield one + 1

@pytest.fixture
def three(two):
    return two + 1

@pytest.mark.parametrize("n", range(TESTS))
def test_it(n, three):
    assert three == 3
""",
        3,
    ),
}
STARTING = """
import importlib.metadata, time
import pytest

load = importlib.metadata.EntryPoint.load

def measured(self):
    start = time.process_time()
    loaded = load(self)
    if self.name == "safepatch":
        print("seconds:", time.process_time() - start)
    return loaded

importlib.metadata.EntryPoint.load = measured
pytest.main(["-p", "safepatch", "--version", "--version"])
"""


def main(rounds: int) -> None:
    starting = min(_starting() for _ in range(max(3, rounds // 20)))
    print(f"To {RUN} tests that patch nothing it adds {starting * 1e3:.1f} ms to be loaded, and")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, (source, fixtures) in SUITES.items():
            path = pathlib.Path(f"test_{name.split()[0]}.py")
            path.write_text(source.replace("TESTS", str(TESTS)))
            probe = Probe(rounds)
            _run(str(path), "-p", "safepatch", plugins=[probe])
            each = 3 * probe.report + fixtures * probe.fixture + probe.collected
            whole = min(_run(str(path)) for _ in range(rounds // 20 + 2)) * RUN / TESTS
            more = each * RUN + starting + probe.once
            print(
                f"  {name:15} {each * 1e6:4.2f} us a test, {probe.once * 1e3:.1f} ms a run: "
                f"{more / whole:+.2%} of {whole:.2f} s"
            )


class Probe:
    """A plugin that measures what ours adds, in seconds: to a report, of which a test has three; to
    the set-up of a fixture; to a test that is collected; and once a run."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.report = self.fixture = self.collected = self.once = 0.0

    def pytest_collection_modifyitems(self, config: pytest.Config, items: Any) -> None:
        from _safepatch_py_pytest import _is_asked_for_more, _marked, _may_be_configured

        self.collected = self._least(lambda: [*_marked(items)]) / len(items)
        self.once = self._least(_may_be_configured) + self._least(_options)
        self.once += self._least(lambda: _is_asked_for_more(config))

    def pytest_runtest_call(self, item: Any) -> None:
        if self.report:
            return
        manager = item.config.pluginmanager
        ours = [manager.get_plugin("safepatch-leaks")]
        others = [plugin for plugin in manager.get_plugins() if plugin not in (*ours, self)]
        request = item._request
        [fixture] = request._fixturemanager.getfixturedefs("patches", item)
        call = pytest.CallInfo.from_call(lambda: None, "teardown")
        for name, given in {
            "pytest_runtest_makereport": {"item": item, "call": call},
            "pytest_fixture_setup": {"fixturedef": fixture, "request": request},
        }.items():
            # With nobody else there, `Stand` answers, and no report is made or fixture set up.
            manager.register(stand := Stand())
            alone = manager.subset_hook_caller(name, [*others, self, *ours])
            beside = manager.subset_hook_caller(name, [*others, self])
            found = timing.least(
                {
                    "without": Calls(functools.partial(alone, **given)),
                    "with": Calls(functools.partial(beside, **given)),
                },
                self.rounds,
            )
            manager.unregister(stand)
            added = found["with"] - found["without"]
            if name == "pytest_fixture_setup":
                self.fixture = added
            else:
                self.report = added

    def _least(self, work: Callable[[], Any]) -> float:
        return min(timing.once(work) for _ in range(self.rounds))


class Stand:
    """Answers the hooks in pytest's place."""

    def pytest_runtest_makereport(self) -> object:
        return self

    def pytest_fixture_setup(self) -> object:
        return self


class Calls:
    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work

    def timeit(self, number: int) -> float:
        work = self.work
        start = time.perf_counter()
        for _ in range(number):
            work()
        return time.perf_counter() - start


def _options() -> None:
    """What is done with options and fixtures before tests are collected."""
    import _safepatch_py_pytest

    _safepatch_py_pytest.pytest_addoption(pytest.Parser(_ispytest=True))


def _run(*options: str, plugins: Any = ()) -> float:
    with contextlib.redirect_stdout(io.StringIO()):
        start = time.process_time()
        code = pytest.main(["-q", "-p", "no:cacheprovider", *options], plugins=[*plugins])
        seconds = time.process_time() - start
    assert code == 0
    return seconds


def _starting() -> float:
    environ = {name: value for name, value in os.environ.items() if name != _NO_PYC}
    # In an empty folder: pytest reads the conftest.py that it finds, even for its version.
    with tempfile.TemporaryDirectory() as folder:
        ran = subprocess.run(
            [sys.executable, "-c", STARTING],
            env=environ,
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return float(ran.stdout.partition("seconds: ")[2].split()[0])


_NO_PYC = "PYTHONDONTWRITEBYTECODE"

if __name__ == "__main__":
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    main(10 if "--quick" in sys.argv else timing.ROUNDS)
