"""The content of a file, and which contents a crash may leave instead."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")

#: A block's content, or a file's size, and the number of the call that made it so.
Block = tuple[int, bytes]
Size = tuple[int, int]


class File:
    """A file in memory that knows what of it is synced.

    `blocks` has, for each block changed since the last sync, its contents, oldest first, the first
    being the synced one; `sizes` the same of the size, in bytes. Blocks are padded with zeros.
    Not safe for several threads at once.
    """

    def __init__(self, content: bytes, block: int) -> None:
        self.content, self.block = bytearray(content), block
        self.blocks: dict[int, list[Block]] = {}
        self.sizes: list[Size] = [(0, len(content))]
        self.doubt = 0  # what was written up to this call, a later sync does not save

    def write(self, call: int, offset: int, data: bytes) -> None:
        if not data:
            return
        end = offset + len(data)
        touched = range(offset // self.block, (end - 1) // self.block + 1)
        self._keep(touched)
        if end > len(self.content) or (self.doubt and end == len(self.content)):
            self.content.extend(bytes(end - len(self.content)))
            self.sizes.append((call, end))
        self.content[offset:end] = data
        self._note(call, touched)

    def truncate(self, call: int, size: int) -> None:
        had = len(self.content)
        if size == had:
            return
        cut = range(size // self.block, (had - 1) // self.block + 1) if size < had else range(0)
        self._keep(cut)
        del self.content[size:]
        self.content.extend(bytes(size - len(self.content)))
        self.sizes.append((call, size))
        self._note(call, cut)

    def sync(self) -> None:
        """What was written is safe, but for what a sync failed to save and nobody wrote again."""
        self.blocks = {
            number: versions
            for number, versions in self.blocks.items()
            if versions[-1][0] <= self.doubt
        }
        if self.sizes[-1][0] > self.doubt:
            self.sizes = [(0, len(self.content))]

    def fail(self, call: int) -> None:
        """A sync failed: the system counts as written what may not be."""
        self.doubt = call

    def is_synced(self) -> bool:
        return not self.blocks and len(self.sizes) == 1

    def build(self, size: int, pick: Callable[[list[Block]], bytes]) -> bytes:
        """The content with a size, and of each block in doubt the version that is picked."""
        made = bytearray(self.content[:size])
        made.extend(bytes(size - len(made)))
        for number, versions in self.blocks.items():
            start, picked = number * self.block, pick(versions)  # of each, as `_mixed` counts them
            if start < size:
                made[start : start + self.block] = picked[: size - start]
        return bytes(made)

    def synced(self) -> bytes:
        return self.build(self.sizes[0][1], _oldest)

    def _at(self, number: int) -> bytes:
        start = number * self.block
        return bytes(self.content[start : start + self.block]).ljust(self.block, b"\0")

    def _keep(self, numbers: range) -> None:
        for number in numbers:
            if number not in self.blocks:
                self.blocks[number] = [(0, self._at(number))]

    def _note(self, call: int, numbers: range) -> None:
        for number in numbers:
            self.blocks[number].append((call, self._at(number)))


def contents(file: File, limit: int, random: Random) -> list[bytes]:
    """Contents that a crash may leave: as synced, as written, and up to `limit` in all.

    The first two are so also where they are the same, as of a file that was written and cut off.
    """
    newest = bytes(file.content)
    if file.is_synced():
        return [newest]
    found = [file.synced(), newest, file.build(len(newest), _oldest)]
    rest: dict[bytes, None] = {}
    for some in (_sizes, _prefixes, _cuts, _mixes):
        rest.update(dict.fromkeys(some(file, limit, random)))
    more = [content for content in rest if content not in found]
    return [*found, *_some(more, max(0, limit - len(found)), random)][:limit]


def _some(items: Sequence[T], limit: int, random: Random) -> Sequence[T]:
    return items if len(items) <= limit else random.sample(items, limit)


def _oldest(versions: list[Block]) -> bytes:
    return versions[0][1]


def _newest(versions: list[Block]) -> bytes:
    return versions[-1][1]


def _sizes(file: File, limit: int, random: Random) -> Iterator[bytes]:
    """Of each size it had, with no block written, and with all."""
    for _, size in _some(file.sizes, limit, random):
        yield file.build(size, _oldest)
        yield file.build(size, _newest)


def _prefixes(file: File, limit: int, random: Random) -> Iterator[bytes]:
    """As it was after each call."""
    calls = {call for versions in file.blocks.values() for call, _ in versions}
    calls.update(call for call, _ in file.sizes)
    for call in _some(sorted(calls), limit, random):
        size = [size for made, size in file.sizes if made <= call][-1]
        yield file.build(size, functools.partial(_until, call))


def _until(call: int, versions: list[Block]) -> bytes:
    return [block for made, block in versions if made <= call][-1]


def _cuts(file: File, limit: int, random: Random) -> Iterator[bytes]:
    """Written up to a byte: the file ends there, or goes on with what was there, or zeros."""
    old, new = file.synced(), bytes(file.content)
    first = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
    start = min(len(old), len(new)) if first is None else first
    for place in _places(range(start, len(new)), limit, random):
        if place >= len(old):
            yield new[:place]
        yield new[:place] + old[place:].ljust(len(new) - place, b"\0")


def _places(places: range, limit: int, random: Random) -> Sequence[int]:
    """All, if they are few, else the first and last, and some between."""
    if len(places) <= limit:
        return places
    return sorted({*places[:8], *places[-8:], *random.sample(places, limit)})


def _mixes(file: File, limit: int, random: Random) -> Iterator[bytes]:
    """Each block as it was after any call, or not written at all."""
    several = [*file.blocks.values()]
    sizes = [size for _, size in file.sizes]
    if math.prod(map(len, several)) * len(sizes) <= limit:
        for size in sizes:
            for chosen in itertools.product(*several):
                yield _mixed(file, size, chosen)
        return
    for number in range(len(several)):
        for old in (True, False):
            lonely = [some[0 if old == (i == number) else -1] for i, some in enumerate(several)]
            yield _mixed(file, sizes[-1], lonely)
    for _ in range(limit):
        yield _mixed(file, random.choice(sizes), [random.choice(some) for some in several])


def _mixed(file: File, size: int, chosen: list[Block] | tuple[Block, ...]) -> bytes:
    versions = iter(chosen)
    return file.build(size, lambda _: next(versions)[1])
