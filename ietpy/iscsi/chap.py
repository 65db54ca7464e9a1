"""CHAP as a target speaks it (RFC 7143 sections 9.2.1, 12.1.3; RFC 1994), given accounts and a source of randomness."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, MutableSet
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ietpy.errors import LoginFailure
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.target import Accounts
from ietpy.iscsi.text import Pairs


class Algorithm(NamedTuple):
    """One way to prove knowledge of a secret: its name in ietd.conf, and its hash function."""

    name: str
    hash: Callable[..., Any]


#: By CHAP_A, from IANA's registry of PPP authentication algorithms (RFC 7143 section 12.1.3).
ALGORITHMS: Final[Mapping[int, Algorithm]] = MappingProxyType({
    5: Algorithm("MD5", hashlib.md5),
    6: Algorithm("SHA1", hashlib.sha1),
    7: Algorithm("SHA256", hashlib.sha256),
    8: Algorithm("SHA3-256", hashlib.sha3_256),
})

CHALLENGE_SIZE: Final = 32  #: bytes; at least as long as the longest digest
BINARY_LIMIT: Final = 1024  #: decoded bytes of a large binary value (12.1.3)
NAME_LIMIT: Final = 255

_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,2}|0|[1-9][0-9]{0,2}")


def decode_binary(text: str) -> bytes:
    """A large binary value: 0x and hexadecimal digits, or 0b and base64. Raises ValueError otherwise."""
    prefix, digits = text[:2].lower(), text[2:]
    if prefix == "0x" and _HEX.fullmatch(digits):
        value = bytes.fromhex(digits.zfill(len(digits) + 1 & ~1))  # of n digits (n + 1) / 2 bytes (section 6.1)
    elif prefix == "0b" and digits:
        try:
            value = base64.b64decode(digits.encode("ascii", "strict"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise ValueError("a binary value that is neither hexadecimal nor base64") from None
    else:
        raise ValueError("a binary value that is neither hexadecimal nor base64")
    if len(value) > BINARY_LIMIT:
        raise ValueError(f"a binary value over {BINARY_LIMIT} bytes")
    return value


def response(algorithm: int, identifier: int, secret: str, challenge: bytes) -> bytes:
    """What proves knowledge of ``secret`` (RFC 1994 section 4.1)."""
    data = bytes((identifier,)) + secret.encode("utf-8", "surrogateescape") + challenge
    digest: bytes = ALGORITHMS[algorithm].hash(data, usedforsecurity=False).digest()
    return digest


def _number(word: str) -> int:
    """A number of up to three digits, or of two hexadecimal ones; -1 for anything else."""
    if not _NUMBER.fullmatch(word):
        return -1
    return int(word, 16 if word[:2].lower() == "0x" else 10)


def _failure(problem: str, status: LoginStatus = LoginStatus.AUTHENTICATION_FAILURE) -> LoginFailure:
    return LoginFailure(status, problem)


class ChapTarget:
    """One CHAP exchange. ``open_challenges`` are those outstanding on all connections; ``close`` when it is over."""

    def __init__(
        self, accounts: Accounts, entropy: Callable[[int], bytes], open_challenges: MutableSet[bytes]
    ) -> None:
        self._accounts = accounts
        self._entropy = entropy
        self._open = open_challenges
        self._algorithm = 0
        self._identifier = 0
        self._challenge = b""
        #: The user that proved who it is, else empty.
        self.user = ""
        #: Whether a proof came and was wrong.
        self.guessed = False

    @property
    def challenged(self) -> bool:
        """Whether our challenge is still to be answered."""
        return self._challenge in self._open

    def step(self, keys: Mapping[str, str]) -> Pairs:
        """Answer the initiator's CHAP keys of one round. Raises LoginFailure; never says which part was wrong."""
        if "CHAP_A" in keys:
            if self._challenge or len(keys) > 1:
                raise _failure("CHAP keys out of order", LoginStatus.INITIATOR_ERROR)
            return self._offer(keys["CHAP_A"])
        if not self._challenge or self.user:
            raise _failure("CHAP keys out of order", LoginStatus.INITIATOR_ERROR)
        if not {"CHAP_N", "CHAP_R"} <= keys.keys():
            raise _failure("CHAP_N or CHAP_R is missing", LoginStatus.MISSING_PARAMETER)
        if ("CHAP_I" in keys) != ("CHAP_C" in keys):
            raise _failure("CHAP_I and CHAP_C come together or not at all", LoginStatus.MISSING_PARAMETER)
        self.guessed = True
        try:
            answers = self._verify(keys)
        except ValueError as problem:
            raise _failure(str(problem)) from None
        self.guessed = False
        return answers

    def close(self) -> None:
        """The challenge is no longer open."""
        self._open.discard(self._challenge)

    def _offer(self, offered: str) -> Pairs:
        for word in offered.split(","):
            number = _number(word)
            if number in ALGORITHMS and self._accounts.takes(ALGORITHMS[number].name):
                self._algorithm = number
                break
        else:
            taken = (f"{number} ({row.name})" for number, row in ALGORITHMS.items() if self._accounts.takes(row.name))
            raise _failure(f"CHAP_A={offered[:40]!a} is offered; accepted is {', '.join(taken)}")
        self._identifier = self._entropy(1)[0]
        self._challenge = self._entropy(CHALLENGE_SIZE)
        self._open.add(self._challenge)
        return [
            ("CHAP_A", str(self._algorithm)), ("CHAP_I", str(self._identifier)),
            ("CHAP_C", "0x" + self._challenge.hex()),
        ]

    def _verify(self, keys: Mapping[str, str]) -> Pairs:
        name = keys["CHAP_N"]
        known = 0 < len(name) <= NAME_LIMIT and name in self._accounts.incoming
        # An unknown user costs the same time as a wrong secret.
        secret = self._accounts.incoming[name] if known else "no such user"
        given = decode_binary(keys["CHAP_R"])
        right = hmac.compare_digest(self._expected(secret), given)
        reflected = False
        if self._accounts.outgoing is not None:
            reflected = hmac.compare_digest(self._expected(self._accounts.outgoing[1]), given)
        if not right or not known:
            raise _failure("wrong user or secret")
        if reflected:
            raise _failure("the same secret is configured in both directions (section 9.2.1 forbids it)")
        answer = self._prove(keys) if "CHAP_C" in keys else []
        self.user = name
        return answer

    def _expected(self, secret: str) -> bytes:
        """The answer to our challenge of who knows ``secret``."""
        return response(self._algorithm, self._identifier, secret, self._challenge)

    def _prove(self, keys: Mapping[str, str]) -> Pairs:
        """Authenticate the target to the initiator, whose own response was right."""
        challenge = decode_binary(keys["CHAP_C"])
        if challenge in self._open:
            raise _failure("the initiator reflects a challenge of this target")
        if self._accounts.outgoing is None:
            raise _failure("the initiator asks for target authentication and no OutgoingUser is configured")
        name, secret = self._accounts.outgoing
        identifier = _number(keys["CHAP_I"])
        if not 0 <= identifier <= 255:
            raise ValueError("CHAP_I is no number from 0 to 255")
        return [
            ("CHAP_N", name),
            ("CHAP_R", "0x" + response(self._algorithm, identifier, secret, challenge).hex()),
        ]
