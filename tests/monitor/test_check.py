"""`safepatch.monitor.check`, the tools of a monitor, and the kinds of checks."""

import threading

import children
import pytest

pytest.importorskip("httptools", reason="checks need the extra `monitor`")

import msgspec
from faulty import Site, page, serving, unused

import safepatch.monitor
from safepatch.monitor import check, checks
from safepatch.monitor.checks.connecting import permitted
from safepatch.monitor.courses import Course
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.results import ERRORS
from safepatch.monitor.tools import Tools

pytestmark = pytest.mark.usefixtures("own_hub")


def test_an_address_is_checked_with_options():
    with serving(Site(otherwise=page('{"ok": true}'))) as port:
        address = f"http://127.0.0.1:{port}/health"
        good = check(address, json={"ok": True}, status=["200"])
        bad = check(address, json={"ok": False})

    assert good.ok
    assert good.name == address
    assert str(good).startswith(f"{address} is up in ")
    assert (bad.error, bad.message) == ("content", "ok is true, not false")


def test_a_result_is_json():
    with serving(Site(otherwise=page("<title>x</title>", Content_Type="text/html"))) as port:
        result = check(f"http://127.0.0.1:{port}/")

    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(result)), type(result)) == result


def test_options_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match="there is no such key; did you mean 'timeout'"):
        check("http://127.0.0.1/", tmeout=3)
    with pytest.raises(ValueError, match="there is no kind of check 'htp'; did you mean 'http'"):
        check("htp://127.0.0.1/")


def test_options_are_spelled_as_in_a_file():
    with serving(Site(otherwise=page("{}", "404 Gone", Content_Type="text/html"))) as port:
        assert check(f"http://127.0.0.1:{port}/", status=404, timeout="5s").ok


def test_a_thread_can_check_and_leaves_nothing_behind():
    """A hub of gevent has files that nobody else would close."""
    import os

    results = []
    port = unused()
    check(f"tcp://127.0.0.1:{port}")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        thread = threading.Thread(target=lambda: results.append(check(f"tcp://127.0.0.1:{port}")))
        thread.start()
        thread.join(5)

    assert [result.error for result in results] == ["refused"] * 3
    assert len(os.listdir("/proc/self/fd")) <= before


def test_a_check_patches_nothing():
    from gevent.resolver import AbstractResolver

    seen = []
    before = vars(AbstractResolver)["getaddrinfo"]
    with serving(lambda sock, address: seen.append(AbstractResolver.getaddrinfo)) as port:
        check(f"http://127.0.0.1:{port}/", timeout=1)

    assert seen == [before]


@pytest.mark.parametrize("kind", ["http", "https", "tcp", "tls"])
def test_there_is_a_check_of_each_kind(kind, tools):
    result = checks.KINDS[kind](Endpoint("it", f"{kind}://127.0.0.1:1", Options()), tools)

    assert (result.name, result.error) == ("it", "refused")


def test_a_kind_that_there_is_not_is_named(tools):
    result = checks.run(Endpoint("it", "gopher://a.test", Options()), tools)

    assert result.error == "internal"
    assert result.message.startswith("'gopher' is no kind of check; there are http, https, tcp")


@pytest.mark.parametrize("kind", ["tcp", "http", "tls"])
def test_addresses_that_are_none_are_told(kind, tools):
    result = checks.run(Endpoint("it", f"{kind}://a:b:c", Options()), tools)

    assert result.error == "protocol"
    assert "is no address; write scheme://host:port/path" in result.message


def test_tcp_wants_a_port(tools):
    result = checks.run(Endpoint("it", "tcp://127.0.0.1", Options()), tools)

    assert (result.error, result.message) == (
        "protocol",
        "tcp://127.0.0.1/ has no port; write tcp://127.0.0.1:PORT",
    )


def test_tools_keep_one_of_a_name_and_close_it():
    class Thing:
        closed = 0

        def close(self):
            self.closed += 1

    with Tools(dns_ttl=0) as tools:
        thing = tools.keep("pings", Thing)
        assert tools.keep("pings", Thing) is thing
    tools.close()

    assert thing.closed == 1


def test_tools_refuse_networks_that_are_none():
    with pytest.raises(ValueError, match="'intranet', which is no network"):
        Tools(private=["intranet"], dns_ttl=0)


def test_networks_of_the_tools_are_allowed_to_all():
    endpoint = Endpoint("it", "http://a.test/", Options())
    rows = [(2, ("127.0.0.2", 80))]
    with Tools(private=["127.0.0.2"], dns_ttl=0) as tools:
        course = Course(tools.clock)
        assert permitted(endpoint, tools, course, "a.test", 80, rows) == rows


def test_every_error_is_a_known_one():
    import pathlib
    import re

    folder = pathlib.Path(safepatch.monitor.__file__).parent
    kinds = set()
    for file in folder.rglob("*.py"):
        kinds |= set(re.findall(r'CheckError\(\s*"(\w+)"', file.read_text()))

    assert kinds
    assert kinds <= ERRORS.keys()


def test_importing_the_package_imports_none_of_the_extras():
    children.child("""
        import sys
        import safepatch.monitor
        heavy = {"gevent", "httptools", "cryptography", "msgspec", "flask", "regex", "apprise"}
        assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
    """)


@pytest.mark.parametrize("missing", ["httptools", "gevent", "msgspec", "cryptography"])
def test_a_missing_extra_is_named_with_what_to_install(missing):
    children.child(f"""
        import sys
        sys.modules[{missing!r}] = None
        import safepatch.monitor
        try:
            safepatch.monitor.check
        except ModuleNotFoundError as error:
            assert str(error) == (
                "safepatch.monitor needs '{missing}'; install it with "
                "pip install 'safepatch-py[monitor]'"
            ), error
        else:
            raise AssertionError("it was not missed")
    """)


def test_checks_work_where_gevent_has_patched_everything():
    children.child("""
        from gevent import monkey
        monkey.patch_all()
        import socket, threading
        from safepatch.monitor import check

        server = socket.create_server(("127.0.0.1", 0))
        def serve():
            sock, _ = server.accept()
            sock.recv(1000)
            sock.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
            sock.close()
        threading.Thread(target=serve).start()
        result = check(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout=5)
        assert result.ok, result
    """)
