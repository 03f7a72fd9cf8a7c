"""Every test must leave nothing patched."""

import gc
import os
import signal
import sys
import threading

import hypothesis
import pytest

from safepatch import imports, registry
from safepatch.decorators import waiting

# A machine that is busy with something else is not a failure.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

# pytest cuts no lines where this is set, and what children print is compared here.
os.environ.pop("CI", None)

# Where everything is installed, as in CI, a skip hides something; but for what nobody can install,
# or what is not in the old version that is tested, and says so in these words.
NOTHING_MAY_BE_SKIPPED = "SAFEPATCH_REQUIRE_ALL" in os.environ
NOBODY_CAN_MEND = ("Skipped: this machine ", "Skipped: this version ")


def _required(report):
    can_be_mended = not any(words in str(report.longrepr) for words in NOBODY_CAN_MEND)
    if NOTHING_MAY_BE_SKIPPED and report.skipped and can_be_mended:
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped here: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return _required((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return _required((yield))


@pytest.fixture(autouse=True)
def nothing_stays_patched():
    yield
    left = [patch for other in list(registry._registries) for patch in other.live()]
    for other in list(registry._registries):
        other.undo_all()
    assert left == []
    assert imports._waiting == {}


def pytest_collection_finish():
    """What is there before the tests is no garbage, and need not be looked at again and again."""
    gc.collect()
    gc.freeze()


class _Modules:
    """A plugin that notes what a run has imported."""

    def __init__(self):
        self.modules = {}

    def pytest_unconfigure(self):
        self.modules = dict(sys.modules)


@pytest.fixture(scope="module")
def collected():
    """What pytest makes of tests holds what they hold, until it is collected."""
    yield
    gc.collect()


@pytest.fixture
def run_tests(collected, pytester, monkeypatch):
    """Run a test file in a pytest of its own, in this process, with our plugin and no others."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr(registry.default, "_named", {})

    def run(source, *options):
        pytester.makepyfile(source)
        own = ("-p", "safepatch.pytest_plugin", "-p", "no:cacheprovider")
        seen = _Modules()
        result = pytester.runpytest_inprocess(*own, *options, plugins=[seen])
        # pytester forgets them; a second asyncio has other classes than what has the first.
        for name, module in seen.modules.items():
            file = str(getattr(module, "__dict__", {}).get("__file__"))
            if not file.startswith(str(pytester.path)):
                sys.modules.setdefault(name, module)
        return result

    return run


@pytest.fixture
def arrivals(patches):
    """A semaphore, released whenever a caller of a cached function is about to wait for another."""
    arrived = threading.Semaphore(0)

    def noting(wrapped):
        def wrapper():
            made = wrapped()
            arrived.release()
            return made

        return wrapper

    patches.apply((waiting, "event"), noting)
    return arrived


@pytest.fixture
def alarm_is_free():
    """Take the one alarm of the process from whoever has set it, such as pytest-timeout."""
    if not hasattr(signal, "setitimer"):
        pytest.skip("no SIGALRM here")
    handler = signal.signal(signal.SIGALRM, signal.SIG_DFL)
    left = signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, *left)
