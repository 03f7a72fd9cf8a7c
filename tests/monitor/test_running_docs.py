"""What docs/monitor/running.md says of options and files is so."""

import pytest

pytest.importorskip("httptools", reason="sources need the extra `monitor`")

from safepatch.cli import monitoring
from safepatch.monitor import sources

FILE = """
[monitor]
listen = "127.0.0.1:9"
{}
[endpoints]
a = "a.example"
b = {{ address = "b.example", interval = 20 }}
"""


@pytest.fixture
def read(tmp_path):
    """What a file and options come to together, as commands have it."""

    def run(more="", *, interval=30.0, **settings):
        (tmp_path / "sites.toml").write_text(FILE.format(more))
        given = monitoring.with_defaults((str(tmp_path / "sites.toml"),), interval, None, False)
        return sources.read(given, settings=settings)

    return run


def test_an_option_is_for_endpoints_of_which_no_source_says_it(read):
    endpoints = read().endpoints

    assert (endpoints["a"].options.interval, endpoints["b"].options.interval) == (30, 20)


def test_an_option_and_defaults_that_say_different_things_are_an_error(read):
    with pytest.raises(sources.PlanError, match="interval"):
        read("[defaults]\ninterval = 60")


def test_listen_wins_over_what_a_file_says(read):
    assert read(listen="127.0.0.1:1").settings.listen == "127.0.0.1:1"
