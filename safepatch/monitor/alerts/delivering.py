"""Bringing a message to a channel: by which way, how often, and for how long."""

from __future__ import annotations

import functools
import logging
import os
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import gevent
import msgspec
from gevent.monkey import is_module_patched
from gevent.threadpool import ThreadPool

from safepatch.decorators import rate_limit, timeout
from safepatch.monitor.alerts import channels, commands, mailing
from safepatch.monitor.alerts.messages import Message
from safepatch.monitor.alerts.reaching import DeliveryError
from safepatch.monitor.plan import Channel, Plan
from safepatch.monitor.statuses import Event

logger = logging.getLogger("safepatch.monitor")
_THREADS = 64  # at most; a channel takes one at a time


class Deliveries:
    """Brings messages to channels, in greenlets, while others run.

    What blocks, which are Apprise and smtplib, runs in threads, of which a channel has one at a
    time, unless gevent has patched sockets. `tls` is used instead of contexts that trust what the
    system trusts. `close` ends it.
    """

    def __init__(
        self,
        plan: Callable[[], Plan],
        *,
        environ: Mapping[str, str] = os.environ,
        tls: Any = None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Any] = gevent.sleep,
    ) -> None:
        self._plan, self._environ, self._tls = plan, environ, tls
        self._now, self._clock, self._sleep = now, clock, sleep
        self._ways: dict[str, tuple[Channel, Callable[[Message], None]]] = {}
        self._busy: set[str] = set()  # channels for which a thread is at work
        self._pool: ThreadPool | None = None

    def send(self, channel: Channel, message: Message) -> None:
        """Bring a message to a channel.

        Waits for its turn as `per_minute` says. Raises DeliveryError, also when it takes longer
        than the channel's `timeout`.
        """
        gevent.get_hub()  # without one nothing could be ended after its time
        known, way = self._ways.get(channel.name, (None, None))
        if way is None or known != channel:
            way = self._way(channel)
            self._ways[channel.name] = channel, way
        way(message)

    def prepare(self) -> None:
        """Have ready what takes long to import, and log which addresses nobody understands."""
        for name, channel in self._plan().channels.items():
            if kind(channel) in ("webhook", "mail", "command"):
                continue
            try:
                channels.plugin(channel.url)
            except (DeliveryError, ModuleNotFoundError) as error:
                logger.error("channel %r: %s", name, error)

    def close(self) -> None:
        """End the threads; one that is still at work after a second ends when it is done."""
        pool, self._pool = self._pool, None
        if pool is not None:
            gevent.with_timeout(1.0, pool.kill, timeout_value=None)

    def _way(self, channel: Channel) -> Callable[[Message], None]:
        within = timeout(seconds=channel.timeout)(self._deliver)

        @rate_limit(rate=channel.per_minute, per=60.0, sleep=self._sleep, clock=self._clock)
        def deliver(message: Message) -> None:
            try:
                within(channel, message)
            except TimeoutError:
                raise DeliveryError(f"it took longer than {channel.timeout:g} seconds") from None

        return deliver

    def _deliver(self, channel: Channel, message: Message) -> None:
        if channel.command:
            commands.run(channel.command, encoded(message), names(message))
        elif channel.mail:
            settings = self._plan().settings
            made = mailing.mail(message, channel.mail, settings.mail_from, self._now())
            self._apart(
                channel,
                functools.partial(
                    mailing.send,
                    made,
                    settings,
                    channel.timeout,
                    private=channel.private,
                    environ=self._environ,
                    tls=self._tls,
                ),
            )
        elif urllib.parse.urlsplit(channel.url).scheme in ("http", "https"):
            headers = {"Idempotency-Key": mailing.word(message.id), **channel.headers}
            channels.post(
                channel.url,
                encoded(message),
                headers,
                channel.timeout,
                private=channel.private,
                tls=self._tls,
            )
        else:
            args = channel.url, message, channel.timeout, channel.private
            self._apart(channel, functools.partial(channels.notify, *args))

    def _apart(self, channel: Channel, work: Callable[[], None]) -> None:
        """Do what blocks in a thread; or here, where gevent has seen to it that it does not."""
        if is_module_patched("socket"):
            work()
            return
        name = channel.name
        if name in self._busy:
            raise DeliveryError("the delivery before, which took too long, has not ended yet")
        if self._pool is None:
            self._pool = ThreadPool(1)
        self._pool.maxsize = max(1, min(_THREADS, len(self._plan().channels)))

        def outcome() -> Exception | None:
            # What is raised in such a thread is printed, with what was called, addresses and all.
            try:
                work()
            except Exception as error:
                return error
            return None

        self._busy.add(name)
        task = self._pool.spawn(outcome)
        task.rawlink(lambda _: self._busy.discard(name))
        failure = task.get()
        if failure is not None:
            raise failure


def kind(channel: Channel) -> str:
    """What a channel is, in a word that holds nothing of its address."""
    if channel.command or channel.mail:
        return "command" if channel.command else "mail"
    scheme = urllib.parse.urlsplit(channel.url).scheme
    return "webhook" if scheme in ("http", "https") else scheme


def wants(name: str, channel: Channel, event: Event) -> bool:
    """Say whether an event is for a channel. What is of no endpoint is for whatever tags."""
    if event.channels and name not in event.channels:
        return False
    if channel.events and event.type not in channel.events:
        return False
    of_something = bool(event.endpoints or event.tags)
    return not (channel.tags and of_something) or not {*channel.tags}.isdisjoint(event.tags)


def named(name: str, channel: Channel) -> Channel:
    """A channel that knows its name."""
    return channel if channel.name == name else msgspec.structs.replace(channel, name=name)


def encoded(message: Message) -> bytes:
    """A message as JSON; see docs/monitor/alerts.md."""
    return msgspec.json.encode(message)


def names(message: Message) -> dict[str, str]:
    """A message as environment variables for a command."""
    return {
        "SAFEPATCH_ID": message.id,
        "SAFEPATCH_TYPE": message.type,
        "SAFEPATCH_SEVERITY": message.severity,
        "SAFEPATCH_TITLE": message.title,
        "SAFEPATCH_TEXT": message.text,
        "SAFEPATCH_INCIDENT": message.incident,
        "SAFEPATCH_ENDPOINTS": "\n".join(message.endpoints),
        "SAFEPATCH_COUNT": str(message.count),
        "SAFEPATCH_URL": message.url,
    }
