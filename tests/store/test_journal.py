"""The files of a store: what a crash leaves is read, and what it cannot leave is refused."""

import errno
import os
import shutil
import signal
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safepatch.decorators import fault
from safepatch.store import CorruptError, FailedError, Store, StoreError, directories, durable
from safepatch.store.engines.journal.frames import HEADER, MAGIC, frame
from safepatch.store.tools.repairing import repair
from safepatch.store.tools.surveying import survey
from safepatch.store.values import encode

COUNT = 5


def files(directory, kind="journal"):
    return sorted(directory.glob(f"{kind}-*.log"))


def write(directory, count=COUNT, **options):
    """A store in which `count` batches were written, each with a number."""
    with Store(directory, every=0, **options) as store:
        for number in range(count):
            durable(store)(store.root["c"].__setitem__)("n", number)


def content(directory):
    with Store(directory, every=0) as store:
        return {name: dict(documents) for name, documents in store.root.items()}


@pytest.fixture
def cut(directory):
    """A store as a crash leaves it: no mark ends its file."""
    write(directory)
    [file] = files(directory)
    os.truncate(file, file.stat().st_size - HEADER.size)
    return file


@pytest.mark.parametrize("lost", [1, 7, 19, 20, 21, 30])
def test_a_torn_write_is_taken_away_and_told(directory, cut, lost, caplog):
    os.truncate(cut, cut.stat().st_size - lost)

    with Store(directory, every=0) as store:
        assert store.root == {"c": {"n": COUNT - 2}}
        torn = store.stats()["torn_bytes"]

    assert torn > 0
    assert f"took away {torn} bytes" in caplog.text
    assert content(directory) == {"c": {"n": COUNT - 2}}


def test_a_write_of_which_only_the_size_arrived_is_taken_away(directory, cut):
    with cut.open("ab") as file:
        file.write(bytes(500))

    assert content(directory) == {"c": {"n": COUNT - 1}}


@pytest.mark.parametrize("proven", [True, False])
def test_any_flipped_bit_is_refused_or_harmless(directory, cut, proven, tmp_path):
    """Only in the last write, where no mark follows it, can nobody tell it from a torn one."""
    if proven:
        content(directory)  # opening puts a mark at the end
    whole = bytearray(cut.read_bytes())
    last = _starts(whole)[-2 if proven else -1]
    for at in range(len(whole)):
        for bit in (1, 128):
            damaged = whole.copy()
            damaged[at] ^= bit
            cut.write_bytes(damaged)
            try:
                found = content_of_copy(directory, tmp_path)
            except CorruptError as error:
                assert error.file.endswith(cut.name)
                continue
            lost = found == {"c": {"n": COUNT - 2}} and not proven and at >= last
            assert lost or found == {"c": {"n": COUNT - 1}}  # a mark alone was damaged


def _starts(data):
    return [at for at in range(len(data)) if data.startswith(MAGIC, at)]


def content_of_copy(directory, tmp_path):
    """Opening a store seals it, so that a copy is opened."""
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(directory, copy)
    return content(copy)


def test_opening_a_damaged_store_changes_nothing(directory, cut):
    damaged = bytearray(cut.read_bytes())
    damaged[30] ^= 1
    cut.write_bytes(damaged)
    before = {file.name: file.read_bytes() for file in directory.iterdir()}

    for _ in range(2):
        with pytest.raises(
            CorruptError, match="frame 0 is damaged, but frame 1 after it is intact"
        ):
            content(directory)

    assert {file.name: file.read_bytes() for file in directory.iterdir()} == {
        "compacting": b""
    } | before


def signed(data):
    """As numbers that take a byte each, where they do."""
    return [byte - 256 if byte >= 0xE0 else byte for byte in data]


def struct_ints(data):
    """As numbers of eight bytes, wherever they begin."""
    return [
        struct.unpack(">Q", data[at : at + 8])[0]
        for start in range(8)
        for at in range(start, len(data) - 8, 8)
    ]


