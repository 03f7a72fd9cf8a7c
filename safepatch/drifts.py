"""What changed under a patch since it was locked, in words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import NamedTuple

from safepatch.looks import Look


class Drift(NamedTuple):
    """One thing that is not as it was locked.

    `kind` is "version", "signature", "source", "gone", "new", "stale" or "until"; a `note` is no
    reason to fail.
    """

    target: str
    kind: str
    message: str
    patches: tuple[str, ...]
    note: bool = False
    locked: Look | None = None
    found: Look | None = None


def same_source(locked: Look, found: Look) -> bool:
    """Whether two sources say the same; comments, docstrings and layout do not count."""
    return found.source == locked.source or found.fingerprint == locked.fingerprint


def changes(target: str, locked: Look, found: Look) -> Iterator[tuple[str, str]]:
    """What differs, as (kind, message); the version only if nothing else does."""
    versions = _versions(locked, found)
    remark = f" ({versions})" if versions else ""
    differs = False
    if locked.signature != found.signature:
        differs = True
        words = "; ".join(signature_in_words(locked.signature, found.signature))
        yield "signature", f"the signature changed{remark}: {words}"
    if not same_source(locked, found):
        differs = True
        yield "source", _source_in_words(locked, found, remark, target)
    if versions and not differs:
        same = "its signature and source are the same"
        if found.source is None:
            same = "there is no source to compare"
        yield "version", f"the version changed ({versions}); {same}"


def _versions(locked: Look, found: Look) -> str:
    """The versions then and now; nothing if they are the same."""
    if locked[:2] == found[:2]:
        return ""
    before, now = _named(locked), _named(found)
    if locked.distribution == found.distribution:
        now = str(found.version)
    return f"{before} -> {now}"


def _named(look: Look) -> str:
    return f"{look.distribution} {look.version}" if look.distribution else "no distribution"


def label(target: str, look: Look) -> str:
    """A target with its version, as the head of a diff."""
    return f"{target} ({_named(look)})"


def _source_in_words(locked: Look, found: Look, remark: str, target: str) -> str:
    if found.source is None:
        return f"it has no Python source any more{remark}"
    if locked.source is None:
        return f"it has Python source now, and had none{remark}"
    return f"the source changed{remark}; {seen_with(target)}"


def seen_with(target: str) -> str:
    """The advice on a source that changed."""
    return f"see it with `safepatch diff {target}`"


def unified_diff(target: str, locked: Look, found: Look) -> list[str]:
    """The lines of a unified diff of the source, without line ends."""
    before, now = ((look.source or "").splitlines() for look in (locked, found))
    return [
        *difflib.unified_diff(before, now, label(target, locked), label(target, found), lineterm="")
    ]


def signature_in_words(
    before: tuple[str, ...] | None, now: tuple[str, ...] | None
) -> Iterator[str]:
    """How one list of parameters differs from another, a phrase for each difference."""
    if now is None or before is None:
        yield "it can be read no more" if now is None else f"it is ({', '.join(now)}), was unknown"
        return
    old, new = _parameters(before), _parameters(now)
    for name in old:
        if name not in new:
            yield f"parameter {name!r} is gone"
    for name, (kind, default) in new.items():
        if name not in old:
            yield _added(name, kind, default)
            continue
        was_kind, was = old[name]
        if kind != was_kind:
            yield f"{name!r} is {kind}, was {was_kind}"
        if default != was:
            yield _default_changed(name, was, default)
    yield from _moved(old, new)


def _parameters(signature: tuple[str, ...]) -> dict[str, tuple[str, str | None]]:
    """Each parameter's name (with its stars), kind and default."""
    kinds, kind = {}, "positional or keyword"
    if "/" in signature:
        kind = "positional-only"
    for text in signature:
        if text == "/":
            kind = "positional or keyword"
        elif text == "*":
            kind = "keyword-only"
        else:
            name, equals, default = text.partition("=")
            kinds[name] = (kind, default if equals else None)
            if name.startswith("*"):
                kind = "keyword-only"
    return kinds


def _added(name: str, kind: str, default: str | None) -> str:
    if default is None:
        required = "" if name.startswith("*") else f", {kind}, and required"
        return f"parameter {name!r} is new{required}"
    return f"parameter {name!r} is new, {kind}, by default {default}"


def _default_changed(name: str, before: str | None, now: str | None) -> str:
    if now is None:
        return f"{name!r} is required, and was {before} by default"
    if before is None:
        return f"{name!r} is {now} by default, and was required"
    return f"{name!r} is {now} by default, was {before}"


def _moved(
    old: dict[str, tuple[str, str | None]], new: dict[str, tuple[str, str | None]]
) -> Iterator[str]:
    """Of the parameters that both have, and that can be given by position."""

    def positional(one: dict[str, tuple[str, str | None]]) -> list[str]:
        both = [name for name in one if name in old and name in new]
        return [name for name in both if "keyword-only" not in (old[name][0], new[name][0])]

    before, now = positional(old), positional(new)
    if before != now:
        yield f"the order is {', '.join(now)}, was {', '.join(before)}"
