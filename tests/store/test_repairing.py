"""Repair leaves a store that opens, with a state it has once had, and keeps what it takes out."""

import re
import tempfile
from pathlib import Path

import histories
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepatch.store import CorruptError, LockedError, Store, StoreError
from safepatch.store.engines.journal.frames import HEADER, MAGIC, frame
from safepatch.store.tools.repairing import repair

BATCHES = [[[("users", key, number)]] for number, key in enumerate("abcabc")]


@pytest.fixture(autouse=True, scope="module")
def quick():
    with pytest.MonkeyPatch.context() as patched:
        histories.quickly(patched)
        yield


def flip(path, place, mask=0xFF):
    data = bytearray(path.read_bytes())
    data[place] ^= mask
    path.write_bytes(data)


def files(directory):
    return sorted(path for path in directory.glob("*.log"))


def need_all_kept(before, directory):
    """Every byte that was there is still there, in the store or in what was taken out."""
    after = histories.contents(directory)
    for name, data in before.items():
        if after.get(name) == data or after.get(f"removed-1/{name}") == data:
            continue
        tails = [each for each in after.items() if each[0].startswith(f"removed-1/{name}")]
        [(kept, tail)] = tails or [(f"from-{len(data)}", b"")]  # only its mark was missing
        start = int(kept.rpartition("-")[2])

        assert after[name][:start] + tail == data
        assert after[name][start:] in (b"", frame(_sequence(after[name][start:]), b""))


def _sequence(mark):
    return HEADER.unpack(mark)[3] if len(mark) == HEADER.size else 0


@given(histories.HISTORIES.filter(lambda history: history != []), st.data())
@settings(max_examples=60)
def test_after_any_flip_the_store_opens_with_a_state_it_has_once_had(history, data):
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        states = histories.make(directory, history)
        path = data.draw(st.sampled_from([*files(directory), None]))
        if path is not None:
            size = path.stat().st_size
            flip(path, data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, 255)))
        before = histories.contents(directory)

        done = repair(folder)

        need_all_kept(before, directory)
        if done is not None:
            assert done.sequence + done.lost in (done.sequence, len(states) - 1)
            assert histories.state(folder) == states[done.sequence]
        else:
            assert histories.contents(directory) == before
            assert histories.state(folder) == states[-1]


