"""Checks by real workers of Celery, found by a real Redis, and verdicts of several vantages."""

import signal
import time

import gevent
import pytest
from children import child
from faulty import page, serving, unused
from patience import until

from safepatch.monitor.plan import Endpoint, Options
from safepatch.monitor.workers import Vantages
from safepatch.monitor.workers.brokers import queue

ALLOWED = Options(interval=2.0, timeout=1.0)


def hello(sock, address):
    if sock.recv(65536):
        sock.sendall(page("hello"))


def endpoints(*addresses, options=ALLOWED):
    return {address: Endpoint(address, address, options) for address in addresses}


def seen(vantages, name):
    return [result for endpoint, result in vantages.taken if endpoint.name == name]


def test_endpoints_are_checked_each_interval_by_a_worker(worker, watch):
    worker("here")
    with serving(hello) as port:
        up, down = f"http://127.0.0.1:{port}/", f"tcp://127.0.0.1:{unused()}"
        vantages = watch(endpoints(up, down))
        until(lambda: len(seen(vantages, up)) >= 2 and len(seen(vantages, down)) >= 2)

    good, bad = seen(vantages, up)[-1], seen(vantages, down)[-1]
    assert (good.error, good.facts["status"], good.facts["vantages"]) == ("", 200, {"here": ""})
    assert bad.error == "refused"
    assert vantages.reason() == ""


def test_down_is_what_two_of_three_vantages_see_down(worker, watch):
    """Each place has a port that is its own idea of the site."""
    broken = """
import safepatch
from safepatch.decorators import replace
from safepatch.monitor.results import Result

def check(endpoint, tools):
    return Result(name=endpoint.name, at=1.0, error="timeout", message="no answer")

from safepatch.monitor.workers.app import runner
runner()._check = check
"""
    for name, source in (("vienna", ""), ("tokyo", broken), ("austin", "")):
        worker(name, source)
    with serving(hello) as port:
        site, gone = f"http://127.0.0.1:{port}/", f"tcp://127.0.0.1:{unused()}"
        vantages = watch(endpoints(site, gone), ("vienna", "tokyo", "austin"))
        until(lambda: any(len(r.facts["vantages"]) == 3 for r in seen(vantages, site)))
        until(lambda: any(len(r.facts["vantages"]) == 3 for r in seen(vantages, gone)))

    up = next(r for r in seen(vantages, site) if len(r.facts["vantages"]) == 3)
    down = next(r for r in seen(vantages, gone) if len(r.facts["vantages"]) == 3)
    assert (up.error, up.warnings) == ("", ("tokyo sees it down: no answer",))
    assert down.error == "refused"
    assert "3 of 3 vantages (vienna, tokyo, austin)" in down.message


def test_a_vantage_that_dies_has_no_vote_and_the_others_go_on(worker, watch):
    worker("vienna")
    dying = worker("tokyo")
    with serving(hello) as port:
        site = f"http://127.0.0.1:{port}/"
        vantages = watch(endpoints(site), ("vienna", "tokyo"), quorum=1)
        until(lambda: any(len(r.facts["vantages"]) == 2 for r in seen(vantages, site)))
        dying.send_signal(signal.SIGKILL)
        dying.wait(5)
        until(
            lambda: (
                len(seen(vantages, site)) and len(seen(vantages, site)[-1].facts["vantages"]) == 1
            )
        )
        until(lambda: vantages.quorum.silent(time.time()) == ["tokyo"])

        assert vantages.reason() == ""  # one is enough


def test_where_too_few_vantages_report_nothing_is_decided_and_that_is_told(worker, watch):
    worker("vienna")
    gone = f"tcp://127.0.0.1:{unused()}"
    vantages = watch(endpoints(gone), ("vienna", "tokyo", "austin"))
    until(lambda: vantages.packets >= 3)
    until(lambda: vantages.reason() != "")

    assert seen(vantages, gone) == []
    assert vantages.reason() == (
        "1 of 3 vantages report, and 2 have to agree; nothing is heard of tokyo, austin"
    )


def test_what_is_to_be_looked_at_again_is_checked_before_its_interval(worker, watch):
    worker("here")
    gone = f"tcp://127.0.0.1:{unused()}"
    options = Options(interval=20.0, timeout=1.0)
    vantages = watch(endpoints(gone, options=options))
    vantages.again = 0.1
    vantages.check(gone)
    until(lambda: len(seen(vantages, gone)) >= 3)

    times = [result.at for result in seen(vantages, gone)]
    assert max(times) - min(times) < 15.0


def test_what_an_address_without_a_scheme_is_comes_back_from_the_worker(worker, watch):
    worker("here")
    told = []
    with serving(hello) as port:
        address = f"127.0.0.1:{port}"
        vantages = watch(
            endpoints(address), found=lambda endpoint, found: told.append((endpoint.name, found))
        )
        until(lambda: seen(vantages, address))

    assert (address, f"http://{address}") in told


