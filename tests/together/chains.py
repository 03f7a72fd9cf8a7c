"""What stands at a place where several tools have patched, if each of them keeps its own word.

A tool's word is what its undoing does, whoever else stands there:

- "takes itself out": its own wrapper, wherever it is, and nothing else. That is safepatch.
- "puts back what it saw" when it came. Those are mock, monkeypatch, and most code by hand.
- "puts back the first", which it saw when it was imported. That is freezegun.
- "takes off the outermost" wrapper, whosever it is. Those are ddtrace and OpenTelemetry.
"""

from dataclasses import dataclass, field
from typing import Any


class Original:
    """What stood there before everybody; patches in place change the function itself."""

    is_proxy, says_what_it_wraps, marked = False, False, frozenset()

    def __init__(self, is_function):
        self.is_function, self.in_place = is_function, []

    def taken_off(self):
        return self

    def heard(self):
        return self.in_place[::-1]

    def told(self):
        return self.in_place[::-1]

    def leads_to(self, layer):
        return self is layer


@dataclass(eq=False)
class Theirs:
    """Another tool's wrapper, or what stands in place of what it saw."""

    tool: Any
    mark: str
    below: Any
    is_inert: bool = False

    def __getattr__(self, name):
        return getattr(self.tool, name)

    @property
    def marked(self):
        """Whose wrappers its attributes tell of: a wrapper has those of what it wraps, too."""
        return {self.tool} | (self.below.marked if self.says_what_it_wraps else set())

    def taken_off(self):
        return self.below

    def heard(self):
        if self.is_inert:
            return []
        return [self.mark, *(self.below.heard() if self.calls_what_it_wraps else ())]

    def told(self):
        return [self.tool.told, *(self.below.told() if self.says_what_it_wraps else ())]

    def leads_to(self, layer):
        return self is layer or (self.says_what_it_wraps and self.below.leads_to(layer))


@dataclass(eq=False)
class Ours:
    """Our stack over what stood there, with a face that looks like that."""

    below: Any
    patches: list = field(default_factory=list)
    says_what_it_wraps = True

    @property
    def is_function(self):
        return self.below.is_function

    @property
    def is_proxy(self):
        return not self.is_function

    @property
    def marked(self):
        return self.below.marked

    def taken_off(self):
        """Without patches it steps aside."""
        aside = not self.patches and self.below.says_what_it_wraps
        return self.below.taken_off() if aside else self.below

    def heard(self):
        return [*reversed(self.patches), *self.below.heard()]

    def told(self):
        return [*reversed(self.patches), *self.below.told()]

    def leads_to(self, layer):
        return self is layer or self.below.leads_to(layer)


class Chain:
    """One place, and what stands there, from the outermost layer to the original."""

    def __init__(self, *, is_function):
        self.original = self.standing = Original(is_function)

    def put(self, tool, mark):
        """A tool comes; gives the layer that it is in."""
        if tool.in_place:
            self.original.in_place.append(mark)
            return self.original
        if not tool.is_ours:
            self.standing = Theirs(tool, mark, self.standing)
            return self.standing
        self.look()
        if not isinstance(self.standing, Ours):
            self.standing = Ours(self.standing)
        self.standing.patches.append(mark)
        return self.standing

    def take(self, tool, mark, layer):
        """A tool goes, and keeps its word."""
        if tool.in_place:
            layer.in_place.remove(mark)
        elif tool.is_ours:
            layer.patches.remove(mark)
            self.look()
        elif tool.undoing == "puts back what it saw":
            self.standing = layer.below
        elif tool.undoing == "puts back the first":
            self.standing = self.original
            layer.is_inert = True  # should somebody else put it back
        elif self.standing.says_what_it_wraps and tool.takes_off(self.standing):
            self.standing = self.standing.taken_off()

    def look(self):
        """What our next apply, undo or explain there does: faces without patches go."""
        while isinstance(self.standing, Ours) and not self.standing.patches:
            self.standing = self.standing.below
