"""Users who log in, and pay one another: bottle, gevent, and a store of plain dicts.

    python app.py [PORT]

One document for each user and one for each account. What takes long, hashing a password, is done
outside of transactions; what belongs together is done in one.
"""

from gevent import monkey

monkey.patch_all()

import functools  # noqa: E402
import hashlib  # noqa: E402
import secrets  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

import argon2  # noqa: E402
import bottle  # noqa: E402
import gevent  # noqa: E402
from gevent.pywsgi import WSGIServer  # noqa: E402

from safepatch.store import ConflictError, Store, durable  # noqa: E402

app = bottle.Bottle()
store = Store("state/")
hasher = argon2.PasswordHasher()
#: Checked for who does not exist, so that an answer takes as long as for who does.
NOBODY = hasher.hash(secrets.token_hex())


class RefusedError(Exception):
    """What the client is told, with the status of the answer."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def errors_told(wrapped: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(wrapped)
    def wrapper(*args: Any) -> Any:
        try:
            return wrapped(*args)
        except (RefusedError, ConflictError) as error:
            bottle.response.status = getattr(error, "status", 409)
            return {"error": str(error)}

    return wrapper


app.install(errors_told)


def in_pool(function: Callable[..., Any], *args: Any) -> Any:
    """Call it in a thread, and let other greenlets run: a hash takes tens of milliseconds, in C."""
    return gevent.get_hub().threadpool.apply(function, args)


def is_right(password_hash: str, password: str) -> bool:
    try:
        return bool(hasher.verify(password_hash, password))
    except argon2.exceptions.VerifyMismatchError:
        return False


def asked(*names: str) -> list[Any]:
    """What the JSON of the request has by these names."""
    body = bottle.request.json or {}
    missing = [name for name in names if name not in body]
    if missing:
        raise RefusedError(400, f"the request lacks {', '.join(missing)}")
    return [body[name] for name in names]


@app.post("/users")
def register() -> dict[str, Any]:
    email, password = asked("email", "password")
    create_user(email, in_pool(hasher.hash, password))
    bottle.response.status = 201
    return {"email": email}


@durable(store)
def create_user(email: str, password_hash: str) -> None:
    if email in store.root["users"]:
        raise RefusedError(409, f"{email} is registered")
    store.root["users"][email] = {"password": password_hash, "options": {"newsletter": False}}
    store.root["accounts"][email] = {"balance": 100}


@app.post("/login")
def login() -> dict[str, Any]:
    """A token that says who asks, for the other requests."""
    email, password = asked("email", "password")
    known = store.root["users"].get(email)
    if not in_pool(is_right, known["password"] if known else NOBODY, password):
        raise RefusedError(401, "no such user, or another password")
    token = secrets.token_urlsafe()
    keep_token(token, email)
    return {"token": token}


@durable(store)
def keep_token(token: str, email: str) -> None:
    """As a hash: who reads the files of the store cannot log in with it."""
    store.root["tokens"][hashed(token)] = {"email": email}


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def who_asks() -> str:
    token = bottle.request.get_header("Authorization", "").removeprefix("Bearer ")
    known = store.root["tokens"].get(hashed(token))
    if known is None:
        raise RefusedError(401, "log in first")
    return str(known["email"])


@app.put("/options")
@durable(store)
def set_options() -> dict[str, Any]:
    (wanted,) = asked("newsletter")
    options = store.root["users"][who_asks()]["options"]
    options["newsletter"] = bool(wanted)
    return dict(options)


@app.get("/newsletter")
def newsletter() -> dict[str, float]:
    """The share of users who want it: a query is Python."""
    users = store.root["users"]
    wanted = sum(user["options"]["newsletter"] for user in users.values())
    return {"share": wanted / len(users) if users else 0.0}


@app.get("/balance")
@durable(store)
def balance() -> dict[str, Any]:
    return dict(store.root["accounts"][who_asks()])


@app.post("/transfers")
@durable(store)
def transfer() -> dict[str, Any]:
    """Both accounts change, or none: an exception takes back what was done before it."""
    to, amount = asked("to", "amount")
    if type(amount) is not int or amount <= 0:
        raise RefusedError(400, "the amount is a whole number above 0")
    accounts = store.root["accounts"]
    payer = accounts[who_asks()]
    payer["balance"] -= amount
    if to not in accounts:
        raise RefusedError(404, f"nobody is called {to}")
    accounts[to]["balance"] += amount
    if payer["balance"] < 0:
        raise RefusedError(402, f"you lack {-payer['balance']}")
    return dict(payer)


def main() -> None:
    port = int(sys.argv[1]) if sys.argv[1:] else 8080
    with store:
        server = WSGIServer(("127.0.0.1", port), app, log=None)
        server.start()
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
