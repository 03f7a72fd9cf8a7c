"""Who may see and do what."""

import io
import re

import pytest

pytest.importorskip("flask", reason="pages need the extra `monitor`")

import flask
import gevent
import hubs
from standins import shop
from visitors import HASH, PASSWORD, client, csrf, far, log_in, with_login

from safepatch.monitor import web
from safepatch.monitor.web import access, addresses, login, logins, passwords
from safepatch.store import Store

PRIVATE = ["/", "/endpoint?name=Mail", "/incidents", "/incidents/1", "/alerts", "/pace"]
PROGRAMS = ["/api/v1/status", "/api/v1/endpoints", "/api/openapi.json", "/metrics", "/live"]
OPEN = ["/status", "/badge/Web%20shop.svg", "/healthz", "/static/style.css", "/login"]


@pytest.fixture(autouse=True)
def no_hub_stays():
    yield
    hubs.end()


# -- where it may be served


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:0", "[::1]:0", "127.8.8.8:0"])
def test_no_login_is_needed_on_loopback(listen):
    access.need_safe(shop(listen=listen).plan.settings)


@pytest.mark.parametrize(
    "listen", ["0.0.0.0:0", "[::]:0", ":0", "192.0.2.1:0", "status.example.com:0"]
)
def test_without_a_login_nothing_is_served_to_other_machines(listen):
    with pytest.raises(access.UnsafeError, match="and there is no login") as raised:
        web.serve(shop(listen=listen))

    assert raised.value.setting == "login"


@pytest.mark.parametrize(
    ("value", "told"),
    [(None, "no such environment variable"), ("hunter2", "no hash of a password")],
)
def test_a_login_without_a_hash_is_refused(monkeypatch, value, told):
    monkeypatch.delenv("PAGES_HASH", raising=False)
    if value:
        monkeypatch.setenv("PAGES_HASH", value)

    with pytest.raises(access.UnsafeError, match=told) as raised:
        web.serve(shop(login="ops", password_hash_env="PAGES_HASH"))

    assert "hunter2" not in str(raised.value)
    assert raised.value.setting == "password_hash_env"


def test_a_login_that_a_reload_takes_away_lets_nobody_in(monkeypatch):
    monitor = with_login(monkeypatch)
    visitor = far(monitor)
    log_in(visitor)

    monitor.settle(listen="0.0.0.0:8787")

    assert visitor.get("/").status_code == 403
    assert far(monitor, address="127.0.0.1").get("/").status_code == 403


# -- on loopback


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8787", "127.0.0.1:9", "[::1]:8787", "LOCALHOST"]
)
def test_who_sits_at_the_machine_sees_all_on_loopback(host):
    for page in [*PRIVATE, "/metrics", "/api/v1/status"]:
        assert client(shop(url=""), host=host).get(page).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1", "a b",
        "localhost:8787, evil.example", "evil.example@localhost", "evil.example:1@localhost:2",
        "localhost#evil.example", "localhost/evil.example", "localhost?evil", "localhost\\evil",
        "localhost:x",
    ],
)  # fmt: skip
def test_another_host_is_refused_on_loopback(host):
    """A name of somebody else's that leads to 127.0.0.1: DNS rebinding."""
    for page in [*PRIVATE, *OPEN, "/beat/the-key/Mail"]:
        answer = client(shop(url=""), host=host).get(page)
        assert answer.status_code == 400


def test_through_a_proxy_without_login_only_public_pages_are_seen():
    monitor = shop()  # whose url is https://status.example.com
    visitor = client(monitor, host="status.example.com")

    assert {visitor.get(page).status_code for page in PRIVATE} == {403}
    assert {visitor.get(page).status_code for page in PROGRAMS} == {401}
    assert {visitor.get(page).status_code for page in OPEN if page != "/login"} == {200}
    assert "/incidents" not in visitor.get("/status").text


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
def test_a_proxy_that_keeps_no_host_is_not_taken_for_somebody_at_the_machine(header):
    answer = client().get("/", headers={header: "203.0.113.9"})

    assert answer.status_code == 403


