"""Checks as a monitor makes them: with tools that patch no DNS, on loopback."""

import pytest


@pytest.fixture
def tools():
    pytest.importorskip("httptools", reason="checks need the extra `monitor`")
    from safepatch.monitor.tools import Tools

    with Tools(dns_ttl=0) as made:
        yield made


@pytest.fixture
def checked(tools):
    """A function that checks an address with some options."""
    import msgspec

    from safepatch.monitor import checks
    from safepatch.monitor.plan import Endpoint, Options

    def run(address, **options):
        return checks.run(Endpoint("it", address, msgspec.convert(options, Options)), tools)

    return run
