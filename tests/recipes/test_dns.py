"""The recipe dns-cache: over a system lookup that notes its calls, and before a real DNS server."""

import asyncio
import functools
import importlib.util
import pathlib
import socket
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import children
import pytest

from safepatch.decorators import replace
from safepatch.recipes.dns import dns_cache

# The package as it is installed; the examples are not.
EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
ENOUGH = 5  # seconds, after which a thread is taken to hang
STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
CANONNAME, PASSIVE = socket.AI_CANONNAME, socket.AI_PASSIVE


class System:
    """A stand-in for `_socket.getaddrinfo` that notes what it was asked."""

    def __init__(self):
        self.calls = []
        self.addresses = ["192.0.2.1"]
        self.family = socket.AF_INET
        self.before = lambda host: None

    def getaddrinfo(self, host, port, family=0, kind=0, proto=0, flags=0):
        self.calls.append((host, port, family, kind, proto, flags))
        self.before(host)
        if isinstance(host, list):
            raise TypeError("getaddrinfo() argument 1 must be string or None")
        if port is True or isinstance(port, float):
            raise OSError("Int or String expected")
        if isinstance(host, str) and max(map(len, host.split("."))) > 63:
            raise UnicodeError("label too long")
        if host is not None and b"missing" in (host if isinstance(host, bytes) else host.encode()):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        number = 80 if port in ("http", b"http") else int(port or 0)
        return [
            (socket.AF_INET6, each, 6, "", (address, number, 0, 0))
            if ":" in address
            else (self.family, each, 6, "", (address, number))
            for address in self.addresses
            for each in ([kind] if kind else [STREAM, DGRAM])
        ]


@pytest.fixture
def system(patches):
    made = System()
    patches.apply("_socket:getaddrinfo", replace(made.getaddrinfo), aliases="ignore")
    return made


@pytest.fixture
def cache(patches):
    return lambda **options: patches.register("dns-cache", dns_cache(**options)).apply()


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def outcome(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return type(error), str(error)


def firsts(rows):
    """The addresses of rows, each once where its rows stand together."""
    addresses = [row[4][0] for row in rows]
    return [b for a, b in zip([None, *addresses], addresses, strict=False) if a != b]


# Which questions are the same.

SAME = [
    (("a.test", 80), {"type": STREAM}),
    (("a.test", 80, 0, STREAM), {}),
    (("a.test", 80, 0, 1, 0, 0), {}),
    (("a.test", 443, socket.AF_UNSPEC, STREAM), {}),
    (("a.test", "80", 0, STREAM), {}),
    (("a.test", b"80", 0, STREAM), {}),
    (("a.test", 0, 0, STREAM), {}),
    ((b"a.test", 80, 0, STREAM), {}),
    (("A.Test", 80, 0, STREAM), {}),
    (("a.test",), {"port": 80, "family": 0, "type": 1, "proto": 0, "flags": 0}),
    ((), {"host": "a.test", "port": 80, "type": STREAM}),
    (("a.test", 80, 0, STREAM), {"flags": socket.AddressInfo(0)}),
]


def test_spellings_of_one_question_share_one_lookup(system, cache):
    cache()

    for args, kwargs in SAME:
        asked = int({**dict(zip(["host", "port"], args, strict=False)), **kwargs}["port"])
        assert socket.getaddrinfo(*args, **kwargs) == [
            (socket.AF_INET, STREAM, 6, "", ("192.0.2.1", asked))
        ]
    assert len(system.calls) == 1


OTHERS = [
    ("a.test", 80, 0, STREAM),
    ("a.test.", 80, 0, STREAM),
    ("b.test", 80, 0, STREAM),
    ("a.test", 80, 0, 0),
    ("a.test", 80, 0, DGRAM),
    ("a.test", 80, socket.AF_INET, STREAM),
    ("a.test", 80, socket.AF_INET6, STREAM),
    ("a.test", 80, 0, STREAM, 6),
    ("a.test", "http", 0, STREAM),
    ("a.test", None, 0, STREAM),
    ("a.test", 80, 0, STREAM, 0, CANONNAME),
    ("A.test", 80, 0, STREAM, 0, CANONNAME),
    ("a.test", 80, 0, STREAM, 0, PASSIVE),
    ("a.test", 80, 0, STREAM, 0, socket.AI_NUMERICHOST),
    ("b\u00fccher.test", 80, 0, STREAM),
]


def test_questions_that_may_have_other_answers_are_not_merged(system, cache):
    p = cache()

    for args in OTHERS * 2:
        assert socket.getaddrinfo(*args) == p.parts[2].original(*args)
    # The second round asks only for the comparison.
    assert len(system.calls) == len(OTHERS) + 2 * len(OTHERS)


@pytest.mark.parametrize("name", ["localhost", "ip6-localhost", "<broadcast>"])
def test_names_that_are_special_in_lower_case_only_are_asked_as_they_are_spelled(
    system, cache, name
):
    cache()

    for host in [name, name.upper()] * 2:
        socket.getaddrinfo(host, 80)
    assert [host for host, *_ in system.calls] == [name, name.upper()]


THROUGH = [
    (None, 80),
    ("", 80),
    ("fe80::1%eth0", 80),
    ("zz\0b.test", 80),
    (["a.test"], 80),
    (bytearray(b"a.test"), 80),
    ("a.test", 80.0),
    ("a.test", True),
    ("a.test", -1),
    ("a.test", 65536),
    ("a.test", "65536"),
    ("a.test", "080"),
    ("a.test", 80, False),
    ("a.test", 80, 0, 1.0),
]


@pytest.mark.parametrize("args", THROUGH, ids=repr)
def test_what_is_no_plain_question_is_called_through(system, cache, args):
    p = cache()
    plain = ("a.test", 80)
    socket.getaddrinfo(*plain)

    for _ in range(2):
        assert outcome(socket.getaddrinfo, *args) == outcome(p.parts[2].original, *args)
    assert len(system.calls) == 1 + 4
    assert system.calls[1] == system.calls[2]
    assert p.wrapper.cache_info()[:2] == (0, 1)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((), {}),
        (("a.test",), {}),
        (("a.test",), {"family": 0}),
        (("a.test", 80), {"socktype": 1}),
        (("a.test", 80), {"host": "a.test"}),
        (("a.test", 80, 0, 0, 0, 0, 0), {}),
    ],
)
def test_a_wrong_call_raises_what_the_original_raises(system, cache, args, kwargs):
    raw = outcome(socket.getaddrinfo, *args, **kwargs)
    cache()

    assert raw[0] is TypeError
    assert outcome(socket.getaddrinfo, *args, **kwargs) == raw