def test_a_proxy_that_says_nothing_but_speaks_as_old_ones_do_sees_the_public_page_only():
    """nginx, with nothing but `proxy_pass`."""
    visitor = client(host="127.0.0.1:8787")
    seen = [
        visitor.get(path, environ_overrides={"SERVER_PROTOCOL": "HTTP/1.0"}).status_code
        for path in ("/", "/api/v1/endpoints", "/status")
    ]

    assert seen == [403, 401, 200]


# -- logins


def test_with_a_login_pages_lead_to_it_and_programs_are_refused(monkeypatch):
    for make in (client, far):  # on loopback too
        visitor = make(with_login(monkeypatch))

        for page in PRIVATE:
            answer = visitor.get(page)
            assert answer.status_code == 303
            assert answer.headers["Location"].startswith("/login?next=/")
        for page in PROGRAMS:
            answer = visitor.get(page)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        for page in OPEN:
            assert visitor.get(page).status_code == 200


def test_nothing_is_done_without_login(monkeypatch):
    monitor = with_login(monkeypatch)
    visitor = far(monitor)
    token = csrf(visitor)

    for path in ("/recheck", "/relearn", "/silence", "/api/v1/recheck", "/api/v1/silence"):
        answer = visitor.post(path, data={"name": "Mail", "csrf": token})
        assert answer.status_code in (303, 401)

    assert monitor.done == []


def test_the_right_password_leads_on_to_what_was_asked_for(monkeypatch):
    visitor = far(with_login(monkeypatch))
    asked = visitor.get("/endpoint?name=Mail")

    form = visitor.get(asked.headers["Location"]).text
    back = re.search(r'name="next" value="([^"]+)"', form).group(1)
    answer = log_in(visitor, next=back)

    assert answer.headers["Location"] == "/endpoint?name=Mail"
    assert visitor.get(back).status_code == 200
    assert visitor.get("/api/v1/status").status_code == 200


def test_what_a_browser_had_before_a_login_is_worth_nothing_after(monkeypatch):
    visitor = far(with_login(monkeypatch))
    before = csrf(visitor)
    log_in(visitor)

    answer = visitor.post("/recheck", data={"csrf": before, "name": "Mail"})

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("name", "password"),
    [("ops", "wrong horse"), ("Ops", PASSWORD), ("", PASSWORD), ("ops", ""), ("ops", "x" * 2000)],
)
def test_a_wrong_name_or_password_stays_outside(monkeypatch, name, password):
    visitor = far(with_login(monkeypatch))

    answer = log_in(visitor, password, name)

    assert answer.status_code == 403
    assert "That is not the name and the password." in answer.text
    assert visitor.get("/").status_code == 303


def test_logins_are_limited_for_each_address(monkeypatch):
    monkeypatch.setattr(passwords, "fits", lambda hashed, password: password == PASSWORD)
    monitor = with_login(monkeypatch)
    visitor = far(monitor)

    answers = [log_in(visitor, "wrong").status_code for _ in range(8)]
    right = log_in(visitor)
    visitor.environ_base["REMOTE_ADDR"] = "198.51.100.1"

    assert answers == [403] * 5 + [429] * 3
    assert right.status_code == 429
    assert log_in(visitor).status_code == 303


def test_the_log_says_from_where_somebody_logs_in_or_fails_to(monkeypatch, caplog):
    caplog.set_level("INFO")
    visitor = far(with_login(monkeypatch))

    log_in(visitor, "s3cret", name="s3cret")
    log_in(visitor)

    assert caplog.messages == [
        "a login failed, from '203.0.113.9'",
        "somebody logged in, from '203.0.113.9'",
    ]


def guesses(visitor, count, first=1):
    """What so many addresses are told that try one password each."""
    seen = []
    for n in range(first, first + count):
        visitor.environ_base["REMOTE_ADDR"] = f"198.51.{n // 256}.{n % 256}"
        seen.append(log_in(visitor, "wrong").status_code)
    return seen


def test_very_many_addresses_have_few_tries_together(monkeypatch):
    monkeypatch.setattr(passwords, "fits", lambda hashed, password: password == PASSWORD)
    visitor = far(with_login(monkeypatch))

    seen = guesses(visitor, 40)

    assert seen[:20] == [403] * 20
    assert seen[22:] == [429] * 18  # one each two seconds goes on


