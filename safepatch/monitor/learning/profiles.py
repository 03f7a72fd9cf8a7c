"""What is normal for an endpoint: learned from good checks, and held against later ones.

Only what stays the same from check to check counts. Of titles and pages those are words, without
digits and without the names of days and months; what changes with each request is in neither.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

#: How many good checks a profile is made from.
LEARN_FROM = 5
#: The words of a page that are kept.
WORDS = 6
#: The facts that can be found to be no use, since they change.
FACTS = ("status", "url", "title", "words", "size", "issuer", "expires", "latency")

_WORD = re.compile(r"[^\W\d_]+")
_NAMES = """
    mon tue wed thu fri sat sun monday tuesday wednesday thursday friday saturday sunday
    jan feb mar apr may jun jul aug sep sept oct nov dec january february march april june july
    august september october november december am pm utc gmt
"""
_DATES = frozenset(_NAMES.split())
_DAY = 86400


class Profile(msgspec.Struct, gc=False):
    """What was learned of an endpoint, packed, for there are tens of thousands.

    `of` is the address as it was written, `address` the one that was found for it. `checks` are the
    good ones so far, up to LEARN_FROM, from which on it counts. Empty texts and 0 are what is not
    known; `size` is between `low` and `high`; `latency` and `spread` are median and MAD in seconds;
    `words` are split by blanks. `is_saved` ones are in the file; `edited` ones, which a person has
    changed there, learn no more. `digest` is that of the last body, which spares looking at it
    again.
    """

    of: str = ""
    address: str = ""
    checks: int = 0
    status: int = 0
    url: str = ""
    title: str = ""
    words: str = ""
    low: int = 0
    high: int = 0
    issuer: str = ""
    expires: int = 0
    latency: float = 0.0
    spread: float = 0.0
    digest: int = 0
    varies: tuple[str, ...] = ()
    edited: bool = False
    is_saved: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether enough checks were seen for it to count."""
        return self.checks >= LEARN_FROM


def learn(profile: Profile, facts: dict[str, Any], seconds: Sequence[float]) -> None:
    """Take in one more good check, the last of those that took so many `seconds`."""
    certificate = facts.get("certificate") or {}
    seen = {
        "status": int(facts.get("status") or 0),
        "url": without_query(facts.get("url") or ""),
        "title": facts.get("title") or "",
        "words": " ".join(facts.get("words") or ()),
        "issuer": issuer(certificate),
    }
    if profile.checks == 0:
        for key, value in seen.items():
            setattr(profile, key, value)
        profile.low = profile.high = facts.get("size", 0)
    else:
        _narrow(profile, seen)
        profile.low = min(profile.low, facts.get("size", 0))
        profile.high = max(profile.high, facts.get("size", 0))
    profile.expires = int(certificate.get("expires") or 0)
    profile.checks += 1
    if profile.is_whole:
        _finish(profile, seconds)


def _narrow(profile: Profile, seen: dict[str, Any]) -> None:
    """Leave of a profile what is so this time as well."""
    for key in ("status", "url", "issuer"):
        if getattr(profile, key) != seen[key]:
            forget(profile, key)
    if not is_like(profile.title, seen["title"]):
        forget(profile, "title")
    there = {*seen["words"].split()}
    profile.words = " ".join(word for word in profile.words.split() if word in there)


