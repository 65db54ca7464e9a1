"""The login phase from the initiator's side, without I/O (RFC 7143 sections 6.3, 11.12, 11.13, 12 and 13).

``exchange`` is a generator: it yields whole Login Requests, is sent each received Pdu, and returns the
``Outcome``. What the target answers is judged by the rows of ``iscsi.keys``, apart from the target's own
negotiation code.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from ietpy.initiator.errors import AuthenticationFailed, LoginRefused, TargetFault
from ietpy.initiator.framing import Pdu, build_pdu
from ietpy.initiator.numbering import Numbering, check_header
from ietpy.initiator.text import decode, encode
from ietpy.iscsi import chap
from ietpy.iscsi.keys import KEY_BY_NAME, Key, Parameters, Result, Use
from ietpy.iscsi.pdu import CONTINUE, TRANSIT, Opcode
from ietpy.iscsi.text import NOT_UNDERSTOOD, REFUSALS, split

LOGIN_DATA_LIMIT: Final = 8192  #: a data segment before MaxRecvDataSegmentLength is declared (section 13.12)
SECURITY, OPERATIONAL, FULL_FEATURE = 0, 1, 3  #: stages (section 11.12.3)
_PATIENCE: Final = 16  #: empty answers we accept before we call it an endless negotiation

_CHALLENGE_LENGTH: Final = 16

#: Offered unless the caller says otherwise: large bursts, no needless R2T.
DEFAULT_KEYS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "HeaderDigest": "None",
        "DataDigest": "None",
        "MaxRecvDataSegmentLength": "262144",
        "DefaultTime2Wait": "2",
        "DefaultTime2Retain": "0",
        "ErrorRecoveryLevel": "0",
        "MaxConnections": "1",
        "InitialR2T": "No",
        "ImmediateData": "Yes",
        "MaxBurstLength": "1048576",
        "FirstBurstLength": "262144",
        "MaxOutstandingR2T": "1",
        "DataPDUInOrder": "Yes",
        "DataSequenceInOrder": "Yes",
    }
)

#: Whether ``answer`` may follow our ``offer`` (section 6.2).
_LEGAL: Final[Mapping[Result, Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        Result.AND: lambda offer, answer: offer or not answer,
        Result.OR: lambda offer, answer: answer or not offer,
        Result.MIN: lambda offer, answer: answer <= offer,
        Result.MAX: lambda offer, answer: answer >= offer,
        Result.LIST: lambda offer, answer: len(answer) == 1 and answer[0] in offer,
        Result.OBSOLETE_NO: lambda offer, answer: answer is False,
        Result.OBSOLETE_REJECT: lambda offer, answer: False,
    }
)
#: What our side says to a key the target offers first: the value that leaves the result to the target.
_AGREE: Final[Mapping[Result, Callable[[Any], Any]]] = MappingProxyType(
    {
        Result.AND: lambda value: value,
        Result.OR: lambda value: value,
        Result.MIN: lambda value: value,
        Result.MAX: lambda value: value,
        Result.LIST: lambda value: value[:1],
        Result.OBSOLETE_NO: lambda value: False,
    }
)
#: Offers whose result is settled without an answer (section 6.2.2).
_NO_ANSWER_NEEDED: Final = frozenset({(Result.AND, False), (Result.OR, True)})


@dataclass(frozen=True, slots=True)
class Chap:
    """CHAP accounts: ours, and with ``target_secret`` the one the target must prove to know (mutual CHAP)."""

    user: str
    secret: str = field(repr=False)
    target_user: str = ""
    target_secret: str = field(default="", repr=False)
    #: CHAP_A numbers in order of preference (``iscsi.chap.ALGORITHMS``).
    algorithms: tuple[int, ...] = (5,)


@dataclass(frozen=True, slots=True)
class LoginPlan:
    """What to ask for. ``target``: empty for a discovery session.

    ``keys`` go over ``DEFAULT_KEYS``: words as on the wire, None to leave a key out. ``auth_method`` is the offered
    list; empty means CHAP if there is a ``chap`` account, else no security stage at all.
    """

    initiator: str = "iqn.2026-01.net.ietpy:initiator"
    target: str = ""
    chap: Chap | None = None
    auth_method: str = ""
    keys: Mapping[str, str | None] = field(default_factory=lambda: MappingProxyType({}))
    isid: bytes = b"\x80\x00\x00\x00\x00\x01"
    tsih: int = 0
    cid: int = 0

    @property
    def normal(self) -> bool:
        return bool(self.target)

    @property
    def offers(self) -> dict[str, str]:
        """The operational keys to send."""
        merged = {**DEFAULT_KEYS, **self.keys}
        return {
            name: value
            for name, value in merged.items()
            if value is not None and (self.normal or name in self.keys or not KEY_BY_NAME[name].normal_only)
        }

    @property
    def names(self) -> dict[str, str]:
        """The keys of the first Login Request (section 6.3.1)."""
        session = {"TargetName": self.target} if self.normal else {"SessionType": "Discovery"}
        return {"InitiatorName": self.initiator, **session}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A login that succeeded. ``keys``: everything the target said, as written."""

    parameters: Parameters
    tsih: int
    keys: Mapping[str, str]


