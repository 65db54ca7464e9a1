"""CHAP of RFC 7143 sections 9.2.1 and 12.1.3: who gets in, who does not, and that nobody learns why."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import LoginFailure
from ietpy.iscsi import chap as module
from ietpy.iscsi.chap import ALGORITHMS, BINARY_LIMIT, CHALLENGE_SIZE, ChapTarget, decode_binary, response
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.target import Accounts

USER, SECRET = "joe", "twelve-bytes-long"
OUT_USER, OUT_SECRET = "target", "another-long-secret"
ACCOUNTS = Accounts(incoming={USER: SECRET, "ann": "third-long-secret"}, outgoing=(OUT_USER, OUT_SECRET))
DIGEST_SIZES = {5: 16, 6: 20, 7: 32, 8: 32}
IANA = {5: hashlib.md5, 6: hashlib.sha1, 7: hashlib.sha256, 8: hashlib.sha3_256}


class Source:
    """Entropy that counts, so that no two challenges are alike."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked: list[int] = []

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        self.asked.append(size)
        return bytes((self.calls + at) % 256 for at in range(size))


class Exchange:
    """A target's side and what it challenged us with."""

    def __init__(self, accounts: Accounts = ACCOUNTS, algorithm: int = 5, open_challenges: set[bytes] | None = None):
        self.open = set() if open_challenges is None else open_challenges
        self.source = Source()
        self.target = ChapTarget(accounts, self.source, self.open)
        answer = dict(self.target.step({"CHAP_A": str(algorithm)}))
        self.algorithm = int(answer["CHAP_A"])
        self.identifier = int(answer["CHAP_I"])
        self.word = answer["CHAP_C"]
        self.challenge = bytes.fromhex(answer["CHAP_C"][2:])

    def proof(self, secret: str = SECRET) -> bytes:
        """RFC 1994 section 4.1, computed here."""
        data = bytes([self.identifier]) + secret.encode() + self.challenge
        return IANA[self.algorithm](data).digest()

    def keys(self, **more: str) -> dict[str, str]:
        return {"CHAP_N": USER, "CHAP_R": "0x" + self.proof().hex()} | more


def refused(exchange: Exchange, keys: dict[str, str]) -> LoginFailure:
    with pytest.raises(LoginFailure) as caught:
        exchange.target.step(keys)
    assert exchange.target.user == ""
    assert SECRET not in str(caught.value)
    assert OUT_SECRET not in str(caught.value)
    return caught.value


@pytest.mark.rfc7143("12.1.3-5")
def test_a_known_answer() -> None:
    """MD5 over 01, "secret", 0011...: computed apart."""
    assert response(5, 1, "secret", bytes.fromhex("00112233")).hex() == hashlib.md5(
        b"\x01secret\x00\x11\x22\x33"
    ).hexdigest()


@pytest.mark.rfc7143("12.1.3-5")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_algorithms_have_iana_s_meaning(algorithm: int) -> None:
    assert set(ALGORITHMS) == set(IANA)
    exchange = Exchange(algorithm=algorithm)
    assert len(exchange.proof()) == DIGEST_SIZES[algorithm]
    assert exchange.target.step(exchange.keys()) == []
    assert exchange.target.user == USER


@pytest.mark.rfc7143("12.1.3-1", "6.2.1-1")
@pytest.mark.parametrize(("offered", "chosen"), [
    pytest.param("5", "5", id="MD5 alone"),
    pytest.param("7,5", "7", id="the initiator's order"),
    pytest.param("5,7", "5", id="the initiator's order, other way"),
    pytest.param("1,0x5", "5", id="hexadecimal"),
    pytest.param("999,x,8", "8", id="what is no algorithm is passed over"),
])
def test_the_first_algorithm_we_have(offered: str, chosen: str) -> None:
    answer = ChapTarget(ACCOUNTS, Source(), set()).step({"CHAP_A": offered})
    assert [name for name, _ in answer] == ["CHAP_A", "CHAP_I", "CHAP_C"]
    assert dict(answer)["CHAP_A"] == chosen


