"""The pictures of what commands print show what they print."""

import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]


def _imported(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


make = _imported(ROOT / "docs" / "screens" / "make.py")


@pytest.mark.parametrize("name", make.SCREENS)
def test_a_picture_shows_what_its_command_prints(name):
    picture = (make.HERE / f"{name}.svg").read_text()

    assert make.shown(picture) == make.plain(make.printed(name))


def test_every_picture_is_made_and_is_on_a_page():
    pages = "".join(page.read_text() for page in ROOT.glob("docs/**/*.md"))

    assert {path.stem for path in make.HERE.glob("*.svg")} == {*make.SCREENS}
    assert [name for name in make.SCREENS if f"screens/{name}.svg" not in pages] == []


def test_a_picture_loads_nothing_from_elsewhere():
    for path in make.HERE.glob("*.svg"):
        assert 'url("http' not in path.read_text()