def test_batches_that_are_late_are_not_checked_any_more(worker, watch, redis):
    """Nobody works for a while; then only the last round counts."""
    with serving(hello) as port:
        site = f"http://127.0.0.1:{port}/"
        vantages = watch(endpoints(site))
        until(lambda: vantages.rounds >= 4)
        before = time.time()
        worker("here")
        until(lambda: seen(vantages, site))

    assert seen(vantages, site)[0].at > before
    assert vantages.packets <= 3


def test_a_broker_that_is_started_again_is_used_again(worker, watch, redis):
    worker("here")
    with serving(hello) as port:
        site = f"http://127.0.0.1:{port}/"
        vantages = watch(endpoints(site))
        until(lambda: seen(vantages, site))
        redis.stop()
        until(lambda: vantages.problem)
        until(lambda: "the broker fails" in vantages.reason())
        redis.start()
        before = len(vantages.taken)
        until(lambda: len(vantages.taken) > before)

    assert vantages.problem == ""
    assert vantages.reason() == ""


def test_endpoints_that_come_and_go_are_followed(worker, watch):
    worker("here")
    with serving(hello) as port:
        one, two = f"http://127.0.0.1:{port}/1", f"http://127.0.0.1:{port}/2"
        current = {"all": endpoints(one)}
        vantages = watch({})
        vantages._endpoints = lambda: current["all"]
        until(lambda: seen(vantages, one))
        current["all"] = endpoints(two)
        until(lambda: seen(vantages, two))
        at = time.time()
        gevent.sleep(2.5)

    assert all(result.at < at + 2 for result in seen(vantages, one))
    assert len(seen(vantages, two)) >= 2


def test_what_is_no_packet_is_passed_over(worker, watch, redis):
    import redis as library

    worker("here")
    with serving(hello) as port:
        site = f"http://127.0.0.1:{port}/"
        vantages = watch(endpoints(site))
        with library.Redis.from_url(redis.url) as client:
            client.rpush(vantages._reply, b"garbage")
        until(lambda: seen(vantages, site))


def test_the_hub_goes_on_while_the_broker_is_waited_for(worker, watch):
    """gevent has patched nothing here, so what Redis waits for is waited for in threads."""
    watch({})
    longest, last = 0.0, time.monotonic()
    for _ in range(200):
        gevent.sleep(0.005)
        now = time.monotonic()
        longest, last = max(longest, now - last), now

    assert longest < 0.5


def test_where_gevent_has_patched_everything_it_works_too(worker, redis):
    """As in `safepatch monitor`."""
    worker("here")
    printed = child(
        f"""
        from gevent import monkey
        monkey.patch_all()
        import gevent
        from safepatch.monitor.plan import Endpoint, Options
        from safepatch.monitor.workers import Vantages

        gone = Endpoint("gone", "tcp://127.0.0.1:{unused()}", Options(interval=2.0, timeout=1.0))
        taken = gevent.event.AsyncResult()
        vantages = Vantages({redis.url!r}, ["here"], lambda: endpoints,
                            lambda endpoint, result: (taken.set(result), (2.0, None))[1])
        endpoints = {{"gone": gone}}
        vantages.start()
        print(taken.get(timeout=50).error, vantages._pool)
        vantages.stop()
        """,
        timeout=80,
    )

    assert printed == "refused None"


@pytest.mark.parametrize("broker", ["http://127.0.0.1", "amqp://127.0.0.1", "redis"])
def test_a_broker_that_is_not_redis_is_refused(broker):
    with pytest.raises(ValueError, match="write redis://HOST:PORT/NUMBER"):
        Vantages(broker, ["here"], dict, lambda *agreed: (60.0, None))


def test_when_many_fail_at_once_they_are_looked_at_again_in_batches(worker, watch):
    worker("here")
    gone = unused()
    many = [f"tcp://127.0.0.{n}:{gone}" for n in range(2, 202)]
    vantages = watch(endpoints(*many, options=Options(interval=60.0, timeout=2.0)))
    vantages.again = 1.0
    until(lambda: len(vantages.taken) >= 600)

    assert vantages.rounds < 20


def test_where_nobody_works_batches_do_not_pile_up(watch, redis, monkeypatch):
    import redis as library

    monkeypatch.setattr("safepatch.monitor.workers.vantages._SPARE", 3)
    gone = f"tcp://127.0.0.1:{unused()}"
    vantages = watch(endpoints(gone, options=Options(interval=0.5, timeout=0.1)))
    until(lambda: vantages.rounds > 8)

    with library.Redis.from_url(redis.url) as client:
        assert client.llen(queue("here")) == 5


def test_what_is_asked_for_now_does_not_wait_for_what_was_planned(worker, watch):
    worker("here")
    gone = f"tcp://127.0.0.1:{unused()}"
    vantages = watch(endpoints(gone, options=Options(interval=600.0, timeout=1.0)))
    until(lambda: vantages.taken)
    vantages.check(gone, 300.0)
    vantages.check(gone)
    until(lambda: len(vantages.taken) == 2)
