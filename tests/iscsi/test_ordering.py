"""Functions of many tasks and several connections (RFC 7143 sections 4.2.2.3, 4.2.3.3, 11.6.1)."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.iscsi import ordering, pings
from ietpy.iscsi.pdu import Opcode

ABORT_TASK, ABORT_TASK_SET, CLEAR_TASK_SET, LU_RESET, WARM_RESET, COLD_RESET, NEXUS_RESET = 1, 2, 4, 5, 6, 7, 11
QUERY_TASK, REASSIGN = 9, 8
MANAGED, PINGED = Opcode.TASK_MANAGEMENT_RESPONSE, Opcode.NOP_IN
NO_TAG = 0xFFFFFFFF


@pytest.fixture
def pair(connect: Any) -> tuple[Any, Any]:
    first = connect(max_connections=2, protocol_level=2)
    return first, first.join(7)


def manage(nexus: Any, function: int, **fields: Any) -> bytes:
    request: bytes = nexus.request(Opcode.TASK_MANAGEMENT_REQUEST, flags=0x80 | function, immediate=True, **fields)
    return request


def pong(nexus: Any, ping: Any) -> None:
    """Answer a ping."""
    assert (ping.opcode, ping.initiator_task_tag) == (PINGED, NO_TAG)
    nexus.feed(nexus.request(
        Opcode.NOP_OUT, immediate=True, initiator_task_tag=NO_TAG, target_transfer_tag=ping.target_transfer_tag
    ))


@pytest.mark.rfc7143("4.2.3.3-2", "4.2.2.1-3")
class TestCommandsBeforeAFunction:
    @pytest.mark.parametrize("function", [ABORT_TASK_SET, CLEAR_TASK_SET, LU_RESET])
    def test_are_waited_for_and_ended(self, pair: Any, store: Any, function: int) -> None:
        first, second = pair
        number = first.cmd_sn
        assert first.ask(manage(first, function, cmd_sn=number + 1)) == []
        tag = second.tag
        second.feed(second.write(0, 8, b"x" * 4096, cmd_sn=number, initiator_task_tag=tag))
        answers = second.answers()  # no status, but also that there is room for another command
        assert {each.opcode for each in answers} == {PINGED}
        (ping,) = [each for each in answers if each.target_transfer_tag != NO_TAG]
        pong(second, ping)
        (answer,) = first.answers()
        assert (answer.opcode, answer.response, answer.exp_cmd_sn) == (MANAGED, 0, number + 1)
        assert store.data[:4096] == bytes(4096)

    def test_end_and_those_behind_it_do_not(self, nexus: Any, store: Any) -> None:
        number = nexus.cmd_sn
        assert nexus.ask(manage(nexus, ABORT_TASK_SET, cmd_sn=number + 1)) == []
        assert nexus.ask(nexus.write(8, 8, b"y" * 4096, cmd_sn=number + 1)) == []
        answers = nexus.ask(nexus.write(0, 8, b"x" * 4096, cmd_sn=number))
        assert [each.opcode for each in answers] == [MANAGED, Opcode.SCSI_RESPONSE]
        assert store.data[:8192] == bytes(4096) + b"y" * 4096

    def test_of_one_connection_too(self, nexus: Any) -> None:
        """A gap is left by a request that was rejected."""
        number = nexus.cmd_sn
        assert nexus.ask(manage(nexus, ABORT_TASK_SET, cmd_sn=number + 1)) == []
        answers = nexus.ask(nexus.command("00", cmd_sn=number))
        assert [each.opcode for each in answers] == [MANAGED]

    @pytest.mark.parametrize("function", [WARM_RESET, COLD_RESET, NEXUS_RESET])
    def test_are_taken_for_received_by_what_ends_everything(self, pair: Any, function: int) -> None:
        first, second = pair
        number = first.cmd_sn
        second.feed(second.command("00", cmd_sn=number + 1))
        first.feed(manage(first, function, cmd_sn=number + 2))
        if function == WARM_RESET:
            (ping,) = second.answers()
            pong(second, ping)
        (answer,) = first.answers()
        assert (answer.response, answer.exp_cmd_sn) == (0, number + 2)
        assert second.answers() == []

    def test_are_not_waited_for_from_afar(self, nexus: Any) -> None:
        (answer,) = nexus.ask(manage(nexus, ABORT_TASK_SET, cmd_sn=nexus.cmd_sn + 10))
        assert answer.response == 0

    def test_by_so_many_only(self, nexus: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ordering, "WAITING_LIMIT", 2)
        number = nexus.cmd_sn
        for _ in range(2):
            assert nexus.ask(manage(nexus, ABORT_TASK_SET, cmd_sn=number + 1)) == []
        (answer,) = nexus.ask(manage(nexus, ABORT_TASK_SET, cmd_sn=number + 1))
        assert (answer.opcode, answer.reason) == (Opcode.REJECT, 0x06)
        answers = nexus.ask(nexus.command("00", cmd_sn=number))
        assert [each.opcode for each in answers] == [MANAGED, MANAGED]

    def test_go_with_their_connection(self, pair: Any) -> None:
        first, second = pair
        number = first.cmd_sn
        second.feed(manage(second, ABORT_TASK_SET, cmd_sn=number + 1))
        second.end()
        assert len(first.ask(first.command("00", cmd_sn=number))) == 1
        assert not first.session.managing


@pytest.mark.rfc7143("4.2.3.3-5", "4.2.3.3-7", "11.6.1-2")
class TestTheAnswer:
    def test_waits_until_others_have_arrived(self, pair: Any) -> None:
        first, second = pair
        assert first.ask(manage(first, LU_RESET)) == []
        (ping,) = second.answers()
        pong(second, ping)
        (answer,) = first.answers()
        assert (answer.opcode, answer.response) == (MANAGED, 0)
        pong(second, ping)  # a second time it means nothing
        assert first.answers() == second.answers() == []

    def test_waits_for_all_of_them(self, connect: Any) -> None:
        first = connect(max_connections=3, protocol_level=2)
        others = [first.join(7), first.join(8)]
        assert first.ask(manage(first, LU_RESET)) == []
        for other in others:
            assert first.answers() == []
            (ping,) = other.answers()
            pong(other, ping)
        assert [each.opcode for each in first.answers()] == [MANAGED]

    def test_does_not_wait_for_a_connection_that_ends(self, pair: Any) -> None:
        first, second = pair
        assert first.ask(manage(first, ABORT_TASK_SET)) == []
        second.end()
        (answer,) = first.answers()
        assert answer.response == 0

    def test_does_not_wait_for_ever(self, pair: Any, node: Any) -> None:
        """Somebody looks at the clock: who does not answer the ping has his time."""
        first, second = pair
        told: list[None] = []
        node.memory.watch = lambda: told.append(None)
        assert first.ask(manage(first, LU_RESET)) == []
        assert told
        seconds = pings.ANSWER_SECONDS
        late = [pings.overdue(second.connection, now) for now in (100.0, 99.0 + seconds, 100.0 + seconds)]
        assert late == [False, False, True]
        assert not pings.overdue(first.connection, 100.0)

    def test_is_not_given_to_one_that_has_ended(self, pair: Any) -> None:
        first, second = pair
        assert first.ask(manage(first, ABORT_TASK_SET)) == []
        (ping,) = second.answers()
        first.end()
        pong(second, ping)
        assert first.answers() == []
        assert not first.session.managing

    def test_of_one_task_waits_for_nobody(self, pair: Any) -> None:
        first, second = pair
        tag = first.tag
        first.ask(first.write(0, 8))
        (answer,) = first.ask(manage(first, ABORT_TASK, referenced_task_tag=tag, ref_cmd_sn=first.cmd_sn - 1))
        assert answer.response == 0
        assert second.answers() == []


def test_a_function_whose_tag_became_a_commands_is_rejected(connect: Any) -> None:
    """It waited for that command, which the initiator gave the same tag (section 11.2.1.8)."""
    nexus = connect()
    number, tag = nexus.cmd_sn, nexus.tag
    function = manage(nexus, ABORT_TASK_SET, cmd_sn=number + 1)
    assert nexus.ask(function) == []
    r2t, reject = nexus.ask(nexus.write(0, 8, cmd_sn=number, initiator_task_tag=tag))
    assert (r2t.opcode, r2t.initiator_task_tag) == (Opcode.READY_TO_TRANSFER, tag)
    assert (reject.opcode, reject.reason, reject.data) == (Opcode.REJECT, 0x07, function[:48])
    assert not nexus.session.managing


@pytest.mark.rfc7143("11.5.1-4", "7144:6.3-3")
@pytest.mark.parametrize("function", [ABORT_TASK, QUERY_TASK, REASSIGN])
def test_functions_are_no_tasks(connect: Any, function: int) -> None:
    first = connect(max_connections=2, protocol_level=2, error_recovery_level=2)
    second = first.join(7)
    tag = first.tag
    assert first.ask(manage(first, LU_RESET)) == []
    (answer,) = first.ask(manage(first, function, referenced_task_tag=tag))
    assert answer.response == 255
    (ping,) = second.answers()
    pong(second, ping)
    (answer,) = first.answers()
    assert answer.response == 0


@pytest.mark.rfc7143("7144:6.3-4")
def test_a_nexus_reset_ends_all_connections(connect: Any) -> None:
    first = connect(max_connections=2, protocol_level=2, error_recovery_level=2)
    second = first.join(7)
    (answer,) = first.ask(manage(first, NEXUS_RESET))
    assert answer.response == 0
    for each in (first, second):
        assert each.connection.closing
        assert not each.connection.recoverable
