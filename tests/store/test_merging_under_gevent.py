"""Merging files in a process that gevent has patched."""

from children import child
from served import need

need("gevent", "msgspec")


def test_it_merges_while_greenlets_go_on(tmp_path):
    printed = child(f"""
        from gevent import monkey; monkey.patch_all()
        import gevent
        from safepatch.store import Store

        store, ticks = Store({str(tmp_path / "state")!r}), []
        def tick():
            while True:
                gevent.sleep(0.001)
                ticks.append(1)
        with store:
            for number in range(3):
                with store.transaction():
                    store.root["numbers"][str(number)] = number
            ticker = gevent.spawn(tick)
            store.compact()
            ticker.kill()
            stats = store.stats()
        print(len(ticks) > 5, stats["image_bytes"] > 0, stats["merging"])
    """)

    assert printed == "True True False"
