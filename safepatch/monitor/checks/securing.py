"""TLS over the connections of checks, and what certificates are found on the way."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from safepatch.monitor.checks import certificates
from safepatch.monitor.checks.connecting import Connection, failed, reach
from safepatch.monitor.courses import CheckError, Course
from safepatch.monitor.plan import Endpoint

if TYPE_CHECKING:
    from safepatch.monitor.tools import Tools


def reach_tls(
    endpoint: Endpoint,
    tools: Tools,
    course: Course,
    host: str,
    port: int,
    *,
    alpn: bool = False,
    ours: bool = True,
) -> Connection:
    """Connect to a host and shake hands. With `alpn` HTTP/1.1 is asked for.

    `ours` says that it is the host of the endpoint, and not one that it redirected to. Notes the
    phases "dns", "connect" and "tls", and the facts of the certificate, also of one that is not
    trusted. Raises CheckError.
    """
    context = tools.context(endpoint.options, alpn=alpn, ours=ours)  # before others' mistakes
    connection = reach(endpoint, tools, course, host, port)
    try:
        secure(endpoint, tools, course, connection, host, context=context, ours=ours)
    except BaseException:
        connection.close()
        raise
    return connection


def secure(
    endpoint: Endpoint,
    tools: Tools,
    course: Course,
    connection: Connection,
    host: str,
    *,
    context: ssl.SSLContext | None = None,
    ours: bool = True,
) -> None:
    """Shake hands on a connection, as after STARTTLS; notes the phase "tls".

    The facts are "tls", the version, as "TLSv1.3", and "certificate".

    `context` is that of the endpoint's options where none is given. Raises CheckError.
    """
    course.enter("tls")
    options = endpoint.options
    # A last dot is for DNS; no certificate has one.
    name = (options.server_name if ours else "") or host.rstrip(".")
    context = context or tools.context(options, ours=ours)
    try:
        connection.secure(context, name)
    except ssl.SSLCertVerificationError as error:
        facts = course.facts["certificate"] = _shown(connection, tools, name)
        raise CheckError(
            "certificate", certificates.trouble(error, facts, name, tools.time())
        ) from error
    except ssl.SSLError as error:
        raise CheckError("tls", f"{name}: {told(error)}") from error
    except OSError as error:
        raise failed(error, connection) from error
    course.leave()
    assert connection.tls is not None
    course.facts["tls"] = connection.tls.version()
    known = tools.certificates if context.verify_mode else {}  # others are made at will
    facts = certificates.presented(connection.tls, known)
    if facts:
        course.facts["certificate"] = facts
        certificates.warn(facts, options.expires_within, tools.time(), course)


def _shown(connection: Connection, tools: Tools, name: str) -> dict[str, Any]:
    """The facts of a certificate that was not trusted; by another handshake, where the first does
    not tell (OpenSSL before 3.0). They are not kept: anybody can make another one each time."""
    assert connection.tls is not None
    facts = certificates.presented(connection.tls, {})
    if facts:
        return facts
    other = connection.again()
    try:
        other.secure(tools.careless(), name)
        assert other.tls is not None
        return certificates.presented(other.tls, {})
    except OSError:
        return {}
    finally:
        other.close()


def told(error: ssl.SSLError) -> str:
    """What OpenSSL complains of, in words."""
    reason = (error.reason or "").replace("_", " ").lower()
    if isinstance(error, ssl.SSLEOFError) or reason == "unexpected eof while reading":
        return "the connection ended during the TLS handshake"
    if reason in (
        "wrong version number",
        "http request",
        "packet length too long",
        "record layer failure",
    ):
        return "what answers there does not speak TLS"
    if "unsupported protocol" in reason or "protocol version" in reason:
        return "it speaks no TLS 1.2 or newer"
    if "alert" in reason:
        return f"it ends the TLS handshake with {reason!r}"
    return f"no TLS with it: {reason or error}"
