"""How much memory something takes."""

import contextlib
import tracemalloc

_TABLE = 1 << 19  # bytes


@contextlib.contextmanager
def allocated(*files):
    """Gives a function: how many bytes are held that the monitor, or these files, have allocated in
    the block. What other threads of the process do meanwhile is not counted."""
    ours = [tracemalloc.Filter(True, name) for name in ("*/safepatch/monitor/*", *files)]

    def held():
        snapshot = tracemalloc.take_snapshot().filter_traces(ours)
        # Python's table of interned texts doubles now and then, whoever comes with the next one.
        return sum(trace.size for trace in snapshot.traces if trace.size < _TABLE)

    tracemalloc.start()
    try:
        yield held
    finally:
        tracemalloc.stop()
