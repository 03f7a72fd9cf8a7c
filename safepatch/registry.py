"""Registry: patches by name, the applied ones in order, and the module's default registry."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable, MutableSequence
from operator import itemgetter
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, overload

from safepatch import callers, groups, offers, places, stacks, targets
from safepatch.errors import PatchError, TargetError, nearest
from safepatch.explain import Explanation, explain_all, explain_target
from safepatch.fingerprints import fingerprint_of
from safepatch.groups import Group
from safepatch.in_place import untouched
from safepatch.options import Options, Target
from safepatch.patches import IN_USE, Patch

P = ParamSpec("P")
R = TypeVar("R")
W = TypeVar("W")
#: What a name stands for: one patch, or several with the methods of one.
Handle = Patch[Any] | Group
Decorator = Callable[[Any], Any]
Named = str | tuple[Any, str]

_registries: weakref.WeakSet[Registry] = weakref.WeakSet()
_moments = itertools.count()

#: Whoever wants to know what is applied, or tried, puts a list or deque here: each gets every patch
#: that any registry notes.
diaries: list[MutableSequence[Patch[Any]]] = []


class Configuration(Protocol):
    """What a registry asks of where patches are configured."""

    def names(self) -> list[str]:
        """The names that are configured."""

    def register_configured(self, registry: Registry, name: str | None = None) -> list[str]:
        """Register what is configured, all or that of one name; the names that this added."""

    def tell_origin(self, error: BaseException, registry: Registry) -> None:
        """Have an error about the target of a configured patch say where that is written."""


class Registry:
    """A set of patches under names of its own; a context manager that undoes all of them.

    All registries patch the same sites and see each other's patches there. Methods may be called
    from any thread or greenlet.
    """

    def __init__(self) -> None:
        self._named: dict[str, Handle] = {}
        # Applied, pending, skipped or failed, each with its place in time: its latest apply.
        self._noted: dict[Handle, int] = {}
        self._offered: set[str] = set()  # the names that came from entry points
        self._configuration: Callable[[], Configuration] | None = None
        self.created_at = callers.where()
        with stacks.lock:
            _registries.add(self)

    def __repr__(self) -> str:
        if self is default:
            return "<the default Registry>"
        return f"<Registry made at {self.created_at}>"

    @overload
    def apply(self, name: str, /) -> Handle: ...
    @overload
    def apply(
        self, target: Named, decorator: Callable[[Any], W], /, **options: Unpack[Options]
    ) -> Patch[W]: ...
    @overload
    def apply(
        self,
        target: Callable[P, R],
        decorator: Callable[[Callable[P, R]], W],
        /,
        **options: Unpack[Options],
    ) -> Patch[W]: ...
    @overload
    def apply(
        self,
        target: Target,
        first: Decorator,
        second: Callable[[Any], W],
        /,
        **options: Unpack[Options],
    ) -> Patch[W]: ...
    @overload
    def apply(
        self,
        target: Target,
        first: Decorator,
        second: Decorator,
        third: Decorator,
        /,
        *more: Decorator,
        **options: Unpack[Options],
    ) -> Patch[Any]: ...
    def apply(self, target: Any, /, *decorators: Decorator, **options: Unpack[Options]) -> Any:
        """Apply decorators to a target at once, the last outermost; or a patch by its name.

        Returns the Patch, whose `undo()` takes it away. See `Patch.apply` for what is raised;
        nothing has changed then. Unknown names are looked for among the entry points of the
        group `safepatch.patches`; by the default registry, first in what is configured.
        """
        if isinstance(target, str) and not decorators and _is_name(target):
            if options:
                raise TypeError(f"{target!r} has its options already; say them in register()")
            return self._lookup(target).apply()
        patch: Patch[Any] = Patch(self, target, decorators, **options)
        patch.apply_from(patch.declared_at, "warn")
        return patch

    @overload
    def patch(
        self, target: Named, decorator: Callable[[Any], W], /, **options: Unpack[Options]
    ) -> Patch[W]: ...
    @overload
    def patch(
        self,
        target: Callable[P, R],
        decorator: Callable[[Callable[P, R]], W],
        /,
        **options: Unpack[Options],
    ) -> Patch[W]: ...
    @overload
    def patch(
        self,
        target: Target,
        first: Decorator,
        second: Callable[[Any], W],
        /,
        **options: Unpack[Options],
    ) -> Patch[W]: ...
    @overload
    def patch(
        self,
        target: Target,
        first: Decorator,
        second: Decorator,
        third: Decorator,
        /,
        *more: Decorator,
        **options: Unpack[Options],
    ) -> Patch[Any]: ...
    def patch(self, target: Any, /, *decorators: Decorator, **options: Unpack[Options]) -> Any:
        """Declare a patch, to be applied inside `with` or a decorated function, or by `apply()`."""
        return Patch(self, target, decorators, **options)

    def register(
        self, name: str, target: Any, /, *decorators: Decorator, **options: Unpack[Options]
    ) -> Handle:
        """Declare a patch under a name, or give a name to a declared patch, or to several.

        For a target written as text its default is `when="import"`. Raises PatchError if the name
        is taken, or if another registry has one of the patches.
        """
        wrong = wrong_name(name)
        if wrong is not None:
            raise PatchError(wrong, name=name)
        made: Any
        if _is_recipe(target, decorators):
            if decorators or options:
                raise TypeError(
                    f"{name!r}: a declared patch has its decorators and options already"
                )
            made = _declared(name, target)
        else:
            options.setdefault("when", "import" if isinstance(target, str) else "now")
            options["name"] = name
            made = Patch(self, target, decorators, **options)
        with stacks.lock:
            self._require_free(name)
            handle: Handle = made if isinstance(made, Patch) else self._adopt(name, made, target)
            self._named[name] = handle
            self._offered.discard(name)
        return handle

    def _require_free(self, name: str) -> None:
        taken = self._named.get(name)
        if name in self._offered and taken is not None and taken.state not in IN_USE:
            return  # nobody here has registered it; apply() found it among the entry points
        if taken is not None:
            raise PatchError(
                f"the name {name!r} is taken by the patch of {taken.text!r} registered at "
                f"{taken.declared_at}; choose another",
                name=name,
            )

    def _adopt(self, name: str, parts: list[Patch[Any]], recipe: Any) -> Handle:
        """Make declared patches this registry's own; call under the lock."""
        for part in parts:
            if part.state in IN_USE:
                raise PatchError(
                    f"cannot register {part!r}: it is {part.state} already; undo it first"
                )
            other, handle = part.registry, part.handle
            has_it: bool = other.named(handle.name) is handle
            if has_it:
                raise PatchError(
                    f"cannot register {part!r} as {name!r}: {other!r} has it under the name "
                    f"{handle.name!r}; declare another"
                )
        for part in parts:
            part.registry.forget(part)
            part.registry = self
        if isinstance(recipe, Patch):
            recipe.name = name
            return recipe
        group = Group(self, name, parts)
        for part in parts:
            part.handle = group
        return group

    def unregister(self, name: str, /) -> None:
        """Undo what is registered under a name, and free the name."""
        handle = self._named.get(name)
        if handle is None:
            raise self._unknown(name)
        handle.undo()
        with stacks.lock:
            if self._named.get(name) is handle:
                del self._named[name]

    def named(self, name: str) -> Handle | None:
        """What is registered under a name."""
        return self._named.get(name)

    def reads(self, configuration: Callable[[], Configuration]) -> None:
        """Have `apply_all`, and `apply` by a name, take in what is configured."""
        self._configuration = configuration

    def apply_all(self) -> list[Handle]:
        """Apply all that is registered: all guards are asked first, then all or nothing.

        The default registry first registers what is configured and enabled, or nothing if that
        goes wrong. Raises ConfigError for what is configured wrongly.
        """
        added = self._register_configured(None)
        try:
            patches = [patch for handle in list(self._named.values()) for patch in handle.parts]
            groups.apply_each(patches, "warn")
        except BaseException as error:
            if self._configuration is not None:
                self._configuration().tell_origin(error, self)
            for name in added:
                self.unregister(name)
            raise
        return self.live()

    def _register_configured(self, name: str | None) -> list[str]:
        if self._configuration is None:
            return []
        return self._configuration().register_configured(self, name)

    def undo(self, which: Any, /) -> None:
        """Undo by name, by Patch or by target (all patches of this registry there).

        Raises TargetError, naming the nearest name or the registry that owns it, if this registry
        knows nothing of it.
        """
        groups.undo_each(self._meant(which), f"undoing {which!r}")

    def undo_all(self) -> None:
        """Undo everything, last first; failures are raised together at the end."""
        groups.undo_each(reversed(self._in_order()), "undoing all patches")

    def live(self) -> list[Handle]:
        """The applied patches, oldest first."""
        return [handle for handle in self._in_order() if handle.state == "applied"]

    def explain(self, target: Any = None, /) -> Explanation:
        """Tell who patched a target, or without one, of every patch of every registry.

        `str()` of it is for people, `.to_dict()` for programs.
        """
        if target is None:
            return explain_all(all_registries())
        if isinstance(target, str) and _is_name(target):
            target = self._lookup(target)
        registries = all_registries()
        if isinstance(target, (Patch, Group)):
            return Explanation.join(
                explain_target(part.target, registries) for part in target.parts
            )
        return explain_target(target, registries)

    def fingerprint(self, target: Any, /) -> str:
        """Hash the source of a target's original: "sha256:...", the same on every Python."""
        aliases = "ignore" if targets.by_place(target) else "rebind"
        _, site = places.find(targets.resolve(target), aliases)
        return fingerprint_of(untouched(site.stack.original))

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *error: object) -> None:
        self.undo_all()

    def handles(self) -> list[Handle]:
        """What was applied here or tried, oldest first, then what is only named."""
        return list(dict.fromkeys([*self._in_order(), *self._named.values()]))

    def _in_order(self) -> list[Handle]:
        """What was noted, oldest first."""
        return [handle for handle, _ in sorted(self._noted.copy().items(), key=itemgetter(1))]

    def note(self, patch: Patch[Any]) -> None:
        """Remember that a patch of this registry is applied or waits, or why it is not."""
        with stacks.lock:
            handle = patch.handle
            if handle.state != "applied" or handle not in self._noted:
                self._noted[handle] = next(_moments)  # in one step, for whatever interrupts it
            for diary in diaries:
                diary.append(patch)

    def forget(self, patch: Patch[Any]) -> None:
        with stacks.lock:
            handle = patch.handle
            if handle.state not in IN_USE:
                self._noted.pop(handle, None)

    def _lookup(self, name: str) -> Handle:
        noted = [handle for handle in self._in_order() if handle.name == name]
        if name not in self._named and not noted and not self._register_configured(name):
            self._register_offered(name)
        if name in self._named:
            return self._named[name]
        if noted:
            return noted[-1]
        raise self._unknown(name)

    def _register_offered(self, name: str) -> None:
        recipe = offers.load(name)
        if recipe is not None:
            try:
                self.register(name, recipe)
                self._offered.add(name)
            except PatchError:
                if name not in self._named:  # else another thread was first
                    raise

    def _meant(self, which: Any) -> list[Handle]:
        if isinstance(which, (Patch, Group)):
            if which.registry is not self:
                raise TargetError(f"{which!r} belongs to {which.registry!r}", target=which)
            return [which]
        if isinstance(which, str) and _is_name(which):
            named = [handle for handle in reversed(self._in_order()) if handle.name == which]
            if named or which in self._named:
                return named or [self._named[which]]
            raise self._unknown(which)
        found = [handle for handle in reversed(self.handles()) if _is_at(handle, which)]
        if not found:
            raise self._unknown(which)
        return found

    def _unknown(self, which: Any) -> TargetError:
        offered = offers.names()
        configured = [] if self._configuration is None else self._configuration().names()
        names = [*(handle.name for handle in self.handles()), *configured, *sorted(offered)]
        text = str(which)
        advice = "see explain() for all there are; a target is written 'module:function'"
        if text in offered:
            names, advice = [], "a package offers it, and apply() was not called"
        hint, near = nearest(text, text, names, advice)
        others = [
            (handle.state, other)
            for other in all_registries()
            for handle in other.handles()
            if other is not self and _is_at(handle, which)
        ]
        for _, owner in sorted(others, key=lambda found: found[0] != "applied")[:1]:
            hint = f"it belongs to {owner!r}"
        return TargetError(f"no patch {which!r} in {self!r}; {hint}", target=which, candidates=near)


