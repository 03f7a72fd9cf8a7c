"""What is to be watched, and how: what sources are read into, and everything else goes by.

Times are seconds. What is frozen is shared: thousands of endpoints have the same Options.

What `repr` and Rich show comes into logs and tracebacks, so no secrets are in it.
"""

from __future__ import annotations

from typing import Any

import msgspec

_Shown = list[tuple[str, Any]]
#: Fields of Options whose values may be secrets.
_SECRET = {"headers", "body", "username"}


def _told(struct: Any) -> str:
    pairs = (f"{name}={value!r}" for name, value in struct.__rich_repr__())
    return f"{type(struct).__name__}({', '.join(pairs)})"


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be said of an endpoint; what is not said is found out, or as here.

    An endpoint is DOWN after `confirm_down` checks in a row that failed, and UP again after
    `confirm_up` that did not; from the first that differs on it is checked every `retry_after`.
    """

    interval: float = 60.0
    timeout: float = 10.0
    confirm_down: int = 3
    confirm_up: int = 2
    retry_after: float = 10.0

    # HTTP
    method: str = "GET"
    headers: dict[str, str] = {}
    headers_env: dict[str, str] = {}  # header -> the environment variable that has its value
    body: str = ""
    status: tuple[str, ...] = ()  # "200", "2xx", "200-299"; (): below 400, and 401
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    matches: str = ""  # a regular expression that is found in the body
    json: dict[str, Any] = {}  # "data.items[0].name" -> what must be there
    redirects: int = 10
    username: str = ""
    password_env: str = ""  # the environment variable that has it
    bearer_env: str = ""

    # TLS
    verify: bool = True
    ca: str = ""  # a file of certificates that are trusted, instead of the system's
    certificate: str = ""  # of ours, with its key
    key: str = ""
    server_name: str = ""  # the host's name otherwise
    expires_within: float = 14 * 86400.0  # before that a certificate is warned of

    # DNS
    resolver: str = ""  # "192.0.2.1" or "192.0.2.1:5353"; the system's otherwise
    answers: tuple[str, ...] = ()  # each must be among the records

    # SMTP
    starttls: bool | None = None  # None: if it is offered
    mail_from: str = ""  # with rcpt_to: asks whether that would be taken, and sends nothing
    rcpt_to: str = ""

    # Heartbeats: `interval` is how often they come, and so much later one is missed.
    grace: float = 60.0

    learn: bool = True
    private: tuple[str, ...] = ()  # networks that are private and may be asked: "10.0.0.0/8", "any"
    tags: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()  # names of endpoints, without which this one cannot work
    maintenance: tuple[str, ...] = ()  # names of windows; () is those that are for all
    alerts: tuple[str, ...] = ()  # names of channels; () is all
    restart: str = ""  # the name of a restart
    public: bool = True  # on the public status page
    description: str = ""

    __repr__ = _told

    def __rich_repr__(self) -> _Shown:
        said = ((field, getattr(self, field.name)) for field in msgspec.structs.fields(self))
        return [
            (field.name, "***" if field.name in _SECRET else value)
            for field, value in said
            if value not in (field.default, {})
        ]


class Endpoint(msgspec.Struct, frozen=True):
    """One thing that is watched.

    `address` is a URL whose scheme is the kind of check (http, https, tcp, tls, icmp, smtp, mx,
    dns, beat), or, where the kind is to be found out, what was written: "example.com", "host:25".
    `where` is where it was written, "sites.txt:12".
    """

    name: str
    address: str
    options: Options
    where: str = ""

    @property
    def kind(self) -> str:
        """The kind of check, or "" where it is to be found out."""
        scheme, found, _ = self.address.partition("://")
        return scheme if found else ""

    __repr__ = _told

    def __rich_repr__(self) -> _Shown:
        parts = {name: getattr(self, name).partition("?") for name in ("name", "address")}
        urls = [(name, text + (mark and "?***")) for name, (text, mark, _) in parts.items()]
        return [*urls, ("options", self.options), ("where", self.where)]


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where alerts go: exactly one of `url`, `mail` and `command`.

    `url` is a webhook that gets JSON ("https://..."), or what Apprise knows ("slack://...",
    "ntfy://..."); in all texts ${NAME} is taken from the environment. `events` are those it gets,
    () for all; `tags` those of the endpoints it cares for, () for all.
    """

    name: str = ""
    url: str = ""
    mail: str = ""  # an address, sent by the server of Settings.smtp
    command: tuple[str, ...] = ()  # gets the event as JSON on its standard input
    events: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    timeout: float = 30.0
    per_minute: float = 30.0  # what is more waits
    private: tuple[str, ...] = ()  # networks that are private and its name may lead to

    __repr__ = _told

    def __rich_repr__(self) -> _Shown:
        return [("name", self.name)]  # addresses and headers are secrets


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When nobody is to be alerted of `endpoints` (names, or "#tag"), () for all.

    Once, between `start` and `end` (ISO 8601); or each time of `days` ("mon" ... "sun", () for each
    day) from `at` ("02:00") for `seconds`, in the timezone `zone`.
    """

    name: str = ""
    endpoints: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    days: tuple[str, ...] = ()
    at: str = ""
    seconds: float = 3600.0
    zone: str = "UTC"


class Restart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What brings an endpoint back: a webhook (`url`, posted to) or a `command`.

    At most `per_hour` for one endpoint; each time it has to wait twice as long, from `wait` on. It
    has `verify` seconds to be up again.
    """

    name: str = ""
    url: str = ""
    command: tuple[str, ...] = ()
    headers: dict[str, str] = {}
    private: tuple[str, ...] = ()  # networks that are private and its name may lead to
    timeout: float = 60.0
    wait: float = 60.0
    per_hour: int = 3
    verify: float = 120.0
    dry_run: bool = False

    __repr__ = _told

    def __rich_repr__(self) -> _Shown:
        return [("name", self.name)]  # addresses and headers are secrets


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for the monitor as a whole."""

    listen: str = "127.0.0.1:8787"  # "" for no pages
    title: str = "Status"
    url: str = ""  # where people reach the pages, for links in alerts
    login: str = ""  # a user's name; required where `listen` is not loopback
    password_hash_env: str = ""  # the environment variable with the hash of the password
    tokens_env: str = ""  # the environment variable with tokens for the API, split by blanks
    public_page: bool = True  # a status page without login
    concurrency: int = 500  # checks at the same time
    gather: float = 15.0  # how long failures are gathered before they are told of, by cause
    canaries: tuple[str, ...] = ()  # addresses that are up as long as the monitor's own line is
    restarts_per_hour: int = 20  # of all endpoints
    restarts_stop_at: float = 0.2  # no restarts while more than this share is down
    smtp: str = ""  # "smtp://user@host:587"; for channels with `mail`
    smtp_password_env: str = ""
    mail_from: str = ""
    broker: str = ""  # "redis://host:6379/0"; for checks by workers, at the `vantages`
    broker_password_env: str = ""
    vantages: tuple[str, ...] = ()  # names of the places that workers check from
    quorum: int = 0  # how many vantages must see something down; 0 is more than half of them
    keep_raw: float = 86400.0
    keep_rollups: float = 366 * 86400.0


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that the sources say; by name, in the order in which it was written."""

    settings: Settings = Settings()
    endpoints: dict[str, Endpoint] = {}
    channels: dict[str, Channel] = {}
    windows: dict[str, Window] = {}
    restarts: dict[str, Restart] = {}
