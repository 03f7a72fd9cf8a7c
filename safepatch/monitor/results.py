"""What a check came to."""

from __future__ import annotations

from typing import Any

import msgspec

#: The kinds of failures, each with what it means.
ERRORS = {
    "dns": "its name cannot be resolved",
    "refused": "the connection is refused",
    "timeout": "no answer in time",
    "reset": "the connection ended too early",
    "unreachable": "there is no way to its address",
    "tls": "no TLS with it",
    "certificate": "its certificate is expired, not trusted, or for another name",
    "protocol": "what it answers cannot be understood",
    "status": "it answers with another status than expected",
    "content": "it answers with something else than expected",
    "private": "its address is private, and nobody has allowed that",
    "silent": "it did not report in time",
    "internal": "the monitor failed to check it",
}


class Result(msgspec.Struct, kw_only=True):
    """What one check of an endpoint came to.

    `at` is when it began, in seconds since 1970. `error` is one of ERRORS, or "" if all is well;
    `message` says it in a sentence, with what was asked and what was found. `phases` are seconds,
    in the order in which they passed ("dns", "connect", "tls", "first_byte"), and at last "total".
    `facts` are what was seen, as JSON values: "address", "status", "url", "title", "size" ...
    `warnings` are sentences on what is no reason to call it down.
    """

    name: str
    at: float
    error: str = ""
    message: str = ""
    phases: dict[str, float] = {}
    facts: dict[str, Any] = {}
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return not self.error

    @property
    def seconds(self) -> float:
        """How long the check took, in seconds; 0.0 where it took no time."""
        return self.phases.get("total", 0.0)

    def __str__(self) -> str:
        took = f" in {self.seconds * 1e3:.0f} ms" if "total" in self.phases else ""
        why = f": {self.message}" if self.message else ""
        return f"{self.name} is {'up' if self.ok else 'down'}{took}{why}"
