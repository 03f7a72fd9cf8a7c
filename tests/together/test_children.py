"""Tools that change a process for good, each time in one of its own."""

import itertools
import pathlib

import pytest
from children import child

HERE = pathlib.Path(__file__).parent


def run(source, **values):
    """Run a script, given some values by name; it says "done" if all that it asserts holds."""
    given = "".join(f"{name} = {value!r}\n" for name, value in values.items())
    printed = child(
        given + PREAMBLE + source, path=(HERE, HERE.parent, HERE.parent / "core"), timeout=60
    )
    assert printed == "done"


PREAMBLE = """
import importlib, pathlib, warnings
warnings.simplefilter("ignore")  # gevent says that ssl was imported before
from unittest import mock
import safepatch
from helpers import noting
log = []
patches = {}

def resolve(target):
    module, _, path = target.partition(":")
    owner = importlib.import_module(module)
    *path, name = path.split(".")
    for part in path:
        owner = getattr(owner, part)
    return owner, name

def apply(name):
    patches[name] = safepatch.apply(target, noting(log, name), name=name, aliases="ignore")

def heard(call):
    log.clear()
    call()
    return [*log]
"""


def orders(*lineups):
    """Each line-up with each order of going."""
    return [
        pytest.param(lineup, order, id=f"{' '.join(lineup)}, undone {' '.join(order)}")
        for lineup in lineups
        for order in itertools.permutations(lineup)
    ]


# gevent replaces functions and never puts them back.

GEVENT = """
from gevent import monkey

owner, name = resolve(target)
call = lambda: eval(how, {"module": importlib.import_module(target.partition(":")[0])})
for one in lineup:
    if one == "gevent":
        monkey.patch_all()
        gevents = vars(owner)[name]
    else:
        apply(one)

above = lineup[lineup.index("gevent") + 1:]
assert heard(call) == above[::-1]
lost = [one for one in patches if patches[one].superseded]
assert lost == [one for one in lineup if one not in above and one != "gevent"]
explained = safepatch.explain(target).to_dict()
(site,) = explained["sites"]
assert [line["name"] for line in site["lines"]] == above[::-1]
assert [other["name"] for other in explained["others"]] == lost
assert "gevent" in site["original"]["where"]

live = [*lost, *above] if not again else [*above, *lost]
if again:
    for one in lost:
        patches[one].apply()
    assert heard(call) == live[::-1]
for one in order:
    if one == "gevent":
        continue
    patches[one].undo()
    live.remove(one)
    seen = [one for one in live[::-1] if again or one in above]
    assert heard(call) == seen
assert vars(owner)[name] is gevents
print("done")
"""


@pytest.mark.parametrize("again", [False, True], ids=["lost", "applied again"])
@pytest.mark.parametrize(
    ("lineup", "order"),
    [
        case
        for case in orders(["gevent", "one"], ["one", "gevent"], ["one", "gevent", "two"])
        if case.values[1][-1] == "gevent"  # it never goes
    ],
)
@pytest.mark.parametrize(
    ("target", "how"),
    [
        ("time:sleep", "module.sleep(0)"),
        ("socket:getaddrinfo", "module.getaddrinfo('127.0.0.1', 80)"),
    ],
)
def test_ours_goes_in_every_order_wherever_gevent_came(target, how, lineup, order, again):
    run(GEVENT, target=target, how=how, lineup=lineup, order=order, again=again)


def test_a_mock_from_before_gevent_takes_it_away_and_ours_does_not_mind():
    run(
        """
import time
original = time.sleep
mocked = mock.patch("time.sleep")
mocked.start()
from gevent import monkey
monkey.patch_all()
apply("ours")

mocked.stop()

assert patches["ours"].superseded
assert heard(lambda: time.sleep(0)) == []
patches["ours"].apply()
assert heard(lambda: time.sleep(0)) == ["ours"]
patches["ours"].undo()
assert time.sleep is original
print("done")
""",
        target="time:sleep",
    )


