"""Several patches under one name and one handle: all are applied, or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from safepatch import callers, stacks
from safepatch.patches import IN_USE, Patch, State
from safepatch.running import patched_while_running

if TYPE_CHECKING:
    from safepatch.registry import Registry

F = TypeVar("F", bound=Callable[..., Any])


class Group:
    """Patches that belong together; a handle with the methods of one Patch."""

    def __init__(self, registry: Registry, name: str, parts: Sequence[Patch[Any]]) -> None:
        self.registry, self.name, self.parts = registry, name, tuple(parts)
        self.text = name
        self.declared_at = callers.where()

    @property
    def target(self) -> tuple[Any, ...]:
        return tuple(part.target for part in self.parts)

    @property
    def state(self) -> State:
        """The furthest that a part has got: applied, pending, failed, skipped, undone, declared."""
        states = {part.state for part in self.parts}
        order: tuple[State, ...] = ("applied", "pending", "failed", "skipped", "undone")
        return next((state for state in order if state in states), "declared")

    @property
    def reason(self) -> str | None:
        return "; ".join(part.reason for part in self.parts if part.reason) or None

    @property
    def wrapper(self) -> Any:
        """What the outermost decorator of the last part that has one returned."""
        having = [part for part in self.parts if part.wrappers]
        return (having or self.parts)[-1].wrapper

    @property
    def wrappers(self) -> tuple[Any, ...]:
        return tuple(wrapper for part in self.parts for wrapper in part.wrappers)

    @property
    def original(self) -> Callable[..., Any]:
        having = [part for part in self.parts if part.wrappers]
        return (having or self.parts)[-1].original

    @property
    def superseded(self) -> bool:
        return any(part.superseded for part in self.parts)

    @property
    def applied_from(self) -> str | None:
        return next((part.applied_from for part in self.parts if part.applied_from), None)

    def __repr__(self) -> str:
        return f"<Group {self.name!r} {self.state}>"

    def apply(self) -> Group:
        apply_each(self.parts, "warn")
        return self

    def undo(self) -> None:
        undo_each(reversed(self.parts), f"undoing {self.name!r}")

    def __enter__(self) -> Group:
        for part in self.parts:
            part.entered(1)
        try:
            applied = apply_each(self.parts, "ignore")
            for part in self.parts:
                if part not in applied:
                    part.see()
            return self
        except BaseException:
            for part in self.parts:
                part.entered(-1)
            raise

    def __exit__(self, *error: object) -> None:
        undo_each(reversed(self.parts), f"undoing {self.name!r}", Patch.__exit__)

    def __call__(self, function: F) -> F:
        return patched_while_running(self, function)


def apply_each(
    patches: Sequence[Patch[Any]], default_aliases: str, *, by_tool: bool = False
) -> list[Patch[Any]]:
    """Apply those that are not, and return them: all guards first, then all decorators; all, or
    none.

    Whoever asks for it has applied them, but for a tool of ours, whose line would tell nobody
    anything: then it is where they are declared.
    """
    where = None if by_tool else callers.where()
    before = {patch: (patch.state, patch.reason) for patch in patches}
    with stacks.lock:  # another thread may be in the middle of it
        stood = {patch: patch.live for patch in patches}
    entries: list[Any] = []
    try:
        planned = [
            (patch, stood[patch], patch.plan(default_aliases, where or patch.declared_at))
            for patch in patches
            if stood[patch] is None or patch.superseded
        ]
        ready = [
            (patch, live, patch.decorate(plan)) for patch, live, plan in planned if plan is not None
        ]
        entries += [plan.entry for _, _, plan in ready]
        return [patch for patch, live, plan in ready if patch.install(plan, live)]
    except BaseException:
        begun = [
            patch
            for patch in patches
            if before[patch][0] not in IN_USE
            and patch.state in IN_USE
            # What another thread applied meanwhile is not ours to take back.
            and ((live := patch.live) is None or live.entry in entries)
        ]
        try:
            undo_each(reversed(begun), "taking back a half-applied set")
        finally:
            for patch in begun:
                patch.state, patch.reason = before[patch]
        raise


def undo_each(
    patches: Any, doing: str, undo: Callable[[Any], object] = lambda handle: handle.undo()
) -> None:
    """Undo each in turn, going on past failures, which are raised together at the end."""
    errors: list[Exception] = []
    for patch in patches:
        try:
            undo(patch)
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{doing} failed for {len(errors)}, and was done for the rest", errors)
