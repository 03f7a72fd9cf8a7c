"""`durable` is an ordinary decorator."""

import inspect
import threading

import pytest

import safepatch
from safepatch.store import ClosedError, FailedError, NotStorableError, Store, durable
from safepatch.store.transactions import Transaction


class PlannedError(Exception):
    pass


def test_keeps_name_documentation_and_parameters(store):
    @durable(store)
    def handler(a, *, b=1):
        """Documentation."""

    assert (handler.__name__, handler.__doc__) == ("handler", "Documentation.")
    assert str(inspect.signature(handler)) == "(a, *, b=1)"


def test_works_on_methods_with_arguments_and_results(store):
    class Handler:
        @durable(store)
        def put(self, key, *, value):
            store.root["c"][key] = value
            return key, value

        @classmethod
        @durable(store)
        def count(cls):
            return len(store.root["c"])

    assert Handler().put("k", value=1) == ("k", 1)
    assert Handler.count() == 1


def test_may_be_applied_to_somebody_elses_function_and_undone(store, read):
    class App:
        def wsgi(self, environ, start_response):
            store.root["c"]["k"] = environ["n"]
            return [b""]

    patch = safepatch.apply((App, "wsgi"), durable(store))
    App().wsgi({"n": 1}, None)
    commits = store.stats()["commits"]
    patch.undo()
    App().wsgi({"n": 2}, None)

    assert (commits, store.stats()["commits"]) == (1, 1)
    assert read() == {"c": {"k": 2}}  # which close has found


@pytest.mark.parametrize(
    ("wrapped", "told"),
    [(5, "cannot be called"), (staticmethod, None)],
)
def test_what_cannot_be_called_is_refused_when_decorating(store, wrapped, told):
    if told is None:
        durable(store)(wrapped)
        return
    with pytest.raises(TypeError, match=told):
        durable(store)(wrapped)


async def coroutine():
    pass


async def async_generator():
    yield


@pytest.mark.parametrize("wrapped", [coroutine, async_generator])
def test_coroutine_functions_are_refused_when_decorating(store, wrapped):
    with pytest.raises(TypeError, match=r"asyncio\.to_thread"):
        durable(store)(wrapped)


def test_a_coroutine_that_a_plain_function_returns_is_refused_and_brought_back(store):
    def begin():
        store.root["c"]["k"] = 1
        return coroutine()

    with pytest.raises(TypeError, match=r"asyncio\.to_thread"):
        durable(store)(begin)()

    assert store.root == {}


def test_needs_a_store(store):
    with pytest.raises(TypeError, match=r"write @durable\(store\)"):
        durable(print)


def test_refuses_a_store_in_snapshot_mode(tmp_path):
    snapshots = Store(tmp_path, mode="snapshot")

    with pytest.raises(ValueError, match="use mode='journal'"):
        durable(snapshots)
    with pytest.raises(ValueError, match="use mode='journal'"):
        snapshots.transaction()


class TestGenerators:
    """Each step of a generator is a transaction."""

    def numbers(self, store):
        try:
            for number in range(3):
                store.root["c"][str(number)] = number
                got = yield number
                if got is not None:
                    store.root["c"]["sent"] = got
        finally:
            store.root["c"]["end"] = True

    def direct(self, store):
        return durable(store)(self.numbers)(store)

    def returned(self, store):
        return durable(store)(lambda: self.numbers(store))()

    @pytest.fixture(params=["direct", "returned"])
    def steps(self, request, store):
        return getattr(self, request.param)(store)

    def test_each_step_is_on_disk_before_its_value_is_out(self, store, steps):
        seen = [(number, store.stats()["commits"], store.stats()["waiting"]) for number in steps]

        assert seen == [(0, 1, 0), (1, 2, 0), (2, 3, 0)]
        assert store.stats()["commits"] == 4
        assert store.root["c"] == {"0": 0, "1": 1, "2": 2, "end": True}

    def test_values_and_exceptions_go_in(self, store, steps):
        next(steps)
        assert steps.send("x") == 1
        with pytest.raises(PlannedError):
            steps.throw(PlannedError)

        # The step that failed was brought back.
        assert store.root["c"] == {"0": 0, "1": 1, "sent": "x"}
        assert store.root.open == {}

    def test_closing_is_a_step(self, store, steps):
        next(steps)
        steps.close()

        assert store.stats()["commits"] == 2
        assert store.root["c"] == {"0": 0, "end": True}

    def test_the_value_of_return_is_kept(self, store):
        @durable(store)
        def generator():
            yield 1
            return 2

        def outer():
            return (yield from generator())

        steps = outer()
        assert next(steps) == 1
        with pytest.raises(StopIteration) as end:
            next(steps)
        assert end.value.value == 2


