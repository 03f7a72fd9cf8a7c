"""What certificates say, and what is wrong with them, in words."""

from __future__ import annotations

import hashlib
import ssl
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from safepatch.monitor.courses import Course, printable

# Codes of OpenSSL's x509_vfy.h.
_EXPIRED, _NOT_YET, _SELF_SIGNED, _SELF_SIGNED_ROOT = 10, 9, 18, 19
_NO_ISSUER, _UNVERIFIABLE, _OTHER_HOST, _OTHER_ADDRESS = 20, 21, 62, 64
_MOST = 65536  # certificates that are remembered
#: What `cryptography` raises for extensions that are not as they are to be; no ValueErrors.
_MALFORMED = (x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
#: How many of a certificate's names, and of those above it, are told.
MOST_NAMES, MOST_ABOVE = 100, 10


def presented(tls: ssl.SSLObject, known: dict[bytes, bytes]) -> dict[str, Any]:
    """The facts of the certificate that a server showed; {} for none.

    They are {subject, issuer, names, begins, expires, fingerprint, chain}: times in seconds since
    1970, `fingerprint` SHA-256 in hexadecimal, `chain` a {name, expires} for each of those that
    came with it. They are kept in `known`, packed, since to read them takes a third of a handshake,
    and there may be as many as hosts. Also for a handshake that ended
    because the certificate was not trusted, if OpenSSL is 3.0 or newer.
    """
    try:
        der = tls.getpeercert(binary_form=True)
    except ValueError:  # the handshake is not done
        der = next(iter(_sent(tls)), None)
    if not der:
        return {}
    digest = hashlib.sha256(der).digest()
    packed = known.get(digest)
    if packed is None:
        if len(known) >= _MOST:
            known.clear()
        above = [parsed(each) for each in _sent(tls)[1 : 1 + MOST_ABOVE]]
        chain = [{"name": each.get("subject"), "expires": each.get("expires")} for each in above]
        packed = known[digest] = msgspec.msgpack.encode({**parsed(der), "chain": chain})
    facts: dict[str, Any] = msgspec.msgpack.decode(packed)
    return facts


def _sent(tls: Any) -> list[bytes]:
    """All certificates that were sent, in DER. Python 3.13 is the first with a public way."""
    sent = getattr(getattr(tls, "_sslobj", None), "get_unverified_chain", lambda: None)()
    return [ssl.PEM_cert_to_DER_cert(each.public_bytes()) for each in sent or ()]


def parsed(der: bytes) -> dict[str, Any]:
    """The facts of a certificate in DER; {"fingerprint"} alone of one that cannot be read."""
    fingerprint = hashlib.sha256(der).hexdigest()
    try:
        certificate = x509.load_der_x509_certificate(der)
        return {
            "subject": _name(certificate.subject),
            "issuer": _name(certificate.issuer),
            "names": _names(certificate),
            "begins": int(certificate.not_valid_before_utc.timestamp()),
            "expires": int(certificate.not_valid_after_utc.timestamp()),
            "fingerprint": fingerprint,
        }
    except (ValueError, x509.InvalidVersion):
        return {"fingerprint": fingerprint}


def _name(name: x509.Name) -> str:
    """The common name, with the organization if it has one: "R3 (Let's Encrypt)"."""

    def first(oid: x509.ObjectIdentifier) -> str:
        found = name.get_attributes_for_oid(oid)
        return str(found[0].value) if found else ""

    common, organization = first(NameOID.COMMON_NAME), first(NameOID.ORGANIZATION_NAME)
    both = f"{common} ({organization})" if common and organization else common or organization
    return printable(both or name.rfc4514_string(), 200)


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError, *_MALFORMED):
        return []
    addresses = map(str, found.get_values_for_type(x509.IPAddress))
    names = [*found.get_values_for_type(x509.DNSName), *addresses]
    return [printable(name, 253) for name in names[:MOST_NAMES]]


def warn(facts: dict[str, Any], within: float, now: float, course: Course) -> None:
    """Warn of a certificate that expires soon, or of one above it that expires before it."""
    expires = facts.get("expires")
    if expires is not None and expires - now < within:
        ends = "expires" if expires > now else "expired"
        course.warnings.append(
            f"its certificate for {facts['subject']} {ends} {_when(expires, now)}"
        )
        return
    for each in facts.get("chain", ()):
        if each["expires"] is not None and each["expires"] - now < within:
            course.warnings.append(
                f"the certificate of {each['name']} above its own expires "
                f"{_when(each['expires'], now)}"
            )


def trouble(
    error: ssl.SSLCertVerificationError, facts: dict[str, Any], wanted: str, now: float
) -> str:
    """What is wrong with a certificate that was not trusted, in words."""
    code = error.verify_code
    what = f"its certificate for {facts.get('subject') or wanted}"
    by = f", issued by {facts['issuer']}," if facts.get("issuer") else ""
    if code == _EXPIRED:
        expires = facts.get("expires")
        if expires is not None and expires <= now:
            return f"{what}{by} expired {_when(expires, now)}"
        return f"{what}{by} stands on one that is expired: {_expired(facts, now)}"
    if code == _NOT_YET:
        return f"{what}{by} is not valid before {_date(facts.get('begins', 0))}"
    if code in (_OTHER_HOST, _OTHER_ADDRESS):
        return f"its certificate{by} is for {_listed(facts.get('names', ()))}, not for {wanted}"
    if code == _SELF_SIGNED:
        return f"{what} is signed by itself; to trust it, give it as ca"
    if code == _SELF_SIGNED_ROOT:
        return f"{what}{by} comes with a root that is not trusted; to trust that, give it as ca"
    if code in (_NO_ISSUER, _UNVERIFIABLE):
        alone = ", and the server sends no certificates between" if not facts.get("chain") else ""
        return f"{what}{by} cannot be traced to anybody who is trusted{alone}"
    return f"{what}{by} is not trusted: {error.verify_message}"


def _expired(facts: dict[str, Any], now: float) -> str:
    past = [each for each in facts.get("chain", ()) if (each["expires"] or now) < now]
    return ", ".join(f"{each['name']} {_when(each['expires'], now)}" for each in past) or "its root"


def _listed(names: Sequence[str]) -> str:
    if not names:
        return "no name at all"
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def _when(at: float, now: float) -> str:
    days = round(abs(at - now) / 86400, 1)
    distance = f"{days:g} day{'' if days == 1 else 's'}"
    return f"on {_date(at)}, {f'in {distance}' if at > now else f'{distance} ago'}"
