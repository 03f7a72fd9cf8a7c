"""Run one row on one cache, in a process of its own: `run.py ROW SURROUNDINGS CACHE SECONDS TIMES`.

It prints what became of it. A process that hangs is ended by a signal, which nothing can hold up.
"""

import faulthandler
import os
import signal
import sys
import traceback


def surround(surroundings):
    import rows

    if surroundings == rows.EARLY:
        import gevent.monkey

        gevent.monkey.patch_all()
    rows.surroundings = surroundings


def without_patience():
    """Where ours would end a wait that is in vain after some seconds, let it hang instead."""
    from safepatch.decorators import flights

    if hasattr(flights, "PATIENCE"):
        flights.PATIENCE = 1e6


def verdict(check, cache):
    import rows

    try:
        check(cache)
    except rows.NotOffered:
        return "-"
    except rows.Trapped as trap:
        traceback.print_exc()
        return str(trap)
    except BaseException as error:
        traceback.print_exc()
        return type(error).__name__
    return "holds"


def main(name, surroundings, cache_name, seconds, times):
    surround(surroundings)
    import rows
    import subjects

    without_patience()
    row = rows.load()[name, surroundings]
    cache = subjects.subject(cache_name, row.control)
    found = "-"
    for _ in range(int(times)):
        # The time to start does not count, since a busy machine may take long for it.
        signal.setitimer(signal.ITIMER_REAL, float(seconds))
        faulthandler.dump_traceback_later(0.8 * float(seconds))
        found = verdict(row.check, cache)
        if found != "holds":
            break
    print(found, flush=True)
    # Not to wait for threads that hang.
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
