"""Alerts by mail."""

from __future__ import annotations

import email.utils
import os
import smtplib
import socket
import ssl
import urllib.parse
from collections.abc import Mapping, Sequence
from email.message import EmailMessage

from safepatch.monitor.alerts.channels import why
from safepatch.monitor.alerts.messages import Message
from safepatch.monitor.alerts.reaching import SOCKET, DeliveryError, bound
from safepatch.monitor.plan import Settings


def mail(message: Message, to: str, sender: str, now: float) -> EmailMessage:
    """The mail that says a message. Its Message-ID is made of the message's id.

    Mails of one incident are one thread. Names of endpoints come into headers as plain text,
    whatever is in them.
    """
    sender = sender or f"safepatch@{socket.gethostname()}"
    domain = email.utils.parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    made = EmailMessage()
    made["From"] = sender
    made["To"] = to
    made["Subject"] = line(message.title)
    made["Date"] = email.utils.formatdate(now, usegmt=True)
    made["Message-ID"] = f"<{word(message.id)}@{domain}>"
    if message.incident:
        made["References"] = f"<incident-{word(message.incident)}@{domain}>"
    made["Auto-Submitted"] = "auto-generated"
    text = f"{message.text}\n\n{message.url}".strip() or message.title
    made.set_content(text.encode("utf-8", "replace").decode())
    return made


def line(text: str) -> str:
    """A text on one line, of characters that can be seen."""
    seen = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(seen.split())[:300]


def word(text: str) -> str:
    """A text of characters that may stand in any header."""
    return urllib.parse.quote(text, safe="@:+#", errors="replace").replace("%", "=")


def send(
    made: EmailMessage,
    settings: Settings,
    seconds: float,
    *,
    private: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Give a mail to the server of the settings, which blocks the thread. Raises DeliveryError.

    `private` are networks that the server's name may lead to, though they are private.
    """
    if not settings.smtp:
        raise DeliveryError("no mail server is named; set smtp in [monitor]")
    parts = urllib.parse.urlsplit(settings.smtp)
    password = _password(settings, environ) if parts.username else ""
    tls = tls or ssl.create_default_context()
    try:
        with bound(private, settings.smtp, SOCKET), _connected(parts, seconds, tls) as server:
            if parts.username:
                server.login(urllib.parse.unquote(parts.username), password)
            server.send_message(made)
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(f"the mail server refuses with code {error.smtp_code}") from None
    except smtplib.SMTPRecipientsRefused:
        raise DeliveryError("the mail server refuses the recipient") from None
    except (OSError, smtplib.SMTPException, ValueError) as error:
        raise DeliveryError(f"no mail could be sent: {why(error)}") from None


def _password(settings: Settings, environ: Mapping[str, str]) -> str:
    try:
        return environ[settings.smtp_password_env]
    except KeyError:
        raise DeliveryError(
            "the mail server wants a password, and the environment variable "
            f"{settings.smtp_password_env!r} is not set; smtp_password_env in [monitor] names it"
        ) from None


def _connected(
    parts: urllib.parse.SplitResult, seconds: float, tls: ssl.SSLContext
) -> smtplib.SMTP:
    host, port = parts.hostname or "localhost", parts.port
    if parts.scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or 465, timeout=seconds, context=tls)
    server = smtplib.SMTP(host, port or 25, timeout=seconds)
    try:
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=tls)
        elif parts.username:
            raise DeliveryError(
                "the mail server offers no STARTTLS, without which no password is sent"
            )
    except BaseException:
        server.close()
        raise
    return server