Steps = Generator[bytes, Pdu, Any]


class _Login:
    """The state of one exchange; ``exchange`` runs it."""

    def __init__(self, plan: LoginPlan, numbering: Numbering, entropy: Callable[[int], bytes]) -> None:
        self.plan = plan
        self.numbering = numbering
        self.entropy = entropy
        self.tag = numbering.new_tag()
        self.said: dict[str, str] = {}
        self.parameters = Parameters()
        self.tsih = plan.tsih
        self.requests = 0

    # -- one request, one answer -----------------------------------------------------------------------------

    def step(self, stage: int, keys: Mapping[str, str], following: int | None) -> Steps:
        """Send ``keys`` and gather the whole answer; returns (its keys, whether the target moved on)."""
        chunks = split(encode(keys), LOGIN_DATA_LIMIT)
        for chunk in chunks[:-1]:
            pdu = yield self.request(CONTINUE | stage << 2, chunk)
            self.judge(pdu, stage, None)
            if pdu.data:
                raise TargetFault("6.2", "a request with the C bit was answered with keys; it must be answered empty")
        flags = stage << 2 if following is None else TRANSIT | stage << 2 | following
        answer = b""
        pdu = yield self.request(flags, chunks[-1])
        self.judge(pdu, stage, following)
        answer += pdu.data
        while pdu.header["flags"] & CONTINUE:
            pdu = yield self.request(stage << 2, b"")
            self.judge(pdu, stage, following)
            answer += pdu.data
        return self.hear(answer), bool(pdu.header["flags"] & TRANSIT)

    def request(self, flags: int, data: bytes) -> bytes:
        self.requests += 1
        return build_pdu(
            Opcode.LOGIN_REQUEST, data, immediate=True, flags=flags, isid=self.plan.isid, tsih=self.tsih,
            initiator_task_tag=self.tag, cid=self.plan.cid, cmd_sn=self.numbering.cmd_sn,
            exp_stat_sn=self.numbering.exp_stat_sn,
        )  # fmt: skip

    def judge(self, pdu: Pdu, stage: int, following: int | None) -> None:
        """Check one Login Response (section 11.13). Raises LoginRefused or TargetFault."""
        check_header(pdu)
        if pdu.opcode != Opcode.LOGIN_RESPONSE:
            raise TargetFault("11.13", f"a Login Request was answered with {pdu}")
        header = pdu.header
        if header["initiator_task_tag"] != self.tag:
            raise TargetFault("11.13", f"a Login Response has another tag than its request ({pdu})")
        if header["status"]:
            if header["flags"] & TRANSIT:
                raise TargetFault("11.13.6", f"a refused login goes on to a next stage ({pdu})")
            raise LoginRefused(header["status"], dict(decode(pdu.data)).get("TargetAddress", ""))
        if header["isid"] != self.plan.isid:
            raise TargetFault("11.13", f"a Login Response has another ISID than its request ({pdu})")
        self.numbering.accept(pdu)
        if header["version_active"]:
            raise TargetFault("11.13.2", f"Version-active is {header['version_active']}; we offered 0 only")
        self.judge_stage(pdu, stage, following)

    def judge_stage(self, pdu: Pdu, stage: int, following: int | None) -> None:
        flags, tsih = pdu.header["flags"], pdu.header["tsih"]
        if flags >> 2 & 3 != stage:
            raise TargetFault("11.13", f"CSG is {flags >> 2 & 3} in the answer to a request of stage {stage}")
        if flags & TRANSIT and flags & CONTINUE:
            raise TargetFault("11.13.7", "a Login Response has both T and C set")
        if flags & TRANSIT and flags & 3 != following:
            raise TargetFault("11.13.6", f"NSG is {flags & 3} where {following} was asked for")
        final = flags & TRANSIT and following == FULL_FEATURE
        if final and not tsih:
            raise TargetFault("11.13.3", "the final Login Response has TSIH 0")
        if tsih != self.plan.tsih and not (final and not self.plan.tsih):
            raise TargetFault(
                "11.13.3", f"TSIH is {tsih:#x} before the login is complete; it must be {self.plan.tsih:#x}"
            )
        if final:
            self.tsih = tsih

    def hear(self, data: bytes) -> dict[str, str]:
        """The keys of one answer, each said once in the whole login (section 6.2)."""
        answer: dict[str, str] = {}
        for name, value in decode(data):
            if name in self.said and name != "TargetAddress":
                raise TargetFault("6.2", f"the target said {name} twice")
            answer[name] = self.said[name] = value
        if self.requests and self.plan.normal and "TargetPortalGroupTag" not in self.said:
            raise TargetFault("13.9", "the first Login Response has no TargetPortalGroupTag")
        return answer

    # -- security stage (section 12.1) -----------------------------------------------------------------------

    def security(self) -> Steps:
        """Pass the security stage."""
        methods = self.plan.auth_method or "CHAP"
        keys = {**self.plan.names, "AuthMethod": methods}
        answer, moved = yield from self.step(SECURITY, keys, OPERATIONAL if methods == "None" else None)
        chosen = answer.get("AuthMethod", "")
        if chosen not in methods.split(","):
            raise TargetFault("12.1", f"AuthMethod={chosen!r} was not among the offered {methods}")
        if chosen == "CHAP":
            moved = yield from self.chap()
        yield from self.insist(SECURITY, moved, OPERATIONAL)

    def insist(self, stage: int, moved: bool, following: int) -> Steps:
        """Ask to move on, with nothing more to say, until the target does."""
        for _ in range(_PATIENCE):
            if moved:
                return
            answer, moved = yield from self.step(stage, {}, following)
            if stage == OPERATIONAL:
                replies = self.settle(answer, {})
                if replies:
                    answer, moved = yield from self.step(stage, replies, following)
        raise TargetFault("6.3", f"the target does not leave stage {stage} though nothing is left to negotiate")

    def chap(self) -> Steps:
        account = self.plan.chap or Chap("", "")
        offered = ",".join(str(number) for number in account.algorithms)
        answer, _ = yield from self.step(SECURITY, {"CHAP_A": offered}, None)
        for name in ("CHAP_A", "CHAP_I", "CHAP_C"):
            if name not in answer:
                raise TargetFault("12.1.3", f"the target's challenge lacks {name}; it said {sorted(answer)}")
        if answer["CHAP_A"] not in offered.split(","):
            raise TargetFault("12.1.3", f"CHAP_A={answer['CHAP_A']} was not among the offered {offered}")
        algorithm = int(answer["CHAP_A"])
        identifier = _number(answer["CHAP_I"])
        reply = chap.response(algorithm, identifier, account.secret, _binary(answer["CHAP_C"]))
        keys = {"CHAP_N": account.user, "CHAP_R": f"0x{reply.hex()}"}
        if not account.target_secret:
            _, moved = yield from self.step(SECURITY, keys, OPERATIONAL)
            return moved
        ours, challenge = self.entropy(1)[0], self.entropy(_CHALLENGE_LENGTH)
        keys |= {"CHAP_I": str(ours), "CHAP_C": f"0x{challenge.hex()}"}
        answer, moved = yield from self.step(SECURITY, keys, OPERATIONAL)
        self.verify(account, algorithm, ours, challenge, answer)
        return moved

    def verify(
        self, account: Chap, algorithm: int, identifier: int, challenge: bytes, answer: Mapping[str, str]
    ) -> None:
        """Check the target's side of mutual CHAP. Raises AuthenticationFailed."""
        name = answer.get("CHAP_N", "")
        if name != account.target_user:
            raise AuthenticationFailed(f"the target calls itself {name!r}; {account.target_user!r} was expected")
        expected = chap.response(algorithm, identifier, account.target_secret, challenge)
        if not hmac.compare_digest(_binary(answer.get("CHAP_R", "0x00")), expected):
            raise AuthenticationFailed("the target's CHAP response shows that it does not know the mutual secret")

    # -- operational stage (sections 6.2 and 13) ---------------------------------------------------------------

    def operational(self, first: Mapping[str, str]) -> Steps:
        """Negotiate the operational keys and move to the full feature phase."""
        offers = self.plan.offers
        answer, moved = yield from self.step(OPERATIONAL, {**first, **offers}, FULL_FEATURE)
        replies = self.settle(answer, offers)
        if replies:
            if moved:
                raise TargetFault(
                    "6.2", f"the target ended the negotiation with its own offers open: {sorted(replies)}"
                )
            answer, moved = yield from self.step(OPERATIONAL, replies, FULL_FEATURE)
        yield from self.insist(OPERATIONAL, moved, FULL_FEATURE)
        for name, word in offers.items():
            self.check_answered(name, word)
        self.check_bursts(offers)

    def check_bursts(self, offers: Mapping[str, str]) -> None:
        """FirstBurstLength must not exceed MaxBurstLength (section 13.14), if our own offers allow that."""
        first, longest = (
            parsed(KEY_BY_NAME[name], offers[name]) if name in offers else KEY_BY_NAME[name].default
            for name in ("FirstBurstLength", "MaxBurstLength")
        )
        settled = self.parameters
        if first <= longest and settled.first_burst_length > settled.max_burst_length:
            raise TargetFault(
                "13.14",
                f"FirstBurstLength {settled.first_burst_length} exceeds MaxBurstLength {settled.max_burst_length}",
            )

    def settle(self, answer: Mapping[str, str], offers: Mapping[str, str]) -> dict[str, str]:
        """Take the target's values; what we must say to keys it offered itself."""
        replies: dict[str, str] = {}
        for name, word in answer.items():
            key = KEY_BY_NAME.get(name)
            if key is None:
                if word not in REFUSALS:
                    replies[name] = NOT_UNDERSTOOD
            elif name not in offers and key.result in _AGREE:
                value = parsed(key, word)
                reply = _AGREE[key.result](value)
                replies[name] = key.value.render(reply)
                self.keep(key, reply)
            elif word not in REFUSALS:
                self.take(key, word, offers.get(name))
        return replies

    def take(self, key: Key, word: str, offered: str | None) -> None:
        """Keep a declared value, or the result of our offer."""
        value = parsed(key, word)
        if key.use in (Use.FIRST, Use.FULL_FEATURE):
            raise TargetFault(key.section, f"a target may not say {key.name} during login")
        if key.result is Result.DECLARE:
            if key.name == "MaxRecvDataSegmentLength":
                self.parameters.max_xmit_data_segment_length = value
            return
        if offered is not None and not _LEGAL[key.result](parsed(key, offered), value):
            raise TargetFault(key.section, f"{key.name}={word} is no legal answer to our {key.name}={offered}")
        self.keep(key, value)

    def keep(self, key: Key, value: Any) -> None:
        if key.attribute:
            setattr(self.parameters, key.attribute, "CRC32C" in value if key.result is Result.LIST else value)

    def check_answered(self, name: str, word: str) -> None:
        """Every offer needs an answer, but where the result is plain without one (section 6.2.2)."""
        key = KEY_BY_NAME.get(name)
        if key is None:
            if name not in self.said:
                raise TargetFault("6.2", f"{name} was not answered; NotUnderstood is due")
            return
        if key.result is Result.DECLARE:
            if name == "MaxRecvDataSegmentLength":
                self.parameters.max_recv_data_segment_length = parsed(key, word)
            return
        if name not in self.said:
            value = parsed(key, word)
            if (key.result, value) not in _NO_ANSWER_NEEDED:
                raise TargetFault("6.2", f"our offer {name}={word} was not answered")
            self.keep(key, value)
        elif self.said[name] == NOT_UNDERSTOOD and key.name not in ("TaskReporting", "iSCSIProtocolLevel"):
            raise TargetFault("6.2", f"the target does not understand {name}, which every implementation must")


