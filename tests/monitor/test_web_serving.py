"""The pages behind a real server, in the process that checks."""

import logging
import socket

import gevent
import pytest

pytest.importorskip("flask", reason="pages need the extra `monitor`")

import hubs
from children import child
from gevent import socket as gevent_socket
from standins import many, shop

from safepatch.monitor import web
from safepatch.monitor.web import access, live, making, serving


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


@pytest.fixture
def served():
    """Serve a monitor; the server is stopped after the test."""
    servers = []

    def serve(monitor=None):
        server = web.serve(monitor or shop(listen="127.0.0.1:0"))
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.stop(timeout=0.1)


def connect(server):
    return gevent_socket.create_connection(("127.0.0.1", server.server_port), timeout=5)


def ask(server, path, *, method="GET", headers=""):
    """Status line, headers and body of an answer, unchunked."""
    with gevent.Timeout(20), connect(server) as made:
        made.sendall(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"{headers}\r\n".encode()
        )  # fmt: skip
        parts = []
        while part := made.recv(65536):
            parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    return head.decode("latin-1"), unchunked(body) if b"chunked" in head else body


def unchunked(body):
    parts = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        parts.append(rest[: int(size, 16)])
        body = rest[int(size, 16) + 2 :]
    return b"".join(parts)


def test_pages_are_served_where_the_settings_say(served):
    head, body = ask(served(), "/")

    assert "200 OK" in head
    assert b"Checkout" in body


def test_a_port_that_is_taken_is_an_error_at_once(served):
    port = served().server_port

    with pytest.raises(OSError, match=r"in use"):
        web.serve(shop(listen=f"127.0.0.1:{port}"))


@pytest.mark.parametrize("listen", ["127.0.0.1", "127.0.0.1:x", "8787", "127.0.0.1:99999"])
def test_what_is_no_place_to_listen_at_is_told(listen):
    with pytest.raises(ValueError, match=r"write '127\.0\.0\.1:8787'"):
        serving.place(listen)


def test_places_may_be_ipv6_and_names():
    assert serving.place("[::1]:80") == ("::1", 80)
    assert serving.place(":80") == ("", 80)
    assert serving.place("localhost:80") == ("localhost", 80)


def test_the_log_says_once_where_pages_are_served(served, caplog):
    caplog.set_level(logging.INFO)

    server = served(shop(listen="127.0.0.1:0"))

    assert f"pages are served at 127.0.0.1:{server.server_port}" in caplog.messages


def test_keys_of_heartbeats_are_not_logged(served, caplog):
    caplog.set_level(logging.DEBUG)

    ask(served(), "/beat/the-key/nightly-backup")

    assert "the-key" not in caplog.text


def test_keys_of_heartbeats_are_not_logged_where_the_monitor_fails(served, caplog):
    monitor = shop(listen="127.0.0.1:0")
    monitor.beat = None

    head, _ = ask(served(monitor), "/beat/the-key/nightly-backup")

    assert "500" in head
    assert "cannot answer '/beat/***/nightly-backup'" in caplog.text
    assert "the-key" not in caplog.text


def test_keys_of_heartbeats_are_not_logged_where_the_request_is_garbage(served, caplog):
    caplog.set_level(logging.DEBUG)
    with connect(served()) as made, gevent.Timeout(3):
        made.sendall(b"GET /beat/the-key/nightly-backup FTP/1.1\r\n\r\n")
        made.recv(65536)

    assert "/beat/***/nightly-backup" in caplog.text
    assert "the-key" not in caplog.text


