"""What a run reports: figures of every process, however it ended, added up in one table."""

import asyncio
import json
import os
import sys
import textwrap
import threading

import pytest
from children import child

import safepatch
from safepatch import figures, reports
from safepatch.decorators import memoize, replace, retry


def work(number=1):
    return number


def broken():
    raise ValueError("broken")


@pytest.fixture
def spool(tmp_path):
    (tmp_path / "spool").mkdir()
    return figures.Spool(str(tmp_path / "spool"))


@pytest.fixture
def counted(patches, spool):
    """Register a patch that counts for a report, and apply it."""

    def counted(name, target, *decorators, **options):
        handle = patches.register(name, (sys.modules[__name__], target), *decorators, **options)
        figures.count([handle], spool)
        return handle.apply()

    return counted


@pytest.fixture
def report(spool):
    return lambda: reports.read(spool.directory)["patches"]


def same(wrapped):
    return lambda *args: wrapped(*args)


def test_calls_errors_and_calls_of_the_original_are_counted(counted, report):
    counted("cached", "work", memoize)
    counted("same", "broken", same)
    for number in (1, 1, 1, 2):
        work(number)
    for _ in range(2):
        with pytest.raises(ValueError, match="broken"):
            broken()

    told = report()

    cached, failing = told["cached"], told["same"]
    assert [cached[key] for key in ("calls", "original_calls", "hits", "errors")] == [4, 2, 2, 0]
    assert [failing[key] for key in ("calls", "original_calls", "hits", "errors")] == [2, 2, 0, 2]
    assert [*cached["targets"]] == [f"{__name__}:work"]


def test_a_patch_that_nobody_calls_is_told_of_and_saves_nothing(counted, report):
    counted("cached", "work", memoize)

    cached = report()["cached"]

    assert (cached["calls"], cached["saved_seconds"]) == (0, 0)


def test_attempts_of_a_retry_are_no_hits_and_save_less_than_nothing(counted, report):
    counted("tried", "broken", retry(on=ValueError, attempts=3, wait_initial=0.001, wait_jitter=0))
    with pytest.raises(ValueError, match="broken"):
        broken()

    tried = report()["tried"]

    assert (tried["calls"], tried["original_calls"], tried["hits"]) == (1, 3, 0)
    assert tried["saved_seconds"] < 0


def test_what_is_saved_is_unknown_if_the_original_was_never_called(counted, report):
    counted("instead", "work", replace(lambda number=1: 2))
    work()

    assert report()["instead"]["saved_seconds"] is None


def test_saved_is_what_calls_of_the_original_would_have_taken_less_what_calls_took(tmp_path):
    (tmp_path / "1-a.0.figures").write_bytes(record("p\nm:f", 10, 1, 3.0, 2, 0, 2.0))
    (tmp_path / "2-b.0.figures").write_bytes(record("p\nm:f", 10, 0, 1.0, 0, 0, 0.0))

    data = reports.read(tmp_path)

    assert data["processes"] == 2
    assert data["patches"]["p"]["saved_seconds"] == 20 * 1.0 - 4.0


def record(key, *numbers):
    file = memoryview(bytearray(figures._SIZE))
    file[: len(key)] = key.encode()
    file[figures._NAMES : figures._RECORD].cast("d")[:] = memoryview(bytearray(48)).cast("d")
    for at, number in enumerate(numbers):
        file[figures._NAMES : figures._RECORD].cast("d")[at] = number
    return bytes(file)