def parsed(key: Key, word: str) -> Any:
    """The value of a word. Raises TargetFault with the key's section."""
    try:
        return key.value.parse(word)
    except ValueError as problem:
        raise TargetFault(key.section, f"{key.name}={word!r}; accepted is {problem}") from None


def _number(word: str) -> int:
    try:
        value = int(word, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= 255:
        raise TargetFault("12.1.3", f"CHAP_I={word!r} is no number from 0 to 255")
    return value


def _binary(word: str) -> bytes:
    """A binary value of section 6.1. Raises TargetFault."""
    try:
        return chap.decode_binary(word)
    except ValueError as problem:
        raise TargetFault("6.1", f"{word[:40]!r} is {problem}") from None


def exchange(plan: LoginPlan, numbering: Numbering, entropy: Callable[[int], bytes]) -> Generator[bytes, Pdu, Outcome]:
    """Log in; see the module. ``entropy(n)`` returns n unpredictable bytes (for mutual CHAP).

    Raises LoginRefused, AuthenticationFailed or TargetFault into the caller of ``send``.
    """
    login = _Login(plan, numbering, entropy)
    security = bool(plan.chap or plan.auth_method)
    if security:
        yield from login.security()
    yield from login.operational({} if security else plan.names)
    return Outcome(login.parameters, login.tsih, dict(login.said))