NUMBERS = [struct.unpack(kind, b"\xc1" * 8)[0] for kind in (">q", ">Q", ">d")]
TEXT = st.text("a\xc1\u0141\xff", max_size=20)
DOCUMENTS = st.recursive(
    st.sampled_from(NUMBERS) | st.integers(-(2**63), 2**64 - 1) | st.floats() | TEXT,
    lambda each: st.lists(each, max_size=20) | st.dictionaries(TEXT, each, max_size=5),
)


@given(TEXT, TEXT, st.lists(DOCUMENTS, min_size=1, max_size=5))
def test_no_document_has_what_a_frame_begins_with(collection, key, documents):
    ops = [(collection, key, encode(document)) for document in documents]

    assert b"\xc1" * 9 not in encode((NUMBERS[2], [ops, ops]))


@pytest.mark.parametrize("of", [list, lambda data: data.decode("latin-1"), struct_ints, signed])
def test_a_torn_write_with_what_looks_like_a_frame_in_it_is_taken_away(directory, of):
    planted = frame(9, b"x")
    with Store(directory, every=0) as store:
        durable(store)(store.root["c"].__setitem__)("k", 1)
        durable(store)(store.root["c"].__setitem__)("l", [of(planted), "x" * 100])
    [file] = files(directory)
    os.truncate(file, file.stat().st_size - HEADER.size - 50)

    assert content(directory) == {"c": {"k": 1}}


def test_files_of_an_earlier_version_are_refused_and_stay(directory):
    directory.mkdir()
    file = directory / f"journal-{0:016x}.log"
    file.write_bytes(b"\xf5SP\x01" + bytes(30) + b"x")

    with pytest.raises(CorruptError, match="earlier version"):
        content(directory)
    assert file.exists()


def test_damage_to_the_last_write_is_found_also_where_the_process_was_killed(directory, tmp_path):
    """A mark is written when nothing waits to be, long before the store is closed."""
    with Store(directory, every=0) as store:
        durable(store)(store.root["c"].__setitem__)("k", "text")
        shutil.copytree(directory, tmp_path / "killed")
    [file] = files(tmp_path / "killed")
    file.write_bytes(file.read_bytes().replace(b"text", b"tent"))

    with pytest.raises(CorruptError, match="frame 0 is damaged, but frame 1 after it is intact"):
        content(tmp_path / "killed")


def test_a_mark_may_be_missing_before_another_batch(directory):
    """Nobody waits for a mark, so that a crash may take it and leave what came after it."""
    write(directory)
    [file] = files(directory)
    data = file.read_bytes()
    for start in _starts(data)[1::2]:
        lost = data[:start] + bytes(HEADER.size) + data[start + HEADER.size :]
        file.write_bytes(lost)
        assert content(directory) == {"c": {"n": COUNT - 1}}


class TestMissing:
    def test_a_journal_in_the_middle_is_missed(self, directory):
        write(directory, segment=1)
        files(directory)[2].unlink()

        with pytest.raises(CorruptError, match="begins with batch 3 where 2 was to come"):
            content(directory)

    def test_the_first_journal_is_missed(self, directory):
        write(directory, segment=1)
        files(directory)[0].unlink()

        with pytest.raises(CorruptError, match="batches 0 to 0 are missing"):
            content(directory)

    def test_an_image_is_missed(self, directory):
        write(directory)
        with Store(directory, every=0) as store:
            assert store.root == {"c": {"n": COUNT - 1}}
            store.compact()
            durable(store)(store.root["c"].__setitem__)("n", 99)
        files(directory, "image")[0].unlink()

        with pytest.raises(CorruptError, match=f"batches 0 to {COUNT - 1} are missing"):
            content(directory)

    def test_the_end_of_a_closed_journal_is_missed(self, directory):
        write(directory, segment=1)
        file = files(directory)[1]
        os.truncate(file, file.stat().st_size - 1)

        with pytest.raises(CorruptError, match="does not go on to its mark"):
            content(directory)

    def test_the_end_of_an_image_is_missed(self, directory):
        write(directory)
        with Store(directory, every=0) as store:
            store.compact()
        [file] = files(directory, "image")
        os.truncate(file, file.stat().st_size - 1)

        with pytest.raises(CorruptError, match="does not go on to its mark"):
            content(directory)