def test_the_real_system_gives_the_same_cached_as_not(cache):
    calls = [
        (host, port, family, kind)
        for host in ("127.0.0.1", b"127.0.0.1", "localhost", "::1")
        for port in (80, "81", "http", None, 0)
        for family in (0, socket.AF_INET)
        for kind in (0, STREAM)
    ]
    raw = [outcome(socket.getaddrinfo, *args) for args in calls]
    cache()

    assert [outcome(socket.getaddrinfo, *args) for args in calls * 2] == raw * 2


# Answers.


def test_each_caller_has_a_list_of_its_own(system, cache):
    cache()
    socket.getaddrinfo("a.test", 80).clear()

    assert len(socket.getaddrinfo("a.test", 80)) == 2


@pytest.mark.parametrize("host", ["missing.test", b"missing.test", "x" * 64 + ".test"])
def test_errors_are_not_kept(system, cache, host):
    raw = outcome(socket.getaddrinfo, host, 80)
    cache()

    assert issubclass(raw[0], (socket.gaierror, UnicodeError))
    assert [outcome(socket.getaddrinfo, host, 80) for _ in range(3)] == [raw] * 3
    assert len(system.calls) >= 1 + 3


def test_a_long_label_in_bytes_is_the_systems_business_as_without_a_cache(system, cache):
    host = b"x" * 64 + b".test"
    raw = socket.getaddrinfo(host, 80)
    cache()

    assert socket.getaddrinfo(host, 80) == raw


