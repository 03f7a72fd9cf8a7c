"""Other people's tests come to the same under the pytest plugin, with a patch for the whole run."""

import os
import pathlib
from concurrent import futures

import pytest
import suites

LOOPBACK = ("-q", "--allow-hosts=localhost,127.0.0.1,::1,127.0.0.0", "--allow-unix-socket")
SOURCES = pathlib.Path(os.environ["OUTSIDE_SOURCES"])
# What to run, and how many tests that is at least. One file of urllib3's takes as long as all
# others together; it runs in test_closures.py, over the same patch.
PACKAGES = {
    "requests": (["tests"], 600),
    "urllib3": (["test", "--ignore=test/with_dummyserver/test_proxy_poolmanager.py"], 2500),
}
# Threads that tests have left behind are not waited for: those of servers may never end.
PYTEST = "import os, sys, pytest; code = pytest.main(); sys.stdout.flush(); os._exit(code)"
WITHOUT = ("-p", "no:safepatch")
# And a leak is a failure.
WITH = ("--safepatch", "dns-cache", "-o", "safepatch_watch=socket:getaddrinfo time:sleep")


def run(name, report, *options):
    excluded = [one for entry in suites.exclusions(name) for one in entry.get("not_run", ())]
    wanted = ["-k", " and ".join(f"not {part}" for part in excluded)]
    runner = [
        "-m",
        "pytest",
        *LOOPBACK,
        *suites.HANG,
        "-p",
        "no:cacheprovider",
        "--junit-xml",
        report,
    ]
    return suites.outcomes(
        [*runner, *options, *wanted, *PACKAGES[name][0]],
        report=report,
        cwd=SOURCES / name,
        deadline=600,
    )


@pytest.mark.parametrize("name", PACKAGES)
def test_a_packages_tests_come_to_the_same_with_a_dns_cache_and_leave_nothing(name, tmp_path):
    with futures.ThreadPoolExecutor(2) as pool:
        plain = pool.submit(run, name, tmp_path / "without.xml", *WITHOUT)
        patched = pool.submit(run, name, tmp_path / "with.xml", *WITH)
    without, with_patch = plain.result(), patched.result()
    surprises = suites.differences(without, with_patch)
    if surprises:
        print("once more, one after the other, since these surprise:", surprises)
        without = run(name, tmp_path / "without.xml", *WITHOUT)
        with_patch = run(name, tmp_path / "with.xml", *WITH)
        surprises = surprises.keys() & suites.differences(without, with_patch).keys()

    print(suites.counts(without, with_patch))
    assert len(without) > PACKAGES[name][1]
    assert not surprises
