"""The places that ddtrace and OpenTelemetry patch, where requests go to a server of our own."""

import functools
import http.server
import threading

import requests
import urllib3
from victims import Victim


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass


@functools.cache
def server():
    """The address of a server on this machine, for as long as the process lives."""
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    return made.server_address


def send():
    with requests.Session() as session:
        session.trust_env = False  # which may say that there is a proxy
        return session.get("http://{}:{}/".format(*server())).text


def urlopen():
    with urllib3.HTTPConnectionPool(*server()) as pool:
        return pool.request("GET", "/").data.decode()


def in_requests():
    return Victim(requests.Session, "send", send, "hello", (requests.Session,))


def in_urllib3():
    owner = urllib3.HTTPConnectionPool
    return Victim(owner, "urlopen", urlopen, "hello", (owner,))
