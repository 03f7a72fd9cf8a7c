"""The pytest plugin: patches for tests, and a look at what tests leave patched.

What pytest loads is _safepatch_py_pytest, of ../bootstrap/site; the rest is here, and imported when
it is needed. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from _safepatch_py_pytest import (
    class_patches,
    marks_of_the_test,
    module_patches,
    patches,
    pytest_addoption,
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_report_header,
    session_patches,
)

from safepatch.pytest_plugin.leaks import LeakWarning

__all__ = [
    "LeakWarning",
    "class_patches",
    "marks_of_the_test",
    "module_patches",
    "patches",
    "pytest_addoption",
    "pytest_collection_finish",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_report_header",
    "session_patches",
]
