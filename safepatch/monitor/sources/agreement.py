"""What must go together in a plan: options of one thing, and names of another."""

from __future__ import annotations

import graphlib
import ipaddress
from collections.abc import Collection, Iterable, Iterator, Mapping

from safepatch.monitor.plan import Channel, Endpoint, Options, Plan, Restart, Settings, Window
from safepatch.monitor.sources.addresses import nearest
from safepatch.monitor.sources.filling import unset
from safepatch.monitor.verdicts import windows

Wrong = tuple[str, str]  # a key, and what is wrong with it
Environment = Mapping[str, str]

_HTTP = ("http", "https")
_TLS = ("http", "https", "tls", "smtp", "smtps", "mx")
_MAIL = ("smtp", "smtps", "mx")
#: The kinds of checks for which an option says something; all, if it is not here.
KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("method", "headers", "headers_env", "body", "status", "redirects"), _HTTP),
    **dict.fromkeys(("contains", "lacks", "matches", "json"), _HTTP),
    **dict.fromkeys(("username", "password_env", "bearer_env"), _HTTP),
    **dict.fromkeys(("verify", "ca", "certificate", "key", "server_name"), _TLS),
    **dict.fromkeys(("expires_within",), _TLS),
    "answers": ("dns", "mx"),
    "starttls": _MAIL,
    "mail_from": _MAIL,
    "rcpt_to": _MAIL,
    "grace": ("beat",),
}


def of_endpoint(endpoint: Endpoint, said: Collection[str]) -> Iterator[Wrong]:
    """What its address and the keys that are said of it have against each other."""
    kind = endpoint.kind
    if kind == "beat" and endpoint.address != f"beat://{endpoint.name}":
        yield "address", f"it reports under its own name; write 'beat://{endpoint.name}'"
    for key in said:
        if kind and kind not in KINDS.get(key, (kind,)):
            kinds = ", ".join(KINDS[key])
            yield key, f"a check of the kind {kind} has no use for it; it is for {kinds}"
    options = endpoint.options
    if kind != "beat" and options.timeout > options.interval:
        yield (
            "timeout",
            f"{options.timeout:g} s are longer than the interval of {options.interval:g} s; "
            "make one shorter or the other longer",
        )


def of_options(options: Options) -> Iterator[Wrong]:
    """What options have against each other."""
    for text in {*options.contains} & {*options.lacks}:
        yield "lacks", f"{text!r} is in contains as well"
    if bool(options.username) != bool(options.password_env):
        yield "username", "username and password_env go together; say both or neither"
    if options.username and options.bearer_env:
        yield "bearer_env", "there is username already; remove one of them"
    headers = {name.lower() for name in options.headers}
    for name in options.headers_env:
        if name.lower() in headers:
            yield "headers_env", f"{name!r} is in headers as well"
    headers |= {name.lower() for name in options.headers_env}
    if "authorization" in headers and (options.username or options.bearer_env):
        yield "headers", "'Authorization' comes from username or bearer_env already"
    if options.ca and not options.verify:
        yield "ca", "with verify = false no certificate is looked at; remove one of them"
    if options.key and not options.certificate:
        yield "key", "it needs a certificate; say it as well"
    if bool(options.mail_from) != bool(options.rcpt_to):
        yield "mail_from", "mail_from and rcpt_to go together; say both or neither"


def of_environment(options: Options, environ: Environment) -> Iterator[Wrong]:
    """The variables that are named and not set."""
    names = {"password_env": options.password_env, "bearer_env": options.bearer_env}
    for key, name in [*names.items(), *(("headers_env", n) for n in options.headers_env.values())]:
        if name and name not in environ:
            yield key, unset(name, environ)


def of_channel(channel: Channel, settings: Settings) -> Iterator[Wrong]:
    """What is wrong with a channel as a whole."""
    yield from _one_of(channel, ("url", "mail", "command"))
    if channel.mail and not settings.smtp:
        yield "mail", "no server sends mail; say smtp in [monitor], 'smtp://user@host:587'"
    if channel.headers and not channel.url:
        yield "headers", "they are for url"


def of_restart(restart: Restart) -> Iterator[Wrong]:
    """What is wrong with a restart as a whole."""
    yield from _one_of(restart, ("url", "command"))
    if restart.headers and not restart.url:
        yield "headers", "they are for url"


def _one_of(thing: Channel | Restart, keys: tuple[str, ...]) -> Iterator[Wrong]:
    said = [key for key in keys if getattr(thing, key)]
    if len(said) != 1:
        which = f"{' and '.join(said)} are" if said else "nothing is"
        yield "", f"{which} said; say one of {', '.join(keys)}"


