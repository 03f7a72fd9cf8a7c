"""What was done to a directory, in order, and what a crash would have left of it."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from safepatch.store.testing.disks import Disk, Name, Tree, subsets
from safepatch.store.testing.files import File, contents
from safepatch.store.testing.trees import write_tree


@dataclass
class Event:
    """One call as it was seen: what it does to a disk, and how people would write it.

    `is_barrier` where more is known to be safe after it, or more was promised.
    """

    text: str
    change: Callable[[Disk, int], object] | None = None
    is_barrier: bool = False
    notes: tuple[Any, ...] = ()


@dataclass
class State:
    """What a crash leaves: `files` by their paths, and the `notes` that were made before it.

    In `files` bytes are a file, text is where a symbolic link points, None is a directory.
    `str()` says where it crashed and what was lost.
    """

    files: Tree
    notes: list[Any] = field(default_factory=list)
    tell: Callable[[], str] = field(default=lambda: "a state", repr=False, compare=False)

    def write(self, directory: str | os.PathLike[str]) -> None:
        """Make a directory hold this and nothing else. It is made if it is not there."""
        write_tree(self.files, os.fspath(directory))

    def __str__(self) -> str:
        return self.tell()


class Trace:
    """The calls that changed what is in a directory, from all threads, in order.

    `str()` lists them.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.files: dict[int, bytes] = {}  # at the start, as are these two
        self.links: dict[int, str] = {}
        self.names: dict[Name, int] = {}

    def note(self, event: Any) -> None:
        """Put something of your own into the order, such as what you have just acknowledged."""
        # One append, so that it needs no lock.
        self.events.append(Event(f"note({event!r})", None, True, (event,)))

    def states(
        self, *, limit: int = 200, block: int = 512, seed: int = 0, seen: set[int] | None = None
    ) -> Iterator[State]:
        """Yield what crashes could leave, each state once with the same notes.

        Of every moment there are at most `limit` states: all that the model has, if it has no
        more, else the extreme ones and some by chance, the same for the same `seed`. `block` is
        the number of bytes that a disk writes as a whole. Give the same set as `seen` for several
        traces, and no state comes twice in all of them. Raises ValueError for less than one.
        """
        if limit < 1 or block < 1:
            raise ValueError(f"got limit={limit!r}, block={block!r}; give 1 or more")
        seen = set() if seen is None else seen
        known = told = 0  # stands for the notes, for they may be many and of any kind
        for disk, number, notes in self._moments(block):
            random = Random(f"{seed} {number}")  # noqa: S311
            newest = disk.tree(disk.with_steps(disk.unsafe_steps()), {})
            for note in notes[known:]:
                told = hash((told, repr(note)))
            known = len(notes)
            for tree in trees(disk, limit, random):
                key = hash((told, frozenset(tree.items())))
                if key not in seen:
                    seen.add(key)
                    yield State(tree, list(notes), _teller(self, number, tree, newest))

    def _moments(self, block: int) -> Iterator[tuple[Disk, int, list[Any]]]:
        """When to crash: whatever a crash leaves at other times, it may as well leave later."""
        disk, notes = self.disk(0, block), list[Any]()
        for number, event in enumerate(self.events):
            if event.is_barrier:
                yield disk, number, notes
            if event.change is not None:
                event.change(disk, number + 1)
            notes.extend(event.notes)
        yield disk, len(self.events), notes

    def disk(self, number: int | None = None, block: int = 512) -> Disk:
        """As it was after some of the events, or all."""
        disk = Disk(block)
        disk.files = {node: File(content, block) for node, content in self.files.items()}
        disk.links, disk.names = dict(self.links), dict(self.names)
        for done, event in enumerate(self.events[:number]):
            if event.change is not None:
                event.change(disk, done + 1)
        return disk

    def __str__(self) -> str:
        return "\n".join(f"{number:5}  {e.text}" for number, e in enumerate(self.events, 1))


def trees(disk: Disk, limit: int, random: Random) -> Iterator[Tree]:
    """What may be left of a disk: each choice of steps with each choice of contents."""
    nodes = [node for node, file in disk.files.items() if not file.is_synced()]
    choices: list[Sequence[Any]] = [subsets(disk, limit, random)]
    choices += [contents(disk.files[node], limit, random) for node in nodes]
    names: dict[frozenset[int], dict[Name, int]] = {}
    for steps, *chosen in _combinations(choices, limit, random):
        if steps not in names:
            names[steps] = disk.with_steps(steps)
        yield disk.tree(names[steps], dict(zip(nodes, chosen, strict=True)))


def _combinations(
    choices: list[Sequence[Any]], limit: int, random: Random
) -> Iterator[Sequence[Any]]:
    """All, if they are few. Else each choice beside all that is lost and all that is kept.

    The first of each is that all is lost, the second, if there is one, that nothing is.
    """
    if math.prod(map(len, choices)) <= limit:
        yield from itertools.product(*choices)
        return
    yield from itertools.islice(_sampled(choices, limit, random), limit)


def _sampled(choices: list[Sequence[Any]], limit: int, random: Random) -> Iterator[Sequence[Any]]:
    lost = [some[0] for some in choices]
    kept = [some[min(1, len(some) - 1)] for some in choices]
    yield lost
    yield kept
    # Half of the room is for combinations of any kind.
    alone = [
        (place, one, rest)
        for place, some in enumerate(choices)
        for one in some
        for rest in (lost, kept)
    ]
    if len(alone) > limit // 2:
        alone = random.sample(alone, limit // 2)
    for place, one, rest in alone:
        yield [*rest[:place], one, *rest[place + 1 :]]
    while True:
        yield [random.choice(some) for some in choices]


def _teller(trace: Trace, number: int, tree: Tree, newest: Tree) -> Callable[[], str]:
    def tell() -> str:
        last = f"after call {number}, {trace.events[number - 1].text}" if number else "at the start"
        lost = "; ".join(_differences(tree, newest)) or "nothing"
        return f"crash {last}; lost: {lost}"

    return tell


def _differences(tree: Tree, newest: Tree) -> Iterator[str]:
    for name in sorted({*tree, *newest}):
        found, wanted = tree.get(name, ...), newest.get(name, ...)
        if found is ...:
            yield f"{name!r} is not there"
        elif wanted is ...:
            yield f"{name!r} is still there"
        elif found != wanted and isinstance(found, bytes) and isinstance(wanted, bytes):
            same = len(os.path.commonprefix([found, wanted]))  # noqa: RUF071
            sizes = f"{len(found)} of {len(wanted)} bytes"
            yield f"{name!r} has {sizes}, and is as written up to byte {same}"
        elif found != wanted:
            yield f"{name!r} is another"
