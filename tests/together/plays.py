"""Playing a case: tools come to a place in one order, and go in another."""

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from chains import Chain
from helpers import spaces
from tools import Tool

import safepatch
from safepatch.sites import put, slot


def cases(lineups):
    """Each line-up with each order of going, as parameters with readable names."""
    for lineup in lineups:
        for order in itertools.permutations(range(len(lineup))):
            came, went = names(lineup), [names(lineup)[number] for number in order]
            yield pytest.param(lineup, order, id=f"{' '.join(came)}, undone {' '.join(went)}")


def names(lineup):
    """The tools' names, numbered where one comes twice."""
    return [
        f"{tool.name}-{lineup[: number + 1].count(tool)}" if lineup.count(tool) > 1 else tool.name
        for number, tool in enumerate(lineup)
    ]


def in_good_order(lineup, order):
    """Whether no other tool goes before what came after it; ours may go at any time."""
    gone = set()
    for number in order:
        later = {n for n in range(number + 1, len(lineup)) if not lineup[n].in_place}
        if not lineup[number].is_ours and not later <= gone:
            return False
        gone.add(number)
    return True


@dataclass(eq=False)
class Part:
    """What a tool has at the place."""

    tool: Tool
    mark: str
    undo: Callable[[], None]
    layer: Any
    live: bool = True

    @property
    def patch(self):
        """Ours, where it stands at the place's name."""
        return self.undo.__self__ if self.tool.is_ours and not self.tool.in_place else None


class Play:
    """A place, the tools that are at it, and the model of what they come to."""

    def __init__(self, place):
        self.place = place
        found = inspect.getattr_static(place.owner, place.name, None)
        place.function = getattr(found, "__func__", found)
        self.chain = Chain(is_function=inspect.isfunction(place.function))
        self.heard, self.parts = [], []
        self.raw, self.before = slot(place.owner, place.name), self.spaces()

    def spaces(self):
        """Which objects the namespaces hold; some that are not the same are equal."""
        found = spaces(*self.place.owners)
        return [{name: id(value) for name, value in space.items()} for space in found]

    def install(self, tool, mark):
        undo = tool.install(self.place, self.heard, mark)
        self.parts.append(Part(tool, mark, undo, self.chain.put(tool, mark)))

    def undo(self, number):
        part = self.parts[number]
        part.undo()
        part.live = False
        self.chain.take(part.tool, part.mark, part.layer)

    def call(self):
        self.heard.clear()
        assert self.place.call() == self.place.result
        return [*self.heard]

    def expected(self):
        """Whom a call is to meet, after what the tools have done to each other."""
        return self._in_order_of_notice(self.chain)

    def ideal(self):
        """Whom a call is to meet if nobody does anything to others: those who are live."""
        chain = Chain(is_function=self.chain.original.is_function)
        for part in self.parts:
            if part.live:
                chain.put(part.tool, part.mark)
        return self._in_order_of_notice(chain)

    def _in_order_of_notice(self, chain):
        late = [part.mark for part in self.parts if part.tool.heard_at_the_end]
        return sorted(chain.standing.heard(), key=late.__contains__)

    def superseded(self):
        """Our live parts that what stands there does not lead to."""
        return [
            part
            for part in self.parts
            if part.patch and part.live and not self.chain.standing.leads_to(part.layer)
        ]

    def said_to_be_superseded(self):
        return [part for part in self.parts if part.patch and part.patch.superseded]

    def apply_again(self, part):
        """Put one of ours on top, from where it was lost."""
        part.patch.apply()
        below, part.layer = part.layer, self.chain.put(part.tool, part.mark)
        below.patches.remove(part.mark)

    def look(self):
        """Ask us about the place, which removes what of ours was put back after our undo."""
        (site,) = safepatch.explain((self.place.owner, self.place.name)).to_dict()["sites"]
        self.chain.look()
        return site

    def clear(self):
        """Have everybody go, and put the original back by force."""
        for number in reversed(range(len(self.parts))):
            if self.parts[number].live:
                self.undo(number)
        if slot(self.place.owner, self.place.name) is not self.raw:
            put(self.place.owner, self.place.name, self.raw)
