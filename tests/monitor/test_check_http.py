"""Checks of HTTP, against servers that do what servers do."""

import gzip
import zlib

import pytest

httptools = pytest.importorskip("httptools", reason="checks need the extra `monitor`")
faulty = pytest.importorskip("faulty", reason="needs gevent")

from faulty import Site, moved, page, serving, unused  # noqa: E402

from safepatch.monitor.checks import run  # noqa: E402
from safepatch.monitor.plan import Endpoint, Options  # noqa: E402
from safepatch.monitor.tools import Tools  # noqa: E402

pytestmark = pytest.mark.usefixtures("own_hub")


@pytest.fixture
def site():
    """A site, running; `at(path)` is an address in it."""
    made = Site()
    with serving(made) as port:
        made.port = port
        made.at = lambda path="/": f"http://127.0.0.1:{port}{path}"
        yield made


def test_a_page_that_answers_is_up_and_its_facts_are_seen(checked, site):
    html = "<html><title>The  shop</title><p>Welcome to our little shop of horrors</p></html>"
    site.pages["/start?q=1"] = page(html, Content_Type="text/html; charset=utf-8", Server="x/1")

    result = checked(site.at("/start?q=1"))

    assert result.error == ""
    assert result.message == ""
    assert result.warnings == ()
    assert result.facts == {
        "address": "127.0.0.1",
        "url": site.at("/start"),
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
    assert sum(result.phases.values()) - result.seconds <= result.seconds


def test_a_page_that_is_familiar_is_not_looked_at_but_still_judged(site):
    site.pages["/"] = page("<title>Shop</title>", Content_Type="text/html")
    with Tools() as tools:
        asked = Endpoint("shop", site.at(), Options(contains=("Shop",)))
        first = run(asked, tools)
        tools.familiar = lambda name, digest: (name, digest) == ("shop", first.facts["digest"])
        second = run(asked, tools)
        site.pages["/"] = page("<title>Closed</title>", Content_Type="text/html")
        third = run(asked, tools)

    assert [one.facts.get("title") for one in (first, second, third)] == ["Shop", None, "Closed"]
    assert [one.error for one in (first, second, third)] == ["", "", "content"]


def test_the_digest_is_that_of_the_body(checked, site):
    site.pages = {"/a": page("a"), "/b": page("b"), "/c": page("a", Server="x")}
    a, b, c = (checked(site.at(path)).facts["digest"] for path in ("/a", "/b", "/c"))

    assert a == c != b


def test_it_asks_as_a_client_does_that_wants_one_answer(checked, site):
    site.pages["/a?b"] = page()
    checked(site.at("/a?b#c"))

    assert site.requests == [
        f"GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nUser-Agent: safepatch-monitor\r\n"
        "Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nConnection: close\r\n\r\n".encode()
    ]


def test_a_password_that_is_not_taken_is_a_failure(site):
    site.pages["/"] = page(status="401 Who")
    options = Options(username="me", password_env="PASSWORD")
    with Tools(environ={"PASSWORD": "old"}) as tools:
        assert run(Endpoint("shop", site.at(), options), tools).error == "status"


@pytest.mark.parametrize(
    ("status", "expected", "is_up"),
    [
        ("200 OK", (), True),
        ("204 No Content", (), True),
        ("301 Moved", (), True),  # with no Location it leads nowhere
        ("304 Not Modified", (), True),
        ("400 Bad", (), False),
        ("401 Who", (), True),  # it works, and asks for what nobody has given us
        ("403 No", (), False),
        ("404 Not Found", (), False),
        ("500 Oops", (), False),
        ("404 Not Found", ("404",), True),
        ("401 Who", ("2xx", "401"), True),
        ("503 Later", ("200-299", "500-503"), True),
        ("504 Later", ("200-299", "500-503"), False),
        ("299 Odd", ("2XX",), True),
        ("200 OK", ("404",), False),
    ],
)
def test_a_status_is_good_if_below_400_or_as_expected(checked, site, status, expected, is_up):
    site.pages["/"] = page(status=status)
    result = checked(site.at(), status=expected)

    assert result.error == ("" if is_up else "status")
    assert result.facts["status"] == int(status[:3])


def test_an_unexpected_status_is_told_with_what_was_asked_and_found(checked, site):
    html = "<title>Down for &lt;maintenance&gt;</title>"
    site.pages["/"] = page(html, status="503 Service Unavailable", Content_Type="text/html")

    assert checked(site.at()).message == (
        f"GET {site.at()} answers 503 Service Unavailable, with the title 'Down for <maintenance>'"
    )
    assert checked(site.at(), status=["2xx", "404"]).message.startswith(
        f"GET {site.at()} answers 503 Service Unavailable, not 2xx or 404"
    )


def test_a_status_that_cannot_be_expected_is_our_mistake(checked, site):
    result = checked(site.at(), status=["OK"])

    assert (result.error, result.message) == (
        "internal",
        '\'OK\' is no status; write "200", "2xx" or "200-299"',
    )


def test_a_port_where_nobody_listens_is_refused(checked):
    port = unused()
    result = checked(f"http://127.0.0.1:{port}/")

    assert (result.error, result.message) == (
        "refused",
        f"127.0.0.1:{port}: the connection is refused",
    )
    assert result.facts == {"address": "127.0.0.1"}


BODY = b"<p>all is well</p>"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6;x=y\r\n<p>all\r\nC\r\n is well</p>\r\n0\r\nA: b\r\n\r\n"  # noqa: E501


def bare_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    "answer",
    [
        page(BODY),
        CHUNKED,
        b"HTTP/1.1 200 OK\r\n\r\n" + BODY,
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
        b"HTTP/1.1 200\r\nContent-Length: 18\r\n\r\n" + BODY,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + page(BODY),
        page(gzip.compress(BODY, mtime=0), Content_Encoding="gzip"),
        page(gzip.compress(BODY, mtime=0), Content_Encoding="GZIP"),
        page(zlib.compress(BODY), Content_Encoding="deflate"),
        page(bare_deflate(BODY), Content_Encoding="deflate"),
        page(BODY, Upgrade="h2,h2c", Connection="Upgrade, close"),  # as Apache says
        page(BODY) + b"and what nobody asked for",
        pytest.param(
            b"HTTP/1.1 200 OK\ncontent-length: 18\n\n" + BODY,
            marks=pytest.mark.skipif(
                not hasattr(httptools.HttpResponseParser, "set_dangerous_leniencies"),
                reason="this version of httptools wants CR LF",
            ),
        ),
    ],
)
def test_a_body_is_read_however_it_comes(checked, site, answer):
    site.pages["/"] = answer
    result = checked(site.at(), contains=["all is well"])

    assert (result.error, result.message, result.facts["size"]) == ("", "", len(BODY))


