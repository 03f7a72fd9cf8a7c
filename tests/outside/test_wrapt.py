"""wrapt's own tests of patching, with safepatch behind what they call."""

import os
import pathlib

import suites

#: Plugins that other suites need import what these tests import for the first time.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
TESTS = pathlib.Path(os.environ["OUTSIDE_SOURCES"], "wrapt/tests/core")


def run(modules, report, *plugin):
    """From a directory and a configuration of its own, so that names are as short as can be."""
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", TESTS]
    pytest = ["-m", "pytest", *options, *plugin, "--junit-xml", report]
    return suites.outcomes([*pytest, *modules], report=report, cwd=TESTS, deadline=180, **ALONE)


def test_what_wrapt_promises_of_patching_safepatch_keeps_but_for_what_is_listed(tmp_path):
    modules = suites.modules("wrapt", TESTS)

    without = run(modules, tmp_path / "without.xml")
    with_patches = run(modules, tmp_path / "with.xml", "-p", "wrapt_facade")

    suites.as_listed("wrapt", without, with_patches)
