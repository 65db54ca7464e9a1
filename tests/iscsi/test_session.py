"""Sessions: numbering, limits, reinstatement (RFC 7143 sections 4.2.2.1, 6.3.5)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.errors import LoginFailure
from ietpy.iscsi.session import establish
from ietpy.iscsi.target import UNRESTRICTED, Accounts, Terms, everybody
from ietpy.scsi.limits import EXTENT_MINIMUM
from ietpy.scsi.store import Extent
from ietpy.scsi.view import EVERYTHING, View
from ietpy.wire.serial import MASK


@pytest.mark.rfc7143("4.4.2-2")
def test_the_initiator_port_name_has_the_isid(nexus: Any) -> None:
    assert nexus.session.port == "iqn.2026-11.test:i,i,0x495349443031"


@pytest.mark.rfc7143("4.4.3-2", "6.3.1-3", "6.3.5-1")
def test_the_same_port_reinstates_its_session(connect: Any, target: Any) -> None:
    first = connect()
    second = connect(attention=True)
    assert second.replaced == [[first.connection]]
    first.session.end()
    assert list(target.sessions.values()) == [second.session]


@pytest.mark.rfc7143("6.3.1-2", "4.4.3-1")
def test_another_isid_is_another_session(connect: Any, target: Any) -> None:
    first, second = connect(), connect(isid=b"ISID02")
    assert first.replaced == second.replaced == [[]]
    assert len(target.sessions) == 2
    assert first.session.tsih != second.session.tsih


@pytest.mark.parametrize(("one", "other", "same"), [
    ("iqn.x:k", "IQN.x:K", True), ("iqn.x:k", "iqn.x:\u212a", False), ("iqn.x:\xe5", "iqn.x:\u212b", False),
])
def test_only_letters_of_ascii_have_two_cases(connect: Any, target: Any, one: str, other: str, same: bool) -> None:
    """``str.lower`` makes a k of the Kelvin sign: by that one initiator could end the session of another."""
    first, second = connect(initiator=one), connect(initiator=other)
    assert second.replaced == [[first.connection] if same else []]
    assert (first.session.port == second.session.port) is same


@pytest.mark.rfc7143("4.4.3-2", "6.3.1-2")
def test_the_same_isid_by_another_portal_group_is_another_nexus(connect: Any, target: Any) -> None:
    """Nobody is reinstated, and the target's SCSI device sees another target port."""
    target.offer((1, 2))
    target.revision = 0  # as the logins that follow have seen it
    first, second = connect(), connect(group=2)
    assert first.replaced == second.replaced == [[]]
    assert second.session.replaced() == []
    assert len(target.sessions) == 2
    by = [each.session.nexus(0).it_nexus for each in (first, second)]
    assert by == [(first.session.port, 1), (first.session.port, 2)]
    first.session.end()
    assert list(target.sessions.values()) == [second.session]
    assert connect(attention=True, group=2).replaced == [[second.connection]]


