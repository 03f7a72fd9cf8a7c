"""A proxy in front of the pages, on the same machine, while there is no login: a real nginx."""

import contextlib
import logging
import pathlib
import re
import shutil
import subprocess
import tempfile

import gevent
import pytest

pytest.importorskip("flask", reason="pages need the extra `monitor`")

import hubs
from gevent import socket as gevent_socket
from standins import shop
from visitors import client

from safepatch.monitor import web

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
DOCUMENT = pathlib.Path(__file__).parents[2] / "docs" / "monitor" / "pages.md"
WHOLE = """
daemon off;
master_process off;
pid {here}/pid;
error_log stderr crit;
events {{}}
http {{
    access_log off;
    client_body_temp_path {here}/1;
    proxy_temp_path {here}/2;
    fastcgi_temp_path {here}/3;
    uwsgi_temp_path {here}/4;
    scgi_temp_path {here}/5;
    {server}
}}
"""
BY_NAME = {"Host": "status.example.com"}
BY_CURL = {"Host": "localhost"}  # whoever asks can write what they like
OF_OUR_PAGE = {**BY_NAME, "Referer": "https://status.example.com/", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


@contextlib.contextmanager
def proxied(server):
    """What asks, through an nginx that serves like this, the pages of a monitor without login."""
    if NGINX is None:
        pytest.skip("there is no nginx")
    pages = web.serve(shop(listen="127.0.0.1:0", url="https://status.example.com"))
    with tempfile.TemporaryDirectory() as here:
        server = re.sub(r"listen [^;]*;", f"listen unix:{here}/socket;", server)
        server = server.replace(":8787", f":{pages.server_port}")
        config = pathlib.Path(here, "nginx.conf")
        config.write_text(WHOLE.format(here=here, server=server))
        nginx = subprocess.Popen([NGINX, "-e", "stderr", "-p", here, "-c", config])
        try:
            yield lambda path, headers=BY_NAME: _status(f"{here}/socket", path, headers)
        finally:
            nginx.kill()
            nginx.wait()
            pages.stop(timeout=0.1)


def _status(socket, path, headers):
    with gevent.Timeout(5):
        while True:
            made = gevent_socket.socket(gevent_socket.AF_UNIX)
            try:
                made.connect(socket)
                break
            except OSError:  # it begins
                made.close()
                gevent.sleep(0.01)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with made:
            made.sendall(f"GET {path} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n".encode())
            return int(made.recv(65536).split()[1])


def located(*lines):
    inside = " ".join(["proxy_pass http://127.0.0.1:8787;", *lines])
    return f"server {{ listen 80; location / {{ {inside} }} }}"


def test_through_nginx_as_the_documents_have_it_the_public_page_is_seen_and_nothing_else():
    [written] = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    with proxied(written) as ask:
        for headers in (BY_CURL, BY_NAME):
            assert ask("/", headers) == 403
            assert ask("/status", headers) == 200
            assert ask("/api/v1/status", headers) == 401
        assert ask("/", {"Host": "evil.example"}) == 400


@pytest.mark.parametrize("headers", [BY_NAME, BY_CURL])
def test_through_nginx_that_is_told_nothing_more_the_dashboard_is_not_seen(headers):
    with proxied(located()) as ask:
        assert ask("/", headers) == 403


def test_a_proxy_that_keeps_the_host_and_says_nothing_is_noticed_at_the_first_visit(caplog):
    keeps = located("proxy_http_version 1.1;", "proxy_set_header Host $host;")
    with proxied(keeps) as ask:
        assert ask("/status") == 200
        for headers in (BY_NAME, BY_CURL):
            assert ask("/", headers) == 403
            assert ask("/metrics", headers) == 401

    [record] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "a request for the host 'status.example.com'" in record.getMessage()


def test_a_proxy_that_hides_itself_is_noticed_when_a_browser_has_come_by_it(caplog):
    """Until then it is not, for nothing tells it from who sits at the machine."""
    with proxied(located("proxy_http_version 1.1;")) as ask:
        assert ask("/") == 200

        assert ask("/", OF_OUR_PAGE) == 403
        for headers in (BY_NAME, BY_CURL):
            assert ask("/", headers) == 403
        assert ask("/status") == 200

    [record] = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "a request from our own page at 'status.example.com'" in record.getMessage()


def test_who_sits_at_the_machine_is_told_why_there_is_no_dashboard_any_more():
    visitor = client()
    visitor.get("/static/style.css", headers={"Referer": "http://status.example.com/"})

    answer = visitor.get("/")

    assert answer.status_code == 403
    assert "a proxy in front that sends no X-Forwarded-For" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Referer": "http://localhost:8787/", "Sec-Fetch-Site": "same-origin"},
        {"Referer": "http://127.0.0.1:9000/endpoint?name=x", "Sec-Fetch-Site": "same-origin"},
        {"Referer": "https://wiki.example.com/"},  # a link there; of a browser that says no more
        {"Referer": "https://wiki.example.com/", "Sec-Fetch-Site": "cross-site"},
        {"Referer": "https://evil.example/", "Sec-Fetch-Site": "same-site"},
        {"Referer": "https://[evil/", "Sec-Fetch-Site": "same-origin"},
        {"Referer": "https://status.example.com/", "X-Forwarded-For": "192.0.2.1"},
    ],
)
def test_no_page_of_another_site_closes_the_dashboard(headers):
    visitor = client()
    visitor.get("/", headers=headers)
    styles = {"Sec-Fetch-Site": "cross-site", **headers}
    visitor.get("/static/style.css", headers=styles)

    assert visitor.get("/").status_code == 200


def test_another_host_does_not_close_the_dashboard():
    """DNS rebinding, which is refused."""
    visitor = client()
    other = client(host="evil.example")
    other.application.extensions = visitor.application.extensions

    assert other.get("/").status_code == 400
    assert visitor.get("/").status_code == 200


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via", "X-Real-IP",
     "CF-Connecting-IP", "X-Original-Forwarded-For", "x-envoy-external-address"],
)  # fmt: skip
def test_a_proxy_that_names_itself_is_from_outside(header):
    assert client().get("/", headers={header: "203.0.113.9"}).status_code == 403
