"""Checks of HTTP, against servers that do all that servers do."""

import pytest

faulty = pytest.importorskip("faulty", reason="needs gevent")

from faulty import Site, page, serving, unused  # noqa: E402


def test_a_page_that_answers_is_up_and_its_facts_are_seen(checked):
    html = "<html><title>The  shop</title><p>Welcome to our little shop of horrors</p></html>"
    site = Site({"/start?q=1": page(html, Content_Type="text/html; charset=utf-8", Server="x/1")})
    with serving(site) as port:
        result = checked(f"http://127.0.0.1:{port}/start?q=1")

    assert result.error == ""
    assert result.message == ""
    assert result.facts == {
        "address": "127.0.0.1",
        "url": f"http://127.0.0.1:{port}/start",
        "status": 200,
        "http": "1.1",
        "server": "x/1",
        "type": "text/html",
        "size": len(html),
        "digest": result.facts["digest"],
        "title": "The shop",
        "words": ["welcome", "little", "horrors"],
    }
    assert list(result.phases) == ["dns", "connect", "first_byte", "total"]
    assert 0 < sum(result.phases.values()) - result.seconds <= result.seconds


def test_a_port_where_nobody_listens_is_refused(checked):
    port = unused()
    result = checked(f"http://127.0.0.1:{port}/")

    assert (result.error, result.message) == (
        "refused",
        f"127.0.0.1:{port}: the connection is refused",
    )
