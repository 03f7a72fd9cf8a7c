"""Questions to DNS servers, over gevent's sockets: by UDP, and by TCP where the answer is cut off.

dnspython makes and reads the messages. Its own resolver waits on sockets that it makes itself,
caches, and searches, none of which is wanted here.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver
import gevent
import gevent.socket

from safepatch.monitor.courses import CheckError

Server = tuple[str, int]

#: How large an answer may be by UDP, so that no network divides it (DNS Flag Day 2020).
_UDP = 1232
#: Each server is asked so often, since datagrams get lost.
_ROUNDS = 3
#: Records of an answer, of which BIND serves 100 of a kind; and bytes that are read at once.
_MOST_RECORDS, _SMALL = 200, 512
#: Answers of a server that another one might do better.
_TROUBLED = (dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR)


class Answer(NamedTuple):
    """What a server said: the message, which server, and by what ("udp", "tcp")."""

    message: Any
    server: Server
    transport: str

    @property
    def rcode(self) -> str:
        """The answer's code: "NOERROR", "NXDOMAIN", "SERVFAIL" ..."""
        return str(dns.rcode.to_text(self.message.rcode()))

    def records(self) -> tuple[list[str], int | None]:
        """Those that were asked for, as texts, at the end of aliases; and how long they live.

        The seconds are the least of all records on the way, as this server counts them.
        """
        chain = self.message.resolve_chaining()
        if chain.answer is None:
            return [], None
        return sorted(map(_text, chain.answer)), int(chain.minimum_ttl)


