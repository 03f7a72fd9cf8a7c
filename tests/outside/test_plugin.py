"""Other people's tests come to the same under the pytest plugin, with a patch for the whole run."""

import os
import pathlib
from concurrent import futures

import suites

LOOPBACK = ("-q", "--allow-hosts=localhost,127.0.0.1,::1,127.0.0.0", "--allow-unix-socket")
SOURCES = pathlib.Path(os.environ["OUTSIDE_SOURCES"])


def run(report, *options):
    excluded = [one for entry in suites.exclusions("requests") for one in entry.get("not_run", ())]
    wanted = ["-k", " and ".join(f"not {part}" for part in excluded)] if excluded else []
    pytest = ["-m", "pytest", *LOOPBACK, "-p", "no:cacheprovider", "--junit-xml", report]
    return suites.outcomes(
        [*pytest, *options, *wanted, "tests"], report=report, cwd=SOURCES / "requests", deadline=600
    )


def test_requests_own_tests_come_to_the_same_with_a_dns_cache_and_leave_nothing(tmp_path):
    watching = "safepatch_watch=socket:getaddrinfo time:sleep"  # and a leak is a failure
    with futures.ThreadPoolExecutor(2) as pool:
        plain = pool.submit(run, tmp_path / "without.xml", "-p", "no:safepatch")
        patched = pool.submit(
            run, tmp_path / "with.xml", "--safepatch", "dns-cache", "-o", watching
        )
    without, with_patch = plain.result(), patched.result()
    surprises = suites.differences(without, with_patch)
    if surprises:
        print("once more, one after the other, since these surprise:", surprises)
        without = run(tmp_path / "without.xml", "-p", "no:safepatch")
        with_patch = run(tmp_path / "with.xml", "--safepatch", "dns-cache", "-o", watching)
        surprises = surprises.keys() & suites.differences(without, with_patch).keys()

    print(suites.counts(without, with_patch))
    assert len(without) > 600
    assert not surprises