def test_who_has_logged_in_from_an_address_can_while_others_try(monkeypatch):
    monkeypatch.setattr(passwords, "fits", lambda hashed, password: password == PASSWORD)
    visitor = far(with_login(monkeypatch))
    log_in(visitor)
    visitor.post("/logout", data={"csrf": csrf(visitor, "/pace")})

    assert guesses(visitor, 30)[-1] == 429
    visitor.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    assert log_in(visitor).status_code == 303


def test_who_sits_at_the_machine_can_log_in_while_others_try(monkeypatch):
    monkeypatch.setattr(passwords, "fits", lambda hashed, password: password == PASSWORD)
    monitor = with_login(monkeypatch)
    visitor, here = far(monitor), client(monitor, address="127.0.0.1")
    here.application.extensions = visitor.application.extensions

    assert guesses(visitor, 30)[-1] == 429
    assert log_in(here).status_code == 303


def test_one_password_is_compared_at_a_time(monkeypatch):
    at_work, most = [], []

    def fits(hashed, password):
        at_work.append(1)
        most.append(len(at_work))
        gevent.sleep(0.01)
        at_work.pop()
        return False

    monkeypatch.setattr(passwords, "fits", fits)
    pages = far(with_login(monkeypatch)).application
    visitors = [pages.test_client() for _ in range(4)]
    for each in visitors:
        each.environ_base["REMOTE_ADDR"] = "203.0.113.9"
    tries = [gevent.spawn(log_in, each, "wrong") for each in visitors]
    gevent.joinall(tries, timeout=5)

    assert [each.value.status_code for each in tries] == [403] * 4
    assert most == [1] * 4


def test_addresses_are_told_apart_behind_a_proxy_on_this_machine_alone(monkeypatch):
    monkeypatch.setattr(passwords, "fits", lambda hashed, password: False)
    for address, expected in (("127.0.0.1", {403}), ("203.0.113.9", {403, 429})):
        visitor = far(with_login(monkeypatch), address=address)
        token = csrf(visitor)

        seen = {
            visitor.post(
                "/login",
                data={"csrf": token, "name": "ops", "password": "wrong"},
                headers={"X-Forwarded-For": f"1.2.3.4, 203.0.113.{n}"},
            ).status_code
            for n in range(8)
        }

        assert seen == expected


def test_all_addresses_of_an_ipv6_customer_count_as_one(monkeypatch):
    monkeypatch.setattr(passwords, "fits", lambda hashed, password: False)
    visitor, seen = far(with_login(monkeypatch)), []
    for n in range(8):
        visitor.environ_base["REMOTE_ADDR"] = f"2001:db8::{n + 1}"
        seen.append(log_in(visitor, "wrong").status_code)

    assert seen[-1] == 429


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),  # as a socket for both kinds tells it
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not an address", "not an address"),
    ],
)
def test_limits_count_for_an_address_or_the_network_of_a_customer(address, expected):
    with client().application.test_request_context(environ_base={"REMOTE_ADDR": address}):
        assert addresses.client(flask.request) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
        ("::ffff:127.0.0.1", True), ("0.0.0.0", False), ("", False), ("10.0.0.1", False),
        ("localhost.evil.example", False), ("127.0.0.1.evil.example", False), ("2130706433", False),
    ],
)  # fmt: skip
def test_loopback_is_what_only_this_machine_reaches(host, expected):
    assert addresses.is_loopback(host) is expected


def test_a_login_ends_by_logging_out_and_by_another_password(monkeypatch):
    monitor = with_login(monkeypatch)
    visitor, other = far(monitor), far(monitor)
    other.application = visitor.application  # with one key
    log_in(visitor)
    log_in(other)

    visitor.post("/logout", data={"csrf": csrf(visitor, "/pace")})
    assert visitor.get("/").status_code == 303
    assert other.get("/").status_code == 200

    monkeypatch.setenv("PAGES_HASH", passwords.hash_of("another horse"))
    assert other.get("/").status_code == 303


def copy_of(visitor, monitor):
    """Somebody who has stolen the cookies of another."""
    thief = far(monitor)
    thief.application = visitor.application
    thief._cookies = dict(visitor._cookies)
    return thief


