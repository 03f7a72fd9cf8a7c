"""What docs/monitor/learning.md shows is so."""

import pathlib
import re

import pytest

pytest.importorskip("gevent", reason="what is learned is written by its threads")


import hubs
from test_learning import CHANGES, endpoint, teach

from safepatch.monitor.learning import profiles
from safepatch.monitor.learning.learning import Learned

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "monitor" / "learning.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


def block(kind):
    [found] = re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return found


def test_the_table_that_it_shows_is_the_one_that_is_written(tmp_path):
    learned = Learned(tmp_path / "learned.toml")
    teach(learned, of=endpoint("https://shop.example/"))

    learned.save()

    assert (tmp_path / "learned.toml").read_text().endswith(f"\n\n{block('toml')}")


def test_the_warnings_that_it_shows_are_told():
    told = {warning for _, warning in CHANGES.values()} | {"latency 1.6 s, usually 0.099 s"}

    assert {*block("text").splitlines()} <= told


def test_every_fact_is_in_it():
    rows = re.findall(r"^\| (`[^|]+) \|", TEXT, re.MULTILINE)
    named = re.findall("`([a-z]+)`", " ".join(rows))

    assert {*named} == {*profiles.FACTS, "spread"}