@given(histories.HISTORIES, st.data())
@settings(max_examples=30)
def test_what_is_salvaged_are_documents_as_they_once_were(history, data):
    """Also where nothing older than the image is kept."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        states = histories.make(directory, [*history, *BATCHES, "compact", *BATCHES], keep=0)
        for _ in range(data.draw(st.integers(1, 2))):
            path = data.draw(st.sampled_from(files(directory)))
            flip(path, data.draw(st.integers(0, path.stat().st_size - 1)))
        before = histories.contents(directory)

        done = repair(folder, salvage=True)

        if done is not None:  # or two flips of the same byte
            need_all_kept(before, directory)
            for name, documents in histories.state(folder).items():
                for key, document in documents.items():
                    assert document in [state.get(name, {}).get(key) for state in states]


@pytest.mark.parametrize("salvage", [False, True])
@given(histories.HISTORIES, st.sampled_from([0, histories.FOREVER]), st.data())
@settings(max_examples=60)
def test_whatever_files_are_missing_or_cut_off_the_store_opens(salvage, history, keep, data):
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        states = histories.make(directory, [*history, *BATCHES], keep=keep)
        for path in files(directory):
            what = data.draw(st.sampled_from(["is there", "missing", "cut off", "cut at a frame"]))
            content = path.read_bytes()
            ends = [0, *(found.start() for found in re.finditer(re.escape(MAGIC), content))]
            places = st.sampled_from(ends) if "frame" in what else st.integers(0, len(content))
            if what == "missing":
                path.unlink()
            elif what != "is there":
                path.write_bytes(content[: data.draw(places)])
        before = histories.contents(directory)

        try:
            repair(folder, salvage=salvage)
        except StoreError:
            assert not salvage
            assert histories.contents(directory) == before
            return

        need_all_kept(before, directory)
        assert repair(folder) is repair(folder, salvage=True) is None
        found = histories.state(folder)
        assert salvage or found in states
        for name, documents in found.items():
            for key, document in documents.items():
                assert document in [state.get(name, {}).get(key) for state in states]


# What is left, and what is told.


@pytest.fixture
def directory(tmp_path):
    """Six batches in three closed files of two each."""
    histories.make(tmp_path / "state", BATCHES)
    assert len(files(tmp_path / "state")) == 3
    return tmp_path / "state"


def need_state(directory, batches):
    state = {}
    for batch in BATCHES[:batches]:
        state = histories.after(state, batch)
    assert histories.state(directory) == state


def test_a_store_that_is_in_order_is_left_alone(directory):
    before = histories.contents(directory)

    assert repair(str(directory)) is None
    assert histories.contents(directory) == before


def test_all_that_comes_after_a_damaged_batch_is_taken_out(directory):
    _, second, third = files(directory)
    flip(second, HEADER.size)

    done = repair(str(directory))

    assert done.sequence == 2
    assert done.lost == 4
    assert done.kept_in == str(directory / "removed-1")
    assert [cut.path for cut in done.cuts] == [str(second), str(third)]
    assert sorted(path.name for path in (directory / "removed-1").iterdir()) == [
        second.name, third.name,
    ]  # fmt: skip
    need_state(directory, 2)


def test_a_file_is_cut_where_the_damage_begins(directory):
    *_, third = files(directory)
    half = (third.stat().st_size - HEADER.size) // 2
    data = third.read_bytes()
    flip(third, half + 5)

    done = repair(str(directory))

    [cut] = done.cuts
    assert (done.sequence, done.lost, cut.start, cut.bytes) == (5, 1, half, len(data) - half)
    assert cut.why == "frame 5 is damaged, but frame 6 after it is intact"
    assert third.read_bytes() == data[:half]
    assert len((directory / "removed-1" / f"{third.name}.from-{half}").read_bytes()) == cut.bytes
    need_state(directory, 5)


def test_a_damaged_mark_costs_no_batch(directory):
    first, *_ = files(directory)
    data = first.read_bytes()
    flip(first, len(data) - 1)

    done = repair(str(directory))

    assert (done.sequence, done.lost, done.bytes) == (6, 0, HEADER.size)
    assert first.read_bytes() == data
    need_state(directory, 6)


def test_a_mark_that_is_cut_off_is_written_again(directory):
    """As after a repair that was broken off in the middle of that."""
    first, *_ = files(directory)
    data = first.read_bytes()
    first.write_bytes(data[: -HEADER.size])

    done = repair(str(directory))

    assert (done.sequence, done.lost, done.bytes) == (6, 0, 0)
    assert done.cuts[0].why == "its mark is missing"
    assert first.read_bytes() == data


def test_what_follows_a_mark_is_cut_off(directory):
    first, *_ = files(directory)
    data = first.read_bytes()
    first.write_bytes(data + b"more")

    done = repair(str(directory))

    assert (done.sequence, done.bytes) == (6, 4)
    assert first.read_bytes() == data


def test_what_a_crash_left_of_a_write_is_kept(directory):
    *_, third = files(directory)
    data = third.read_bytes()
    third.write_bytes(data[:-30])

    done = repair(str(directory))

    assert (done.sequence, done.lost) == (5, 0)
    assert done.cuts[0].why == "a crash cut off the last write"
    need_state(directory, 5)


def test_after_a_missing_file_nothing_goes_on(directory):
    files(directory)[1].unlink()
    with pytest.raises(CorruptError), Store(directory):
        pass

    done = repair(str(directory))

    assert (done.sequence, done.lost) == (2, 4)
    assert done.cuts[0].why == "batch 2 is missing"
    need_state(directory, 2)


def test_before_a_missing_file_is_nothing_to_go_back_to(directory):
    files(directory)[0].unlink()
    before = histories.contents(directory)

    with pytest.raises(StoreError, match="or take what can be read with --salvage"):
        repair(str(directory))

    assert histories.contents(directory) == before


def test_after_a_file_that_was_cut_off_nothing_goes_on(directory):
    _, second, third = files(directory)
    cut_to_one_batch(second)

    done = repair(str(directory))

    assert (done.sequence, done.lost) == (3, 3)
    assert [(cut.path, cut.why) for cut in done.cuts] == [(str(third), "batch 3 is missing")]
    need_state(directory, 3)


def cut_to_one_batch(path):
    """One of the two that it has, and no mark."""
    data = path.read_bytes()
    path.write_bytes(data[: (len(data) - HEADER.size) // 2])


def test_batches_that_only_the_name_of_an_empty_file_tells_of_are_lost(directory):
    _, second, third = files(directory)
    second.unlink()
    third.write_bytes(b"")
    before = histories.contents(directory)

    assert repair(str(directory), agree=lambda found: found.lost != 2) is None
    assert histories.contents(directory) == before
    assert repair(str(directory), salvage=True).lost == 2
    need_state(directory, 2)


@pytest.mark.parametrize("gone", [[0], [1], [0, 1], [0, 2]], ids=str)
def test_salvage_takes_what_comes_after_missing_files(directory, gone):
    paths = files(directory)
    for number in gone:
        paths[number].unlink()
    with pytest.raises(CorruptError), Store(directory):
        pass
    rest = [number for number in range(3) if number not in gone]

    done = repair(str(directory), salvage=True)

    after_gap = next(number for number in rest if number and number - 1 not in rest)
    [cut] = done.cuts
    first = 2 * after_gap
    expected = 2 * sum(number < after_gap for number in rest)
    assert cut.path == str(paths[after_gap])
    assert cut.why == f"it begins with batch {first} where {expected} was to come"
    assert done.lost == first - expected
    assert (directory / "removed-1" / paths[after_gap].name).exists()
    state = {}
    for number in rest:
        for batch in BATCHES[2 * number : 2 * number + 2]:
            state = histories.after(state, batch)
    assert histories.state(directory) == state


def test_salvage_takes_what_comes_after_a_file_that_was_cut_off(directory):
    _, second, third = files(directory)
    cut_to_one_batch(second)

    done = repair(str(directory), salvage=True)

    assert [(cut.path, cut.why) for cut in done.cuts] == [
        (str(second), "the file does not go on to its mark"),
        (str(third), "it begins with batch 4 where 3 was to come"),
    ]
    assert done.lost == 1
    users = {"a": {"value": 0}, "b": {"value": 4}, "c": {"value": 5}}
    assert histories.state(directory) == {"users": users}


def test_salvage_takes_out_a_file_that_begins_too_early(directory):
    first, *_ = files(directory)
    data = first.read_bytes()
    early = directory / "journal-0000000000000001.log"
    early.write_bytes(data[(len(data) - HEADER.size) // 2 :])
    with pytest.raises(CorruptError), Store(directory):
        pass

    done = repair(str(directory), salvage=True)

    assert [(cut.path, cut.why) for cut in done.cuts] == [
        (str(early), "it begins with batch 1 where 2 was to come")
    ]
    assert done.lost == 0
    need_state(directory, 6)


def test_salvage_takes_what_comes_after_a_missing_image(merged):
    [image] = merged.glob("image-*")
    image.unlink()

    done = repair(str(merged), salvage=True)

    assert [cut.why for cut in done.cuts] == ["it begins with batch 4 where 0 was to come"]
    assert done.lost == 4
    assert histories.state(merged) == {"users": {"b": {"value": 4}, "c": {"value": 5}}}


def test_a_damaged_image_costs_nothing_where_older_files_are_kept(tmp_path):
    histories.make(tmp_path / "state", [*BATCHES[:4], "compact", *BATCHES[4:]])
    [image] = (tmp_path / "state").glob("image-*")
    flip(image, 30)

    done = repair(str(tmp_path / "state"))

    assert (done.sequence, done.lost) == (6, 0)
    need_state(tmp_path / "state", 6)


@pytest.fixture
def merged(tmp_path):
    """Four batches in an image, of which nothing else is kept, and two after it."""
    histories.make(tmp_path / "state", [*BATCHES[:4], "compact", *BATCHES[4:]], keep=0)
    return tmp_path / "state"


def test_where_nothing_is_intact_as_a_whole_that_is_said_and_nothing_changed(merged):
    [image] = merged.glob("image-*")
    flip(image, 30)
    before = histories.contents(merged)

    with pytest.raises(StoreError, match="restore a backup, or take what can be read with --salv"):
        repair(str(merged))

    assert histories.contents(merged) == before


def test_salvage_takes_what_can_be_read_after_a_damaged_image(merged):
    [image] = merged.glob("image-*")
    flip(image, 30)

    done = repair(str(merged), salvage=True)

    assert done.lost == 0  # batches; how much was in the image nobody knows
    assert histories.state(merged) == {"users": {"b": {"value": 4}, "c": {"value": 5}}}


def test_salvage_skips_a_damaged_batch(directory):
    _, second, _ = files(directory)
    flip(second, HEADER.size)  # which is the only one that says what "c" was before its end

    done = repair(str(directory), salvage=True)

    assert (done.lost, [cut.path for cut in done.cuts]) == (1, [str(second)])
    need_state(directory, 6)


def test_after_salvage_a_new_batch_has_a_sequence_of_its_own(directory):
    flip(files(directory)[1], HEADER.size)
    repair(str(directory), salvage=True)

    with Store(directory) as store, store.transaction():
        store.root["users"]["d"] = 1
    with Store(directory) as store:
        assert store.root["users"] == {
            **{key: {"value": 3 + n} for n, key in enumerate("abc")},
            "d": 1,
        }


def test_who_does_not_agree_gets_nothing_changed(directory):
    flip(files(directory)[1], HEADER.size)
    before, asked = histories.contents(directory), []

    assert repair(str(directory), agree=asked.append) is None

    assert [found.lost for found in asked] == [4]
    assert histories.contents(directory) == before


def test_a_second_repair_keeps_in_another_directory(directory):
    *_, third = files(directory)
    flip(third, 0)
    repair(str(directory))
    flip(files(directory)[1], 0)

    assert repair(str(directory)).kept_in == str(directory / "removed-2")
    need_state(directory, 2)


@pytest.mark.parametrize("name", ["rename", "ftruncate", "fsync"])
@pytest.mark.parametrize("calls", range(6))
def test_a_repair_that_is_broken_off_may_be_made_again(directory, monkeypatch, name, calls):
    """Whichever call is the last."""
    second = files(directory)[1]
    flip(second, second.stat().st_size - HEADER.size - 1)
    before = histories.contents(directory)

    with monkeypatch.context() as patched:
        count, real = iter(range(100)), getattr(__import__("os"), name)

        def failing(*arguments):
            if next(count) >= calls:
                raise OSError(5, "broken off")
            return real(*arguments)

        patched.setattr(f"os.{name}", failing)
        try:
            repair(str(directory))
        except OSError as error:
            assert str(error) == "[Errno 5] broken off"

    again = repair(str(directory))
    assert again is None or again.sequence == 3
    kept = histories.contents(directory)
    for name_, data in before.items():
        whole = [path for path in kept if path.endswith(name_) and kept[path] == data]
        tails = [path for path in kept if re.search(rf"{name_}\.from-\d+$", path)]
        assert whole or any(data.endswith(kept[path]) for path in tails)
    need_state(directory, 3)


def test_a_store_that_is_open_is_refused(directory):
    with Store(directory), pytest.raises(LockedError):
        repair(str(directory))


def test_a_store_of_snapshots_has_nothing_to_fall_back_on(tmp_path):
    with Store(tmp_path / "state", mode="snapshot"):
        pass

    with pytest.raises(StoreError, match=r"take a backup of its snapshot\.json"):
        repair(str(tmp_path / "state"))
