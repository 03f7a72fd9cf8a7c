"""tenacity's strategies (Joshua Harlow and Julien Danjou, 2016), for `stop=` and `wait=` of retry.

tenacity is never imported here. Whoever has an object of its classes has imported it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from safepatch.decorators.attempts import Tries


def strategy(thing: Any) -> str | None:
    """Of what tenacity's strategy is one, "stop", "wait" or "retry"; None for all else."""
    for kind in ("stop", "wait", "retry"):
        base = getattr(sys.modules.get(f"tenacity.{kind}"), f"{kind}_base", None)
        if base is not None and isinstance(thing, base):
            return kind
    return None


def asked(thing: Callable[[Any], Any]) -> Callable[[Tries, Exception, float], Any]:
    """Make a function that asks a strategy about a call, as tenacity itself would."""

    def ask(tries: Tries, error: Exception, elapsed: float) -> Any:
        if tries.state is None:
            tries.state = _new_state(tries)
        state = tries.state
        state.attempt_number = tries.attempt
        state.idle_for = tries.slept
        state.upcoming_sleep = tries.upcoming
        state.set_exception((type(error), error, error.__traceback__))
        state.outcome_timestamp = tries.started + elapsed
        try:
            return thing(state)
        finally:
            # The error's traceback leads to the frame that holds the state.
            state.outcome = None

    return ask


def _new_state(tries: Tries) -> Any:
    tenacity: Any = sys.modules["tenacity"]
    state = tenacity.RetryCallState(tenacity.Retrying(reraise=True), *tries.call)
    state.start_time = tries.started
    return state
