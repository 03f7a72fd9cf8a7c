"""The outbox: what is put is told to its channels, in order, in bounds, and past failures."""

import json
import logging
import os

import gevent
import pytest
from alerted import Clock, event, in_hub, plan, wait_until

from safepatch.monitor.alerts.alerting import Alerts
from safepatch.monitor.alerts.channels import DeliveryError
from safepatch.monitor.plan import Settings
from safepatch.store import Store
from safepatch.store.testing import without_syncs


@pytest.fixture
def store(tmp_path):
    # Closed where it was used, since that waits as greenlets do.
    with without_syncs():
        made = Store(tmp_path / "store", every=0)
        yield made
        made.close()


class Teller:
    """Notes what is delivered; channels named in `dead` fail."""

    def __init__(self):
        self.told, self.dead = [], set()

    def __call__(self, channel, message):
        if channel.name in self.dead:
            raise DeliveryError("it is dead")
        self.told.append((channel.name, message))

    def ids(self, name="ops"):
        return [message.id for channel, message in self.told if channel == name]


def made(store, channels=None, *, teller=None, clock=None, **options):
    clock = clock or Clock()
    plans = channels or plan(ops={"url": "http://127.0.0.1:1/"})
    return Alerts(
        store,
        plans if callable(plans) else lambda: plans,
        deliver=teller or Teller(),
        now=clock,
        clock=clock,
        sleep=clock.sleep,
        random=lambda: 0.0,
        **options,
    )


def put(store, alerts, *events):
    with store.transaction():
        alerts.put(events)


def send_all(alerts, name="ops"):
    while alerts.send_next(name):
        pass


@in_hub
def test_each_event_is_told_to_each_channel_that_wants_it(store):
    teller = Teller()
    channels = plan(
        all={"url": "http://x/"},
        ups={"url": "http://x/", "events": ("up",)},
        shop={"url": "http://x/", "tags": ("shop",)},
    )
    alerts = made(store, channels, teller=teller)

    put(store, alerts, event(1, tags=("shop",)), event(2), event(3, "up"))
    put(store, alerts, event(4, "blind", endpoints=(), incident=""))
    put(store, alerts, event(5, channels=("shop",), tags=("shop",)))
    for name in ("all", "ups", "shop"):
        send_all(alerts, name)

    assert teller.ids("all") == ["e1-down", "e2-down", "e3-up", "e4-blind"]
    assert teller.ids("ups") == ["e3-up"]
    assert teller.ids("shop") == ["e1-down", "e4-blind", "e5-down"]


@in_hub
def test_an_alert_is_on_disk_before_it_is_sent_and_marked_after(store, tmp_path):
    seen = []

    def look(channel, message):
        copy = str(tmp_path / f"copy{len(seen)}")
        store.backup(copy)
        with Store(copy, every=0) as copied:
            seen.append([document["state"] for document in copied.root["alerts"].values()])

    alerts = made(store, teller=look)
    put(store, alerts, event(1), event(2))
    send_all(alerts)

    assert seen == [["sending", "waiting"], ["sent", "sending"]]
    assert [alert["state"] for alert in alerts.recent()] == ["sent", "sent"]


@in_hub
def test_an_event_that_was_put_before_is_not_told_again(store):
    teller = Teller()
    alerts = made(store, teller=teller)
    put(store, alerts, event(1), event(1))
    send_all(alerts)
    again = made(store, teller=teller)
    put(store, again, event(1))
    send_all(again)

    assert teller.ids() == ["e1-down"]


@in_hub
def test_each_event_leads_to_a_page_where_people_reach_pages(store):
    teller = Teller()
    with_pages = plan(Settings(url="https://status.example/"), ops={"url": "http://x/"})
    alerts = made(store, with_pages, teller=teller)
    put(
        store,
        alerts,
        event(1, url="https://status.example/incidents/1"),
        event(2, "restart", endpoints=("a & b",)),
        event(3, "blind", endpoints=(), count=0),
        event(4, "warning", endpoints=("a", "b"), count=2),
    )
    send_all(alerts)

    assert [message.url for _, message in teller.told] == [
        "https://status.example/incidents/1",
        "https://status.example/endpoint?name=a%20%26%20b",
        "https://status.example/",
        "https://status.example/",
    ]