@pytest.mark.parametrize("kept", [True, False])
def test_a_logout_ends_the_login_for_who_has_a_copy_of_its_cookie(monkeypatch, tmp_path, kept):
    with Store(tmp_path / "store") as store:
        monitor = with_login(monkeypatch)
        if kept:
            monitor.store = store
        visitor = far(monitor)
        log_in(visitor)
        thief = copy_of(visitor, monitor)
        assert thief.get("/").status_code == 200

        visitor.post("/logout", data={"csrf": csrf(visitor, "/pace")})

        assert thief.get("/").status_code == 303
        assert thief.get("/api/v1/status").status_code == 401
        if kept:  # and after a restart
            again = far(monitor)
            again._cookies = thief._cookies
            assert again.get("/").status_code == 303


def test_a_login_ends_after_14_days_however_much_it_is_used(monkeypatch):
    visitor, days = far(with_login(monkeypatch)), 0.0
    held = visitor.application.extensions["safepatch.monitor.logins"]
    held.now = lambda: 1e9 + 86400 * days
    log_in(visitor)

    days = 13.9
    assert visitor.get("/").status_code == 200
    days = 14.1
    assert visitor.get("/").status_code == 303


def test_logins_that_are_over_are_dropped_and_so_are_the_oldest_of_very_many(monkeypatch):
    monkeypatch.setattr(logins, "MOST", 3)
    now = [0.0]
    held = logins.Logins(now=lambda: now[0])
    first, second = held.begin("192.0.2.1"), held.begin("192.0.2.2")
    now[0] = 1.0
    third = held.begin("192.0.2.3")
    fourth = held.begin("192.0.2.4")

    assert [held.holds(key) for key in (first, second, third, fourth)].count(True) == 3
    assert held.holds(third)
    now[0] = 1.5 + logins.LASTS
    fifth = held.begin("192.0.2.5")
    assert [*held._kept] == [fifth]


def test_a_cookie_that_somebody_made_is_none(monkeypatch):
    monitor = with_login(monkeypatch)
    forger = web.app(shop())  # with a key of its own
    visitor = far(monitor)
    with visitor.session_transaction() as kept:
        kept["mark"] = "0" * 32
    assert visitor.get("/").status_code == 303

    with forger.test_request_context():
        kept = forger.session_interface.get_signing_serializer(forger).dumps({"mark": "x"})
    visitor.set_cookie("safepatch_monitor", kept)
    assert visitor.get("/").status_code == 303


def test_cookies_are_kept_from_scripts_other_sites_and_plain_http(monkeypatch):
    answer = log_in(far(with_login(monkeypatch)))
    cookie = answer.headers["Set-Cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" in cookie  # the url is https://
    plain = log_in(far(with_login(monkeypatch, url="http://status.example.com")))
    assert "Secure" not in plain.headers["Set-Cookie"]


def test_who_asks_meanwhile_does_not_have_a_login_sent_by_plain_http(monkeypatch):
    visitor = far(with_login(monkeypatch))
    here = visitor.application.test_client()

    def fits(hashed, password):  # in a thread, while others are answered
        here.get("/healthz", headers={"Host": "localhost"})
        return True

    monkeypatch.setattr(passwords, "fits", fits)

    assert "Secure" in log_in(visitor).headers["Set-Cookie"]


def test_a_cookie_is_set_at_the_login_and_not_again_and_again(monkeypatch):
    visitor = far(with_login(monkeypatch))
    log_in(visitor)
    visitor.get("/pace")  # whose form has a token, which is kept in it

    assert "Set-Cookie" not in visitor.get("/alerts").headers


def test_logins_outlive_a_restart(monkeypatch, tmp_path):
    with Store(tmp_path / "store") as store:
        monitor = with_login(monkeypatch)
        monitor.store = store
        visitor = far(monitor)
        log_in(visitor)

        again = far(monitor)
        again._cookies = visitor._cookies

        assert again.get("/").status_code == 200


def test_the_pages_of_a_login_are_not_kept_by_browsers(monkeypatch):
    visitor = far(with_login(monkeypatch))
    log_in(visitor)

    assert visitor.get("/").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example",
        "javascript:alert(1)", "/\t/evil.example", "/\n/evil.example", "evil.example", "", "/\x00",
        "///evil.example", "/ok\r\nSet-Cookie: a=b",
    ],
)  # fmt: skip
def test_a_login_leads_to_our_own_pages_alone(back):
    assert login.own_path(back) == "/"


