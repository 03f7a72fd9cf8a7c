"""What a retry decorator costs where nothing fails."""

from __future__ import annotations

from typing import Any

from benchmarks.decorators.measuring import (
    BY_HAND,
    Makers,
    Seconds,
    by_kind,
    try_except,
    try_except_async,
)
from safepatch.decorators import retry


def _tenacity() -> Any:
    import tenacity

    return tenacity.retry(
        retry=tenacity.retry_if_exception_type(ConnectionError),
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_exponential_jitter(),
        reraise=True,
    )


def _stamina() -> Any:
    import stamina

    return stamina.retry(on=ConnectionError, attempts=3)


def _backoff() -> Any:
    import backoff

    return backoff.on_exception(backoff.expo, ConnectionError, max_tries=3)


RETRIES: Makers = {
    BY_HAND: lambda: try_except,
    "safepatch retry": lambda: retry(on=ConnectionError, attempts=3),
    "backoff.on_exception": _backoff,
    "stamina.retry": _stamina,
    "tenacity.retry": _tenacity,
}


def retries(rounds: int) -> dict[str, Seconds]:
    return by_kind(RETRIES, {**RETRIES, BY_HAND: lambda: try_except_async}, rounds)