@pytest.mark.parametrize("charset", ["latin-1", '"utf-16"', "utf-8"])
def test_a_body_is_decoded_as_it_says(checked, site, charset):
    body = "schön grün".encode(charset.strip('"'))
    site.pages["/"] = page(body, Content_Type=f"text/plain; charset={charset}")

    assert checked(site.at(), contains=["grün"]).ok


@pytest.mark.parametrize("charset", ["nonsense", "base64", "\xff", ""])
def test_a_charset_that_there_is_not_is_taken_for_utf_8(checked, site, charset):
    body = page("schön", Content_Type=f"text/plain; charset={charset}")
    site.pages["/"] = body

    assert checked(site.at(), contains=["schön"]).ok


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified"])
def test_answers_without_a_body_end_with_their_headers(checked, site, status):
    def answer(sock, request):
        sock.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 1000\r\n\r\n".encode())
        faulty.silent(sock)

    site.pages["/"] = answer
    method = "HEAD" if "200" in status else "GET"
    result = checked(site.at(), method=method, timeout=1)

    assert (result.error, result.facts["size"]) == ("", 0)


def test_what_is_expected_of_a_body_is_looked_for(checked, site):
    site.pages["/"] = page('{"status": "ok", "workers": [{"up": true}]}')

    assert checked(site.at(), json={"workers[0].up": True}).ok
    assert checked(site.at(), matches='"status": "(ok|fine)"').ok
    result = checked(site.at(), lacks=["workers"])
    assert (result.error, result.facts["status"]) == ("content", 200)


# Redirects.


def test_redirects_are_followed_and_told(checked, site):
    site.pages = {"/": moved("/a"), "/a": moved("b?x=1", "307 T"), "/b?x=1": page("there")}
    result = checked(site.at(), contains=["there"])

    assert result.ok
    assert result.facts["url"] == site.at("/b")
    assert result.facts["redirects"] == [site.at(), site.at("/a")]
    assert result.facts["status"] == 200


def test_phases_of_redirects_add_up(checked, site):
    site.pages = {"/": moved("/a"), "/a": page()}
    result = checked(site.at())

    assert list(result.phases) == ["dns", "connect", "first_byte", "total"]
    assert sum(result.phases.values()) - result.seconds <= result.seconds


def test_a_circle_of_redirects_is_down(checked, site):
    site.pages = {"/": moved("/a"), "/a": moved("/")}
    result = checked(site.at())

    assert (result.error, result.message) == (
        "status",
        f"it redirects in a circle: {site.at()} -> {site.at('/a')} -> {site.at()}",
    )


def test_no_more_redirects_are_followed_than_allowed(checked, site):
    site.pages = {f"/{n}": moved(f"/{n + 1}") for n in range(5)} | {"/3": page()}

    assert checked(site.at("/0"), redirects=3).ok
    result = checked(site.at("/0"), redirects=2)
    assert result.error == "status"
    assert result.message.startswith("it redirects more than 2 times: ...")


