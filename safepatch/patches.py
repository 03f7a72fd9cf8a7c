"""Patch: one decorator, or a few in order, at one site; declared, then applied, then undone."""

from __future__ import annotations

import contextlib
import copy
import sys
from _thread import get_ident
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar, Unpack

from safepatch import aliases as alias
from safepatch import (
    callers,
    events,
    fail_open,
    guards,
    imports,
    kill_switch,
    places,
    scopes,
    sites,
    stacks,
    targets,
    wrappers,
)
from safepatch.errors import AliasWarning, GuardError, GuardWarning, PatchError
from safepatch.in_place import InPlace, untouched
from safepatch.options import Options, Target, checked
from safepatch.running import patched_while_running
from safepatch.sites import Site

if TYPE_CHECKING:
    from safepatch.registry import Registry

W_co = TypeVar("W_co", covariant=True)
F = TypeVar("F", bound=Callable[..., Any])
State = Literal["declared", "pending", "applied", "undone", "skipped", "failed"]
#: The states in which there is something to undo.
IN_USE: tuple[State, ...] = ("applied", "pending")
#: What the first patch imports; other patches may wait for what that imports in turn.
_NEEDED = "safepatch.proxies"


class Plan(NamedTuple):
    """What was found out before anything changes, and then what stands until it is undone.

    `entry` and `made`, the wrappers, come from the decorators.
    """

    place: targets.Place
    site: Site | InPlace
    holders: list[alias.Holder]
    rebinds: bool
    moves: int
    entry: Any = None
    made: tuple[Any, ...] = ()
    token: object = None


