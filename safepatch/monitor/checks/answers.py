"""Answers to HTTP requests, as they come in."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import gevent
import httptools

from safepatch.monitor.checks.connecting import Connection
from safepatch.monitor.courses import CheckError, Course

#: Bytes of a body that are read, and of what it is unpacked to; more is left unread.
MOST = 1 << 20
#: Bytes that are received for that; a body in very small chunks is not read as far.
MOST_RECEIVED = 2 * MOST
#: Bytes after which the others have a turn.
_TURN = 1 << 18
#: Bytes that may come before a body.
MOST_HEAD = 65536

# What browsers take as well. It is dangerous only where several parties read the same bytes.
_LENIENCIES = {
    "lenient_headers": True,
    "lenient_optional_lf_after_cr": True,
    "lenient_optional_cr_before_lf": True,
    "lenient_optional_crlf_after_chunk": True,
    "lenient_spaces_after_chunk_size": True,
    "lenient_data_after_close": True,
}
_HAS_LENIENCIES = hasattr(httptools.HttpResponseParser, "set_dangerous_leniencies")


class Answer:
    """What a parser of httptools has understood so far of one answer; the names are its.

    `headers` are by name in small letters, the first of each; `cookies` the values of all that are
    Set-Cookie; `body` is as it was sent. `size` is
    how many bytes there were of it; of the head, before that is complete.
    """

    __slots__ = (
        "_is_head", "_parser", "body", "cookies", "has_head", "headers", "is_done", "reason",
        "size", "status", "version",
    )  # fmt: skip

    def __init__(self, method: str) -> None:
        self._is_head = method == "HEAD"
        self._parser: Any = httptools.HttpResponseParser(self)
        if _HAS_LENIENCIES:
            self._parser.set_dangerous_leniencies(**_LENIENCIES)
        self.size = 0
        self.is_done = self.has_head = False
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.cookies: list[str] = []
        self.reason = ""
        self.status = 0
        self.version = ""

    def feed(self, data: bytes) -> None:
        """Take what has come. Raises CheckError("protocol")."""
        if not self.has_head:
            self.size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise CheckError("protocol", "it answers with another protocol than HTTP/1.1") from None
        except httptools.HttpParserError as error:
            if not self.is_done:  # what comes after it is nobody's business
                raise CheckError("protocol", _garbage(data, self.status, error)) from None
        if not self.has_head and self.size > MOST_HEAD:
            raise CheckError("protocol", f"its headers are longer than {MOST_HEAD} bytes")

    def end(self) -> None:
        """Take no more. The parser makes a cycle with this, body and all; and a cycle that is there
        while a monitor freezes what is no garbage, as each minute, would stay for ever."""
        self._parser = None

    def on_status(self, reason: bytes) -> None:
        self.reason += reason.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        if key == "set-cookie":
            self.cookies.append(value.decode("latin-1"))
        self.headers.setdefault(key, value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.version = self._parser.get_http_version()
        if 100 <= self.status < 200 and self.status != 101:
            self.headers, self.reason = {}, ""  # the answer is still to come
            return
        self.has_head = True
        self.size = 0
        # The parser does not know of HEAD, nor all versions of the others, and waits for a body.
        if self._is_head or self.status in (204, 304):
            self.is_done = True

    def on_body(self, data: bytes) -> None:
        if not self.is_done:
            self.body += data
            self.size += len(data)
            self.is_done = self.size >= MOST

    def on_message_complete(self) -> None:
        if self.has_head:
            self.is_done = True

    @property
    def coding(self) -> str:
        """What the body is packed with, "" for nothing that is known; some call that "none"."""
        coding = self.headers.get("content-encoding", "").strip().lower()
        return coding if coding in _UNPACKING or coding in _UNKNOWN else ""

    @property
    def is_readable(self) -> bool:
        """Whether the body is not packed with what we do not know, and have not asked for."""
        return self.coding not in _UNKNOWN

    @property
    def is_open(self) -> bool:
        """Whether the body has no other end than that of the connection."""
        return "content-length" not in self.headers and "transfer-encoding" not in self.headers

    def unpacked(self) -> bytes:
        """The body without gzip or deflate, MOST bytes at most. Raises CheckError("protocol")."""
        body = self.body
        unpack = _UNPACKING.get(self.coding)
        if unpack is None or not body:
            return bytes(body[:MOST])
        try:
            return unpack(body)
        except zlib.error as error:
            raise CheckError("protocol", f"its body is no {self.coding}: {error}") from None


def _garbage(data: bytes, status: int, error: Exception) -> str:
    if status:
        return f"its answer with status {status} goes on in a way that is not HTTP: {error}"
    return f"what it answers is not HTTP ({error}), but begins with {data[:60]!r}"


def _inflate(body: bytearray) -> bytes:
    # Some send zlib's format, as the standard says, and some bare deflate.
    try:
        return zlib.decompressobj().decompress(body, MOST)
    except zlib.error:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(body, MOST)


def _gunzip(body: bytearray) -> bytes:
    return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(body, MOST)


_UNPACKING: dict[str, Callable[[bytearray], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
}
_UNKNOWN = frozenset(("br", "zstd", "compress", "x-compress"))


def read(connection: Connection, course: Course, method: str) -> Answer:
    """Read an answer. Notes the phase "first_byte". Raises CheckError, and OSError."""
    answer = Answer(method)
    try:
        return _read(answer, connection, course)
    finally:
        answer.end()


def _read(answer: Answer, connection: Connection, course: Course) -> Answer:
    course.enter("first_byte")
    data = connection.receive()
    course.leave()
    received = 0
    while data:
        answer.feed(data)
        received += len(data)
        if answer.is_done or received >= MOST_RECEIVED:
            return answer
        if received > _TURN:
            gevent.sleep(0)  # who sends faster than we read must not keep others from their turn
        data = connection.receive(wait=False)
    if answer.has_head and answer.is_open:
        return answer
    if not answer.has_head:
        when = "before there was an answer" if not answer.size else "amid its headers"
        raise CheckError("reset", f"the connection ended {when}")
    wanted = answer.headers.get("content-length")
    of = f" of {wanted}" if wanted else ""
    raise CheckError("reset", f"the connection ended amid the body, after {answer.size}{of} bytes")