def of_window(window: Window) -> Iterator[Wrong]:
    """What is wrong with a window as a whole."""
    is_once = bool(window.start or window.end)
    if is_once and not (window.start and window.end):
        yield "end" if window.start else "start", "start and end go together; say both"
    elif is_once and (window.days or window.at):
        yield "start", "a window is once, by start and end, or comes again, by days and at"
    elif not is_once and not window.at:
        yield "at", 'say when it begins, at = "02:00", or start and end'
    elif not is_once and window.seconds > 7 * 86400:
        yield "seconds", "it is longer than a week; say start and end instead"
    elif wrong := windows.problem(window):  # by the clock of its zone
        key, is_key, why = wrong.partition(": ")
        yield (key, why) if is_key else ("", wrong)


def of_settings(settings: Settings, environ: Environment) -> Iterator[Wrong]:
    """What is wrong with the settings as a whole."""
    host = settings.listen.rpartition(":")[0].strip("[]")
    if settings.listen and not settings.login and not _is_loopback(host):
        yield (
            "listen",
            f"others reach {settings.listen!r}; say login and password_hash_env as well, or "
            'listen = "127.0.0.1:8787"',
        )
    if bool(settings.login) != bool(settings.password_hash_env):
        yield "login", "login and password_hash_env go together; say both or neither"
    if settings.smtp_password_env and not settings.smtp:
        yield "smtp_password_env", "there is no smtp that it is for"
    if settings.vantages and not settings.broker:
        yield "vantages", "nothing leads to their workers; say broker, 'redis://host:6379/0'"
    if settings.quorum > max(len(settings.vantages), 1):
        yield "quorum", f"there are only {len(settings.vantages)} vantages"
    for key in ("password_hash_env", "tokens_env", "smtp_password_env", "broker_password_env"):
        name = getattr(settings, key)
        if name and name not in environ:
            yield key, unset(name, environ)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def of_names(
    plan: Plan, broken: Collection[tuple[str, ...]] = ()
) -> Iterator[tuple[str, str, str, str]]:
    """Names that nothing has: the table and the name where they are said, the key, and why.

    `broken` are tables and names of what was said, but could not be read.
    """
    tags = {tag for options in _distinct(plan) for tag in options.tags}
    for name, endpoint in plan.endpoints.items():
        options = endpoint.options
        if not (options.depends_on or options.maintenance or options.alerts or options.restart):
            continue
        for key, said, known, table in (
            ("depends_on", options.depends_on, plan.endpoints, "endpoints"),
            ("maintenance", options.maintenance, plan.windows, "windows"),
            ("alerts", options.alerts, plan.channels, "channels"),
            ("restart", filter(None, [options.restart]), plan.restarts, "restarts"),
        ):
            for one in said:
                if one not in known and (table, one) not in broken:
                    yield (
                        "endpoints",
                        name,
                        key,
                        f"there is no {table[:-1]} {one!r}{nearest(one, known)}",
                    )
    for name, window in plan.windows.items():
        for one in window.endpoints:
            is_tag = one.startswith("#")
            there = [f"#{tag}" for tag in tags] if is_tag else [*plan.endpoints]
            if one not in there and ("endpoints", one) not in broken:
                what, hint = "tag" if is_tag else "endpoint", nearest(one, there)
                yield "windows", name, "endpoints", f"no endpoint has the {what} {one!r}{hint}"
    for name, channel in plan.channels.items():
        for one in channel.tags:
            if one not in tags:
                yield (
                    "channels",
                    name,
                    "tags",
                    f"no endpoint has the tag {one!r}{nearest(one, tags)}",
                )


def _distinct(plan: Plan) -> Iterable[Options]:
    return {id(one.options): one.options for one in plan.endpoints.values()}.values()


def circles(plan: Plan) -> Iterator[tuple[str, str]]:
    """Endpoints that depend on themselves by way of others: a name, and what is wrong."""
    edges = {
        name: {one for one in endpoint.options.depends_on if one in plan.endpoints}
        for name, endpoint in plan.endpoints.items()
        if endpoint.options.depends_on
    }
    while True:
        try:
            graphlib.TopologicalSorter(edges).prepare()
            return
        except graphlib.CycleError as error:
            around: list[str] = error.args[1][::-1]
            yield around[0], f"it depends on itself: {' on '.join(map(repr, around))}"
            edges[around[0]].discard(around[1])