def test_a_redirect_that_is_expected_is_the_answer(checked, site):
    site.pages["/"] = moved("https://elsewhere.test/login")
    result = checked(site.at(), status=["302"])

    assert (result.error, result.facts["status"]) == ("", 302)


def test_without_redirects_the_first_answer_counts(checked, site):
    site.pages["/"] = moved("https://elsewhere.test/login")

    assert checked(site.at(), redirects=0).facts["status"] == 302


def test_a_redirect_to_another_protocol_is_not_followed(checked, site):
    site.pages["/"] = moved("ftp://127.0.0.1/")
    result = checked(site.at())

    assert (result.error, result.message) == (
        "protocol",
        f"{site.at()} redirects to ftp://127.0.0.1/, which is not HTTP",
    )


@pytest.mark.parametrize(
    ("status", "method", "goes_on_with"),
    [
        ("301 M", "POST", b"GET"),
        ("302 F", "POST", b"GET"),
        ("303 S", "POST", b"GET"),
        ("303 S", "PUT", b"GET"),
        ("303 S", "HEAD", b"HEAD"),
        ("301 M", "PUT", b"PUT"),
        ("307 T", "POST", b"POST"),
        ("308 P", "POST", b"POST"),
    ],
)
def test_redirects_change_the_method_as_browsers_do(checked, site, status, method, goes_on_with):
    site.pages = {"/": moved("/a", status), "/a": page()}
    body = "" if method == "HEAD" else "x=1"
    assert checked(site.at(), method=method, body=body).ok

    first, second = site.requests
    assert first.startswith(f"{method} / ".encode())
    assert first.endswith(body.encode())
    assert second.split(b" ")[0] == goes_on_with
    assert second.endswith(b"x=1") == (goes_on_with in (b"POST", b"PUT"))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "[::1]"])
def test_a_redirect_into_a_private_network_is_refused(checked, site, host):
    secret = Site(otherwise=page("secret"))
    with serving(secret) as port:
        site.pages["/"] = moved(f"http://{host}:{port}/")
        result = checked(site.at())

    assert result.error == "private"
    assert "which is loopback; to allow that, write private = [" in result.message
    assert secret.requests == []


def test_a_redirect_into_a_network_that_is_allowed_is_followed(checked, site):
    other = Site(otherwise=page("hello"))
    with serving(other) as port:
        site.pages["/"] = moved(f"http://127.0.0.1:{port}/")
        assert checked(site.at(), private=["127.0.0.0/8"], contains=["hello"]).ok


def test_cookies_are_kept_within_a_check(checked, site):
    """Some sites set one, and redirect to where one was until it comes."""

    def counter(sock, request):
        if b"\r\nCookie: a=2; b=c\r\n" in request:
            sock.sendall(page())
        elif b"\r\nCookie: a=1\r\n" in request:
            sock.sendall(
                b"HTTP/1.1 302 F\r\nLocation: /\r\n"
                b"Set-Cookie: a=2; path=/\r\nSet-Cookie: b=c\r\n\r\n"
            )
        else:
            sock.sendall(page(status="302 F", Location="/", Set_Cookie="a=1; Secure"))

    site.pages["/"] = counter
    for _ in range(2):
        result = checked(site.at())
        assert (result.error, len(result.facts["redirects"])) == ("", 2)


def test_a_circle_with_cookies_is_a_circle(checked, site):
    site.pages["/"] = page(status="302 F", Location="/", Set_Cookie="a=1")
    result = checked(site.at())

    assert result.message.startswith("it redirects in a circle: ")
    assert len(site.requests) == 2


def test_cookies_are_not_given_to_another_host(checked, site):
    other = Site(otherwise=page())
    with serving(other, host="127.0.0.2") as port:
        site.pages["/"] = page(
            status="302 F", Location=f"http://127.0.0.2:{port}/", Set_Cookie="a=1"
        )
        assert checked(site.at(), private=["any"]).ok

    assert b"Cookie" not in other.requests[0]


# What is told, and to whom.


@pytest.fixture
def environ(tools):
    tools.environ = {"PW": "s3cret:ü", "TOKEN": "t0ken", "LINES": "a\r\nB: c"}