@pytest.mark.rfc7143("12.1.3-1")
@pytest.mark.parametrize(("accepted", "offered", "chosen"), [
    pytest.param(("SHA3-256", "SHA256"), "5,7,8", "7", id="the first of the initiator's that the site accepts"),
    pytest.param(("SHA256", "SHA3-256"), "8,7", "8", id="the site's order does not count"),
    pytest.param(("MD5",), "8,7,6,5", "5", id="MD5 alone"),
    pytest.param(("SHA1",), "5,6", "6", id="SHA1 alone"),
    pytest.param(("SHA256",), "5", None, id="nothing in common"),
])
def test_a_site_restricts_algorithms(accepted: tuple[str, ...], offered: str, chosen: str | None) -> None:
    target = ChapTarget(Accounts(incoming={USER: SECRET}, algorithms=accepted), Source(), set())
    if chosen is not None:
        assert dict(target.step({"CHAP_A": offered}))["CHAP_A"] == chosen
        return
    with pytest.raises(LoginFailure, match=r"accepted is 7 \(SHA256\)$") as caught:
        target.step({"CHAP_A": offered})
    assert caught.value.status == LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.rfc7143("12.1.3-1")
@pytest.mark.parametrize("offered", ["", "4", "0", "05x", "05", "CRC32C", "1,2,3", "256", ","])
def test_no_algorithm_in_common(offered: str) -> None:
    target = ChapTarget(ACCOUNTS, Source(), set())
    with pytest.raises(LoginFailure) as caught:
        target.step({"CHAP_A": offered})
    assert caught.value.status == LoginStatus.AUTHENTICATION_FAILURE


def test_challenges_are_drawn_from_the_source_and_long_enough() -> None:
    exchange = Exchange()
    assert exchange.source.asked == [1, CHALLENGE_SIZE]
    assert len(exchange.challenge) == CHALLENGE_SIZE >= max(DIGEST_SIZES.values())
    assert exchange.word == "0x" + exchange.challenge.hex()
    assert 0 <= exchange.identifier <= 255


@pytest.mark.parametrize("encode", [
    pytest.param(lambda raw: "0x" + raw.hex(), id="hex"),
    pytest.param(lambda raw: "0X" + raw.hex().upper(), id="HEX"),
    pytest.param(lambda raw: "0b" + base64.b64encode(raw).decode(), id="base64"),
    pytest.param(lambda raw: "0B" + base64.b64encode(raw).decode(), id="base64, other prefix"),
])
def test_a_right_answer_in_every_encoding(encode: Callable[[bytes], str]) -> None:
    exchange = Exchange()
    assert exchange.target.step(exchange.keys(CHAP_R=encode(exchange.proof()))) == []
    assert exchange.target.user == USER


WRONG: list[Any] = [
    pytest.param(lambda e: {"CHAP_N": "nobody"}, id="unknown user"),
    pytest.param(lambda e: {"CHAP_N": ""}, id="empty user (IET took the newest account)"),
    pytest.param(lambda e: {"CHAP_N": "j" * 256}, id="a user name one too long"),
    pytest.param(lambda e: {"CHAP_N": "JOE"}, id="user in another case"),
    pytest.param(lambda e: {"CHAP_N": "ann"}, id="another user's name"),
    pytest.param(lambda e: {"CHAP_N": OUT_USER, "CHAP_R": "0x" + e.proof(OUT_SECRET).hex()}, id="the outgoing account"),
    pytest.param(lambda e: {"CHAP_N": "nobody", "CHAP_R": "0x" + e.proof("no such user").hex()}, id="the dummy secret"),
    pytest.param(lambda e: {"CHAP_R": "0x" + e.proof("wrong").hex()}, id="wrong secret"),
    pytest.param(lambda e: {"CHAP_R": "0x" + e.proof("").hex()}, id="empty secret"),
    pytest.param(lambda e: {"CHAP_R": "0x" + e.proof().hex()[:-2]}, id="one byte short"),
    pytest.param(lambda e: {"CHAP_R": "0x" + e.proof().hex() + "00"}, id="one byte long (CVE-2018-14633)"),
    pytest.param(lambda e: {"CHAP_R": "0x" + "00" * 1024}, id="the longest binary value"),
]


@pytest.mark.rfc7143("9.2-3", "12.1.3-2")
@pytest.mark.parametrize("change", WRONG)
def test_wrong_answers_all_look_alike(change: Callable[[Exchange], dict[str, str]], monkeypatch: Any) -> None:
    exchange = Exchange()
    work: list[int] = []
    original = module.response
    monkeypatch.setattr(module, "response", lambda *rest: (work.append(1), original(*rest))[1])
    failure = refused(exchange, exchange.keys(**change(exchange)))
    assert failure.status == LoginStatus.AUTHENTICATION_FAILURE
    assert str(failure) == "wrong user or secret"
    assert work == [1, 1]  # for the user's secret and for our own, whoever the user is


