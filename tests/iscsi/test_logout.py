"""Logout of sessions and of connections, one's own and others (RFC 7143 sections 11.14, 11.15)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi import deferred
from ietpy.iscsi.pdu import Opcode
from ietpy.scsi.task import Task


@pytest.mark.rfc7143("11.15.2-1", "11.15-1", "4.3-1")
@pytest.mark.parametrize(
    ("reason", "cid", "response", "closes"),
    [
        pytest.param(0, 0, 0, True, id="close the session"),
        pytest.param(1, 0, 0, True, id="close the connection"),
        pytest.param(1, 5, 1, False, id="no such connection"),
        pytest.param(2, 0, 2, False, id="recovery is not supported"),
    ],
)
def test_logout(nexus: Any, reason: int, cid: int, response: int, closes: bool) -> None:
    (answer,) = nexus.ask(nexus.request(Opcode.LOGOUT_REQUEST, flags=0x80 | reason, cid=cid))
    assert (answer.opcode, answer.response) == (Opcode.LOGOUT_RESPONSE, response)
    assert nexus.connection.closing is closes
    assert nexus.connection.problem == ""


@pytest.mark.rfc7143("4.3-1", "4.3-2")
@pytest.mark.parametrize("reason", [0, 1, 2, 3])
def test_a_discovery_session_is_closed_as_a_whole(connect: Any, reason: int) -> None:
    nexus = connect(discovery=True)
    (answer,) = nexus.ask(nexus.request(Opcode.LOGOUT_REQUEST, flags=0x80 | reason))
    assert answer.opcode == (Opcode.REJECT if reason else Opcode.LOGOUT_RESPONSE)
    assert (answer.reason == 5) if reason else (answer.response == 0)
    assert nexus.connection.closing is (not reason)


@pytest.mark.rfc7143("11.14-3")
def test_nothing_is_taken_after_logout(nexus: Any) -> None:
    (answer,) = nexus.ask(nexus.request(Opcode.LOGOUT_REQUEST, flags=0x80) + nexus.command("00"))
    assert answer.opcode == Opcode.LOGOUT_RESPONSE


@pytest.mark.rfc7143("11.14-1")
def test_logout_ends_the_commands_before_it(nexus: Any, store: Any) -> None:
    """Of its own batch and on workers: their answers would follow the Logout Response (section 11.14)."""
    store.waits = True
    assert nexus.ask(nexus.read(0, 1)) == []
    (answer,) = nexus.ask(nexus.read(0, 1) + nexus.request(Opcode.LOGOUT_REQUEST, flags=0x80))
    assert answer.opcode == Opcode.LOGOUT_RESPONSE
    assert nexus.work() == nexus.answers() == []
    assert not nexus.session.running


class TestSeveralConnections:
    @pytest.fixture
    def pair(self, connect: Any) -> tuple[Any, Any]:
        first = connect(max_connections=2)
        return first, first.join(7)

    @pytest.mark.rfc7143("11.14-1", "11.15-1")
    def test_closing_the_session_closes_them_all(self, pair: Any, store: Any) -> None:
        first, second = pair
        store.waits = True
        second.feed(second.read(0, 1))
        (answer,) = first.ask(first.request(Opcode.LOGOUT_REQUEST, flags=0x80))
        assert (answer.opcode, answer.response) == (Opcode.LOGOUT_RESPONSE, 0)
        assert first.connection.closing
        assert second.connection.closing
        assert second.work() == second.answers() == []
        assert not second.end()
        assert first.end()

    @pytest.mark.rfc7143("11.14-1")
    def test_closing_a_connection_leaves_the_others(self, pair: Any) -> None:
        first, second = pair
        (answer,) = second.ask(second.request(Opcode.LOGOUT_REQUEST, flags=0x81, cid=7))
        assert answer.response == 0
        assert not second.end()
        (answer,) = first.ask(first.command("00"))
        assert answer.status == 0

    @pytest.mark.rfc7143("11.14-3")
    def test_nothing_is_taken_from_one_that_was_logged_out_by_another(self, pair: Any) -> None:
        """Its bytes were on their way to us; the initiator may have written there by the other connection since."""
        first, second = pair
        first.feed(first.request(Opcode.LOGOUT_REQUEST, flags=0x81, cid=7))
        stream = second.write(0, 1, bytes(512)) + second.write(0, 1, bytes(512))
        second.connection.space()[: len(stream)] = stream
        number = second.session.exp_cmd_sn
        assert second.connection.received(len(stream)) == []
        assert second.session.exp_cmd_sn == number

    @pytest.mark.rfc7143("11.14-1", "11.14.5-1", "11.15-1")
    def test_another_connection_is_answered_for_when_its_tasks_have_ended(self, pair: Any, store: Any) -> None:
        first, second = pair
        store.waits = True
        second.feed(second.read(0, 1))
        assert first.ask(first.request(Opcode.LOGOUT_REQUEST, flags=0x81, cid=7)) == []
        assert second.connection.closing
        store.waits = False
        assert first.ask(first.command("00"))[0].status == 0
        second.work()
        assert not second.end()
        answer, window = first.answers()
        assert (answer.opcode, answer.response, second.answers()) == (Opcode.LOGOUT_RESPONSE, 0, [])
        assert window.opcode == Opcode.NOP_IN
        (answer,) = first.ask(first.command("00"))
        assert (answer.status, answer.data[14:16]) == (2, b"\x47\x7f")

    def test_each_is_answered_for_the_one_it_named(self, connect: Any) -> None:
        first = connect(max_connections=3)
        second, third = first.join(7), first.join(8)
        for cid in (7, 8):
            assert first.ask(first.request(Opcode.LOGOUT_REQUEST, flags=0x81, cid=cid, immediate=True)) == []
        for each in (third, second):
            each.end()
            assert [answer.response for answer in first.answers()] == [0]

    def test_what_others_have_in_the_batch_stays(self, pair: Any) -> None:
        """The connection breaks off while tasks of both wait to be executed."""
        first, second = pair
        tag = second.tag
        number = first.cmd_sn
        second.feed(second.command("00", cmd_sn=number + 1))
        first.feed(first.command("00", cmd_sn=number), execute=False)
        first.session.ready.extend(self.left_behind(first, second))
        first.end()
        assert [task.tag for task in first.session.ready] == [tag]

    @staticmethod
    def left_behind(first: Any, second: Any) -> list[Any]:
        """Tasks of both, the first with a place in the task set."""
        tasks = []
        for nexus, tag in ((first, 999), (second, second.tag - 2)):
            task = Task()
            task.nexus, task.connection, task.tag = first.session.nexus(0), nexus.connection, tag
            tasks.append(task)
        with first.session.device.lock:
            tasks[0].nexus.lu.tasks.expect(tasks[0])
        return tasks

    def test_those_who_have_left_are_passed_over(self, connect: Any) -> None:
        first = connect(max_connections=4)
        second, third, fourth = first.join(7), first.join(8), first.join(9)
        for asker in (second, third):
            asker.feed(asker.request(Opcode.LOGOUT_REQUEST, flags=0x81, cid=9, immediate=True))
        second.end()
        fourth.end()
        assert second.answers() == []
        assert [answer.response for answer in third.answers()] == [0]

    def test_tasks_of_the_others_go_on(self, pair: Any, store: Any) -> None:
        first, second = pair
        tag = second.tag
        (r2t,) = second.ask(second.write(0, 8))
        assert not deferred.has_tasks(second.connection)  # of those that wait for others, that is
        first.end()
        (answer,) = second.ask(second.data_out(tag, r2t.target_transfer_tag, b"y" * 4096, 0))
        assert answer.status == 0
        assert store.data[:4096] == b"y" * 4096

    def test_who_has_tasks_that_wait_for_others(self, connect: Any) -> None:
        first = connect(max_connections=2, error_recovery_level=2)
        second = first.join(7)
        first.feed(first.write(0, 8))
        second.feed(second.write(0, 1, b"o" * 512, attribute=2))
        assert [deferred.has_tasks(each.connection) for each in (first, second)] == [False, True]
        second.connection.stranded = True
        assert not deferred.has_tasks(second.connection)

    def test_nobody_is_answered_who_has_left_himself(self, connect: Any) -> None:
        first = connect(max_connections=3)
        second, third = first.join(7), first.join(8)
        assert first.ask(first.request(Opcode.LOGOUT_REQUEST, flags=0x81, cid=7)) == []
        assert not third.end()
        assert first.answers() == []
        assert not first.end()
        assert second.end()
        assert first.answers() == []

    @pytest.mark.rfc7143("11.14-1")
    def test_requests_before_their_turn_are_discarded_with_their_connection(self, pair: Any) -> None:
        first, second = pair
        number = first.cmd_sn
        second.feed(second.command("00", cmd_sn=number + 1))
        second.feed(second.request(Opcode.LOGOUT_REQUEST, flags=0x81, cid=7, immediate=True))
        second.end()
        (answer,) = first.ask(first.command("00", cmd_sn=number))
        assert answer.exp_cmd_sn == number + 1
