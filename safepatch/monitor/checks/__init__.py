"""Checks of the kinds that there are, each a function that is imported when it is first needed."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gevent import get_hub
from gevent._hub_local import get_hub_if_exists

from safepatch.monitor.plan import Endpoint
from safepatch.monitor.results import Result
from safepatch.monitor.tools import Tools

Check = Callable[[Endpoint, Tools], Result]

_MODULES = {
    "http": "http",
    "https": "http",
    "tcp": "tcp",
    "tls": "tls",
    "icmp": "icmp",
    "smtp": "smtp",
    "smtps": "smtp",
    "mx": "mx",
    "dns": "dns",
    "beat": "beats",
}


class _Kinds(Mapping[str, Check]):
    """The functions by kind; those of one module are called `check`, or `check_KIND`."""

    def __init__(self) -> None:
        self._found: dict[str, Check] = {}

    def __getitem__(self, kind: str) -> Check:
        try:
            return self._found[kind]
        except KeyError:
            module = importlib.import_module(f"{__name__}.{_MODULES[kind]}")
            check: Check = getattr(module, f"check_{kind}", None) or module.check
            return self._found.setdefault(kind, check)

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


KINDS: Mapping[str, Check] = _Kinds()


def run(endpoint: Endpoint, tools: Tools) -> Result:
    """Check an endpoint, in the greenlet of the caller. Raises no Exception.

    One whose kind is not known is tried in several ways, as `detecting.detect` does.
    """
    kind = endpoint.kind
    if kind and kind not in _MODULES:
        message = f"{kind!r} is no kind of check; there are {', '.join(KINDS)}"
    else:
        try:
            return KINDS[kind](endpoint, tools) if kind else _detect(endpoint, tools)
        except Exception as error:
            message = f"the check itself failed: {type(error).__name__}: {error}"
    return Result(name=endpoint.name, at=tools.time(), error="internal", message=message)


def _detect(endpoint: Endpoint, tools: Tools) -> Result:
    detecting = importlib.import_module("safepatch.monitor.checks.detecting")
    result: Result = detecting.detect(endpoint, tools)[1]
    return result


def check(address: str, **options: Any) -> Result:
    """Check an address once, with options as an endpoint has in a file, and say what it came to.

    ::

        result = check("https://example.com/health", status=200, timeout="5s", json={"ok": True})
        if not result.ok:
            print(result.message)

    DNS is asked each time, and nothing is patched. Raises PlanError, a ValueError, for an address
    or options that are wrong; never because of what is checked. May be called from any thread or
    greenlet.
    """
    sources = importlib.import_module("safepatch.monitor.sources")
    plan = sources.read({"endpoints": {address: {"address": address, **options}}})
    endpoint = plan.endpoints[address]
    had_hub = get_hub_if_exists() is not None
    try:
        with Tools(dns_ttl=0) as tools:
            return run(endpoint, tools)
    finally:
        if not had_hub:
            get_hub().destroy()  # nobody else would when this thread ends
