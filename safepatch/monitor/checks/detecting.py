"""What an address without a scheme is: found out by trying, within one check's time.

A site is tried as https, and as http where there is no https. A domain that has no address but MX
records is mx. Of a port it is looked at what is said first, and, if that is nothing, what comes as
an answer to the beginning of a TLS handshake: so one connection tells what most are, and a second
one is the check. Nothing is decided from a failure: it is found out again next time.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import gevent
import msgspec

from safepatch.monitor.checks import http, icmp, mx, smtp, tcp, tls
from safepatch.monitor.checks.connecting import Connection, reach
from safepatch.monitor.courses import CheckError, Course, follow
from safepatch.monitor.guarding import is_literal
from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.urls import split

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools

#: What a port is for, where that is settled.
PORTS = {25: "smtp", 80: "http", 443: "https", 465: "smtps", 587: "smtp"}
#: Failures of https that say there is none, and not that it is broken.
_ABSENT = ("refused", "timeout", "reset", "unreachable", "tls")
#: Failures of http that say that something else is there.
_OTHER = ("protocol", "timeout", "reset")
_CHECKS: dict[str, Any] = {
    "http": http.check,
    "https": http.check,
    "icmp": icmp.check,
    "mx": mx.check,
    "smtp": smtp.check,
    "smtps": smtp.check,
    "tcp": tcp.check,
    "tls": tls.check,
}

Found = tuple[Endpoint, Result]


def detect(endpoint: Endpoint, tools: Tools) -> Found:
    """What an endpoint is: itself with a scheme, and the result of the check that worked.

    Where none worked, the endpoint as it is, and the result that tells most. Takes at most four
    connections, and the endpoint's timeout. Raises nothing.
    """
    trials = Trials(endpoint, tools)
    try:
        url = split(trials.candidate("tcp").address)
    except CheckError as error:
        return endpoint, trials.failure(error)
    if url.port == 0:
        return _site(trials, url.host)
    scheme = PORTS.get(url.port)
    if scheme:
        return trials.only(scheme)
    return _port(trials, url.host, url.port)


class Trials:
    """Checks of one endpoint by several kinds, which share its time."""

    def __init__(self, endpoint: Endpoint, tools: Tools) -> None:
        self.endpoint, self.tools = endpoint, tools
        self._until = tools.clock() + endpoint.options.timeout

    def candidate(self, scheme: str) -> Endpoint:
        """It as an endpoint of that kind."""
        written = self.endpoint.address
        rest = f"[{written}]" if ":" in written and is_literal(written) else written
        return msgspec.structs.replace(self.endpoint, address=f"{scheme}://{rest}")

    def run(self, scheme: str, share: float = 1.0) -> Result:
        """Check it as `scheme`, within a share of the time that is left."""
        candidate = self.candidate(scheme)
        left = max(share * (self._until - self.tools.clock()), 0.001)
        options = msgspec.structs.replace(candidate.options, timeout=left)
        result: Result = _CHECKS[scheme](
            msgspec.structs.replace(candidate, options=options), self.tools
        )
        return result

    def only(self, scheme: str) -> Found:
        """It can be nothing else."""
        return self.settle(scheme, self.run(scheme))

    def settle(self, scheme: str, result: Result) -> Found:
        """It is that, if the result is good; otherwise nothing is known."""
        return (self.candidate(scheme) if result.ok else self.endpoint), result

    def failure(self, error: CheckError) -> Result:
        """That it could not even be tried."""
        at = self.tools.time()
        return Result(name=self.endpoint.name, at=at, error=error.error, message=str(error))

    def listen(self, host: str, port: int) -> tuple[Result, bytes, bytes]:
        """The result of a connection; what was said on it; what was said to a ClientHello."""
        said: list[bytes] = [b"", b""]

        def walk(endpoint: Endpoint, tools: Tools, course: Course) -> None:
            connection = reach(endpoint, tools, course, host, port)
            patience = min(1.0, endpoint.options.timeout / 5)
            try:
                said[0] = _heard(connection, patience)
                if not said[0]:
                    connection.send(_client_hello(tools.context(endpoint.options), host))
                    said[1] = _heard(connection, patience)
            except OSError:
                pass  # it hung up on that
            finally:
                connection.close()

        result = follow(self.candidate("tcp"), self.tools, walk)
        return result, said[0], said[1]


def _site(trials: Trials, host: str) -> Found:
    """A host without a port."""
    https = trials.run("https", 0.5)
    if https.ok:
        return trials.settle("https", https)
    if https.error == "dns":
        found = trials.only("mx")
        return found if found[1].ok else (trials.endpoint, https)
    if https.error in _ABSENT:
        http = trials.run("http", 0.8)
        if http.ok:
            return trials.settle("http", http)
        https.message = f"https: {https.message}; http: {http.message}"
    _diagnose(trials, https)
    return trials.endpoint, https


def _diagnose(trials: Trials, result: Result) -> None:
    """Whether the host is there at all, as the fact "ping": seconds, or None without a reply."""
    if "address" not in result.facts:
        return
    echo = trials.run("icmp")
    if echo.error in ("", "timeout", "unreachable"):
        result.facts["ping"] = echo.phases["first_byte"] if echo.ok else None


def _port(trials: Trials, host: str, port: int) -> Found:
    """A host and a port that may be for anything."""
    result, banner, answer = trials.listen(host, port)
    if not result.ok:
        return trials.endpoint, result
    if banner:
        smtp = trials.run("smtp", 0.5) if banner[:3] == b"220" else None
        return trials.settle("smtp", smtp) if smtp and smtp.ok else trials.only("tcp")
    if answer[:1] in (b"\x15", b"\x16"):  # an alert, or a handshake
        return _first_of(trials, "https", "tls")
    # Servers of HTTP complain of what is no request; some only hang up.
    if not answer or answer[:5] == b"HTTP/" or answer[:1] == b"<":
        return _first_of(trials, "http", "tcp")
    return trials.only("tcp")


def _first_of(trials: Trials, site: str, port: str) -> Found:
    """A site, unless it answers with something else than HTTP, or not at all."""
    result = trials.run(site, 0.5)
    if result.error in _OTHER:
        return trials.only(port)
    return trials.settle(site, result)


def _heard(connection: Connection, seconds: float) -> bytes:
    """What comes within some seconds, b"" if that is nothing."""
    timeout: Any = gevent.Timeout.start_new(seconds)
    try:
        return connection.receive()
    except gevent.Timeout as late:
        if late is not timeout:
            raise
        return b""
    finally:
        timeout.close()
        timeout = None  # which makes a cycle with its traceback; see Answer.end


def _client_hello(context: ssl.SSLContext, host: str) -> bytes:
    outgoing = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), outgoing, False, host).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()