TURNS = [
    (["192.0.2.1", "192.0.2.2", "192.0.2.3"], ["123", "231", "312", "123"]),
    (["2001:db8::1", "2001:db8::2", "192.0.2.3", "192.0.2.4"], ["1234", "2143", "1234"]),
    # Public before private, and families that alternate: RFC 6724 has its reasons.
    (["8.8.8.1", "8.8.8.2", "10.0.0.3"], ["123", "213", "123"]),
    (["2001:db8::1", "192.0.2.2", "fe80::3"], ["123", "123"]),
    # Loopback before what is elsewhere, native IPv6 before tunnels, and IPv4 in IPv6 last.
    (["::1", "fd00::2"], ["12", "12"]),
    (["127.0.1.1", "10.0.0.2"], ["12", "12"]),
    (["2a00::1", "2002:c000:204::2", "2001::3"], ["123", "123"]),
    (["2a00::1", "::ffff:8.8.8.2"], ["12", "12"]),
    (["2002:c000:204::1", "2002:c000:204::2", "fd00::3", "fd00::4"], ["1234", "2143"]),
]


@pytest.mark.parametrize("kind", [0, STREAM])
@pytest.mark.parametrize(("addresses", "turns"), TURNS)
def test_only_addresses_that_rfc_6724_ranks_alike_come_first_in_turn(
    system, cache, addresses, turns, kind
):
    cache()
    system.addresses = addresses

    seen = [firsts(socket.getaddrinfo("a.test", 80, 0, kind)) for _ in turns]

    assert ["".join(address[-1] for address in order) for order in seen] == turns


def test_with_ai_canonname_nothing_turns(system, cache):
    cache()
    system.addresses = ["192.0.2.1", "192.0.2.2"]

    seen = {firsts(socket.getaddrinfo("a.test", 80, 0, 1, 0, CANONNAME))[0] for _ in range(3)}

    assert seen == {"192.0.2.1"}


def test_answers_of_families_whose_rows_cannot_be_remade_are_asked_for_each_time(system, cache):
    cache()
    system.family = 99

    for port in (80, 81):
        assert socket.getaddrinfo("a.test", port, 0, 1)[0][4] == ("192.0.2.1", port)


# Time, size and control.


def test_an_answer_is_kept_for_its_time(system, cache):
    clock = Clock()
    cache(ttl=60, jitter=0, clock=clock)

    for now, calls in [(0, 1), (59.9, 1), (60, 2), (119.9, 2), (120, 3)]:
        clock.now = now
        socket.getaddrinfo("a.test", 80)
        assert len(system.calls) == calls


def test_what_was_looked_up_together_does_not_expire_together(system, cache):
    clock = Clock()
    p = cache(ttl=100, jitter=0.5, clock=clock)
    hosts = [f"site{n}.test" for n in range(100)]

    misses = []
    for now in (0, 49, 75, 100):
        clock.now = now
        for host in hosts:
            socket.getaddrinfo(host, 80)
        misses.append(p.wrapper.cache_info().misses)

    assert misses[0] == misses[1] == 100
    assert 100 < misses[2] < 200


class Dns:
    """What a lookup comes to: `system` answers, or raises what is in `error`."""

    def __init__(self, system):
        self.error = None
        system.before = self._fail

    def _fail(self, host):
        if self.error is not None:
            raise socket.gaierror(self.error, "for a test")


def test_an_old_answer_is_given_where_a_lookup_fails_if_so_asked(system, cache):
    clock, dns = Clock(), Dns(system)
    cache(ttl=60, jitter=0, stale_if_error=30, clock=clock)
    answer = socket.getaddrinfo("a.test", 80)

    dns.error = socket.EAI_AGAIN
    clock.now = 89.9
    assert socket.getaddrinfo("a.test", 80) == answer
    clock.now = 90
    with pytest.raises(socket.gaierror, match="for a test"):
        socket.getaddrinfo("a.test", 80)
    dns.error = None
    assert socket.getaddrinfo("a.test", 80) == answer


def test_that_a_host_does_not_exist_ends_an_old_answer(system, cache):
    clock, dns = Clock(), Dns(system)
    cache(ttl=60, jitter=0, stale_if_error=1000, clock=clock)
    socket.getaddrinfo("a.test", 80)

    # It is the last answer from then on, for what fails later.
    for now, error in [(61, socket.EAI_NONAME), (63, socket.EAI_AGAIN)]:
        clock.now, dns.error = now, error
        with pytest.raises(socket.gaierror, match="for a test") as caught:
            socket.getaddrinfo("a.test", 80)
        assert caught.value.errno == socket.EAI_NONAME


