"""Under gevent the kernel syncs, where it can, and the loop writes.

What it tells may come to the loop or to a thread, so that neither has to wait for the other.
"""

import errno
import textwrap
from importlib.util import find_spec

import pytest
from children import child
from served import need

need("gevent", "msgspec")
pytestmark = pytest.mark.skipif(
    find_spec("caio") is None, reason="this machine has no asynchronous requests of Linux"
)

BEGIN = """
import os, sys, threading, tempfile
from gevent import monkey; monkey.patch_all()
import gevent
import safepatch
from safepatch.decorators import count_calls
from safepatch.store import *
from safepatch.store import syncing
from safepatch.store.threads import native

directory = tempfile.mkdtemp()
store = Store(directory, every=0)
syncs = safepatch.apply((syncing, "begin"), count_calls(), name="syncs").wrapper

@durable(store)
def put(key, value=1):
    store.root["c"][key] = value

def told(key):
    try:
        put(key)
        return "written"
    except StoreError as error:
        return str(error.__cause__ or error)

def begun(key, by_kernel=True):
    writing = gevent.spawn(put, key)
    gevent.sleep(0)
    while by_kernel and not syncs.stats().calls:
        gevent.sleep(0)
    return writing

# The disk of a test that wants to say itself when it is done.
waiting = []
def by_hand():
    syncing.begin = lambda here, descriptor, then: not waiting.append(then)

def found():
    store.close()
    with store:
        return [*store.root["c"]]

gevent.sleep(0)  # from here on there is a hub
put("first")  # which makes the file, and so is for a thread, as is what comes before that is ready
while not (syncing._syncs or syncing._is_impossible):
    gevent.sleep(0.001)
"""


@pytest.fixture
def run():
    return lambda source: child(BEGIN + textwrap.dedent(source))


def test_no_thread_has_a_part_in_it(run):
    printed = run(
        """
        store.opened().commits.write = None
        gevent.joinall([gevent.spawn(put, str(n)) for n in range(50)], raise_error=True)
        put("last")
        print(syncs.stats().calls, store.stats()["batches"])
        """
    )

    assert printed == "2 3"


def test_nobody_goes_on_before_the_kernel_has_synced(run):
    printed = run(
        """
        by_hand()
        many = [gevent.spawn(told, str(n)) for n in range(10)]
        gevent.sleep(0.05)
        print(len(waiting), sum(map(bool, many)), store.stats()["waiting"])
        late = gevent.spawn(told, "late")  # who comes meanwhile is in the next batch
        gevent.sleep(0.05)
        waiting.pop()(None)
        gevent.sleep(0.05)
        print(len(waiting), {one.value for one in many}, late.value)
        waiting.pop()(None)
        late.join()
        print(late.value)
        """
    )

    assert printed.splitlines() == ["1 10 10", "1 {'written'} None", "written"]


def test_a_failed_sync_is_told_to_all_and_stops_the_store(run):
    printed = run(
        """
        from safepatch.store.engines.journal import files
        by_hand()
        many = [gevent.spawn(told, str(n)) for n in range(3)]
        gevent.sleep(0.05)
        later = gevent.spawn(told, "later")
        gevent.sleep(0.05)
        [path] = [file.path for file in files.listed(directory)]
        content = open(path, "rb").read()
        waiting.pop()(OSError(5, "Input/output error"))
        print({one.get() for one in [*many, later]})
        print(told("too late"), len(waiting))
        store.close()
        print(open(path, "rb").read() == content)  # nothing is written any more, also at the end
        """
    )

    error = "[Errno 5] Input/output error"
    assert printed.splitlines() == [str({error}), f"{error} 0", "True"]


@pytest.mark.parametrize("result", [0, errno.EIO, errno.ENOSPC])
def test_what_the_kernel_says_is_an_error_by_its_number(run, result):
    """The number comes as the kernel gives it; that of a real disk cannot be had here."""
    printed = run(
        f"""
        given = []
        sync = syncing._Sync(given.append)
        sync.results.append(-{result} % (1 << 64))
        sync.tell()
        print(given)
        """
    )

    name = {errno.EIO: "Input/output error", errno.ENOSPC: "No space left on device"}.get(result)
    assert printed == (f"[OSError({result}, '{name}')]" if result else "[None]")


