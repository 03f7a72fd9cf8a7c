"""The example that newcomers run first, as they run it."""

import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

import safepatch

# The package as it is installed; the examples are not.
ROOT = pathlib.Path(safepatch.__file__).parents[1]
EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"

ENOUGH = 20  # seconds, after which a process is taken to hang

for needed in ("gevent", "urllib3", "dnslib"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"the crawler needs {needed}", allow_module_level=True)


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "crawler.py"), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def start():
    """Runs source in a session of its own, in which the example is `crawler`."""
    started = []

    def start(source, *arguments):
        command = [sys.executable, "-W", "error", "-c", f"import crawler\n{source}", *arguments]
        process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(EXAMPLES)])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def crawl(*arguments):
    ran = run(*arguments)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
    return ran.stdout


@pytest.fixture(scope="module")
def loopback():
    file = EXAMPLES / "loopback.py"
    spec = importlib.util.spec_from_file_location("loopback", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def servers(loopback):
    with loopback.Loopback() as running:
        yield running


def test_servers_that_died_are_told_of_and_can_be_left(loopback):
    with loopback.Loopback() as servers:
        servers._process.kill()
        servers._process.wait()

        with pytest.raises(RuntimeError, match="the loopback servers ended with exit status -9"):
            servers.queries()


def test_offline_the_dns_server_is_asked_once_a_host_for_each_kind_of_address():
    results = json.loads(crawl("--hosts=20", "--requests-per-host=4", "--json"))

    unpatched, patched, kinds = results["unpatched"], results["patched"], results["per_miss"]
    assert unpatched["requests"] == patched["requests"] == 80
    assert unpatched["errors"] == patched["errors"] == 0
    assert kinds in (1, 2)  # A, and AAAA where there is IPv6
    assert unpatched["queries"] == 80 * kinds
    assert results["misses"] == 20
    assert patched["queries"] == 20 * kinds


def test_it_prints_a_table_what_it_means_and_who_patched_the_resolver():
    printed = crawl("--hosts=2", "--requests-per-host=2")

    caption, how, empty, head, *rest = printed.split("\n")
    assert caption == "Crawling twice, as things are and with dns-cache:"
    assert how == "4 requests to 2 URLs, 50 at a time, each over a new connection."
    assert empty == ""
    assert head.split()[:3] == ["requests", "errors", "queries"]
    assert [row.split()[:3] for row in rest[:2]] == [
        ["unpatched", "4", "0"],
        ["patched", "4", "0"],
    ]
    assert "p50, p99: half of the requests, and 99 in 100, took no longer." in rest
    assert "2.0 times fewer queries. The cache missed 2 times, and asked for A" in printed
    assert " each time:\n2 x " in printed
    assert "\n# gevent.resolver:AbstractResolver.getaddrinfo\n@DnsCache.getaddrinfo(" in printed


def test_it_crawls_urls_from_the_command_line_and_from_a_file(servers, tmp_path):
    local = f"http://localhost:{servers.http_port}/"
    numeric = f"http://127.0.0.1:{servers.http_port}/"
    file = tmp_path / "urls.txt"
    file.write_text(f"# two of them\n{numeric}\n\n{local}path\n")

    results = json.loads(crawl(local, f"--file={file}", "--requests-per-host=2", "--json"))

    assert results["unpatched"]["requests"] == results["unpatched"]["lookups"] == 6
    assert results["patched"]["errors"] == 0
    assert results["patched"]["lookups"] == results["misses"] == 2


def test_a_file_may_begin_with_a_byte_order_mark(servers, tmp_path):
    file = tmp_path / "urls.txt"
    file.write_text(f"http://127.0.0.1:{servers.http_port}/", encoding="utf-8-sig")

    results = json.loads(crawl(f"--file={file}", "--requests-per-host=1", "--json"))

    assert (results["unpatched"]["requests"], results["unpatched"]["errors"]) == (1, 0)


def test_a_url_may_have_its_scheme_in_capitals(servers):
    url = f"HTTP://127.0.0.1:{servers.http_port}/"

    results = json.loads(crawl(url, "--requests-per-host=1", "--json"))

    assert results["unpatched"]["errors"] == 0


def test_urls_that_fail_are_counted(servers):
    results = json.loads(crawl("http://127.0.0.1:1/", "--requests-per-host=2", "--json"))

    assert results["unpatched"]["errors"] == results["patched"]["errors"] == 2


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_it_ends_quietly_when_nobody_reads_what_it_prints(start, arguments):
    crawling = start("crawler.main()", "--hosts=1", *arguments)
    crawling.stdout.close()

    assert crawling.stderr.read() == ""
    assert crawling.wait(timeout=ENOUGH) == 1


@pytest.mark.parametrize("named", ["dns-cache", "gevent.resolver:AbstractResolver.getaddrinfo"])
def test_where_the_patch_is_switched_off_it_says_so_and_what_was_measured(named):
    ran = run("--hosts=2", "--requests-per-host=2", SAFEPATCH_DISABLE=named)

    assert ran.returncode == 0
    assert "Traceback" not in ran.stderr
    assert "unpatched          4         0" in ran.stdout
    assert "dns-cache is switched off: SAFEPATCH_DISABLE names it" in ran.stdout


def test_where_the_patch_is_switched_off_json_has_no_more_than_was_measured():
    ran = run("--hosts=2", "--requests-per-host=2", "--json", SAFEPATCH_DISABLE="*")

    results = json.loads(ran.stdout)
    assert results["unpatched"]["requests"] == 4
    assert results["switched_off"] == "SAFEPATCH_DISABLE names it"
    assert "patched" not in results


def test_where_no_lookups_can_be_counted_it_says_so():
    ran = run("http://127.0.0.1:1/", SAFEPATCH_DISABLE="*")

    assert ran.returncode == 1
    assert "cannot count lookups: SAFEPATCH_DISABLE names it" in ran.stderr
    assert "Traceback" not in ran.stderr


TOLD = """
import json, sys

print(crawler.told(json.loads(sys.argv[1]), sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("counted", "why"),
    [
        ("queries", "the resolver asked some again, because answers came late"),
        ("lookups", "the rest went past the cache"),
    ],
)
def test_a_sum_that_does_not_hold_is_explained(start, counted, why):
    row = {"requests": 3, "errors": 0, counted: 12}
    results = {"unpatched": row, "patched": row, "misses": 3, "per_miss": 2}

    printed, _ = start(TOLD, json.dumps(results), counted).communicate(timeout=ENOUGH)

    assert f"3 x 2 != 12 {counted}: {why}" in printed
    assert f"No fewer {counted}." in printed


TELLING_FETCHES = """
import safepatch

def telling(fetch):
    def told(url):
        print("fetching", flush=True)
        return fetch(url)
    return told

safepatch.apply("crawler:fetch", telling)
crawler.main()
"""


def test_ctrl_c_ends_it_at_once_and_quietly(start):
    """Also while all of the pool waits for a DNS server, which belongs to the same terminal."""
    crawling = start(TELLING_FETCHES, "--json", "--latency=10", "--concurrency=20")
    for _ in range(20):
        assert crawling.stdout.readline() == "fetching\n"

    os.killpg(crawling.pid, signal.SIGINT)
    printed, complaints = crawling.communicate(timeout=ENOUGH)

    assert (crawling.returncode, printed, complaints) == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["example.com"],
            "'example.com' is no URL to fetch; write it like 'https://example.com/'",
        ),
        (
            ["ftp://host/"],
            "'ftp://host/' is no URL to fetch; write it like 'https://example.com/'",
        ),
        (["http://"], "'http://' is no URL to fetch"),
        (["http:///x"], "'http:///x' is no URL to fetch"),
        (["http://:80/"], "'http://:80/' is no URL to fetch"),
        (["http://[::1"], "'http://[::1' is no URL to fetch"),
        (["http://host:99999/"], "'http://host:99999/' is no URL to fetch"),
        (["--file=/nowhere/urls.txt"], "cannot read URLs from '/nowhere/urls.txt': No such file"),
        (["--file=/dev/null"], "there are no URLs in '/dev/null'; write one a line"),
        (["--file={tmp_path}/binary"], "binary': it is no text in UTF-8"),
        (["--hosts=0"], "0 is too few; give 1 or more"),
        (["--latency=-1"], "-1 is no latency; give seconds from 0 to 10"),
        (["--latency=nan"], "nan is no latency; give seconds from 0 to 10"),
        (["--latency=inf"], "inf is no latency; give seconds from 0 to 10"),
    ],
)
def test_wrong_arguments_are_told_plainly(arguments, message, tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfeh\0t\0t\0p\0")

    ran = run(*(argument.format(tmp_path=tmp_path) for argument in arguments))

    assert ran.returncode == 2
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
