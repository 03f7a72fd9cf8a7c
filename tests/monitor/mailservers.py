"""Mail servers on loopback: real ones by aiosmtpd, and ones that say what a test makes them say."""

# aiosmtpd looks for methods of such names.
# ruff: noqa: N802

import contextlib
import socket
import ssl
import threading

from aiosmtpd.controller import Controller


class Postbox:
    """Takes mail for one address, and notes all that it is asked."""

    def __init__(self):
        self.commands = []
        self.mails = []

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        self.commands.append(f"EHLO {hostname}" + (" in TLS" if session.ssl else ""))
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        self.commands.append(f"MAIL {address}")
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.commands.append(f"RCPT {address}")
        if address != "known@example.test":
            return "550 5.1.1 no such user here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_RSET(self, server, session, envelope):
        self.commands.append("RSET")
        return "250 OK"

    async def handle_QUIT(self, server, session, envelope):
        self.commands.append("QUIT")
        return "221 Bye"

    async def handle_DATA(self, server, session, envelope):
        self.mails.append(envelope.content)
        return "250 OK"


class _Controller(Controller):
    def factory(self):
        made = super().factory()
        made.__ident__ = "test"
        return made

    def _trigger_server(self):
        # The one of aiosmtpd asks "localhost", and with SSL speaks it.
        with socket.create_connection((self.hostname, self.port), 5):
            pass


@contextlib.contextmanager
def mailserver(context=None, implicit=False):
    """One of aiosmtpd; with a context it offers STARTTLS, or speaks TLS from the beginning."""
    postbox = Postbox()
    given = {"tls_context": None if implicit else context}
    if implicit:
        given["ssl_context"] = context
    controller = _Controller(postbox, hostname="127.0.0.1", port=free_port(), **given)
    controller.start()
    try:
        yield postbox, controller.port
    finally:
        controller.stop()


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def saying(talk, times=1):
    """A server that calls `talk(connection)` for each of so many connections; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)

        def serve():
            for _ in range(times):
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            # Which ends the wait for one that never came.
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def lines(*answers):
    """What `saying` is given: the first at once, one more after each that comes."""

    def talk(connection):
        for answer in answers:
            connection.sendall(answer)
            if not connection.recv(1000):
                return

    return talk


def server_context(authority, *names):
    """What a server needs to have a certificate of trustme's authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context