def test_that_a_host_does_not_exist_is_kept_for_negative_ttl_and_no_other_error_is(system, cache):
    clock, dns = Clock(), Dns(system)
    cache(ttl=60, jitter=0, negative_ttl=10, clock=clock)

    for error, now, calls in [
        (socket.EAI_AGAIN, 0, 1),
        (socket.EAI_AGAIN, 0, 2),
        (socket.EAI_NONAME, 0, 3),
        (socket.EAI_NONAME, 9.9, 3),
        (socket.EAI_NONAME, 10, 4),
    ]:
        clock.now, dns.error = now, error
        with pytest.raises(socket.gaierror) as caught:
            socket.getaddrinfo("a.test", 80)
        assert (caught.value.args, len(system.calls)) == ((error, "for a test"), calls)


def test_each_caller_has_an_error_of_its_own(system, cache):
    cache(negative_ttl=10)
    errors = []
    for _ in range(2):
        with pytest.raises(socket.gaierror) as caught:
            socket.getaddrinfo("missing.test", 80)
        errors.append(caught.value)

    assert errors[0] is not errors[1]
    assert str(errors[0]) == str(errors[1])
    assert len(system.calls) == 1


def test_an_old_answer_is_given_at_once_while_another_is_looked_up_if_so_asked(system, cache):
    clock, began, go = Clock(), threading.Event(), threading.Event()
    cache(ttl=60, jitter=0, stale_while_revalidate=30, clock=clock)
    socket.getaddrinfo("a.test", 80)
    system.addresses = ["192.0.2.2"]
    system.before = lambda host: (began.set(), go.wait(ENOUGH))

    def ask():
        return firsts(socket.getaddrinfo("a.test", 80))

    clock.now = 61
    with ThreadPoolExecutor(1) as pool:  # a thread of its own has no hub of gevent
        assert pool.submit(ask).result(ENOUGH) == ["192.0.2.1"]
    assert began.wait(ENOUGH)
    go.set()
    for thread in threading.enumerate():
        if thread.name == "safepatch-refresh":
            thread.join(ENOUGH)
    assert ask() == ["192.0.2.2"]


def test_no_more_than_maxsize_answers_are_kept(system, cache):
    p = cache(maxsize=10)
    for n in range(100):
        socket.getaddrinfo(f"site{n}.test", 80)

    assert p.wrapper.cache_info() == (0, 100, 10, 10)


@pytest.mark.parametrize("spelling", ["a.test", "A.TEST", "a.test.", b"a.test"])
def test_a_host_can_be_invalidated_with_all_its_entries(system, cache, spelling):
    p = cache()
    questions = [("a.test", 80), ("a.test", 80, 0, STREAM), ("a.test.", 80), ("a.test", "http")]
    for args in [*questions, ("b.test", 80)]:
        socket.getaddrinfo(*args)

    p.wrappers[0].cache_invalidate(spelling)
    for args in [*questions, ("b.test", 80)] * 2:
        socket.getaddrinfo(*args)

    assert len(system.calls) == 2 * len(questions) + 1


BUECHER = ["b\u00fccher.test", "B\u00dcCHER.test.", "b\u00fccher\u3002test"]
BUECHER += ["xn--bcher-kva.test", "XN--BCHER-KVA.TEST", b"xn--bcher-kva.test"]


@pytest.mark.parametrize("spelling", BUECHER)
def test_a_host_with_other_letters_can_be_invalidated_in_either_form(system, cache, spelling):
    p = cache()
    for host in BUECHER:
        socket.getaddrinfo(host, 80)
    asked = len(system.calls)

    p.wrapper.cache_invalidate(spelling)
    for host in BUECHER * 2:
        socket.getaddrinfo(host, 80)

    assert len(system.calls) == 2 * asked


def test_a_host_that_idna_cannot_write_can_be_invalidated_as_it_is(system, cache):
    p = cache()
    socket.getaddrinfo("b\u00fccher..test", 80)

    p.wrapper.cache_invalidate("b\u00fccher..test")
    for _ in range(2):
        socket.getaddrinfo("b\u00fccher..test", 80)

    assert len(system.calls) == 2


def test_invalidating_many_hosts_does_not_grow_for_ever(system, cache):
    p = cache(maxsize=10)
    for n in range(100):
        p.wrapper.cache_invalidate(f"site{n}.test")

    assert len(p.parts[0].decorators[0].func.__self__._marks) <= 10


