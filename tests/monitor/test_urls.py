"""Addresses of endpoints and redirects, taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("gevent", reason="needs the extra `monitor`")

from safepatch.monitor.courses import CheckError
from safepatch.monitor.urls import join, split


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("http://example.com", ("http", "example.com", 80, "/", "", "")),
        ("HTTPS://Example.COM:8443/A?b=C#d", ("https", "example.com", 8443, "/A?b=C", "", "")),
        ("http://example.com?q", ("http", "example.com", 80, "/?q", "", "")),
        ("http://[2001:DB8::1]:81/", ("http", "2001:db8::1", 81, "/", "", "")),
        ("http://us%40er:p%3Aw@h/", ("http", "h", 80, "/", "us@er", "p:w")),
        ("http://a@b:c@h/", ("http", "h", 80, "/", "a@b", "c")),
        ("http://h/a b/ü?ö#x", ("http", "h", 80, "/a%20b/%C3%BC?%C3%B6", "", "")),
        ("http://h/%20%zz", ("http", "h", 80, "/%20%zz", "", "")),
        ("http://bücher.example/", ("http", "xn--bcher-kva.example", 80, "/", "", "")),
        ("http://faß.example/", ("http", "xn--fa-hia.example", 80, "/", "", "")),
        ("tcp://db_1.internal:5432", ("tcp", "db_1.internal", 5432, "/", "", "")),
        ("icmp://192.0.2.1", ("icmp", "192.0.2.1", 0, "/", "", "")),
        ("smtp://mx.example", ("smtp", "mx.example", 25, "/", "", "")),
        ("http://example.com.:80/", ("http", "example.com.", 80, "/", "", "")),
    ],
)
def test_an_address_is_taken_apart(address, parts):
    assert tuple(split(address)) == parts


@pytest.mark.parametrize(
    "address",
    [
        "example.com", "http:/example.com", "://h", "http://", "http://:80/", "http://h:99999/",
        "http://h:0/", "http://h:8a/", "http://[::1", "http://[::zz]/", "http://a b/",
        "http://h\r\n/", "http://h]/", "http://ö\u2028/", "http://" + "ü" * 70 + "/",
        "http://h/" + "x" * 9000, "http://" + "x" * 300,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_a_reason(address):
    with pytest.raises(CheckError) as caught:
        split(address)
    assert caught.value.error == "protocol"


def test_what_is_shown_has_no_password_and_no_query():
    url = split("https://user:secret@h:8443/a?token=secret")

    assert url.shown == "https://h:8443/a"
    with pytest.raises(CheckError) as caught:
        split("https://user:secret@h:99999/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("/b", "http://h:81/b"),
        ("c?d", "http://h:81/x/c?d"),
        ("?d", "http://h:81/x/y?d"),
        ("//other/z", "http://other/z"),
        ("https://h/", "https://h/"),
        ("../../z", "http://h:81/z"),
        (" /b ", "http://h:81/b"),
        ("/ü b", "http://h:81/%C3%BC%20b"),
        ("http://me:pw@h:81/", "http://h:81/"),
        ("", "http://h:81/x/y?q=1"),
    ],
)
def test_a_redirect_leads_where_browsers_go(location, leads_to):
    url = join(split("http://u:p@h:81/x/y?q=1"), location)

    assert f"{url.scheme}://{url.netloc}{url.path}" == leads_to
    assert url.user == url.password == ""


@pytest.mark.parametrize("location", ["ftp://h/", "file:///etc/passwd", "javascript:x", "data:,"])
def test_a_redirect_to_another_protocol_is_refused(location):
    with pytest.raises(CheckError) as caught:
        join(split("http://h/"), location)
    assert caught.value.error == "protocol"


@given(st.text(max_size=60))
def test_any_text_after_a_scheme_is_an_address_that_can_be_asked_or_refused(text):
    try:
        url = split("http://" + text)
    except CheckError:
        return

    request = f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n"
    assert request.isascii()
    assert len(request.splitlines()) == 3
    assert len(request.split(" ")) == 4
    again = split(f"http://{url.netloc}{url.path}")
    assert again == url._replace(user="", password="")


@given(st.text(max_size=60))
def test_any_location_leads_to_http_or_is_refused(text):
    try:
        url = join(split("https://h/a/b"), text)
    except CheckError:
        return

    assert url.scheme in ("http", "https")
    assert url.path.isascii()
    assert not set(url.path) & set(" \r\n\t")


@pytest.mark.parametrize("location", ["//[31m/", "http://[::1", "http://[x]/", "http://a\u2100b/"])
def test_a_redirect_that_cannot_be_understood_is_no_mistake_of_ours(location):
    with pytest.raises(CheckError) as caught:
        join(split("https://example.com/"), location)

    assert caught.value.error == "protocol"
