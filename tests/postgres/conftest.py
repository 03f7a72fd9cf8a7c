"""A server for all tests, and tables of its own for each."""

import itertools

import pytest
from postgres_servers import Proxy, Server, programs
from writers import Program

from safepatch.store import Store
from safepatch.store.followers import Follower

_numbers = itertools.count()


@pytest.fixture(scope="session")
def one_server():
    if programs() is None:
        pytest.skip("no PostgreSQL server is installed; Debian's package is named postgresql")
    server = Server()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def server(one_server):
    """The server, which runs again after the test."""
    yield one_server
    if one_server.process is None:
        one_server.start()


@pytest.fixture
def schema(server):
    """Where a test has its tables."""
    name = f"test{next(_numbers)}"
    server.execute(f"CREATE SCHEMA {name}")
    return name


@pytest.fixture
def url(server, schema):
    return server.url(schema=schema)


@pytest.fixture
def store(url):
    with Store(url, every=0) as store:
        yield store


@pytest.fixture
def read(url):
    """Open a store and close it; all that is in it, as plain dicts."""

    def read(**options):
        with Store(url, every=0, **options) as again:
            return {name: dict(documents) for name, documents in again.root.items()}

    return read


@pytest.fixture
def follower(url, store):
    assert store.root == {}
    with Follower(url) as follower:
        yield follower


@pytest.fixture
def proxy(server):
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def through(server, schema, proxy):
    """The address of the same tables, through the proxy."""
    return server.url(port=proxy.port, schema=schema)


@pytest.fixture
def start():
    """Start `writing.py`, with arguments; it ends with the test."""
    started = []

    def start(*arguments):
        started.append(Program(*arguments))
        return started[-1]

    yield start
    for program in started:
        program.kill()
