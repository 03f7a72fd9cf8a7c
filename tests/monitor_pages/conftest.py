"""A browser, and a process that serves pages for it."""

import os
import pathlib
import shutil
import subprocess
import sys
from urllib.parse import quote

import pytest

HERE = pathlib.Path(__file__).parent
CHROMIUM = os.environ.get("SAFEPATCH_CHROMIUM") or shutil.which("chromium")

PAGES = {
    "overview": "/",
    "endpoint": "/endpoint?name=Checkout",
    "year": "/endpoint?name=Checkout&range=year",
    "incidents": "/incidents",
    "incident": "/incidents/1",
    "alerts": "/alerts",
    "pace": "/pace",
    "status": "/status",
    "missing": f"/endpoint?name={quote('<b>')}",
}


class Served:
    """The address of the pages, and a way to change what they show."""

    def __init__(self, *options):
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "served.py"), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def tell(self, line):
        """Have an endpoint be up or down: "down Mail"."""
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.process.stdout.close()


@pytest.fixture
def served():
    made = Served()
    yield made
    made.close()


@pytest.fixture(scope="session")
def still():
    """One for all tests, which do not change it."""
    made = Served()
    yield made
    made.close()


@pytest.fixture
def served_with_login():
    made = Served("login")
    yield made
    made.close()


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="in the group `pages`")
    if not CHROMIUM:
        pytest.skip("no chromium here")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture
def visit(browser):
    """Open a page; what it complains of fails the test."""
    contexts, complaints = [], []

    def open_(url, *, width=1280, dark=False, **options):
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.complaints = complaints
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