class TestRoom:
    """Zeros behind what is written, so that a sync need not say that the file has grown."""

    @pytest.fixture
    def killed(self, directory, tmp_path):
        """The files of a store whose process was killed; how many bytes of them are room."""
        with Store(tmp_path / "open", every=0) as store:
            for number in range(COUNT):
                durable(store)(store.root["c"].__setitem__)("n", number)
            shutil.copytree(store.path, directory)
            written = store.stats()["journal_bytes"]
        [file] = files(directory)
        return file, file.stat().st_size - written

    def test_is_there_while_a_file_is_written_and_is_not_counted(self, killed, directory):
        file, room = killed
        found = survey(str(directory))

        assert 3000 < room < 4096
        assert (found.torn, found.files[0].room) == (0, room)
        assert found.files[0].size == file.stat().st_size - room

    def test_is_nothing_that_a_crash_has_torn(self, killed, directory, caplog):
        file, room = killed
        before = file.stat().st_size

        with Store(directory, every=0) as store:
            assert store.root == {"c": {"n": COUNT - 1}}
            assert store.stats()["torn_bytes"] == 0
        assert not caplog.text
        assert file.stat().st_size == before - room

    def test_has_in_it_what_a_crash_has_torn(self, killed, directory, caplog):
        file, room = killed
        with file.open("r+b") as opened:
            opened.seek(-room, os.SEEK_END)
            opened.write(b"torn")

        with Store(directory, every=0) as store:
            assert store.stats()["torn_bytes"] == 4
        assert "took away 4 bytes" in caplog.text
        assert content(directory) == {"c": {"n": COUNT - 1}}

    def test_goes_with_the_file_that_is_closed(self, directory):
        write(directory, 200, segment=2000)

        for file in files(directory):
            assert file.read_bytes()[-HEADER.size :].startswith(MAGIC)

    def test_grows_with_the_file_up_to_a_point(self, directory):
        with Store(directory, every=0) as store:
            rooms = set()
            for number in range(300):
                durable(store)(store.root["c"].__setitem__)(str(number), "x" * 10_000)
                [file] = files(directory)
                rooms.add(file.stat().st_size - store.stats()["journal_bytes"])

        assert 200_000 < max(rooms) <= 1 << 18

    def test_is_done_without_on_a_full_disk(self, directory, patches):
        def full(pwrite):
            def wrapper(descriptor, data, offset):
                if not any(data):  # room
                    raise OSError(errno.ENOSPC, "No space left")
                return pwrite(descriptor, data, offset)

            return wrapper

        patches.apply("os:pwrite", full, aliases="ignore")

        write(directory)

        assert content(directory) == {"c": {"n": COUNT - 1}}

    def test_in_a_file_that_others_go_on_from_is_damage(self, directory):
        write(directory, 100, segment=1000)
        first, *_ = files(directory)
        with first.open("ab") as file:
            file.write(bytes(100))

        with pytest.raises(CorruptError, match="does not go on to its mark"):
            content(directory)
        found = repair(str(directory))
        assert [(cut.bytes, cut.why) for cut in found.cuts] == [(100, "zeros are behind its mark")]
        assert content(directory) == {"c": {"n": 99}}


