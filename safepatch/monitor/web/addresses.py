"""Whom a request comes from, and for whom it was meant."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from flask import Request

from safepatch.monitor.plan import Settings

#: How the names of headers begin by which proxies say that they are there.
_FORWARDED = (
    *("forwarded", "via", "x-forwarded", "x-original-", "x-real-ip", "x-client-ip", "x-envoy-"),
    *("true-client-ip", "cf-connecting-ip", "cdn-loop"),
)


def host_of(text: str) -> str:
    """The host of "host:port", "[::1]:8787" or "host", in lower case; "" if it is none."""
    try:
        parts = urlsplit(f"//{text}")
        is_one = parts.netloc == text and "@" not in text and (parts.port or True)
    except ValueError:
        return ""
    return (parts.hostname or "") if is_one else ""


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a text is, None if it is none; "::ffff:192.0.2.1" is 192.0.2.1."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed


def is_loopback(host: str) -> bool:
    """Whether only this machine is reached by it."""
    address = address_of(host)
    return host == "localhost" if address is None else address.is_loopback


def listens_on_loopback(settings: Settings) -> bool:
    """Whether only this machine can connect; an empty host is all of the machine's addresses."""
    return is_loopback(host_of(settings.listen))


def is_for_us(request: Request, settings: Settings) -> bool:
    """Whether its Host is one of ours.

    Where we listen on loopback, that is what keeps a site, whose name its owner lets lead to
    127.0.0.1, from having a browser read our pages for it (DNS rebinding). Elsewhere a login does.
    """
    if not listens_on_loopback(settings):
        return True
    host = host_of(request.headers.get("Host", ""))
    return is_loopback(host) or bool(host and host == (urlsplit(settings.url).hostname or ""))


def is_local(request: Request) -> bool:
    """Whether it comes from this machine, and not by a proxy on it, as far as that can be told."""
    return _seems_direct(request) and is_loopback(host_of(request.headers.get("Host", "")))


def _seems_direct(request: Request) -> bool:
    """Whether it comes from this machine, and nothing of it says that a proxy sends it.

    A proxy that is told nothing else (nginx before 1.29) names itself in no header and has our own
    address as Host, but asks by HTTP/1.0, as no browser and no client of today does.
    """
    return (
        request.environ.get("SERVER_PROTOCOL") == "HTTP/1.1"
        and is_loopback(request.remote_addr or "")
        and not any(name.lower().startswith(_FORWARDED) for name, _ in request.headers)
    )


def hidden_proxy(request: Request) -> str:
    """What gives away a proxy on this machine that does not name itself, "" if nothing does.

    That is a request that no browser on this machine makes, nor has one make for another site: for
    the name by which others come; or of one of our pages, that was read by such a name.
    """
    if not _seems_direct(request):
        return ""
    host = host_of(request.headers.get("Host", ""))
    if not is_loopback(host):
        return f"a request for the host {host!r}"
    is_style = request.path.startswith("/static/")  # which browsers let other sites not have
    asked_by = request.headers.get("Sec-Fetch-Site", "same-origin" if is_style else "none")
    page = host_of(netloc_of(request.headers.get("Referer", "")))
    if asked_by == "same-origin" and page and not is_loopback(page):
        return f"a request from our own page at {page!r}"
    return ""


def client(request: Request) -> str:
    """Whom limits count for: the address, the proxy's word for it if that is on this machine.

    Of an IPv6 address the network, since each customer has as many addresses as they like.
    """
    address = request.remote_addr or ""
    if is_loopback(address) and "X-Forwarded-For" in request.headers:
        address = request.headers["X-Forwarded-For"].rpartition(",")[2].strip()
    return network_of(address)


def network_of(address: str) -> str:
    """An IPv4 address, or the network of a customer with an IPv6 address."""
    parsed = address_of(address.partition("%")[0])
    if parsed is None:
        return address[:64]
    if parsed.version == 6:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)


def is_from_our_pages(request: Request) -> bool:
    """Whether a browser would say that it was sent by one of our own pages; programs say nothing.

    Only the host is compared, since a proxy may speak another scheme.
    """
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    sender = request.headers.get("Origin") or request.headers.get("Referer")  # of old browsers
    if sender is None:
        return True
    return netloc_of(sender) == request.headers.get("Host", "").lower()


def netloc_of(url: str) -> str:
    """Host and port of a URL, as it has them, in lower case."""
    return re.split(r"[/?#]", url.partition("://")[2].lower(), maxsplit=1)[0]
