"""Ours hold in each row, and in each row another cache does not: so the row can fail.

Each row runs in a process of its own with a deadline, since others hang. docs/traps.md tells what
became of each, and is compared with it.
"""

import document
import pytest
import rows
from children_of_rows import can_run, run_on_ours, run_on_peers

ALL = rows.load().values()
ROWS = [row for row in ALL if can_run(row)]


def named(row):
    return row.name if row.surroundings == rows.PLAIN else f"{row.name}, {row.surroundings}"


@pytest.mark.parametrize(
    ("row", "cache"),
    [pytest.param(row, ours, id=f"{named(row)}, {ours}") for row in ROWS for ours in row.ours],
)
def test_ours_hold(row, cache):
    found, told = run_on_ours(row, cache)

    assert found == (row.known or "holds"), told


def tried_on_peers(row):
    """What peers come to. Where chance rules, a few tries make sure that none is just lucky."""
    for _ in range(5 if row.by_chance else 1):
        found = run_on_peers(row)
        if fails(found):
            break
    return found


def fails(found):
    return [verdict for verdict in found.values() if verdict not in ("holds", "-")]


@pytest.mark.parametrize("name", dict.fromkeys(row.name for row in ROWS))
def test_another_cache_fails_and_the_document_says_so(name):
    """In some surroundings, if not in all; where ours is known to fail, that will do."""
    found = {row: tried_on_peers(row) for row in ROWS if row.name == name}

    assert any(map(fails, found.values())) or any(row.known for row in found), found
    for row in filter(document.is_comparable, found):
        assert document.line_written(row) == document.line_of(row, found[row])


def test_the_document_has_all_rows_and_no_others():
    names = {(row.name, row.surroundings) for row in ALL}

    assert document.rows_written() == names
