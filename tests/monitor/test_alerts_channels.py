"""What arrives at webhooks, at what Apprise knows, and at commands; all real, on loopback."""

import contextlib
import json
import logging
import os
import re
import sys
import threading
import time

import apprise
import gevent
import gevent.server
import pytest
import trustme
from alerted import event, in_hub, plan, receiver
from gevent import ssl

from safepatch.decorators import replace
from safepatch.monitor.alerts.channels import DeliveryError
from safepatch.monitor.alerts.delivering import Deliveries, named
from safepatch.monitor.alerts.messages import digest, message

# Of what Apprise imports.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


def deliver(told=None, *, tls=None, environ=os.environ, settings=None, **channel):
    """Deliver to one channel, with all of it closed afterwards."""
    plans = plan(settings, ops={"timeout": 5.0, **channel})
    deliveries = Deliveries(lambda: plans, tls=tls, environ=environ)
    try:
        deliveries.send(plans.channels["ops"], told or message(event(1)))
    finally:
        deliveries.close()


def refused(**arguments):
    """What is said of a delivery that fails."""
    with pytest.raises(DeliveryError) as caught:
        deliver(**arguments)
    assert caught.value.__cause__ is None
    return str(caught.value)


@in_hub
def test_a_webhook_gets_the_event_as_json_under_its_id():
    with receiver() as there:
        deliver(url=there.url + "?a=b", headers={"X-Token": "secret"})

    [got] = there.got
    assert got.path == "/hook?a=b"
    assert got.headers["Idempotency-Key"] == "e1-down"
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["X-Token"] == "secret"
    assert got.json == {
        "id": "e1-down",
        "type": "down",
        "at": 1790000060.0,
        "severity": "critical",
        "title": "site-1 is down",
        "text": "what has happened",
        "incident": "i1",
        "cause": {},
        "endpoints": ["site-1"],
        "count": 1,
        "tags": [],
        "channels": [],
        "url": "",
        "since": 0.0,
        "types": {},
        "events": [],
    }


@in_hub
def test_a_webhook_gets_a_digest_with_its_events():
    told = digest([message(event(1)), message(event(2))])
    with receiver() as there:
        deliver(told, url=there.url)

    [got] = there.got
    assert got.headers["Idempotency-Key"] == "digest-e1-down-2"
    assert got.json["types"] == {"down": 2}
    assert [each["id"] for each in got.json["events"]] == ["e1-down", "e2-down"]
    assert "types" not in got.json["events"][0]


@in_hub
def test_an_id_of_any_characters_is_one_that_a_header_can_have():
    with receiver() as there:
        deliver(message(event(1, id="böse\r\nX: 1")), url=there.url)

    assert there.got[0].headers["Idempotency-Key"] == "b=C3=B6se=0D=0AX:=201"
    assert there.got[0].json["id"] == "böse\r\nX: 1"


@in_hub
def test_a_user_and_password_in_an_address_are_sent_as_basic_authentication():
    with receiver() as there:
        deliver(url=f"http://me%40x:pass@{there.host}/")

    assert there.got[0].headers["Authorization"] == "Basic bWVAeDpwYXNz"
    assert there.got[0].path == "/"


@in_hub
def test_a_webhook_follows_no_redirect_into_a_private_network_nor_anywhere():
    with receiver() as inside:

        def redirect(handler):
            handler.send_response(307)
            handler.send_header("Location", inside.url)
            handler.end_headers()

        with receiver(redirect) as there:
            said = refused(url=there.url)

    assert inside.got == []
    assert said.startswith("it answers with status 307, which leads to another address; alerts ")


def hang(handler):
    time.sleep(0.3)


def garbage(handler):
    handler.wfile.write(b"what?\r\n\r\n")


@in_hub
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (500, "it answers with status 500"),
        (404, "it answers with status 404"),
        (garbage, "what it answers cannot be understood"),
        (lambda handler: None, "what it answers cannot be understood"),
        (hang, "it took longer than 0.1 seconds|timed out"),
    ],
)
def test_what_is_no_success_is_told_without_the_address(answer, said):
    with receiver(answer) as there:
        assert re.fullmatch(said, refused(url=there.url, timeout=0.1))


@in_hub
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://127.0.0.1:1/SECRET", "Connection refused"),
        ("http://SECRET.invalid/", "its name cannot be resolved"),
        ("http://127.0.0.1:99999/SECRET", "its address or one of its headers cannot be used"),
        ("nosuch://SECRET", "Apprise does not understand the address, of kind 'nosuch'"),
    ],
)
def test_an_address_that_cannot_be_reached_is_not_told(url, said):
    assert refused(url=url) == said


