"""What is normal is learned from good checks, and only warned of."""

import hashlib
import random
import string
import time

import pytest

pytest.importorskip("gevent", reason="what is learned is written by its threads")

from hypothesis import given, settings
from hypothesis import strategies as st
from memory import allocated

from safepatch.monitor.learning import profiles
from safepatch.monitor.learning.learning import Learned
from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.results import Result

OPTIONS = Options()
CERTIFICATE = {"issuer": "R11 (Let's Encrypt)", "expires": 1_800_000_000, "subject": "shop"}
SHOP = {
    "status": 200,
    "url": "https://shop.example/",
    "title": "Shop",
    "words": ["basket", "prices", "delivery", "contact", "imprint"],
    "size": 4700,
    "digest": "d1",
    "certificate": CERTIFICATE,
}


@pytest.fixture
def learned(tmp_path):
    return Learned(tmp_path / "learned.toml")


def endpoint(name="shop", address="https://shop.example/", **options):
    return Endpoint(name, address, Options(**options) if options else OPTIONS)


def result(seconds=0.1, error="", warnings=(), **facts):
    """A check of the shop, with other facts than usual."""
    seen = {key: value for key, value in {**SHOP, **facts}.items() if value is not None}
    if "digest" not in facts:
        seen["digest"] = hashlib.md5(repr(sorted(seen.items(), key=str)).encode()).hexdigest()
    return Result(name="shop", at=0.0, error=error, facts=seen, phases={"total": seconds},
                  warnings=warnings)  # fmt: skip


def teach(learned, *results, of=None):
    """Have it learn from five checks, the last of the given ones again and again."""
    results = results or (result(),)
    for number in range(profiles.LEARN_FROM):
        assert learned.take(of or endpoint(), results[min(number, len(results) - 1)]) == ()


def take(learned, *results, of=None):
    return [learned.take(of or endpoint(), one) for one in results]


def test_what_stays_as_it_was_learned_is_no_change(learned):
    teach(learned)

    assert take(learned, *[result()] * 5) == [()] * 5


CHANGES = {
    "status": ({"status": 204}, "status was 200, now 204"),
    "url": (
        {"url": "https://shop.example/maintenance"},
        "final URL was https://shop.example/, now https://shop.example/maintenance",
    ),
    "title": ({"title": "Index of /"}, "title was 'Shop', now 'Index of /'"),
    "no title": ({"title": None}, "title was 'Shop', now nothing"),
    "words": (
        {"words": ["index", "parent", "directory"]},
        "words were 'basket prices delivery contact imprint', now 'index parent directory'",
    ),
    "size": ({"size": 120}, "size 120 bytes outside 3,525..5,875"),
    "larger": ({"size": 47000}, "size 47,000 bytes outside 3,525..5,875"),
    "issuer": (
        {"certificate": {**CERTIFICATE, "issuer": "Corporate Proxy"}},
        "certificate issuer was 'Let's Encrypt', now 'Corporate Proxy'",
    ),
    "expires": (
        {"certificate": {**CERTIFICATE, "expires": 1_790_000_000}},
        "certificate expiry was 2027-01-15, now 2026-09-21: an older certificate is back",
    ),
}


