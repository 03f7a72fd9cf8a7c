"""When a batch is handed to the disk under gevent."""

from children import child
from served import need

need("gevent", "msgspec")

PROGRAM = """
    from gevent import monkey; monkey.patch_all()
    import sys
    import gevent
    from gevent.monkey import get_original
    from safepatch.store import Store, durable

    store = Store({path!r}, every=0)

    @durable(store)
    def count():
        counts = store.root["counts"]
        counts["n"] = counts.get("n", 0) + 1
"""


def test_those_who_come_while_the_loop_is_busy_share_a_write(tmp_path):
    printed = child(
        PROGRAM.format(path=str(tmp_path / "state"))
        + """
    def come_after(turns):
        for _ in range(turns):
            gevent.sleep(0)  # as a request does that others come before
        get_original("time", "sleep")(0.0002)  # when another thread may run, and so could write
        count()

    sys.setswitchinterval(10)  # the loop may be busy for that long
    with store:
        count()
        before = store.stats()["batches"]
        gevent.joinall([gevent.spawn(come_after, turns) for turns in range(10)], raise_error=True)
        print(store.stats()["batches"] - before)
        """
    )

    assert printed == "1"


def test_a_loop_that_is_never_idle_keeps_nobody_waiting(tmp_path):
    printed = child(
        PROGRAM.format(path=str(tmp_path / "state"))
        + """
    def never_idle():
        while True:
            gevent.sleep(0)

    with store:
        busy = gevent.spawn(never_idle)
        with gevent.Timeout(10):
            count()
        busy.kill()
        print(store.stats()["commits"])
        """
    )

    assert printed == "1"
