"""Messages of the control socket: they come back as they went, and nothing malformed or huge gets through."""

from __future__ import annotations

import errno
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.admin import protocol
from ietpy.errors import AdminError

JSON = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text(), max_size=3)


@given(st.dictionaries(st.text(), JSON, max_size=5))
def test_a_message_comes_back_as_it_went(message: dict[str, object]) -> None:
    assert protocol.read_message(io.BytesIO(protocol.encode(message)).read) == message


def test_a_name_that_is_not_utf8_comes_back_as_it_went() -> None:
    message = {"path": b"/srv/\xff.img".decode("utf-8", "surrogateescape")}
    assert protocol.read_message(io.BytesIO(protocol.encode(message)).read) == message


def test_a_length_is_four_bytes_big_endian() -> None:
    assert protocol.encode({}) == b"\0\0\0\2{}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(b"{", "not JSON", id="cut"),
        pytest.param(b"[]", "not a JSON object", id="array"),
        pytest.param(b"[" * 100000, "not JSON", id="nested too deep"),
    ],
)
def test_what_is_no_message_is_refused(text: bytes, problem: str) -> None:
    with pytest.raises(AdminError, match=problem) as caught:
        protocol.decode(text)
    assert caught.value.code == errno.EPROTO


def test_a_huge_message_is_neither_sent_nor_accepted() -> None:
    with pytest.raises(AdminError, match="at most 8388608 travel"):
        protocol.encode({"x": "y" * protocol.LIMIT})
    with pytest.raises(AdminError, match="4294967295 bytes was announced"):
        protocol.length(b"\xff\xff\xff\xff")


@pytest.mark.parametrize("message", [{}, {"operation": 1}, {"operation": "x", "arguments": []}])
def test_what_is_no_request_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(AdminError, match="a request needs"):
        protocol.parse_request(message)


def test_requests_and_replies_round_trip() -> None:
    assert protocol.parse_request(protocol.request("kick", {"sid": 1})) == ("kick", {"sid": 1})
    assert protocol.parse_reply(protocol.success([1])) == [1]
    with pytest.raises(AdminError, match="no such target") as caught:
        protocol.parse_reply(protocol.failure(AdminError(errno.ENOENT, "no such target")))
    assert caught.value.code == errno.ENOENT


def test_a_reply_that_is_none_is_refused() -> None:
    with pytest.raises(AdminError, match="neither result nor error"):
        protocol.parse_reply({})