@in_hub
def test_what_a_failed_transaction_had_put_is_not_told(store):
    teller = Teller()
    alerts = made(store, teller=teller)
    alerts.start()
    with pytest.raises(ZeroDivisionError), store.transaction():
        alerts.put([event(1)])
        gevent.sleep(0.02)  # by now a greenlet would send it
        raise ZeroDivisionError
    put(store, alerts, event(2))
    wait_until(lambda: teller.told)
    alerts.stop()

    assert teller.ids() == ["e2-down"]


@in_hub
def test_what_was_not_sent_is_sent_after_a_restart_in_order(store):
    teller = Teller()
    put(store, made(store), event(3), event(1), event(2))

    alerts = made(store, teller=teller)
    alerts.start()
    wait_until(lambda: len(teller.told) == 3)
    alerts.stop()

    assert teller.ids() == ["e3-down", "e1-down", "e2-down"]


@in_hub
def test_what_has_piled_up_is_told_as_one_digest(store):
    teller = Teller()
    clock = Clock()
    alerts = made(store, teller=teller, clock=clock)
    put(store, alerts, *[event(n) for n in range(40)], event(40, "warning"))
    clock.at += 60
    send_all(alerts)

    [(_, digest)] = teller.told
    newest, *others = alerts.recent()
    assert (newest["id"], newest["state"]) == (digest.id, "sent")
    assert {(each["state"], each["into"]) for each in others} == {("merged", digest.id)}
    assert digest.type == "digest"
    assert digest.title == "41 alerts since 14:13 UTC: 40 down, 1 warning"
    assert digest.types == {"down": 40, "warning": 1}
    assert digest.severity == "critical"
    assert [each.id for each in digest.events] == [f"e{n}-down" for n in range(40)] + [
        "e40-warning"
    ]
    assert digest.text.splitlines()[3] == "14:16 UTC site-3 is down"
    assert digest.count == 41


@in_hub
def test_what_opens_and_closes_incidents_by_itself_gets_each_event(store):
    teller = Teller()
    alerts = made(store, plan(ops={"url": "pagerduty://key@x?action=map"}), teller=teller)
    put(store, alerts, *[event(n) for n in range(9)], event(10, "up", incident="i20"))
    send_all(alerts)

    assert teller.ids() == [f"e{n}-down" for n in range(9)] + ["e10-up"]


@in_hub
def test_an_up_is_told_together_with_a_down_that_was_not_sent(store):
    teller = Teller()
    alerts = made(store, teller=teller)
    put(store, alerts, event(1), event(2, "up", incident="i1", title="site-1 is up"))
    send_all(alerts)

    [(_, both)] = teller.told
    assert both.title == "site-1 is up"
    assert both.severity == "info"
    assert both.incident == "i1"
    assert both.text == "14:14 UTC site-1 is down; up again at 14:15 UTC"
    assert [each.type for each in both.events] == ["down", "up"]


@in_hub
def test_an_up_does_not_overtake_what_waits_before_it(store):
    teller = Teller()
    alerts = made(store, teller=teller)
    put(store, alerts, event(1), event(2), event(3, "up", incident="i2"), event(4))
    send_all(alerts)

    assert [len(message.events) for _, message in teller.told] == [0, 2, 0]
    assert teller.ids() == ["e1-down", "digest-e2-down-2", "e4-down"]


@in_hub
def test_a_down_that_may_have_arrived_is_told_again_as_it_was(store):
    """Together with its "up" it would be told a second time, under another id."""
    teller, clock = Teller(), Clock()

    def die(channel, message):
        raise gevent.GreenletExit

    alerts = made(store, teller=die, clock=clock)
    put(store, alerts, event(1))
    gevent.spawn(send_all, alerts).join()
    put(store, alerts, event(2, "up", incident="i1"))

    alerts = made(store, teller=teller, clock=clock)
    send_all(alerts)

    assert teller.ids() == ["e1-down", "e2-up"]