@pytest.mark.parametrize("works", [True, False])
def test_where_the_kernel_takes_no_more_the_loop_syncs_itself(run, works):
    printed = run(
        f"""
        put("second")
        class Full:
            def __init__(self, context):
                self.context = context
            def submit(self, request):
                raise OverflowError("Insufficient resources are available to queue any iocbs")
            def __getattr__(self, name):
                return getattr(self.context, name)
        syncing._syncs._context = Full(syncing._syncs._context)
        if not {works}:
            def fail(descriptor):
                raise OSError(5, "Input/output error")
            os.fdatasync, syncing.may_begin = fail, lambda: True
        print({{one.get() for one in [gevent.spawn(told, str(n)) for n in range(5)]}})
        print(len(found()))
        """
    )

    told = "written" if works else "[Errno 5] Input/output error"
    assert printed.splitlines() == [str({told}), "7"]


@pytest.mark.parametrize("how", ["by hand", "by safepatch"])
def test_who_patches_fdatasync_sees_it_called(run, how):
    printed = run(
        f"""
        called = []
        def seen(descriptor, fdatasync=os.fdatasync):
            called.append(descriptor)
            fdatasync(descriptor)
        if {how!r} == "by hand":
            real, os.fdatasync = os.fdatasync, seen
        else:
            patch = safepatch.apply(
                "os:fdatasync", lambda wrapped: lambda fd: seen(fd, wrapped), aliases="ignore"
            )
        put("patched")
        before = syncs.stats().calls
        if {how!r} == "by hand":
            os.fdatasync = real
        else:
            patch.undo()
        put("not patched")
        print(len(called), before, syncs.stats().calls, found())
        """
    )

    assert printed == "1 0 1 ['first', 'patched', 'not patched']"


def test_without_asynchronous_requests_a_thread_does_it():
    """As where caio cannot be had, or the kernel refuses."""
    printed = child(
        BEGIN.replace("import os, sys", "import os, sys; sys.modules['caio'] = None; import sys")
        + textwrap.dedent(
            """
            gevent.joinall([gevent.spawn(put, str(n)) for n in range(5)], raise_error=True)
            print(syncs.stats().calls, len(found()))
            """
        )
    )

    assert printed == "0 6"


def test_nothing_is_imported_in_a_thread(tmp_path):
    """A greenlet that imports the same at that time is never woken by an older gevent."""
    printed = child(
        f"""
        import sys
        imported, main = [], __import__("_thread").get_ident()
        get_ident = __import__("_thread").get_ident
        def note(event, arguments):
            if event == "import" and get_ident() != main:
                imported.append(arguments[0])
        sys.addaudithook(note)
        from gevent import monkey; monkey.patch_all()
        import gevent
        from safepatch.store import Store, syncing
        store = Store("{tmp_path}/old", every=0)
        def put(key):
            with store.transaction():
                store.root["c"][key] = 1
        gevent.joinall([gevent.spawn(put, str(n)) for n in range(10)], raise_error=True)
        store.compact()
        store.verify()
        store.backup("{tmp_path}/backup")
        store.hand_over("sqlite:///{tmp_path}/new.db")
        put("last")
        store.backup("{tmp_path}/backup.db")
        store.close()
        print(imported, "caio" in sys.modules)
        """
    )

    assert printed == "[] True"


def test_large_batches_and_new_files_are_for_a_thread(run):
    printed = run(
        """
        put("large", "x" * (2 << 20))
        print(syncs.stats().calls)
        put("small")  # behind which there is room for more
        put("medium", "x" * 70_000)
        print(syncs.stats().calls)
        put("small again")
        print(syncs.stats().calls)
        store.close()

        small = Store(tempfile.mkdtemp(), every=0, segment=2000)
        with small:
            for n in range(100):
                with small.transaction():
                    small.root["c"][str(n)] = "x" * 100
            made = len(os.listdir(small.path))
        print(syncs.stats().calls > 50, made > 2)
        with small:
            print([*small.root["c"]] == [str(n) for n in range(100)])
        """
    )

    assert printed.splitlines() == ["0", "1", "2", "True True", "True"]


