"""Under gevent: no locks, conflicts instead of lost updates, and a loop that goes on."""

import textwrap
from importlib.util import find_spec

import pytest
from children import child

pytestmark = pytest.mark.skipif(find_spec("gevent") is None, reason="gevent is not installed")

BEGIN = """
import tempfile, time, threading, sys, os
{patch}
import gevent
from safepatch.store import *
from safepatch.store.threads import native
directory = tempfile.mkdtemp()
store = Store(directory, every=0)

@durable(store)
def increment():
    counters = store.root["counters"]
    counters["n"] = counters.get("n", 0) + 1

def together(count, function):
    gevent.joinall([gevent.spawn(function) for _ in range(count)], raise_error=True)

sleep = native("time", "sleep")

def closed():
    store.close()
    with store:
        return {{name: dict(documents) for name, documents in store.root.items()}}
"""
PATCHES = {
    "not patched": "",
    "patched": "from gevent import monkey; monkey.patch_all()",
}


@pytest.fixture(params=PATCHES)
def run(request):
    def run(source):
        return child(BEGIN.format(patch=PATCHES[request.param]) + textwrap.dedent(source))

    return run


def test_counts_are_exact_and_writes_are_shared(run):
    printed = run(
        """
        together(100, lambda: [increment() for _ in range(5)])
        print(store.stats()["batches"] < 250, closed())
        """
    )

    assert printed == "True {'counters': {'n': 500}}"


def test_the_loop_goes_on_while_the_disk_works(run):
    printed = run(
        """
        fdatasync = os.fdatasync
        os.fdatasync = lambda descriptor: (sleep(0.2), fdatasync(descriptor))
        ticks = 0
        def tick():
            global ticks
            while True:
                gevent.sleep(0.001)
                ticks += 1
        ticker = gevent.spawn(tick)
        increment()
        print(ticks > 20)
        ticker.kill()
        """
    )

    assert printed == "True"


def test_touching_what_another_one_holds_conflicts_and_leaves_both_right(run):
    printed = run(
        """
        @durable(store)
        def slow():
            n = store.root["counters"]["n"]
            gevent.sleep(0.01)
            store.root["counters"]["n"] = n + 1

        increment()
        held = gevent.spawn(slow)
        gevent.sleep(0)
        for _ in range(2):
            try:
                increment()
            except ConflictError as error:
                print(error.collection, error.key)
        try:
            store.root["counters"]["n"] = 5
        except ConflictError as error:
            print("outside")
        held.get()
        increment()
        print(closed())
        """
    )

    assert printed.splitlines() == ["counters n"] * 2 + ["outside", "{'counters': {'n': 3}}"]


@pytest.mark.parametrize(
    "look", ["'n' in counters", "counters.get('n')", "list(counters.values())"]
)
def test_what_was_found_missing_is_held_too(run, look):
    """Else two would both find nothing there, and one write would be lost."""
    printed = run(
        f"""
        counters = store.root["counters"]
        counters["other"] = 1

        @durable(store)
        def slow():
            {look}
            counters.get("n")
            gevent.sleep(0.01)
            counters["n"] = 1

        held = gevent.spawn(slow)
        gevent.sleep(0)
        try:
            durable(store)(counters.__setitem__)("n", 2)
        except ConflictError:
            print("conflict")
        held.get()
        print(counters["n"])
        """
    )

    assert printed.split() == ["conflict", "1"]


def test_who_only_reads_sees_nothing_that_is_not_committed(run):
    printed = run(
        """
        counters = store.root["counters"]
        counters["n"] = 1
        counters["m"] = 1

        @durable(store)
        def slow():
            counters["n"] = 2
            counters["new"] = 1
            counters.pop("m")
            counters.get("looked at")
            gevent.sleep(0.01)
            raise LookupError

        def quiet():
            try:
                slow()
            except LookupError:
                pass

        held = gevent.spawn(quiet)
        gevent.sleep(0)
        for look in (
            lambda: counters["n"], lambda: counters.get("new"), lambda: "m" in counters,
            lambda: sum(counters.values()), lambda: counters.get("looked at"),
        ):
            try:
                print(durable(store, reads_only=True)(look)())
            except ConflictError:
                print("conflict")
        held.join()
        print(counters)
        """
    )

    assert printed.splitlines() == ["conflict"] * 4 + ["None", "{'n': 1, 'm': 1}"]


