"""Other people's tests come to the same with a closure on everything that they test.

The closure is the most naive one there is, so whatever differs is for safepatch to answer for,
unless the same closure put there by hand makes the same difference.
"""

import importlib.util
import json
import os
import pathlib
import platform
from concurrent import futures
from typing import NamedTuple

import pytest
import suites

RUNNER = pathlib.Path(__file__).with_name("patched_run.py")


class Suite(NamedTuple):
    """The tests that are run, and the modules that are patched; `least` targets, or more."""

    modules: str
    tests: tuple[str, ...]
    least: int
    ways: tuple[str, ...] = ("by_name", "in_place")
    options: tuple[str, ...] = ()
    deadline: int = 600  # seconds, on a machine that is busy with something else


ASYNCIO = "asyncio,asyncio.tasks,asyncio.streams"
CPYTHON = {
    "test_json": Suite("json,json.decoder,json.encoder,json.scanner", ("test.test_json",), 250),
    "test_tempfile": Suite("tempfile", ("test.test_tempfile",), 120),
    "test_socket": Suite("socket", ("test.test_socket",), 350),
    "test_tasks": Suite(ASYNCIO, ("test.test_asyncio.test_tasks",), 180),
    "test_streams": Suite(ASYNCIO, ("test.test_asyncio.test_streams",), 180),
}
LOOPBACK = ("-q", "--allow-hosts=localhost,127.0.0.1,::1,127.0.0.0", "--allow-unix-socket")
DNS_CACHE = ("--recipe", "dns-cache")
PACKAGES = {
    "requests": Suite("requests.*", (*LOOPBACK, *suites.HANG, "tests"), 3000, options=DNS_CACHE),
    "urllib3": Suite(
        "urllib3.*,urllib3.contrib.socks,urllib3.http2.connection",
        (*LOOPBACK, *suites.HANG, "test"),
        2000,
        ways=("by_name",),
        options=DNS_CACHE,
    ),
}


def run(way, suite, tmp_path, cwd, runner, left_out):
    """What each test came to, and what the runner tells."""
    report = tmp_path / f"{way}.xml"
    asked = ["--way", way, "--report", report, "--modules", suite.modules, *suite.options]
    asked += ["--deadline", suite.deadline, *(f"--leave-out={one}" for one in left_out)]
    came_to = suites.outcomes(
        [RUNNER, *asked, "--", runner, *suite.tests],
        report=report,
        cwd=cwd,
        deadline=suite.deadline + 30,
    )
    return came_to, json.loads(report.with_suffix(".json").read_text())


def compare(name, suite, tmp_path, cwd, runner):
    """Assert that a suite comes to the same in all the ways, but for what exclusions.toml says."""
    excluded = suites.exclusions(name)
    left_out = [one for entry in excluded for one in entry.get("not_run", ())]

    def in_way(way):
        return run(way, suite, tmp_path, cwd, runner, left_out)

    with futures.ThreadPoolExecutor(2) as pool:
        (without, unpatched), *runs = pool.map(in_way, ["nothing", *suite.ways])
    figures = [len(without)]
    by_hand = None
    for way, (came_to, told) in zip(suite.ways, runs, strict=True):
        print(f"{name} {way}: {len(came_to)} tests, {told['patched']} targets patched, of which")
        print(f"{told['called']} were called; {len(told['refused'])} refused:", *told["refused"])
        differing = suites.differences(without, came_to)
        patterns = [
            pattern
            for entry in excluded
            if way in entry.get("ways", suite.ways)
            for pattern in entry.get("tests", ())
        ]

        # Some modules replace a function of theirs when it is first called, and a test may leave
        # behind what it set; where a patch stood, that is undone with it.
        assert set(told["not given back"]) <= set(unpatched["not given back"])
        assert told["patched"] >= suite.least
        assert told["called"] >= 30  # else the tests went past the closures, and show nothing
        surprises = suites.surprises(patterns, without, came_to)
        if surprises:
            # A test that races with its own server or clock comes to the one or the other by
            # itself. What is for us to answer for differs again.
            print("once more, since these surprise:", surprises)
            once_more = in_way("nothing")[0], in_way(way)[0]
            surprises = surprises.keys() & suites.surprises(patterns, *once_more).keys()
            again = suites.differences(*once_more)
            differing = {test: how for test, how in differing.items() if test in again}
        assert not surprises
        if differing:
            by_hand = by_hand or in_way("by_hand")
            assert differing.items() <= suites.differences(without, by_hand[0]).items()
        figures += [told["patched"], len(came_to) - len(differing)]
    # Other versions have other tests, and modules that offer more.
    if platform.python_version() == "3.11.7":
        assert tuple(figures) == suites.documented(name)


@pytest.mark.parametrize("name", CPYTHON)
def test_cpythons_own_tests_come_to_the_same(name, tmp_path):
    suite = CPYTHON[name]
    if importlib.util.find_spec("test") is None:
        pytest.skip("this Python was packaged without its own tests, the module `test`")

    compare(name, suite, tmp_path, tmp_path, "unittest")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_packages_tests_come_to_the_same_over_it_and_a_dns_cache(name, tmp_path):
    cwd = pathlib.Path(os.environ["OUTSIDE_SOURCES"]) / name

    compare(name, PACKAGES[name], tmp_path, cwd, "pytest")