def test_backups_beside_it_wait_for_each_other(run):
    printed = run(
        """
        over = False
        def busy(number):
            count = 0
            while not over:
                put(f"{number} {count % 5}", count)
                count += 1
            return count
        many = [gevent.spawn(busy, number) for number in range(5)]
        for number in range(10):
            store.backup(os.path.join(tempfile.mkdtemp(), "copy"))
            store.verify()
        over = True
        print(sum(one.get() for one in many) + 1 == store.stats()["commits"])
        print(syncs.stats().calls > 0, len(found()))
        """
    )

    assert printed.splitlines() == ["True", "True 26"]


@pytest.mark.parametrize("when", ["before it is written", "while the disk works"])
def test_the_child_of_a_fork_leaves_it_to_the_parent(run, when):
    printed = run(
        f"""
        writing = begun("parent", by_kernel="while" in {when!r})
        child = os.fork()
        if child == 0:
            gevent.sleep(0.1)  # its loop has time to do what is not its own
            os._exit(0)
        native("time", "sleep")(0.3)  # the child comes first
        with gevent.Timeout(10):
            writing.join()
            os.waitpid(child, 0)
            put("last")
        print(found())
        """
    )

    assert printed == "['first', 'parent', 'last']"


def test_the_child_of_a_greenlet_that_its_sync_has_woken_is_left_alone(run):
    """It comes to be amid telling, with a copy of all that is to be told."""
    printed = run(
        """
        def work():
            put("forks")
            if os.fork() == 0:
                try:
                    before._look()  # which may be what its loop is to do next
                    gevent.sleep(0.2)
                    put("child")
                except ClosedError:
                    os._exit(3)
                except BaseException:
                    os._exit(9)
                os._exit(0)
        put("second")
        before = syncing._syncs
        gevent.spawn(work).get()
        many = [gevent.spawn(put, str(n)) for n in range(5)]
        gevent.joinall(many, raise_error=True, timeout=10)
        print(all(one.ready() for one in many), os.waitstatus_to_exitcode(os.wait()[1]))
        print(len(found()))
        """
    )

    assert printed.splitlines() == ["True 3", "8"]


def test_programs_that_it_starts_do_not_get_its_descriptor(run):
    printed = run(
        """
        put("second")
        descriptor = syncing._syncs._context.fileno
        print(os.readlink(f"/proc/self/fd/{descriptor}"), os.get_inheritable(descriptor))
        """
    )

    assert printed == "anon_inode:[eventfd] False"


def test_a_signal_amid_asking_is_no_error(run):
    printed = run(
        """
        import errno
        put("second")
        class Interrupted:
            def __init__(self, context):
                self.context, self.left = context, 3
            def process_events(self, most):
                if self.left:
                    self.left -= 1
                    raise SystemError(errno.EINTR, "Interrupted system call")
                return self.context.process_events(most)
            def __getattr__(self, name):
                return getattr(self.context, name)
        # As caio does it, when a signal comes in and nothing is over.
        syncing._syncs._context = Interrupted(syncing._syncs._context)
        gevent.get_hub().loop.timer(0.2, repeat=0.2).start(syncing.look)
        print({one.get(timeout=10) for one in [gevent.spawn(told, str(n)) for n in range(5)]})
        """
    )

    assert printed == "{'written'}"