def all_registries() -> list[Registry]:
    """Every registry there is."""
    with stacks.lock:  # a set must not grow while it is walked along
        return list(_registries)


def wrong_name(name: str) -> str | None:
    """Why a patch cannot have a name: it looks like a target, or would not stay on its line."""
    if not name or not _is_name(name):
        return f"{name!r} is no name for a patch: leave out ':' and '.'"
    if not name.isprintable():
        return f"{name!r} is no name for a patch: leave out what does not print, such as line ends"
    return None


def _is_name(text: str) -> bool:
    return ":" not in text and "." not in text


def _is_recipe(target: Any, decorators: tuple[Decorator, ...]) -> bool:
    """Whether register() was given declared patches, rather than a target."""
    if isinstance(target, Patch):
        return True
    return not decorators and not isinstance(target, str) and isinstance(target, Iterable)


def _is_at(handle: Handle, which: Any) -> bool:
    """Whether a handle has a name, or patches a target."""
    return handle.name == which or any(places.is_at(part, which) for part in handle.parts)


def _declared(name: str, recipe: Patch[Any] | Iterable[Any]) -> list[Patch[Any]]:
    parts = [recipe] if isinstance(recipe, Patch) else list(recipe)
    for part in parts:
        if not isinstance(part, Patch):
            raise TypeError(f"{name!r}: {part!r} is no patch; make it with safepatch.patch()")
    return parts


default = Registry()
