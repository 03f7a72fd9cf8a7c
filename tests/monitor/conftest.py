"""Checks as a monitor makes them: with tools that patch no DNS, on loopback."""

import pytest


@pytest.fixture
def own_hub():
    """Ends gevent's hub of this thread after the test. To be asked for first."""
    yield
    import hubs

    hubs.end()


@pytest.fixture
def tools(own_hub):
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