@pytest.mark.parametrize("back", ["/", "/endpoint?name=a%2F%2Fb", "/?q=//x"])
def test_a_login_leads_to_any_page_of_ours(back):
    assert login.own_path(back) == back


# -- other sites


@pytest.mark.parametrize("path", ["/recheck", "/relearn", "/silence", "/logout"])
@pytest.mark.parametrize(
    ("token", "headers"),
    [
        (False, {}),
        ("wrong", {}),
        (True, {"Origin": "https://evil.example"}),
        (True, {"Origin": "null"}),
        (True, {"Sec-Fetch-Site": "cross-site"}),
        (True, {"Sec-Fetch-Site": "same-site"}),
    ],
)
def test_forms_are_taken_from_our_own_pages_alone(path, token, headers):
    monitor = shop()
    visitor = client(monitor)
    right = csrf(visitor, "/endpoint?name=Mail")
    form = {"name": "Mail", "csrf": right if token is True else token or ""}

    assert visitor.post(path, data=form, headers=headers).status_code == 403
    assert monitor.done == []


def test_the_login_form_has_a_token_too(monkeypatch):
    visitor = far(with_login(monkeypatch))

    answer = visitor.post("/login", data={"name": "ops", "password": PASSWORD})

    assert answer.status_code == 403
    assert visitor.get("/").status_code == 303


def test_a_form_of_our_own_pages_is_taken():
    monitor = shop()
    visitor = client(monitor)
    form = {"name": "Mail", "csrf": csrf(visitor, "/endpoint?name=Mail")}
    headers = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}

    assert visitor.post("/recheck", data=form, headers=headers).status_code == 303
    assert monitor.done == [("recheck", "Mail")]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "https://localhost.evil.example"},
        {"Origin": "https://localhost@evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Referer": "https://evil.example/http://localhost/"},  # of browsers that say no more
        {"Referer": "https://evil.example\\localhost/"},
        {"Referer": "https://[evil/"},
    ],
)
def test_the_api_takes_nothing_from_pages_of_other_sites(headers):
    monitor = shop()

    answer = client(monitor).post("/api/v1/recheck?name=Mail", headers=headers)

    assert answer.status_code == 403
    assert monitor.done == []


def test_with_a_login_the_api_takes_a_cookie_with_the_token_alone(monkeypatch):
    monitor = with_login(monkeypatch)
    visitor = far(monitor)
    log_in(visitor)

    assert visitor.post("/api/v1/recheck?name=Mail").status_code == 403
    token = {"X-CSRF-Token": csrf(visitor, "/pace")}
    assert visitor.post("/api/v1/recheck?name=Mail", headers=token).status_code == 200


# -- tokens


def test_a_token_opens_the_api_and_metrics(monkeypatch):
    monkeypatch.setenv("PAGES_TOKENS", "first-token second-token\n")
    monitor = with_login(monkeypatch, tokens_env="PAGES_TOKENS")
    visitor = far(monitor)

    for token in ("first-token", "second-token"):
        headers = {"Authorization": f"Bearer {token}"}
        assert visitor.get("/api/v1/status", headers=headers).status_code == 200
        assert visitor.get("/metrics", headers=headers).status_code == 200
        assert visitor.post("/api/v1/recheck?name=Mail", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "given",
    [
        "Bearer", "Bearer ", "Bearer first", "Bearer first-token2", "Basic first-token",
        "first-token", "Bearer first-token second-token", "Bearer \xff\xfe",
    ],
)  # fmt: skip
def test_anything_else_opens_nothing(monkeypatch, given):
    monkeypatch.setenv("PAGES_TOKENS", "first-token second-token")
    visitor = far(with_login(monkeypatch, tokens_env="PAGES_TOKENS"))

    answer = visitor.get("/metrics", headers={"Authorization": given})

    assert answer.status_code == 401
    assert "this is none of the tokens" in answer.json["error"]


