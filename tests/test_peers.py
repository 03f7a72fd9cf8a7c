"""The page about other tools says what was found, and of us what is still so."""

import json
import pathlib

import pytest
from children import run_python

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)


def test_the_table_is_made_from_the_results(benchmarks):
    from benchmarks.peers import page

    found = json.loads((ROOT / "benchmarks" / "results" / "peers.json").read_text())
    shown = (ROOT / "docs" / "explanation" / "peers.md").read_text()

    assert page.in_page(shown, found) == shown
    assert "| safepatch | yes | " in shown
    assert page.text(found) == (ROOT / "benchmarks" / "results" / "peers.txt").read_text()


def test_ours_answers_yes_to_all_but_that_it_refuses_classes():
    answers = json.loads(run_python("-m", "benchmarks.peers", "safepatch", path=[ROOT]))

    assert answers.pop("a_class").startswith("refuses: UnsupportedTargetError: ")
    assert {*answers.values()} == {"yes"}


def test_a_patch_by_hand_does_not():
    answers = json.loads(run_python("-m", "benchmarks.peers", "by hand", path=[ROOT]))

    assert answers["put_back_inherited"] == "no: a copy stays in the subclass"