def test_a_registration_is_of_the_portal_group_it_came_by(connect: Any, target: Any) -> None:
    """PERSISTENT RESERVE OUT by both, READ FULL STATUS by one: two registrants, each with its target port."""
    target.offer((1, 2))
    target.revision = 0  # as the logins that follow have seen it
    both = first, second = connect(), connect(group=2)
    for nexus, key in zip(both, (b"K", b"L"), strict=True):
        data = bytes(8) + key * 8 + bytes(8)
        (answer,) = nexus.ask(nexus.command("5F 00 00 0000 00000018 00", data, flags=0xA0, expected=len(data)))
        assert answer.status == 0
    (answer,) = second.ask(second.command("5E 03 0000000000 0400 00", flags=0xC0, expected=1024))
    status = answer.data
    assert [status.find(key * 8) for key in (b"K", b"L")] == [8, 8 + (len(status) - 8) // 2]
    assert [status[status.find(key * 8) + 18:][:2] for key in (b"K", b"L")] == [b"\0\1", b"\0\2"]
    page, = first.ask(first.command("12 01 83 00 FF 00", flags=0xC0, expected=255))
    other, = second.ask(second.command("12 01 83 00 FF 00", flags=0xC0, expected=255))
    assert page.data[:4 + 28] == other.data[:4 + 28], "the logical unit is the same"
    assert (b",t,0x0001\0" in page.data, b",t,0x0002\0" in other.data) == (True, True)


def test_max_sessions(connect: Any, target: Any) -> None:
    target.max_sessions = 1
    first = connect()
    with pytest.raises(LoginFailure, match="MaxSessions 1") as caught:
        connect(isid=b"ISID02")
    assert caught.value.status == 0x0206
    connect(attention=True)
    first.session.end()
    assert len(target.sessions) == 1


def test_a_target_removed_during_the_login(connect: Any, node: Any, target: Any) -> None:
    node.remove(target)
    with pytest.raises(LoginFailure, match="was removed during the login") as caught:
        connect()
    assert caught.value.status == 0x0204


def test_rules_that_changed_during_the_login(connect: Any, node: Any, target: Any) -> None:
    """Whoever was let in by the old ones does not come in when the change is done; he may try again."""
    target.let_in(Accounts({"joe": "secret secret"}), everybody)
    node.let_discover(Accounts({"joe": "secret secret"}))
    for discovery in (False, True):
        with pytest.raises(LoginFailure, match="was changed during the login") as caught:
            connect(discovery=discovery)
        assert caught.value.status == 0x0301
    assert not target.sessions


def test_a_tsih_is_free_when_its_session_has_ended(connect: Any, node: Any) -> None:
    normal, discovery = connect(), connect(discovery=True)
    assert list(node._tsihs) == [normal.session.tsih, discovery.session.tsih] == [1, 2]
    normal.session.end()
    discovery.session.end()
    assert not node._tsihs


@pytest.mark.rfc7143("6.3.1-6")
def test_a_tsih_in_a_discovery_login(nexus: Any, node: Any) -> None:
    result = SimpleNamespace(
        target=None, initiator_name="iqn.i", isid=b"ISID09", cid=1, parameters=None, cmd_sn=1, user="",
        terms=UNRESTRICTED,
        tsih_requested=nexus.session.tsih,
    )
    with pytest.raises(LoginFailure) as caught:
        establish(node, result, nexus.connection, nexus.connection.asker)  # type: ignore[arg-type]
    assert caught.value.status == 0x020A


def test_ending_releases_the_reservation(connect: Any) -> None:
    first, second = connect(), connect(isid=b"ISID02")
    assert first.ask(first.command("16"))[0].status == 0
    assert second.ask(second.command("00"))[0].status == 0x18
    first.session.end()
    assert second.ask(second.command("00"))[0].status == 0


def test_ending_twice_or_a_discovery_session_is_harmless(connect: Any, target: Any) -> None:
    nexus = connect()
    nexus.session.end()
    nexus.session.end()
    connect(discovery=True).session.end()
    assert not target.sessions


def test_a_discovery_session_has_no_units(connect: Any) -> None:
    with pytest.raises(ValueError, match="no logical units"):
        connect(discovery=True).session.nexus(0)


class TestNumbering:
    """Requests are taken in the order of their CmdSN, once each, inside the window."""

    @pytest.mark.rfc7143("4.2.2.1-5", "4.2.2.1-10", "4.2.2.1-6")
    def test_a_request_before_its_turn_waits(self, nexus: Any, store: Any) -> None:
        number = nexus.cmd_sn
        late = nexus.write(0, 1, b"x" * 512, cmd_sn=number + 1)
        assert nexus.ask(late) == []
        first, second = nexus.ask(nexus.command("00", cmd_sn=number))
        assert (first.initiator_task_tag, second.initiator_task_tag) == (nexus.tag - 1, nexus.tag - 2)
        assert store.data[:512] == b"x" * 512

    def test_a_rejected_one_that_waited_is_rejected_with_its_own_header(self, nexus: Any) -> None:
        number = nexus.cmd_sn
        request = nexus.request(0x06, flags=0x85, cmd_sn=number + 1)
        assert nexus.ask(request) == []
        answers = nexus.ask(nexus.command("00", cmd_sn=number))
        assert [answer.data for answer in answers if answer.data] == [request[:48]]

    @pytest.mark.rfc7143("11.14-3")
    def test_nothing_is_taken_after_a_logout_that_waited(self, nexus: Any) -> None:
        number = nexus.cmd_sn
        nexus.feed(nexus.command("00", cmd_sn=number + 2))
        nexus.feed(nexus.request(0x06, flags=0x80, cmd_sn=number + 1))
        nexus.feed(nexus.request(0x00, target_transfer_tag=0xFFFFFFFF, cmd_sn=number))
        assert [answer.opcode for answer in nexus.answers()] == [0x20, 0x26]

    @pytest.mark.rfc7143("4.2.2.1-9", "4.2.2.1-10")
    @pytest.mark.parametrize("offset", [-1, 8, -5, 100], ids=["just gone", "just outside", "long gone", "far ahead"])
    def test_a_request_outside_the_window_is_ignored(self, nexus: Any, offset: int) -> None:
        assert nexus.ask(nexus.command("00", cmd_sn=nexus.cmd_sn + offset)) == []
        assert nexus.ask(nexus.command("00"))[0].status == 0

    @pytest.mark.rfc7143("4.2.2.1-9", "4.2.2.1-11")
    def test_a_second_of_one_number_is_ignored(self, nexus: Any) -> None:
        number = nexus.cmd_sn
        for _ in range(2):
            nexus.feed(nexus.command("00", cmd_sn=number + 1))
        assert len(nexus.ask(nexus.command("00", cmd_sn=number))) == 2

    @pytest.mark.rfc7143("4.2.2.1-1")
    def test_immediate_requests_do_not_count(self, nexus: Any) -> None:
        (answer,) = nexus.ask(nexus.command("00", immediate=True))
        assert answer.exp_cmd_sn == nexus.cmd_sn
        assert answer.max_cmd_sn == nexus.cmd_sn + 7

    @pytest.mark.rfc7143("4.2.2.1-8")
    def test_the_window_closes_while_tasks_wait(self, nexus: Any, store: Any) -> None:
        store.waits = True
        for _ in range(8):
            nexus.feed(nexus.read(0, 1))
        assert nexus.session.max_cmd_sn == nexus.session.exp_cmd_sn - 1
        nexus.feed(nexus.read(0, 1, cmd_sn=nexus.cmd_sn))  # the next in order, and yet outside the window
        assert nexus.session.exp_cmd_sn == nexus.cmd_sn
        nexus.work()
        assert [answer.max_cmd_sn for answer in nexus.answers()] == [nexus.cmd_sn + turn for turn in range(8)]

    @pytest.mark.rfc7143("4.2.2.1-7", "4.2.2.2-1")
    def test_numbers_wrap(self, nexus: Any) -> None:
        session = nexus.session
        nexus.cmd_sn = session.exp_cmd_sn = MASK
        session.max_cmd_sn = 6
        nexus.connection.stat_sn = MASK
        first, second = nexus.ask(nexus.command("00") + nexus.command("00", cmd_sn=0))
        assert (first.stat_sn, second.stat_sn) == (MASK, 0)
        assert (second.exp_cmd_sn, second.max_cmd_sn) == (1, 8)


def test_who_is_replaced_until_he_has_ended(connect: Any) -> None:
    first, other = connect(), connect(isid=b"ISID02")
    second, third = connect(attention=True), connect(attention=True)
    assert set(third.session.replaced()) == {first.session, second.session}
    first.session.end()
    assert third.session.replaced() == [second.session]
    assert other.session.replaced() == connect(discovery=True).session.replaced() == []


# What an initiator has of a target (``scsi.view``)

NEW_LUNS, NO_UNIT = 0x3F0E, 0x2500


def asc(answers: list[Any]) -> int:
    """The additional sense code of a SCSI Response; 0 for GOOD."""
    (answer,) = answers
    return int.from_bytes(answer.data[14:16], "big") if answer.status else 0


def ready(nexus: Any, lun: int = 0) -> int:
    return asc(nexus.ask(nexus.command("00", lun=lun << 48)))


def report_luns(nexus: Any) -> list[int]:
    answers = nexus.ask(nexus.command("A0 00 00 000000 00000100 00 00", flags=0xC0, expected=256))
    return [answers[0].data[place + 1] for place in range(8, len(answers[0].data), 8)]


def follow(target: Any, view: View | None) -> None:
    target.let_in(target.accounts, lambda _: True, lambda _: None if view is None else Terms(view))


def test_a_session_has_the_view_it_was_given(target: Any, connect: Any) -> None:
    target.terms = lambda asker: Terms(View({4: 1}))
    nexus = connect(attention=True)
    assert report_luns(nexus) == [4]
    assert [ready(nexus, lun) for lun in (0, 1, 4, 7)] == [NO_UNIT, NO_UNIT, 0x2900, NO_UNIT]
    flat = 0x4004 << 48
    assert nexus.session.nexus(flat) is nexus.session.nexus(4 << 48)
    assert nexus.session.nexus(4 << 48).number == 1


def test_a_view_that_changes(target: Any, connect: Any) -> None:
    nexus = connect()
    assert (ready(nexus), ready(nexus, 1), report_luns(nexus)) == (0, 0, [0, 1])
    kept, lost = nexus.session.nexus(0), nexus.session.nexus(1 << 48)
    follow(target, View({0: 0, 3: 1}))
    assert nexus.session.revoked == [lost]
    assert [ready(nexus, lun) for lun in (0, 0, 1, 3)] == [NEW_LUNS, 0, NO_UNIT, 0x2900]
    assert nexus.session.nexus(0) is kept
    assert report_luns(nexus) == [0, 3]
    nexus.session.end()
    assert not target.device.logical_units[1].nexuses


def test_a_number_that_leads_elsewhere_is_another_nexus(target: Any, connect: Any) -> None:
    """Both ways its LUN can be written lead there."""
    nexus = connect()
    old = nexus.session.nexus(0)
    nexus.session.nexus(0x4000 << 48)
    follow(target, View({0: 1}))
    assert old in nexus.session.revoked
    assert ready(nexus) == 0x2900
    assert nexus.session.nexus(0x4000 << 48).lu is target.device.logical_units[1]


def test_a_write_on_its_way_to_a_unit_it_has_no_more(target: Any, connect: Any, store: Any) -> None:
    nexus = connect()
    tag = nexus.tag
    (r2t,) = nexus.ask(nexus.write(0, 1, flags=0xA0))
    follow(target, View({0: 1}))
    assert asc(nexus.ask(nexus.data_out(tag, r2t.target_transfer_tag, b"x" * 512, 0))) == NO_UNIT
    assert not any(store.data)


def test_what_may_be_written_changes_without_a_new_nexus(target: Any, connect: Any, store: Any) -> None:
    nexus = connect()
    known = nexus.session.nexus(0)
    for _ in range(2):
        follow(target, View(writable=frozenset({1})))
    assert ready(nexus) == 0x2A01
    assert asc(nexus.ask(nexus.write(0, 1, b"x" * 512))) == 0x2700
    assert nexus.session.nexus(0) is known
    assert not any(store.data)


@pytest.mark.parametrize("view", [None, EVERYTHING])
def test_nothing_changes_for_who_keeps_his_terms(target: Any, connect: Any, view: View | None) -> None:
    """As for one that no rule is about any more: who may log in matters at a login."""
    nexus = connect()
    known = nexus.session.nexus(0)
    follow(target, view)
    assert target.revision == 1
    assert (ready(nexus), nexus.session.nexus(0), nexus.session.revoked) == (0, known, [])


def test_sessions_that_are_being_replaced_follow_too(target: Any, connect: Any) -> None:
    first = connect()
    connect(attention=True)
    follow(target, View({}))
    assert first.session.view == View({})


class TestSeveralConnections:
    """RFC 7143 sections 6.3.1, 6.3.4 and 4.2.2.1."""

    @pytest.mark.rfc7143("6.3.1-4", "11.12.6-1", "4.2.1-1")
    def test_as_many_as_were_agreed_on(self, connect: Any, target: Any) -> None:
        target.max_sessions = 1
        first = connect(max_connections=2)
        second = first.join(1)
        assert second.session is first.session
        assert dict(first.session.connections) == {0: first.connection, 1: second.connection}
        with pytest.raises(LoginFailure, match="its MaxConnections 2") as caught:
            first.join(2)
        assert caught.value.status == 0x0206
        assert not first.end()
        assert second.ask(second.command("00"))[0].status == 0
        assert second.end()
        assert not target.sessions

    @pytest.mark.rfc7143("6.3.1-6", "11.12.6-1")
    @pytest.mark.parametrize(
        "named", [{"tsih": 999}, {"isid": b"ISID02"}, {"group": 2}],
        ids=["another handle", "another initiator port", "another portal group"],
    )
    def test_a_session_that_is_not_there(self, connect: Any, target: Any, named: dict[str, Any]) -> None:
        target.offer((1, 2))
        target.revision = 0
        with pytest.raises(LoginFailure, match="has no session with TSIH") as caught:
            connect(max_connections=2).join(1, **named)
        assert caught.value.status == 0x020A

    def test_a_view_that_is_not_everybodys_any_more(self, connect: Any, target: Any) -> None:
        """Where a session's connections come from, it keeps what there is from all of these places."""
        first = connect(max_connections=2)
        second = first.join(1, peer="10.0.0.9")
        here = {"10.0.0.2": Terms(), "10.0.0.9": Terms(View(writable=frozenset({1})))}
        target.let_in(target.accounts, lambda _: True, lambda asker: here.get(asker.peer))
        assert first.session.view == View(writable=frozenset({1}))
        first.end()
        del here["10.0.0.2"]
        here["10.0.0.9"] = Terms(View({0: 0}))
        target.let_in(target.accounts, lambda _: True, lambda asker: here.get(asker.peer))
        assert second.session.view == View({0: 0}), "the place of the first connection does not count any more"
        del here["10.0.0.9"]
        target.let_in(target.accounts, lambda _: True, lambda asker: here.get(asker.peer))
        assert second.session.view == View({0: 0})

    def test_a_session_that_has_ended(self, connect: Any) -> None:
        first = connect(max_connections=2)
        assert first.end()
        with pytest.raises(LoginFailure) as caught:
            first.join(1)
        assert caught.value.status == 0x020A

    @pytest.mark.rfc7143("9.2-6", "9.2-7")
    def test_nobody_joins_as_another_user(self, connect: Any) -> None:
        with pytest.raises(LoginFailure, match="another user") as caught:
            connect(max_connections=2).join(1, user="joe")
        assert caught.value.status == 0x0208

    def test_who_joins_a_target_that_is_removed(self, connect: Any, node: Any, target: Any) -> None:
        first = connect(max_connections=2)
        node.remove(target)
        with pytest.raises(LoginFailure) as caught:
            first.join(1)
        assert caught.value.status == 0x0204

    @pytest.mark.rfc7143("6.3.1-5", "6.3.4-2", "6.3.4-3", "4.2.1-2", "11.14.5-1", "7.14-2")
    @pytest.mark.parametrize("most", [1, 2])
    def test_the_same_cid_replaces_its_connection(self, connect: Any, store: Any, most: int) -> None:
        """Also where there may be no second one beside it; its tasks end."""
        first = connect(max_connections=most)
        (r2t,) = first.ask(first.write(0, 8))
        again = first.join(0)
        assert again.replaced == [(first.connection,)]
        assert not first.end()
        assert first.answers() == []
        (window,) = again.answers()
        assert (window.opcode, window.max_cmd_sn) == (0x20, again.session.max_cmd_sn)
        (answer,) = again.ask(again.command("00"))
        assert answer.data[14:16] == b"\x47\x7f"
        assert again.ask(again.data_out(r2t.initiator_task_tag, r2t.target_transfer_tag, b"x" * 4096, 0)) == []
        assert again.ask(again.command("00"))[0].status == 0
        assert store.data[:4096] == bytes(4096)
        assert again.end()

    @pytest.mark.rfc7143("6.3.5-1", "6.3.1-3")
    def test_the_same_port_replaces_them_all(self, connect: Any) -> None:
        first = connect(max_connections=2)
        second = first.join(1)
        (replaced,) = connect(attention=True).replaced
        assert set(replaced) == {first.connection, second.connection}

    @pytest.mark.rfc7143("4.2.2.1-5", "4.2.2.1-10", "4.2.5.1-1")
    def test_one_numbering_for_all(self, connect: Any, store: Any) -> None:
        """A request waits for one of another connection; it is executed and answered when that has come."""
        first = connect(max_connections=2)
        second = first.join(1)
        number = first.cmd_sn
        assert second.ask(second.write(0, 1, b"x" * 512, cmd_sn=number + 1)) == []
        (mine,) = first.ask(first.write(0, 2, b"y" * 1024, cmd_sn=number))
        (other,) = second.answers()
        assert (mine.status, other.status) == (0, 0)
        assert other.exp_cmd_sn == number + 2
        assert store.data[:1024] == b"x" * 512 + b"y" * 512

    def test_a_rejected_request_that_waited_is_rejected_where_it_came(self, connect: Any) -> None:
        first = connect(max_connections=2)
        second = first.join(1)
        number = first.cmd_sn
        assert second.ask(second.request(0x06, flags=0x85, cmd_sn=number + 1)) == []
        assert first.ask(first.command("00", cmd_sn=number))[0].status == 0
        (answer,) = second.answers()
        assert answer.opcode == 0x3F

    def test_what_each_settles_for_itself(self, connect: Any) -> None:
        first = connect(max_connections=2)
        second = first.join(1, header_digest=True, data_digest=True, max_xmit_data_segment_length=512)
        assert len(second.ask(second.read(0, 2))) == 2
        assert len(first.ask(first.read(0, 2))) == 1

    def test_nothing_is_sent_from_a_file(self, connect: Any, store: Any) -> None:
        """Reading it could wait for a disk, under the lock of all."""
        store.streams = True
        for most, sent_from_file in ((2, False), (1, True)):
            nexus = connect(isid=bytes(6 * [most]), max_connections=most, max_xmit_data_segment_length=EXTENT_MINIMUM)
            nexus.feed(nexus.read(0, EXTENT_MINIMUM // 512))
            pieces = nexus.connection.take_outbox()
            assert any(isinstance(piece, Extent) for piece in pieces) is sent_from_file
            nexus.connection.sent()


@pytest.mark.rfc7143("7.4.2.1-1", "7.4.2.1-2")
def test_a_discovery_session_reinstates_the_one_before_at_its_portal(node: Any, connect: Any) -> None:
    first = connect(discovery=True)
    second = connect(discovery=True)
    other = connect(discovery=True, isid=b"ISID02")
    assert second.replaced == [(first.connection,)]
    assert first.replaced == other.replaced == [()]
    first.session.end()
    third = connect(discovery=True)
    assert third.replaced == [(second.connection,)]
    for nexus in (second, third, other):
        nexus.session.end()
    assert not node._discoveries
    elsewhere = connect(discovery=True)
    elsewhere.session.end()
    assert elsewhere.replaced == [()]