@in_hub
def test_a_header_that_cannot_be_sent_is_not_told():
    with receiver() as there:
        said = refused(url=there.url, headers={"X": "SECRET\r\nY: 1"})

    assert said == "its address or one of its headers cannot be used"
    assert there.got == []


@in_hub
def test_certificates_are_verified(tmp_path):
    authority = trustme.CA()
    server, client = (
        ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    )
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    got = []

    def serve(socket, address):
        with (
            contextlib.suppress(ssl.SSLError),
            server.wrap_socket(socket, server_side=True) as wrapped,
        ):
            read = b""
            while not read.endswith(b"}"):
                read += wrapped.recv(65536)
            got.append(read)
            wrapped.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    listener = gevent.server.StreamServer(("127.0.0.1", 0), serve)
    listener.start()
    url = f"https://127.0.0.1:{listener.server_port}/"
    try:
        deliver(url=url, tls=client)
        said = refused(url=url)
    finally:
        listener.stop()

    assert got[0].startswith(b"POST / HTTP/1.1\r\n")
    assert said.startswith("its certificate is not trusted: ")


@in_hub
def test_no_more_than_so_many_a_minute_are_sent():
    slept, now = [], [0.0]

    def sleep(seconds):
        slept.append(round(seconds, 3))
        now[0] += seconds

    with receiver() as there:
        plans = plan(ops={"url": there.url, "per_minute": 20.0})
        deliveries = Deliveries(lambda: plans, clock=lambda: now[0], sleep=sleep)
        for number in range(4):
            deliveries.send(plans.channels["ops"], message(event(number)))

    assert slept == [3, 3, 3]


# -- Apprise


@in_hub
def test_apprise_brings_it_to_what_it_knows():
    told = message(event(1, url="http://127.0.0.1:8787/incidents/i1"))
    with receiver() as there:
        deliver(told, url=f"json://{there.host}/path")
        deliver(told, url=f"ntfy://{there.host}/topic")

    first, second = there.got
    assert first.json["title"] == "site-1 is down"
    assert first.json["message"] == "what has happened\nhttp://127.0.0.1:8787/incidents/i1"
    assert first.json["type"] == "failure"
    assert second.json["topic"] == "topic"
    assert second.json["title"] == "site-1 is down"


@in_hub
@pytest.mark.parametrize(
    ("told", "kind"),
    [
        (event(1), "failure"),
        (event(1, "warning"), "warning"),
        (event(1, "up"), "success"),
        (event(1, "restart"), "info"),
    ],
)
def test_apprise_is_told_how_bad_it_is(told, kind):
    with receiver() as there:
        deliver(message(told), url=f"json://{there.host}/")

    assert there.got[0].json["type"] == kind


@in_hub
def test_what_a_site_says_calls_nobody_and_is_no_link(monkeypatch):
    from apprise.plugins.slack import NotifySlack

    told = message(
        event(1, text="answers 500, with the title '<!channel> <http://x.example|here>'")
    )
    with receiver() as there:
        monkeypatch.setattr(NotifySlack, "webhook_url", f"http://{there.host}")
        with pytest.raises(DeliveryError):  # the real one says "ok"
            url = f"slack://T1JJ3T3L2/A1BRTD4JD/{'T' * 24}/#ops"
            deliver(told, url=url, private=("127.0.0.0/8",))

    assert "&lt;!channel&gt; &lt;http://x.example|here&gt;" in there.got[0].body.decode()
    assert "<!channel>" not in there.got[0].body.decode()


