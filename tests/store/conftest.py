"""Stores in directories of their own, closed at the end."""

import sys

import histories
import pytest

from safepatch.__main__ import main
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


@pytest.fixture
def run(capfd, monkeypatch, tmp_path):
    """Run `safepatch store` here: its exit code, and what it wrote to each stream."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)

    def run(*arguments):
        code = main(["store", *map(str, arguments)])
        sys.stdout.flush()
        return code, *capfd.readouterr()

    return run


@pytest.fixture
def state(tmp_path, monkeypatch):
    """A store of three batches, at known times."""
    clock = histories.Clock()
    monkeypatch.setattr("safepatch.store.engines.journal.journal.time", clock)
    with Store(tmp_path / "state", every=0) as store:
        for key, document in histories.USERS.items():
            with store.transaction():
                store.root["users"][key] = document
    return tmp_path / "state"
