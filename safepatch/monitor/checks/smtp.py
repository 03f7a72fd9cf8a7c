"""Mail servers: smtp://mx.example.com, smtp://mx.example.com:587, smtps://mx.example.com.

The banner, EHLO, STARTTLS where it is offered, and EHLO again within it; with `mail_from` and
`rcpt_to` also whether such a mail would be taken, which is asked and taken back (RSET). Nothing is
ever sent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from safepatch.monitor.checks.connecting import Connection, failed, reach
from safepatch.monitor.checks.securing import secure
from safepatch.monitor.courses import CheckError, Course, follow, printable
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.urls import split

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

_REPLY = re.compile(rb"([2-5]\d\d)(?:([ -])(.*))?\Z", re.DOTALL)
#: What is longer than that is no SMTP: bytes of a line, and lines of a reply.
_LONGEST_LINE, _MOST_LINES = 4096, 100


class Reply:
    """A code, and the texts of its lines."""

    __slots__ = ("code", "lines")

    def __init__(self, code: int, lines: list[str]) -> None:
        self.code, self.lines = code, lines

    def __str__(self) -> str:
        return f"{self.code} {' '.join(self.lines)}"[:300].rstrip()


class Talk:
    """Commands and replies over a connection, one after the other."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._read = b""

    def ask(self, command: str, *expected: int) -> Reply:
        """Send a command, and take its reply. Raises CheckError if that has none of the codes."""
        if not command.isprintable():
            raise CheckError("internal", f"{command!r} would be several commands; nothing was sent")
        try:
            self.connection.send(command.encode() + b"\r\n")
        except OSError as error:
            raise failed(error, self.connection) from error
        return self.reply(f"{command.partition(':')[0]} is answered", *expected)

    def reply(self, what: str, *expected: int) -> Reply:
        """The next reply. Raises CheckError where it is none, or has none of the codes."""
        lines: list[str] = []
        more, code = True, 0
        while more:
            code, more, text = self._line(code)
            lines.append(text)
            if len(lines) > _MOST_LINES:
                raise CheckError("protocol", f"{what} with more than {_MOST_LINES} lines")
        reply = Reply(code, lines)
        if expected and code not in expected:
            wanted = " or ".join(map(str, expected))
            raise CheckError("status", f"{what} with {str(reply)!r}, where {wanted} was expected")
        return reply

    def secured(self) -> None:
        """After a handshake: what came before it must not count as having come within it."""
        if self._read:
            raise CheckError(
                "protocol", f"after STARTTLS it went on without TLS: {_shown(self._read)}"
            )

    def _line(self, code: int) -> tuple[int, bool, str]:
        while b"\n" not in self._read:
            if len(self._read) > _LONGEST_LINE:
                raise CheckError("protocol", f"a line that does not end: {_shown(self._read)}")
            self._read += self._more()
        line, _, self._read = self._read.partition(b"\n")
        line = line.rstrip(b"\r")
        found = _REPLY.fullmatch(line)
        if found is None or code not in (0, int(found[1])):
            raise CheckError("protocol", f"it does not speak SMTP, but says {_shown(line)}")
        return int(found[1]), found[2] == b"-", (found[3] or b"").decode(errors="replace")

    def _more(self) -> bytes:
        try:
            data = self.connection.receive()
        except OSError as error:
            raise failed(error, self.connection) from error
        if not data:
            said = f" after {_shown(self._read)}" if self._read else ""
            raise CheckError(
                "reset", f"it closed the connection{said}, before its reply was complete"
            )
        return data


def check(endpoint: Endpoint, tools: Tools) -> Result:
    """Talk to a mail server, up to the point where a mail would be sent."""
    return follow(endpoint, tools, _walk)


def _walk(endpoint: Endpoint, tools: Tools, course: Course) -> None:
    url = split(endpoint.address)
    implicit = url.scheme == "smtps" or url.port == 465
    connection = reach(endpoint, tools, course, url.host, url.port)
    try:
        if implicit:
            secure(endpoint, tools, course, connection, url.host)
        talk = Talk(connection)
        greet(talk, course)
        extensions = _hello(talk, course)
        if not implicit and _wants_tls(endpoint, extensions):
            _start_tls(endpoint, tools, course, talk, url.host)
        if endpoint.options.mail_from and endpoint.options.rcpt_to:
            _offer(endpoint, talk)
        leave(talk)
    finally:
        connection.close()


def greet(talk: Talk, course: Course) -> None:
    """Take the banner, which is to have 220."""
    course.enter("first_byte")
    banner = talk.reply("the connection is answered", 220)
    course.leave()
    course.facts["banner"] = printable(" ".join(banner.lines).strip(), 300)


def leave(talk: Talk) -> None:
    """Take leave; a server that goes without a word has said all that was to be known."""
    try:
        talk.ask("QUIT")
    except CheckError:
        pass


def _hello(talk: Talk, course: Course) -> list[str]:
    """The extensions that it offers, by EHLO, or HELO if it does not know that."""
    name = _literal(talk.connection)
    reply = talk.ask(f"EHLO {name}")
    if reply.code in (500, 502, 504):
        talk.ask(f"HELO {name}", 250)
        extensions: list[str] = []
    elif reply.code != 250:
        raise CheckError("status", f"EHLO is answered with {str(reply)!r}, where 250 was expected")
    else:
        extensions = sorted(line.partition(" ")[0].upper() for line in reply.lines[1:])
    course.facts["extensions"] = [printable(each, 50) for each in extensions]
    return extensions


def _wants_tls(endpoint: Endpoint, extensions: list[str]) -> bool:
    offered, wanted = "STARTTLS" in extensions, endpoint.options.starttls
    if wanted and not offered:
        raise CheckError(
            "tls", f"it does not offer STARTTLS, but {', '.join(extensions) or 'nothing'}"
        )
    return offered and wanted is not False


def _start_tls(endpoint: Endpoint, tools: Tools, course: Course, talk: Talk, host: str) -> None:
    reply = talk.ask("STARTTLS")
    if reply.code != 220:
        raise CheckError("tls", f"STARTTLS is offered, and then answered with {str(reply)!r}")
    talk.secured()
    secure(endpoint, tools, course, talk.connection, host)
    # What was said without TLS may have been somebody else's.
    _hello(talk, course)


def _offer(endpoint: Endpoint, talk: Talk) -> None:
    """Whether a mail from one to another would be taken."""
    talk.ask(f"MAIL FROM:<{endpoint.options.mail_from}>", 250)
    talk.ask(f"RCPT TO:<{endpoint.options.rcpt_to}>", 250, 251)
    talk.ask("RSET", 250)


def _literal(connection: Connection) -> str:
    """What to introduce ourselves by: our address, since the name of a machine is often no name."""
    address = connection.local_address
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _shown(data: bytes) -> str:
    return repr(data[:60].decode(errors="replace"))
