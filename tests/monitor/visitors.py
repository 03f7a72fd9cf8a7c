"""Whoever looks at the pages of a monitor, in tests."""

import copy
import re

from standins import shop
from werkzeug.security import generate_password_hash

from safepatch.monitor.web import making

PASSWORD = "correct horse"
#: Quick to compare.
HASH = generate_password_hash(PASSWORD, "pbkdf2:sha256:1000")


#: Made once, as that takes longer than most tests.
_APPLICATION = making.application()


def app(monitor):
    """The pages of a monitor, with all that may change of its own."""
    made = copy.copy(_APPLICATION)
    made.extensions, made.config = {}, copy.copy(_APPLICATION.config)
    making.attach(made, monitor)
    return made


def client(monitor=None, *, host="localhost", address="127.0.0.1"):
    """A browser without JavaScript, that asks `host` from `address`."""
    pages = app(monitor or shop())
    serve = pages.wsgi_app

    def meant_for(environ, start_response):
        environ["HTTP_HOST"] = host
        return serve(environ, start_response)

    pages.wsgi_app = meant_for
    made = pages.test_client()
    made.environ_base["REMOTE_ADDR"] = address
    return made


def far(monitor, *, address="203.0.113.9"):
    """One on another machine."""
    return client(monitor, host="status.example.com", address=address)


def csrf(client, path="/login"):
    """The token of a form of that page."""
    found = re.search(r'name="csrf" value="([^"]+)"', client.get(path).text)
    return found.group(1) if found else ""


def log_in(client, password=PASSWORD, name="ops", **more):
    form = {"csrf": csrf(client), "name": name, "password": password, **more}
    return client.post("/login", data=form)


def with_login(patches_env, **settings):
    """A monitor that needs a login; `patches_env` is pytest's monkeypatch."""
    patches_env.setenv("PAGES_HASH", HASH)
    return shop(
        listen="0.0.0.0:8787", login="ops", password_hash_env="PAGES_HASH", **settings
    )  # fmt: skip