class TestCompacting:
    def test_merges_all_into_one_image(self, directory):
        write(directory, segment=1)
        with Store(directory, every=0) as store:
            del store.root["c"]["n"]
            store.root["d"]["k"] = {"x": 1}
            store.sync()
            store.compact()
            assert store.verify() == {
                "files": 1, "bytes": files(directory, "image")[0].stat().st_size,
                "documents": {"d": 1},
            }  # fmt: skip

        assert (len(files(directory)), len(files(directory, "image"))) == (0, 1)
        assert content(directory) == {"d": {"k": {"x": 1}}}

    def test_begins_by_itself_when_closed_journals_are_larger_than_the_documents(self, directory):
        text = "x" * 1000
        with Store(directory, every=0, segment=10_000) as store:
            for number in range(100):
                durable(store)(store.root["c"].__setitem__)("k", f"{number}{text}")
            store.opened().engine.compact()  # waits for what has begun
            durable(store)(store.root["c"].__setitem__)("k", "end")
            used = sum(file.stat().st_size for file in directory.iterdir())

        assert files(directory, "image")
        assert used < 4 * 1020 + 4096  # and the room in the last one
        assert content(directory) == {"c": {"k": "end"}}

    def test_goes_on_while_transactions_are_committed(self, directory):
        with Store(directory, every=0) as store:
            for number in range(50):
                durable(store)(store.root["c"].__setitem__)(str(number), number)
                if number % 20 == 10:
                    store.compact()

        assert content(directory) == {"c": {str(number): number for number in range(50)}}

    def test_waits_for_what_a_write_begins_meanwhile(self, directory, patches):
        begun = []
        with Store(directory, every=0) as store:
            journal = store.opened().engine
            durable(store)(store.root["c"].__setitem__)("n", 1)

            def begin_meanwhile(wait):
                def wrapper(self):
                    wait(self)
                    if not begun:
                        journal._close_file()
                        journal._merge()
                        begun.append(journal._merging)

                return wrapper

            waiting = (type(journal), "_wait_for_merging")
            patches.apply(waiting, begin_meanwhile, aliases="ignore")
            store.compact()

            with pytest.raises(ProcessLookupError):  # it was waited for, and is no zombie
                os.kill(begun[0], 0)

    def test_is_told_to_be_over_although_nothing_is_written_since(self, directory):
        with Store(directory, every=0, segment=1000) as store:
            durable(store)(store.root["c"].__setitem__)("n", "x" * 2000)
            assert store.stats()["merging"]
            process = store.opened().engine._merging
            os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
            numbers = store.stats()

            with pytest.raises(ProcessLookupError):  # it was waited for, and is no zombie
                os.kill(process, 0)

        assert (numbers["merging"], numbers["journal_bytes"]) == (False, 0)
        assert numbers["image_bytes"] > 2000

    def test_is_ended_by_closing_also_where_its_end_is_nobodys_concern(self, directory):
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            write(directory, segment=1)
        finally:
            signal.signal(signal.SIGCHLD, before)

        assert content(directory) == {"c": {"n": COUNT - 1}}

    def test_a_file_that_cannot_be_written_whole_leaves_no_part_of_it(self, tmp_path):
        def parts():
            yield b"some"
            raise OSError(errno.ENOSPC, "no space left on device")

        with pytest.raises(OSError, match="no space left"):
            directories.put(str(tmp_path / "image"), parts())

        assert list(tmp_path.iterdir()) == []

    def test_keeps_old_files_as_long_as_told(self, directory):
        with Store(directory, every=0, keep=3600, segment=1) as store:
            for number in range(3):
                durable(store)(store.root["c"].__setitem__)("n", number)
                store.compact()

        assert (len(files(directory)), len(files(directory, "image"))) == (3, 3)
        assert content(directory) == {"c": {"n": 2}}

    def test_a_process_that_fails_is_told_and_changes_nothing(self, directory, monkeypatch):
        write(directory)
        with Store(directory, every=0) as store:
            assert store.root
            monkeypatch.setattr("sys.executable", shutil.which("false"))
            with pytest.raises(StoreError, match="the process that merges files failed"):
                store.compact()

        assert content(directory) == {"c": {"n": COUNT - 1}}

    @pytest.mark.parametrize("python", ["/no/python", None])
    def test_a_process_that_cannot_be_started_stops_no_writes(
        self, directory, monkeypatch, caplog, python
    ):
        monkeypatch.setattr("sys.executable", python)
        write(directory, segment=1)  # each batch a file, and reason to merge

        assert "cannot merge files" in caplog.text
        assert repr(python) in caplog.text
        assert content(directory) == {"c": {"n": COUNT - 1}}

    def test_what_was_left_unfinished_is_removed(self, directory):
        write(directory)
        (directory / "image-0000000000000001.log.tmp").write_bytes(b"half")

        assert content(directory) == {"c": {"n": COUNT - 1}}
        assert not list(directory.glob("*.tmp"))


