"""wrk, which is as fast as it gets, and blackbox_exporter, driven by it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

from benchmarks.monitor.servers import CLIENT, SERVER, free, pinned, wait

_MODULE = """
modules:
  http:
    prober: http
    timeout: 10s
    http:
      fail_if_not_ssl: {tls}
      preferred_ip_protocol: ip4
      tls_config: {{ca_file: "{ca}"}}
"""


def wrk(url: str, seconds: float, core: int = CLIENT, *options: str) -> dict[str, Any]:
    """Requests of wrk, one thread and 100 connections."""
    before = os.times()
    ran = subprocess.run(
        [*pinned(core), "wrk", "-t1", "-c100", f"-d{max(1, round(seconds))}s", *options, url],
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    after = os.times()
    found = re.search(r"(\d+) requests in ([\d.]+)s", ran.stdout)
    assert found is not None, ran.stdout
    assert "Non-2xx" not in ran.stdout, ran.stdout
    spent = after.children_user + after.children_system
    spent -= before.children_user + before.children_system
    return {"checks": int(found[1]), "seconds": float(found[2]), "cpu": spent}


@contextlib.contextmanager
def blackbox(ca: str, *, tls: bool) -> Iterator[tuple[int, int]]:
    """A blackbox_exporter on one core; its process and port. Raises FileNotFoundError."""
    name = "prometheus-blackbox-exporter"
    found = shutil.which(name) or shutil.which("blackbox_exporter")
    if found is None:
        raise FileNotFoundError(f"{name} is not here; install it from the system's packages")
    with tempfile.TemporaryDirectory() as temporary:
        config = pathlib.Path(temporary, "blackbox.yml")
        config.write_text(_MODULE.format(ca=ca, tls=str(tls).lower()))
        port = free()
        running = subprocess.Popen(
            [
                *pinned(CLIENT), found, f"--config.file={config}", "--log.level=error",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            env={**os.environ, "GOMAXPROCS": "1"}, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait(port)
            yield running.pid, port
        finally:
            running.terminate()
            running.wait()


def probe(pid: int, port: int, url: str, seconds: float) -> dict[str, Any]:
    """Probes of a blackbox_exporter, 100 at a time, as Prometheus would ask for them."""
    asked = urllib.parse.urlencode({"target": url, "module": "http"})
    before = _cpu(pid)
    done = wrk(f"http://127.0.0.1:{port}/probe?{asked}", seconds, SERVER)
    time.sleep(0.1)
    return {**done, "cpu": _cpu(pid) - before}


def probed(port: int, url: str) -> bool:
    """Whether a probe says that all is well, so that no failures are counted as checks."""
    import urllib.request

    asked = urllib.parse.urlencode({"target": url, "module": "http"})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/probe?{asked}", timeout=20) as answer:
        return b"probe_success 1" in answer.read()


def _cpu(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
