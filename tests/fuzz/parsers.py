"""Readers of what strangers write: each takes bytes or refuses them as it says, and nothing else comes out.

A function here is one execution, of the bytes it is given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

from ietpy.config.access_rules import KINDS, read_rules
from ietpy.config.findings import MODES, Report
from ietpy.config.load import loads
from ietpy.errors import LoginFailure
from ietpy.iscsi.chap import BINARY_LIMIT, ChapTarget, decode_binary
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.negotiation import FULL_FEATURE_USES, LOGIN_USES, Negotiation
from ietpy.iscsi.target import Accounts
from ietpy.iscsi.text import KEYS_LIMIT, TEXT_LIMIT, TextAssembler, decode, encode
from ietpy.isns import requests
from ietpy.isns.attributes import IsnsError
from ietpy.isns.message import MESSAGE_LIMIT, Assembler
from tests.fuzz.choices import Choices
from tests.fuzz.peer import KEYS, VALUES

WORDS: Final = (
    "Target", "Lun", "LunOption", "IncomingUser", "OutgoingUser", "Alias", "MaxSessions", "InitialR2T", "Compat",
    "iSNSServer", "ErrorRecoveryLevel", "MaxConnections", "Type=nullio", "Path=/a,Type=fileio", "iqn.2026-11.t:x", "0",
    "1", "65536", "Yes", "No", "ALL", "10.0.0.0/8", "[fe80::1]", "iqn.*", "repair", "strict", "iet", ",", "=", "#",
    "\n", "\n", "\n", " ", "\t", '"', "\\\n", "\0", "\x85", "é", "\ud800", "a" * 300, "Portal", "Initiator", "0x10",
    "Address=", "Luns=", "Mode=ro", "User=",
)


REFUSALS: Final = (LoginStatus.AUTHENTICATION_FAILURE, LoginStatus.INITIATOR_ERROR, LoginStatus.MISSING_PARAMETER)


def sentence(choices: Choices) -> str:
    """Words of configuration files, and others."""
    words = []
    while not choices.over:
        words.append(choices.pick(WORDS) if not choices.rarely(8) else chr(choices.below(0x300)))
        if not choices.rarely(3):
            words.append(" ")
    return "".join(words)


def text(data: bytes) -> None:
    """Text data in pieces, and the negotiation of what is in it: pairs or ValueError; bounded; it reads its own."""
    choices = Choices(data)
    pairs = [
        (choices.pick(KEYS), choices.pick(VALUES) if not choices.rarely(4) else choices.data(9).decode("latin-1"))
        for _ in range(choices.below(12))
    ]
    raw = encode(pairs) if choices.rarely(2) else data
    assembler = TextAssembler()
    parameters = Parameters()
    uses = FULL_FEATURE_USES if choices.rarely(3) else LOGIN_USES
    negotiation = Negotiation({}, parameters, discovery=choices.rarely(4), uses=uses)
    with contextlib.suppress(ValueError):
        at = 0
        while at < len(raw):
            size = 1 + choices.below(64)
            read = assembler.add(raw[at : at + size], more=at + size < len(raw))
            at += size
            assert (read is None) == (at < len(raw))
        found = decode(raw)
        assert len(found) <= KEYS_LIMIT
        assert decode(encode(found)) == found
        answers = negotiation.answer(found)
        assert len(encode(answers)) <= TEXT_LIMIT
        assert len({name for name, _ in answers}) == len(answers)
        assert {name for name, _ in answers} <= {name for name, _ in found} | {"MaxRecvDataSegmentLength"}
    negotiation.finish()
    assert parameters.first_burst_length <= parameters.max_burst_length


def chap(data: bytes) -> None:
    """CHAP: a binary value of at most 1024 bytes or ValueError; nobody is let in; no secret in an answer."""
    choices = Choices(data)
    with contextlib.suppress(ValueError):
        value = decode_binary(data.decode("latin-1") if choices.rarely(2) else "0b" + data[1:].decode("latin-1"))
        assert len(value) <= BINARY_LIMIT
    outstanding: set[bytes] = set()
    drawn = iter(range(1, 100))
    exchange = ChapTarget(
        Accounts({"user": "the secret itself"}, ("me", "the other secret")),
        lambda size: bytes((next(drawn),)) * size, outstanding,
    )
    while not choices.over:
        keys = {
            name: choices.pick((*VALUES, "user", "1", "0x00")) if not choices.rarely(4)
            else "0x" + choices.data(16).hex()
            for name in ("CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C") if choices.rarely(2)
        }
        refusal = None
        try:
            answers = exchange.step(keys)
        except LoginFailure as failure:
            refusal = failure
        if refusal is not None:
            assert refusal.status in REFUSALS
            assert "secret itself" not in str(refusal)
            break
        assert [name for name, _ in answers] in (["CHAP_A", "CHAP_I", "CHAP_C"], [])
    assert not exchange.user, "somebody without the secret was let in"
    exchange.close()
    assert not outstanding


def configuration(data: bytes) -> None:
    """ietd.conf in each mode: a configuration, with findings that have a place and can be printed."""
    choices = Choices(data)
    mode = choices.pick((None, *MODES))
    written = sentence(choices) if choices.rarely(2) else data[1:].decode("utf-8", "surrogateescape")
    found = loads(written, "ietd.conf", mode)
    for finding in found.diagnostics:
        assert str(finding).encode("utf-8", "surrogateescape")
        assert 1 <= finding.span.line <= written.count("\n") + 2


def rules(data: bytes) -> None:
    """Allow and deny files: rules, with findings."""
    choices = Choices(data)
    kind = choices.pick(KINDS)
    report = Report("initiators.allow", choices.pick(tuple(MODES)))
    written = sentence(choices) if choices.rarely(2) else data[2:].decode("utf-8", "replace")
    written = written.encode("utf-8", "replace").decode()  # as what was read from a file
    for rule in read_rules(written, kind, report):
        assert rule is not None
    for finding in report.in_order():
        assert str(finding)


READERS: Final[tuple[Callable[[Any], Any], ...]] = (
    requests.operating, requests.is_present, requests.initiators_in, requests.granted_period, requests.answer,
)


def isns(data: bytes) -> None:
    """iSNS: messages in any pieces, and every reader of them; IsnsError or a value; bounded."""
    choices = Choices(data)
    assembler = Assembler()
    head = b""
    if choices.rarely(2):  # a header that is right
        payload = data[8:]
        payload = payload[: len(payload) // 4 * 4]
        head = (
            b"\0\1" + choices.pick((b"\x80\1", b"\x80\2", b"\0\x0d", b"\0\x08", b"\x80\5"))
            + len(payload).to_bytes(2, "big") + b"\x0c\0\0\1\0\0"
        )
        data = payload
    stream = head + data
    with contextlib.suppress(IsnsError):
        at = 0
        while at < len(stream):
            size = 1 + choices.below(48)
            assembler.feed(stream[at : at + size])
            at += size
            while (message := assembler.next_message()) is not None:
                assert len(message.attributes) <= MESSAGE_LIMIT
                assert str(message)
                for reader in READERS:
                    with contextlib.suppress(IsnsError):
                        reader(message)


PARSERS: Final[dict[str, Callable[[bytes], None]]] = {
    "text": text, "chap": chap, "configuration": configuration, "rules": rules, "isns": isns,
}
