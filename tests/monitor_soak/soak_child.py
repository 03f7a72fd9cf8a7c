"""The monitor of the soak, in a process of its own: what it is told, and what it tells of itself.

`python soak_child.py SOURCE STATE SAMPLES` runs it as `safepatch monitor run` does, and writes a
line of JSON to SAMPLES each second.
"""

from gevent import monkey

monkey.patch_all()

import contextlib  # noqa: E402
import functools  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import pathlib  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402
import greenlet  # noqa: E402

from safepatch.monitor import checks  # noqa: E402
from safepatch.monitor import monitor as monitoring  # noqa: E402

_PAGE = os.sysconf("SC_PAGE_SIZE")
# So that what DNS says counts within a soak of two minutes, and for all names of a domain before
# the monitor has gathered who fails.
monitoring.Tools = functools.partial(monitoring.Tools, dns_ttl=1.5)


def check(endpoint, tools):
    """A real check, whose address then is one of the internet, 9.1.2.3 for 127.1.2.3: what is on
    loopback is not behind the line, and so no sign of its being cut."""
    result = checks.run(endpoint, tools)
    address = result.facts.get("address", "")
    if address.startswith("127."):
        result.facts = {**result.facts, "address": "9." + address.removeprefix("127.")}
    return result


def sample(monitor):
    statuses = monitor.statuses
    sizes = {"store": 0, "history": 0}
    for path in monitor.state.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file():
                which = "history" if "history" in str(path.relative_to(monitor.state)) else "store"
                sizes[which] += path.stat().st_size
    return {
        "at": time.time(),
        "rss": int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * _PAGE,
        "fds": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "greenlets": sum(isinstance(each, greenlet.greenlet) for each in gc.get_objects()),
        **sizes,
        **monitor.pace.figures(),
        "url": monitor.url,
        "blind": monitor.blind,
        "new": sum(status.state == "new" for status in statuses.values()),
        "down": {name: each.error for name, each in statuses.items() if each.state == "down"},
        "flapping": [name for name, each in statuses.items() if each.flapping],
        "stale": sum("last known" in " ".join(each.warnings) for each in statuses.values()),
    }


def sampled(monitor, file):
    with open(file, "a") as lines:
        while True:
            lines.write(json.dumps(sample(monitor)) + "\n")
            lines.flush()
            gevent.sleep(1)


def main(source, state, samples):
    monitor = monitoring.Monitor(source, state=state, check=check)
    monitor.run(lambda: gevent.spawn(sampled, monitor, samples))


if __name__ == "__main__":
    main(*sys.argv[1:])