@pytest.mark.parametrize("value", ["", "  "])
def test_no_tokens_let_nobody_in(monkeypatch, value):
    monkeypatch.setenv("PAGES_TOKENS", value)
    visitor = far(with_login(monkeypatch, tokens_env="PAGES_TOKENS"))

    assert visitor.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401


# -- what is told to browsers, and what is not told at all


@pytest.mark.parametrize("page", [*PRIVATE, *PROGRAMS[:4], *OPEN, "/nothing"])
def test_every_answer_says_what_must_not_be_done_with_it(page):
    headers = client().get(page).headers

    policy = headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Server" not in headers


def test_secrets_are_on_no_page_and_in_no_answer(monkeypatch):
    monkeypatch.setenv("SHOP_TOKEN", "s3cret-of-the-shop")
    monkeypatch.setenv("PAGES_TOKENS", "s3cret-of-the-api")
    monitor = with_login(monkeypatch, tokens_env="PAGES_TOKENS", smtp="smtp://u:s3cret@host:25")
    mail = monitor.plan.endpoints["Mail"]
    import msgspec

    options = msgspec.structs.replace(
        mail.options, headers={"X-Key": "s3cret-header"}, body="s3cret-body",
        username="s3cret-user", headers_env={"Authorization": "SHOP_TOKEN"},
    )  # fmt: skip
    monitor.plan.endpoints["Mail"] = msgspec.structs.replace(
        mail, address="https://me:s3cret@example.com/", options=options
    )
    visitor = far(monitor)
    log_in(visitor)

    for page in [*PRIVATE, *PROGRAMS[:4], *OPEN, "/api/v1/endpoints/Mail", "/?q=Mail"]:
        assert "s3cret" not in visitor.get(page).text
        assert HASH not in visitor.get(page).text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../access.py", "/static/%2e%2e/access.py", "/static/..%2faccess.py",
        "/static//etc/passwd", "/static/%2fetc/passwd", "/static/..\\access.py",
        "/static/style.css%00.png", "/badge/../../etc/passwd.svg",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_what_is_served(path):
    assert client().get(path).status_code in (400, 404)


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: b=c", "a\nX: y", "a%0d%0aX:%20y"])
def test_no_header_is_made_of_what_was_given(name):
    monitor = shop()
    monitor.plan.endpoints[name] = monitor.plan.endpoints["Mail"]
    visitor = client(monitor)
    form = {"csrf": csrf(visitor, "/endpoint?name=Mail"), "name": name}

    answer = visitor.post("/recheck", data=form)

    assert "\n" not in answer.headers["Location"]
    assert "X" not in answer.headers
    assert "b=c" not in answer.headers.get("Set-Cookie", "")


@pytest.mark.parametrize("path", ["/status", "/login", "/badge/Mail.svg", "/healthz"])
def test_an_address_that_is_no_text_is_refused_and_not_logged(path, caplog):
    answer = client().get(path, environ_overrides={"QUERY_STRING": "what=\xff"})

    assert answer.status_code == 400
    assert caplog.records == []


def test_json_that_is_too_deep_is_refused_and_not_logged(caplog):
    answer = client().post(
        "/api/v1/silence", data="[" * 30_000, content_type="application/json"
    )  # fmt: skip

    assert answer.status_code == 400
    assert caplog.records == []


@pytest.mark.parametrize("path", ["/recheck", "/api/v1/recheck", "/login", "/beat/the-key/Mail"])
def test_a_request_that_is_too_large_is_refused(path):
    answer = client().post(path, data={"name": "x" * 100_000})

    assert answer.status_code == 413


def test_passwords_are_hashed_by_a_command():
    printed = io.StringIO()
    given = iter([PASSWORD, PASSWORD])
    import contextlib

    with contextlib.redirect_stdout(printed):
        assert passwords.main(lambda prompt: next(given)) == 0

    assert passwords.fits(printed.getvalue().strip(), PASSWORD)
    assert not passwords.fits(printed.getvalue().strip(), "another")


@pytest.mark.parametrize("given", [("one horse", "two horses"), ("short", "short")])
def test_a_password_that_is_mistyped_or_too_short_is_not_hashed(given, capsys):
    answers = iter(given)

    assert passwords.main(lambda prompt: next(answers)) == 1
    assert capsys.readouterr().out == ""
