"""What failures have in common, found out without being told; pure functions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from safepatch.monitor.plan import Endpoint
from safepatch.monitor.statuses import Status
from safepatch.monitor.verdicts.places import Places, domain_of, network_of

SHARE = 0.8  # so many of those at an address must fail for it to be the cause
MANY = 5  # so many alerts at once for the same kind of error are one
_KNOWN = 0.1  # of a network so much must have been looked at since, or so many must fail:
_ENOUGH = 5
_AT_ONCE = 100  # failures that are looked at without a pause

T = TypeVar("T")

_NOWHERE = frozenset({"dns", "private", "silent", "internal"})  # errors that are of no address


class Cause(NamedTuple):
    """What failures have in common; ("", "") is nothing that is known.

    `kind` is "address", "service" (an address and a port), "network", "domain", "certificate" (its
    fingerprint), "issuer", "resolver" or "error".
    """

    kind: str
    value: str


NONE = Cause("", "")


class Failure(msgspec.Struct):
    """An endpoint that is down, or flapping; `at` is when it may be told of at the earliest."""

    endpoint: Endpoint
    type: str
    error: str
    message: str
    since: float
    at: float
    address: str = ""
    fingerprint: str = ""
    issuer: str = ""
    service: str = ""
    waited: int = 0  # how often it was put off, because what it depends on may be down

    @property
    def name(self) -> str:
        """The name of the endpoint."""
        return self.endpoint.name

    @property
    def network(self) -> str:
        """The network of its address, or ""."""
        return network_of(self.address)


class Group(NamedTuple):
    """Failures with one cause."""

    cause: Cause
    failures: list[Failure]


class Seen(NamedTuple):
    """How many of some place fail, and how many were found good since the failures began."""

    bad: int
    good: int
    known: int

    @property
    def explains(self) -> bool:
        """Whether it is the place that fails, rather than some that are there."""
        looked = self.bad + self.good
        if self.bad < 2 or self.bad < SHARE * looked:
            return False
        return looked >= _KNOWN * self.known or self.bad >= _ENOUGH


def paced(items: Iterable[T], pause: Callable[[], object]) -> Iterator[T]:
    """The same items, with a pause after so many that they may have taken a millisecond."""
    for number, item in enumerate(items, 1):
        yield item
        if not number % _AT_ONCE:
            pause()


def grouped(
    failures: Sequence[Failure],
    places: Places,
    statuses: Mapping[str, Status],
    pause: Callable[[], object] = lambda: None,
) -> list[Group]:
    """Failures by what they have in common, each in one group.

    In turn: the certificate or its issuer, the domain whose names cannot be resolved, the network
    or the address at which nearly all fail; of two that explain the same, the smaller place. Where
    others are well at an address, one of its ports. What remains is alone.
    """
    groups: list[Group] = []
    others = [failure for failure in failures if failure.error not in _EASY_ERRORS]
    rest = [failure for failure in failures if failure.error in _EASY_ERRORS]
    for kind, least, key in _EASY:
        found, rest = _by(rest, kind, least, key)
        groups += found
    found, rest = _by_place([*others, *rest], places, statuses, pause)
    return [*groups, *found, *(Group(NONE, [failure]) for failure in rest)]


def _fingerprint(failure: Failure) -> str:
    return failure.fingerprint if failure.error == "certificate" else ""


def _issuer(failure: Failure) -> str:
    return failure.issuer if failure.error == "certificate" else ""


def _domain(failure: Failure) -> str:
    return domain_of(failure.endpoint.address) if failure.error == "dns" else ""


_EASY_ERRORS = frozenset({"certificate", "dns"})
Key = Callable[[Failure], str]
# What does not depend on who else is fine: how many must share it, and what.
_EASY: list[tuple[str, int, Key]] = [
    ("certificate", 2, _fingerprint),
    ("issuer", 3, _issuer),
    ("domain", 2, _domain),
]


def _by(
    failures: list[Failure], kind: str, least: int, key: Key
) -> tuple[list[Group], list[Failure]]:
    """Those of which enough share a value, and the rest."""
    by_value: dict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        by_value[key(failure)].append(failure)
    rest, groups = by_value.pop("", []), []
    for value, some in by_value.items():
        if len(some) >= least:
            groups.append(Group(Cause(kind, value), some))
        else:
            rest += some
    return groups, rest


def _by_place(
    failures: list[Failure],
    places: Places,
    statuses: Mapping[str, Status],
    pause: Callable[[], object],
) -> tuple[list[Group], list[Failure]]:
    by_network: dict[str, list[Failure]] = defaultdict(list)
    for failure in paced(failures, pause):
        by_network["" if failure.error in _NOWHERE else failure.network].append(failure)
    rest, groups = by_network.pop("", []), []
    for network, some in paced(by_network.items(), pause):
        if len(some) == 1:
            rest += some
            continue
        found, alone = _in_network(network, some, places, statuses)
        groups += found
        rest += alone
    return groups, rest


def _in_network(
    network: str, failures: list[Failure], places: Places, statuses: Mapping[str, Status]
) -> tuple[list[Group], list[Failure]]:
    bad, since = {failure.name for failure in failures}, min(one.since for one in failures)
    all_, by_address = look(network, bad, since, places, statuses)
    found, rest = _by(failures, "address", 2, lambda failure: failure.address)
    explained = [group for group in found if by_address[group.cause.value].explains]
    # One address explains as much, and says more.
    if all_.explains and not (len(explained) == 1 and len(explained[0].failures) == len(failures)):
        return [Group(Cause("network", network), failures)], []
    rest += [failure for group in found if group not in explained for failure in group.failures]
    at_ports, rest = _by(rest, "service", 2, lambda failure: failure.service)
    if at_ports:
        _, by_service = look(network, bad, since, places, statuses, places.service)
        for group in at_ports:
            if by_service[group.cause.value].explains:
                explained.append(group)
            else:
                rest += group.failures
    return explained, rest


def look(
    network: str,
    bad: set[str],
    since: float,
    places: Places,
    statuses: Mapping[str, Status],
    place: Callable[[str], str] | None = None,
) -> tuple[Seen, dict[str, Seen]]:
    """How those in a network are, together and by address, or by another `place` of each.

    `bad` are those that fail for sure. Others fail if their last check did; they are good if they
    were found good after `since`; and of all the rest nothing is known. What has been down for
    longer than the others says nothing either.
    """
    place = place or places.addresses.__getitem__
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for name in places.near(network):
        count = counts[place(name)]
        count[2] += 1
        status = statuses.get(name)
        if name in bad:
            count[0] += 1
        elif status is None or status.state == "down":
            count[2] -= 1
        elif status.failing:
            count[0] += 1
        elif status.checked >= since:
            count[1] += 1
    by_place = {value: Seen(*count) for value, count in counts.items()}
    seen = by_place.values()
    together = Seen(*(sum(one[column] for one in seen) for column in range(3)))
    return together, defaultdict(lambda: Seen(0, 0, 0), by_place)


def merged(groups: Iterable[Group]) -> list[Group]:
    """The same groups, but those that are many for one kind of error made one."""
    by_error: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        by_error[_main_error(group.failures)].append(group)
    result: list[Group] = []
    for error, some in by_error.items():
        if len(some) < MANY:
            result += some
        else:
            failures = [failure for group in some for failure in group.failures]
            result.append(Group(_of_error(error, failures), failures))
    return result


def _main_error(failures: list[Failure]) -> str:
    return Counter(failure.error for failure in failures).most_common(1)[0][0]


def _of_error(error: str, failures: list[Failure]) -> Cause:
    resolvers = {failure.endpoint.options.resolver for failure in failures}
    if error == "dns" and len(resolvers) == 1 and "" not in resolvers:
        return Cause("resolver", resolvers.pop())
    return Cause("error", error)


def possible(failure: Failure) -> list[Cause]:
    """The causes that may be those of a failure, the most specific first."""
    if failure.error == "dns":
        found = [
            Cause("domain", _domain(failure)), Cause("resolver", failure.endpoint.options.resolver)
        ]  # fmt: skip
    elif failure.error == "certificate":
        found = [Cause("certificate", failure.fingerprint), Cause("issuer", failure.issuer)]
    else:
        found = []
    if failure.error not in _NOWHERE:
        found += [
            Cause("service", failure.service), Cause("address", failure.address),
            Cause("network", failure.network),
        ]  # fmt: skip
    return [cause for cause in [*found, Cause("error", failure.error)] if cause.value]


def failure_of(
    endpoint: Endpoint, status: Status, facts: Mapping[str, Any], type_: str, at: float, last: str
) -> Failure:
    """What is known of a failure; `last` is the address at which the endpoint was seen last."""
    certificate = facts.get("certificate")
    certificate = certificate if isinstance(certificate, dict) else {}
    return Failure(
        endpoint,
        type_,
        status.error or "flapping",
        status.message,
        status.turns[-1] if status.turns else status.since or at,
        at,
        str(facts.get("address") or last),
        str(certificate.get("fingerprint") or ""),
        str(certificate.get("issuer") or ""),
    )