def test_who_only_reads_sees_nothing_of_a_transaction_around_another_one(run):
    printed = run(
        """
        counters = store.root["counters"]
        counters["n"] = 1

        def outer():
            with store.transaction():
                counters["n"] = 2
                with store.transaction():
                    counters["n"]  # and does not change it
                    gevent.sleep(0.01)

        held = gevent.spawn(outer)
        gevent.sleep(0)
        try:
            with store.transaction(reads_only=True):
                print(counters["n"])
        except ConflictError:
            print("conflict")
        held.join()
        """
    )

    assert printed == "conflict"


def test_one_that_is_killed_is_brought_back(run):
    printed = run(
        """
        @durable(store)
        def slow():
            store.root["counters"]["n"] = 5
            gevent.sleep(10)

        increment()
        held = gevent.spawn(slow)
        gevent.sleep(0)
        held.kill()
        increment()
        print(store.root.open, store.root["counters"].held, closed())
        """
    )

    assert printed == "{} {} {'counters': {'n': 2}}"


def test_a_timeout_while_it_waits_for_the_disk_leaves_the_write_under_way(run):
    printed = run(
        """
        fdatasync = os.fdatasync
        os.fdatasync = lambda descriptor: (sleep(0.1), fdatasync(descriptor))
        try:
            with gevent.Timeout(0.02):
                increment()
        except gevent.Timeout:
            print("timeout")
        increment()
        print(closed())
        """
    )

    assert printed.splitlines() == ["timeout", "{'counters': {'n': 2}}"]


def test_the_loop_itself_is_not_made_to_wait(run):
    printed = run(
        """
        increment()
        told = []
        def called_by_the_loop():
            try:
                increment()
            except BaseException as error:
                told.append(type(error).__name__)
        gevent.get_hub().loop.run_callback(called_by_the_loop)
        gevent.sleep(0.01)
        print(told, closed())
        """
    )

    assert printed == "['BlockingSwitchOutError'] {'counters': {'n': 2}}"


@pytest.mark.parametrize("when", ["before it is written", "while it is written"])
def test_a_loop_that_is_destroyed_with_who_waits_in_it_holds_up_no_others(run, when):
    printed = run(
        f"""
        writing = threading.Event()
        engine = store.opened().engine
        write = engine.write
        def slow(batch):
            writing.set()
            sleep(0.1)
            write(batch)
        store.opened().commits.write = slow

        waiting = gevent.spawn(increment)
        gevent.sleep(0)
        while "while" in {when!r} and not writing.is_set():
            gevent.sleep(0.01)
        waiting.kill(block=False)
        gevent.sleep(0)
        gevent.get_hub().destroy(destroy_loop=True)
        sleep(0.3)

        increment()
        print(closed())
        """
    )

    assert printed == "{'counters': {'n': 2}}"


def test_a_thread_does_not_wait_for_a_loop_that_waits_for_it(run):
    printed = run(
        """
        increment()
        waiting = gevent.spawn(increment)
        gevent.sleep(0)  # it is to be written when the loop is idle, which it is not now
        over = native("_thread", "allocate_lock")()
        over.acquire()
        def other():
            increment()
            over.release()
        native("_thread", "start_new_thread")(other, ())
        print(over.acquire(timeout=10))
        waiting.get()
        print(closed())
        """
    )

    assert printed.splitlines() == ["True", "{'counters': {'n': 3}}"]


def test_threads_and_greenlets_together_count_exactly(run):
    printed = run(
        """
        pool = gevent.get_hub().threadpool
        jobs = [pool.spawn(lambda: [increment() for _ in range(20)]) for _ in range(4)]
        together(10, lambda: [increment() for _ in range(20)])
        gevent.wait(jobs)
        print(closed())
        """
    )

    assert printed == "{'counters': {'n': 280}}"


