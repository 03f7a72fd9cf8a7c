"""Names that lead to private addresses, which channels and restarts may not without permission.

"127.1" is one of them: no address as operators write them, and every resolver leads it to loopback.
Apprise knows no such names, and gets "hooks.internal".
"""

import socket
import threading

import gevent
import pytest
from alerted import event, in_hub, plan, receiver
from test_alerts_mail import server

import safepatch
from safepatch.decorators import replace
from safepatch.monitor.alerts import mailing, reaching
from safepatch.monitor.alerts.channels import DeliveryError, notify, post
from safepatch.monitor.alerts.delivering import Deliveries
from safepatch.monitor.alerts.messages import message
from safepatch.monitor.plan import Endpoint, Options, Restart, Settings
from safepatch.monitor.restarts.actions import act, action
from safepatch.monitor.statuses import Status

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

REFUSED = (
    "its name leads to 127.0.0.1, which is loopback; to allow that, write "
    'private = ["127.0.0.1/32"], or a wider network'
)


def renamed(url, name="127.1"):
    return url.replace("127.0.0.1", name)


@pytest.fixture
def resolved(monkeypatch):
    """Have hooks.internal be a name of loopback."""
    really = socket.getaddrinfo

    def getaddrinfo(host, *args, **kwargs):
        return really("127.0.0.1" if host == "hooks.internal" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def deliver(settings=None, **channel):
    plans = plan(settings, ops={"timeout": 5.0, **channel})
    deliveries = Deliveries(lambda: plans)
    try:
        deliveries.send(plans.channels["ops"], message(event(1)))
    finally:
        deliveries.close()


def restart(**fields):
    given = Restart(name="shop", timeout=5.0, **fields)
    endpoint = Endpoint("shop", "https://shop.example.com/", Options(restart="shop"))
    act(given, action("1", endpoint, given, Status(state="down"), 0.0, 1))


@in_hub
@pytest.mark.parametrize(
    ("tell", "address", "name"),
    [(deliver, "http://{}/", "127.1"), (deliver, "json://{}/", "hooks.internal"),
     (deliver, "ntfy://{}/topic", "hooks.internal"), (restart, "http://{}/", "127.1")],
)  # fmt: skip
def test_a_name_that_leads_to_a_private_address_needs_permission(resolved, tell, address, name):
    with receiver() as there:
        url = address.format(there.host)
        with pytest.raises(DeliveryError) as caught:
            tell(url=renamed(url, name))
        assert (str(caught.value), there.got) == (REFUSED, [])

        tell(url=renamed(url, name), private=("127.0.0.0/8",))
        tell(url=url)  # as an operator wrote it
        tell(url=url.replace("127.0.0.1", "localhost"))

    assert len(there.got) == 3


@in_hub
def test_so_does_the_name_of_a_mail_server():
    with server(tls=False) as there:
        settings = Settings(smtp=f"smtp://{renamed(there.address)}", mail_from="m@example.com")
        with pytest.raises(DeliveryError) as caught:
            deliver(settings, mail="me@example.org")
        assert (str(caught.value), there.got) == (REFUSED, [])

        deliver(settings, mail="me@example.org", private=("any",))

    assert len(there.got) == 1


def rows(*addresses, port=80):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in addresses]


@pytest.mark.parametrize(
    ("addresses", "private", "expected"),
    [
        (["169.254.169.254"], ("10.0.0.0/8",), None),
        (["192.0.2.7"], (), None),
        (["8.8.8.8"], (), ["8.8.8.8"]),
        (["10.0.0.1", "8.8.8.8", "127.0.0.1"], (), ["8.8.8.8"]),
        (["10.0.0.1", "10.0.0.2"], ("10.0.0.0/8",), ["10.0.0.1", "10.0.0.2"]),
    ],
)
def test_of_the_addresses_of_a_name_those_that_are_allowed_are_tried_in_turn(
    addresses, private, expected
):
    tried, asked = [], []

    def create(address):
        tried.append(address)
        raise OSError("nobody there")

    def resolve(*args):
        asked.append(args)
        return rows(*addresses)

    with pytest.raises(OSError if expected else DeliveryError) as caught:
        reaching.connect("hooks.internal", 80, private, "", create=create, resolve=resolve)

    assert tried == [(each, 80) for each in expected or ()]
    assert len(asked) == 1  # so that another answer of DNS is of no use
    assert "hooks.internal" not in str(caught.value)


