"""The login phase as a target sees it: stages, authentication, operational keys (RFC 7143 sections 6.3, 11.12, 11.13).

Sans I/O: a request's header and data go in, a Login Response comes out. Any status but success is the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

from ietpy.errors import LoginFailure
from ietpy.iscsi.chap import ChapTarget
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.keys import KEY_BY_NAME, KEYS, Parameters, Use
from ietpy.iscsi.negotiation import Negotiation
from ietpy.iscsi.pdu import CONTINUE, LOGIN_REQUEST, LOGIN_RESPONSE, TRANSIT, Opcode
from ietpy.iscsi.target import PORTAL_GROUP_TAG, Accounts, Asker, IscsiNode, TargetNode, command_window
from ietpy.iscsi.text import NOT_UNDERSTOOD, Pairs, TextAssembler, encode, split
from ietpy.wire.serial import advance

#: Requests one login may take; a CHAP login with long texts takes six.
ROUNDS_LIMIT: Final = 32
#: Text per Login Response: the initiator's MaxRecvDataSegmentLength is 8192 until it declares another (13.12).
RESPONSE_LIMIT: Final = 8192


class Stage(IntEnum):
    """CSG and NSG (section 11.12.3)."""

    SECURITY = 0
    OPERATIONAL = 1
    FULL_FEATURE = 3


#: Which transits exist (section 11.12.3).
_TRANSITS: Final = frozenset((
    (Stage.SECURITY, Stage.OPERATIONAL), (Stage.SECURITY, Stage.FULL_FEATURE), (Stage.OPERATIONAL, Stage.FULL_FEATURE),
))

_FIRST_KEYS: Final = frozenset(row.name for row in KEYS if row.use is Use.FIRST)
_CHAP_KEYS: Final = ("CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C")


@dataclass(slots=True)
class LoginResult:
    """What a successful login established. ``stat_sn`` is the next to be used, ``cmd_sn`` the next expected."""

    target: TargetNode | None
    initiator_name: str
    isid: bytes
    tsih_requested: int
    cid: int
    parameters: Parameters
    cmd_sn: int
    stat_sn: int
    user: str = ""
    initiator_alias: str = ""


class Login:
    """One login. ``establish`` allocates the session just before success is said, and may still refuse it.

    After each ``receive``: ``done`` (then ``result`` is set), or ``failed`` (then ``problem`` says why, for a log
    line; the connection closes once the response is sent), or neither: more requests are to come.
    """

    def __init__(
        self,
        node: IscsiNode,
        peer: str,
        local: str,
        local_port: int,
        entropy: Callable[[int], bytes],
        establish: Callable[[LoginResult], int],
    ) -> None:
        self.done = False
        self.failed = False
        self.problem = ""
        self.result: LoginResult | None = None
        self._node = node
        self._peer = peer
        self._local = local
        self._local_port = local_port
        self._entropy = entropy
        self._establish = establish
        self._first: Mapping[str, Any] | None = None
        self._stage = Stage.SECURITY
        self._rounds = 0
        self._stat_sn = 0
        self._text = TextAssembler()
        self._unsent: list[bytes] = []
        self._after_unsent: tuple[int, int] = (0, 0)
        self._keys: dict[str, str] = {}
        self._target: TargetNode | None = None
        self._accounts = Accounts()
        self._chap: ChapTarget | None = None
        self._authenticated = False
        self._parameters = Parameters()
        self._negotiation: Negotiation

    def receive(self, header: bytes | memoryview, data: bytes | memoryview) -> bytes:
        """Take a Login Request; the Login Response to send, padded."""
        fields = LOGIN_REQUEST.unpack(header)
        if self._first is None:
            self._stat_sn = fields["exp_stat_sn"]
        try:
            flags, tsih, text = self._step(fields, data)
        except LoginFailure as failure:
            self.failed = True
            self.problem = str(failure)
            text = encode([("TargetAddress", failure.address)]) if failure.address else b""
            response = self._response(fields, fields["flags"] & 0x0C, 0, text, failure.status)
        else:
            response = self._response(fields, flags, tsih, text, LoginStatus.SUCCESS)
        if self._chap is not None and (self.failed or self.done or self._authenticated):
            self._chap.close()
        self._stat_sn = advance(self._stat_sn)
        return response

    def abandoned(self) -> None:
        """The connection is gone before the login was over."""
        if self._chap is not None:
            self._chap.close()

    def _response(self, fields: Mapping[str, Any], flags: int, tsih: int, text: bytes, status: int) -> bytes:
        window = command_window(self._target) if self.done else 1
        header = LOGIN_RESPONSE.pack(
            opcode=Opcode.LOGIN_RESPONSE, flags=flags, lengths=len(text), isid=fields["isid"],
            tsih=tsih or fields["tsih"], initiator_task_tag=fields["initiator_task_tag"], stat_sn=self._stat_sn,
            exp_cmd_sn=fields["cmd_sn"], max_cmd_sn=advance(fields["cmd_sn"], window - 1), status=status,
        )
        return header + text + bytes(-len(text) & 3)

    # One request ----------------------------------------------------------------------------------------------------

    def _step(self, fields: Mapping[str, Any], data: bytes | memoryview) -> tuple[int, int, bytes]:
        """Flags, TSIH and text of the answer. Raises LoginFailure."""
        flags = fields["flags"]
        self._check_header(fields, flags)
        try:
            pairs = self._text.add(data, bool(flags & CONTINUE))
        except ValueError as problem:
            raise LoginFailure(LoginStatus.INITIATOR_ERROR, str(problem)) from None
        if self._unsent:
            if pairs != []:
                raise LoginFailure(LoginStatus.INITIATOR_ERROR, "text while an answer is still being sent")
            return self._go_on()
        if pairs is None:
            return self._stage << 2, 0, b""
        opening = self._negotiation_begins(fields, pairs)
        stage = self._stage
        try:
            answers = _STAGES[stage](self, opening, pairs)
        except ValueError as problem:
            raise LoginFailure(LoginStatus.INITIATOR_ERROR, str(problem)) from None
        if opening:
            answers.insert(0, ("TargetPortalGroupTag", str(PORTAL_GROUP_TAG)))
        offers = self._negotiation.offers() if stage is Stage.OPERATIONAL else []
        transit = bool(flags & TRANSIT) and not offers and self._may_leave(stage)
        pieces = split(encode(answers + offers), RESPONSE_LIMIT)
        if len(pieces) > 1:
            self._unsent = pieces[1:]
            self._after_unsent = (flags, 1 if transit else 0)
            return CONTINUE | stage << 2, 0, pieces[0]
        return self._leave(fields, flags, transit, pieces[0])

    def _go_on(self) -> tuple[int, int, bytes]:
        """The next piece of a long answer (section 6.1)."""
        piece = self._unsent.pop(0)
        if self._unsent:
            return CONTINUE | self._stage << 2, 0, piece
        flags, transit = self._after_unsent
        assert self._first is not None
        return self._leave(self._first, flags, bool(transit), piece)

    def _leave(self, fields: Mapping[str, Any], flags: int, transit: bool, text: bytes) -> tuple[int, int, bytes]:
        """Move on if both sides want to; a login that is over gets its session here."""
        stage = self._stage
        if not transit:
            return stage << 2, 0, text
        following = Stage(flags & 0x03)
        self._stage = following
        tsih = self._succeed(fields) if following is Stage.FULL_FEATURE else 0
        return TRANSIT | stage << 2 | following, tsih, text

    def _check_header(self, fields: Mapping[str, Any], flags: int) -> None:
        current, following = flags >> 2 & 0x03, flags & 0x03
        if self._first is None:
            if fields["version_min"] > 0:
                raise LoginFailure(
                    LoginStatus.UNSUPPORTED_VERSION, f"version {fields['version_min']} asked for; 0 is the only one"
                )
            if current not in (Stage.SECURITY, Stage.OPERATIONAL):
                raise LoginFailure(LoginStatus.INITIATOR_ERROR, f"a login cannot begin in stage {current}")
            self._first = fields
            self._stage = Stage(current)
        self._rounds += 1
        if self._rounds > ROUNDS_LIMIT:
            raise LoginFailure(LoginStatus.INITIATOR_ERROR, f"more than {ROUNDS_LIMIT} Login Requests")
        for name in ("isid", "tsih", "cid", "initiator_task_tag", "cmd_sn"):
            if fields[name] != self._first[name]:
                raise LoginFailure(LoginStatus.INITIATOR_ERROR, f"{name.upper()} changed during the login")
        if current != self._stage:
            raise LoginFailure(LoginStatus.INITIATOR_ERROR, f"stage {current} where {int(self._stage)} is current")
        if flags & TRANSIT and (flags & CONTINUE or (current, following) not in _TRANSITS):
            raise LoginFailure(LoginStatus.INITIATOR_ERROR, f"no step from stage {current} to {following}")

    # Who is it, what does it want ---------------------------------------------------------------------------------

    def _negotiation_begins(self, fields: Mapping[str, Any], pairs: Pairs) -> bool:
        """On the first complete request: identify the initiator, find the target. Takes those keys out of ``pairs``.

        Checks are in IET's order (iet-compat 8.1). Later the same keys may be repeated, not changed.
        """
        opening = not self._keys
        for name, value in [pair for pair in pairs if pair[0] in _FIRST_KEYS]:
            pairs.remove((name, value))
            if self._keys.get(name, value if opening else None) != value:
                raise LoginFailure(LoginStatus.INITIATOR_ERROR, f"{name} changed during the login")
            self._keys[name] = value
        if not opening:
            return False
        keys = self._keys
        for name, value in keys.items():
            try:
                KEY_BY_NAME[name].value.parse(value)
            except ValueError as accepts:
                problem = f"{name}={value[:40]!r}: {accepts} is accepted"
                raise LoginFailure(LoginStatus.INITIATOR_ERROR, problem) from None
        initiator = keys.get("InitiatorName")
        if initiator is None:
            raise LoginFailure(LoginStatus.MISSING_PARAMETER, "InitiatorName is missing")
        session_type = keys.get("SessionType", "Normal")
        if session_type not in ("Normal", "Discovery"):
            raise LoginFailure(LoginStatus.SESSION_TYPE_NOT_SUPPORTED, f"SessionType={session_type[:40]!r}")
        discovery = session_type == "Discovery"
        if not discovery:
            self._target = self._find(initiator, keys.get("TargetName"))
        self._accounts = self._node.discovery if self._target is None else self._target.accounts
        if self._accounts.closed:
            raise LoginFailure(LoginStatus.AUTHENTICATION_FAILURE, self._accounts.closed)
        configured = {} if self._target is None else self._target.key_values
        self._negotiation = Negotiation(configured, self._parameters, discovery=discovery)
        return True

    def _find(self, initiator: str, name: str | None) -> TargetNode:
        if name is None:
            raise LoginFailure(LoginStatus.MISSING_PARAMETER, "TargetName is missing")
        target = self._node.find(name, Asker(initiator, self._peer, self._local))
        if target is None:
            raise LoginFailure(LoginStatus.NOT_FOUND, f"{initiator} asks for {name}: no such target for it")
        if target.redirect and target.redirect.rpartition(":")[0].strip("[]") != self._local:
            raise LoginFailure(LoginStatus.MOVED_TEMPORARILY, f"redirected to {target.redirect}", target.redirect)
        return target

    # Stages ---------------------------------------------------------------------------------------------------------

    def _security(self, opening: bool, pairs: Pairs) -> Pairs:
        answers: Pairs = []
        chap: dict[str, str] = {}
        for name, value in pairs:
            if name == "AuthMethod":
                answers.append((name, self._choose_method(value)))
            elif name in _CHAP_KEYS:
                if name in chap:
                    raise ValueError(f"{name} twice in one request")
                chap[name] = value
            elif name != "InitiatorAlias":
                answers.append((name, NOT_UNDERSTOOD))  # operational keys have their own stage (section 6.3.3)
        if chap:
            if self._chap is None:
                raise ValueError("CHAP keys without AuthMethod=CHAP")
            answers += self._chap.step(chap)
            self._authenticated = bool(self._chap.user)
        return answers

    def _choose_method(self, offered: str) -> str:
        """AuthMethod's answer: CHAP where accounts ask for it, else None (section 12.1)."""
        wanted = "CHAP" if self._accounts.required else "None"
        if self._chap is not None or self._authenticated:
            raise ValueError("AuthMethod is negotiated a second time")
        if wanted not in offered.split(","):
            raise LoginFailure(
                LoginStatus.AUTHENTICATION_FAILURE, f"AuthMethod={offered[:40]!r} is offered, {wanted} is needed"
            )
        if wanted == "CHAP":
            self._chap = ChapTarget(self._accounts, self._entropy, self._node.open_challenges)
        return wanted

    def _operational(self, opening: bool, pairs: Pairs) -> Pairs:
        if self._accounts.required and not self._authenticated:
            raise LoginFailure(LoginStatus.AUTHENTICATION_FAILURE, "the security stage was skipped; CHAP is needed")
        return self._negotiation.answer(pairs) + self._negotiation.declarations()

    def _may_leave(self, stage: Stage) -> bool:
        """What must hold before the target agrees to leave a stage."""
        return stage is Stage.OPERATIONAL or self._authenticated or not self._accounts.required

    def _succeed(self, fields: Mapping[str, Any]) -> int:
        self._negotiation.finish()
        result = LoginResult(
            target=self._target, initiator_name=self._keys["InitiatorName"], isid=fields["isid"],
            tsih_requested=fields["tsih"], cid=fields["cid"], parameters=self._parameters, cmd_sn=fields["cmd_sn"],
            stat_sn=advance(self._stat_sn), user="" if self._chap is None else self._chap.user,
        )
        tsih = self._establish(result)
        self.result = result
        self.done = True
        return tsih


_STAGES: Final[Mapping[Stage, Callable[[Login, bool, Pairs], Pairs]]] = {
    Stage.SECURITY: Login._security,
    Stage.OPERATIONAL: Login._operational,
}
