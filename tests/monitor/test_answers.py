"""Answers to HTTP requests, in whatever pieces they come, and whatever they are."""

import gzip
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("httptools", reason="checks need the extra `monitor`")

from faulty import page

from safepatch.monitor.checks.answers import read
from safepatch.monitor.courses import CheckError, Course


class Pieces:
    """Stands for a connection: what comes of it, and then its end."""

    def __init__(self, pieces):
        self._pieces = [piece for piece in pieces if piece]

    def receive(self, wait=True):
        return self._pieces.pop(0) if self._pieces else b""


def outcome(*pieces):
    """What an answer comes to."""
    try:
        answer = read(Pieces(pieces), Course(time.monotonic), "GET")
        return answer.status, answer.headers, answer.unpacked()
    except CheckError as error:
        return error.error


ANSWERS = [
    page("all is well", Server="x"),
    page(gzip.compress(b"all is well" * 100, mtime=0), Content_Encoding="gzip"),
    b"HTTP/1.1 200 OK\r\n\r\nall is well",
    b"HTTP/1.1 100 Continue\r\n\r\n" + page("all is well"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nall is\r\n5\r\n well\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"SSH-2.0-OpenSSH\r\n",
]


def in_pieces(data, places):
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]


@given(st.sampled_from(ANSWERS), st.lists(st.integers(0, 10_000), max_size=6))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(answer, places):
    assert outcome(*in_pieces(answer, places)) == outcome(answer)


def test_an_answer_is_the_same_byte_by_byte():
    for answer in ANSWERS:
        assert outcome(*[answer[n : n + 1] for n in range(len(answer))]) == outcome(answer)


@given(
    st.sampled_from(ANSWERS),
    st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=3)), max_size=4),
    st.integers(0, 10_000),
)
def test_whatever_is_answered_is_understood_or_called_by_name(answer, changes, end):
    for place, data in changes:
        place %= len(answer) + 1
        answer = answer[:place] + data + answer[place + len(data) :]
    came_to = outcome(answer[: end % (len(answer) + 1)])

    assert came_to in ("protocol", "reset") or 100 <= came_to[0] <= 999