class Patch(Generic[W_co]):
    """A patch and the handle for it; made by `safepatch.apply`, `patch` and `register`.

    Safe to apply and undo from any thread or greenlet. As a context manager it is applied inside;
    as a decorator, while the function runs (a generator: from its first value to its last).
    """

    def __init__(
        self,
        registry: Registry,
        target: Target,
        decorators: Sequence[Callable[..., Any]],
        **given: Unpack[Options],
    ) -> None:
        targets.check(target)
        self.text = targets.text_of(target)
        wrappers.check_decorators(self.text, target, decorators)
        options = checked(given)
        self.name = options["name"] or self.text
        self.decorators = tuple(decorators)
        self.declared_at = callers.where()
        self.registry = registry
        self._get_target: Callable[[], Any] = lambda: target
        self._guards, self._early = guards.collect(
            options["requires"], options["signature"], options["fingerprint"], options["guard"]
        )
        self._on_mismatch, self._aliases = options["on_mismatch"], options["aliases"]
        self.seen_by = options["scope"], options["only_from"], options["only_if"]
        self._in_context = options["scope"] == "context"
        after = options["fail_open"]
        if after:
            wrappers.check_observers(self.text, decorators)
        self.fail_open: int = fail_open.DEFAULT if after is True else after
        self._module = targets.module_of(target) if options["when"] == "import" else None
        # The error to raise, where a configuration names the decorators, for what one of them did.
        self.blame: Callable[[Any, Exception], Exception] | None = None
        self._begin()

    def _begin(self) -> None:
        self.handle: Any = self  # or the group it is registered in
        self.state: State = "declared"
        self.reason: str | None = None
        self.applied_from: str | None = None
        self._asked_from: str | None = None
        self.verdicts: list[tuple[str, str | None]] = []
        self.live: Plan | None = None  # what stands, while it is applied
        self._look_again: Callable[[], Any] | None = None
        self._superseded: Plan | None = None  # of which it was told
        self._wrappers: tuple[Any, ...] = ()
        self._original: Callable[[], Any] | None = None
        self._importer: int | None = None  # the thread in which the module is imported now
        self._entered = 0
        # Whether, when it was last applied, it reached those who hold the original elsewhere.
        self.reached_holders = False
        self.failures: fail_open.Failures | None = None  # of this apply or the latest

    def anew(self) -> Patch[W_co]:
        """The same patch declared once more, for another registry to apply."""
        made = copy.copy(self)
        made._begin()
        return made

    # What a user can ask.

    @property
    def parts(self) -> tuple[Patch[W_co], ...]:
        """Itself; a group of patches has several."""
        return (self,)

    @property
    def target(self) -> Any:
        """What was named; as text once it was undone and its owner is gone."""
        try:
            return self._get_target()
        except ReferenceError:
            return self.text

    @property
    def wrapper(self) -> W_co:
        """What the outermost decorator returned; raises PatchError before the first apply."""
        if not self._wrappers:
            raise PatchError(f"patch {self.name!r} has no wrapper: {self._why_not()}")
        wrapper: W_co = self._wrappers[-1]
        return wrapper

    @property
    def wrappers(self) -> tuple[Any, ...]:
        """What each decorator returned, innermost first."""
        return self._wrappers

    @property
    def original(self) -> Callable[..., Any]:
        """Calls what was there before every patch; raises PatchError before the first apply."""
        live = self.live
        if live is not None:
            return places.bare(live.site)  # type: ignore[no-any-return]
        if self._original is None:
            raise PatchError(f"patch {self.name!r} has no original: {self._why_not()}")
        return self._original()  # type: ignore[no-any-return]

    def _why_not(self) -> str:
        return (
            f"it is {self.state}: {self.reason}" if self.reason else f"it is {self.state}; apply it"
        )

    @property
    def superseded(self) -> bool:
        """Whether somebody put an object at the site that does not lead to this patch.

        Leading is seen by `__wrapped__`; a closure without it counts as not leading.
        """
        with stacks.lock:  # not in the middle of another thread's apply
            live = self.live
        if live is None or places.reaches(live.place, live.site):
            return False
        with stacks.lock:
            if self.live is not live:
                return False  # another thread has undone it meanwhile
            noticed, self._superseded = self._superseded is not live, live
        if noticed:
            events.tell(self, "superseded")
        return True

    @property
    def rebinds(self) -> bool:
        """Whether it is applied, and reaches those who hold the original elsewhere."""
        live = self.live
        return live is not None and live.rebinds

    def __repr__(self) -> str:
        return f"<Patch {self.name!r} {self.state}>"

    # Applying.

    def apply(self) -> Patch[W_co]:
        """Apply, or wait for the module to be imported; does nothing where that is done already.

        Where somebody replaced the site meanwhile (`.superseded`), installs it on top again.
        Raises GuardError, TargetError, UnsupportedTargetError or what a decorator raised, and
        has then changed nothing.
        """
        self.apply_from(callers.where(), "warn")
        return self

    def apply_from(self, where: str, default_aliases: str) -> bool:
        """Apply as somebody asked for at that line; whether it was this call that applied it."""
        with stacks.lock:  # another thread may be in the middle of it
            live = self.live
        if live is None or self.state == "undone" or self.superseded:
            plan = self.plan(default_aliases, where)
            if plan is not None:
                return self.install(self.decorate(plan), live)
        return False

    def plan(self, default_aliases: str = "warn", where: str | None = None) -> Plan | None:
        """Find the site and ask the guards. None if nothing is to be done: skipped or pending.

        `where` is the line that asked for it; an import that it waited for comes from elsewhere.
        """
        self._asked_from = where or self._asked_from
        disabled = kill_switch.disabled()
        if disabled and self._skipped(disabled, self._is_called):
            return None
        if self._module is not None and not imports.complete(self._module):
            self._heed_early()
            self._wait()
            if not imports.complete(self._module):
                return None
        target = self._get_target()
        aliases = self._aliases or (default_aliases if targets.by_place(target) else "rebind")
        place, site = places.find(targets.resolve(target), aliases)
        # Other spellings of the target are known by where they lead, now that it is imported.
        if disabled and self._skipped(disabled, lambda text: places.is_at(self, text)):
            return None
        if not self._guards_agree(site):
            return None
        held, moves = list[alias.Holder](), sites.moves
        if isinstance(site, Site) and aliases != "ignore":
            held, warning = alias.reached_by(aliases, site, self.name, target)
            if warning:
                self._warn(warning, AliasWarning)
        return Plan(place, site, held, aliases == "rebind", moves)

    def decorate(self, plan: Plan) -> Plan:
        """Call the decorators."""
        # Of this life: contexts that saw an earlier one do not see this.
        live = self.live  # read once: another thread may be undoing
        token = object() if live is None else live.token
        questions = scopes.questions(
            plan.site.stack.original, self.text, self.target, token, *self.seen_by
        )
        entry, made = wrappers.decorate(self, plan.site, self.decorators, questions)
        return Plan(*plan[:5], entry, made, token)

    def install(self, plan: Plan, instead_of: Plan | None = None) -> bool:
        """Put a patch that was planned and decorated on its stack, taking it off another.

        False if another thread was first.
        """
        while True:
            with stacks.lock:
                cancelled = self._importing and not imports.watched(self._module, self._imported)
                if self.live is not instead_of or cancelled:
                    return False
                before = self.state, self.reason
                try:
                    # Noted first, so that whatever interrupts this, undo() and undo_all() find it.
                    self.live = plan
                    self.registry.note(self)
                    seen_all = not plan.rebinds or plan.moves == sites.moves
                    if seen_all and plan.site.push(plan.entry):
                        self._applied(plan)
                        if instead_of is not None:
                            instead_of.site.remove(instead_of.entry)
                        break
                    self.live = instead_of
                    self.registry.forget(self)
                except BaseException:
                    plan.site.remove(plan.entry)
                    self.live = instead_of
                    self._set(*before)
                    self.registry.forget(self)
                    raise
            # Somebody changed the site, or moved its holders, since we looked; look again.
            plan = plan._replace(moves=sites.moves)
            place, site = places.find(plan.place, "rebind" if plan.rebinds else "ignore")
            plan = plan._replace(place=place, site=site)
            if plan.rebinds and isinstance(site, Site):
                plan = plan._replace(holders=alias.everywhere(site.stack.original, site)[0])
        if self._module is not None:
            self._wait()
            with stacks.lock:
                if self.live is None:  # undone meanwhile
                    imports.cancel(self._module, self._imported)
        events.tell(self, "applied")
        return True

    def _applied(self, plan: Plan) -> None:
        if isinstance(plan.site, Site):
            plan.site.rebind(plan.holders)
        self._wrappers = plan.made
        self._original = places.recall(plan.site)
        self.failures = plan.entry.failures
        self.reached_holders = plan.rebinds
        if self._in_context:
            scopes.show(plan.token)
        self.applied_from = self._asked_from
        self._set("applied", None)

    def _skipped(self, disabled: list[str], is_meant: Callable[[str], bool]) -> bool:
        name, target = self.name, self.text
        if self.handle is not self and not {"*", self.handle.name}.isdisjoint(disabled):
            # Said once for all of a group, as a recipe of eleven parts is.
            name, parts = self.handle.name, self.handle.parts
            target = parts[0].text + (f" and {len(parts) - 1} more" if len(parts) > 1 else "")
        skipped = kill_switch.disables(disabled, name, target, is_meant)
        if skipped:
            self._skip("SAFEPATCH_DISABLE names it")
        return skipped

    def _is_called(self, text: str) -> bool:
        mine = {name.replace(":", ".") for name in (self.text, self.name, self.handle.name)}
        return text.replace(":", ".") in mine

    def _guards_agree(self, site: Site | InPlace) -> bool:
        original = untouched(site.stack.original)
        self.verdicts = guards.reasons(self._guards, original)
        return self._heed([reason for _, reason in self.verdicts if reason is not None])

    def _heed(self, reasons: list[str]) -> bool:
        """Do about the guards' reasons as was asked; True to go on."""
        if not reasons:
            return True
        message = f"cannot patch {self.text!r}: {'; '.join(reasons)}"
        if self._on_mismatch == "raise":
            raise GuardError(message, target=self.target, name=self.name, reasons=tuple(reasons))
        if self._on_mismatch == "apply":
            self._warn(f"{message} (applied all the same)", GuardWarning)
            return True
        self._warn(f"{message} (skipped)", GuardWarning)
        self._skip("; ".join(reasons))
        return False

    def _skip(self, reason: str) -> None:
        if self._importing:
            self._give_up("skipped", reason)
        elif self.live is None:  # else it stays where it is
            self._set("skipped", reason)
            self.registry.note(self)
            events.tell(self, "skipped")

    # Waiting for an import.

    def _heed_early(self) -> None:
        """Say a version guard's no now, where it can be known: a late one cannot raise."""
        if self._on_mismatch == "raise" and self.live is None:
            self._heed([reason for guard in self._early if (reason := guard(None))])

    def _wait(self) -> None:
        assert self._module is not None
        to_come, new = not imports.complete(self._module), False
        self.registry.note(self)  # first, as in install()
        imports.watch(self._module, self._imported)
        with stacks.lock:
            if self.live is None and to_come and imports.watched(self._module, self._imported):
                new = self.state != "pending"
                self._set("pending", f"waits for {self._module} to be imported")
                self.registry.note(self)
        if new:
            events.tell(self, "pending")

    def _imported(self) -> None:
        """The module is there, or there again; whatever goes wrong, its import goes on."""
        if _NEEDED in sys.modules and not imports.complete(_NEEDED):
            imports.watch(_NEEDED, self._imported)  # it brings this module, and can be used then
            return
        imports.cancel(_NEEDED, self._imported)
        self._importer = get_ident()
        try:
            live, plan = self.live, self.plan()
            # After a reload a class is another one, and its methods with it.
            if plan is not None and (live is None or plan.site is not live.site):
                self.install(self.decorate(plan), live)
        except GuardError as error:
            self._give_up("skipped", "; ".join(error.reasons))
            self._warn(f"{error} (skipped)", GuardWarning)
        except Exception as error:
            self._give_up("failed", f"{type(error).__name__}: {error}")
            message = f"patch {self.name!r} failed when {self._module!r} was imported: {error!r}"
            self._warn(message, GuardWarning)
        finally:
            self._importer = None

    @property
    def _importing(self) -> bool:
        return self._importer == get_ident()

    def _give_up(self, state: State, reason: str) -> None:
        """Not to patch the module that was imported; nor what a reload has left of the old one."""
        with stacks.lock:
            if not imports.watched(self._module, self._imported):
                return  # it was undone meanwhile
            if self.live is not None:
                # A metaclass may refuse, but not the import; the entry is off the stack by then.
                with contextlib.suppress(Exception):
                    self.live.site.remove(self.live.entry)
                self.live = None
            self._set(state, reason)
            self.registry.note(self)
        events.tell(self, state)

    def _warn(self, message: str, category: type[Warning]) -> None:
        """Warn at the caller's line; in an import, which must go on, where it was declared."""
        if self._importing:
            callers.warn_at(self.declared_at, message, category)
        else:
            callers.warn(message, category)

    # Undoing.

    def undo(self) -> None:
        """Take the patch away, wherever it is in the stack; does nothing if it is not applied.

        With the last patch the site is as it was before. What others put there is left alone.
        """
        with stacks.lock:
            undone = self._undo()
        if undone:
            events.tell(self, "undone")

    def _undo(self) -> bool:
        """Undo, under the lock; whether there was anything to undo."""
        live = self.live
        if self._module is not None:
            imports.cancel(self._module, self._imported)
        if live is None and self._look_again is not None:
            self._look_again()
        # Each step can be done again: what interrupts one leaves the rest to the next undo.
        if live is not None:
            try:
                live.site.remove(live.entry)
            except Exception:  # a metaclass's, say, which the next undo_all() is not to meet again
                if live.entry not in live.site.stack.entries:  # inert, though still seen
                    self._set("undone", None)
                    self.registry.forget(self)
                raise
            self._look_again = places.look_again(live.place)
            if self._in_context:
                scopes.hide(live.token)
            self._get_target = targets.loosened(self._get_target())
        undoes = live is not None or self.state in IN_USE
        if undoes:
            self._set("undone", None)
        self.registry.forget(self)
        self.live = None
        return undoes

    def _set(self, state: State, reason: str | None) -> None:
        self.state, self.reason = state, reason

    # In tests.

    def __enter__(self) -> Patch[W_co]:
        self.entered(1)
        try:
            if not self.apply_from(callers.where(), "ignore"):
                self.see()
            return self
        except BaseException:
            self.entered(-1)
            raise

    def see(self) -> None:
        """Make visible in this context what was applied from another one, or around this block."""
        live = self.live
        if live is not None and self._in_context:
            scopes.show(live.token)

    def __exit__(self, *error: object) -> None:
        undone = False
        with stacks.lock:
            if self.live is not None and self._in_context:
                scopes.hide(self.live.token)
            if self.entered(-1) == 0:
                undone = self._undo()
        if undone:
            events.tell(self, "undone")

    def entered(self, more: int) -> int:
        """Count the blocks that have been entered and not left; the last one out undoes."""
        with stacks.lock:
            self._entered += more
            return self._entered

    def __call__(self, function: F) -> F:
        return patched_while_running(self, function)