class TestThreads:
    def test_bodies_run_one_at_a_time_and_counts_are_exact(self, store, read):
        @durable(store)
        def increment():
            counters = store.root["counters"]
            counters["n"] = counters.get("n", 0) + 1

        def many():
            for _ in range(25):
                increment()

        threads = [threading.Thread(target=many) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert read() == {"counters": {"n": 200}}

    def test_those_who_wait_for_the_disk_share_a_write(self, store, patches):
        """While one write takes its time, others come; all of them are the next one."""
        writing, go_on = threading.Event(), threading.Event()

        def slow(fdatasync):
            def wrapper(descriptor):
                writing.set()
                assert go_on.wait(10)
                fdatasync(descriptor)

            return wrapper

        assert store.root == {}
        patches.apply("os:fdatasync", slow, aliases="ignore")
        put = durable(store)(store.root["c"].__setitem__)
        threads = [threading.Thread(target=put, args=(str(n), n)) for n in range(10)]
        threads[0].start()
        assert writing.wait(10)
        for thread in threads[1:]:
            thread.start()
        while store.stats()["commits"] < 10:
            pass
        go_on.set()
        for thread in threads:
            thread.join(10)

        assert (store.stats()["batches"], store.stats()["waiting"]) == (2, 0)

    def test_who_only_reads_waits_for_what_it_read(self, store, patches):
        """Else somebody could be told what a crash takes away."""
        writing, go_on, told = threading.Event(), threading.Event(), []

        def slow(fdatasync):
            def wrapper(descriptor):
                writing.set()
                assert go_on.wait(10)
                fdatasync(descriptor)

            return wrapper

        assert store.root == {}
        patches.apply("os:fdatasync", slow, aliases="ignore")
        writer = threading.Thread(target=durable(store)(store.root["c"].__setitem__), args=("k", 1))
        writer.start()
        assert writing.wait(10)
        reads = [
            threading.Thread(
                target=lambda only=only: told.append(
                    durable(store, reads_only=only)(store.root["c"].get)("k")
                )
            )
            for only in (True, False)
        ]
        for thread in reads:
            thread.start()
        reads[0].join(0.05)
        early = [*told]
        go_on.set()
        for thread in [writer, *reads]:
            thread.join(10)

        assert (early, told) == ([], [1, 1])

    def test_all_who_wait_are_told_of_a_failed_write(self, store, patches):
        writing, go_on, told = threading.Event(), threading.Event(), []

        def failing(fdatasync):
            def wrapper(descriptor):
                writing.set()
                assert go_on.wait(10)
                raise OSError(5, "Input/output error")

            return wrapper

        def put(key):
            try:
                durable(store)(store.root["c"].__setitem__)(key, 1)
            except FailedError as error:
                told.append(error)

        assert store.root == {}
        patches.apply("os:fdatasync", failing, aliases="ignore")
        threads = [threading.Thread(target=put, args=(key,)) for key in "abc"]
        threads[0].start()
        assert writing.wait(10)
        for thread in threads[1:]:
            thread.start()
        while store.stats()["commits"] < 3:
            pass
        go_on.set()
        for thread in threads:
            thread.join(10)

        assert len(told) == 3

    def test_an_exception_in_one_thread_leaves_the_others_changes(self, store, read):
        barrier = threading.Barrier(2)

        def good():
            barrier.wait()
            for n in range(20):
                durable(store)(store.root["c"].__setitem__)("good", n)

        @durable(store)
        def bad():
            store.root["c"]["bad"] = 1
            raise PlannedError

        def fails():
            barrier.wait()
            for _ in range(20):
                with pytest.raises(PlannedError):
                    bad()

        threads = [threading.Thread(target=good), threading.Thread(target=fails)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert read() == {"c": {"good": 19}}


def test_asyncio_uses_it_by_to_thread(store, read):
    import asyncio

    @durable(store)
    def increment():
        store.root["c"]["n"] = store.root["c"].get("n", 0) + 1

    async def main():
        await asyncio.gather(*(asyncio.to_thread(increment) for _ in range(50)))

    asyncio.run(main())

    assert read() == {"c": {"n": 50}}


def test_what_imports_greenlet_within_a_transaction_stays_in_it(directory):
    from children import child

    printed = child(
        f"""
        from safepatch.store import Store
        store = Store({str(directory)!r}, every=0)
        store.root["c"]["k"] = 1
        try:
            with store.transaction():
                store.root["c"]["k"] = 2
                import greenlet
                store.root["c"]["l"] = 3
                with store.transaction():
                    store.root["c"]["k"] = 4
                raise LookupError
        except LookupError:
            print(store.root, store.root.open)
        with store.transaction():
            store.root["c"]["k"] = 5
        print(store.stats()["commits"], store.sync())
        """
    )

    assert printed.splitlines() == ["{'c': {'k': 1}} {}", "1 []"]


def test_where_greenlet_is_not_installed_threads_count_exactly(directory):
    from children import child

    printed = child(
        f"""
        import sys, threading
        sys.modules["greenlet"] = None
        from safepatch.store import Store, durable
        with Store({str(directory)!r}, every=0) as store:
            @durable(store)
            def increment():
                store.root["c"]["n"] = store.root["c"].get("n", 0) + 1
            threads = [threading.Thread(target=increment) for _ in range(20)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            print(store.root, store.root.open)
        """
    )

    assert printed == "{'c': {'n': 20}} {}"


def test_a_transaction_that_ends_after_the_store_was_closed_is_refused(directory):
    """And writes nothing: another program may have the files by then."""
    begun, closed, told = threading.Event(), threading.Event(), []
    store = Store(directory, every=0)

    def late():
        kept = store.opened()
        kept.begin(transaction := Transaction())
        store.root["c"]["k"] = 1
        begun.set()  # without the lock, as under gevent a body that yields keeps nobody out
        assert closed.wait(10)
        try:
            kept.commit(transaction)
        except ClosedError as error:
            told.append(error)

    thread = threading.Thread(target=late)
    thread.start()
    assert begun.wait(10)
    store.close()
    closed.set()
    thread.join(10)

    assert len(told) == 1
    with Store(directory, every=0) as again:
        assert again.root == {}


def test_what_a_generator_does_at_its_end_is_in_a_transaction_also_if_a_step_was_refused(store):
    open_then = []

    @durable(store)
    def steps():
        try:
            store.root["c"]["a"] = {1, 2}
            yield 1
        finally:
            open_then.append(store.stats()["open"])
            store.root["c"]["b"] = 1

    with pytest.raises(NotStorableError):
        next(steps())

    assert open_then == [1]
    assert store.root == {"c": {"b": 1}}
    assert store.sync() == []
