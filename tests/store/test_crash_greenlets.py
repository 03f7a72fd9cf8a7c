"""The crash harness beside gevent and asyncio."""

import pytest
from children import child

pytest.importorskip("gevent")


@pytest.mark.parametrize("first", ["gevent", "safepatch"])
def test_greenlets_and_threads_of_gevent_are_seen(first, tmp_path):
    imports = {
        "gevent": "import gevent.monkey; gevent.monkey.patch_all(); import safepatch.store.testing",
        "safepatch": "import safepatch.store.testing, gevent.monkey; gevent.monkey.patch_all()",
    }
    child(f"""
import os
{imports[first]}
import gevent
from safepatch.store.testing import record

file = os.open({str(tmp_path / "log")!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def append(number):
    for count in range(20):
        os.write(file, b"%d" % number)
        gevent.get_hub().threadpool.apply(os.fdatasync, (file,))
        trace.note(number)

with record({str(tmp_path)!r}) as trace:
    gevent.joinall([gevent.spawn(append, number) for number in range(4)], raise_error=True)

assert len([event for event in trace.events if "fdatasync" in event.text]) == 80
for state in trace.states():
    assert len(state.files["log"]) >= len(state.notes), str(state)
""")


def test_threads_of_asyncio_are_seen(tmp_path):
    child(f"""
import asyncio, os
from safepatch.store.testing import record

file = os.open({str(tmp_path / "log")!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

async def append(number):
    for count in range(20):
        os.write(file, b"%d" % number)
        await asyncio.to_thread(os.fdatasync, file)
        trace.note(number)

async def main():
    await asyncio.gather(*map(append, range(4)))

with record({str(tmp_path)!r}) as trace:
    asyncio.run(main())
for state in trace.states():
    assert len(state.files["log"]) >= len(state.notes), str(state)
""")
