"""What every engine promises: all that is tested of collections and transactions, and more."""

import gc

import pytest
from engines import ENGINES
from test_collections import *  # noqa: F403
from test_durable import *  # noqa: F403
from test_transactions import *  # noqa: F403

from safepatch.store import Store, durable


@pytest.fixture(params=ENGINES)
def engine(request, tmp_path):
    return ENGINES[request.param](tmp_path)


@pytest.fixture
def directory(engine):
    return engine[0][0]


@pytest.fixture
def opened(engine):
    """Another object for the same store, not opened yet."""
    (path,), options = engine
    return lambda **more: Store(path, **{"every": 0, **options, **more})


@pytest.fixture
def store(opened):
    with opened() as store:
        yield store


@pytest.fixture
def read(store, opened):
    def read():
        store.close()
        with opened() as again:
            return {name: dict(documents) for name, documents in again.root.items()}

    return read
