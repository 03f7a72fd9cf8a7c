"""What brings an endpoint back: a webhook or a command, told what it is for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from safepatch.decorators import timeout
from safepatch.monitor.alerts import channels, commands
from safepatch.monitor.alerts.mailing import word
from safepatch.monitor.alerts.reaching import DeliveryError
from safepatch.monitor.plan import Endpoint, Restart
from safepatch.monitor.statuses import Status


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """What is told to a webhook or a command; `of` is how many restarts an hour may have."""

    id: str
    restart: str
    endpoint: str
    address: str
    attempt: int
    of: int
    since: float  # when it went down, in seconds since 1970
    error: str = ""
    message: str = ""
    incident: str = ""


def action(
    key: str, endpoint: Endpoint, restart: Restart, status: Status, since: float, attempt: int
) -> Action:
    return Action(
        id=key,
        restart=endpoint.options.restart,
        endpoint=endpoint.name,
        address=endpoint.address,
        attempt=attempt,
        of=restart.per_hour,
        since=since,
        error=status.error,
        message=status.message,
        incident=status.incident,
    )


def act(restart: Restart, what: Action) -> None:
    """Post to the webhook, or run the command. Raises DeliveryError."""
    within: Callable[[Restart, Action], Any] = timeout(seconds=restart.timeout)(_act)
    try:
        within(restart, what)
    except TimeoutError:
        raise DeliveryError(f"it took longer than {restart.timeout:g} seconds") from None


def _act(restart: Restart, what: Action) -> None:
    body = msgspec.json.encode(what)
    if restart.command:
        commands.run(restart.command, body, names(what))
    else:
        headers = {"Idempotency-Key": word(what.id), **restart.headers}
        channels.post(restart.url, body, headers, restart.timeout, private=restart.private)


def names(what: Action) -> dict[str, str]:
    """An action as environment variables: SAFEPATCH_ENDPOINT, SAFEPATCH_ATTEMPT ..."""
    fields = msgspec.structs.asdict(what)
    return {f"SAFEPATCH_{name.upper()}": str(value) for name, value in fields.items()}
