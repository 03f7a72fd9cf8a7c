"""The options that the caches have in common, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from safepatch.decorators.entries import COPYING
from safepatch.decorators.keys import KeyFunction

Copy = Literal["auto", "deep", "no"]
Negative = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]


def check(
    *, maxsize: int | None, typed: bool, copy: str, key: KeyFunction | None, verify: float
) -> None:
    is_whole = isinstance(maxsize, int) and not isinstance(maxsize, bool)
    if maxsize is not None and not (is_whole and maxsize > 0):
        raise ValueError(
            f"got maxsize={maxsize!r}; give a whole number, 1 or more, or None for no limit"
        )
    if copy not in COPYING:
        raise ValueError(f"got copy={copy!r}; give one of {', '.join(map(repr, COPYING))}")
    if typed and key is not None:
        raise ValueError("got typed=True and a key; let the key function put the types in")
    check_share("verify", verify)


def check_share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"got {name}={share!r}; give a share, from 0 to 1")


def error_filter(negative: Negative | None) -> Callable[[Exception], bool] | None:
    """Make the function that says which errors are kept; raises TypeError early."""
    if negative is None:
        return None
    if callable(negative) and not isinstance(negative, type):
        return negative
    kinds = negative if isinstance(negative, tuple) else (negative,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(
                f"got negative={negative!r}; give classes of Exception, or a function of the error"
            )
    return lambda error: isinstance(error, kinds)