def test_a_lookup_under_way_does_not_outlive_an_invalidation(system, cache):
    p = cache()

    def invalidate_once(host):
        system.before = lambda host: None
        system.addresses = ["192.0.2.2"]
        p.wrapper.cache_invalidate("a.test")

    system.before = invalidate_once
    socket.getaddrinfo("a.test", 80)
    socket.getaddrinfo("a.test", 80)

    assert len(system.calls) == 2


def test_clear_forgets_all_and_counts_anew(system, cache):
    p = cache()
    socket.getaddrinfo("a.test", 80)
    p.wrapper.cache_clear()

    assert p.wrapper.cache_info() == (0, 0, 65536, 0)
    socket.getaddrinfo("a.test", 80)
    assert len(system.calls) == 2


def test_applied_again_it_begins_anew(system, cache):
    p = cache()
    socket.getaddrinfo("a.test", 80)
    p.undo()
    assert p.wrapper.cache_info()[1] == 1
    p.apply()
    assert p.wrapper.cache_info()[:2] == (0, 0)

    socket.getaddrinfo("a.test", 80)

    assert len(system.calls) == 2


# Threads and asyncio.


def in_threads(*functions):
    threads = [threading.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(ENOUGH)
    assert not any(thread.is_alive() for thread in threads)


def test_many_who_ask_the_same_at_once_make_one_lookup(system, cache, arrivals):
    cache()
    waiting = []
    system.before = lambda host: waiting.extend(arrivals.acquire(timeout=ENOUGH) for _ in range(19))
    answers = []

    in_threads(*[lambda: answers.append(socket.getaddrinfo("a.test", 80))] * 20)

    assert waiting == [True] * 19
    assert len(system.calls) == 1
    assert len(answers) == 20


def test_nobody_waits_for_the_lookup_of_another_host(system, cache):
    cache()
    together = threading.Barrier(5, timeout=ENOUGH)
    system.before = lambda host: together.wait()

    in_threads(*[functools.partial(socket.getaddrinfo, f"site{n}.test", 80) for n in range(5)])

    assert not together.broken
    assert len(system.calls) == 5


def test_asyncio_is_served(system, cache):
    cache()

    async def ask():
        loop = asyncio.get_running_loop()
        return [await loop.getaddrinfo("a.test", 80, type=STREAM) for _ in range(3)]

    assert asyncio.run(ask()) == [[(socket.AF_INET, STREAM, 6, "", ("192.0.2.1", 80))]] * 3
    assert len(system.calls) == 1


# The patch itself.


def test_who_imported_getaddrinfo_by_name_before_is_served(system, cache):
    by_name = socket.getaddrinfo
    cache()

    assert by_name("a.test", 80) == by_name("a.test", 81 - 1)
    assert len(system.calls) == 1


def test_undo_leaves_everything_as_it_was(patches):
    def state():
        return [dict(vars(socket)), socket.getaddrinfo.__code__, vars(socket.getaddrinfo).copy()]

    before = state()
    p = patches.register("dns-cache", dns_cache()).apply()
    assert state() != before
    p.undo()

    assert state() == before
    assert {part.state for part in p.parts} == {"undone"}


@pytest.mark.parametrize(
    "options",
    [{"ttl": 0}, {"maxsize": 0}, {"jitter": 2}, {"stale_if_error": -1}, {"negative_ttl": -1}],
)
def test_wrong_options_are_refused_at_once(options):
    with pytest.raises(ValueError, match=f"got {next(iter(options))}="):
        dns_cache(**options)


def test_explain_shows_the_options(patches):
    patches.register("dns-cache", dns_cache(ttl=60)).apply()

    told = str(patches.explain("socket:getaddrinfo"))

    assert "@DnsCache.getaddrinfo(ttl=60, maxsize=65536, jitter=0.1, clock=time.monotonic)" in told
    assert "# patch 'dns-cache' applied from" in told


def test_the_disable_switch_knows_its_name(monkeypatch, patches, system):
    monkeypatch.setenv("SAFEPATCH_DISABLE", "dns-cache")

    assert patches.register("dns-cache", dns_cache()).apply().state == "skipped"


@pytest.fixture
def asked(patches):
    """Hosts that gethostbyname and gethostbyname_ex were asked for, which answer at once."""
    hosts = []
    for name, answer in [
        ("gethostbyname", "192.0.2.1"),
        ("gethostbyname_ex", ("a", [], ["192.0.2.1", "192.0.2.2"])),
    ]:
        fake = replace(lambda host, answer=answer: hosts.append(host) or answer)
        patches.apply(f"socket:{name}", fake, aliases="ignore")
    return hosts


def test_gethostbyname_is_cached_as_well(asked, cache):
    cache()

    assert [socket.gethostbyname(host) for host in ("a.test", b"a.test")] == ["192.0.2.1"] * 2
    assert asked == ["a.test"]


def test_gethostbyname_ex_is_cached_as_well_and_each_caller_has_lists_in_turn(asked, cache):
    cache()
    for lists in socket.gethostbyname_ex("a.test")[1:]:
        lists.clear()

    found = [socket.gethostbyname_ex(host) for host in (b"a.test", "a.test")]

    assert found == [
        ("a", [], ["192.0.2.2", "192.0.2.1"]),
        ("a", [], ["192.0.2.1", "192.0.2.2"]),
    ]
    assert asked == ["a.test"]


@pytest.mark.parametrize("name", ["gethostbyname", "gethostbyname_ex"])
def test_gethostbyname_is_invalidated_and_called_through_as_getaddrinfo_is(asked, cache, name):
    p = cache()
    ask = getattr(socket, name)
    ask("a.test")

    p.wrapper.cache_invalidate("a.test")
    for host in ["a.test", "zz\0b.test"] * 2:
        ask(host)

    assert asked == ["a.test", "a.test", "zz\0b.test", "zz\0b.test"]


# Under gevent, each time in a process of its own.


def child(source, *arguments):
    if importlib.util.find_spec("gevent") is None:
        pytest.skip("needs gevent")
    code = ["-W", "error", "-c", textwrap.dedent(source), *map(str, arguments)]
    return children.run_python(*code, path=[EXAMPLES], timeout=60).split()


@pytest.fixture(scope="module")
def servers():
    pytest.importorskip("dnslib", reason="the DNS server needs dnslib")
    file = EXAMPLES / "loopback.py"
    spec = importlib.util.spec_from_file_location("loopback", file)
    loopback = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loopback)
    with loopback.Loopback(latency=0.01) as running:
        yield running


