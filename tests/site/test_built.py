"""The built site has what the sources promise; `tox run -e docs` builds it, then runs this."""

import importlib
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SITE = ROOT / "docs" / "_build" / "html"
sys.path.insert(0, str(ROOT / "tests"))
from test_reference import EXCEPT, MODULES, public  # noqa: E402

PAGES = sorted(SITE.rglob("*.html"))
OWN = re.compile(r'href="([^":]*)"')


def ids(page):
    return {*re.findall(r'\bid="([^"]+)"', page.read_text())}


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_an_entry(name):
    pages = [SITE / "reference.html", *SITE.glob("reference/*")]
    shown = set().union(*map(ids, pages))

    assert public(importlib.import_module(name)) - EXCEPT - shown == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_every_link_of_a_page_leads_to_a_file_and_an_id(page):
    for link in {*OWN.findall(page.read_text())}:
        name, _, anchor = link.partition("#")
        other = (page.parent / name.partition("?")[0]).resolve() if name else page
        assert other.exists(), link
        assert not anchor or other.suffix != ".html" or anchor in ids(other), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(SITE)))
def test_no_page_shows_what_machine_it_was_made_on(page):
    text = page.read_text()

    assert "environ({" not in re.sub(r"<[^>]*>", "", text)
    assert str(ROOT) not in text


def test_there_are_pages():
    assert len(PAGES) > 30
