"""Make the hash of a password, for the environment variable of `password_hash_env`.

::

    safepatch monitor password      # or, without the command line:
    python -m safepatch.monitor.web.passwords
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable

import gevent
from werkzeug.security import check_password_hash, generate_password_hash

SHORTEST = 8


def hash_of(password: str) -> str:
    """A salted hash, by scrypt; it takes a tenth of a second.

    Raises ValueError for a password of less than SHORTEST letters.
    """
    if len(password) < SHORTEST:
        raise ValueError(f"a password of {len(password)} letters; take {SHORTEST} or more")
    return generate_password_hash(password)


def is_hash(text: str) -> bool:
    """Whether passwords can be compared with it."""
    try:
        check_password_hash(text, "")
    except (ValueError, TypeError):
        return False
    return text.startswith(("scrypt:", "pbkdf2:"))


def fits(hashed: str, password: str) -> bool:
    """Whether it is that password's hash; a thread computes it, so that checks go on."""
    pool = gevent.get_hub().threadpool
    return bool(pool.apply(check_password_hash, (hashed, password)))


def main(ask: Callable[[str], str] = getpass.getpass) -> int:
    """Ask twice, and print the hash; through a pipe the password is the first line."""
    if ask is getpass.getpass and not sys.stdin.isatty():
        # getpass would ask all the same, and warn that what is typed is seen.
        line = sys.stdin.readline().rstrip("\r\n")
        ask = lambda prompt: line  # noqa: E731
    password = ask("Password: ")
    if password != ask("Again: "):
        print("these were two different passwords", file=sys.stderr)
        return 1
    try:
        print(hash_of(password))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