@pytest.mark.rfc7143("9.2-4")
@pytest.mark.parametrize(("name", "accepted"), [
    pytest.param("", False, id="empty, though an account has it"), pytest.param("j" * 255, True, id="the longest"),
    pytest.param("j" * 256, False, id="one too long, though an account has it"),
])
def test_user_names(name: str, accepted: bool) -> None:
    exchange = Exchange(Accounts(incoming={name: SECRET}))
    if accepted:
        exchange.target.step(exchange.keys(CHAP_N=name))
        assert exchange.target.user == name
    else:
        refused(exchange, exchange.keys(CHAP_N=name))


def test_an_empty_user_is_nobody_even_if_an_account_says_so() -> None:
    exchange = Exchange(Accounts(incoming={"": SECRET}))
    assert refused(exchange, exchange.keys(CHAP_N="")).status == LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.rfc7143("6.1-3", "12.1.3-4")
@pytest.mark.parametrize("word", [
    "", "0x", "0b", "1234", "0x12 34", "0xgg", "0x\u0661\u0661", "0b@@@", "0b\u00e9", "0bAAA",
    "0x" + "00" * (BINARY_LIMIT + 1),
])
def test_binary_values_that_are_none(word: str) -> None:
    with pytest.raises(ValueError, match="binary value"):
        decode_binary(word)
    exchange = Exchange()
    assert refused(exchange, exchange.keys(CHAP_R=word)).status == LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.parametrize(("word", "value"), [("0x1", b"\x01"), ("0x123", b"\x01\x23"), ("0x0123", b"\x01\x23")])
def test_an_odd_number_of_digits(word: str, value: bytes) -> None:
    """n digits have (n + 1) / 2 bytes, the first digit being the most significant (section 6.1)."""
    assert decode_binary(word) == value


@given(st.binary(min_size=1, max_size=BINARY_LIMIT))
def test_binary_round_trip(raw: bytes) -> None:
    assert decode_binary("0x" + raw.hex()) == decode_binary("0b" + base64.b64encode(raw).decode()) == raw


@pytest.mark.rfc7143("9.2-2")
@pytest.mark.parametrize(("keys", "status"), [
    pytest.param({"CHAP_N": USER, "CHAP_R": "0x00"}, LoginStatus.INITIATOR_ERROR, id="an answer before the challenge"),
    pytest.param({"CHAP_I": "1", "CHAP_C": "0x00"}, LoginStatus.INITIATOR_ERROR, id="a challenge before ours"),
    pytest.param({"CHAP_A": "5", "CHAP_N": USER}, LoginStatus.INITIATOR_ERROR, id="a name with the algorithm"),
])
def test_out_of_order_at_first(keys: dict[str, str], status: LoginStatus) -> None:
    with pytest.raises(LoginFailure) as caught:
        ChapTarget(ACCOUNTS, Source(), set()).step(keys)
    assert caught.value.status == status


@pytest.mark.rfc7143("9.2-2")
@pytest.mark.parametrize(("keys", "status"), [
    pytest.param({"CHAP_A": "5"}, LoginStatus.INITIATOR_ERROR, id="the algorithm a second time"),
    pytest.param({"CHAP_N": USER}, LoginStatus.MISSING_PARAMETER, id="no CHAP_R"),
    pytest.param({"CHAP_R": "0x00"}, LoginStatus.MISSING_PARAMETER, id="no CHAP_N"),
    pytest.param({"CHAP_I": "1", "CHAP_C": "0x0011"}, LoginStatus.MISSING_PARAMETER, id="only a challenge"),
    pytest.param({"CHAP_N": USER, "CHAP_R": "0x00", "CHAP_I": "1"}, LoginStatus.MISSING_PARAMETER, id="no CHAP_C"),
    pytest.param({"CHAP_N": USER, "CHAP_R": "0x00", "CHAP_C": "0x00"}, LoginStatus.MISSING_PARAMETER, id="no CHAP_I"),
])
def test_out_of_order_after_the_challenge(keys: dict[str, str], status: LoginStatus) -> None:
    assert refused(Exchange(), keys).status == status


def test_nothing_more_after_success() -> None:
    exchange = Exchange()
    exchange.target.step(exchange.keys())
    with pytest.raises(LoginFailure) as caught:
        exchange.target.step(exchange.keys())
    assert caught.value.status == LoginStatus.INITIATOR_ERROR


