"""The login phase as a target sees it: stages, authentication, operational keys (RFC 7143 sections 6.3, 11.12, 11.13).

Sans I/O: a request's header and data go in, a Login Response comes out. Any status but success is the last word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from ietpy.errors import FormatError, LoginFailure
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.negotiation import CONNECTION_USES, LOGIN_USES, Negotiation
from ietpy.iscsi.opening import alias, identify, take_names
from ietpy.iscsi.pdu import CONTINUE, LOGIN_REQUEST, LOGIN_RESPONSE, PORTAL_GROUP_TAG, TRANSIT, Opcode
from ietpy.iscsi.security import CHAP_KEYS, Security
from ietpy.iscsi.target import (
    UNRESTRICTED,
    Asker,
    IscsiNode,
    SessionKey,
    TargetNode,
    Terms,
    command_window,
)
from ietpy.iscsi.text import Pairs, TextAssembler, encode, split
from ietpy.scsi.transport_id import lower_case
from ietpy.wire.serial import advance

if TYPE_CHECKING:
    from ietpy.iscsi.session import Session

#: Requests one login may take; a CHAP login with long texts takes six.
ROUNDS_LIMIT: Final = 32
#: Text per Login Response: the initiator's MaxRecvDataSegmentLength is 8192 until it declares another (13.12).
RESPONSE_LIMIT: Final = 8192


class Stage(IntEnum):
    """CSG and NSG (section 11.12.3)."""

    SECURITY = 0
    OPERATIONAL = 1
    FULL_FEATURE = 3


_ALIAS: Final = "InitiatorAlias"

#: The host in ``host:port``, ``[host]:port`` or a bare host.
_HOST: Final = re.compile(r"\[(.*)\].*|([^:]*):\d+(?:,\d+)?")


@dataclass(frozen=True, slots=True)
class LoginResult:
    """What a successful login established. ``stat_sn`` is the next to be used, ``cmd_sn`` the next expected.

    ``target`` is None for discovery, which may be ``named`` after one (section 7.4.2.2); ``revision`` is that of
    the rules which let the initiator in (``TargetNode``, for discovery ``IscsiNode``), and ``terms`` what they say
    of it; ``tsih`` is 0 until ``establish`` has given one.
    """

    target: TargetNode | None
    initiator_name: str
    isid: bytes
    tsih_requested: int
    cid: int
    parameters: Parameters
    cmd_sn: int
    stat_sn: int
    revision: int = 0
    user: str = ""
    initiator_alias: str = ""
    tsih: int = 0
    terms: Terms = UNRESTRICTED
    named: str = ""

    @property
    def session_type(self) -> str:
        return "Discovery" if self.target is None else "Normal"


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
        group: int = PORTAL_GROUP_TAG,
    ) -> None:
        self.done = False
        self.failed = False
        self.problem = ""
        self.status: int = LoginStatus.SUCCESS  #: why it failed
        self.result: LoginResult | None = None
        self._node = node
        self._peer = peer
        self._local = local
        self._group = group  #: the tag of the portal group it came by
        self._local_port = local_port
        self._entropy = entropy
        self._establish = establish
        self._first: Mapping[str, Any] | None = None
        self._latest: Mapping[str, Any]
        self._stage = Stage.SECURITY
        self._rounds = 0
        self._stat_sn = 0
        self._text = TextAssembler()
        self._unsent: list[bytes] = []
        self._alias = ""
        self._alias_told = False
        self._offers: Pairs = []
        self._keys: dict[str, str] = {}
        self._target: TargetNode | None = None
        self._revision = 0
        self._terms = UNRESTRICTED
        self._security: Security | None = None
        self._parameters = Parameters()
        self._session: Session | None = None  #: the one this connection is to be added to
        self._negotiation: Negotiation

    @property
    def challenged(self) -> bool:
        """Whether the next request may hold a proof of who the initiator is."""
        return self._security is not None and self._security.challenged

    @property
    def named(self) -> dict[str, Any]:
        """Who asks and for what, as far as it has been said."""
        names = {"initiator": self._keys.get("InitiatorName"), "target": self._keys.get("TargetName")}
        return {what: name for what, name in names.items() if name}

    @property
    def guessed(self) -> bool:
        """Whether a proof came and was wrong."""
        return self._security is not None and self._security.guessed

    def receive(self, header: bytes | memoryview, data: bytes | memoryview) -> bytes:
        """Take a Login Request; the Login Response to send, padded.

        Raises FormatError for additional header segments, which a login has none of (section 11.12).
        """
        fields = LOGIN_REQUEST.unpack(header)
        if fields["lengths"] >> 24:
            raise FormatError("a Login Request with an additional header segment")
        if self._first is None:
            self._stat_sn = fields["exp_stat_sn"]
        self._latest = fields
        try:
            flags, tsih, text = self._step(fields, data)
        except LoginFailure as failure:
            return self._refuse(failure)
        security = self._security
        if security is not None and (self.done or security.user):
            security.close()
        return self._response(flags, tsih, text, LoginStatus.SUCCESS)

    def interrupted(self) -> bytes | None:
        """Another PDU came than a Login Request: the Login Response that ends the login (section 6.3).

        None if the login has not begun, when there is no answer.
        """
        if self._first is None:
            return None
        problem = "a PDU other than a Login Request during the login"
        return self._refuse(LoginFailure(LoginStatus.INVALID_DURING_LOGIN, problem))

    def _refuse(self, failure: LoginFailure) -> bytes:
        self.failed = True
        self.status = failure.status
        self.problem = str(failure)
        self.abandoned()
        text = encode([("TargetAddress", failure.address)]) if failure.address else b""
        return self._response(self._latest["flags"] & 0x0C, 0, text, failure.status)

    def abandoned(self) -> None:
        """The connection is gone before the login was over."""
        if self._security is not None:
            self._security.close()

    def _response(self, flags: int, tsih: int, text: bytes, status: int) -> bytes:
        fields, security = self._latest, self._security
        if self._session is None or security is None or not security.passed:  # a stranger is told nothing of it
            expected, window = fields["cmd_sn"], command_window(self._target) if self.done else 1
            last = advance(expected, window - 1)
        else:
            expected, last = self._session.exp_cmd_sn, self._session.max_cmd_sn
        header = LOGIN_RESPONSE.pack(
            opcode=Opcode.LOGIN_RESPONSE, flags=flags, lengths=len(text), isid=fields["isid"],
            tsih=tsih or fields["tsih"], initiator_task_tag=fields["initiator_task_tag"], stat_sn=self._stat_sn,
            exp_cmd_sn=expected, max_cmd_sn=last, status=status,
        )
        self._stat_sn = advance(self._stat_sn)
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
            return self._send(fields, flags)
        if pairs is None:
            return self._stage << 2, 0, b""
        opening = self._negotiation_begins(fields, pairs)
        stage = self._stage
        try:
            answers = _STAGES[stage](self, self._without_alias(pairs), bool(flags & TRANSIT))
        except ValueError as problem:
            raise LoginFailure(LoginStatus.INITIATOR_ERROR, str(problem)) from None
        answers += self._tell_alias()
        if opening:
            answers = [("TargetPortalGroupTag", str(self._group)), *answers]
        self._unsent = split(encode(answers), RESPONSE_LIMIT)
        return self._send(fields, flags)

    def _send(self, fields: Mapping[str, Any], flags: int) -> tuple[int, int, bytes]:
        """The next piece of the answer (section 6.2); with the last one the login moves on, if both sides want to."""
        stage = self._stage
        text = self._unsent.pop(0)
        if self._unsent:
            return CONTINUE | stage << 2, 0, text
        if not flags & TRANSIT:
            return stage << 2, 0, text
        step = stage, Stage(flags & 0x03)
        self._stage = _TRANSITS[step](self, *step)
        if self._stage is stage:
            return stage << 2, 0, text
        tsih = self._succeed(fields) if self._stage is Stage.FULL_FEATURE else 0
        return TRANSIT | stage << 2 | self._stage, tsih, text

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
        for name in ("isid", "tsih", "cid", "initiator_task_tag"):
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
        take_names(pairs, self._keys)
        if not opening:
            return False
        keys = self._keys
        if not fields["tsih"] and not any(fields["isid"]):
            raise LoginFailure(LoginStatus.MISSING_PARAMETER, "ISID and TSIH are both 0")
        initiator, discovery = identify(keys)
        if discovery:
            self._revision = self._node.revision
        else:
            self._target = self._find(fields, initiator, keys.get("TargetName"))
        accounts, terms = self._node.discovery, self._terms
        if self._target is not None:
            accounts = self._target.accounts.of(terms.user, terms.free)
        if accounts.closed:
            raise LoginFailure(LoginStatus.AUTHENTICATION_FAILURE, accounts.closed)
        self._security = Security(accounts, self._entropy, self._node.open_challenges)
        configured = {} if self._target is None else self._target.key_values
        self._negotiation = Negotiation(
            configured, self._parameters, discovery=discovery, uses=CONNECTION_USES if fields["tsih"] else LOGIN_USES
        )
        return True

    def _find(self, fields: Mapping[str, Any], initiator: str, name: str | None) -> TargetNode:
        """The target, in IET's order of checks: access, redirection, MaxSessions (iet-compat 3.4), all before CHAP."""
        if name is None:
            raise LoginFailure(LoginStatus.MISSING_PARAMETER, "TargetName is missing")
        asker = Asker(initiator, self._peer, self._local, self._group)
        found = self._node.find(name, asker)
        terms = None if found is None else found[0].terms(asker)
        if found is None or terms is None:
            raise LoginFailure(LoginStatus.NOT_FOUND, f"{initiator} asks for {name}: no such target for it")
        (target, self._revision), self._terms = found, terms
        if target.redirect and _HOST.sub(r"\1\2", target.redirect) != self._local:
            raise LoginFailure(LoginStatus.MOVED_TEMPORARILY, f"redirected to {target.redirect}", target.redirect)
        key = SessionKey(lower_case(initiator), fields["isid"], self._group)
        if not fields["tsih"]:
            target.check_room(key)
            return target
        self._session = target.session(key, fields["tsih"])  # if there is none, the end says so
        if self._session is not None:
            self._parameters.join(self._session.parameters)
        return target

    def _without_alias(self, pairs: Pairs) -> Pairs:
        """The rest, once InitiatorAlias, which may come in any stage and is for people only, is noted (13.7)."""
        for name, value in pairs:
            if name == _ALIAS:
                self._alias = alias(value)
        return [pair for pair in pairs if pair[0] != _ALIAS]

    def _tell_alias(self) -> Pairs:
        """What people call the target, told once to who may use it (section 13.6)."""
        if self._alias_told or self._target is None or self._security is None or not self._security.passed:
            return []
        self._alias_told = True
        return [("TargetAlias", self._target.alias)] if self._target.alias else []

    # Stages ---------------------------------------------------------------------------------------------------------

    def _secure(self, pairs: Pairs, leaving: bool) -> Pairs:
        assert self._security is not None
        return self._security.answer(pairs)

    def _operational(self, pairs: Pairs, leaving: bool) -> Pairs:
        assert self._security is not None
        self._security.require()
        if any(name in CHAP_KEYS for name, _ in pairs):
            raise ValueError("CHAP keys outside the security stage")
        negotiation = self._negotiation
        answers = negotiation.answer(pairs)
        # Only an initiator that would leave has no offers of its own left that could cross ours.
        self._offers = negotiation.offers() if leaving else []
        return answers + negotiation.declarations(answers) + self._offers

    def _authenticated_step(self, current: Stage, wanted: Stage) -> Stage:
        """Where a request to leave the security stage leads: nowhere before the initiator has proved who it is.

        One that would skip the operational stage is sent there when the configuration has something to say in it,
        as IET did (iet-compat 8.1).
        """
        assert self._security is not None
        if not self._security.passed:
            return current
        return Stage.OPERATIONAL if self._negotiation.wishes() else wanted

    def _settled_step(self, current: Stage, wanted: Stage) -> Stage:
        """Where a request to end the login leads: nowhere before our own offers are made, sent and answered."""
        done = self._negotiation.settled and not self._offers and not self._negotiation.wishes()
        return wanted if done else current

    def _succeed(self, fields: Mapping[str, Any]) -> int:
        self._negotiation.finish()
        assert self._security is not None
        result = LoginResult(
            target=self._target, initiator_name=self._keys["InitiatorName"], isid=fields["isid"],
            tsih_requested=fields["tsih"], cid=fields["cid"], parameters=self._parameters, cmd_sn=fields["cmd_sn"],
            stat_sn=advance(self._stat_sn), revision=self._revision, user=self._security.user,
            initiator_alias=self._alias, terms=self._terms, named=self._keys.get("TargetName", ""),
        )
        tsih = self._establish(result)
        self.result = replace(result, tsih=tsih)
        self.done = True
        return tsih


_STAGES: Final[Mapping[Stage, Callable[[Login, Pairs, bool], Pairs]]] = {
    Stage.SECURITY: Login._secure,
    Stage.OPERATIONAL: Login._operational,
}

#: Which steps there are (section 11.12.3), and what decides where each of them leads.
_TRANSITS: Final[Mapping[tuple[int, int], Callable[[Login, Stage, Stage], Stage]]] = {
    (Stage.SECURITY, Stage.OPERATIONAL): Login._authenticated_step,
    (Stage.SECURITY, Stage.FULL_FEATURE): Login._authenticated_step,
    (Stage.OPERATIONAL, Stage.FULL_FEATURE): Login._settled_step,
}
