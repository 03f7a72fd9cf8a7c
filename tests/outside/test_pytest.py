"""pytest's own tests that set functions by its `monkeypatch` fixture, which safepatch sets."""

import os
import pathlib

import suites

#: pytest's tests look at its output, which plugins that happen to be installed add to.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
TESTS = pathlib.Path(os.environ["OUTSIDE_SOURCES"], "pytest/testing")


def run(modules, report, *plugin):
    """With pytest's own configuration, and only those that set attributes, for brevity."""
    plugins = ["-p", "no:cacheprovider", "-p", "only_setattr", *plugin]
    pytest = ["-m", "pytest", "-q", *plugins, "--junit-xml", report]
    return suites.outcomes([*pytest, *modules], report=report, cwd=TESTS, deadline=180, **ALONE)


def test_what_pytest_promises_of_functions_safepatch_keeps_but_for_what_is_listed(tmp_path):
    paths = [*TESTS.glob("test_*.py"), *TESTS.glob("*/test_*.py")]
    modules = sorted(path for path in paths if ".setattr(" in path.read_text())

    report = tmp_path / "with.xml"
    with_patches = run(modules, report, "-p", "pytest_facade")
    without = run(modules, tmp_path / "without.xml")

    patched = suites.marked(report, "patched by safepatch")
    suites.as_listed(
        "pytest",
        {name: outcome for name, outcome in without.items() if name in patched},
        {name: outcome for name, outcome in with_patches.items() if name in patched},
    )