def test_a_method_of_the_socket_that_gevent_replaced_is_left_and_patched_anew():
    run(
        """
import socket
old, before = socket.socket, dict(vars(socket.socket))
apply("ours")
from gevent import monkey
monkey.patch_all()
assert socket.socket is not old
gevents = dict(vars(socket.socket))
assert patches["ours"].superseded

def call():
    one, other = socket.socketpair()
    one.sendall(b"hello")
    one.close(), other.close()

assert heard(call) == []
patches["ours"].apply()
assert heard(call) == ["ours"]
assert dict(vars(old)) == before
patches["ours"].undo()
assert heard(call) == []
assert dict(vars(socket.socket)) == gevents
print("done")
""",
        target="socket:socket.sendall",
    )


# sentry-sdk has no way to undo its patches; without a client they do nothing.

SENTRY = """
import http.client
import sentry_sdk
from sentry_sdk.transport import Transport
from places import server

class Kept(Transport):
    envelopes = []
    def capture_envelope(self, envelope):
        self.envelopes.append(envelope)

def crumb(crumb, hint):
    log.append("sentry")
    return crumb

def init():
    sentry_sdk.init(
        "http://key@sentry.invalid/1", transport=Kept, before_breadcrumb=crumb,
        auto_enabling_integrations=False,
    )

def call():
    connection = http.client.HTTPConnection(*server())
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"hello"
    connection.close()

owner, name = resolve(target)
for one in lineup:
    if one == "sentry":
        init()
        sentrys = vars(owner)[name]
    else:
        apply(one)
assert sorted(heard(call)) == sorted(lineup)
sentry_sdk.capture_message("told")
event = Kept.envelopes[-1].get_event()
assert [crumb["category"] for crumb in event["breadcrumbs"]["values"]] == ["httplib"]

# Its wrapper does not say what it wraps.
lost = [one for one in patches if patches[one].superseded]
assert lost == lineup[:lineup.index("sentry")]
assert "sentry_sdk" in str(safepatch.explain(target))
if again:
    for one in lost:
        patches[one].apply()
    assert sorted(heard(call)) == sorted(lineup)
    assert not any(patch.superseded for patch in patches.values())

live = [*lineup]
for one in order:
    if one == "sentry":
        sentry_sdk.init()
    else:
        patches[one].undo()
    live.remove(one)
    assert sorted(heard(call)) == sorted(live)
assert vars(owner)[name] is sentrys
print("done")
"""


@pytest.mark.parametrize("again", [False, True], ids=["as they came", "applied again"])
@pytest.mark.parametrize(
    ("lineup", "order"), orders(["sentry", "one"], ["one", "sentry"], ["one", "sentry", "two"])
)
def test_all_beside_sentry_are_heard_as_long_as_they_are_live(lineup, order, again):
    target = "http.client:HTTPConnection.putrequest"
    run(SENTRY, target=target, lineup=lineup, order=order, again=again)


# ddtrace waits for imports with a hook of its own.


@pytest.mark.parametrize("order", [*itertools.permutations(["ours", "ddtrace"])], ids=" ".join)
@pytest.mark.parametrize("first", ["ours", "ddtrace"])
def test_patches_that_wait_for_an_import_come_beside_those_of_ddtrace(first, order):
    run(
        """
import sys
import ddtrace
from ddtrace.trace import TraceFilter, tracer

class Ear(TraceFilter):
    def process_trace(self, trace):
        log.append("ddtrace")

tracer.configure(trace_processors=[Ear()])
comings = {
    "ours": lambda: safepatch.register("ours", target, noting(log, "ours")).apply(),
    "ddtrace": lambda: ddtrace.patch(urllib3=True, raise_errors=True),
}
comings.pop(first)()
comings.popitem()[1]()
assert "urllib3" not in sys.modules

from places import urlopen
import urllib3
pool = urllib3.HTTPConnectionPool
assert sorted(heard(urlopen)) == ["ddtrace", "ours"]

outermost = str(safepatch.explain(target)).splitlines()[1]
ours_is_outermost = "'ours'" in outermost
from ddtrace.contrib.internal.urllib3.patch import unpatch
for one in order:
    safepatch.undo("ours") if one == "ours" else unpatch()
left = heard(urlopen)
assert left == (["ddtrace"] if ours_is_outermost and order[0] == "ddtrace" else []), left
safepatch.explain(target)
print("done")
""",
        target="urllib3.connectionpool:HTTPConnectionPool.urlopen",
        first=first,
        order=order,
    )
