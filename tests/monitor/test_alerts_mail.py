"""Mail, to a real server on loopback."""

import email
import email.policy
import os
import socket
import ssl
import types
from contextlib import contextmanager

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from alerted import event, in_hub, plan

from safepatch.monitor.alerts.channels import DeliveryError
from safepatch.monitor.alerts.delivering import Deliveries
from safepatch.monitor.alerts.mailing import mail
from safepatch.monitor.alerts.messages import message
from safepatch.monitor.plan import Settings

AUTHORITY = trustme.CA()


def trusting():
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def server(*, tls=True, **options):
    """A mail server that keeps what it gets, and the passwords that it was told."""
    got, logins = [], []

    class Handler:
        refuses = ""

        async def handle_DATA(self, server, session, envelope):  # noqa: N802
            got.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
            return self.refuses or "250 OK"

    def authenticate(server, session, envelope, mechanism, data):
        logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)

    if tls:
        options["tls_context"] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        AUTHORITY.issue_cert("127.0.0.1").configure_cert(options["tls_context"])
    handler = Handler()
    controller = Controller(
        handler, hostname="127.0.0.1", port=free_port(), authenticator=authenticate, **options
    )
    controller.start()
    try:
        port = controller.server.sockets[0].getsockname()[1]
        yield types.SimpleNamespace(
            got=got, logins=logins, handler=handler, address=f"127.0.0.1:{port}"
        )
    finally:
        controller.stop()


def deliver(smtp, told=None, *, environ=os.environ, tls=None, **settings):
    made = Settings(smtp=smtp, mail_from="monitor@example.com", **settings)
    plans = plan(made, ops={"mail": "me@example.org", "timeout": 5.0})
    deliveries = Deliveries(lambda: plans, tls=tls or trusting(), environ=environ)
    try:
        deliveries.send(plans.channels["ops"], told or message(event(1)))
    finally:
        deliveries.close()


@in_hub
def test_a_mail_says_the_event_under_its_id():
    with server() as there:
        told = message(event(1, url="https://status.example.com/incidents/i1"))
        deliver(f"smtp://{there.address}", told)

    [got] = there.got
    assert got["Subject"] == "site-1 is down"
    assert got["From"] == "monitor@example.com"
    assert got["To"] == "me@example.org"
    assert got["Message-ID"] == "<e1-down@example.com>"
    assert got["References"] == "<incident-i1@example.com>"
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["Date"].datetime.tzinfo is not None
    assert got.get_content().split() == [
        "what",
        "has",
        "happened",
        "https://status.example.com/incidents/i1",
    ]


@in_hub
def test_a_login_is_made_after_starttls_with_a_password_of_the_environment():
    with server(auth_required=True) as there:
        deliver(
            f"smtp://me%40x@{there.address}",
            smtp_password_env="MAIL_PASSWORD",
            environ={"MAIL_PASSWORD": "right"},
        )

    assert len(there.got) == 1
    assert there.logins == [(b"me@x", b"right")]


@in_hub
@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"MAIL_PASSWORD": "wrong"}, "the mail server refuses with code 535"),
        ({}, "'MAIL_PASSWORD' is not set; smtp_password_env in \\[monitor\\] names it"),
    ],
)
def test_a_login_that_fails_is_told_without_the_password(environ, said):
    with server() as there, pytest.raises(DeliveryError, match=said) as caught:
        deliver(f"smtp://me@{there.address}", smtp_password_env="MAIL_PASSWORD", environ=environ)

    assert "wrong" not in str(caught.value)


@in_hub
def test_no_password_is_sent_without_tls():
    with (
        server(tls=False, auth_require_tls=False) as there,
        pytest.raises(DeliveryError, match="no STARTTLS"),
    ):
        deliver(
            f"smtp://me@{there.address}",
            smtp_password_env="MAIL_PASSWORD",
            environ={"MAIL_PASSWORD": "right"},
        )

    assert there.logins == []


@in_hub
def test_a_server_whose_certificate_is_not_trusted_gets_no_mail():
    with server() as there, pytest.raises(DeliveryError, match="certificate is not trusted"):
        deliver(f"smtp://{there.address}", tls=ssl.create_default_context())

    assert there.got == []


@in_hub
def test_a_refusal_is_told_with_its_code():
    with server() as there:
        there.handler.refuses = "451 later"
        with pytest.raises(DeliveryError, match="the mail server refuses with code 451"):
            deliver(f"smtp://{there.address}")


@in_hub
@pytest.mark.parametrize("smtp", ["", "smtp://127.0.0.1:1"])
def test_a_server_that_is_not_there_is_told_of(smtp):
    said = "Connection refused" if smtp else "no mail server is named; set smtp in"

    with pytest.raises(DeliveryError, match=said):
        deliver(smtp)


@pytest.mark.parametrize("bad", ["x\r\nBcc: all@example.com", "x\n\n<b>", "x\0y\ud800z", "ü" * 500])
def test_names_of_sites_put_nothing_into_headers(bad):
    told = message(event(1, title=bad, text=bad, incident=bad, id=bad))

    made = email.message_from_bytes(
        bytes(mail(told, "me@example.org", "", 0.0)), policy=email.policy.default
    )

    assert made.keys() == [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "References",
        "Auto-Submitted",
        *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
    ]
    assert "\n" not in made["Subject"]
    assert made["To"] == "me@example.org"