class TestFailing:
    """After a failed write nothing is accepted, and what was acknowledged is there."""

    @pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
    def test_a_failed_write_stops_the_store(self, directory, patches, call):

        with Store(directory, every=0) as store:
            put = durable(store)(store.root["c"].__setitem__)
            put("n", 1)
            failing = patches.apply(
                f"os:{call}", fault(error=OSError(28, "No space left on device")), aliases="ignore"
            )
            with pytest.raises(FailedError, match="No space left") as raised:
                put("n", 2)
            failing.undo()

            assert isinstance(raised.value.__cause__, OSError)
            for use in (
                lambda: put("n", 3),
                store.sync,
                durable(store, reads_only=True)(lambda: 1),
            ):
                with pytest.raises(FailedError):
                    use()
            assert "No space left" in store.stats()["failure"]

        found = content(directory)["c"]["n"]
        assert found == 1 if call == "pwrite" else found in (1, 2)

    def test_few_bytes_written_at_a_time_are_all_written(self, directory, patches):
        def few(write):
            return lambda descriptor, data, offset: write(descriptor, data[:3], offset)

        with Store(directory, every=0) as store, patches.patch("os:pwrite", few, aliases="ignore"):
            durable(store)(store.root["c"].__setitem__)("n", "a longer text")

        assert content(directory) == {"c": {"n": "a longer text"}}


class TestBackup:
    def test_is_a_store_of_all_there_was(self, directory, tmp_path):
        with Store(directory, every=0) as store:
            store.root["c"]["k"] = 1
            store.backup(tmp_path / "b" / "copy")
            store.root["c"]["k"] = 2

        assert content(tmp_path / "b" / "copy") == {"c": {"k": 1}}
        assert content(directory) == {"c": {"k": 2}}

    def test_refuses_a_place_that_is_taken(self, store, tmp_path):
        (tmp_path / "copy").mkdir()

        with pytest.raises(FileExistsError, match="name a new place"):
            store.backup(tmp_path / "copy")


def test_verify_finds_damage_in_what_is_on_disk(directory):
    write(directory)
    with Store(directory, every=0) as store:
        assert store.verify()["documents"] == {"c": 1}
        [file] = files(directory)
        damaged = bytearray(file.read_bytes())
        damaged[-30] ^= 1
        file.write_bytes(damaged)

        with pytest.raises(CorruptError):
            store.verify()


@pytest.mark.parametrize("number", [1, -1])
def test_verify_misses_a_file_that_is_gone(directory, number):
    with Store(directory, every=0, segment=1) as store:
        for value in range(COUNT):
            durable(store)(store.root["c"].__setitem__)("n", value)
        files(directory)[number].unlink()

        with pytest.raises(CorruptError, match=r"was to come|are missing"):
            store.verify()


def test_the_format_is_what_the_documents_say(directory):
    """Other programs may read it: magic, length, CRC32C, sequence, MessagePack."""
    import msgspec
    from crc32c import crc32c

    write(directory, 1)
    [file] = files(directory)
    data = file.read_bytes()
    magic, length, crc, sequence = HEADER.unpack(data[: HEADER.size])
    payload = data[HEADER.size :][:length]

    assert (magic, sequence) == (b"\xc1" * 9 + b"SP\x02", 0)
    assert crc == crc32c(struct.pack("<IQ", length, sequence) + payload)
    seconds, transactions = msgspec.msgpack.decode(payload)
    assert seconds > 1.7e9
    assert transactions == [[["c", "n", msgspec.msgpack.encode(0)]]]