def test_a_loop_does_not_take_over_what_the_loop_of_a_thread_is_about_to_write(run):
    printed = run(
        """
        from safepatch.store import commits
        main, when_idle = gevent.get_hub(), commits.when_idle
        about, go = [native("_thread", "allocate_lock")() for _ in range(2)]
        about.acquire(), go.acquire()
        def slow(here, work):  # it has to wait for the interpreter
            if here is not main:
                about.release()
                go.acquire()
            when_idle(here, work)
        commits.when_idle = slow
        over = native("_thread", "allocate_lock")()
        over.acquire()
        def other():
            gevent.spawn(put, "other").get()
            over.release()
        native("_thread", "start_new_thread")(other, ())
        about.acquire()
        writing = gevent.spawn(told, "main")
        gevent.sleep(0)
        go.release()
        print(over.acquire(timeout=10))  # and all of the loop waits, too
        print(writing.get(timeout=10), found())
        """
    )

    assert printed.splitlines() == ["True", "written ['first', 'other', 'main']"]


def test_a_hub_that_is_destroyed_without_its_loop_stops_nothing(run):
    printed = run(
        """
        writing = gevent.spawn(put, "lost")
        gevent.sleep(0)
        writing.kill(block=False)
        gevent.sleep(0)
        gevent.get_hub().destroy()
        gevent.sleep(0.1)
        put("last")
        print(found())
        """
    )

    assert printed == "['first', 'lost', 'last']"


def test_the_loop_does_not_wait_for_who_closes_the_file(run):
    printed = run(
        """
        put("second")
        engine = store.opened().engine
        begun, over = [native("_thread", "allocate_lock")() for _ in range(2)]
        begun.acquire(), over.acquire()
        real = os.fsync
        def slow(descriptor):
            begun.release()
            if not over.acquire(timeout=10):
                print("the loop waited")
            real(descriptor)
        os.fsync = slow
        verifying = gevent.get_hub().threadpool.spawn(engine.verify)
        while not begun.acquire(timeout=0):
            gevent.sleep(0.001)
        writing = gevent.spawn(told, "meanwhile")
        gevent.sleep(0.1)  # the loop goes on, and the batch waits in a thread
        print(writing.ready())
        over.release()
        os.fsync = real
        print(writing.get(timeout=10), verifying.get()["documents"], found())
        """
    )

    assert printed.splitlines() == [
        "False", "written {'c': 2} ['first', 'second', 'meanwhile']"
    ]  # fmt: skip


@pytest.mark.parametrize("when", ["before it is written", "while the disk works"])
def test_a_loop_that_is_destroyed_is_done_without(run, when):
    printed = run(
        f"""
        writing = begun("lost", by_kernel="while" in {when!r})
        writing.kill(block=False)
        gevent.sleep(0)
        gevent.get_hub().destroy(destroy_loop=True)
        put("last")
        print(found())
        """
    )

    assert printed == "['first', 'lost', 'last']"


def test_a_thread_goes_on_for_a_loop_that_is_destroyed(run):
    printed = run(
        """
        writing = begun("lost")
        writing.kill(block=False)
        gevent.sleep(0)
        gevent.get_hub().destroy(destroy_loop=True)
        native("_thread", "start_new_thread")(lambda: print(told("other")), ())
        native("time", "sleep")(0.5)
        print(found())
        """
    )

    assert printed.splitlines() == ["written", "['first', 'lost', 'other']"]


def test_a_store_that_stops_while_the_disk_works_can_be_closed(run):
    printed = run(
        """
        writing = gevent.spawn(told, "written")
        gevent.sleep(0)
        while not syncs.stats().calls:
            gevent.sleep(0)
        store.opened().commits.stop(OSError(5, "Input/output error"))
        store.close()
        print(writing.get(timeout=5))
        with store:
            print([*store.root["c"]])
        """
    )

    assert printed.splitlines() == ["written", "['first', 'written']"]  # for closing waits for it


def test_an_interrupt_in_the_loop_keeps_nobody_waiting(run):
    printed = run(
        """
        gevent.get_hub().print_exception = lambda *about: None
        def interrupted():
            raise KeyboardInterrupt
        store.opened().commits._take = interrupted
        many = [gevent.spawn(told, str(n)) for n in range(3)]
        try:
            gevent.sleep(5)
        except KeyboardInterrupt:
            print("interrupted")
        print({one.get(timeout=5) for one in many})
        """
    )

    assert printed.splitlines() == ["interrupted", "{''}"]


