"""The files that docs/howto/web-servers.md shows, run by what they are for."""

import contextlib
import os
import pathlib
import re
import select
import subprocess
import sys
import urllib.request

import pytest
from children import ROOT, run_python

DOCS = pathlib.Path(__file__).parents[2] / "docs"
FILES = re.compile(r"^```\{code-block\} python\n:caption: (\S+)\n(.*?)^```$", re.M | re.S)
PATCHED = "@DnsCache.getaddrinfo("


@pytest.fixture
def files(tmp_path):
    """A directory with the files of the page."""
    for name, text in FILES.findall((DOCS / "howto" / "web-servers.md").read_text()):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_all_files_that_the_page_shows_run_here(files):
    shown = {str(file.relative_to(files)) for file in files.rglob("*.py")}

    assert shown == {
        "patches.py",
        "flask/app.py",
        "fastapi/app.py",
        "django/shop/apps.py",
        "gunicorn.conf.py",
        "celery/tasks.py",
    }


def test_flask_applies_them(files):
    printed = run_python(
        "-c",
        "from app import app; print(app.test_client().get('/patches').text)",
        path=[files, files / "flask"],
    )

    assert PATCHED in printed


ASK_ASGI = """
import asyncio
from app import app

async def ask(path):
    told = []
    async def receive():
        return {"type": "http.request", "body": b""}
    async def send(message):
        told.append(message.get("body", b"").decode())
    scope = {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": b""}
    await app(scope, receive, send)
    return "".join(told)

print(asyncio.run(ask("/patches")))
"""


def test_fastapi_applies_them(files):
    assert PATCHED in run_python("-c", ASK_ASGI, path=[files, files / "fastapi"])


ASK_DJANGO = """
import django, safepatch
from django.conf import settings

settings.configure(INSTALLED_APPS=["shop"])
django.setup()
print(safepatch.explain("socket:getaddrinfo"))
"""


def test_django_applies_them(files):
    (files / "django" / "shop" / "__init__.py").touch()

    assert PATCHED in run_python("-c", ASK_DJANGO, path=[files, files / "django"])


CELERY_BY_FILES = """
import pathlib
from tasks import app, who_patched

at = pathlib.Path(__file__).parent / "queue"
at.mkdir(exist_ok=True)
app.conf.broker_url = "filesystem://"
app.conf.broker_transport_options = {
    "data_folder_in": str(at), "data_folder_out": str(at), "control_folder": str(at)
}
app.conf.result_backend = f"file://{at}"
"""


def test_celery_applies_them_in_the_processes_of_its_pool(files):
    (files / "by_files.py").write_text(CELERY_BY_FILES)
    path = os.pathsep.join(map(str, [ROOT, files, files / "celery"]))
    command = [sys.executable, "-m", "celery", "-A", "by_files", "worker", "-P", "prefork"]
    worker = subprocess.Popen(
        [*command, "-c", "1", "--without-mingle", "--without-gossip", "-l", "ERROR"],
        cwd=files,
        env={**os.environ, "PYTHONPATH": path, "C_FORCE_ROOT": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        asked = "import by_files; print(by_files.who_patched.delay().get(timeout=25))"
        told = run_python("-c", asked, path=[files, files / "celery"])
    finally:
        worker.terminate()
        worker.wait(timeout=30)

    assert PATCHED in told


@contextlib.contextmanager
def gunicorn(files, *options):
    """A gunicorn with one worker; the URL it listens at."""
    command = [sys.executable, "-m", "gunicorn", "app:app", "-b", "127.0.0.1:0", *options]
    process = subprocess.Popen(
        command,
        cwd=files / "flask",
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{files}", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield listening(process)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def listening(process):
    told = ""
    while select.select([process.stdout], [], [], 20)[0] and (line := process.stdout.readline()):
        told += line
        if found := re.search(r"Listening at: (http://\S+)", line):
            return found[1]
    raise AssertionError(f"gunicorn does not listen:\n{told}")


# The page says the same of all of them, and each starts its workers in a way of its own.
WAYS = {
    "sync": [],
    "threads, forked": ["-k", "gthread", "--preload"],
    "gevent": ["-k", "gevent"],
    "gevent, forked": ["-c", "../gunicorn.conf.py"],
}


@pytest.mark.parametrize("options", WAYS.values(), ids=WAYS)
def test_gunicorn_applies_them_in_its_workers(files, options):
    with gunicorn(files, *options) as url, urllib.request.urlopen(f"{url}/patches") as told:
        text = told.read().decode()

    assert PATCHED in text
    assert "superseded" not in text