def _finish(profile: Profile, seconds: Sequence[float]) -> None:
    """Leave room for what may well be normal, and share texts with other profiles."""
    room = max((profile.high - profile.low) * 4, profile.high // 4, 512)
    if profile.high:
        # Not down to 0, for an empty page is worth a word.
        profile.low = max(profile.low - room, profile.low // 4, min(profile.low, 1))
        profile.high += room
    # The first ones, for a new word on a page pushes the last out of those that are looked at.
    profile.words = " ".join(profile.words.split()[:WORDS])
    share(profile)
    in_order = sorted(seconds)
    profile.latency = in_order[len(in_order) // 2]
    off = sorted(abs(one - profile.latency) for one in in_order)
    profile.spread = _room(off[len(off) // 2], profile.latency)


def share(profile: Profile) -> None:
    """Have the texts that others have as well in memory once."""
    for key in ("title", "words", "issuer", "url"):
        setattr(profile, key, sys.intern(getattr(profile, key)))


def _room(spread: float, latency: float) -> float:
    """A deviation that five alike checks do not make too small."""
    return max(spread, latency / 20, 0.002)


def forget(profile: Profile, fact: str) -> None:
    """A fact changes too often to go by."""
    if fact == "size":
        profile.low = profile.high = 0
    elif fact == "latency":
        profile.latency = profile.spread = 0.0
    else:
        setattr(profile, fact, type(getattr(profile, fact))())
    if fact not in profile.varies:
        profile.varies = (*profile.varies, fact)


def limit(profile: Profile) -> float:
    """From how many seconds on a check is slow."""
    return profile.latency + max(10 * profile.spread, profile.latency, 0.05)


def follow(profile: Profile, seconds: float) -> None:
    """Move median and MAD a little towards a check, by no more than a part of the MAD.

    As in "Frugal Streaming for Estimating Quantiles", Ma, Muthukrishnan and Sandler, 2013: a step
    up or down, whatever the distance, so that outliers do not count for more.
    """
    step = profile.spread / 16
    profile.latency += step if seconds > profile.latency else -step
    wider = abs(seconds - profile.latency) > profile.spread
    profile.spread = _room(profile.spread * (1.02 if wider else 0.98), profile.latency)


def settle(profile: Profile, facts: dict[str, Any]) -> bool:
    """Take in a page that is as usual: pages grow, and news takes the place of news.

    Words that are gone are no longer expected, and the range of sizes follows by a small part.
    Whether words were dropped.
    """
    if profile.high and (size := facts.get("size")):
        step = int((size - (profile.low + profile.high) / 2) / 64)
        profile.low, profile.high = max(profile.low + step, 1), profile.high + step
    known = profile.words.split()
    there = {*facts.get("words", ())}
    words = [word for word in known if word in there]
    if len(words) == len(known):
        return False
    profile.words = sys.intern(" ".join(words))
    if len(words) < 2:
        forget(profile, "words")
    return True


def changes(
    profile: Profile, facts: dict[str, Any], skip: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """The facts that are other than what was learned, each with what was and what is.

    `skip` are facts of which the user's own file says what is expected.
    """
    status = facts.get("status")
    if profile.status and status and status != profile.status and "status" not in skip:
        yield "status", f"status was {profile.status}, now {status}"
    url = without_query(facts.get("url") or "")
    if profile.url and url and url != profile.url:
        yield "url", f"final URL was {_quoted(profile.url)[1:-1]}, now {_quoted(url)[1:-1]}"
    title = facts.get("title") or ""
    if profile.title and not is_like(profile.title, title):
        yield "title", f"title was {_quoted(profile.title)}, now {_quoted(title)}"
    if profile.words and "words" not in skip:
        yield from _words(profile.words.split(), facts.get("words") or ())
    size = facts.get("size")
    if profile.high and size is not None and not profile.low <= size <= profile.high:
        yield "size", f"size {size:,} bytes outside {profile.low:,}..{profile.high:,}"
    if certificate := facts.get("certificate"):
        yield from _certificate(profile, certificate)


def _words(known: Sequence[str], seen: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Words are gone if more than half of them are."""
    there = {*seen}
    if 2 * sum(word not in there for word in known) > len(known):
        now = " ".join(seen[:WORDS])
        yield "words", f"words were {_quoted(' '.join(known))}, now {_quoted(now)}"


def _certificate(profile: Profile, certificate: dict[str, Any]) -> Iterator[tuple[str, str]]:
    now = issuer(certificate)
    if profile.issuer and now and now != profile.issuer:
        yield "issuer", f"certificate issuer was {_quoted(profile.issuer)}, now {_quoted(now)}"
    expires = certificate.get("expires") or 0
    if profile.expires and expires and expires < profile.expires - _DAY:
        was, is_now = day(profile.expires), day(expires)
        yield "expires", f"certificate expiry was {was}, now {is_now}: an older certificate is back"


def _quoted(text: str) -> str:
    """What a server says, cut short, and without what would steer a terminal."""
    if not text:
        return "nothing"
    short = text if len(text) <= 80 else f"{text[:77]}..."
    return "'" + "".join(sign if sign.isprintable() else "?" for sign in short) + "'"


def day(at: int) -> str:
    """The day of a time in seconds since 1970, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime(at))


def is_like(one: str, other: str) -> bool:
    """Whether two titles have at least half of their words in common."""
    if one == other:
        return True
    words, others = stable(one), stable(other)
    if not words:
        return not others and bool(one) == bool(other)
    return 2 * len(words & others) >= len(words | others)


def stable(text: str) -> set[str]:
    """The words of a text that are no dates or numbers."""
    return {*_WORD.findall(text.lower())} - _DATES


def without_query(url: str) -> str:
    """A URL without what may be another at each request."""
    return re.split("[?#;]", url, maxsplit=1)[0]


def issuer(certificate: dict[str, Any]) -> str:
    """Who issued a certificate: the organization, for its certificates are changed often.

    "R11 (Let's Encrypt)" is "Let's Encrypt".
    """
    said = str(certificate.get("issuer") or "")
    found = re.fullmatch(r".*\((.+)\)", said)
    return found[1] if found else said
