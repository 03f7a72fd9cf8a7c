"""examples/accounts over HTTP: users, logins, a query, and money that is never half moved."""

import concurrent.futures
import re

import pytest
from served import need, served

need("gevent", "bottle", "msgspec", "argon2")

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("accounts")


@pytest.fixture(scope="module")
def accounts(directory):
    """The application with two users of one password."""
    with served("accounts", directory) as app:
        for email in (ANN, BOB):
            assert app.ask("/users", {"email": email, "password": "secret"})[0] == 201
        yield app


@pytest.fixture(scope="module")
def tokens(accounts):
    return {email: logged_in(accounts, email) for email in (ANN, BOB)}


def logged_in(app, email):
    status, answer = app.ask("/login", {"email": email, "password": "secret"})

    assert status == 200
    return answer["token"]


def balances(app, tokens):
    return [app.ask("/balance", token=tokens[email])[1]["balance"] for email in (ANN, BOB)]


def test_an_email_registers_once(accounts):
    status, answer = accounts.ask("/users", {"email": ANN, "password": "other"})

    assert (status, answer) == (409, {"error": f"{ANN} is registered"})


def test_a_login_needs_the_password_and_the_rest_needs_a_login(accounts):
    wrong = accounts.ask("/login", {"email": ANN, "password": "guess"})
    nobody = accounts.ask("/login", {"email": "eve@example.com", "password": "secret"})

    assert wrong == nobody == (401, {"error": "no such user, or another password"})
    assert accounts.ask("/balance", token="made-up") == (401, {"error": "log in first"})
    assert accounts.ask("/balance") == (401, {"error": "log in first"})


def test_files_hold_a_salted_hash_of_each_password_and_no_token(accounts, directory, tokens):
    written = b"".join(path.read_bytes() for path in (directory / "state").iterdir())
    hashes = set(re.findall(rb"\$argon2id\$[!-~]{80,92}", written))

    assert len(hashes) == 2  # of one password
    assert b"secret" not in written
    assert tokens[ANN].encode() not in written


def test_the_newsletter_query_sees_what_users_want(accounts, tokens):
    assert accounts.ask("/newsletter") == (200, {"share": 0.0})

    set_to = accounts.ask("/options", {"newsletter": True}, "PUT", tokens[BOB])

    assert set_to == (200, {"newsletter": True})
    assert accounts.ask("/newsletter") == (200, {"share": 0.5})


def test_a_transfer_changes_both_accounts(accounts, tokens):
    before = balances(accounts, tokens)

    answer = accounts.ask("/transfers", {"to": BOB, "amount": 10}, token=tokens[ANN])

    assert answer == (200, {"balance": before[0] - 10})
    assert balances(accounts, tokens) == [before[0] - 10, before[1] + 10]


@pytest.mark.parametrize(
    ("to", "amount", "refused"),
    [
        (BOB, 1000, 402),  # after both were changed
        ("eve@example.com", 1, 404),  # after one was changed
        (BOB, -1, 400),
        (BOB, "all", 400),
    ],
)
def test_a_transfer_that_is_refused_changes_neither(accounts, tokens, to, amount, refused):
    before = balances(accounts, tokens)

    status, _ = accounts.ask("/transfers", {"to": to, "amount": amount}, token=tokens[ANN])

    assert status == refused
    assert balances(accounts, tokens) == before


def test_transfers_at_once_keep_the_sum_and_a_kill_does_too(accounts, tokens, directory):
    def move(number):
        payer, to = ((ANN, BOB), (BOB, ANN))[number % 2]
        return accounts.ask("/transfers", {"to": to, "amount": 3}, token=tokens[payer])[0]

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        statuses = set(pool.map(move, range(60)))
    total = balances(accounts, tokens)
    accounts.kill()

    with served("accounts", directory) as again:
        assert statuses == {200}
        assert sum(total) == 200
        assert balances(again, tokens) == total