def test_one_customer_with_many_ipv6_addresses_cannot_take_all_connections(served, monkeypatch):
    monkeypatch.setattr(serving, "EACH", 2)
    server, seen = served(), []
    monkeypatch.setattr(serving.pywsgi.WSGIServer, "handle", lambda self, sock, address: (
        seen.append(address[0]), server.handle(sock, (f"2001:db8::{len(seen) + 1}", 1))
    ) if len(seen) < 5 else None)  # fmt: skip
    server.handle(None, ("2001:db8::1", 1))

    assert seen == ["2001:db8::1", "2001:db8::2"]


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        b"POST /recheck HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\nname=",
    ],
)
def test_who_sends_nothing_more_is_given_up(served, monkeypatch, capfd, caplog, sent):
    monkeypatch.setattr(serving, "PATIENCE", 0.05)
    monkeypatch.setattr(making, "PATIENCE", 0.05)
    server = served()
    slow = connect(server)
    slow.sendall(sent)
    head, _ = ask(server, "/healthz")  # others are answered meanwhile

    assert "200 OK" in head
    with gevent.Timeout(3), slow:
        while slow.recv(65536):
            pass
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nX: ",
        b"POST /recheck HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n",
        b"POST /recheck HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n",
    ],
)
def test_who_sends_byte_by_byte_is_given_up_too(served, monkeypatch, capfd, sent):
    monkeypatch.setattr(serving, "PATIENCE", 0.1)
    monkeypatch.setattr(making, "PATIENCE", 0.1)
    with gevent.Timeout(3), connect(served()) as slow:
        slow.sendall(sent)
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                slow.sendall(b"x")
                gevent.sleep(0.02)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "head", ["Content-Length: 9999999999\r\n", "Transfer-Encoding: chunked\r\n"]
)
def test_a_body_that_is_too_large_is_not_read(served, head):
    with gevent.Timeout(5), connect(served()) as made:
        made.sendall(f"POST /recheck HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(3000):
                made.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def test_connections_are_kept_for_the_next_request(served):
    request = (
        b"POST /api/v1/recheck HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nname=Mail"
    )
    with connect(served()) as made:
        for _ in range(3):
            made.sendall(request)
            assert b"HTTP/1.1 " in lines_until(made, b"}")


def test_who_does_not_read_is_given_up(served, monkeypatch, capfd):
    monkeypatch.setattr(serving, "PATIENCE", 0.1)
    server = served(many(20_000, listen="127.0.0.1:0"))
    with connect(server) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        slow.recv(100)
        with gevent.Timeout(5):
            while len(server.pool):
                gevent.sleep(0.02)
    assert capfd.readouterr() == ("", "")


def test_one_address_cannot_take_all_connections(served, monkeypatch):
    monkeypatch.setattr(serving, "EACH", 2)
    server = served()
    first, second = connect(server), connect(server)
    first.sendall(b"GET / HT")
    gevent.sleep(0.01)
    assert "200 OK" in ask(server, "/healthz")[0]  # from loopback, where proxies are

    monkeypatch.setattr(serving, "is_loopback", lambda host: False)
    with connect(server) as third, gevent.Timeout(3):
        assert third.recv(1) == b""
    first.close()
    with gevent.Timeout(3):
        while server.clients["127.0.0.1"] > 1:
            gevent.sleep(0.01)
    assert "200 OK" in ask(server, "/healthz")[0]
    second.close()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"/x" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"POST /recheck HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /recheck HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + (b"X: " + b"y" * 4000 + b"\r\n") * 9 + b"\r\n",
    ],
)
def test_garbage_is_refused(served, capfd, sent):
    server = served()
    with connect(server) as made, gevent.Timeout(3):
        made.sendall(sent)
        answer = made.recv(65536)

    assert b" 4" in answer.split(b"\r\n")[0] or answer == b""
    assert "200 OK" in ask(server, "/healthz")[0]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 0\r\nContent-Length: 44\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        b"Transfer-Encoding: \x0bchunked\r\n",
    ],
)
def test_what_a_proxy_may_take_for_more_requests_than_it_is_is_refused(served, head):
    with connect(served()) as made, gevent.Timeout(3):
        made.sendall(
            b"POST /recheck HTTP/1.1\r\nHost: localhost\r\n" + head + b"\r\n"
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        answer = b""
        while part := made.recv(65536):
            answer += part

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_head_takes_little_memory_however_much_is_sent(served):
    with connect(served()) as made, gevent.Timeout(3):
        head = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
        made.sendall(head + (b"X: " + b"y" * 4000 + b"\r\n") * 9)

        assert made.recv(65536).startswith(b"HTTP/1.1 400 ")  # though it has not ended yet


def test_metrics_leave_the_loop_to_others(served):
    server = served(many(5_000, listen="127.0.0.1:0"))
    turns = []

    def check():
        while True:
            turns.append(1)
            gevent.sleep(0)

    checking = gevent.spawn(check)
    _, body = ask(server, "/metrics")
    checking.kill()

    assert body.count(b"safepatch_endpoint_up{") == 5_000
    assert len(turns) > 200


# -- live


def lines_until(made, wanted):
    got = b""
    with gevent.Timeout(5):
        while wanted not in got:
            part = made.recv(65536)
            assert part, got
            got += part
    return got


def listen(server, query=""):
    made = connect(server)
    made.sendall(f"GET /live{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    lines_until(made, b"retry:")
    return made


def live_of(server):
    return server.application.extensions["safepatch.monitor.live"]


def test_open_pages_are_told_that_something_changed_and_how_it_is_then(served):
    monitor = shop(listen="127.0.0.1:0")
    server = served(monitor)
    with listen(server) as made:
        assert b">1</b>" in ask(server, "/?state=down")[1]

        monitor.statuses["Mail"].state = "down"
        monitor.feed.put(type="status", name="Mail", change="down")

        assert b'"down": 2' in lines_until(made, b"event: change")
        assert b">2</b>" in ask(server, "/?state=down")[1]


def test_the_page_of_an_endpoint_is_told_of_that_one_and_of_what_concerns_all(served):
    monitor = shop(listen="127.0.0.1:0")
    server = served(monitor)
    live_of(server).pause = 0
    with listen(server, "?name=Mail") as made:
        for event in (
            {"type": "status", "name": "Search"},
            {"type": "event", "endpoints": ["Search"]},
            {"type": "dns", "host": "example.com"},
        ):
            monitor.feed.put(**event)
        gevent.sleep(0.05)
        made.settimeout(0.05)
        with pytest.raises(TimeoutError):
            made.recv(1000)
        made.settimeout(5)
        for event in (
            {"type": "status", "name": "Mail"},
            {"type": "event", "endpoints": ["Search", "Mail"]},
            {"type": "plan", "added": 1},
            {"type": "missed"},
        ):
            monitor.feed.put(**event)
            lines_until(made, b"event: change")


def test_many_changes_are_told_as_one(served):
    monitor = shop(listen="127.0.0.1:0")
    server = served(monitor)
    with listen(server) as made:
        for _ in range(500):
            monitor.feed.put(type="status", name="Mail")
        got = lines_until(made, b"event: change")
        made.settimeout(0.1)
        with pytest.raises(TimeoutError):
            got += made.recv(1000)

    assert got.count(b"event: change") == 1


def test_streams_give_signs_of_life(served):
    server = served()
    live_of(server).alive = 0.02

    with listen(server) as made:
        lines_until(made, b": alive")


def test_a_stream_ends_with_the_login(served, monkeypatch):
    server = served()
    live_of(server).alive = 0.02
    with listen(server) as made:
        lines_until(made, b": alive")
        monkeypatch.setattr(access, "may_see", lambda: False)
        lines_until(made, b"0\r\n\r\n")  # the last chunk

    assert live_of(server).waiting == {}


def test_so_many_streams_are_open_at_once_and_no_more(served, monkeypatch):
    monkeypatch.setattr(live, "STREAMS", 2)
    server = served()
    live_of(server).alive = 0.02
    first, second = listen(server), listen(server)

    assert "503" in ask(server, "/live")[0]
    first.close()
    with gevent.Timeout(5):
        while len(live_of(server).waiting) == 2:
            gevent.sleep(0.01)
    with listen(server), second:
        pass


def test_who_only_asks_for_the_head_of_a_stream_keeps_none(served):
    server = served()
    for _ in range(live.STREAMS + 1):
        assert "200 OK" in ask(server, "/live", method="HEAD")[0]

    assert live_of(server).waiting == {}


def test_the_last_stream_ends_the_subscription(served):
    monitor = shop(listen="127.0.0.1:0")
    server = served(monitor)
    live_of(server).alive = 0.02
    with listen(server):
        assert len(monitor.feed._subscriptions) == 1

    with gevent.Timeout(5):
        while monitor.feed._subscriptions:
            gevent.sleep(0.01)
    with listen(server):
        assert len(monitor.feed._subscriptions) == 1


def test_a_server_stops_with_streams_open(served):
    server = served()
    with listen(server) as made, gevent.Timeout(5):
        server.stop(timeout=0.05)
        while made.recv(1000):
            pass

    assert live_of(server).waiting == {}


def test_without_flask_it_is_said_what_to_install():
    source = """
    import sys
    sys.modules["flask"] = None
    from safepatch.monitor import web
    try:
        web.app(None)
    except ModuleNotFoundError as error:
        print(error, error.name)
    """

    printed = child(source)

    assert "pip install 'safepatch-py[monitor]'" in printed
    assert printed.endswith("flask")


def test_importing_it_imports_neither_flask_nor_gevent():
    source = "import sys, safepatch.monitor.web; print({'flask', 'gevent'} & {*sys.modules})"

    assert child(source) == "set()"


def test_pages_are_served_in_a_process_that_gevent_patched():
    source = """
    from gevent import monkey
    monkey.patch_all()
    import os, sys, urllib.request
    sys.path.insert(0, %r)
    from standins import shop
    from safepatch.monitor import web
    server = web.serve(shop(listen="127.0.0.1:0"))
    url = f"http://127.0.0.1:{server.server_port}/status"
    print(b"Checkout" in urllib.request.urlopen(url, timeout=5).read(), flush=True)
    server.stop()
    os._exit(0)  # logging and old versions of gevent complain of each other at the very end
    """

    import pathlib

    assert child(source % str(pathlib.Path(__file__).parent)) == "True"
