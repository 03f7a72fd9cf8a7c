"""Counters over HTTP, kept in plain dicts: bottle, gevent and a store.

    python app.py [PORT]

`/inc` counts right, and a count that was answered is on disk. The other three make the mistake
that programs with greenlets make: they let others run between reading and writing. In a plain dict
that miscounts, `durable` refuses who comes in between, and `no_switch` does not let it happen.
"""

from gevent import monkey

monkey.patch_all()

import functools  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402

import bottle  # noqa: E402
import gevent  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from safepatch.store import ConflictError, Store, SwitchError, durable, no_switch  # noqa: E402

app = bottle.Bottle()
store = Store("state/")
plain = {"count": 0}


def errors_told(wrapped: Callable[[], str]) -> Callable[[], str]:
    """What the store raises, as an answer: 409 for who may try again, 500 for a mistake."""

    @functools.wraps(wrapped)
    def wrapper() -> str:
        try:
            return wrapped()
        except ConflictError as error:
            raise bottle.HTTPResponse(f"{error}\n", status=409) from error
        except SwitchError as error:
            raise bottle.HTTPResponse(f"{error}\n", status=500) from error

    return wrapper


@app.get("/inc")
@durable(store)
def inc() -> str:
    counts = store.root["counts"]
    counts["inc"] = count = counts.get("inc", 0) + 1
    return f"{count}\n"


@app.get("/plain")
def race_in_a_dict() -> str:
    count = plain["count"] + 1
    gevent.sleep(0)  # as any I/O does, lets others run
    plain["count"] = count
    return f"{count}\n"


@app.get("/conflict")
@errors_told
@durable(store)
def race_in_a_store() -> str:
    counts = store.root["counts"]
    count = counts.get("conflict", 0) + 1
    gevent.sleep(0)
    counts["conflict"] = count
    return f"{count}\n"


@app.get("/strict")
@errors_told
@durable(store)
@no_switch
def race_that_is_not_allowed() -> str:
    counts = store.root["counts"]
    count = counts.get("strict", 0) + 1
    gevent.sleep(0)
    counts["strict"] = count
    return f"{count}\n"


def main() -> None:
    port = int(sys.argv[1]) if sys.argv[1:] else 8080
    with store:
        server = WSGIServer(("127.0.0.1", port), app, log=None)
        server.start()
        print(f"http://127.0.0.1:{server.server_port}/inc", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