def test_nothing_is_said_to_be_on_disk_that_is_being_synced(run):
    printed = run(
        """
        [name] = [name for name in os.listdir(directory) if name.startswith("journal")]
        def content():
            return open(os.path.join(directory, name), "rb").read().rstrip(bytes(1))
        by_hand()
        writing = gevent.spawn(told, "second")
        gevent.sleep(0.05)
        before = content()
        store.opened().engine._marked = False  # as when the batch before came right before
        store.opened().engine.rest()
        print(content() == before)
        waiting.pop()(None)
        writing.get()
        print(len(content()) > len(before))  # now it is
        """
    )

    assert printed.splitlines() == ["True", "True"]


DEAF = """
syncing._Syncs._look = lambda self: None  # the loop never hears that a sync is over
put("second")
writing = gevent.spawn(told, "greenlet")
while not syncs.stats().calls:
    gevent.sleep(0)
over = native("_thread", "allocate_lock")()
over.acquire()
def beside(function, *arguments):
    def work():
        print(function(*arguments))
        over.release()
    native("_thread", "start_new_thread")(work, ())
    print(over.acquire(timeout=10))  # and all of the loop waits, too
"""


def deaf(source):
    """The main thread writes nothing by itself before the kernel does it."""
    return textwrap.dedent(DEAF.replace('put("second")\n', "") + textwrap.dedent(source))


@pytest.mark.parametrize("hub", ["without a loop", "with a loop"])
def test_a_thread_tells_what_a_loop_that_waits_for_it_does_not_hear(run, hub):
    printed = run(
        deaf(
            f"""
            def commit():
                if {hub!r} == "with a loop":
                    gevent.sleep(0)
                put("thread")
                return writing.ready()
            beside(commit)
            print(writing.get(timeout=10), found())
            """
        )
    )

    # In the order of commits: who comes later waits for what came first.
    assert printed.splitlines() == [
        "False", "True", "written ['first', 'greenlet', 'thread']"
    ]  # fmt: skip


def test_who_needs_the_file_tells_what_the_loop_does_not_hear(run):
    printed = run(
        deaf(
            """
            beside(lambda: store.opened().engine.verify()["documents"])
            print(writing.get(timeout=10), found())
            """
        )
    )

    assert printed.splitlines() == [
        "{'c': 2}", "True", "written ['first', 'greenlet']"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "where",
    [
        "Commits, '_write_beside', 'before'",
        "Journal, '_frame', 'before'",
        "directories, 'write_all', 'before'",
        "directories, 'write_all', 'after'",
        "syncing, 'begin', 'before'",
        "syncing._Syncs, '_next_over', 'before'",
        "syncing._Sync, 'tell', 'before'",
        "syncing._Sync, 'tell', 'after'",
        "Crowd, '_wake', 'before'",
        "Crowd, '_wake', 'after'",
        "Journal, '_mark', 'before'",
    ],
)
def test_an_interrupt_in_the_loop_loses_nothing(run, where):
    printed = run(
        f"""
        from safepatch.store import directories
        from safepatch.store.commits import Commits
        from safepatch.store.engines.journal.journal import Journal
        from safepatch.store.threads import Crowd
        gevent.get_hub().print_exception = lambda *about: None
        put("second")
        def interrupt(owner, name, when):
            function = getattr(owner, name)
            def interrupted(*arguments):
                now = gevent.getcurrent() is hub and not over
                if now:
                    over.append(name)
                if now and when == "before":
                    raise KeyboardInterrupt
                result = function(*arguments)
                if now:
                    raise KeyboardInterrupt
                return result
            over = []
            setattr(owner, name, interrupted)
        hub = gevent.get_hub()
        interrupt({where})
        many = [gevent.spawn(told, str(n)) for n in range(3)]
        try:
            gevent.sleep(5)
        except KeyboardInterrupt:
            print("interrupted")
        print({{one.get(timeout=5) for one in many}}, told("after"))
        print(found(), syncs.stats().calls > 1)
        """
    )

    assert printed.splitlines() == [
        "interrupted",
        "{'written'} written",
        "['first', 'second', '0', '1', '2', 'after'] True",
    ]