@in_hub
def test_a_digest_that_may_have_arrived_is_told_again_as_it_was(store):
    told = []

    def die(channel, message):
        told.append(message)
        raise gevent.GreenletExit

    alerts = made(store, teller=die)
    put(store, alerts, *[event(n) for n in range(10)])
    gevent.spawn(send_all, alerts).join()
    put(store, alerts, *[event(n) for n in range(10, 30)])

    teller = Teller()
    alerts = made(store, teller=teller)
    send_all(alerts)

    assert [message.id for _, message in teller.told] == ["digest-e0-down-10", "digest-e10-down-20"]
    assert teller.told[0][1] == told[0]


@in_hub
def test_a_dead_channel_holds_up_no_other(store):
    teller = Teller()
    teller.dead.add("dead")
    alerts = made(store, plan(dead={"url": "http://x/"}, ops={"url": "http://x/"}), teller=teller)
    alerts.start()
    for number in range(3):
        put(store, alerts, event(number))
        wait_until(lambda: len(teller.ids("ops")) == number + 1)  # noqa: B023
    wait_until(lambda: alerts.stats()["ops"]["sent"] == 3)  # which is known when that is on disk
    stats = alerts.stats()
    alerts.stop()

    assert stats["dead"]["waiting"] == 3
    assert stats["dead"]["error"] == "it is dead"
    assert stats["dead"]["failures"] >= 1
    assert stats["dead"]["failing_since"] > 0
    assert stats["ops"]["error"] == ""


