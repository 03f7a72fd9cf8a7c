"""Ctrl-C, or what else a signal handler raises, at any moment of a transaction."""

import contextlib
import inspect
import pathlib
import sys
import threading

import pytest
from children import child

import safepatch.store
from safepatch.store import FailedError, NotStorableError, Store, durable
from safepatch.store.commits import Commits
from safepatch.store.snapshots import read

OURS = str(pathlib.Path(safepatch.store.__file__).parent)
NOT_OURS = str(pathlib.Path(OURS, "testing"))


class StoppedError(Exception):
    pass


def interrupted_at(number, function):
    """Call a function, and raise KeyboardInterrupt amid what the store does; whether it came to it.

    Python looks for signals where a function of Python begins, and where one of C has returned;
    not where something is thrown into a generator.
    """
    left = number

    def look(frame, event, argument):
        nonlocal left
        name = frame.f_code.co_filename
        is_ours = name.startswith(OURS) and not name.startswith(NOT_OURS)
        is_thrown = frame.f_code.co_flags & inspect.CO_GENERATOR and sys.exc_info()[0]
        if is_ours and not is_thrown and event in ("call", "c_return"):
            left -= 1
            if left == -1:
                raise KeyboardInterrupt

    sys.setprofile(look)
    try:
        function()
    except KeyboardInterrupt:
        pass
    finally:
        sys.setprofile(None)
    return left < 0


def returning(store):
    durable(store)(change)(store)


def raising(store):
    with contextlib.suppress(StoppedError):
        durable(store)(change_and_stop)(store)


def a_block(store):
    with store.transaction():
        change(store)


def a_block_that_raises(store):
    with contextlib.suppress(StoppedError), store.transaction():
        change_and_stop(store)


def one_within_another(store):
    with contextlib.suppress(StoppedError), store.transaction():
        change(store)
        with contextlib.suppress(StoppedError):
            durable(store)(change_and_stop)(store)
        raise StoppedError


def what_is_refused(store):
    with contextlib.suppress(NotStorableError), store.transaction():
        change(store)
        store.root["c"]["k"]["n"] = {1}


def change(store):
    c = store.root["c"]
    c["k"]["n"] = c["l"]["n"] = 1
    c.pop("m", None)


def change_and_stop(store):
    change(store)
    raise StoppedError


OLD = {"k": {"n": 0}, "l": {"n": 0}, "m": {"n": 0}}
NEW = {"k": {"n": 1}, "l": {"n": 1}}


@pytest.mark.parametrize(
    "work",
    [
        returning,
        raising,
        a_block,
        a_block_that_raises,
        one_within_another,
        what_is_refused,
    ],
    ids=lambda work: work.__name__,
)
def test_at_any_moment_nothing_is_half_done_and_what_comes_later_is_kept(tmp_path, no_syncs, work):
    """Or else the store says that it has stopped."""
    number, reached, stopped = 0, True, 0
    while reached:
        store = Store(tmp_path / f"{number}", every=0)
        with store.transaction():
            store.root["c"] = {key: dict(document) for key, document in OLD.items()}

        reached = interrupted_at(number, lambda store=store: work(store))

        def later(store=store):
            with store.transaction():
                store.root["later"]["k"] = 1

        told = []
        for run in (later, lambda: in_a_thread(later)):
            try:
                run()
            except FailedError as error:
                told.append(error)
        memory = dict(store.root["c"])
        with contextlib.suppress(FailedError):
            store.close()
        with Store(tmp_path / f"{number}", every=0) as again:
            disk = dict(again.root["c"])
            assert disk in (OLD, NEW), number
            if told:
                stopped += 1
            else:
                assert (memory, dict(again.root["later"])) == (disk, {"k": 1}), number
        number += 1

    assert number > 30
    assert stopped < number / 2


def test_who_must_wait_until_all_is_over_does_though_interrupted_before_anybody_writes():
    number = 1  # the first moment of all is before it has begun
    reached = True
    while reached:
        commits = Commits(lambda batch: None)
        ticket = commits.append("one")
        reached = interrupted_at(number, lambda wait=commits.wait_out, one=ticket: wait(one))
        assert commits.durable == ticket or commits.failure is not None
        number += 1

    assert number > 5


def test_an_interrupted_image_is_followed_by_others(tmp_path, no_syncs):
    store = Store(tmp_path / "state", mode="snapshot", every=0)
    assert store.root == {}
    number, reached = 1, True  # the first moment of all is before it has begun
    while reached:
        store.root["before"] = number
        reached = interrupted_at(number, store.sync)
        store.root["after"] = number
        store.sync()
        assert read(store.path) == {"before": number, "after": number}
        number += 1
    store.close()

    assert number > 20


def in_a_thread(function):
    """Call a function in another thread, which must come to an end; raise what it raises."""
    raised = []

    def run():
        try:
            function()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive(), "it waits for a lock that nobody lets go"
    if raised:
        raise raised[0]


def test_who_interrupts_closing_waits_for_no_transaction_of_another_thread(tmp_path):
    """And the files are let go."""
    printed = child(
        f"""
        import os, signal, threading
        from safepatch.store import ClosedError, Store
        # Which a shell has ignored in what it runs in the background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        store = Store({str(tmp_path / "state")!r}, every=0)
        begun, go_on, told = threading.Event(), threading.Event(), []
        def body():
            try:
                with store.transaction():
                    store.root["c"]["k"] = 1
                    begun.set()
                    go_on.wait(20)
            except ClosedError:
                told.append("refused")
        thread = threading.Thread(target=body)
        thread.start()
        begun.wait()
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            store.close()
        except KeyboardInterrupt:
            told.append("interrupted")
        print(store, thread.is_alive())
        with Store(store.path, every=0) as again:
            go_on.set()
            thread.join()
            print(told, again.root)
        """
    )

    assert printed.splitlines() == [
        f"<Store '{tmp_path}/state', it was closed> True",
        "['interrupted', 'refused'] {}",
    ]
