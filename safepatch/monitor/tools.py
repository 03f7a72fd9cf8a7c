"""What the checks of one monitor share."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from safepatch.monitor.courses import CheckError
from safepatch.monitor.guarding import Network, networks
from safepatch.monitor.names.resolving import Resolving
from safepatch.monitor.plan import Options


class Tools:
    """What the checks of one monitor share, for the greenlets of the thread that made it, until it
    is closed.

    `private` are networks that may be asked though they are private ("10.0.0.0/8", "any"), in
    addition to what each endpoint allows. `dns_ttl` is how many seconds answers of DNS are kept, by
    a patch that `close` undoes; with 0 there is none. `dns_servers` are asked instead of the
    system's. `clock` is monotonic and `time` since 1970, both in seconds; `environ` has passwords.
    Raises ValueError for networks that are none.
    """

    def __init__(
        self,
        *,
        private: Sequence[str] = (),
        dns_ttl: float = 300.0,
        dns_servers: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
        time: Callable[[], float] = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.private: tuple[Network, ...] = networks(tuple(private))
        self.clock, self.time, self.environ = clock, time, environ
        self.certificates: dict[bytes, bytes] = {}
        self.beats: Any = None  # what jobs have reported, to a monitor that runs
        # Whether a page, by its digest, is known to who asks for facts of an endpoint.
        self.familiar: Callable[[str, str], bool] = lambda name, digest: False
        self._contexts: dict[tuple[Any, ...], tuple[list[int], ssl.SSLContext]] = {}
        self._kept: dict[str, Any] = {}
        self.resolving = Resolving(ttl=dns_ttl, servers=dns_servers, clock=clock)

    def __enter__(self) -> Tools:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Undo the patch of DNS, and close what was kept. May be called twice."""
        self.resolving.close()
        while self._kept:
            _, kept = self._kept.popitem()
            kept.close()

    def keep(self, name: str, make: Callable[[], Any]) -> Any:
        """The one thing of that name, made when it is first asked for, closed with these tools."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    def secret(self, variable: str) -> str:
        """The value of an environment variable. Raises CheckError("internal") if it has none."""
        try:
            return self.environ[variable]
        except KeyError:
            raise CheckError(
                "internal", f"the environment variable {variable} is not set; set it, and restart"
            ) from None

    def context(self, options: Options, *, alpn: bool = False, ours: bool = True) -> ssl.SSLContext:
        """The context for TLS as in `options`, shared by all that say the same.

        With `alpn` it asks for HTTP/1.1. Unless the host is `ours`, it shows no certificate of
        ours. Files that changed are read anew. Raises CheckError("internal") for those that
        cannot be used.
        """
        certificate, key = (options.certificate, options.key) if ours else ("", "")
        return self._context(alpn, options.verify, options.ca, certificate, key)

    def careless(self) -> ssl.SSLContext:
        """A context that trusts any certificate, for looking at those that are not trusted."""
        return self._context(False, False, "", "", "")

    def _context(self, alpn: bool, verify: bool, *files: str) -> ssl.SSLContext:
        said = (alpn, verify, *files)
        states = [_state(file) for file in files if file]
        states_before, context = self._contexts.get(said, (None, None))
        if context is None or states_before != states:
            context = _context(alpn, verify, *files)
            self._contexts[said] = states, context
        return context


def _state(file: str) -> int:
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return 0


def _context(alpn: bool, verify: bool, ca: str, certificate: str, key: str) -> ssl.SSLContext:
    try:
        # Takes some 60 ms, for it reads all certificates that the system trusts.
        context = ssl.create_default_context(cafile=ca or None)
        if certificate:
            context.load_cert_chain(certificate, key or None, _no_password)
    except (OSError, ValueError) as error:
        names = ", ".join(filter(None, (ca, certificate, key)))
        raise CheckError("internal", f"cannot use the certificates of {names}: {error}") from error
    # As browsers have it; the same on all Pythons, of which 3.13 is the first to be strict. And who
    # gives a certificate as `ca` trusts it, even if it is no authority's.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(["http/1.1"])
    return context


def _no_password() -> str:
    raise ValueError("the key has a password; give one without")
