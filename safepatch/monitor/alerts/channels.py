"""Ways to tell somebody: an HTTP request, and what Apprise knows.

All raise DeliveryError, whose text has no address in it: addresses of channels hold secrets.
"""

from __future__ import annotations

import base64
import functools
import http.client
import logging
import re
import ssl
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.socket
import gevent.ssl
from gevent.monkey import get_original

from safepatch.monitor.alerts import reaching
from safepatch.monitor.alerts.messages import Message
from safepatch.monitor.alerts.reaching import DeliveryError


def why(error: BaseException) -> str:
    """What failed, in words that hold nothing of an address."""
    if isinstance(error, (DeliveryError, ModuleNotFoundError)):
        return str(error)
    if isinstance(error, gevent.socket.gaierror):
        return "its name cannot be resolved"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, TimeoutError):
        return str(error) or "no answer in time"
    if isinstance(error, http.client.HTTPException):
        return "what it answers cannot be understood"
    return type(error).__name__


# -- webhooks


class _Connection(http.client.HTTPConnection):
    """One that waits as greenlets do, whether or not anything is patched."""

    def __init__(
        self, host: str, port: int | None, seconds: float, tls: Any, private: Sequence[str]
    ) -> None:
        default = http.client.HTTPS_PORT if tls else http.client.HTTP_PORT
        super().__init__(host, default if port is None else port, timeout=seconds)
        self._tls, self._private = tls, private

    def connect(self) -> None:
        self.sock = reaching.connect(
            self.host,
            self.port,
            self._private,
            self.host,
            create=functools.partial(gevent.socket.create_connection, timeout=self.timeout),
            resolve=gevent.socket.getaddrinfo,
        )
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)


@functools.cache
def _default_tls() -> Any:
    # Not create_default_context, which makes one that blocks, unless gevent has patched ssl.
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_default_certs()  # takes tens of milliseconds
    return context


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    seconds: float,
    *,
    private: Sequence[str] = (),
    tls: Any = None,
) -> None:
    """Post JSON to an address. Raises DeliveryError, also for an answer that is not a 2xx.

    `private` are networks that its name may lead to, though they are private. No redirect is
    followed: what is told is told to the address that somebody wrote, and to no other. Waits as
    greenlets do; `seconds` are for each step of it.
    """
    parts = urllib.parse.urlsplit(url)
    secure = (tls or _default_tls()) if parts.scheme == "https" else None
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        connection = _Connection(parts.hostname or "", parts.port, seconds, secure, private)
        try:
            connection.request("POST", path, body, {**_headers(parts), **headers})
            with connection.getresponse() as answer:
                _need_success(answer.status, answer.getheader("Location", ""))
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as error:
        raise DeliveryError(why(error)) from None
    except ValueError:  # whose text may have them in it
        raise DeliveryError("its address or one of its headers cannot be used") from None


def _headers(parts: urllib.parse.SplitResult) -> dict[str, str]:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "safepatch-monitor",
        "Connection": "close",
    }
    if parts.username is not None:
        pair = f"{parts.username}:{parts.password or ''}"
        pair = urllib.parse.unquote(pair)
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return headers


def _need_success(status: int, location: str) -> None:
    if 200 <= status < 300:
        return
    if location and 300 <= status < 400:
        raise DeliveryError(
            f"it answers with status {status}, which leads to another address; alerts follow no "
            "redirects, so write the address that is meant"
        )
    raise DeliveryError(f"it answers with status {status}")


# -- Apprise

_CHATTY = ("apprise", "urllib3.connectionpool", "requests")
_thread_id = get_original("_thread", "get_ident")


class _Quiet(logging.Filter):
    """Keeps out of all logs, and in `heard`, what a thread logs of addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        self._thread = _thread_id()

    def filter(self, record: logging.LogRecord) -> bool:
        if _thread_id() != self._thread:
            return True
        self.heard.append(record.getMessage())
        return False


@contextmanager
def _unheard() -> Iterator[list[str]]:
    quiet = _Quiet()
    for name in _CHATTY:
        logging.getLogger(name).addFilter(quiet)
    try:
        yield quiet.heard
    finally:
        for name in _CHATTY:
            logging.getLogger(name).removeFilter(quiet)


def plugin(url: str) -> Any:
    """What Apprise has for an address; the first time takes half a second.

    Raises DeliveryError for an address that it does not understand, and ModuleNotFoundError, which
    says what to install, where it is missing.
    """
    try:
        import apprise
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "such channels need Apprise; install it with pip install 'safepatch-py[monitor]'",
            name=error.name,
        ) from None
    with _unheard():
        made = apprise.Apprise.instantiate(url)
    if made is None:
        raise DeliveryError(
            f"Apprise does not understand the address, of kind {url.partition('://')[0]!r}"
        )
    return made


def notify(url: str, message: Message, seconds: float, private: Sequence[str] = ()) -> None:
    """Have Apprise tell a message, which blocks. Raises what `plugin` does, and DeliveryError.

    `private` is as with `post`, also for redirects. What Apprise does by other means than
    `requests` and Python's `socket.create_connection`, as for MQTT and IRC, is not looked at.
    """
    way = plugin(url)
    _set_up(way, message, seconds)
    text = f"{message.text}\n{message.url}".strip() or message.title
    kind = {"notify_type": _kind(message), "body_format": "text"}  # so that it is escaped
    ways = reaching.SOCKET, reaching.URLLIB3
    with _unheard() as heard, reaching.bound(private, urllib.parse.unquote(url), *ways):
        done = way.notify(body=text, title=message.title, **kind)
    if not done:
        raise DeliveryError(f"Apprise could not deliver it{_status(heard)}")


def _set_up(way: Any, message: Message, seconds: float) -> None:
    way.socket_connect_timeout = way.socket_read_timeout = seconds
    way.redirects = False
    # What PagerDuty knows an incident by, so that "up" resolves what "down" has triggered.
    if message.incident and getattr(way, "dedup", "") is None:
        way.dedup = message.incident


def _kind(message: Message) -> Any:
    from apprise import NotifyType

    if message.severity == "info":
        over = message.type in ("up", "steady", "seeing", "digest")
        return NotifyType.SUCCESS if over else NotifyType.INFO
    return NotifyType.FAILURE if message.severity == "critical" else NotifyType.WARNING


def _status(heard: list[str]) -> str:
    """What Apprise has logged of why; the number alone, for the rest may hold an address."""
    numbers = re.findall(r"error=(\d{3})\b", " ".join(heard))
    return f"; the answer has status {numbers[-1]}" if numbers else ""
