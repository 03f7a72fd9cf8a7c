"""Whatever happens to channels and to the program, each event is told, once or again, in order."""

import os
import tempfile

import gevent
from alerted import Clock, event, in_hub, plan
from hypothesis import given, settings
from hypothesis import strategies as st

from safepatch.monitor.alerts.alerting import Alerts
from safepatch.monitor.alerts.channels import DeliveryError
from safepatch.store import Store
from safepatch.store.testing import without_syncs

LONG = "SAFEPATCH_CRASHES" in os.environ
CHANNELS = plan(a={"url": "http://x/"}, b={"url": "http://x/", "events": ("down", "up")})
KINDS = st.sampled_from(["down", "down", "up", "warning"])
STEPS = st.one_of(
    st.tuples(st.just("put"), st.lists(KINDS, min_size=1, max_size=9)),
    st.tuples(st.just("roll back"), st.lists(KINDS, min_size=1, max_size=3)),
    # What becomes of each attempt, and with "crash" of the program, before or after it arrived.
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.lists(st.sampled_from(["ok", "refused", "unsure", "crash", "crash after"]), max_size=6),
    ),
    st.just(("shorten", "a")),
)


class Killed(BaseException):
    """What takes the program away; no `except Exception` stands in its way."""


class World:
    """Receivers that outlive the program, and what was put."""

    def __init__(self, directory):
        self.directory, self.clock = directory, Clock()
        self.got = {"a": [], "b": []}
        self.put = {"a": [], "b": []}
        self.number, self.fates = 0, []
        self.store = None
        self.start()

    def start(self):
        if self.store is not None:
            self.store.close()
        self.store = Store(self.directory, every=0)
        self.alerts = Alerts(
            self.store,
            lambda: CHANNELS,
            deliver=self.deliver,
            most=12,
            keep=300,
            now=self.clock,
            sleep=lambda seconds: None,
            random=lambda: 0.0,
        )

    def deliver(self, channel, message):
        fate = self.fates.pop(0) if self.fates else "ok"
        if fate in ("ok", "unsure", "crash after"):
            self.got[channel.name].append(message)
        if fate.startswith("crash"):
            raise Killed
        if fate != "ok":
            raise DeliveryError(fate)

    def step(self, what, details):
        if what in ("put", "roll back"):
            self.put_events(details, fails=what == "roll back")
        elif what == "shorten":
            self.alerts._shorten(details)
        else:
            self.fates = [*details]
            self.send(what, len(details) + 1)
            self.fates = []

    def put_events(self, kinds, *, fails):
        made = []
        for kind in kinds:
            self.number += 1
            number = self.number if kind != "up" else self.number - 1
            made.append(event(self.number, kind, incident=f"i{number}"))
        try:
            with self.store.transaction():
                self.alerts.put(made)
                if fails:
                    raise Killed
        except Killed:
            return
        self.put["a"] += [each.id for each in made]
        self.put["b"] += [each.id for each in made if each.type in ("down", "up")]

    def send(self, name, most):
        try:
            for _ in range(most):
                self.alerts.send_next(name)
        except Killed:
            self.start()


def told(messages):
    """The events that a receiver was told of, in order, each once for each message's id."""
    seen, ids = [], set()
    for message in messages:
        if message.id not in ids:
            ids.add(message.id)
            seen += [each.id for each in message.events or [message]]
    return seen


@in_hub
@settings(max_examples=300 if LONG else 20)
@given(steps=st.lists(STEPS, max_size=12))
def test_every_event_arrives_in_order_and_never_again_under_another_id(steps):
    with tempfile.TemporaryDirectory() as directory, without_syncs():
        world = World(directory)
        for step in steps:
            world.step(*step)
        world.start()
        for name in ("a", "b"):
            world.send(name, 100)

        for name in ("a", "b"):
            assert told(world.got[name]) == world.put[name]
            by_id = {}
            for message in world.got[name]:
                assert by_id.setdefault(message.id, message) == message
            assert [message.id for message in world.got[name]] == sorted(
                [message.id for message in world.got[name]], key=[*by_id].index
            )
        assert {alert["state"] for alert in world.alerts.recent()} <= {"sent", "merged"}
        world.store.close()
        gevent.sleep(0)