@pytest.mark.usefixtures("environ")
def test_logins_come_from_the_environment(checked, site):
    site.pages["/"] = page()
    assert checked(site.at(), username="me", password_env="PW").ok
    assert checked(site.at(), bearer_env="TOKEN").ok
    assert checked(site.at(), headers_env={"X-Key": "TOKEN"}, headers={"user-agent": "me"}).ok
    assert checked(site.at().replace("//", "//you:p%40w@")).ok

    basic, bearer, key, in_url = site.requests
    assert b"\r\nAuthorization: Basic bWU6czNjcmV0OsO8\r\n" in basic  # me:s3cret:ü
    assert b"\r\nAuthorization: Bearer t0ken\r\n" in bearer
    assert b"\r\nX-Key: t0ken\r\n" in key
    assert b"\r\nuser-agent: me\r\n" in key
    assert b"User-Agent" not in key
    assert b"\r\nAuthorization: Basic eW91OnBAdw==\r\n" in in_url  # you:p@w


@pytest.mark.usefixtures("environ")
def test_another_host_that_is_redirected_to_learns_no_secrets(checked, site):
    other = Site(otherwise=page())
    with serving(other) as port:
        site.pages["/"] = moved(f"http://127.0.0.1:{port}/")
        headers = {"Accept-Language": "de", "Cookie": "a", "X-Api-Key": "b", "Host": "h"}
        assert checked(
            site.at().replace("//", "//you:p%40w@"),
            headers=headers,
            headers_env={"X-One": "TOKEN"},
            private=["127.0.0.1"],
        ).ok

    (there,) = other.requests
    assert there.startswith(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port)
    assert b"Accept-Language: de" in there
    for secret in (b"Cookie", b"Key", b"Authorization", b"X-One", b"t0ken"):
        assert secret not in there


def test_a_body_is_not_given_to_another_host(checked, site):
    other = Site(otherwise=page())
    with serving(other) as port:
        site.pages["/"] = moved(f"http://127.0.0.1:{port}/", "307 Temporary")
        result = checked(site.at(), method="POST", body="secret", private=["any"])

    assert result.error == "status"
    assert "which is not given its body" in result.message
    assert other.requests == []


@pytest.mark.usefixtures("environ")
def test_no_secret_gets_into_a_result(checked, site):
    site.pages["/x?t=q-secret"] = moved("/y?t=q-secret")
    address = site.at("/x?t=q-secret").replace("//", "//you:pw-secret@")
    result = checked(address, headers_env={"X-One": "TOKEN"}, body="b-secret")
    result.name = ""

    for secret in ("pw-secret", "q-secret", "t0ken", "b-secret"):
        assert secret not in str(result) + repr(result)


@pytest.mark.usefixtures("environ")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bearer_env": "ABSENT"}, "the environment variable ABSENT is not set; set it"),
        ({"headers_env": {"X": "ABSENT"}}, "the environment variable ABSENT is not set; set it"),
        ({"headers_env": {"X": "LINES"}}, "the header 'X' has a line break in it"),
        ({"headers": {"X": "a\r\nB: c"}}, "the header 'X' has a line break in it"),
        ({"headers": {"X\r\nY": "a"}}, "the header 'X\\r\\nY' has a line break in it"),
        (
            {"headers": {"X": "\u2713"}},
            "the header 'X' has a line break in it, or no Latin letters",
        ),
        ({"method": "GET / HTTP/1.1\r\n"}, "'GET / HTTP/1.1\\r\\n' is no method of HTTP"),
    ],
)
def test_what_cannot_be_asked_is_our_mistake_and_not_asked(checked, site, options, message):
    result = checked(site.at(), **options)

    assert result.error == "internal"
    assert result.message.startswith(message)
    assert site.requests == []


@pytest.mark.parametrize("method", ["post", "PUT"])
def test_a_method_that_has_a_body_says_how_long_it_is(checked, site, method):
    site.pages["/"] = page()
    assert checked(site.at(), method=method).ok
    assert checked(site.at(), method=method, body="ü").ok

    empty, full = site.requests
    assert empty.startswith(f"{method.upper()} / ".encode())
    assert b"\r\nContent-Length: 0\r\n" in empty
    assert b"\r\nContent-Length: 2\r\n" in full


def test_what_a_server_writes_cannot_move_a_terminals_cursor(checked, site):
    title = "<title>a\x1b[2Jb&#8238;c</title>"
    site.pages["/"] = page(title, "500 \x85", Content_Type="text/html", Server="x\x85")
    result = checked(site.at())

    assert result.message.isprintable()
    assert result.facts["title"] == "a?[2Jb?c"
    assert all(str(fact).isprintable() for fact in result.facts.values())


def test_an_address_that_is_none_is_said_to_be(checked):
    result = checked("http://a b/")

    assert (result.error, result.message) == (
        "protocol",
        "'http://a b/' has 'a b' for a host, which is no name",
    )


def test_ipv6_addresses_are_asked(checked):
    try:
        with serving(Site(otherwise=page()), host="::1") as port:
            result = checked(f"http://[::1]:{port}/")
    except OSError:
        pytest.skip("this machine has no IPv6")

    assert result.ok
    assert result.facts["address"] == "::1"
    assert result.facts["url"] == f"http://[::1]:{port}/"
