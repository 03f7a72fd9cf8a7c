"""What else becomes of files: cut off, flipped bits, zeros, and garbage."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from random import Random

from safepatch.store.testing.traces import State
from safepatch.store.testing.trees import read_tree

#: Given a file's content, yields what became of it, each in words and in bytes.
Damage = Callable[[bytes], Iterator[tuple[str, bytes]]]


def cuts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The file ends at each byte, the first being 0."""
    for place in range(len(content)):
        yield f"cut at byte {place}", content[:place]


def flips(content: bytes) -> Iterator[tuple[str, bytes]]:
    """One bit of each byte is another, and all bits of each byte."""
    for place, byte in enumerate(content):
        for mask in (1 << place % 8, 0xFF):
            changed = bytes([byte ^ mask])
            told = f"byte {place} has become {changed[0]:#04x}"
            yield told, content[:place] + changed + content[place + 1 :]


def zeros(
    content: bytes, *, lengths: tuple[int, ...] = (1, 8, 64, 512)
) -> Iterator[tuple[str, bytes]]:
    """Zeros from each multiple of a length on, for as many bytes; where there were others."""
    for length in lengths:
        for place in range(0, len(content), length):
            end = min(place + length, len(content))
            changed = content[:place] + bytes(end - place) + content[end:]
            if changed != content:
                yield f"zeros from byte {place} to {end}", changed


def tails(content: bytes, *, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """More at the end: zeros, garbage, and the file's own beginning and end again."""
    random = Random(seed)  # noqa: S311
    for length in (1, 7, 16, 64, 512):
        yield f"{length} zeros at the end", content + bytes(length)
        yield f"{length} bytes of garbage at the end", content + random.randbytes(length)
        yield f"its first {length} bytes once more at the end", content + content[:length]
        yield f"its last {length} bytes once more at the end", content + content[-length:]


def damages(
    directory: str | os.PathLike[str],
    *kinds: Damage,
    chosen: Callable[[str], bool] = lambda name: True,
) -> Iterator[State]:
    """Yield what a directory becomes when one of its files is damaged, in each way there is.

    `kinds` are `cuts`, `flips`, `zeros` and `tails`, which is all of them if none is given, or
    functions of your own: given the content as bytes, they yield pairs of words and new content.
    `chosen` is given a path below the directory, and says whether that file is to be damaged.
    The directory itself is read once, when the first state is asked for, and stays as it is.
    """
    tree = read_tree(os.fspath(directory))
    for name, content in tree.items():
        if isinstance(content, bytes) and chosen(name):
            for kind in kinds or (cuts, flips, zeros, tails):
                for words, changed in kind(content):
                    told = f"{name!r}: {words}"
                    yield State({**tree, name: changed}, [], told.__str__)