def query(
    name: str,
    kind: str,
    servers: Sequence[Server],
    timeout: float,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """Ask `servers` in turn for the records of a kind ("MX"), until one answers.

    A code is no failure; where a server has trouble (SERVFAIL, REFUSED) the next one is asked, and
    the last such answer counts. Raises CheckError: "timeout", "refused", "unreachable", and
    "protocol", where nothing came that could be read.
    """
    question = _question(name, kind)
    until = clock() + timeout
    troubled: Answer | None = None
    failure = CheckError("timeout", f"no answer of {_names(servers)} within {timeout:.1f} seconds")
    for count, server in enumerate(list(servers) * _ROUNDS):
        share = (until - clock()) / (len(servers) * _ROUNDS - count)
        if share <= 0:
            break
        try:
            answer = _asked(question, server, share, until - clock(), clock)
        except OSError as error:
            failure = _failure(error, server, failure)
            continue
        if answer.message.rcode() not in _TROUBLED:
            return answer
        troubled = answer
        if count + 1 >= len(servers):
            break
    if troubled is not None:
        return troubled
    raise failure


def servers_of(resolver: str, *, system: str = "/etc/resolv.conf") -> list[Server]:
    """The servers to ask: "192.0.2.1", "192.0.2.1:5353", "[2001:db8::1]:53"; "" is the system's.

    Only addresses are taken: a name would have to be resolved by somebody else. Raises CheckError,
    "internal".
    """
    if resolver:
        return [_server(resolver)]
    try:
        return [(str(server), 53) for server in dns.resolver.Resolver(system).nameservers]
    except dns.exception.DNSException as error:
        raise CheckError("internal", f"no resolver is configured in {system}: {error}") from error


def _server(text: str) -> Server:
    bare = text.count(":") > 1 and not text.startswith("[")
    try:
        parts = urlsplit(f"//[{text}]" if bare else f"//{text}")
        host, port = str(parts.hostname), 53 if parts.port is None else parts.port
        ipaddress.ip_address(host)
        if port:
            return host, port
    except ValueError:
        pass
    raise CheckError(
        "internal", f"the resolver {text!r} is no address; write it like 192.0.2.1 or 192.0.2.1:53"
    )


def _question(name: str, kind: str) -> Any:
    try:
        absolute = dns.name.from_text(name)
        rdtype = dns.rdatatype.from_text(kind)
    except (dns.exception.DNSException, ValueError, UnicodeError) as error:
        raise CheckError(
            "internal", f"{kind} records of {name!r} cannot be asked for: {error}"
        ) from error
    return dns.message.make_query(absolute, rdtype, use_edns=0, payload=_UDP)


def _asked(
    question: Any, server: Server, share: float, left: float, clock: Callable[[], float]
) -> Answer:
    message = _by_udp(question, server, share, clock)
    if message.flags & dns.flags.TC:
        return Answer(_by_tcp(question, server, left, clock), server, "tcp")
    return Answer(message, server, "udp")


def _by_udp(question: Any, server: Server, timeout: float, clock: Callable[[], float]) -> Any:
    until = clock() + timeout
    with _socket(server, gevent.socket.SOCK_DGRAM) as sock:
        # What comes from elsewhere does not reach a connected socket.
        sock.connect(server)
        sock.send(question.to_wire())
        unreadable = False
        while (left := until - clock()) > 0:
            sock.settimeout(left)
            try:
                data = sock.recv(65535)
            except TimeoutError:
                break
            message = _read(data)
            if message is not None and question.is_response(message):
                return message
            # It may be forged, or late; so the right one may still come.
            unreadable = True
            gevent.sleep(0)  # others come first if there is no end of it
        if unreadable:
            raise _UnreadableError(_UNREADABLE)
        raise TimeoutError("no answer")


def _by_tcp(question: Any, server: Server, timeout: float, clock: Callable[[], float]) -> Any:
    until = clock() + timeout
    wire = question.to_wire()
    with _socket(server, gevent.socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        sock.connect(server)
        sock.sendall(len(wire).to_bytes(2) + wire)
        length = int.from_bytes(_exactly(sock, 2, until, clock))
        message = _read(_exactly(sock, length, until, clock))
    if message is None or not question.is_response(message):
        raise _UnreadableError(_UNREADABLE)
    return message


def _exactly(sock: Any, size: int, until: float, clock: Callable[[], float]) -> bytes:
    data = b""
    while len(data) < size:
        left = until - clock()
        if left <= 0:
            raise TimeoutError("no answer")
        sock.settimeout(left)
        more = sock.recv(size - len(data))
        if not more:
            raise ConnectionResetError("the connection ended within the answer")
        data += more
    return data


def _socket(server: Server, kind: int) -> Any:
    family = gevent.socket.AF_INET6 if ":" in server[0] else gevent.socket.AF_INET
    return gevent.socket.socket(family, kind)


_UNREADABLE = f"what came is no answer to what was asked, or has more than {_MOST_RECORDS} records"


class _UnreadableError(OSError):
    """What came is no DNS message, or no answer to the question."""


def _read(data: bytes) -> Any:
    """The message, None for what is none, or has more records than anybody needs.

    dnspython takes milliseconds for a name of many labels, of which a record with a pointer to one
    has 16 bytes; so a thread reads what is large, in which others have their turn.
    """
    if sum(int.from_bytes(data[at : at + 2]) for at in (6, 8, 10)) > _MOST_RECORDS:
        return None
    if len(data) <= _SMALL:
        return _parsed(data)
    return gevent.get_hub().threadpool.apply(_parsed, (data,))


def _parsed(data: bytes) -> Any:
    try:
        return dns.message.from_wire(data, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError):
        return None


_KINDS: dict[type[OSError], str] = {
    _UnreadableError: "protocol",
    ConnectionRefusedError: "refused",
    ConnectionResetError: "reset",
}


def _failure(error: OSError, server: Server, before: CheckError) -> CheckError:
    """What is said if no other server answers."""
    if isinstance(error, TimeoutError):
        return before
    kind = _KINDS.get(type(error), "unreachable")
    return CheckError(kind, f"the resolver {_names([server])}: {error.strerror or error}")


def _names(servers: Sequence[Server]) -> str:
    shown = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in servers)
    return ", ".join(shown)


def _text(record: Any) -> str:
    if hasattr(record, "strings"):  # TXT: as one text, as those mean it who look at it
        return b"".join(record.strings).decode("utf-8", "backslashreplace")
    return str(record.to_text())
