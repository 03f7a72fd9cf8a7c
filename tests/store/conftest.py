"""Stores in directories of their own, closed at the end."""

import pytest

from safepatch.store import Store
from safepatch.store.testing import without_syncs


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def store(directory):
    with Store(directory, every=0) as store:
        yield store


@pytest.fixture
def read(store, directory):
    """Close the store; all that is in its files, as plain dicts."""

    def read():
        store.close()
        with Store(directory, every=0) as again:
            return {name: dict(documents) for name, documents in again.root.items()}

    return read


@pytest.fixture
def no_syncs():
    with without_syncs():
        yield
