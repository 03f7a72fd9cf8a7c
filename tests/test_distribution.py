"""What is installed: its name, what it offers to others, and what it promises to type checkers."""

import importlib.metadata
import importlib.resources
import inspect
import itertools
import re
import sys
import tomllib
from pathlib import Path

import pytest
from children import child
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import safepatch
import safepatch.decorators
import safepatch.store.testing
import safepatch.testing
from safepatch.errors import TargetError

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def installed():
    return importlib.metadata.distribution("safepatch-py")


def test_the_distribution_is_called_safepatch_py_and_has_the_version_of_the_package(installed):
    assert installed.metadata["Name"] == PROJECT["name"] == "safepatch-py"
    assert installed.version == safepatch.__version__


def test_it_is_installed_with_the_extras_that_the_project_names(installed):
    extras = installed.metadata.get_all("Provides-Extra")

    assert sorted(extras) == sorted(PROJECT["optional-dependencies"])
    assert {"all", "examples", "gevent"} <= set(extras)


def test_what_an_extra_takes_from_another_exists():
    extras = PROJECT["optional-dependencies"]
    wanted = {
        extra
        for requirement in map(Requirement, itertools.chain(*extras.values()))
        if requirement.name == "safepatch-py"
        for extra in requirement.extras
    }

    assert wanted <= set(extras)


def test_an_extra_that_a_document_tells_to_install_exists():
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    told = {
        extra.strip()
        for path in documents
        for extras in re.findall(r"safepatch-py\[([\w, -]+)\]", path.read_text(encoding="utf-8"))
        for extra in extras.split(",")
    }

    assert told <= set(PROJECT["optional-dependencies"])


def test_each_dependency_has_a_lowest_version():
    requirements = map(Requirement, PROJECT["dependencies"])

    assert all(
        any(version.operator in (">=", "~=") for version in requirement.specifier)
        for requirement in requirements
    )


def test_this_python_is_one_that_it_says_it_runs_on(installed):
    running = ".".join(map(str, sys.version_info[:3]))

    assert SpecifierSet(installed.metadata["Requires-Python"]).contains(running)
    assert f"Programming Language :: Python :: {running[:4]}" in PROJECT["classifiers"]


def test_type_checkers_are_told_that_it_is_typed():
    assert importlib.resources.files("safepatch").joinpath("py.typed").is_file()


FRONT_DOORS = [safepatch, safepatch.decorators, safepatch.testing, safepatch.store.testing]


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (module, name)
        for module in FRONT_DOORS
        for name in module.__all__
        if not isinstance(getattr(module, name), dict)
    ],
)
def test_what_is_public_is_there_and_documented(module, name):
    documented = inspect.getdoc(getattr(module, name))

    assert documented
    first = documented.partition("\n\n")[0]
    assert first[0].isupper()
    assert "." in first


@pytest.mark.parametrize("module", FRONT_DOORS)
def test_nothing_is_public_twice(module):
    assert len(module.__all__) == len(set(module.__all__))


# Patches that others find by name.


def test_our_recipes_are_offered_by_name(installed):
    offered = [point for point in installed.entry_points if point.group == "safepatch.patches"]

    assert [point.name for point in offered] == ["dns-cache"]
    assert callable(offered[0].load())


def test_a_recipe_is_applied_by_its_name_and_undone_in_a_process_that_only_imports_the_package():
    child("""
        import safepatch, sys

        patch = safepatch.apply("dns-cache")

        assert patch.state == "applied", (patch.state, patch.reason)
        assert [live.name for live in safepatch.live()] == ["dns-cache"]
        import socket
        patched = [socket.getaddrinfo("127.0.0.1", 80) for _ in range(2)]
        told = str(safepatch.explain("socket:getaddrinfo"))
        assert "dns-cache" in told, told

        safepatch.undo("dns-cache")

        assert patched == [socket.getaddrinfo("127.0.0.1", 80)] * 2
        told = str(safepatch.explain("socket:getaddrinfo"))
        assert "dns-cache" not in told.partition("def ")[0], told
        assert socket.getaddrinfo.__code__.co_filename == socket.__file__
        assert (patch.state, safepatch.live()) == ("undone", [])
        assert not [name for name in sys.modules if name.partition(".")[0] == "gevent"]
        """)


def test_a_recipe_is_not_imported_before_somebody_asks_for_it():
    child("""
        import safepatch, sys

        safepatch.apply_all()
        safepatch.explain()

        assert "safepatch.recipes.dns" not in sys.modules
        assert safepatch.live() == []
        """)


def test_each_registry_has_a_recipe_of_its_own(patches):
    patch = patches.apply("dns-cache")

    with safepatch.Registry() as other, pytest.raises(TargetError, match="dns-cache"):
        other.undo("dns-cache")

    assert patch.state == "applied"
    patches.undo("dns-cache")
    assert patch.state == "undone"


def test_a_name_that_is_not_offered_names_the_nearest_that_is(patches):
    with pytest.raises(TargetError, match="'dns-cache'") as caught:
        patches.apply("dns-cach")

    assert "dns-cache" in caught.value.candidates
