"""Merge the newest image and the closed journals into a new image, in a process of its own.

The process that has the store open goes on meanwhile: only files that nobody writes any more are
read, and no memory is shared.
"""

from __future__ import annotations

import os
import sys
import time

from safepatch.store import directories
from safepatch.store.engines.journal.files import history, listed, walk
from safepatch.store.engines.journal.images import State, merge, put_image


def compact(directory: str, before: int, keep: float = 0.0) -> int:
    """Merge what is older than a batch; the sequence of the newest image there is then.

    Files that are not needed any more are removed when they are `keep` seconds old. Raises
    CorruptError, with nothing changed.
    """
    with directories.locked(directory, "compacting", wait=True):
        closed = history(directory, before)
        sequence, seconds = closed[0].first if closed else 0, 0.0
        if closed and closed[-1].kind == "journal":
            state: State = {}
            for after, batch in walk(closed):
                sequence, seconds = after, merge(state, batch)
            put_image(directory, sequence, state, seconds)
        else:
            # Who wrote the image may have been killed before it did this.
            directories.sync_directory(directory)
        remove_old(directory, keep)
        return sequence


def remove_old(directory: str, keep: float) -> None:
    """Remove what is older than the newest image that was made `keep` seconds ago, or before.

    So the state can be restored of each moment since then: an image stays as long as what goes on
    from it does.
    """
    made: list[int] = []
    for image in listed(directory, "image"):
        if keep and os.stat(image.path).st_mtime > time.time() - keep:
            break  # what came later is not older, whatever the clock was then
        made.append(image.first)
    old = [
        file.path
        for kind in ("journal", "image")
        for file in listed(directory, kind)
        if made and file.first < made[-1]
    ]
    directories.unlink(old, directory)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(10)  # who has the store open comes first
    compact(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
