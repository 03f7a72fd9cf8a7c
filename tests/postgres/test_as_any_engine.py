"""What is promised whatever keeps the documents, promised by PostgreSQL."""

import pytest
import test_durable
from test_collections import *  # noqa: F403
from test_durable import *  # noqa: F403
from test_transactions import *  # noqa: F403

# These are of files.
del test_what_a_call_wrote_is_in_the_files_when_it_returns  # noqa: F821
del test_refuses_a_store_in_snapshot_mode  # noqa: F821


class TestThreads(test_durable.TestThreads):
    # These look at calls of `os`.
    test_those_who_wait_for_the_disk_share_a_write = None
    test_who_only_reads_waits_for_what_it_read = None
    test_all_who_wait_are_told_of_a_failed_write = None


@pytest.fixture
def directory(url):
    return url


@pytest.fixture
def read(store, read):
    def after_closing():
        store.close()
        return read()

    return after_closing
