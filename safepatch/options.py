"""The keyword options that `apply`, `patch` and `register` share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict

from safepatch.errors import OptionError, nearest
from safepatch.guards import Guard

Target = str | tuple[Any, str] | Callable[..., Any]


class Options(TypedDict, total=False):
    """What each means is told in docs/reference.md."""

    name: str | None
    requires: str | Sequence[str]
    signature: str | None
    fingerprint: str | Sequence[str]
    guard: Guard | Sequence[Guard]
    on_mismatch: Literal["raise", "skip", "apply"]
    aliases: Literal["warn", "rebind", "ignore"] | None
    scope: Literal["process", "context"]
    only_from: str | None
    only_if: Callable[..., object] | None
    when: Literal["now", "import"]
    fail_open: bool | int


_DEFAULTS = Options(
    name=None,
    requires=(),
    signature=None,
    fingerprint=(),
    guard=(),
    on_mismatch="raise",
    aliases=None,  # depends on how it is applied, and to what
    scope="process",
    only_from=None,
    only_if=None,
    when="now",
    fail_open=False,
)
_CHOICES = {
    "on_mismatch": ("raise", "skip", "apply"),
    "aliases": ("warn", "rebind", "ignore", None),
    "scope": ("process", "context"),
    "when": ("now", "import"),
}


def checked(given: Options) -> Options:
    """All options, those that were not given with their defaults.

    Raises TypeError for one that there is not or that is of a wrong type, OptionError for one that
    has a wrong value.
    """
    for option, value in given.items():
        if option not in _DEFAULTS:
            hint, _ = nearest(option, option, _DEFAULTS, f"there are {', '.join(_DEFAULTS)}")
            raise TypeError(f"there is no option {option!r}; {hint}")
        allowed = _CHOICES.get(option)
        if allowed is not None and value not in allowed:
            choices = ", ".join(repr(choice) for choice in allowed if choice is not None)
            raise OptionError(f"{option}={value!r} is unknown; use one of {choices}", option=option)
    options: Any = {**_DEFAULTS, **given}
    for option in ("name", "only_from"):
        text = options[option]
        if text is not None and (not isinstance(text, str) or not text):
            raise TypeError(f"{option}={text!r} is no name; give a text that is not empty")
    condition = options["only_if"]
    if condition is not None and not callable(condition):
        raise TypeError(f"only_if={condition!r} cannot be called; give a callable to ask per call")
    if type(options["fail_open"]) not in (bool, int):
        raise TypeError(
            f"fail_open={options['fail_open']!r} is no number of failures; give True, or how many "
            "are taken before the patch steps aside"
        )
    if options["fail_open"] < 0:
        raise OptionError(
            f"fail_open={options['fail_open']} is below 0; give True or a number of failures",
            option="fail_open",
        )
    if options["scope"] == "context" and options["when"] == "import":
        raise OptionError(
            "scope='context' goes with when='now': an import has no context", option="scope"
        )
    checked_options: Options = options
    return checked_options
