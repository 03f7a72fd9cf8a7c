"""What is normal, learned from the first good checks and kept in a file that people may edit."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from safepatch.monitor.learning import files, profiles
from safepatch.monitor.learning.drifting import Drifts
from safepatch.monitor.learning.profiles import LEARN_FROM, Profile
from safepatch.monitor.learning.tables import HEAD, table
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.results import Result

logger = logging.getLogger("safepatch.monitor")

#: Seconds after which latencies that moved are worth to be written.
LATENCIES = 600.0
_SLICE = 50  # some 2 ms


class Learned:
    """What was learned of endpoints, by name; read from a file at the start.

    A file that cannot be read is set aside, and `problems` say what was wrong, pairs of a place and
    a sentence. Of one hub of gevent, in any of its greenlets.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = Path(path)
        self.problems: list[tuple[str, str]] = []
        self._clock = clock
        self._profiles: dict[str, Profile] = {}
        self._seconds: dict[str, list[float]] = {}  # of those that are being learned
        self._drifts = Drifts()
        self._saving = BoundedSemaphore(1)
        self._is_changed = False
        self._moved_since: float | None = None  # when the first latency moved that is not saved
        self._forgotten: set[str] = set()  # and still in the file
        self._look: files.Look = None
        self._load()

    # -- addresses that were found out

    def address(self, name: str, of: str = "") -> str | None:
        """The address that was found for an endpoint; None, if it was for another than `of`."""
        profile = self._profiles.get(name)
        if profile is None or (of and profile.of and profile.of != of):
            return None
        return profile.address or None

    def found(self, name: str, address: str, of: str = "") -> None:
        """Detection has found an address for an endpoint, for which `of` was written."""
        profile = self._profiles.setdefault(name, Profile(of=of))
        if profile.address != address:
            profile.address, profile.is_saved = address, False
            self._is_changed = True

    # -- what is normal

    def take(self, endpoint: Endpoint, result: Result) -> tuple[str, ...]:
        """Learn from a good check, or say in which way it is not as usual.

        A failure teaches nothing and is no change; a check with warnings of its own teaches
        nothing. A change is told from the second check in a row on, in the same words as long as
        it lasts; slowness from the fifth on. About 2 us, if nothing has changed.
        """
        name = endpoint.name
        if result.error or not endpoint.options.learn or endpoint.kind == "beat":
            return ()
        profile = self._profiles.get(name)
        if profile is None or not _is_of(profile, endpoint):
            profile = self._anew(endpoint)
        if profile.checks < LEARN_FROM:
            if not result.warnings:
                self._learn(name, profile, result)
            return ()
        seconds = result.phases.get("total", 0.0)
        is_slow = bool(profile.latency) and seconds > profiles.limit(profile)
        if not is_slow and name not in self._drifts and _is_as_before(profile, result.facts):
            self._follow(profile, seconds)
            return ()
        return self._compare(endpoint, profile, result, is_slow)

    def is_familiar(self, name: str, digest: str) -> bool:
        """Whether a page is the one that was seen last of an endpoint, when all was as usual."""
        profile = self._profiles.get(name)
        return profile is not None and profile.is_whole and profile.digest == hash(digest)

    def _anew(self, endpoint: Endpoint) -> Profile:
        self.relearn(endpoint.name)
        profile = self._profiles[endpoint.name] = Profile(of=endpoint.address)
        return profile

    def _learn(self, name: str, profile: Profile, result: Result) -> None:
        seconds = self._seconds.setdefault(name, [])
        seconds.append(result.phases.get("total", 0.0))
        profiles.learn(profile, result.facts, seconds)
        if profile.is_whole:
            del self._seconds[name]
            self._is_changed = True

    def _follow(self, profile: Profile, seconds: float) -> None:
        if profile.edited or not profile.latency:
            return
        profiles.follow(profile, seconds)
        if self._moved_since is None:
            self._moved_since = self._clock()

    def _compare(
        self, endpoint: Endpoint, profile: Profile, result: Result, is_slow: bool
    ) -> tuple[str, ...]:
        name, facts, seconds = endpoint.name, result.facts, result.phases.get("total", 0.0)
        if self.is_familiar(name, facts.get("digest", "")):  # it was not looked at closer
            facts = {"title": profile.title, "words": profile.words.split(), **facts}
        now = dict(profiles.changes(profile, facts, _said(endpoint.options)))
        if is_slow:
            now["latency"] = f"latency {seconds:.2g} s, usually {profile.latency:.2g} s"
        if not is_slow or self._drifts.is_told(name, "latency"):  # and so it is normal one day
            self._follow(profile, seconds)
        told, restless = self._drifts.take(name, now)
        for fact in restless if not profile.edited else ():
            profiles.forget(profile, fact)
            self._is_changed = True
        if name not in self._drifts:
            self._renew(profile, facts)
        return told

    def _renew(self, profile: Profile, facts: dict[str, Any]) -> None:
        """Note a body that is as usual, and a certificate that is newer."""
        digest = facts.get("digest")
        profile.digest = hash(digest) if digest else 0
        if profile.edited:
            return
        expires = int((facts.get("certificate") or {}).get("expires") or 0)
        is_newer = expires > profile.expires and "expires" not in profile.varies
        if is_newer:
            profile.expires = expires
        if profiles.settle(profile, facts) or is_newer:
            self._is_changed = True

    def facts(self, name: str) -> dict[str, Any]:
        """What was learned of an endpoint, as JSON values; {} while it is being learned."""
        profile = self._profiles.get(name)
        if profile is None or not profile.is_whole:
            return {}
        expires = profiles.day(profile.expires) if profile.expires else ""
        certificate = {"issuer": profile.issuer, "expires": expires}
        latency = {"median": profile.latency, "mad": profile.spread} if profile.latency else {}
        said = {
            "address": profile.address,
            "status": profile.status,
            "url": profile.url,
            "title": profile.title,
            "words": profile.words.split(),
            "size": [profile.low, profile.high] if profile.high else [],
            "certificate": {key: value for key, value in certificate.items() if value},
            "latency": latency,
            "varies": [*profile.varies],
            "edited": profile.edited,
        }
        return {key: value for key, value in said.items() if value}

    def relearn(self, name: str) -> None:
        """Forget an endpoint: what it is like now is normal, and its address is found out anew."""
        if self._profiles.pop(name, None):
            self._forgotten.add(name)
            self._is_changed = True
        self._seconds.pop(name, None)
        self._drifts.forget(name)

    def keep(self, names: Iterable[str]) -> None:
        """Forget all endpoints but those, and those of which a person has written."""
        kept = {*names}
        gone = [name for name, one in self._profiles.items() if not (one.edited or name in kept)]
        for name in gone:
            self.relearn(name)

    # -- the file

    def save(self) -> None:
        """Write the file, if there is something new; take over what a person has edited in it.

        Latencies alone are written every ten minutes. It is written beside, slice by slice in a
        thread of the hub's pool, and put into its place whole. Raises OSError.
        """
        with self._saving:
            look = files.look(self.path)
            if look != self._look:
                self._is_changed = True
                if look is not None:
                    self._take_edits()
            moved = self._moved_since
            if self._is_changed or (moved is not None and self._clock() - moved >= LATENCIES):
                self._is_changed, self._moved_since = False, None
                forgotten, self._forgotten = self._forgotten, set()
                try:
                    self._look = files.write(self.path, self._slices())
                except BaseException:
                    self._is_changed = True
                    self._forgotten |= forgotten
                    raise

    def _slices(self) -> Iterator[bytes]:
        """The file in pieces, between which others run."""
        names = [*self._profiles]
        yield HEAD.encode()
        for start in range(0, len(names), _SLICE):
            tables = []
            for name in names[start : start + _SLICE]:
                profile = self._profiles.get(name)
                if profile and (profile.is_whole or profile.address):
                    tables.append(table(name, profile))
                    profile.is_saved = True
            yield "".join(tables).encode()

    def _load(self) -> None:
        self._look = files.look(self.path)
        self._profiles = self._read(lambda: None) or {}

    def _read(self, pause: Callable[[], None]) -> dict[str, Profile] | None:
        """The file's profiles; None if there is no file, or none that can be read."""
        found, problems = files.read(self.path, pause)
        if problems:
            aside = files.set_aside(self.path)
            problems.append((str(self.path), f"as it was, it is now {str(aside)!r}"))
            self._is_changed = True
        for where, message in problems:
            logger.warning("%s: %s", where, message)
        self.problems = problems
        return found

    def _take_edits(self) -> None:
        """What a person has changed while we ran: tables without our mark, and those removed."""
        read = self._read(lambda: gevent.sleep(0))
        if read is None:
            return
        for name in [name for name, one in self._profiles.items() if one.is_saved]:
            if name not in read:
                self.relearn(name)
        for name, profile in read.items():
            ours = self._profiles.get(name)
            if name in self._forgotten:
                continue
            if profile.edited:
                self.relearn(name)
                self._profiles[name] = profile
            elif ours and ours.is_saved:
                ours.address = profile.address


def _is_of(profile: Profile, endpoint: Endpoint) -> bool:
    """Whether it was learned from what is at that address now."""
    if not profile.of:  # it was found before somebody said of what
        profile.of = endpoint.address
    return endpoint.address in (profile.of, profile.address)


def _is_as_before(profile: Profile, facts: dict[str, Any]) -> bool:
    """Whether all is so much as before that nothing need be compared."""
    certificate = facts.get("certificate")
    digest = facts.get("digest")
    return (
        (profile.digest == hash(digest) if digest else not profile.title and "title" not in facts)
        and (not profile.status or facts.get("status") == profile.status)
        and (not profile.url or facts.get("url") == profile.url)
        and (not certificate or certificate.get("expires") == profile.expires)
    )


def _said(options: Options) -> tuple[str, ...]:
    """The facts of which the user's own file says what they are to be."""
    is_content = options.contains or options.matches or options.json
    return (*(("status",) if options.status else ()), *(("words",) if is_content else ()))
