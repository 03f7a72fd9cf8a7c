"""What is public has a docstring, and is in the reference."""

import importlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "docs" / "reference.md", *ROOT.glob("docs/reference/*.md")]
# Those without `__all__` have as public names all that they define without an underscore.
MODULES = [
    "safepatch",
    "safepatch.decorators",
    "safepatch.decorators.exporters",
    "safepatch.metrics",
    "safepatch.testing",
    "safepatch.recipes.dns",
    "safepatch.store",
    "safepatch.store.testing",
    "safepatch.monitor",
]
# Objects made from docstrings by autodoc, and what is told by hand.
DIRECTIVE = re.compile(r"^\.\. (auto\w+|py:data):: ([\w.]+)(?:\(\))?\n((?: +:.*\n)*)", re.MULTILINE)


def public(module):
    names = getattr(module, "__all__", None)
    if names is None:
        defined = {name: thing for name, thing in vars(module).items() if name[0] != "_"}
        own = getattr(module, "__name__", None)
        names = [name for name, thing in defined.items() if _is_defined_in(thing, own)]
    return {f"{module.__name__}.{name}" for name in names}


def _is_defined_in(thing, module):
    return callable(thing) and getattr(thing, "__module__", None) == module


def thing_of(full):
    """What a full name leads to."""
    *path, last = full.split(".")
    for at in range(len(path), 0, -1):
        try:
            found = importlib.import_module(".".join(path[:at]))
        except ModuleNotFoundError:
            continue
        for name in [*path[at:], last]:
            found = getattr(found, name)
        return found
    raise AssertionError(full)


def shown():
    """What the pages show, by full names."""
    for page in PAGES:
        for directive, name, options in DIRECTIVE.findall(page.read_text()):
            if directive != "automodule":
                yield name
            elif listed := re.search(r":members: (.+)", options):
                yield from (f"{name}.{member}" for member in re.split(r",\s*", listed[1].strip()))
            elif ":members:" in options:
                yield from public(importlib.import_module(name))


@pytest.mark.parametrize("name", MODULES)
def test_all_public_names_of_a_module_are_in_the_reference(name):
    assert public(importlib.import_module(name)) - {*shown()} - EXCEPT == set()


# A helper class that dns_cache() makes for itself.
EXCEPT = {"safepatch.recipes.dns.DnsCache"}


@pytest.mark.parametrize("name", MODULES)
def test_all_public_names_of_a_module_have_a_docstring_that_begins_with_a_sentence(name):
    module = importlib.import_module(name)
    for full in public(module) - EXCEPT:
        thing = getattr(module, full.removeprefix(f"{name}."))
        if not isinstance(thing, dict):
            first = str(thing.__doc__).strip().partition("\n\n")[0]
            assert first.endswith((".", ":")), f"{full}: {first}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_makes_of_docstrings_has_them(page):
    for directive, name, options in DIRECTIVE.findall(page.read_text()):
        if directive in ("automodule", "py:data"):
            continue
        listed = re.search(r":members: (.+)", options)
        members = re.split(r",\s*", listed[1].strip()) if listed else []
        for full in [name, *(f"{name}.{member}" for member in members)]:
            first = str(thing_of(full).__doc__).strip().partition("\n\n")[0]
            assert first.endswith((".", ":")), f"{full}: {first}"


def test_nothing_is_in_the_reference_twice():
    names = [*shown()]

    assert len(names) == len({*names})