def test_threads_lose_no_call_and_leave_their_room_to_others(counted, report, spool):
    counted("same", "work", same)
    calls = 100

    def call():
        for _ in range(calls):
            work()

    for _ in range(10):
        threads = [threading.Thread(target=call) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert report()["same"]["calls"] == 200 * calls
    assert len(os.listdir(spool.directory)) < 200 / figures._RECORDS


def test_more_threads_than_a_file_has_room_for_have_another(counted, report, spool):
    counted("same", "work", same)
    many, all_there = figures._RECORDS + 5, threading.Event()
    ready = threading.Semaphore(0)

    def call():
        work()
        ready.release()
        all_there.wait(30)

    threads = [threading.Thread(target=call) for _ in range(many)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert ready.acquire(timeout=30)
    all_there.set()
    for thread in threads:
        thread.join()

    assert report()["same"]["calls"] == many
    assert len([name for name in os.listdir(spool.directory) if "figures" in name]) > 1


def test_a_process_has_its_file_before_it_may_lose_the_right_to_make_one(spool):
    assert len(os.listdir(spool.directory)) == 1


def test_where_no_file_can_be_made_calls_go_on_uncounted():
    patch = safepatch.patch((sys.modules[__name__], "work"), same)
    figures.count([patch], figures.Spool("/nowhere/at/all"))

    with patch:
        assert work() == 1


async def fetch():
    await asyncio.sleep(0)


def values():
    yield from range(3)


def test_async_functions_and_generators_are_counted_when_they_are_over(counted, report):
    counted("fetch", "fetch", same)
    counted("values", "values", same)
    asyncio.run(fetch())
    given = values()
    assert next(given) == 0

    before = report()["values"]["calls"]
    assert [*given] == [1, 2]

    told = report()
    assert (before, told["values"]["calls"], told["fetch"]["calls"]) == (0, 1, 1)


TOLD = {
    "applied": {"guards": [{"guard": "requires x", "reason": None}]},
    "skipped": {"reason": "x is too new", "guards": [{"guard": "g", "reason": "x is too new"}]},
    "pending": {"reason": "waits for m to be imported"},
}


def facts(path, **states):
    patches = [
        {"name": name, "target": "m:f", "state": state, "reason": None, "guards": []} | TOLD[state]
        for name, state in states.items()
    ]
    path.write_text(json.dumps({"pid": 1, "command": [], "patches": patches}))


def test_states_and_guards_of_processes_are_put_together(tmp_path):
    facts(tmp_path / "1-a.json", one="applied", other="skipped")
    facts(tmp_path / "2-b.json", one="pending", other="skipped")

    patches = reports.read(tmp_path)["patches"]

    assert patches["one"]["states"] == {"applied": 1, "pending": 1}
    assert patches["one"]["guards"] == TOLD["applied"]["guards"]
    assert patches["other"]["states"] == {"skipped": 2}
    assert patches["other"]["reasons"] == ["x is too new"]


def test_the_table_says_it_all(tmp_path):
    facts(tmp_path / "1-a.json", one="applied", other="skipped", late="pending")
    facts(tmp_path / "2-b.json", one="pending", other="skipped", late="pending")
    facts(tmp_path / "3-c.json", one="skipped", other="skipped", late="pending")
    (tmp_path / "1-a.0.figures").write_bytes(record("one\nm:f", 10, 1, 0.5, 2, 0, 0.4))

    told = reports.text(reports.read(tmp_path))

    assert told == textwrap.dedent("""\
        safepatch: 3 Python processes

        patch  calls  hits  original  errors  time saved  state                  guards
        one       10     8         2       1     1.500 s  applied, skipped in 1  1 against
        other      0     0         0       0     0.000 s  skipped                1 against
        late       0     0         0       0     0.000 s  pending                none asked
        one: x is too new
        other: x is too new""")


def test_that_no_process_was_reached_is_told(tmp_path):
    assert "no Python process was reached" in reports.text(reports.read(tmp_path))


def test_a_report_is_written_whole(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("an old one")

    reports.write({"patches": {}}, path)

    assert json.loads(path.read_text()) == {"patches": {}}
    assert os.listdir(tmp_path) == ["report.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a named pipe")
def test_a_report_is_written_through_a_link_and_into_a_pipe_and_replaces_neither(tmp_path):
    data = {"format": 1, "processes": 0, "unpatched": [], "patches": {}}
    link, pipe = tmp_path / "link.json", tmp_path / "pipe"
    link.symlink_to("linked.json")
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    reports.write(data, link)
    reports.write(data, pipe)

    assert link.is_symlink()
    assert pipe.is_fifo()
    assert json.loads(os.read(reading, 1000)) == json.loads(link.read_text()) == data
    os.close(reading)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_files_of_a_daemon_that_closed_all_stay_open_in_its_workers(tmp_path):
    source = f"""
        import os
        from safepatch.figures import Spool

        spool = Spool({str(tmp_path)!r})
        os.closerange(3, 100)
        files = [os.open("/dev/null", os.O_RDONLY) for _ in range(10)]
        if (worker := os.fork()) == 0:
            for file in files:
                os.fstat(file)
            os._exit(0)
        assert os.waitpid(worker, 0)[1] == 0
    """
    child(source)
