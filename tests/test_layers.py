"""Imports run downwards only, and importing the front door stays cheap."""

import ast
import graphlib
import pathlib

import pytest
from children import child

import safepatch

PACKAGE = pathlib.Path(safepatch.__file__).parent

# From the bottom up. A module imports only what stands before it, and never what stands on top.
CORE = [
    "started_in",
    "errors",
    "signatures",
    "kinds",
    "stacks",
    "callers",
    "events",
    "scopes",
    "proxies",
    "sites",
    "in_place",
    "bottoms",
    "examine",
    "targets",
    "aliases",
    "fingerprints",
    "guards",
    "options",
    "imports",
    "places",
    "running",
    "kill_switch",
    "outcomes",
    "fail_open",
    "wrappers",
    "patches",
    "offers",
    "groups",
    "counters",
    "explain",
    "registry",
    "metrics",
]
# What reads configurations stands on the core and the decorators, in this order, and takes of the
# core what it needs, because the front door leads to it.
CONFIGURING = [
    "config_files",
    "config_lines",
    "references",
    "shapes",
    "catalogue",
    "expressions",
    "config_tables",
    "config",
    "schema",
    "startup",
]
# What runs programs with patches; bootstrap is imported in their processes alone.
RUNNING = ["commands", "figures", "reports", "runs", "bootstrap", "runner"]
# What looks at patches from outside uses the public names, and what is configured.
LOOKING = ["looks", "drifts", "until", "lock", "doctor"]
# Of the monitor, the words that all its parts go by, and its parts.
MONITOR = [
    "results",
    "plan",
    "statuses",
    "courses",
    "urls",
    "guarding",
    "names",
    "tools",
    "checks",
    "history",
    "verdicts",
    "sources",
    "learning",
    "alerts",
    "restarts",
    "web",
    "workers",
    "engine",
    "monitor",
    "once",
]
# What Python and pytest find without the package, and what of the package each leads to.
LEADING = {
    "path/sitecustomize": {"bootstrap"},
    "site/_safepatch_py_start": {"bootstrap"},
    "site/_safepatch_py_pytest": {"__init__", "pytest_plugin"},
}
ABOVE = [
    "__init__",
    "__main__",
    "cli",
    "decorators",
    "monitor",
    "pytest_plugin",
    "recipes",
    "store",
    "testing",
]


def import_statements(path):
    """Those of a file, also inside of functions, but for those for type checkers only."""
    tree = ast.parse(path.read_text())
    for_checkers = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and ast.unparse(test.test) == "TYPE_CHECKING"
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in for_checkers:
            yield node


def imported(path):
    """The parts of safepatch that a file imports."""
    for node in import_statements(path):
        if isinstance(node, ast.ImportFrom) and node.module == "safepatch":
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and str(node.module).startswith("safepatch."):
            yield node.module.split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.split(".")[1] if "." in alias.name else "__init__"
                for alias in node.names
                if alias.name.partition(".")[0] == "safepatch"
            )


def imported_beside(path, folder):
    """The files and folders of a package that a file imports."""
    package = ".".join(["safepatch", *folder.relative_to(PACKAGE).parts])
    depth = package.count(".") + 1
    files = {file.stem for file in folder.iterdir()}
    for node in import_statements(path):
        named = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module == package:
            yield from (name if name in files else "__init__" for name in named)
        for module in named if isinstance(node, ast.Import) else [str(node.module)]:
            if module.startswith(f"{package}."):
                yield module.split(".")[depth]


def test_every_file_of_the_core_has_a_layer():
    found = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.parent.name for path in PACKAGE.glob("*/__init__.py")
    }

    assert found == {*CORE, *CONFIGURING, *RUNNING, *LOOKING, *ABOVE}


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_only_what_lies_below(name):
    below = {*CORE[: CORE.index(name)]}

    assert set(imported(PACKAGE / f"{name}.py")) <= below


@pytest.mark.parametrize("name", CONFIGURING)
def test_what_reads_configurations_imports_only_what_lies_below(name):
    below = {*CORE, "decorators", *CONFIGURING[: CONFIGURING.index(name)]}

    assert set(imported(PACKAGE / f"{name}.py")) <= below


@pytest.mark.parametrize("name", RUNNING)
def test_what_runs_programs_imports_only_what_lies_below(name):
    below = {*CORE, "decorators", *CONFIGURING, *RUNNING[: RUNNING.index(name)]}
    path = PACKAGE / f"{name}.py"

    assert set(imported(path if path.exists() else PACKAGE / name / "__init__.py")) <= below