@in_hub
def test_sending_is_tried_again_for_hours_at_longer_and_longer_waits(store):
    clock, teller = Clock(), Teller()
    teller.dead.add("ops")
    alerts = made(store, teller=teller, clock=clock)
    put(store, alerts, event(1))
    begun = clock()

    def come_back(seconds):
        clock.slept.append(seconds)
        clock.at += seconds
        if clock.at - begun > 6 * 3600:
            teller.dead.clear()

    alerts = Alerts(
        store,
        lambda: plan(ops={"url": "http://x/"}),
        deliver=teller,
        now=clock,
        sleep=come_back,
        random=lambda: 0.0,
    )
    send_all(alerts)

    assert clock.slept[:9] == [2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert {*clock.slept[9:]} == {300}
    assert teller.ids() == ["e1-down"]
    [alert] = alerts.recent()
    assert alert["attempts"] == len(clock.slept) + 1
    assert alert["sent"] - alert["put"] > 6 * 3600


@in_hub
def test_what_waits_for_a_dead_channel_is_bounded_and_nothing_of_it_is_lost(store):
    teller = Teller()
    teller.dead.add("ops")
    alerts = made(store, teller=teller, most=20, keep=10)
    alerts.start()
    put(store, alerts, event(0))
    wait_until(lambda: alerts.stats()["ops"]["failures"])
    for number in range(1, 150):
        put(store, alerts, event(number))
        gevent.sleep(0)
        assert len(store.root["alerts"]) < 20 + 10 + 5
    gevent.sleep(0.01)
    teller.dead.clear()
    wait_until(lambda: not alerts.stats()["ops"]["waiting"])
    alerts.stop()

    first, digest = (message for _, message in teller.told)
    assert first.id == "e0-down"
    assert digest.types == {"down": 149}
    assert len(digest.events) == 100
    assert digest.events[0].id == "e1-down"
    assert digest.events[-1].id == "e149-down"
    assert "... 49 more ..." in digest.text


@in_hub
def test_the_history_of_each_channel_is_bounded(store):
    alerts = made(store, keep=5)
    for number in range(20):
        put(store, alerts, event(number))
        send_all(alerts)

    assert [alert["id"] for alert in alerts.recent(3)] == ["e19-down", "e18-down", "e17-down"]
    assert len(store.root["alerts"]) == 5


@in_hub
def test_a_channel_that_leaves_the_plan_is_told_when_it_comes_back(store):
    teller, clock, with_it = Teller(), Clock(), plan(ops={"url": "http://x/"})
    now = [with_it]
    teller.dead.add("ops")
    alerts = made(store, lambda: now[0], teller=teller, clock=clock)
    alerts.start()
    put(store, alerts, event(1))
    wait_until(lambda: alerts.stats()["ops"]["failures"] > 1)
    now[0] = plan()
    wait_until(lambda: not alerts._workers)
    teller.dead.clear()
    now[0] = with_it
    alerts.start()
    wait_until(lambda: teller.told)
    alerts.stop()

    assert teller.ids() == ["e1-down"]


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@in_hub
def test_stopping_leaves_no_threads(store):
    def threads():
        return len(os.listdir("/proc/self/task"))

    channels = plan(
        Settings(smtp="smtp://127.0.0.1:1"),
        chat={"url": "json://127.0.0.1:1/"},
        mail={"mail": "me@example.com"},
    )
    put(store, made(store), event(1))  # for those of the store
    before = threads()
    alerts = Alerts(store, lambda: channels)
    alerts.start()
    put(store, alerts, event(2))
    wait_until(lambda: all(each["failures"] for each in alerts.stats().values()))
    assert threads() > before
    alerts.stop()

    wait_until(lambda: threads() <= before)


@in_hub
def test_a_channel_that_was_corrected_is_tried_at_once(store):
    told, now = [], [plan(ops={"url": "http://wrong/"})]

    def deliver(channel, message):
        if channel.url == "http://wrong/":
            raise DeliveryError("wrong")
        told.append(message.id)

    alerts = Alerts(store, lambda: now[0], deliver=deliver, random=lambda: 1.0)
    alerts.start()
    put(store, alerts, event(1))
    wait_until(lambda: alerts.stats()["ops"]["failures"] == 1)
    now[0] = plan(ops={"url": "http://right/"})
    alerts.start()
    wait_until(lambda: told, seconds=1)
    alerts.stop()

    assert told == ["e1-down"]


@in_hub
def test_what_waits_for_a_channel_that_is_gone_for_a_week_goes(store):
    clock = Clock()
    put(store, made(store, clock=clock), event(1))
    for days, left in ((6, 1), (2, 0)):
        clock.at += days * 86400
        alerts = made(store, lambda: plan(), clock=clock)
        alerts.start()
        alerts.stop()

        assert len(store.root["alerts"]) == left


@in_hub
def test_a_test_is_sent_at_once_and_raises_what_fails(store):
    teller = Teller()
    alerts = made(store, teller=teller)
    put(store, alerts, event(1))
    alerts.test("ops")
    [(_, message)] = teller.told
    teller.dead.add("ops")

    assert message.type == "test"
    with pytest.raises(DeliveryError, match="it is dead"):
        alerts.test("ops")
    with pytest.raises(KeyError):
        alerts.test("nobody")


@in_hub
def test_stopping_waits_for_who_is_sending_but_not_for_who_waits_to_try_again(store):
    told = []

    def slowly(channel, message):
        if channel.name == "dead":
            raise DeliveryError("no")
        gevent.sleep(0.05)
        told.append(message.id)

    channels = plan(dead={"url": "http://x/"}, ops={"url": "http://x/"})
    alerts = Alerts(store, lambda: channels, deliver=slowly)
    alerts.start()
    put(store, alerts, event(1))
    wait_until(lambda: alerts.stats()["dead"]["failures"])
    with gevent.Timeout(1, AssertionError("it waits")):
        alerts.stop()

    assert told == ["e1-down"]
    assert alerts.stats()["ops"]["waiting"] == 0


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
@in_hub
def test_numbers_and_history_can_be_shown_as_json_and_hold_no_address(store, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    channels = plan(
        chat={"url": "slack://TOKEN-A/TOKEN-B/TOKEN-C"},
        hook={"url": "https://user:PASSWORD@127.0.0.1:1/SECRET", "headers": {"X": "HEADER"}},
        mail={"mail": "me@example.com"},
        run={"command": ("/nowhere/tell", "ARGUMENT")},
    )
    alerts = Alerts(store, lambda: channels)
    alerts.start()
    put(store, alerts, event(1))
    wait_until(lambda: all(each["failures"] for each in alerts.stats().values()))
    told = json.dumps([alerts.stats(), alerts.recent()]) + caplog.text
    told += "".join(capfd.readouterr())
    kinds = [each["kind"] for each in alerts.stats().values()]
    alerts.stop()

    assert kinds == ["slack", "webhook", "mail", "command"]
    for secret in ("TOKEN", "PASSWORD", "SECRET", "HEADER", "ARGUMENT"):
        assert secret not in told
    assert "Connection refused" in told
    assert "no mail server is named" in told
    assert "cannot run '/nowhere/tell': No such file or directory" in told