def test_a_failed_write_is_told_to_all(run):
    printed = run(
        """
        increment()
        def failing(descriptor):
            raise OSError(28, "No space left on device")
        os.fdatasync = failing
        def told():
            try:
                increment()
            except FailedError as error:
                return str(error.__cause__)
        print({greenlet.get() for greenlet in [gevent.spawn(told) for _ in range(10)]})
        """
    )

    assert printed == "{'[Errno 28] No space left on device'}"


def test_what_is_done_every_so_often_lets_others_run(run):
    printed = run(
        """
        import logging
        logging.disable()
        store.close()
        store = Store(directory, every=0.01)
        documents = store.root["c"]
        for n in range(1000):
            documents[str(n)] = {"n": n}
        while store.stats()["found_by_scrub"] < 1000:
            gevent.sleep(0.001)
        print(store.stats()["waiting"] >= 0)
        store.close()
        """
    )

    assert printed.splitlines()[-1] == "True"


def test_backup_compact_and_verify_work_in_a_greenlet(run):
    printed = run(
        """
        increment()
        store.backup(directory + "-copy")
        store.compact()
        print(store.verify()["documents"])
        with Store(directory + "-copy") as copy:
            print(copy.root)
        """
    )

    assert printed.splitlines() == ["{'counters': 1}", "{'counters': {'n': 1}}"]


def test_a_transaction_at_the_end_of_the_program_needs_no_thread(run):
    printed = run(
        """
        import atexit
        gevent.sleep(0)
        @atexit.register
        def last():
            durable(store)(store.root["c"].__setitem__)("k", 1)
            print(store.stats()["waiting"], store.root)
        """
    )

    assert printed == "0 {'c': {'k': 1}}"


def test_the_program_does_not_end_amid_what_threads_do_which_would_crash(run):
    printed = run(
        """
        from safepatch.store.threads import Worker
        gevent.sleep(0)  # gevent hangs if threads are the first to use it, several at once

        def work():
            for _ in range(5000):
                gevent.sleep(0)  # in a hub of the thread's own
            os.write(1, b"done ")

        for _ in range(4):
            worker = Worker()
            worker.do(work)
            worker.end()
        """
    )

    assert printed == "done done done done"


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("engine", ["journal", "sqlite", "snapshot"])
def test_the_child_of_a_fork_does_not_go_on_with_closing_the_store(engine, turns):
    """It has a copy of the greenlet that closes it, and of what that is about to write."""
    printed = child(
        f"""
        import os, tempfile
        from gevent import monkey; monkey.patch_all()
        import gevent
        from safepatch.store import Store

        path = tempfile.mkdtemp() + "/state"
        path = {{"sqlite": "sqlite:///" + path}}.get({engine!r}, path)
        options = {{"mode": "snapshot"}} if {engine!r} == "snapshot" else {{}}
        store = Store(path, every=0, **options)
        store.root.setdefault("c", {{}}) if options else store.root["c"]
        store.root["c"].update(first=1, second=1)
        store.sync()
        store.root["c"]["first"] = 2
        commits, parent = store.opened().commits, os.getpid()
        def seen(name):
            function = getattr(commits, name)
            def call(*arguments):
                done = function(*arguments)
                if done is not False:
                    print("the parent" if os.getpid() == parent else "the child", flush=True)
                return done
            setattr(commits, name, call)
        seen("write")
        if commits.begin is not None:
            seen("begin")

        closing = gevent.spawn(store.close)
        for _ in range({turns}):
            gevent.sleep(0)
        forked = os.fork()
        if forked == 0:
            gevent.get_hub().print_exception = lambda *about: None  # of the copy, which is refused
            gevent.sleep(0.2)
            os._exit(0)
        with gevent.Timeout(10):
            closing.get()
            os.waitpid(forked, 0)
        with Store(path, every=0, **options) as store:
            print({{**store.root["c"]}})
        """
    )

    assert printed.splitlines() == ["the parent", "{'first': 2, 'second': 1}"]


