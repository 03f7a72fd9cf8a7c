"""Crashes of a store whose greenlets commit while a thread waits for the disk."""

import pathlib

import pytest
from children import child

pytest.importorskip("gevent")


def test_what_greenlets_commit_at_once_is_not_lost_by_a_crash():
    child(
        """
        import logging, gevent.monkey
        logging.disable(logging.WARNING)  # of what a crash cut off
        gevent.monkey.patch_all()
        import gevent
        from ledgers import COUNT, LIMIT, found, opened
        import safepatch
        from safepatch.decorators import fault
        from safepatch.store.testing import check_crashes

        def workload(directory, note):
            def work(number):
                for count in range(1, COUNT + 1):
                    with store.transaction():
                        store.root["counts"][str(number)] = count
                    note((number, count))

            with opened(directory) as store:
                gevent.joinall([gevent.spawn(work, each) for each in range(10)], raise_error=True)
                batches.append(store.stats()["batches"])

        def check(directory, notes):
            counts = found(directory).get("counts", {})
            for number, count in notes:
                assert counts.get(str(number), 0) >= count, (number, count, counts)

        batches = []
        assert check_crashes(workload, check, limit=LIMIT // 3) > 20
        assert batches[0] < 10 * COUNT  # several shared a write
        """,
        path=[pathlib.Path(__file__).parent],
    )
