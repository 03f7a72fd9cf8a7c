"""Echo requests: real ones in a network of their own, and replies that a test makes up."""

import collections
import shutil
import socket
import subprocess
import sys
import textwrap

import gevent
import hubs
import pytest
from children import ROOT

from safepatch.monitor.checks.icmp import NotPermittedError, Pings, check
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.tools import Tools

# A network of its own, in which anybody may send echo requests; it needs no rights.
IN_NETWORK = """
ip link set lo up && echo '0 0' > /proc/sys/net/ipv4/ping_group_range && exec "$@"
"""
BEGIN = """
import gevent
from safepatch.monitor.checks.icmp import check, Pings
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.tools import Tools

def checked(address, **options):
    options = {"timeout": 0.3, **options}
    return check(Endpoint(address, "icmp://" + address, Options(**options)), tools)

tools = Tools(dns_ttl=0)
"""


def in_network(*command, timeout=20):
    return subprocess.run(
        ["unshare", "-rn", "sh", "-c", IN_NETWORK, "sh", *command],
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.fixture(scope="module")
def run():
    """Run source in a network where echo requests are permitted."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("unshare and ip are not installed, which make a network for a test")
    tried = in_network("true")
    if tried.returncode:
        pytest.skip(f"this machine lets nobody make a network of their own: {tried.stderr.strip()}")

    def run(source):
        done = in_network(sys.executable, "-c", BEGIN + textwrap.dedent(source))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()

    return run


def test_a_host_that_replies_is_up_in_both_families(run):
    printed = run(
        """
        for address in ("127.0.0.1", "[::1]"):
            result = checked(address)
            print(result.error, result.facts, list(result.phases), result.seconds < 0.2)
        """
    )

    expected = [
        f" {{'address': '{address}', 'requests': 1}} ['dns', 'first_byte', 'total'] True"
        for address in ("127.0.0.1", "::1")
    ]
    assert printed.splitlines() == [expected[0].strip(), expected[1]]


def test_one_socket_serves_all_targets_at_once(run):
    printed = run(
        """
        import os
        targets = [f"127.0.{n // 250}.{n % 250 + 1}" for n in range(1000)]
        before = len(os.listdir("/proc/self/fd"))
        checks = [gevent.spawn(checked, target, timeout=5) for target in targets]
        gevent.joinall(checks)
        print(sum(each.value.ok for each in checks), max(each.value.seconds for each in checks) < 1)
        print(len(os.listdir("/proc/self/fd")) - before)
        """
    )

    assert printed.splitlines() == ["1000 True", "1"]


def test_a_network_that_cannot_be_reached_is_told_at_once(run):
    printed = run(
        """
        result = checked("198.18.0.1", timeout=5)
        print(result.error, result.message, result.seconds < 1)
        """
    )

    assert printed == "unreachable 198.18.0.1: there is no way to that network True"


def test_a_host_that_does_not_reply_is_out_of_time(run):
    printed = run(
        """
        with open("/proc/sys/net/ipv4/icmp_echo_ignore_all", "w") as file:
            file.write("1")
        result = checked("127.0.0.1", timeout=0.9)
        print(result.error, result.message, result.facts["requests"], result.seconds < 1.2)
        """
    )

    assert printed == "timeout 127.0.0.1 sends no reply to echo requests 3 True"


@pytest.fixture
def hub():
    yield
    hubs.end()


class Wire:
    """Stands in for the socket; `reply(data, source)` is what comes back for a request."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ours.setblocking(False)
        self.coming = collections.deque()
        self.reply = echo

    def __call__(self, family, kind, protocol):
        return self

    def fileno(self):
        return self.ours.fileno()

    def sendto(self, data, address):
        for each in self.reply(data, address[0]):
            self.put(each)

    def put(self, each):
        self.coming.append(each)
        self.theirs.send(b"x")

    def recvfrom(self, size):
        self.ours.recv(1)
        return self.coming.popleft()

    def close(self):
        self.ours.close()
        self.theirs.close()


def echo(data, source):
    return [(b"\0" + data[1:], (source, 0))]


@pytest.fixture
def wire():
    made = Wire()
    yield made
    made.close()


@pytest.fixture
def pings(hub, wire):
    made = Pings(make=wire)
    yield made
    made.close()


def ping(pings, address="192.0.2.1", timeout=0.02):
    return pings.ping(socket.AF_INET, (address, 0), timeout)


def test_sequences_begin_anew_and_replies_are_still_told_apart(pings, wire):
    pings._count = 0xFFFE
    seen = []
    wire.reply = lambda data, source: seen.append(data[6:8]) or echo(data, source)

    assert [ping(pings) < 0.02 for _ in range(3)] == [True] * 3
    assert seen == [b"\xff\xff", b"\0\0", b"\0\1"]


def test_a_reply_that_comes_a_whole_round_of_sequences_late_is_nobodys(pings, wire):
    late = []
    wire.reply = lambda data, source: late.extend(echo(data, source)) or []
    with pytest.raises(TimeoutError):
        ping(pings)

    pings._count += 0xFFFF  # the next one has the same sequence
    wire.reply = lambda data, source: late
    with pytest.raises(TimeoutError):
        ping(pings)


FORGED = {
    "another source": lambda data, source: echo(data, "203.0.113.66"),
    "another sequence": lambda data, source: echo(data[:6] + b"\xff\xff" + data[8:], source),
    "another content": lambda data, source: echo(data[:8] + b"\xff" * 8, source),
    "a request": lambda data, source: [(data, (source, 0))],
    "too short": lambda data, source: [(b"\0" + data[1:8], (source, 0))],
    "empty": lambda data, source: [(b"", (source, 0))],
}


@pytest.mark.parametrize("forged", FORGED)
def test_what_is_no_reply_to_the_request_counts_for_nothing(pings, wire, forged):
    wire.reply = FORGED[forged]
    with pytest.raises(TimeoutError):
        ping(pings)

    wire.reply = echo  # and the reader is still there
    assert ping(pings) < 0.02


def test_nothing_is_held_of_requests_that_are_over(pings, wire):
    ping(pings)
    wire.reply = lambda data, source: []
    with pytest.raises(TimeoutError):
        ping(pings)

    assert pings._waiting == {}


def test_replies_reach_those_who_asked_in_whatever_order_they_come(pings, wire):
    held = []
    wire.reply = lambda data, source: held.extend(echo(data, source)) or []
    asking = [gevent.spawn(ping, pings, f"192.0.2.{n}", 1.0) for n in range(50)]
    gevent.sleep(0)
    for each in reversed(held):
        wire.put(each)
    gevent.joinall(asking, timeout=1)

    assert all(each.successful() for each in asking)


def test_the_time_is_that_of_the_reply_not_of_the_one_who_waits(hub, wire):
    times = iter([10.0, 10.25])
    pings = Pings(clock=lambda: next(times), make=wire)

    assert ping(pings) == 0.25
    pings.close()


def forbidden(*of):
    raise PermissionError(13, "Permission denied")


def test_where_it_is_not_permitted_the_error_says_what_to_do(hub):
    with pytest.raises(NotPermittedError, match=r"sysctl -w net\.ipv4\.ping_group_range='0 21"):
        ping(Pings(make=forbidden))


def test_a_check_that_is_not_permitted_is_the_monitors_fault(hub):
    with Tools(dns_ttl=0) as tools:
        tools.keep("pings", lambda: Pings(make=forbidden))
        result = check(Endpoint("it", "icmp://127.0.0.1", Options()), tools)

    assert result.error == "internal"
    assert "net.ipv4.ping_group_range" in result.message


def test_a_lost_packet_is_no_outage(hub, wire):
    answers = iter([lambda data, source: [], echo])
    wire.reply = lambda data, source: next(answers)(data, source)
    with Tools(dns_ttl=0) as tools:
        tools.keep("pings", lambda: Pings(make=wire))
        result = check(Endpoint("it", "icmp://127.0.0.1", Options(timeout=0.1)), tools)

    assert (result.error, result.facts["requests"]) == ("", 2)


def test_a_name_that_leads_to_a_private_address_needs_permission(hub, wire):
    with Tools(dns_ttl=0) as tools:
        tools.keep("pings", lambda: Pings(make=wire))
        tools.resolving.addresses = lambda host, port: [(socket.AF_INET, ("10.0.0.7", 0))]
        refused = check(Endpoint("it", "icmp://it.test", Options()), tools)
        allowed = check(Endpoint("it", "icmp://it.test", Options(private=("10.0.0.0/8",))), tools)

    assert (refused.error, allowed.error) == ("private", "")
