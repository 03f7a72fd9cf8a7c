"""Decorators that pyproject.toml names."""

from __future__ import annotations

from collections.abc import Callable

from safepatch.decorators import replace


def fixed(rate: float) -> Callable[[Callable[[str], float]], Callable[[str], float]]:
    """A rate that is the same for all currencies."""
    return replace(lambda currency: rate)
