"""Servers on loopback that are checked: nginx, plain and with TLS, kept on a core of its own."""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

import trustme

_ECDSA = trustme.KeyType.ECDSA
#: Names under this one lead to loopback, as the DNS server of examples/loopback.py has it.
DOMAIN = "sites.test"
CLIENT, SERVER = 0, 1  # cores

_CONF = """
daemon off; worker_processes 1; pid {here}/pid; error_log {here}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_timeout 0; client_body_temp_path {here}/body;
  proxy_temp_path {here}/p; fastcgi_temp_path {here}/f; uwsgi_temp_path {here}/u;
  scgi_temp_path {here}/s; ssl_session_tickets off; ssl_session_cache off;
  server {{
    listen 127.0.0.1:{plain} backlog=4096;
    listen 127.0.0.1:{tls} ssl backlog=4096;
    ssl_certificate {here}/chain.pem; ssl_certificate_key {here}/key.pem;
    root {here}/www; default_type text/html;
    location / {{ try_files /index.html =404; }}
  }}
}}
"""


class Servers(NamedTuple):
    """The ports of nginx, and the file of the authority that its certificate is from."""

    plain: int
    tls: int
    ca: str


@contextlib.contextmanager
def nginx() -> Iterator[Servers]:
    """One worker, which sends a page of 1 kB and closes. Raises FileNotFoundError without nginx."""
    found = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if found is None:
        raise FileNotFoundError("nginx is not here; install it from the system's packages")
    with tempfile.TemporaryDirectory() as temporary:
        here = pathlib.Path(temporary)
        (here / "www").mkdir()
        (here / "www" / "index.html").write_text(f"<title>Shop</title>{'word ' * 200}")
        here.chmod(0o755)  # its worker may be another user
        authority = trustme.CA()
        certificate = authority.issue_cert(
            "127.0.0.1", f"*.{DOMAIN}", key_type=trustme.KeyType.ECDSA
        )
        certificate.private_key_pem.write_to_path(here / "key.pem")
        for number, part in enumerate(certificate.cert_chain_pems):
            part.write_to_path(here / "chain.pem", append=bool(number))
        authority.cert_pem.write_to_path(here / "ca.pem")
        ports = free(), free()
        (here / "conf").write_text(_CONF.format(here=here, plain=ports[0], tls=ports[1]))
        running = subprocess.Popen(
            [*pinned(SERVER), found, "-p", str(here), "-c", "conf", "-e", f"{here}/error.log"],
        )
        try:
            wait(ports[1])
            yield Servers(*ports, str(here / "ca.pem"))
        finally:
            running.terminate()
            running.wait()


def pinned(core: int) -> list[str]:
    """What has a command run on one core; with a single one there is nothing to choose."""
    return ["taskset", "-c", str(core)] if (os.cpu_count() or 1) > 1 else []


def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait(port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}; what nginx said is above")
