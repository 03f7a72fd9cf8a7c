"""Crashes of a store whose files the kernel syncs while greenlets go on."""

import pathlib
import textwrap

import pytest
from children import child
from served import need

need("gevent", "msgspec")

CRASHES = """
import logging, gevent.monkey
logging.disable(logging.WARNING)  # of what a crash cut off
gevent.monkey.patch_all()
import gevent, os
from ledgers import COUNT, LIMIT, found, opened
import safepatch
from safepatch.decorators import replace
from safepatch.store import FailedError, StoreError, syncing
from safepatch.store.testing import NotCrashSafe, check_crashes, check_faults

# The harness sees calls of os, so the kernel's part is one; what it says comes later, as it does.
def begin(here, descriptor, then):
    error = None
    try:
        os.fdatasync(descriptor)
    except OSError as found:
        error = found
    here.loop.run_callback(then, error)
    return True

safepatch.apply((syncing, "begin"), replace(begin), name="kernel")
safepatch.apply((syncing, "may_begin"), replace(lambda: True), name="not patched")

def workload(directory, note):
    def work(number):
        for count in range(1, COUNT + 1):
            try:
                with store.transaction():
                    store.root["counts"][str(number)] = count
            except FailedError:
                failed.add(number)
                return
            note((number, count))

    failed = set()
    try:
        with opened(directory) as store:
            with store.transaction():
                store.root["counts"]["first"] = 1
            gevent.joinall([gevent.spawn(work, each) for each in range(10)], raise_error=True)
            batches.append(store.stats()["batches"])
    finally:
        if failed:
            raise OSError("a call failed")

def check(directory, notes):
    counts = found(directory).get("counts", {})
    for number, count in notes:
        assert counts.get(str(number), 0) >= count, (number, count, counts)

batches = []
"""


def crashes(source):
    path = [pathlib.Path(__file__).parent]
    return child(CRASHES + textwrap.dedent(source), path=path, timeout=300)


def test_no_crash_loses_what_the_kernel_has_synced():
    crashes(
        """
        assert check_crashes(workload, check, limit=LIMIT // 3) > 20
        assert batches[0] < 10 * COUNT  # several shared a write
        """
    )


def test_no_call_that_fails_loses_what_the_kernel_has_synced():
    crashes(
        """
        raises = (StoreError, OSError)
        check_faults(workload, check, raises=raises, calls=("pwrite", "fdatasync"), limit=3)
        """
    )


@pytest.mark.parametrize(
    "mistake",
    [
        "safepatch.apply('os:fdatasync', replace(lambda descriptor: None), aliases='ignore')",
        "safepatch.apply((syncing, 'begin'), replace(lambda here, fd, then: not then(None)))",
    ],
    ids=["nothing is synced", "nothing is waited for"],
)
def test_a_mistake_in_it_is_found(mistake):
    crashes(
        f"""
        def wrong(directory, note):
            with {mistake}:
                workload(directory, note)
        try:
            check_crashes(wrong, check, limit=LIMIT)
        except NotCrashSafe:
            pass
        else:
            raise AssertionError("nothing was found")
        """
    )
