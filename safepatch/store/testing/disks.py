"""A directory in memory: files, and the names that a crash may take back."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random

from safepatch.store.testing.files import File

#: What a directory holds, by paths below it: bytes are a file, text is where a symbolic link
#: points, and None is a directory. Directories come before what they hold.
Tree = dict[str, bytes | str | None]

#: A name in a directory, which is known by the number of its node.
Name = tuple[int, str]
ROOT = 0


@dataclass
class Step:
    """One change of names, which happens as a whole: a rename takes one away and gives another.

    `home` is the directory that must be synced for it to be safe; `needs` are those before it that
    must have happened.
    """

    names: dict[Name, int | None]
    home: int
    needs: list[Step]
    is_safe: bool = False


class Disk:
    """Nodes by number, the names that are safe, and the steps since. Of one thread."""

    def __init__(self, block: int) -> None:
        self.block = block
        self.files: dict[int, File] = {}
        self.links: dict[int, str] = {}  # all other nodes are directories
        self.names: dict[Name, int] = {}
        self.steps: list[Step] = []

    def change(self, home: int, names: dict[Name, int | None]) -> None:
        needs = [step for step in self.steps if not names.keys().isdisjoint(step.names)]
        self.steps.append(Step(names, home, needs))

    def sync(self, node: int) -> None:
        if node in self.files:
            self.files[node].sync()
            return
        for step in reversed(self.steps):
            if step.home == node or step.is_safe:
                step.is_safe = True
                for other in step.needs:
                    other.is_safe = True
        while self.steps and self.steps[0].is_safe:
            _apply(self.steps.pop(0), self.names)

    def sync_all(self) -> None:
        for file in self.files.values():
            file.sync()
        for step in self.steps:
            step.is_safe = True
            _apply(step, self.names)
        self.steps = []

    def unsafe_steps(self) -> list[int]:
        return [number for number, step in enumerate(self.steps) if not step.is_safe]

    def with_steps(self, chosen: Iterable[int]) -> dict[Name, int]:
        """The names, if of the steps that are not safe only these have happened."""
        names, happened = dict(self.names), {*chosen}
        for number, step in enumerate(self.steps):
            if step.is_safe or number in happened:
                _apply(step, names)
        return names

    def tree(self, names: Mapping[Name, int], contents: Mapping[int, bytes]) -> Tree:
        """What is found by walking from the root; `contents` of files that are not synced."""
        held: dict[int, list[tuple[str, int]]] = {}
        for (parent, name), node in sorted(names.items()):
            held.setdefault(parent, []).append((name, node))
        found: Tree = {}
        self._walk(ROOT, "", held, contents, found)
        return found

    def _walk(
        self,
        parent: int,
        prefix: str,
        held: Mapping[int, list[tuple[str, int]]],
        contents: Mapping[int, bytes],
        found: Tree,
    ) -> None:
        for name, node in held.get(parent, ()):
            if node in self.files:
                content = contents.get(node)
                found[prefix + name] = self.whole(node) if content is None else content
            elif node in self.links:
                found[prefix + name] = self.links[node]
            else:
                found[prefix + name] = None
                self._walk(node, f"{prefix}{name}{os.sep}", held, contents, found)

    def whole(self, node: int) -> bytes:
        return bytes(self.files[node].content)


def _apply(step: Step, names: dict[Name, int]) -> None:
    for name, node in step.names.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


def subsets(disk: Disk, limit: int, random: Random) -> list[frozenset[int]]:
    """Which steps may have happened: first none, then all, and up to `limit` in all."""
    unsafe = disk.unsafe_steps()
    numbers = {id(disk.steps[number]): number for number in unsafe}
    needs = {
        number: [numbers[id(other)] for other in disk.steps[number].needs if id(other) in numbers]
        for number in unsafe
    }
    found = dict.fromkeys([frozenset[int](), frozenset(unsafe)])
    chosen: Iterator[Iterable[int]]
    if 2 ** len(unsafe) <= limit:
        sizes = range(len(unsafe) + 1)
        chosen = itertools.chain.from_iterable(itertools.combinations(unsafe, n) for n in sizes)
    else:
        chosen = _some_subsets(unsafe, needs, limit, random)
    for some in chosen:
        found[_closed(some, needs)] = None
        if len(found) >= limit:
            break
    return [*found][:limit]


def _some_subsets(
    unsafe: list[int], needs: Mapping[int, list[int]], limit: int, random: Random
) -> Iterator[Iterable[int]]:
    """Each step alone, all but each, and all up to each; and combinations by chance."""
    extremes: list[list[int]] = []
    for number in unsafe:
        without = {number}
        for later in unsafe:
            if not without.isdisjoint(needs[later]):
                without.add(later)
        extremes.append([number])
        extremes.append([other for other in unsafe if other not in without])
        extremes.append([other for other in unsafe if other <= number])
    yield from random.sample(extremes, min(limit // 2, len(extremes)))
    for _ in range(limit):
        yield [number for number in unsafe if random.random() < 0.5]


def _closed(chosen: Iterable[int], needs: Mapping[int, list[int]]) -> frozenset[int]:
    """With what they need."""
    found: set[int] = set()
    left = [*chosen]
    while left:
        number = left.pop()
        if number not in found:
            found.add(number)
            left.extend(needs[number])
    return frozenset(found)
