"""What people read."""

import msgspec
import pytest
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


@pytest.mark.parametrize(
    ("kind", "title", "text", "line"),
    [
        ("down", "a is down", "a (b) is down since 1.\nIt is refused.", "a is down: It is refused"),
        ("down", "a is down", "a is down since 1.", "a is down"),
        ("down", "a is down", f"a\n{'x' * 300}\nz", f"a is down: {'x' * 159}…"),
        (
            "flapping",
            "a is flapping",
            "a\nIt changed 8 times.",
            "a is flapping: It changed 8 times",
        ),
        (
            "down",
            "9 at b are down",
            "9\nIn common: b\nErrors: no answers (9).\nThe first",
            "9 at b are down: no answers (9)",
        ),
        ("up", "a is up again, after 1 min", "a is\nIt began.", "a is up again, after 1 min"),
        ("warning", "a: expires soon", "a: expires soon", "a: expires soon"),
        ("warning", "2 are not as usual", "a: x\nb: y", "2 are not as usual: a: x"),
        (
            "restart",
            "a is restarted",
            "a is restarted. No way to it",
            "a is restarted: No way to it",
        ),
        (
            "blind",
            "The monitor is blind: no way",
            "Since 1 no way.",
            "The monitor is blind: no way",
        ),
    ],
)
def test_each_line_of_a_digest_has_its_reason_in_few_words(kind, title, text, line):
    whole = of(event(1, kind, title=title, text=text), event(2, "test"))

    assert whole.text.splitlines()[0].partition(" UTC ")[2] == line


def test_what_many_incidents_are_told_by_has_the_error_once():
    known = event(1, title="9 are down: no answers", text="9\nErrors: no answers (9).")
    known = msgspec.structs.replace(known, cause={"kind": "error", "value": "timeout"})

    whole = of(known, event(2, "test"))

    assert whole.text.splitlines()[0].endswith(" 9 are down: no answers")


def test_a_digest_names_the_endpoints_and_tags_of_what_it_lists():
    whole = of(event(1, tags=("a", "b")), event(1, "up", tags=("b",)), event(2))

    assert whole.endpoints == ("site-1", "site-2")
    assert whole.count == 2
    assert whole.tags == ("a", "b")
