"""The crash harness knows nothing of the store."""

import ast
import graphlib
import pathlib

from children import child

import safepatch
from safepatch.store import testing

PACKAGE = pathlib.Path(testing.__file__).parent
OWN = "safepatch.store.testing"


def imported(path):
    """Full names of modules, and of what is taken from the front door."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            is_door = node.module == "safepatch"
            yield from (f"safepatch.{alias.name}" for alias in node.names if is_door)
            if not is_door:
                yield node.module


def test_it_uses_public_names_and_decorators_alone():
    public = {"safepatch", "safepatch.decorators", *(f"safepatch.{n}" for n in safepatch.__all__)}
    for path in PACKAGE.glob("*.py"):
        ours = {name for name in imported(path) if name.partition(".")[0] == "safepatch"}

        assert {name for name in ours if not name.startswith(OWN)} <= public, path


def test_no_file_of_it_imports_one_that_imports_it():
    files = {path.stem for path in PACKAGE.glob("*.py")}
    below = {
        name: {
            found.removeprefix(f"{OWN}.")
            for found in imported(PACKAGE / f"{name}.py")
            if found.startswith(f"{OWN}.")
        }
        for name in files
    }

    assert {*graphlib.TopologicalSorter(below).static_order()} == files


def test_it_needs_nothing_that_the_store_needs():
    child("""
        import sys
        for name in ("msgspec", "crc32c", "orjson", "gevent", "psycopg"):
            sys.modules[name] = None

        from safepatch.store.testing import check_crashes
        """)
