"""What the README and the tutorial tell a newcomer happens, in the order in which they tell it."""

import contextlib
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from safepatch.monitor import sources

ROOT = pathlib.Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "monitor" / "index.md"
DEADLINE = 120  # seconds; a busy machine is slow


def blocks(path, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def running(*command, folder):
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=folder)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def until(wanted):
    """Wait for something, and give it."""
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if found := wanted():
                return found
        time.sleep(0.2)
    pytest.fail(f"it did not come in {DEADLINE} seconds")


def page(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def test_a_page_with_three_sites_and_an_alert_that_arrives(tmp_path):
    shop, site, pages = free_port(), free_port(), free_port()
    text = blocks(TUTORIAL, "toml")[0].replace("127.0.0.1:8000", f"127.0.0.1:{shop}")
    # The other two are not ours, and tests go to no other network.
    text = re.sub(r'"https://[^"]+"', f'"http://127.0.0.1:{site}/"', text, count=1)
    text = re.sub(r'"https://[^"]+"', f'"tcp://127.0.0.1:{site}"', text, count=1)
    (tmp_path / "sites.toml").write_text(text)

    def alerts():
        lines = (tmp_path / "alerts.log").read_text().splitlines()
        return [json.loads(line)["type"] for line in lines]

    serve = ["http.server", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    monitor = ["safepatch", "monitor", "run", "sites.toml", "--listen", f"127.0.0.1:{pages}"]
    with running(*serve, str(site), folder=tmp_path), running(*monitor, folder=tmp_path):
        with running(*serve, str(shop), folder=tmp_path):
            until(lambda: page(f"http://127.0.0.1:{pages}/api/v1/status"))
            shown = until(
                lambda: "Our services" in (text := page(f"http://127.0.0.1:{pages}/")) and text
            )
            assert all(name in shown for name in ("website", "documentation", "shop"))
            public = f"http://127.0.0.1:{pages}/status"
            until(lambda: "shop" in page(public))
            time.sleep(6)  # it has been seen well
        assert until(alerts) == ["down"]
        with running(*serve, str(shop), folder=tmp_path):
            assert until(lambda: len(found := alerts()) > 1 and found) == ["down", "up"]


@pytest.mark.parametrize("path", [TUTORIAL, ROOT / "README.md"], ids=["tutorial", "README"])
def test_each_file_that_is_shown_can_be_read(path, tmp_path):
    shown = [block for block in blocks(path, "toml") if "[endpoints]" in block]

    for number, block in enumerate(shown):
        (tmp_path / f"{number}.toml").write_text(block)
        assert sources.read([tmp_path / f"{number}.toml"]).endpoints

    assert shown
