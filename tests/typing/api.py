# mypy: disable-error-code="empty-body"
"""The public names as a user writes them; checked by type checkers, never run."""

from collections.abc import Callable
from typing import Any, TypeVar, assert_type

import safepatch

F = TypeVar("F")


class Spy:
    calls: int

    def __call__(self, host: str) -> int: ...


def spying(wrapped: Callable[..., Any]) -> Spy: ...


def same(wrapped: F) -> F: ...


class Client:
    def send(self, request: str) -> bytes: ...


def lookup(host: str) -> int: ...


def guard(original: Any) -> str | None: ...


assert_type(safepatch.apply("socket:getaddrinfo", spying), safepatch.Patch[Spy])
assert_type(safepatch.apply("socket:getaddrinfo", spying).wrapper.calls, int)
assert_type(safepatch.apply((Client, "send"), same, spying), safepatch.Patch[Spy])
assert_type(safepatch.apply(lookup, same).wrapper("host"), int)
assert_type(safepatch.apply(Client.send, same).wrapper(Client(), "request"), bytes)

patch = safepatch.patch(
    "socket:getaddrinfo",
    spying,
    name="dns",
    requires=["python>=3.11", "requests>=2"],
    signature="(host, port, family=0)",
    fingerprint="sha256:0",
    guard=guard,
    on_mismatch="skip",
    aliases="rebind",
    scope="process",
    only_from="requests",
    only_if=lambda host: bool(host),
    when="import",
    fail_open=True,
)
assert_type(safepatch.apply(lookup, spying, fail_open=2), safepatch.Patch[Spy])
assert_type(patch, safepatch.Patch[Spy])
with patch as entered:
    assert_type(entered.wrapper, Spy)


@safepatch.patch("time:sleep", same)
def test_it(value: int) -> str: ...


assert_type(test_it(1), str)


@safepatch.patch("time:sleep", same)
async def test_async(value: int) -> str: ...


@safepatch.patch("time:sleep", same)
class TestAll: ...


handle = safepatch.register("dns", "socket:getaddrinfo", spying, requires="python>=3.11")
safepatch.register("dns-twice", [patch, patch])
safepatch.apply("dns").undo()
handle.apply()
for live in [*safepatch.live(), *safepatch.apply_all()]:
    print(live.name, live.state, live.reason, live.superseded, live.applied_from)
safepatch.undo("dns")
safepatch.undo(handle)
safepatch.undo_all()
assert_type(str(safepatch.explain()), str)
assert_type(safepatch.explain("socket:getaddrinfo").to_dict(), dict[str, Any])
assert_type(safepatch.fingerprint(lookup), str)
with safepatch.Registry() as own:
    assert_type(own.apply(lookup, spying), safepatch.Patch[Spy])
