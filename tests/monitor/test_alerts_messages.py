"""What people read."""

from alerted import event

from safepatch.monitor.alerts.messages import clock, digest, message


def of(*events):
    return digest([message(each) for each in events])


def test_times_are_told_with_the_day_if_it_is_another_one():
    now = 1_790_000_000.0

    assert clock(now, now) == "14:13 UTC"
    assert clock(now - 86400, now) == "20 Sep 14:13 UTC"


def test_a_digest_is_as_bad_as_the_worst_that_is_not_over():
    over = event(1), event(2, "up", incident="i1")

    assert of(*over).severity == "info"
    assert of(*over, event(3, "warning")).severity == "warning"
    assert of(event(2, "up", incident="i1"), event(3, incident="i1")).severity == "critical"
    assert of(*[event(n, "warning") for n in range(200)]).severity == "warning"
    ended = [event(n, kind) for n in range(100) for kind in ("down", "up")]
    assert of(*ended[:100]).severity == "info"
    assert of(*ended).severity == "critical"  # for all that is known of what is not listed


def test_a_digest_of_digests_counts_all_and_lists_the_first_and_the_last():
    first = of(*[event(n) for n in range(300)])
    whole = digest([first, message(event(300, "up"))])

    assert whole.types == {"down": 300, "up": 1}
    assert whole.since == event(0).at
    assert len(whole.events) == 100
    assert whole.id == "digest-e0-down-301"
    assert whole.text.splitlines()[50] == "... 201 more ..."
    assert whole.severity == "critical"


def test_a_digest_names_the_endpoints_and_tags_of_what_it_lists():
    whole = of(event(1, tags=("a", "b")), event(1, "up", tags=("b",)), event(2))

    assert whole.endpoints == ("site-1", "site-2")
    assert whole.count == 2
    assert whole.tags == ("a", "b")
