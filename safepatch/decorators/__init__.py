"""Decorators that assume as little as possible about what they decorate; usable without patches."""

from safepatch.decorators.breakers import circuit_breaker
from safepatch.decorators.budgets import RetryBudget
from safepatch.decorators.counts import CallStats, count_calls
from safepatch.decorators.engine import CacheInfo
from safepatch.decorators.faults import FaultInfo, fault
from safepatch.decorators.logs import log_calls
from safepatch.decorators.memoizing import memoize
from safepatch.decorators.rates import rate_limit
from safepatch.decorators.refusing import CircuitOpenError, RateLimitExceeded
from safepatch.decorators.replacing import replace
from safepatch.decorators.retries import retry
from safepatch.decorators.single_flights import single_flight
from safepatch.decorators.timeouts import timeout
from safepatch.decorators.ttl_caches import ttl_cache

__all__ = [
    "CacheInfo",
    "CallStats",
    "CircuitOpenError",
    "FaultInfo",
    "RateLimitExceeded",
    "RetryBudget",
    "circuit_breaker",
    "count_calls",
    "fault",
    "log_calls",
    "memoize",
    "rate_limit",
    "replace",
    "retry",
    "single_flight",
    "timeout",
    "ttl_cache",
]