@pytest.mark.parametrize(
    "look", ["dict(c)", "{**c}", "c.copy()", "c | {}", "[*c.values()]", "[*c.items()]"]
)
@pytest.mark.parametrize("change", ["c['n'] = 2", "del c['n']", "c['n'].append(object())"])
@pytest.mark.parametrize("address", ["", "sqlite:///"])
def test_who_looks_at_all_is_told_of_what_may_be_taken_back(tmp_path, look, change, address):
    printed = child(
        textwrap.dedent(
            f"""
            from gevent import monkey; monkey.patch_all()
            import contextlib, gevent
            from safepatch.store import *
            store = Store("{address}{tmp_path}/state", every=0)
            c = store.root["c"]
            with store.transaction():
                c["m"], c["n"] = [], []

            def fail():
                with contextlib.suppress(LookupError), store.transaction():
                    {change}
                    gevent.sleep(0.01)
                    raise LookupError

            failing = gevent.spawn(fail)
            gevent.sleep(0)
            for reads_only in (True, False):
                try:
                    with store.transaction(reads_only=reads_only):
                        print({look})
                except ConflictError:
                    print("conflict")
            failing.join()
            print(c)
            """
        )
    )

    assert printed.splitlines() == ["conflict", "conflict", "{'m': [], 'n': []}"]


@pytest.mark.parametrize("replace", ["c.clear()", "store.root['c'] = {}", "while c: c.popitem()"])
def test_what_is_replaced_as_a_whole_is_what_another_one_may_bring_back_too(tmp_path, replace):
    printed = child(
        textwrap.dedent(
            f"""
            from gevent import monkey; monkey.patch_all()
            import contextlib, gevent
            from safepatch.store import *
            store = Store("{tmp_path}/state", every=0)
            c = store.root["c"]
            with store.transaction():
                c.update(m=1, n=1)

            def fail():
                with contextlib.suppress(LookupError), store.transaction():
                    del c["n"]
                    gevent.sleep(0.01)
                    raise LookupError

            failing = gevent.spawn(fail)
            gevent.sleep(0)
            try:
                with store.transaction():
                    {replace}
            except ConflictError:
                print("conflict")
            failing.join()
            print(sorted(c.items()))
            """
        )
    )

    assert printed.splitlines() == ["conflict", "[('m', 1), ('n', 1)]"]


def test_what_was_changed_outside_and_is_held_then_is_on_disk_after_a_sync(run):
    printed = run(
        """
        counters = store.root["counters"]
        with store.transaction():
            counters.update(n=1, gone=1)
        counters["n"] = 2
        counters["new"] = 2
        del counters["gone"]

        def hold():
            with store.transaction():
                counters["n"] = 3
                counters.pop("new")
                counters.get("gone")
                gevent.sleep(10)

        holding = gevent.spawn(hold)
        gevent.sleep(0)
        print(*sorted(key for _, key in store.sync()))
        print(store.sync(), counters)
        holding.kill()
        print(counters, closed())
        """
    )

    assert printed.splitlines() == [
        "gone n new",
        "[] {'n': 3}",
        "{'n': 2, 'new': 2} {'counters': {'n': 2, 'new': 2}}",
    ]


LOOKS = {
    "copy": "store.root.copy()",
    "items": "list(store.root.items())",
    "pop": "store.root.pop('queue', None)",
    "in": "'queue' in store.root",
    "len": "len(store.root)",
    "del": "store.root.__delitem__('queue')",
    "repr": "repr(store.root['queue'])",
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_collection_that_was_emptied_and_may_come_back_is_told_of(look):
    printed = child(
        BEGIN.format(patch="")
        + f"""
store.root["queue"]["job"] = 1
def fails():
    with store.transaction():
        del store.root["queue"]["job"]
        gevent.sleep(0.01)
        raise GreenletExit
from greenlet import GreenletExit
failing = gevent.spawn(fails)
gevent.sleep(0)
try:
    with store.transaction():
        {look}
except ConflictError as error:
    print(error.collection, error.key)
failing.join()
print(closed())
"""
    )

    assert printed.splitlines() == ["queue job", "{'queue': {'job': 1}}"]