@in_hub
def test_what_apprise_logs_of_addresses_is_not_logged_nor_printed(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with receiver(401) as there:
        said = refused(url=f"json://{there.host}/SECRET?+Token=SECRET")
    logging.getLogger("apprise").warning("of somebody else's")

    assert said == "Apprise could not deliver it; the answer has status 401"
    assert "SECRET" not in caplog.text + "".join(capfd.readouterr())
    assert "of somebody else's" in caplog.text


@in_hub
def test_an_address_that_apprise_does_not_understand_is_told_at_the_start(caplog):
    plans = plan(ops={"url": "slack://SECRET"}, fine={"url": "json://127.0.0.1/"}, x={"mail": "m"})
    Deliveries(lambda: plans).prepare()

    assert [record.getMessage() for record in caplog.records] == [
        "channel 'ops': Apprise does not understand the address, of kind 'slack'"
    ]


@in_hub
def test_pagerduty_resolves_by_the_incident_what_it_was_triggered_with(patches):
    posted = []

    class Answer:
        status_code, content = 202, b"{}"

    def post(*args, **kwargs):
        posted.append(json.loads(kwargs["data"]))
        return Answer()

    patches.apply("requests:post", replace(post), aliases="ignore")
    url = "pagerduty://" + "k" * 32 + "@" + "r" * 20 + "?action=map"
    deliver(message(event(1)), url=url)
    deliver(message(event(2, "up", incident="i1")), url=url)

    assert [each["event_action"] for each in posted] == ["trigger", "resolve"]
    assert [each["dedup_key"] for each in posted] == ["i1", "i1"]


@in_hub
@pytest.mark.parametrize("url", [
    "slack://TokenAAAA1/TokenBBBB1/TokenCCCCCCCCCCCCCCCCCCC1/#ops",
    "discord://123456789012345678/abcdefghijklmnopqrstuvwxyz",
    "workflows://prod-1.westeurope.logic.azure.com:443/WORKFLOW/SIGNATURE",
    "mailto://user:password@example.com",
    "tgram://123456789:abcdefg_hijklmnop/12315544/",
])  # fmt: skip
def test_apprise_understands_what_the_recipes_show(url):
    assert apprise.Apprise.instantiate(url) is not None


@in_hub
def test_a_slow_one_takes_one_thread_and_the_loop_goes_on():
    free = threading.Event()
    with receiver(lambda handler: free.wait(5)) as there:
        url = f"json://{there.host}/"
        plans = plan(ops={"url": url, "timeout": 0.2, "per_minute": 60_000.0})
        deliveries = Deliveries(lambda: plans)
        ticks = 0

        def tick():
            nonlocal ticks
            while True:
                gevent.sleep(0.01)
                ticks += 1

        ticking = gevent.spawn(tick)
        for said in ("took longer than 0.2 seconds", "the delivery before"):
            with pytest.raises(DeliveryError, match=said):
                deliveries.send(plans.channels["ops"], message(event(1)))
        free.set()
        ticking.kill()
        deliveries.close()

    assert ticks > 5
    assert len(there.got) == 1


# -- commands


def script(tmp_path, source):
    path = tmp_path / "tell.py"
    path.write_text(source)
    return (sys.executable, str(path))


@in_hub
def test_a_command_gets_json_on_its_input_and_the_event_in_its_environment(tmp_path):
    command = script(
        tmp_path,
        "import json, os, sys\n"
        "told = {k: v for k, v in os.environ.items() if k.startswith('SAFEPATCH_')}\n"
        "json.dump([sys.argv[1:], json.load(sys.stdin), told], open(sys.argv[1], 'w'))\n",
    )
    out = tmp_path / "out"
    told = message(event(1, title="$(touch x); a\0b", endpoints=("a", "b c")))
    deliver(told, command=(*command, str(out), "$HOME", "a b"))

    arguments, event_, environment = json.loads(out.read_text())
    assert arguments == [str(out), "$HOME", "a b"]
    assert event_["id"] == "e1-down"
    assert environment["SAFEPATCH_ID"] == "e1-down"
    assert environment["SAFEPATCH_TYPE"] == "down"
    assert environment["SAFEPATCH_TITLE"] == "$(touch x); a b"
    assert environment["SAFEPATCH_ENDPOINTS"] == "a\nb c"


@in_hub
def test_a_command_may_be_told_more_than_a_pipe_holds_and_need_not_read_it():
    told = message(event(1, text="x" * 1_000_000))

    deliver(told, command=("true",))


@in_hub
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("sh", "-c", "exit 3"), "'sh' ended with exit code 3"),
        (("sh", "-c", "kill -9 $$"), "'sh' was ended by signal 9"),
        (("/nowhere/x",), "cannot run '/nowhere/x': No such file or directory"),
    ],
)
def test_a_command_that_fails_is_told_without_its_arguments(command, said):
    assert refused(command=command) == said


@in_hub
def test_a_command_that_takes_too_long_is_killed_with_all_that_it_began(tmp_path):
    pids = tmp_path / "pids"
    source = f"sleep 60 & echo $! $$ > {pids}; wait"
    said = refused(command=("sh", "-c", source), timeout=0.3)

    assert said == "it took longer than 0.3 seconds"
    for pid in pids.read_text().split():
        for _ in range(100):
            if not is_running(int(pid)):
                break
            gevent.sleep(0.01)
        assert not is_running(int(pid))


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_channel_knows_its_name():
    channel = plan(ops={}).channels["ops"]

    assert named("ops", channel) is channel
    assert named("x", channel).name == "x"
