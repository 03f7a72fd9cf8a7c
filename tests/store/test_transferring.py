"""What goes from a store into another one comes back as it was."""

import tempfile
from datetime import datetime

import histories
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepatch.store import NotStorableError, Store, StoreError
from safepatch.store.handover import COMING
from safepatch.store.tools import transferring
from safepatch.store.tools.restoring import restore

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | TEXTS | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(1 << 63), (1 << 64) - 1),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=6,
)  # fmt: skip
ROOTS = st.dictionaries(
    TEXTS.filter(bool), st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3), max_size=3
)


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patched:
        histories.quickly(patched)
        yield


def typed(value):
    """With the types, for 1 == 1.0 == True."""
    if isinstance(value, dict):
        return {key: typed(part) for key, part in value.items()}
    if isinstance(value, list):
        return [typed(part) for part in value]
    return type(value), repr(value)


@given(ROOTS)
@settings(max_examples=25)
def test_lines_say_all_that_documents_are(root):
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as file:
        file.writelines(transferring.lines(root))
        file.seek(0)
        transferring.need_lines(file)
        many = transferring.fill(f"{folder}/new", transferring.ops(file))

        assert many == sum(map(len, root.values()))
        assert typed(histories.state(f"{folder}/new")) == typed(root)
        transferring.copy(f"{folder}/new", f"{folder}/copy")
        with transferring.contents(f"{folder}/copy") as stored:
            again = b"".join(transferring.lines(stored))
        assert again == b"".join(transferring.lines(root))


def test_documents_are_written_a_batch_at_a_time(tmp_path, monkeypatch):
    """So that many take no more memory than few."""
    monkeypatch.setattr(transferring, "_BATCH", 100)
    waiting = []

    def documents():
        for number in range(50):
            waiting.append(number)
            yield transferring.op("a", str(number), "x" * 30)

    monkeypatch.setattr(
        "safepatch.store.engines.journal.journal.Journal.write", lambda *_: waiting.clear()
    )
    assert transferring.fill(str(tmp_path / "new"), documents()) == 50
    assert len(waiting) < 5


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(NotStorableError):
        transferring.op("a", "b", {"c": 1 << 70})


def test_empty_lines_are_nothing(tmp_path):
    (tmp_path / "file").write_bytes(b'\n{"collection":"a","key":"b","document":1}\n \n')
    with (tmp_path / "file").open("rb") as file:
        assert len([*transferring.ops(file)]) == 1


def test_lines_that_are_no_utf8_are_told(tmp_path):
    (tmp_path / "file").write_bytes(b'{"collection":"\xff","key":"b","document":1}')
    with (
        (tmp_path / "file").open("rb") as file,
        pytest.raises(transferring.StoreError, match="cannot load line 1"),
    ):
        transferring.need_lines(file)


def test_what_was_handed_over_goes_into_a_store_that_opens(tmp_path):
    """Its documents are wanted again; that they went elsewhere is said of the old place alone."""
    old, live, then = (str(tmp_path / name) for name in ("old", "live", "then"))
    with Store(old, migrations=[lambda root: None]) as store:
        with store.transaction():
            store.root["c"]["n"] = 1
        store.hand_over(live)

    transferring.copy(old, live, overwrite=True)
    restore(old, then, at=datetime.now())

    with pytest.raises(StoreError, match="it was handed over to"):
        Store(old).root
    for place in (live, then):
        with Store(place, migrations=[lambda root: 1 / 0]) as store:
            assert store.root == {"c": {"n": 1}}


def test_a_part_of_a_store_is_not_copied_over_a_whole_one(tmp_path):
    part, live = str(tmp_path / "part"), str(tmp_path / "live")
    for place, note in ((part, {COMING: "elsewhere"}), (live, {})):
        with Store(place) as store, store.transaction():
            store.root["c"]["place"] = place
            store.root[""].update(note)

    with pytest.raises(StoreError, match="it has a part of 'elsewhere' only"):
        transferring.copy(part, live, overwrite=True)

    with Store(live) as store:
        assert store.root == {"c": {"place": live}}