@pytest.mark.parametrize("name", LOOKING)
def test_what_looks_at_patches_uses_public_names_and_what_lies_below(name):
    public = {*safepatch.__all__, "__init__"}
    below = {*public, "config", "startup", *LOOKING[: LOOKING.index(name)]}

    assert set(imported(PACKAGE / f"{name}.py")) <= below


def test_decorators_import_nothing_of_the_core():
    for path in (PACKAGE / "decorators").glob("*.py"):
        assert set(imported(path)) <= {"decorators"}, path


@pytest.mark.parametrize(
    "package",
    [
        path.parent.relative_to(PACKAGE).as_posix()
        for name in ABOVE
        for path in sorted((PACKAGE / name).rglob("__init__.py"))
    ],
)
def test_no_file_imports_one_that_imports_it(package):
    """Nor by way of others: sorting them raises an error that names the circle."""
    folder = PACKAGE / package
    files = {path.stem: path for path in folder.glob("*.py")}
    files |= {path.parent.name: path for path in folder.glob("*/__init__.py")}
    below = {name: {*imported_beside(path, folder)} - {name} for name, path in files.items()}

    in_order = [*graphlib.TopologicalSorter(below).static_order()]

    assert set(in_order) == {*files}


def test_parts_of_the_monitor_import_only_what_lies_below():
    folder = PACKAGE / "monitor"
    for path in folder.rglob("*.py"):
        part = path.relative_to(folder).with_suffix("").parts[0]
        if part != "__init__":
            below = {*MONITOR[: MONITOR.index(part)], part}
            assert set(imported_beside(path, folder)) <= below, path


def test_recipes_use_the_public_names_the_decorators_and_recipes_alone():
    allowed = {*safepatch.__all__, "__init__", "decorators", "recipes"}
    for path in (PACKAGE / "recipes").glob("*.py"):
        assert set(imported(path)) <= allowed, path


def test_the_command_line_uses_public_names_and_what_it_is_to_show():
    shown = {"config", "startup", "runner", "errors", "store", "monitor", *LOOKING}
    for path in (PACKAGE / "cli").glob("*.py"):
        assert set(imported(path)) <= {*safepatch.__all__, "__init__", "cli", *shown}, path


def test_the_store_uses_public_names_and_decorators_alone():
    for path in (PACKAGE / "store").rglob("*.py"):
        allowed = {*safepatch.__all__, "__init__", "decorators", "store"}
        assert set(imported(path)) <= allowed, path


def test_the_monitor_uses_public_names_and_what_it_stands_on():
    below = {"decorators", "recipes", "store", "config_lines"}
    for path in (PACKAGE / "monitor").rglob("*.py"):
        allowed = {*safepatch.__all__, "__init__", *below, "monitor"}
        assert set(imported(path)) <= allowed, path


def test_the_conformance_kit_uses_public_names_alone():
    for path in (PACKAGE / "testing").glob("*.py"):
        assert set(imported(path)) <= {*safepatch.__all__, "__init__", "testing"}, path


def test_the_pytest_plugin_uses_public_names_and_asks_the_registry_what_is_patched():
    allowed = {*safepatch.__all__, "__init__", "pytest_plugin", "registry", "config", "lock"}
    for path in (PACKAGE / "pytest_plugin").glob("*.py"):
        assert set(imported(path)) <= allowed, path


def test_what_is_found_without_the_package_imports_only_what_it_leads_to():
    # In the sources, since a wheel puts some of them beside the package.
    folder = pathlib.Path(__file__).parents[1] / "safepatch" / "bootstrap"
    found = {
        path.relative_to(folder).with_suffix("").as_posix(): set(imported(path))
        for path in folder.glob("*/*.py")
    }

    assert found == LEADING


def test_only_the_pytest_plugin_imports_what_is_found_without_the_package():
    names = {pathlib.PurePath(name).name for name in LEADING}
    importing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.glob("**/*.py")
        for node in import_statements(path)
        if names & {getattr(node, "module", None), *(alias.name for alias in node.names)}
    }

    # And the file of ours that is named so, which runs the next one of that name.
    assert importing == {"pytest_plugin/__init__.py", "bootstrap/path/sitecustomize.py"}


def test_importing_safepatch_imports_neither_its_dependencies_nor_slow_modules():
    unwanted = ["wrapt", "packaging", "cachetools", "gevent", "inspect", "asyncio", "difflib"]
    unwanted += ["safepatch.testing", "safepatch.startup", "safepatch.config", "tomllib"]
    unwanted += ["importlib.metadata", "ast"]

    printed = child(
        f"import sys, safepatch; print([name for name in {unwanted} if name in sys.modules])"
    )

    assert printed == "[]"
