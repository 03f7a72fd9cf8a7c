"""What docs/monitor/services.md and workers.md show can be said so."""

import json
import pathlib
import re
import statistics

import pytest

from safepatch.monitor import checks, sources
from safepatch.monitor.checks import dns
from safepatch.monitor.checks.detecting import PORTS
from safepatch.monitor.names import querying

ROOT = pathlib.Path(__file__).parents[2]
DOCS, RESULTS = ROOT / "docs" / "monitor", ROOT / "benchmarks" / "results"
TEXTS = {name: (DOCS / f"{name}.md").read_text() for name in ("services", "workers")}
BLOCKS = [
    (name, block)
    for name, text in TEXTS.items()
    for block in re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_what_is_shown_of_a_file_is_read(page, block, tmp_path):
    (tmp_path / "monitor.toml").write_text(block)
    plan = sources.read(str(tmp_path / "monitor.toml"), environ={"REDIS_PASSWORD": "x"})

    assert len(plan.endpoints) == 1


def test_every_kind_of_these_checks_is_in_it():
    for kind in ("icmp", "smtp", "smtps", "mx", "dns", "beat"):
        assert f"{kind}://" in TEXTS["services"]
        assert kind in checks.KINDS


def test_every_port_that_is_settled_is_in_it():
    for port in PORTS:
        assert f"`host:{port}`" in TEXTS["services"]


def test_what_is_read_of_an_answer_is_in_it():
    assert f"more than {querying._MOST_RECORDS} records" in TEXTS["services"]
    assert f"the first {dns.MOST}" in TEXTS["services"]


def test_the_costs_of_workers_are_those_that_were_measured():
    found = json.loads((RESULTS / "monitor-workers-3.11.json").read_text())
    for size, samples in found["overhead"].items():
        costs = [
            statistics.median(sample[part] for sample in samples)
            for part in ("worker", "monitor", "redis")
        ]
        cells = " | ".join(f"{round(cost):,}" for cost in (*costs, sum(costs)))

        assert f"| {size} | {cells} |" in TEXTS["workers"]

    plain, tls = (round(statistics.median(found["checks"][kind])) for kind in ("http", "https"))
    assert f"takes {plain:,} microseconds of a worker for HTTP, and {tls:,} for" in TEXTS["workers"]