@in_hub
def test_the_first_address_that_answers_is_taken(patches):
    with receiver() as there:
        port = int(there.host.rpartition(":")[2])
        found = replace(lambda *args, **kwargs: rows("127.0.0.9", "127.0.0.1", port=port))
        patches.apply("gevent.socket:getaddrinfo", found, aliases="ignore")
        post(f"http://hooks.internal:{port}/", b"{}", {}, 5.0, private=("any",))

    assert there.got[0].headers["Host"] == f"hooks.internal:{port}"


@in_hub
@pytest.mark.parametrize("name", ["hooks.internal", "localhost", "127.0.0.9", "[::1]"])
def test_apprise_is_led_nowhere_by_a_redirect(resolved, monkeypatch, name):
    import apprise

    with receiver() as inside:

        def redirect(handler):
            handler.send_response(307)
            handler.send_header("Location", renamed(inside.url, name))
            handler.end_headers()

        with receiver(redirect) as there:
            for follows in (False, True):  # versions of Apprise that cannot be told not to
                monkeypatch.setattr(apprise.plugins.NotifyBase, "redirects", follows)
                monkeypatch.setattr("safepatch.monitor.alerts.channels._set_up", lambda *args: None)
                with pytest.raises(DeliveryError):
                    notify(f"json://{there.host}/", message(event(1)), 5.0)

    assert len(there.got) == 2
    assert inside.got == []


def test_other_threads_connect_to_what_they_like_meanwhile():
    with receiver() as there:
        port = int(there.host.rpartition(":")[2])
        came = []

        def other():
            with socket.create_connection(("127.1", port)) as made:
                came.append(made.getpeername())

        with reaching.bound((), "", reaching.SOCKET):
            thread = threading.Thread(target=other)
            thread.start()
            thread.join(5)
            with pytest.raises(DeliveryError):
                socket.create_connection(("127.1", port))

        socket.create_connection(("127.1", port)).close()
    assert came == [("127.0.0.1", port)]
    assert not safepatch.live()


@in_hub
def test_so_do_other_greenlets_of_the_thread():
    """Also where gevent has patched sockets, and no threads."""
    with receiver() as there:
        port = int(there.host.rpartition(":")[2])

        def other():
            socket.create_connection(("127.1", port)).close()

        with reaching.bound((), "", reaching.SOCKET):
            gevent.spawn(other).get(timeout=5)


@pytest.mark.parametrize(
    ("written", "is_written"),
    [
        ("smtp://127.0.0.1", True),
        ("mailto://me:secret@example.org?smtp=127.0.0.1", True),
        ("http://127.0.0.1:8080/", True),
        ("http://127.0.0.11/", False),
        ("http://proxy.example.com/", False),
    ],
)
def test_an_address_may_be_connected_to_where_an_operator_has_written_it(written, is_written):
    expected = ConnectionRefusedError if is_written else DeliveryError
    with reaching.bound((), written, reaching.SOCKET), pytest.raises(expected):
        socket.create_connection(("127.0.0.1", 1))


def test_the_proxies_of_the_environment_are_written_by_an_operator(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    with reaching.bound((), "", reaching.SOCKET), pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", 1))


def test_two_at_once_are_each_bound_by_what_they_may():
    began, done = threading.Event(), threading.Event()
    seen = []

    def other():
        with reaching.bound(("any",), "", reaching.SOCKET):
            began.set()
            done.wait(5)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.1", 1))
            seen.append("refused by the port")

    thread = threading.Thread(target=other)
    with reaching.bound((), "", reaching.SOCKET):
        thread.start()
        began.wait(5)
        with pytest.raises(DeliveryError):
            socket.create_connection(("127.1", 1))
    done.set()
    thread.join(5)

    assert seen == ["refused by the port"]


def test_a_mail_server_is_still_known_by_its_name(monkeypatch):
    hosts = []
    monkeypatch.setattr("smtplib.SMTP.ehlo", lambda self: hosts.append(self._host))
    monkeypatch.setattr("smtplib.SMTP.getreply", lambda self: (220, b""))
    with receiver() as there, pytest.raises(DeliveryError):
        mailing.send(
            None,
            Settings(smtp=f"smtp://u@{renamed(there.host)}", smtp_password_env="P"),
            1.0,
            private=("any",),
            environ={"P": "x"},
        )

    assert hosts == ["127.1"]
