"""The pytest plugin: patches for tests, and a look at what tests leave patched.

What pytest loads is _safepatch_py_pytest, of ../bootstrap/site; the rest is here, and imported when
it is needed. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import _safepatch_py_pytest
import pytest

from safepatch.pytest_plugin.leaks import LeakWarning

__all__ = ["LeakWarning"]


def pytest_addoption(pluginmanager: pytest.PytestPluginManager) -> None:
    """Be the plugin `safepatch` for who names this package, as by `-p safepatch.pytest_plugin`.

    Under the name of the entry point, which pytest leaves alone then, and does after it already.
    """
    if not pluginmanager.has_plugin("safepatch"):
        pluginmanager.register(_safepatch_py_pytest, "safepatch")