def test_importing_the_recipe_does_not_import_gevent():
    child("import sys, safepatch.recipes.dns; assert 'gevent' not in sys.modules")


CLIENTS = """
    import importlib.util
    import sys

    import safepatch
    from safepatch.recipes.dns import dns_cache

    order, dns_port, http_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if order == "before":
        p = safepatch.register("dns-cache", dns_cache()).apply()
    if order != "never":
        from gevent import monkey
        monkey.patch_all()
    import gevent.socket
    from gevent.resolver.ares import Resolver

    hub = gevent.get_hub()
    hub.resolver = Resolver(servers="127.0.0.1", udp_port=dns_port, tcp_port=dns_port)
    if order != "before":
        p = safepatch.register("dns-cache", dns_cache()).apply()
    import http.client, socket

    def with_http_client(host):
        connection = http.client.HTTPConnection(host, http_port)
        connection.request("GET", "/")
        connection.getresponse().read()
        connection.close()

    def with_urllib3(host):
        import urllib3
        with urllib3.PoolManager() as pool:
            pool.request("GET", f"http://{host}:{http_port}/")

    def with_requests(host):
        import requests
        requests.get(f"http://{host}:{http_port}/")

    def with_create_connection(host):
        gevent.socket.create_connection((host, http_port)).close()

    def with_connect(host):
        with gevent.socket.socket() as sock:
            sock.connect((host, http_port))

    def with_gethostbyname(host):
        gevent.socket.gethostbyname(host)

    def with_gethostbyname_ex(host):
        gevent.socket.gethostbyname_ex(host)

    def stampede(host):
        gevent.joinall([gevent.spawn(gevent.socket.getaddrinfo, host, 80) for _ in range(50)])

    clients = {name: value for name, value in globals().items() if name.startswith("with_")}
    for name in ("urllib3", "requests"):
        if importlib.util.find_spec(name) is None:
            del clients[f"with_{name}"]
    if order == "never":
        # What is not patched does not use gevent.
        of_gevent = ["connect", "create_connection", "gethostbyname", "gethostbyname_ex"]
        clients = {f"with_{name}": clients[f"with_{name}"] for name in of_gevent}
    clients["stampede"] = stampede
    def lookups(client, times):
        host = client.replace("_", "-") + ".test"
        before = p.wrapper.cache_info().misses
        for _ in range(times):
            clients[client](host)
        return p.wrapper.cache_info().misses - before
    for client in clients:
        assert lookups(client, 3) == 1, client
    print(len(clients))

    # After undo everything is looked up again.
    p.undo()
    assert not safepatch.live()
    for _ in range(2):
        gevent.socket.getaddrinfo("with-connect.test", 80, socket.AF_INET, socket.SOCK_STREAM)
    hub.resolver.close()
    del hub.resolver
    hub.destroy()
"""


