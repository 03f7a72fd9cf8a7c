"""Decorators that assume as little as possible about what they decorate; usable without patches."""

from safepatch.decorators.budgets import RetryBudget
from safepatch.decorators.caches import memoize, single_flight, ttl_cache
from safepatch.decorators.counts import CallStats, count_calls
from safepatch.decorators.engine import CacheInfo
from safepatch.decorators.logs import log_calls
from safepatch.decorators.replacing import replace
from safepatch.decorators.retries import retry

__all__ = [
    "CacheInfo",
    "CallStats",
    "RetryBudget",
    "count_calls",
    "log_calls",
    "memoize",
    "replace",
    "retry",
    "single_flight",
    "ttl_cache",
]