# The target proves itself --------------------------------------------------------------------------------------------

THEIRS = bytes(range(100, 116))


@pytest.mark.rfc7143("12.1.3-3", "9.2.1-1")
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("identifier", ["0", "255", "0x1f"])
def test_mutual(algorithm: int, identifier: str) -> None:
    exchange = Exchange(algorithm=algorithm)
    answer = exchange.target.step(exchange.keys(CHAP_I=identifier, CHAP_C="0b" + base64.b64encode(THEIRS).decode()))
    expected = IANA[algorithm](bytes([int(identifier, 0)]) + OUT_SECRET.encode() + THEIRS).hexdigest()
    assert answer == [("CHAP_N", OUT_USER), ("CHAP_R", "0x" + expected)]
    assert exchange.target.user == USER


@pytest.mark.rfc7143("12.1.3-3", "9.2.1-7")
@pytest.mark.parametrize(("accounts", "more"), [
    pytest.param(ACCOUNTS, {"CHAP_R": "0x" + "00" * 16}, id="its own answer was wrong"),
    pytest.param(Accounts(incoming={USER: SECRET}), {}, id="no outgoing account"),
    pytest.param(ACCOUNTS, {"CHAP_I": "256"}, id="CHAP_I too large"),
    pytest.param(ACCOUNTS, {"CHAP_I": "-1"}, id="CHAP_I negative"),
    pytest.param(ACCOUNTS, {"CHAP_I": "0x100"}, id="CHAP_I too long"),
    pytest.param(ACCOUNTS, {"CHAP_I": "01"}, id="CHAP_I that is no decimal constant"),
    pytest.param(ACCOUNTS, {"CHAP_C": "0x"}, id="CHAP_C empty"),
])
def test_mutual_refused(accounts: Accounts, more: dict[str, str]) -> None:
    exchange = Exchange(accounts)
    failure = refused(exchange, exchange.keys(CHAP_I="1", CHAP_C="0x" + THEIRS.hex()) | more)
    assert failure.status == LoginStatus.AUTHENTICATION_FAILURE


@pytest.mark.rfc7143("9.2.1-7", "9.2.1-8")
def test_one_secret_in_both_directions_lets_nobody_in() -> None:
    """Who sends what this target itself would answer may have it from this target; asked for proof or not."""
    for more in ({}, {"CHAP_I": "1", "CHAP_C": "0x" + THEIRS.hex()}):
        exchange = Exchange(Accounts(incoming={USER: SECRET, "ann": "third-long-secret"}, outgoing=("t", SECRET)))
        failure = refused(exchange, exchange.keys(**more))
        assert (failure.status, "both directions" in str(failure)) == (LoginStatus.AUTHENTICATION_FAILURE, True)
        exchange = Exchange(Accounts(incoming={USER: SECRET, "ann": "third-long-secret"}, outgoing=("t", SECRET)))
        exchange.target.step(exchange.keys(CHAP_N="ann", CHAP_R="0x" + exchange.proof("third-long-secret").hex()))
        assert exchange.target.user == "ann"


@pytest.mark.rfc7143("9.2.1-9")
def test_our_challenge_is_not_answered_when_it_comes_back() -> None:
    exchange = Exchange()
    failure = refused(exchange, exchange.keys(CHAP_I="1", CHAP_C=exchange.word))
    assert failure.status == LoginStatus.AUTHENTICATION_FAILURE
    assert "reflects" in str(failure)


@pytest.mark.rfc7143("9.2.1-9")
def test_nor_on_another_connection() -> None:
    open_challenges: set[bytes] = set()
    first = Exchange(open_challenges=open_challenges)
    second = Exchange(open_challenges=open_challenges)
    second.target.close()
    second.source.calls = 7
    third = Exchange(open_challenges=open_challenges)
    assert "reflects" in str(refused(third, third.keys(CHAP_I="1", CHAP_C=first.word)))


def test_a_closed_challenge_is_forgotten() -> None:
    exchange = Exchange()
    assert exchange.open == {exchange.challenge}
    exchange.target.close()
    assert exchange.open == set()
    ChapTarget(ACCOUNTS, Source(), exchange.open).close()


def test_no_secret_in_a_repr() -> None:
    exchange = Exchange()
    shown = repr(exchange.target) + repr(ACCOUNTS)
    assert SECRET not in shown
    assert OUT_SECRET not in shown
