"""Reading responses byte by byte, however the network cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosrunner.traffic.wire import Garbage, ResponseReader

RESPONSES = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, True),
    (b"HTTP/1.1 200 OK\r\ncontent-length:5\r\nConnection: Close\r\n\r\nhello", 200, False),
    (b"HTTP/1.1 503\r\nContent-Length: 0\r\n\r\n", 503, True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", 204, True),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", 304, True),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, False),
    (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 200, True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", 200, True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n", 200, True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 201, True),
    (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, True),
]


@pytest.mark.parametrize(("response", "status", "reusable"), RESPONSES)
@given(cuts=st.lists(st.integers(min_value=0, max_value=140), max_size=8))
def test_a_response_is_read_however_it_is_cut(response, status, reusable, cuts):
    reader = ResponseReader()
    places = [0, *sorted(min(cut, len(response)) for cut in cuts), len(response)]
    for begin, end in pairwise(places):
        assert not reader.complete or begin == end or begin == len(response)
        if begin < end:
            reader.feed(response[begin:end])
    assert (reader.complete, reader.status, reader.reusable) == (True, status, reusable)


@pytest.mark.parametrize(("response", "status", "reusable"), RESPONSES)
def test_no_response_is_complete_before_its_end(response, status, reusable):
    reader = ResponseReader()
    for place in range(len(response) - 1):
        reader.feed(response[place : place + 1])
        assert not reader.complete
    assert not reader.end()


def test_a_body_without_a_length_ends_with_the_connection():
    reader = ResponseReader()
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\nall of it")
    assert not reader.complete
    assert reader.end()
    assert not reader.reusable


def test_a_connection_that_ends_early_completes_nothing():
    reader = ResponseReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")
    assert not reader.end()


def test_an_answer_to_head_has_no_body():
    reader = ResponseReader(is_head=True)
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert reader.complete


def test_more_than_was_asked_for_makes_the_connection_unusable():
    reader = ResponseReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n")
    assert reader.complete
    assert not reader.reusable


def test_a_reader_starts_again_for_the_next_response():
    reader = ResponseReader()
    for status in (200, 503):
        reader.reset()
        reader.feed(b"HTTP/1.1 %d Whatever\r\nContent-Length: 1\r\n\r\nx" % status)
        assert (reader.complete, reader.status) == (True, status)


@pytest.mark.parametrize(
    "garbage",
    [
        b"220 mail.example ESMTP\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 100_000,
    ],
)
def test_what_is_not_http_is_garbage(garbage):
    with pytest.raises(Garbage):
        ResponseReader().feed(garbage)


@given(st.binary(max_size=300), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", RESPONSES[7][0][:60]]))
def test_anything_else_than_garbage_is_never_raised(noise, head):
    reader = ResponseReader()
    try:
        reader.feed(head + noise)
    except Garbage:
        return
    reader.end()
