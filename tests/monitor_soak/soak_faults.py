"""What goes wrong in the soak, each with the verdict and the cause that it must have."""

import datetime
import itertools

import trustme
from soak_world import Mail, context_of

_LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_ENDED = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
_NOBODY = "127.15.0.1"  # an address at which nobody listens
_numbers = itertools.count()


class Case:
    """Endpoints that one fault befalls, as often as it is told to.

    `bad` are those endpoints, name -> address, and `near` others beside them that stay well;
    `error` is what the bad ones must be called down for, "" if they must not, and `cause` the kind
    of cause that the alert must tell. `begin` and `end` are the fault.
    """

    def __init__(self, kind, error, cause, bad, begin, end, near=()):
        self.kind, self.error, self.cause = kind, error, cause
        self.bad, self.near = dict(bad), dict(near)
        self.begin, self.end = begin, end


class Authorities:
    """One that is trusted, whose certificate is in a file, and one that is not."""

    def __init__(self, file):
        self.trusted, self.foreign = trustme.CA(), trustme.CA(organization_name="nobody knows")
        self.trusted.cert_pem.write_to_path(file)

    def good(self, *hosts):
        return context_of(self.trusted.issue_cert(*hosts))

    def expired(self, *hosts):
        times = {"not_before": _LONG_AGO, "not_after": _ENDED}
        return context_of(self.trusted.issue_cert(*hosts, **times))

    def untrusted(self, *hosts):
        return context_of(self.foreign.issue_cert(*hosts))


def _named(kind, addresses):
    number = next(_numbers)
    return {f"{kind}-{number}-{each}": address for each, address in enumerate(addresses)}


def _urls(place, count, first=0):
    return [f"http://{place.address}:{place.port}/{each}" for each in range(first, first + count)]


def _each(places, act):
    def run():
        for place in places:
            act(place)

    return run


def _mode(mode):
    return lambda place: setattr(place, "mode", mode)


def killed(world, authorities):
    place = world.place(world.network())
    addresses = [*_urls(place, 4), f"tcp://{place.address}:{place.port}"]
    return Case("killed", "refused", "address", _named("killed", addresses), place.down, place.up)


def network(world, authorities):
    net = world.network()
    places = [world.place(net, number) for number in range(1, 5)]
    bad = _named("network", [url for place in places for url in _urls(place, 1)])
    down, up = _each(places, type(places[0]).down), _each(places, type(places[0]).up)
    return Case("network", "refused", "network", bad, down, up)


def _shared(kind, mode, error):
    def make(world, authorities):
        place = world.place(world.network())
        begin, end = _each([place], _mode(mode)), _each([place], _mode("well"))
        return Case(kind, error, "address", _named(kind, _urls(place, 4)), begin, end)

    return make


def _single(kind, mode, error):
    def make(world, authorities):
        net = world.network()
        place, other = world.place(net, 1), world.place(net, 2)
        begin, end = _each([place], _mode(mode)), _each([place], _mode("well"))
        bad, near = _named(kind, _urls(place, 1)), _named(f"near-{kind}", _urls(other, 3))
        return Case(kind, error, "", bad, begin, end, near)

    return make


def _certificate(kind, cause, worse):
    def make(world, authorities):
        places = [world.place(world.network()) for _ in range(4)]
        hosts = [place.address for place in places]
        good, bad = authorities.good(*hosts), worse(authorities, hosts)

        def use(contexts):
            for place, context in zip(places, contexts, strict=True):
                place.context = context

        use([good] * 4)
        named = _named(kind, [f"https://{each.address}:{each.port}/" for each in places])
        return Case(
            kind, "certificate", cause, named, lambda: use(bad), lambda: use([good] * 4)
        )  # fmt: skip

    return make


def unnamed(world, authorities):
    """The names of a domain are gone, and their servers are well."""
    domain = f"gone{next(_numbers)}.test"
    places = {f"{each}.{domain}": world.place(world.network()) for each in ("a", "b", "c")}
    hosts = {name: [place.address] for name, place in places.items()}
    world.names.hosts.update(hosts)
    bad = _named("unnamed", [f"http://{name}:{place.port}/" for name, place in places.items()])

    def begin():
        for name in hosts:
            del world.names.hosts[name]

    return Case("unnamed", "dns", "domain", bad, begin, lambda: world.names.hosts.update(hosts))


def elsewhere(world, authorities):
    """A name points to where nobody listens; another name of the same server does not."""
    place, number = world.place(world.network()), next(_numbers)
    host, other = f"www.else{number}.test", f"old.else{number}.test"
    hosts = world.names.hosts
    hosts[host] = hosts[other] = [place.address]
    return Case(
        "elsewhere", "refused", "",
        _named("elsewhere", [f"http://{host}:{place.port}/"]),
        lambda: hosts.update({host: [_NOBODY]}),
        lambda: hosts.update({host: [place.address]}),
        _named("near-elsewhere", [f"http://{other}:{place.port}/"]),
    )  # fmt: skip


def moved(world, authorities):
    """A server goes, and its name has moved to another one: nothing is down."""
    first, host = world.place(world.network()), f"www.moves{next(_numbers)}.test"
    second = world.place(world.network())
    second.down()
    second.port = first.port
    world.names.hosts[host] = [first.address]

    def move(old, new):
        new.up()
        world.names.hosts[host] = [new.address]
        old.down()

    bad = _named("moved", [f"http://{host}:{first.port}/"])
    return Case(
        "moved", "", "", bad, lambda: move(first, second), lambda: move(second, first)
    )  # fmt: skip


KINDS = (
    killed,
    network,
    _shared("slow", "slow", "timeout"),
    _shared("error", "error", "status"),
    _single("reset", "reset", "reset"),
    _single("garbage", "garbage", "protocol"),
    _single("half", "half", "reset"),
    _certificate("expired", "certificate", lambda ours, hosts: [ours.expired(*hosts)] * 4),
    _certificate(
        "untrusted", "issuer", lambda ours, hosts: [ours.untrusted(host) for host in hosts]
    ),
    unnamed,
    elsewhere,
    moved,
)


def healthy(world, authorities):
    """Endpoints of all kinds that nothing befalls, name -> address."""
    shared, addresses = world.place(world.network()), []
    addresses += _urls(shared, 20)
    for _ in range(8):
        addresses += _urls(world.place(world.network()), 1)
        secure = world.place(world.network())
        secure.context = authorities.good(secure.address)
        addresses.append(f"https://{secure.address}:{secure.port}/")
    mail = world.place(world.network(), kind=Mail)
    addresses += [f"smtp://{mail.address}:{mail.port}", f"tcp://{shared.address}:{shared.port}"]
    addresses.append(f"tls://{secure.address}:{secure.port}")
    return _named("healthy", addresses)
