"""A connection from its first byte: the login phase, and how the full feature phase follows (RFC 7143 section 6.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ietpy.errors import FormatError
from ietpy.iscsi.connection import LOGIN_DATA_LIMIT, Connection
from ietpy.iscsi.data_in import complete
from ietpy.iscsi.errors import LoginStatus
from ietpy.iscsi.keys import KEY_BY_NAME
from ietpy.iscsi.outbox import SLAB_SIZE
from ietpy.iscsi.pdu import LAYOUTS, NO_TAG, Opcode
from ietpy.iscsi.session import Session
from ietpy.iscsi.target import Accounts, Asker
from ietpy.iscsi.text import KEYS_LIMIT
from ietpy.wire.crc32c import crc32c

OPERATIONAL, FULL = 1, 3


class Line:
    """A connection before its login, and the bytes that go to it and come from it."""

    def __init__(self, node: Any, talk: Any) -> None:
        self.sessions: list[tuple[Session, Session | None]] = []
        self.connection = Connection(
            node, Asker("", talk.peer, talk.local), 3260, talk.entropy, lambda *pair: self.sessions.append(pair)
        )
        self.connection.owner = self

    def feed(self, stream: bytes) -> None:
        """One receive call, and the tasks it readied executed."""
        space = self.connection.space()
        assert len(space) >= len(stream)
        space[: len(stream)] = stream
        tasks = self.connection.received(len(stream))
        for task in tasks:
            assert task.nexus.lu.execute(task)
            complete(self.connection, task)
        tasks.clear()

    def out(self) -> bytes:
        """What the target sent since."""
        stream = b"".join(bytes(piece) for piece in self.connection.take_outbox())  # type: ignore[arg-type]
        self.connection.sent()
        return stream


@pytest.fixture
def talk(dialogue: Any) -> Any:
    return dialogue()


@pytest.fixture
def line(node: Any, talk: Any) -> Line:
    return Line(node, talk)


def statuses(stream: bytes) -> list[tuple[int, int]]:
    """(opcode, status of login) of the PDUs in a stream without digests."""
    found = []
    while stream:
        length = int.from_bytes(stream[5:8], "big")
        found.append((stream[0], int.from_bytes(stream[36:38], "big") if stream[0] == 0x23 else stream[3]))
        stream = stream[48 + length + -length % 4 :]
    return found


def command(talk: Any, opcode: Opcode = Opcode.SCSI_COMMAND, cmd_sn: int = 100, **fields: Any) -> bytes:
    """The first request after the login: TEST UNIT READY unless told otherwise."""
    values = {"cdb": bytes(16)} if opcode is Opcode.SCSI_COMMAND else {}
    return LAYOUTS[opcode].pack(
        **({"opcode": opcode, "flags": 0x80, "initiator_task_tag": 5, "cmd_sn": cmd_sn} | values | fields)
    )


# Before the login is over -----------------------------------------------------------------------------------------


@pytest.mark.rfc7143("4.2.4-3", "4.2.4-2", "11.12-1")
@pytest.mark.parametrize("opcode", [opcode for opcode in range(64) if opcode != Opcode.LOGIN_REQUEST])
def test_any_other_pdu_first_drops_the_connection(line: Line, opcode: int) -> None:
    """Its first byte is enough; nothing is answered."""
    with pytest.raises(FormatError, match="before login"):
        line.feed(bytes((opcode,)))
    assert line.out() == b""


@pytest.mark.rfc7143("4.2.4-4", "4.2.4-2", "11.13.5-2", "7.1.4-1")
@pytest.mark.parametrize("opcode", [opcode for opcode in range(64) if opcode != Opcode.LOGIN_REQUEST])
def test_any_other_pdu_in_the_middle_is_answered_by_the_end_of_the_login(line: Line, talk: Any, opcode: int) -> None:
    """Its first byte is enough; what follows it is not looked at."""
    line.feed(talk.request(OPERATIONAL, talk.names))
    assert statuses(line.out()) == [(0x23, 0)]
    line.feed(bytes((opcode,)))
    answer = LAYOUTS[Opcode.LOGIN_RESPONSE].unpack(line.out())
    assert (answer["status"], answer["flags"], answer["lengths"]) == (0x20B, OPERATIONAL << 2, 0)
    assert (answer["initiator_task_tag"], answer["stat_sn"]) == (talk.fields["initiator_task_tag"], 501)
    assert line.connection.closing
    assert "other than a Login Request" in line.connection.problem


@pytest.mark.rfc7143("4.2.4-4")
def test_a_pdu_behind_a_login_request_that_is_not_the_last(line: Line, talk: Any) -> None:
    line.feed(talk.request(OPERATIONAL, talk.names) + command(talk))
    assert statuses(line.out()) == [(0x23, 0), (0x23, 0x20B)]


@pytest.mark.rfc7143("11.10.5-1", "11.2.1.5-1")
@pytest.mark.parametrize(("lengths", "drops"), [
    pytest.param(LOGIN_DATA_LIMIT + 1, True, id="data over 8192 bytes"),
    pytest.param(0xFFFFFF, True, id="the longest data segment"),
    pytest.param(1 << 24, True, id="an additional header segment"),
    pytest.param(0xFFFFFFFF, True, id="both at their most"),
    pytest.param(LOGIN_DATA_LIMIT, False, id="8192 bytes"),
])
def test_lengths_of_a_login_request(line: Line, talk: Any, lengths: int, drops: bool) -> None:
    """The header alone decides; no byte of what it announces is waited for (CVE-2011-0001, CVE-2026-90011)."""
    header = talk.request(OPERATIONAL, talk.names, lengths=lengths)[:48]
    if drops:
        with pytest.raises(FormatError, match="Login Request"):
            line.feed(header)
    else:
        line.feed(header)
        assert line.connection.login is not None
        assert not line.connection.closing
    assert line.out() == b""


@pytest.mark.rfc7143("6.1-4")
def test_a_login_request_of_8192_bytes(line: Line, talk: Any) -> None:
    keys = {**talk.names, "X-fill": ""}
    keys["X-fill"] = "x" * (8192 - sum(len(name) + len(value) + 2 for name, value in keys.items()))
    raw = talk.request(OPERATIONAL, keys, FULL)
    assert len(raw) == 48 + 8192
    line.feed(raw)
    assert statuses(line.out()) == [(0x23, 0)]
    assert line.connection.login is None


def test_login_bytes_cut_at_every_byte(node: Any, dialogue: Any) -> None:
    stages = [("security", 0, {"AuthMethod": "None"}, 1), ("operational", 1, {"InitialR2T": "No"}, 3)]

    def stream(talk: Any) -> bytes:
        requests = [talk.request(csg, {**talk.names, **keys}, to) for _, csg, keys, to in stages]
        return b"".join(requests)

    whole = Line(node, dialogue())
    whole.feed(stream(dialogue()))
    expected = statuses(whole.out())
    assert expected == [(0x23, 0), (0x23, 0)]
    raw = stream(dialogue())
    for cut in range(1, len(raw)):
        line = Line(node, dialogue())
        line.feed(raw[:cut])
        line.feed(raw[cut:])
        assert statuses(line.out()) == expected
        assert line.connection.login is None


def test_login_bytes_one_by_one(line: Line, talk: Any) -> None:
    raw = talk.request(OPERATIONAL, talk.names, FULL)
    for at in range(len(raw)):
        assert line.connection.session is None
        line.feed(raw[at : at + 1])
    assert line.connection.session is not None
    assert statuses(line.out()) == [(0x23, 0)]


@pytest.mark.rfc7143("7.7-1")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=46, max_size=46), st.binary(max_size=64), st.integers(0, 3), st.booleans())
def test_any_bytes_are_answered_or_dropped(
    node: Any, dialogue: Any, fields: bytes, data: bytes, shift: int, far: bool
) -> None:
    """``shift``: how far the announced length is off; ``far``: additional headers are announced."""
    line = Line(node, dialogue())
    raw = b"\x43" + fields[:3] + bytes((far, 0, 0, len(data) + shift)) + fields[3:43] + data + bytes(-len(data) % 4)
    if far:
        with pytest.raises(FormatError, match="additional headers"):
            line.feed(raw)
    else:
        line.feed(raw)
        assert [opcode for opcode, _ in statuses(line.out())] in ([], [0x23])
    assert line.connection.session is None


@pytest.mark.rfc7143("7.12-1", "11.13.5-2", "11.12-1")
def test_a_refused_login_is_answered_and_closes(line: Line, talk: Any) -> None:
    stream = talk.request(OPERATIONAL, {"InitiatorName": "i", "TargetName": "iqn.nobody"}, FULL)
    line.feed(stream + command(talk))
    assert statuses(line.out()) == [(0x23, 0x203)]
    assert line.connection.closing
    assert "iqn.nobody" in line.connection.problem
    assert line.connection.session is None
    assert not line.sessions


def test_max_sessions_is_answered(node: Any, target: Any, dialogue: Any) -> None:
    target.max_sessions = 1
    for isid, status in ((b"\x80\0\0\0\0\1", 0), (b"\x80\0\0\0\0\2", 0x206)):
        talk = dialogue()
        line = Line(node, talk)
        line.feed(talk.request(OPERATIONAL, talk.names, FULL, isid=isid))
        assert statuses(line.out()) == [(0x23, status)]
    assert len(target.sessions) == 1


@pytest.mark.rfc7143("6.3.2-4", "11.12-1")
def test_authentication_skipped_over_a_connection(line: Line, talk: Any, target: Any) -> None:
    target.accounts = Accounts({"joe": "a secret of joe"})
    line.feed(talk.request(OPERATIONAL, talk.names, FULL))
    assert statuses(line.out()) == [(0x23, 0x201)]


# From the login to the full feature phase ---------------------------------------------------------------------------


@pytest.mark.rfc7143("4.2.2.1-2", "4.2.2.2-1")
def test_a_login_and_the_first_command_in_one_receive_call(line: Line, talk: Any) -> None:
    """What follows a login is taken by the next call, so that its last answer leaves first."""
    line.feed(talk.request(OPERATIONAL, talk.names, FULL) + command(talk) + command(talk, cmd_sn=101))
    assert statuses(line.out()) == [(0x23, 0)]
    line.feed(b"")
    sent = line.out()
    assert statuses(sent) == [(0x21, 2), (0x21, 0)]
    response = LAYOUTS[Opcode.SCSI_RESPONSE].unpack(sent)
    assert (response["stat_sn"], response["exp_cmd_sn"]) == (501, 102)


def test_a_command_cut_off_by_the_login_s_receive_call(node: Any, dialogue: Any) -> None:
    raw = dialogue().request(OPERATIONAL, dialogue().names, FULL)
    first = command(None)
    for cut in range(len(first) + 1):
        line = Line(node, dialogue())
        line.feed(raw + first[:cut])
        line.feed(first[cut:])
        assert statuses(line.out()) == [(0x23, 0), (0x21, 2)]


@pytest.mark.rfc7143("4.4.3-1", "11.12.8-1", "4.2.1-1", "11.12.7-1")
def test_the_session_hears_what_the_login_settled(line: Line, talk: Any, target: Any) -> None:
    keys = {**talk.names, "MaxRecvDataSegmentLength": "4096", "MaxBurstLength": "2048", "FirstBurstLength": "1024"}
    line.feed(talk.request(OPERATIONAL, keys, FULL, cid=9))
    answer = LAYOUTS[Opcode.LOGIN_RESPONSE].unpack(line.out())
    ((session, replaced),) = line.sessions
    assert not replaced
    assert session is line.connection.session
    assert (session.target, session.initiator, line.connection.cid) == (target, talk.initiator, 9)
    assert session.tsih == answer["tsih"] != 0
    assert (session.exp_cmd_sn, session.max_cmd_sn) == (answer["exp_cmd_sn"], answer["max_cmd_sn"])
    assert session.asker == Asker(talk.initiator, talk.peer, talk.local)
    assert line.connection.transmit_limit == 4096
    assert line.connection.inline_limit == 2048
    assert line.connection.framer.limit == KEY_BY_NAME["MaxRecvDataSegmentLength"].ours


@pytest.mark.rfc7143("6.3.1-3", "4.4.3-2", "7.15-1")
def test_the_same_port_again_replaces_its_session(node: Any, target: Any, dialogue: Any) -> None:
    first, second = Line(node, dialogue()), Line(node, dialogue())
    for line in (first, second):
        line.feed(dialogue().request(OPERATIONAL, dialogue().names, FULL))
    assert second.sessions[0] == (second.connection.session, [first.connection])
    assert list(target.sessions.values()) == [second.connection.session]


@pytest.mark.rfc7143("13.1-2", "13.1-3", "13.1-4", "11.1-1")
def test_digests_hold_from_the_first_pdu_after_the_login(line: Line, talk: Any) -> None:
    line.feed(talk.request(OPERATIONAL, {**talk.names, "HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}, FULL))
    assert statuses(line.out()) == [(0x23, 0)]
    header = command(talk, Opcode.NOP_OUT, target_transfer_tag=NO_TAG, lengths=5)
    data = b"hello\0\0\0"
    line.feed(header + crc32c(header).to_bytes(4, "little") + data + crc32c(data).to_bytes(4, "little"))
    sent = line.out()
    assert sent[0] == Opcode.NOP_IN
    assert int.from_bytes(sent[48:52], "little") == crc32c(sent[:48])
    assert sent[52:60] == data
    assert int.from_bytes(sent[60:64], "little") == crc32c(data)
    assert len(sent) == 64


@pytest.mark.rfc7143("7.8-1")
def test_a_header_digest_that_does_not_fit_drops_the_connection(line: Line, talk: Any) -> None:
    line.feed(talk.request(OPERATIONAL, {**talk.names, "HeaderDigest": "CRC32C"}, FULL))
    line.out()
    with pytest.raises(FormatError, match="header digest"):
        line.feed(command(talk, Opcode.NOP_OUT, target_transfer_tag=NO_TAG) + bytes(4))
    assert line.out() == b""


@pytest.mark.rfc7143("4.3-1", "13.8-2")
def test_discovery_from_login_to_logout(line: Line, talk: Any, target: Any) -> None:
    names = {"InitiatorName": talk.initiator, "SessionType": "Discovery"}
    line.feed(talk.request(OPERATIONAL, names, FULL))
    assert LAYOUTS[Opcode.LOGIN_RESPONSE].unpack(line.out())["max_cmd_sn"] == 101
    text = b"SendTargets=All\0"
    line.feed(command(talk, Opcode.TEXT_REQUEST, target_transfer_tag=NO_TAG, lengths=len(text)) + text)
    sent = line.out()
    response = LAYOUTS[Opcode.TEXT_RESPONSE].unpack(sent)
    assert (response["opcode"], response["flags"], response["target_transfer_tag"]) == (0x24, 0x80, NO_TAG)
    assert sent[48 : 48 + response["lengths"]] == (
        b"TargetName=" + target.name.encode() + b"\0TargetAddress=10.0.0.1:3260,1\0"
    )
    line.feed(command(talk, Opcode.LOGOUT_REQUEST, cmd_sn=101))
    assert line.out()[0] == Opcode.LOGOUT_RESPONSE
    assert line.connection.closing
    assert line.connection.problem == ""


@pytest.mark.rfc7143("11.13.7-1", "6.2-2", "6.3-1")
def test_an_answer_in_pieces_over_a_connection(line: Line, talk: Any) -> None:
    keys = {f"X-{n:0>52}": "" for n in range(KEYS_LIMIT - 2)}  # the question fits one PDU, its answer does not
    line.feed(talk.request(OPERATIONAL, {**talk.names, **keys}, FULL) + talk.request(OPERATIONAL, {}, FULL))
    sent = line.out()
    assert statuses(sent) == [(0x23, 0), (0x23, 0)]
    assert (sent[1], sent[48 + 8192 + 1]) == (0x40 | 1 << 2, 0x80 | 1 << 2 | 3)
    assert line.connection.login is None


# Memory of answers ----------------------------------------------------------------------------------------------------


@pytest.fixture
def logged_in(line: Line, talk: Any) -> Connection:
    line.feed(talk.request(OPERATIONAL, talk.names, FULL))
    line.out()
    return line.connection


@pytest.mark.parametrize(("used", "length", "inline"), [
    pytest.param(0, 512, True, id="room"),
    pytest.param(0, 8193, False, id="longer than the initiator takes at once"),
    pytest.param(SLAB_SIZE - 512 - 48 - 8, 512, True, id="the last room"),
    pytest.param(SLAB_SIZE - 512 - 48 - 7, 512, False, id="one byte short"),
])
def test_a_sink_lies_behind_its_header_if_it_fits(
    logged_in: Connection, used: int, length: int, inline: bool
) -> None:
    logged_in.used = logged_in.mark = used
    view = logged_in.sink(length)
    assert len(view) == length
    assert (view.obj is logged_in.slab) is inline
    assert (logged_in.reserved is view) is inline


@pytest.mark.parametrize("lent", [True, False])
def test_a_reserved_sink_is_kept_until_it_is_sent(logged_in: Connection, lent: bool) -> None:
    if lent:
        view = logged_in.sink(512)
        view[:] = b"x" * 512
    logged_in.skip_reserved()
    logged_in.send(bytes(48))
    again: Callable[[int], memoryview] = logged_in.sink
    again(512)[:] = b"y" * 512
    if lent:
        assert bytes(view) == b"x" * 512
    logged_in.take_outbox()
    logged_in.sent()
    assert (logged_in.used, logged_in.reserved) == (0, None)


@pytest.mark.rfc7143("11.8.5-1")
def test_tags_never_become_the_reserved_one(logged_in: Connection) -> None:
    logged_in.next_tag = NO_TAG - 2
    assert [logged_in.new_tag(), logged_in.new_tag()] == [NO_TAG - 1, 0]


# Every status of section 11.13.5 --------------------------------------------------------------------------------------

SECURITY = 0


def _said(keys: Any, csg: int = OPERATIONAL, **fields: Any) -> Callable[[Any, Any, Any], list[bytes]]:
    """One request with the names of the login and these keys."""
    return lambda node, target, talk: [talk.request(csg, {**talk.names, **keys}, FULL, **fields)]


def _redirected(node: Any, target: Any, talk: Any) -> list[bytes]:
    target.redirect = "10.0.0.9:3260"
    return _said({})(node, target, talk)


def _with_accounts(node: Any, target: Any, talk: Any) -> list[bytes]:
    target.accounts = Accounts({"joe": "secret"})
    return _said({})(node, target, talk)


def _full(node: Any, target: Any, talk: Any) -> list[bytes]:
    target.max_sessions = 1
    target.sessions["somebody"] = None
    return _said({})(node, target, talk)


def _in_between(change: Callable[[Any, Any], None]) -> Callable[[Any, Any, Any], list[bytes]]:
    """Something changes between the first request and the last."""

    def requests(node: Any, target: Any, talk: Any) -> list[Any]:
        first, last = talk.request(OPERATIONAL, talk.names), talk.request(OPERATIONAL, (), FULL)
        return [first, lambda: change(node, target), last]

    return requests


def _no_tsih_left(node: Any, target: Any, talk: Any) -> list[bytes]:
    node._tsihs = dict.fromkeys(range(1, 65536))
    return _said({})(node, target, talk)


def _another_user(node: Any, target: Any, talk: Any) -> list[Any]:
    """The session was begun by somebody else."""
    line = Line(node, talk)
    line.feed(talk.request(OPERATIONAL, talk.names, FULL))
    session = line.connection.session
    assert session is not None
    session.user = "joe"
    session.parameters.max_connections = 2
    return [talk.request(OPERATIONAL, talk.names, FULL, tsih=session.tsih, cid=2)]


PROVOKED: dict[LoginStatus, Callable[[Any, Any, Any], list[Any]]] = {
    LoginStatus.SUCCESS: _said({}),
    LoginStatus.MOVED_TEMPORARILY: _redirected,
    LoginStatus.INITIATOR_ERROR: _said({"TargetAddress": "10.0.0.9"}),
    LoginStatus.AUTHENTICATION_FAILURE: _with_accounts,
    LoginStatus.NOT_FOUND: _said({"TargetName": "iqn.nobody"}),
    LoginStatus.TARGET_REMOVED: _in_between(lambda node, target: node.remove(target)),
    LoginStatus.UNSUPPORTED_VERSION: _said({}, version_min=1, version_max=1),
    LoginStatus.TOO_MANY_CONNECTIONS: _full,
    LoginStatus.MISSING_PARAMETER: lambda node, target, talk: [talk.request(OPERATIONAL, (), FULL)],
    LoginStatus.CANNOT_INCLUDE_IN_SESSION: _another_user,
    LoginStatus.SESSION_TYPE_NOT_SUPPORTED: _said({"SessionType": "Other"}),
    LoginStatus.SESSION_DOES_NOT_EXIST: _said({}, tsih=4711),
    LoginStatus.INVALID_DURING_LOGIN: lambda node, target, talk: [
        talk.request(OPERATIONAL, talk.names), command(talk)
    ],
    LoginStatus.SERVICE_UNAVAILABLE: _in_between(
        lambda node, target: target.let_in(Accounts({"joe": "secret"}), target.admits)
    ),
    LoginStatus.OUT_OF_RESOURCES: _no_tsih_left,
}
#: Those we never say, and why.
NEVER = {
    LoginStatus.MOVED_PERMANENTLY: "ietadm redirects for now only, as IET did",
    LoginStatus.AUTHORIZATION_FAILURE: "a stranger would learn that the target exists; it is 02/03 (decisions 1)",
    LoginStatus.TARGET_ERROR: "nothing that can fail in a login is of the target's hardware",
}


def test_every_status_is_provoked_or_never_said() -> None:
    assert {*PROVOKED, *NEVER} == set(LoginStatus)


@pytest.mark.rfc7143("11.13.5-1", "11.13.5-2", "7.12-1")
@pytest.mark.parametrize("status", PROVOKED, ids=lambda status: status.name)
def test_statuses(node: Any, target: Any, talk: Any, status: LoginStatus) -> None:
    steps = PROVOKED[status](node, target, talk)
    line = Line(node, talk)
    said = []
    for step in steps:
        if callable(step):
            step()
            continue
        line.feed(step)
        said += statuses(line.out())
    assert said == [(0x23, 0)] * (len(said) - 1) + [(0x23, status)]
    assert line.connection.closing is (status != LoginStatus.SUCCESS)


# Discovery sessions (section 7.4.2) -----------------------------------------------------------------------------------


@pytest.mark.rfc7143("7.4.2.1-1", "7.4.2.1-2", "7.4.2.2-1")
@pytest.mark.parametrize(("first", "second", "reinstates"), [
    pytest.param({}, {}, True, id="two unnamed at one portal"),
    pytest.param({}, {"local": "10.0.0.7"}, False, id="at two portals"),
    pytest.param({"name": "iqn.a"}, {"name": "IQN.a"}, True, id="two of one name"),
    pytest.param({"name": "iqn.a"}, {"name": "iqn.a", "local": "10.0.0.7"}, True, id="of one name at two portals"),
    pytest.param({"name": "iqn.a"}, {"name": "iqn.b"}, False, id="of two names"),
    pytest.param({"name": "iqn.a"}, {}, False, id="a named and an unnamed one"),
])
def test_discovery_sessions(
    node: Any, dialogue: Any, first: dict[str, str], second: dict[str, str], reinstates: bool
) -> None:
    lines = []
    for place in (first, second):
        talk = dialogue()
        talk.local = place.get("local", talk.local)
        name = {"TargetName": place["name"]} if "name" in place else {}
        line = Line(node, talk)
        keys = {"InitiatorName": talk.initiator, "SessionType": "Discovery", **name}
        line.feed(talk.request(OPERATIONAL, keys, FULL))
        assert statuses(line.out()) == [(0x23, 0)]
        lines.append(line)
    ((_, ended),) = lines[1].sessions
    assert list(ended) == ([lines[0].connection] if reinstates else [])


def test_who_it_is_is_known_as_soon_as_it_is_said(line: Line, talk: Any, target: Any) -> None:
    assert line.connection.named == {}
    names = {"initiator": talk.initiator, "target": talk.names["TargetName"]}
    line.feed(talk.request(OPERATIONAL, talk.names))
    assert line.connection.named == names
    line.feed(talk.request(OPERATIONAL, {}, FULL))
    assert line.connection.login is None
    assert line.connection.named == names | {"target": target.name}


def test_a_discovery_session_is_nobody_s(line: Line, talk: Any) -> None:
    line.feed(talk.request(OPERATIONAL, {"InitiatorName": talk.initiator, "SessionType": "Discovery"}, FULL))
    assert line.connection.session is not None
    assert line.connection.named == {}