@pytest.mark.parametrize(("changed", "warning"), CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_told_with_what_was_and_what_is_from_the_second_check_on(
    learned, changed, warning
):
    teach(learned)

    assert take(learned, *[result(**changed)] * 4) == [(), (warning,), (warning,), (warning,)]
    assert take(learned, *[result()] * 3) == [(warning,), (), ()]


def test_what_a_server_says_cannot_steer_a_terminal(learned):
    teach(learned)
    evil = "\x1b[2J" + "evil" * 50

    for change in ({"title": evil}, {"url": f"https://x/{evil}"}, {"words": [evil]}):
        told = take(learned, *[result(**change)] * 2)[1]
        assert "\x1b" not in told[0]
        assert len(told[0]) < 220


def test_a_change_of_one_check_is_not_told(learned):
    teach(learned)
    odd = result(title="Index of /")

    assert take(learned, odd, result(), odd, result()) == [()] * 4


def test_a_change_that_lasts_is_told_in_the_same_words(learned):
    """Or else each size would be news."""
    teach(learned)

    told = take(learned, *[result(size=100 + number) for number in range(50)])

    assert {*told[1:]} == {("size 101 bytes outside 3,525..5,875",)}


def test_a_fact_that_changes_again_and_again_is_no_use(learned):
    teach(learned)
    for _ in range(3):
        assert ("title was 'Shop', now 'Sale'",) in take(learned, *[result(title="Sale")] * 3)
        take(learned, *[result()] * 3)

    assert take(learned, *[result(title="Sale")] * 3) == [()] * 3
    assert learned.facts("shop")["varies"] == ["title"]


def test_what_differs_while_it_is_learned_is_not_held_against_it(learned):
    teach(
        learned,
        result(),
        result(
            status=203,
            url="https://shop.example/eu",
            title="Laden",
            words=["basket", "delivery", "holiday"],
            size=5200,
            certificate={**CERTIFICATE, "issuer": "Other"},
        ),
    )

    facts = learned.facts("shop")
    assert facts["varies"] == ["status", "url", "issuer", "title"]
    assert facts["words"] == ["basket", "delivery"]
    assert facts["size"] == [2700, 7200]
    assert take(learned, *[result(status=204, title="Tienda")] * 3) == [()] * 3


@pytest.mark.parametrize(
    "bad",
    [
        result(error="status", status=500, title="Error"),
        result(error="timeout", seconds=10.0),
        result(title="Error", warnings=("its certificate expires soon",)),
    ],
)
def test_nothing_is_learned_from_a_failure_or_a_check_with_warnings_of_its_own(learned, bad):
    for _ in range(4):
        take(learned, bad, result())
    assert learned.facts("shop") == {}
    take(learned, bad, result())

    assert learned.facts("shop")["title"] == "Shop"
    assert learned.facts("shop")["latency"]["median"] == 0.1


def test_a_failure_is_no_change(learned):
    teach(learned)

    assert take(learned, *[result(error="status", status=500, title="Error")] * 9) == [()] * 9


def test_what_is_learned_is_told_as_json(learned):
    teach(learned)

    assert learned.facts("shop") == {
        "status": 200,
        "url": "https://shop.example/",
        "title": "Shop",
        "words": ["basket", "prices", "delivery", "contact", "imprint"],
        "size": [3525, 5875],
        "certificate": {"issuer": "Let's Encrypt", "expires": "2027-01-15"},
        "latency": {"median": 0.1, "mad": 0.005},
    }
    assert learned.facts("other") == {}


def test_relearning_accepts_what_is_so_now(learned):
    teach(learned)
    take(learned, *[result(title="New shop of ours")] * 3)

    learned.relearn("shop")
    teach(learned, result(title="New shop of ours"))

    assert take(learned, *[result(title="New shop of ours")] * 3) == [()] * 3
    assert learned.facts("shop")["title"] == "New shop of ours"


def test_another_address_under_the_same_name_is_learned_anew(learned):
    teach(learned)

    moved = endpoint(address="https://other.example/")
    assert take(learned, *[result(title="Other")] * 5, of=moved) == [()] * 5

    assert learned.facts("shop")["title"] == "Other"


def test_an_endpoint_that_is_not_to_be_learned_is_left_alone(learned):
    for of in (endpoint(learn=False), endpoint("nightly", "beat://nightly")):
        take(learned, *[result()] * 9, of=of)
        assert learned.facts(of.name) == {}


def test_the_users_own_file_wins(learned):
    teach(learned)
    of = endpoint(status=("2xx",), contains=("basket",))

    other = result(status=204, words=["sale"], title="Sale now")
    assert take(learned, *[other] * 3, of=of)[-1] == ("title was 'Shop', now 'Sale now'",)


def test_slow_checks_are_told_after_five_in_a_row_with_median(learned):
    teach(learned, *[result(seconds) for seconds in (0.1, 0.11, 0.1, 0.12, 0.09)])

    assert take(learned, *[result(1.5)] * 4, result(0.1), *[result(1.5)] * 4) == [()] * 9
    told = take(learned, result(1.6), result(1.7))
    assert told == [("latency 1.6 s, usually 0.099 s",)] * 2
    assert take(learned, *[result(0.1)] * 2) == [told[0], ()]


def test_a_page_that_is_familiar_need_not_be_looked_at_closer(learned):
    teach(learned)
    take(learned, result())
    digest = result().facts["digest"]
    bare = result(digest=digest, title=None, words=None)
    slow = result(2.0, digest=digest, title=None, words=None)

    assert learned.is_familiar("shop", digest)
    assert not learned.is_familiar("shop", "another")
    assert not learned.is_familiar("nobody", digest)
    assert take(learned, bare) == [()]
    assert take(learned, *[slow] * 5)[-1] == ("latency 2 s, usually 0.1 s",)


def test_latency_is_followed_slowly_and_outliers_do_not_count_for_more(learned):
    teach(learned)

    for number in range(2000):
        assert learned.take(endpoint(), result(10.0 if number % 50 == 0 else 0.16)) == ()

    latency = learned.facts("shop")["latency"]
    assert 0.15 < latency["median"] < 0.17
    assert latency["mad"] < 0.02


def test_slowness_that_lasts_is_normal_one_day(learned):
    teach(learned)

    told = take(learned, *[result(1.0)] * 2000)

    assert told[4]
    assert told[-1] == ()
    assert 0.4 < learned.facts("shop")["latency"]["median"] < 1.1


def test_an_empty_page_is_a_change_however_small_it_was(learned):
    teach(learned, result(size=134))

    assert take(learned, *[result(size=0)] * 2)[1] == ("size 0 bytes outside 33..646",)


def test_news_that_takes_the_place_of_news_is_no_change(learned):
    """Words that go bit by bit are not expected any more; what is left is."""
    teach(learned, result(words=["home", "shop", "elections", "budget", "weather", "football"]))

    for news in (["budget", "weather", "cinema"], ["weather", "cinema"], ["cinema", "opera"]):
        assert take(learned, *[result(words=["home", "shop", *news])] * 3) == [()] * 3

    assert learned.facts("shop")["words"] == ["home", "shop"]
    assert take(learned, *[result(words=["index", "parent"])] * 2)[1] == (
        "words were 'home shop', now 'index parent'",
    )


def test_a_page_that_grows_slowly_is_no_change(learned):
    teach(learned)

    sizes = [4700 + 5 * number for number in range(3000)]
    assert {*take(learned, *[result(size=size) for size in sizes])} == {()}
    low, high = learned.facts("shop")["size"]
    assert low < sizes[-1] < high


def test_a_newer_certificate_is_no_change(learned):
    teach(learned)
    newer = result(certificate={**CERTIFICATE, "issuer": "E5 (Let's Encrypt)",
                                "expires": 1_808_000_000})  # fmt: skip

    assert take(learned, *[newer] * 3) == [()] * 3
    assert learned.facts("shop")["certificate"]["expires"] == "2027-04-17"


def test_endpoints_without_pages_have_latency_alone(learned):
    of = endpoint("db", "tcp://db:5432")
    plain = Result(name="db", at=0.0, phases={"total": 0.002}, facts={"address": "192.0.2.1"})
    teach(learned, plain, of=of)

    assert learned.facts("db") == {"latency": {"median": 0.002, "mad": 0.002}}
    assert take(learned, *[plain] * 3, of=of) == [()] * 3


def test_addresses_that_were_found_are_kept(learned):
    assert learned.address("shop.example") is None

    learned.found("shop.example", "https://shop.example/")
    teach(learned, of=endpoint("shop.example", "shop.example"))

    assert learned.address("shop.example") == "https://shop.example/"
    assert learned.address("shop.example", "shop.example") == "https://shop.example/"
    assert learned.address("shop.example", "other.example") is None
    learned.relearn("shop.example")
    assert learned.address("shop.example") is None


def test_only_names_that_are_kept_are_remembered(learned):
    for name in ("a", "b"):
        teach(learned, of=endpoint(name))

    learned.keep(["b", "c"])

    assert learned.facts("a") == {}
    assert learned.facts("b")


def test_what_a_person_has_written_is_kept(learned):
    teach(learned, of=endpoint("a"))
    learned._profiles["a"].edited = True

    learned.keep([])

    assert learned.facts("a")


@pytest.mark.parametrize(
    ("was", "now", "is_like"),
    [
        ("Shop", "Shop", True),
        ("Shop", "shop (3)", True),
        ("Shop", "Shop closed", True),  # a half of them
        ("Shop", "Shop is closed", False),
        ("News of 26 November 2026", "News of 1 December 2026", True),
        ("Monday, 9:30 am", "Tuesday, 10:15 pm", True),
        ("Shop", "Index of /", False),
        ("2026", "2027", True),
        ("2026", "", False),
        ("Shop", "", False),
        ("Статьи", "СТАТЬИ", True),
    ],
)
def test_titles_are_alike_if_half_of_their_words_are(was, now, is_like):
    assert profiles.is_like(was, now) is is_like
    assert profiles.is_like(now, was) is is_like


# What changes with each request must not warn.
TOKENS = st.text(string.ascii_lowercase + string.digits, min_size=8, max_size=16)
WORDS = st.lists(st.text(string.ascii_lowercase, min_size=5, max_size=9), min_size=4, max_size=12)


@settings(max_examples=20)
@given(WORDS, st.data())
def test_dates_counters_and_tokens_do_not_warn(words, data):
    learned = Learned("none.toml")
    draw = data.draw

    def visit():
        token, count = draw(TOKENS), draw(st.integers(0, 99_999))
        day, month = draw(st.integers(1, 31)), draw(st.sampled_from(["May", "March", "December"]))
        return result(
            title=f"({count}) {' '.join(words[:3])} - {day} {month} 2026",
            words=[*words, token][: len(words) + 1],
            url=f"https://shop.example/?visit={token}",
            size=20_000 + len(str(count)) + len(token),
            digest=token,
        )

    told = [learned.take(endpoint(), visit()) for _ in range(25)]

    assert {*told} == {()}


@settings(max_examples=25)
@given(st.integers(30, 60), st.integers(0, 2**32))
def test_latencies_of_one_kind_do_not_warn(count, seed):
    """Nor with a slow one now and then."""
    learned = Learned("none.toml")
    dice = random.Random(seed)

    told = [
        learned.take(
            endpoint(), result(dice.uniform(0.08, 0.15) * (40 if dice.random() < 0.02 else 1))
        )
        for _ in range(count)
    ]

    assert {*told} == {()}


@settings(max_examples=50)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["status", "url", "title", "words", "size", "digest"]),
            st.none() | st.integers(0, 9) | st.text(max_size=5) | st.lists(st.text(max_size=5)),
        ).map(
            lambda facts: {
                key: value
                for key, value in facts.items()
                if isinstance(value, {"status": int, "size": int, "words": list}.get(key, str))
            }
        ),
        max_size=20,
    )
)
def test_any_facts_are_taken(many):
    learned = Learned("none.toml")
    for facts in many:
        told = learned.take(endpoint(), Result(name="shop", at=0.0, facts=facts))
        assert all(isinstance(one, str) and one for one in told)


def test_a_check_that_is_as_before_is_taken_in_less_than_ten_microseconds(learned):
    teach(learned)
    of, same = endpoint(), result(digest="same")
    take(learned, same, of=of)

    def once():
        began = time.process_time()
        for _ in range(1000):
            learned.take(of, same)
        return (time.process_time() - began) / 1000

    assert min(once() for _ in range(5)) < 10e-6


def test_what_is_learned_of_an_endpoint_takes_less_than_900_bytes(tmp_path):
    learned = Learned(tmp_path / "learned.toml")
    count = 200
    made = []
    for number in range(count):
        of = Endpoint(f"site{number}.example.com", f"site{number}.example.com", OPTIONS)
        words = [f"{word}{chr(97 + number % 26)}" for word in SHOP["words"] + SHOP["words"]]
        made.append((of, number, words))

    with allocated(__file__) as held:
        for of, number, words in made:
            learned.found(of.name, f"https://{of.name}/")
            for _ in range(6):
                learned.take(
                    of,
                    result(
                        seconds=0.1 + number / 1000,
                        url=f"https://{of.name}/start",
                        title=f"Home page of {of.name}",
                        words=words,
                        size=4700 + number,
                    ),
                )
        each = held() / count

    assert 200 < each < 900
