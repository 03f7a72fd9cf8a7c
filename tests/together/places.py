"""Places that the tools patch; requests go to a server of our own."""

import functools
import http.server
import socket
import threading
import time

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


def of_sockets(name, call):
    return lambda: Victim(socket, name, call, call(), (socket,))


def send_to_oneself():
    one, other = socket.socketpair()
    with one, other:
        return one.sendall(b"hello")


def in_sockets_themselves():
    # A method in C, which socket.socket inherits.
    return Victim(socket.socket, "sendall", send_to_oneself, None, (socket.socket,))


OF_PYTHON = {
    "time.sleep": lambda: Victim(time, "sleep", lambda: time.sleep(0), None, (time,)),
    "socket.getaddrinfo": of_sockets("getaddrinfo", lambda: socket.getaddrinfo("127.0.0.1", 80)),
    "socket.gethostbyname": of_sockets("gethostbyname", lambda: socket.gethostbyname("127.0.0.1")),
    "socket.socket.sendall": in_sockets_themselves,
}
