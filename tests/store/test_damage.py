"""What damaged files make of a store: it says so, or holds what it held, now or before."""

import collections
import itertools
import os

import pytest
from ledgers import LEVEL, after, commit, compactions, found, opened, place

from safepatch.store import CorruptError, Store
from safepatch.store.engines.journal.frames import HEADER, MAGIC
from safepatch.store.testing import cuts, damages, flips, tails, zeros

TOTAL = (10, 20, 36)[LEVEL]  # commits
EACH = (3, 2, 1)[LEVEL]  # of so many damages one is tried


pytestmark = pytest.mark.usefixtures("no_syncs")


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two of them, in an image and several journals: one was closed, and one is open still."""
    closed, crashed = (tmp_path_factory.mktemp(name) for name in ("closed", "crashed"))
    for directory in (closed, crashed):
        with opened(directory) as store, compactions():
            commit(store, lambda number: None, range(TOTAL // 3))
            store.compact()
        with opened(directory) as store:
            commit(store, lambda number: None, range(TOTAL // 3, TOTAL // 2))
    with opened(closed) as store:
        commit(store, lambda number: None, range(TOTAL // 2, TOTAL))
    with opened(crashed) as store:
        commit(store, lambda number: None, range(TOTAL // 2, TOTAL))
        yield {"closed": closed, "crashed": crashed}


def outcomes(directory, damaged, *kinds):
    """What each damage leads to: how many commits are there, or "refused"; and in which file."""
    wholes = [after(count) for count in range(TOTAL + 1)]
    for state in itertools.islice(damages(directory, *kinds), 0, None, EACH):
        state.write(damaged)
        try:
            holds = found(damaged)
        except CorruptError as error:
            assert os.path.dirname(error.file) == place(damaged)
            assert unchanged(state, damaged), str(state)
            yield "refused", state
        else:
            assert holds in wholes, str(state)
            yield wholes.index(holds), state


def unchanged(state, damaged):
    return all(
        content is None or (damaged / name).read_bytes() == content
        for name, content in state.files.items()
    )


def hits_marks_alone(state, directory):
    """Say whether a damage is only to marks, which tell nothing but where a write was over."""
    for name, content in state.files.items():
        if content is None:  # a directory
            continue
        whole = (directory / name).read_bytes()
        marks = set()
        for at in range(len(whole) - HEADER.size + 1):
            if whole.startswith(MAGIC, at) and HEADER.unpack_from(whole, at)[1] == 0:
                marks.update(range(at, at + HEADER.size))
        if any(whole[at] != content[at] and at not in marks for at in range(len(whole))):
            return False
    return True


def last_journal(directory):
    return max(os.path.relpath(path, directory) for path in place_of(directory).glob("journal-*"))


def place_of(directory):
    return directory / "state"


@pytest.mark.parametrize("which", ["closed", "crashed"])
def test_a_store_that_is_cut_off_goes_back_to_an_earlier_commit_or_is_refused(
    which, stores, tmp_path
):
    """Only its last file can look as if a crash had cut it."""
    directory = stores[which]
    last = last_journal(directory)
    for outcome, state in outcomes(directory, tmp_path / "damaged", cuts):
        if f"'{last}'" not in str(state):
            assert outcome == "refused", str(state)


@pytest.mark.parametrize("kind", [flips, zeros], ids=lambda kind: kind.__name__)
def test_flips_and_zeros_are_refused_or_harmless_where_a_store_was_closed(kind, stores, tmp_path):
    last = last_journal(stores["closed"])
    counts = collections.Counter()
    for outcome, state in outcomes(stores["closed"], tmp_path / "damaged", kind):
        if outcome not in ("refused", TOTAL):  # zeros over all of the end, up to the mark
            assert kind is zeros, str(state)
            assert f"'{last}'" in str(state), str(state)
        if outcome == TOTAL:
            assert hits_marks_alone(state, stores["closed"]), str(state)
        counts[outcome] += 1

    # Those are less than a fifth of what was written.
    assert counts["refused"] > 4 * counts[TOTAL]


@pytest.mark.parametrize("kind", [flips, zeros, tails], ids=lambda kind: kind.__name__)
def test_damage_after_a_crash_is_refused_or_takes_the_last_commit_away(kind, stores, tmp_path):
    """A damaged last frame is what a crash leaves of a write that nobody was told of."""
    last = last_journal(stores["crashed"])
    for outcome, state in outcomes(stores["crashed"], tmp_path / "damaged", kind):
        if outcome not in ("refused", TOTAL):
            assert f"'{last}'" in str(state), str(state)
            assert kind is zeros or outcome == TOTAL - 1, str(state)


def test_a_missing_file_is_refused(stores, tmp_path):
    for path in place_of(stores["closed"]).iterdir():
        if path.suffix == ".log" and path.name != os.path.basename(last_journal(stores["closed"])):
            [state] = [*itertools.islice(damages(stores["closed"], tails), 1)]
            name = os.path.relpath(path, stores["closed"])
            files = {other: content for other, content in state.files.items() if other != name}
            type(state)(files).write(tmp_path / "damaged")
            with pytest.raises(CorruptError):
                found(tmp_path / "damaged")


def test_an_image_of_a_snapshot_that_is_damaged_is_refused_or_read_as_it_stands(tmp_path):
    """JSON has no checksum; what is cut off is noticed, a flipped letter is not."""
    with Store(place(tmp_path), mode="snapshot", every=0) as store:
        store.root["key"] = {"number": 5, "list": [1, 2, None]}

    refused = 0
    for state in damages(tmp_path, cuts):
        state.write(tmp_path / "damaged")
        if "snapshot.json" in str(state):
            with pytest.raises(CorruptError):
                Store(place(tmp_path / "damaged"), mode="snapshot", every=0).root
            refused += 1
    assert refused > 20