@pytest.mark.parametrize("order", ["before", "after", "never"])
def test_under_gevent_every_client_is_served(servers, order):
    before = servers.queries()

    (clients,) = child(CLIENTS, order, servers.dns_port, servers.http_port)

    # Every client looks up an A record once, however often it connects; then twice after undo.
    assert servers.queries()["A"] - before.get("A", 0) == int(clients) + 2


def test_a_resolver_of_any_kind_is_served_and_not_kept_alive():
    child("""
        import gc, socket, weakref
        import _socket
        import gevent.socket
        from gevent.resolver import AbstractResolver, blocking, thread
        import safepatch
        from safepatch.decorators import count_calls
        from safepatch.recipes.dns import dns_cache

        p = safepatch.register("dns-cache", dns_cache()).apply()
        def misses():
            return p.wrapper.cache_info().misses

        class Own(AbstractResolver):
            calls = 0
            def _getaddrinfo(self, host, port, family, socktype, proto, flags):
                self.calls += 1
                return [(2, socktype or 1, 6, "name", ("192.0.2.1", port))]

        for resolver in (thread_resolver := thread.Resolver(), blocking.Resolver()):
            before = misses()
            for _ in range(3):
                resolver.getaddrinfo("localhost", 80)
                resolver.gethostbyname("localhost")
                resolver.gethostbyname_ex("localhost")
            assert misses() - before == 3, resolver

        one, other = Own(), Own()
        for resolver in (one, other, one, other):
            resolver.getaddrinfo("a.test", 80, socktype=1)
            resolver.getaddrinfo(b"A.test", 81, 0, 1)
        assert (one.calls, other.calls) == (1, 1)

        # This way leads through getaddrinfo, where the answer is kept once.
        before = misses()
        for _ in range(2):
            assert one.gethostbyname_ex("b.test") == ("name", [], ["192.0.2.1"])
            assert one.gethostbyname("b.test") == "192.0.2.1"
        assert one.calls == 2 and misses() - before == 1

        reference = weakref.ref(one)
        del one, resolver
        gc.collect()
        assert reference() is None
        p.undo()
        assert blocking.Resolver.getaddrinfo is _socket.getaddrinfo
        assert "getaddrinfo" not in vars(Own)
    """)


def test_under_gevents_ares_localhost_has_the_answer_of_its_own_spelling():
    """AbstractResolver tells such names from others only in lower case."""
    child("""
        import safepatch
        from gevent.resolver.ares import Resolver
        from safepatch.recipes.dns import dns_cache

        resolver = Resolver()
        names = ["LOCALHOST", "localhost", "LocalHost", b"LOCALHOST"]
        raw = [resolver.getaddrinfo(name, 80) for name in names]
        safepatch.register("dns-cache", dns_cache()).apply()

        assert [resolver.getaddrinfo(name, 80) for name in names * 2] == raw * 2
        resolver.close()
    """)


def test_two_caches_are_never_one_above_the_other():
    child("""
        from gevent import monkey
        monkey.patch_all()
        import socket
        import safepatch
        from safepatch.recipes.dns import dns_cache

        p = safepatch.register("dns-cache", dns_cache()).apply()
        for _ in range(3):
            socket.getaddrinfo("localhost", 80)
            socket.gethostbyname("localhost")
        assert p.wrapper.cache_info() == (4, 2, 65536, 2), p.wrapper.cache_info()
    """)
