"""What is shown of a plan, in logs and tracebacks."""

import pytest

from safepatch.monitor.plan import Channel, Endpoint, Options, Plan, Restart

SECRET = "s3cret"
OPTIONS = Options(
    interval=30.0,
    verify=False,
    headers={"X-Key": SECRET},
    body=f"password={SECRET}",
    username=SECRET,
    password_env="SHOP_PASSWORD",
)
URL = f"https://hooks.example.com/{SECRET}"
HOOK = {"name": "team", "url": URL, "headers": {"X-Key": SECRET}}
SHOP = Endpoint("shop", f"https://shop.example.com/?token={SECRET}", OPTIONS, "sites.txt:1")


def with_rich(value):
    return pytest.importorskip("rich.pretty").pretty_repr(value)


@pytest.mark.parametrize("show", [repr, str, with_rich])
def test_no_secret_is_shown_of_a_plan(show):
    named = Endpoint(f"https://shop.example.com/?token={SECRET}", "https://x.example", OPTIONS)
    plan = Plan(
        endpoints={"shop": SHOP, "other": named},
        channels={"team": Channel(**HOOK)},
        restarts={"shop": Restart(**HOOK)},
    )

    assert SECRET not in show(plan)
    assert "shop.example.com" in show(plan)


def test_an_endpoint_shows_what_is_said_of_it():
    assert repr(SHOP) == (
        "Endpoint(name='shop', address='https://shop.example.com/?***', "
        "options=Options(interval=30.0, headers='***', body='***', username='***', "
        "password_env='SHOP_PASSWORD', verify=False), where='sites.txt:1')"
    )


def test_options_show_nothing_where_nothing_is_said():
    assert repr(Options()) == "Options()"
