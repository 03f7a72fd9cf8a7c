"""The monitor: what is watched, and all that watches it, in one object."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import gevent
import msgspec
from gevent.event import Event as Flag
from gevent.lock import RLock

from safepatch.monitor import checks, sources
from safepatch.monitor.alerts.alerting import Alerts
from safepatch.monitor.checks.beats import Beats
from safepatch.monitor.engine import afar, reloading, rounds, taking
from safepatch.monitor.engine.feed import Feed, Subscription
from safepatch.monitor.engine.keeping import MonitorError, Statuses, not_served, open_store
from safepatch.monitor.engine.pace import Pace
from safepatch.monitor.engine.pool import Pool
from safepatch.monitor.engine.schedule import Schedule
from safepatch.monitor.engine.stopping import signals
from safepatch.monitor.history.history import History
from safepatch.monitor.learning.learning import Learned
from safepatch.monitor.learning.warned import Warned
from safepatch.monitor.names.lookups import Lookups
from safepatch.monitor.plan import Endpoint, Plan
from safepatch.monitor.restarts.restarting import Restarts
from safepatch.monitor.results import Result
from safepatch.monitor.sources.watching import Watch
from safepatch.monitor.statuses import Status
from safepatch.monitor.tools import Tools
from safepatch.monitor.verdicts.blindness import Blindness
from safepatch.monitor.verdicts.incidents import Incidents
from safepatch.monitor.verdicts.places import Places

Source = str | os.PathLike[str] | Mapping[str, Any]


def _named(state: str | os.PathLike[str]) -> Path:
    """A state directory. Raises MonitorError for "", which would be wherever the program is."""
    if not os.fspath(state):
        raise MonitorError(
            "no state directory is named: `state` is ''; name one such as 'state', or leave it out",
            state="",
        )
    return Path(state)


class Monitor:
    """Watches what its sources say, until it is stopped.

    ::

        Monitor("sites.txt", state="state").run()

    `source` is a file of lines, a .toml file, an address, a mapping as such a file has it, or
    several of these. `state` is a directory, of which the monitor is the only user; after a
    restart, or after a kill, all is as it was. `settings` are keys of [monitor], such as `listen`,
    and win over those of the sources. With `quiet` nobody is alerted and nothing is restarted.
    `clock` is monotonic and `wall` since 1970, both in seconds; `check(endpoint, tools)`, which
    returns a Result, takes the place of what checks.

    Nothing is opened, read or checked before `start`; `with` starts and stops it. All is done by
    greenlets of the thread that `start` is called in, and everything here is to be called by
    greenlets of that thread; gevent need not have patched anything.
    """

    def __init__(
        self,
        source: Source | Sequence[Source],
        *,
        state: str | os.PathLike[str] = "state",
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        quiet: bool = False,
        check: Callable[[Endpoint, Tools], Result] | None = None,
        **settings: Any,
    ) -> None:
        is_one = isinstance(source, str | os.PathLike | Mapping)
        self.sources: list[Any] = [source] if is_one else list(cast(Sequence[Source], source))
        self.state = _named(state)
        self.clock, self.wall = clock, wall
        self.said, self.quiet = settings, quiet
        self.check = check or checks.run
        self.plan = Plan()
        self.statuses: dict[str, Status] = {}
        self.problems: list[tuple[str, str]] = []
        self.started = 0.0
        self.blind = ""
        self.deaf = ""  # why vantages tell too little
        self.pace = Pace(clock)
        self.feed = Feed()
        self._opened: contextlib.ExitStack | None = None
        self.reloading = RLock()  # held while sources are read and taken up
        self._stopping = Flag()
        self._failure: BaseException | None = None

    # -- running

    def start(self) -> None:
        """Read the sources, open the state, serve the pages, and begin to check; no change if it
        runs already.

        Returns at once; checks are made while the caller waits for something, by gevent. Raises
        PlanError for sources that are wrong, MonitorError for a state directory or a port that is
        taken and for pages that anybody could come in to, or nobody, and CorruptError of the store
        for damage; nothing is left open then.
        """
        if self._opened is not None:
            return
        self._failure = None
        with contextlib.ExitStack() as opened:
            self.watch = Watch(self.sources)  # before they are read, so that no change is missed
            self.plan = self.read()
            self._open(opened)
            self._opened = opened.pop_all()

    def _open(self, opened: contextlib.ExitStack) -> None:
        """Everything, from below; it is closed in reverse."""
        self.started = self.wall()
        taken = self._listen(opened)  # first: where that fails, no state is left behind
        self.store = open_store(self.state)
        opened.callback(self.store.close)
        root = self.store.root
        settings = self.plan.settings
        self.history = History(
            self.state / "history.db",
            keep_raw=settings.keep_raw,
            keep_rollups=settings.keep_rollups,
            clock=self.wall,
        )
        opened.callback(self.history.close)
        self.learned = Learned(self.state / "learned.toml")
        opened.callback(self.learned.save)
        self.tools = Tools(clock=self.clock, time=self.wall)
        opened.callback(self.tools.close)
        self.tools.familiar = self.learned.is_familiar
        self.beats = self.tools.beats = Beats(root)
        self.kept = Statuses(root)
        self.silences = root["silences"]
        self.places = Places(lambda name: self.endpoint(name).address)
        self.incidents = self._incidents()
        self.warned = Warned(root, lambda: self.plan, self.statuses)
        self.blindness = Blindness(root, lambda: self.plan, self.places)
        self.alerts = Alerts(self.store, lambda: self.plan, now=self.wall)
        self.down: set[str] = set()  # the names of all that is
        self.restarts = Restarts(
            self.store, lambda: self.plan, self.statuses,
            counts=lambda: (len(self.down), len(self.statuses)), blind=lambda: self.blind,
            tell=lambda events: taking.restarted(self, events), now=self.wall,
        )  # fmt: skip
        self.found: dict[str, Endpoint] = {}  # what detection made of endpoints without a kind
        self.lookups = Lookups(self.tools.resolving.look, lambda: self.plan.endpoints, self._dns)
        self.schedule = Schedule(origin=self.clock() - self.wall())
        self.pool = Pool(
            self.schedule, self._check, concurrency=settings.concurrency, pace=self.pace,
            clock=self.clock,
        )  # fmt: skip
        self.vantages = afar.vantages(self)  # None where this process makes the checks
        reloading.begin(self)
        self._serve(opened, taken)
        self.alerts.start()
        opened.callback(self.alerts.stop)
        self.restarts.start()
        opened.callback(self.restarts.stop)
        opened.callback(self.feed.close)
        rounds.tidy(self)
        opened.enter_context(rounds.running(self))
        self.pool.start()
        opened.callback(self.pool.stop)
        if self.vantages is not None:
            self.vantages.start()
            opened.callback(self.vantages.stop)

    def _incidents(self) -> Incidents:
        return Incidents(
            self.store.root, lambda: self.plan, self.statuses, self.places,
            muted=lambda endpoint, plan, now: taking.why_muted(self, endpoint, now),
        )  # fmt: skip

    def recall(self) -> None:
        """After a transaction was brought back: have incidents as they are in the store, as after a
        restart; what they had in mind besides is found again."""
        self.incidents = self._incidents()
        self.incidents.resume(self.wall())
        self.warned.resume(self.wall())

    def _listen(self, opened: contextlib.ExitStack) -> Any:
        """The socket of the pages, None where there are to be none."""
        listen = self.plan.settings.listen
        if not listen:
            return None
        from safepatch.monitor import web  # Flask takes its time

        try:
            taken = web.listening(self.plan.settings)
        except OSError as error:
            raise MonitorError(not_served(listen, error), listen=listen) from error
        except ValueError as error:  # no host and port, or one where anybody could come in
            message = f"cannot serve the pages: {error}"
            raise MonitorError(message, listen=listen) from error
        opened.callback(taken.close)
        return taken

    def _serve(self, opened: contextlib.ExitStack, taken: Any) -> None:
        if taken is not None:
            from safepatch.monitor import web

            self.server = web.serve(self, taken)
            opened.callback(self.server.stop, 1.0)

    def stop(self) -> None:
        """Begin no more checks, give those under way five seconds, write all that is known, and
        close everything. Idempotent; `start` may be called again."""
        self._stopping.set()
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def run(self, begun: Callable[[], object] = lambda: None) -> None:
        """Start, call `begun`, and go on until SIGTERM, SIGINT or `stop`; SIGHUP has the sources
        read again. Signals are heeded in the main thread only.

        Raises what `start` raises, and MonitorError where the state cannot be written any more;
        start the monitor again then, which is what systemd does.
        """
        if self._opened is None:
            self._stopping.clear()
        with signals(self._stopping.set, self.reload):
            try:
                self.start()
                begun()
                self._stopping.wait()
            finally:
                self.stop()
        if self._failure is not None:
            raise MonitorError(
                f"the state in {str(self.state)!r} cannot be written any more, so the monitor "
                f"stopped: {self._failure}; look at the disk, and start it again",
                state=str(self.state),
            ) from self._failure

    @property
    def url(self) -> str:
        """Where people find the pages of a monitor that runs, "" where there are none."""
        settings = self.plan.settings
        if not settings.listen or settings.url:
            return settings.url
        host = settings.listen.rpartition(":")[0]
        if host in ("", "0.0.0.0", "[::]"):  # noqa: S104
            host = socket.gethostname()
        return f"http://{host}:{self.server.server_port}/"

    @property
    def failed(self) -> bool:
        """Whether it ended because its state could not be written, and not because of sources, a
        directory or a port: what supervisors are to start again."""
        return self._failure is not None

    def fail(self, error: BaseException) -> None:
        """Have `run` end, because nothing can be promised any more."""
        self._failure = self._failure or error
        self._stopping.set()

    def __enter__(self) -> Monitor:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    # -- what is watched

    def read(self) -> Plan:
        """The plan, from the sources as they are now. Raises PlanError."""
        plan = sources.read(self.sources, settings=self.said, pause=lambda: gevent.sleep(0))
        return msgspec.structs.replace(plan, channels={}, restarts={}) if self.quiet else plan

    def reload(self) -> bool:
        """Read the sources again; False if they are wrong, which `problems` tells, and then all
        goes on as before. What stays keeps its state. Files that change are read again anyhow."""
        return self._opened is None or reloading.reload(self)

    def endpoint(self, name: str) -> Endpoint:
        """What is said of an endpoint, with the address that was found for it, where none of a
        kind was written. Raises KeyError."""
        return self.found.get(name) or self.plan.endpoints[name]

    # -- checks

    def _check(self, name: str) -> tuple[float, float | None]:
        """What the pool does when an endpoint is due."""
        endpoint = self.plan.endpoints.get(name)
        if endpoint is None:  # it was removed
            return 60.0, None
        result = taking.checked(self, endpoint)
        endpoint = self.plan.endpoints.get(name)  # which may be another one now
        if endpoint is None:
            return 60.0, None
        return self.take(endpoint, result)

    def take(self, endpoint: Endpoint, result: Result) -> tuple[float, float | None]:
        """Take the result of a check; the endpoint's interval, and when to look again before."""
        return taking.take(self, endpoint, result)

    def _dns(self, host: str, message: str) -> None:
        taking.looked_up(self, host, message)

    # -- what pages and people do

    def beat(self, key: str, name: str, ok: bool = True, message: str = "") -> bool:
        """A job reports, well or not; False if the key is wrong, or no heartbeat has that name.

        It is on disk when this returns. `message` is cut to 500 characters.
        """
        endpoint = self.plan.endpoints.get(name)
        if endpoint is None or endpoint.kind != "beat":
            return False
        with self.store.transaction():
            known = self.beats.arrived(key, name, self.wall(), ok, message)
        return known and self.recheck(name)

    def beat_url(self, name: str) -> str:
        """Where the heartbeat of that name reports to; the key is in it, so it is a secret. Where
        no pages are served it is only the path, "/beat/KEY/NAME"."""
        with self.store.transaction():
            key = self.beats.key
        return f"{self.url.rstrip('/')}/beat/{key}/{quote(name)}"

    def recheck(self, name: str) -> bool:
        """Have an endpoint checked now, without waiting for that; False if there is none."""
        endpoint = self.plan.endpoints.get(name)
        if self.vantages is not None and endpoint is not None and afar.is_afar(self, endpoint):
            self.vantages.check(name)
            return True
        known = self.schedule.soon(name, self.clock())
        self.pool.wake()
        return known

    def relearn(self, name: str) -> None:
        """Forget what was learned of an endpoint, and how it is checked where that was found; the
        next good checks show what is normal. No change for a name that there is none of."""
        self.learned.relearn(name)
        self.found.pop(name, None)
        self.recheck(name)

    def silence(self, name: str, seconds: float) -> None:
        """Have nobody told of an endpoint for so many seconds from now; 0 ends it. It is on disk
        when this returns. Raises KeyError for a name that there is none of."""
        taking.silence(self, name, seconds)

    def events(self) -> Subscription:
        """What happens from now on: an iterator of dicts, each with a "type", to be closed.

        `with monitor.events() as happening: for told in happening: ...`; it ends when it is closed
        or the monitor stops. `.get(timeout)` gives the next one, or None. Who is slower than a
        thousand of them gets {"type": "missed"} in their place.
        """
        return self.feed.subscribe()
