"""The login phase from the initiator's side, without I/O (RFC 7143 sections 6.3, 11.12, 11.13, 12 and 13).

``exchange`` is a generator: it yields whole Login Requests, is sent each received Pdu, and returns the
``Outcome``. What the target says about operational keys is ``settlement``'s business.
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
from ietpy.initiator.settlement import Settlement
from ietpy.initiator.text import decode, encode
from ietpy.iscsi import chap
from ietpy.iscsi.keys import KEY_BY_NAME, Parameters, Use
from ietpy.iscsi.pdu import CONTINUE, TRANSIT, Opcode
from ietpy.iscsi.text import split

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
            and not (self.tsih and name not in self.keys and KEY_BY_NAME[name].use is Use.LOGIN)
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
            _, moved = yield from self.step(stage, {}, following)
        raise self.endless(stage)

    def endless(self, stage: int) -> TargetFault:
        return TargetFault("6.3", f"the target does not leave stage {stage} though nothing is left to negotiate")

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
        """Negotiate the operational keys and move to the full feature phase; returns the Parameters."""
        settlement = Settlement(self.plan.offers)
        keys = {**first, **settlement.offers}
        for _ in range(_PATIENCE):
            answer, moved = yield from self.step(OPERATIONAL, keys, FULL_FEATURE)
            keys = settlement.hear(answer)
            if moved:
                return settlement.close()
        raise self.endless(OPERATIONAL)


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
    parameters = yield from login.operational({} if security else plan.names)
    return Outcome(parameters, login.tsih, dict(login.said))
