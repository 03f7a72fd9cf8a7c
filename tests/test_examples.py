"""The examples run as they are shown, and do what they are there to show."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest
from children import run_python

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def need(module):
    """Skip the test where a module is not installed; it is not imported here, where it would hold
    functions of json that other tests patch."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"the example needs {module}")


def run(name, *arguments):
    """What an example prints; no warning may come of it."""
    return run_python("-W", "error", str(EXAMPLES / f"{name}.py"), *arguments).split("\n")


def test_fib_calls_itself_once_for_each_number_when_it_is_memoised():
    assert run("fib", "20") == [
        "as it is: fib(20) = 6765, in 21,891 calls",
        "memoised: fib(20) = 6765, in 21 calls",
    ]


def test_a_client_that_does_not_retry_does_with_a_patch():
    need("requests")
    printed = run("retried")

    assert printed[:4] == [
        "as it is: ConnectionError",
        "  attempt 1 failed",
        "  attempt 2 failed",
        "retried: {'apple': 3}",
    ]
    assert printed[5] == "# requests:Session.send"


def test_a_client_of_aiohttp_retries_and_looks_its_host_up_once():
    need("aiohttp")
    printed = run("aiohttp_client")

    assert printed[:5] == [
        "as it is: 503, 1 lookup",
        "patched: {'place': 'Oslo', 'sun': True}",
        "patched: {'place': 'Rome', 'sun': True}",
        "patched: {'place': 'Lima', 'sun': True}",
        "for all of them 1 lookup",
    ]


NEEDS = {"retried": "requests", "aiohttp_client": "aiohttp"}


@pytest.mark.parametrize("name", NEEDS)
def test_an_example_says_what_to_install(name, tmp_path):
    (tmp_path / f"{NEEDS[name]}.py").write_text("raise ImportError('No module named it')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {name}"
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=EXAMPLES, capture_output=True, text=True, timeout=30
    )

    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"No module named it; install it with: pip install {NEEDS[name]}\n"


def test_every_example_is_run_by_a_test():
    tested = {"fib", "retried", "aiohttp_client"}
    elsewhere = {"crawler", "loopback"}  # in test_crawler.py

    assert {path.stem for path in EXAMPLES.glob("*.py")} == tested | elsewhere
