"""What can go wrong, each error also the builtin a caller would already catch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def nearest(
    text: str, name: str, names: Iterable[str], otherwise: str
) -> tuple[str, tuple[str, ...]]:
    """A hint at the name that was probably meant, and `text` with that name in its place.

    Where no name is near, the hint is `otherwise` and there is no text.
    """
    import difflib

    near = difflib.get_close_matches(name, names, 1)
    if not near:
        return otherwise, ()
    before, _, after = text.rpartition(name)
    return f"did you mean {near[0]!r}?", (f"{before}{near[0]}{after}",)


class PatchError(Exception):
    """Base of every error raised by safepatch; the keyword arguments become attributes.

    Errors are raised before anything is changed.
    """

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.__dict__.update(facts)


class TargetError(PatchError, LookupError):
    """The target names nothing, or more than one thing.

    `.target` is what was asked; `.candidates` lists the string targets that would do, if any.
    """

    target: object = None
    candidates: tuple[str, ...] = ()


class GuardError(PatchError, RuntimeError):
    """A guard said no: `.target`, `.name` of the patch, and `.reasons`, one sentence a guard."""

    target: object = None
    name: str = ""
    reasons: tuple[str, ...] = ()


class UnsupportedTargetError(PatchError, TypeError):
    """The target, or what was to be put on it, is of a kind that cannot be patched safely.

    `.target` is what was asked, `.found` what stood there.
    """

    target: object = None
    found: object = None


class OptionError(PatchError, ValueError):
    """An option has a value that there is not, or that does not go with another: `.option`."""

    option: str = ""


class ConfigError(PatchError, ValueError):
    """What is configured is wrong, in one place or in several.

    `.problems` are pairs, of a key and what is wrong with it; `.key` is the first, as it is written
    in `.file`, which is None for what stands in no file.
    """

    file: Path | None = None
    key: str = ""
    problems: tuple[tuple[str, str], ...] = ()


class GuardWarning(UserWarning):
    """A guard said no and the patch was skipped, or applied all the same, as its owner asked."""


class AliasWarning(UserWarning):
    """Somebody holds the original under a name that the patch does not reach."""
