"""What is raised in place of calls that are not made."""

from __future__ import annotations


class CircuitOpenError(RuntimeError):
    """A call was refused because the calls before it failed; the function was not called.

    `name` is that of the function, `retry_after` the seconds until it may be called again.
    """

    def __init__(self, name: str, retry_after: float) -> None:
        super().__init__(name, retry_after)
        self.name, self.retry_after = name, retry_after

    def __str__(self) -> str:
        return (
            f"{self.name} was not called, since it kept failing; "
            f"try again in {self.retry_after:.3g} seconds"
        )


class RateLimitExceeded(RuntimeError):  # noqa: N818
    """A call was refused because there were too many; the function was not called.

    `name` is that of the limit, `retry_after` the seconds until a call would be let through.
    """

    def __init__(self, name: str, retry_after: float) -> None:
        super().__init__(name, retry_after)
        self.name, self.retry_after = name, retry_after

    def __str__(self) -> str:
        return (
            f"{self.name} was not called, since there were too many calls; "
            f"try again in {self.retry_after:.3g} seconds"
        )
