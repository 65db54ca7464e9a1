"""What SCSI devices ask of the server: quiet moments, jobs in the background, tasks of others aborted."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.async_messages import Event
from ietpy.iscsi.pdu import Opcode
from ietpy.iscsi.target import TargetNode
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.status import Status
from ietpy.server import listener
from ietpy.server.services import Jobs

READ_10 = bytes.fromhex("28 00 00000000 00 0008 00")
READ_4_MIB = bytes.fromhex("28 00 00000000 00 2000 00")
WRITE_10 = bytes.fromhex("2a 00 00000000 00 0008 00")
OTHER = bytes.fromhex("800000000002")

Eventually = Callable[[Callable[[], bool]], None]


def in_a_thread(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


class TestQuiesce:
    @pytest.fixture
    def slow(self, served: Any, slow_command: Any) -> tuple[threading.Event, threading.Event]:
        """A connection's own thread executes one TEST UNIT READY from the first event until the second."""
        client = served.connect()
        inside, go_on = slow_command(0)
        client.submit(0, bytes(6))
        assert inside.wait(20)
        return inside, go_on

    def test_without_sessions_it_is_quiet(self, served: Any) -> None:
        served.target.device.quiesce()

    def test_idle_sessions_are_not_waited_for(self, served: Any) -> None:
        served.connect()
        served.connect(isid=OTHER)
        served.target.device.quiesce()

    def test_a_task_that_is_executed_in_place_is(self, served: Any, slow: Any) -> None:
        _, go_on = slow
        quiet = threading.Event()
        (pump,) = served.server._pumps
        thread = in_a_thread(lambda: (served.target.device.quiesce(), quiet.set()))
        while not pump.line.inbox:
            pass
        assert not quiet.is_set()
        go_on.set()
        thread.join(20)
        assert quiet.is_set()

    def test_also_of_a_session_that_is_being_replaced(self, served: Any, slow: Any) -> None:
        _, go_on = slow
        (pump,) = served.server._pumps
        new = served.dial()
        login = in_a_thread(lambda: new.login(LoginPlan(target=served.target.name)))
        while not served.target.ending:
            pass
        thread = in_a_thread(served.target.device.quiesce)
        while not pump.line.inbox:
            pass
        assert thread.is_alive()
        go_on.set()
        thread.join(20)
        assert not thread.is_alive()
        login.join(20)

    def test_one_that_fails_meanwhile_keeps_nobody_waiting(
        self, served: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        inside, go_on = threading.Event(), threading.Event()
        client = served.connect()

        def broken(unit: LogicalUnit, task: Any) -> bool:
            inside.set()
            assert go_on.wait(20)
            raise ZeroDivisionError

        monkeypatch.setattr(LogicalUnit, "execute", broken)
        client.submit(0, bytes(6))
        assert inside.wait(20)
        (pump,) = served.server._pumps
        thread = in_a_thread(served.target.device.quiesce)
        while not pump.line.inbox:
            pass
        go_on.set()
        thread.join(20)
        assert not thread.is_alive()
        assert "internal error" in caplog.text

    def test_a_task_on_a_worker_is_not(self, served: Any) -> None:
        client = served.connect()
        served.store.hold()
        tag = client.submit(0, READ_10, read=4096)
        assert served.store.entered.acquire(timeout=20)
        served.target.device.quiesce()
        served.store.open_gate()
        assert client.wait(tag).status == 0

    @pytest.mark.parametrize("staged", [False, True], ids=["at the end of the batch", "in its middle"])
    def test_nor_is_a_peer_that_does_not_read(
        self, served: Any, staged: bool, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
    ) -> None:
        if staged:
            monkeypatch.setattr(served.store, "extent", lambda offset, length: None)
        client = served.connect()
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        (pump,) = served.server._pumps
        for _ in range(16):
            client.session.command(0, READ_4_MIB, read=4 << 20)
        client._flush()  # one batch
        eventually(lambda: pump.egress.busy and pump.line.lock.locked())
        began = time.monotonic()
        served.target.device.quiesce()
        assert time.monotonic() - began < 10  # and not the 30 seconds after which it is given up
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()


class TestJobs:
    @pytest.fixture
    def jobs(self) -> Jobs:
        self.delayed = 0

        def delayed() -> None:
            self.delayed += 1

        return Jobs(delayed)

    def test_they_run_beside_commands_and_hold_their_unit(self, served: Any, eventually: Eventually) -> None:
        begun, go_on = threading.Event(), threading.Event()

        def job() -> None:
            begun.set()
            assert go_on.wait(20)

        client = served.connect()
        device, unit = served.target.device, served.lu
        device.background(unit, job)
        assert begun.wait(20)
        client.test_unit_ready(0)
        assert not device.ending(unit)
        device.remove(0)
        assert device.ending(unit)
        busy = served.server.under_way(unit)
        for _ in range(3):
            assert busy()
        go_on.set()
        eventually(lambda: not busy())

    def test_one_begun_by_the_last_command_holds_the_unit_too(self, served: Any, eventually: Eventually) -> None:
        """It is asked for after the removal, by a command that was under way."""
        served.lu.set_write_cache(False)
        client = served.connect()
        go_on = threading.Event()
        write = served.store.write

        def writing(*arguments: Any) -> None:
            write(*arguments)
            served.target.device.background(served.lu, lambda: assert_true(go_on.wait(20)))

        served.store.write = writing
        served.store.hold()
        tag = client.submit(0, WRITE_10, write=bytes(4096))
        assert served.store.entered.acquire(timeout=20)
        unit = served.target.device.remove(0)
        busy = served.server.under_way(unit)
        served.store.open_gate()
        assert client.wait(tag).status == 0
        for _ in range(20):
            assert busy()
        go_on.set()
        eventually(lambda: not busy())

    def test_commands_are_over_before_one_looks_for_jobs(self, served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A command that ends between the two looks may have begun one."""
        go_on = threading.Event()

        def still_busy(pumps: object, unit: Any) -> Callable[[], bool]:
            def busy() -> bool:
                if not served.server._jobs.under_way(unit):
                    served.target.device.background(unit, lambda: assert_true(go_on.wait(20)))
                return False

            return busy

        monkeypatch.setattr(listener, "still_busy", still_busy)
        assert served.server.under_way(served.lu)()
        go_on.set()

    def test_the_end_waits_for_them_and_they_hear_of_it(self, served: Any) -> None:
        device, ended = served.target.device, threading.Event()

        def job() -> None:
            turn = threading.Event()
            while not device.ending(served.lu):
                turn.wait(0.001)
            ended.set()

        device.background(served.lu, job)
        assert not ended.is_set()
        assert served.server.stop(20)
        assert ended.is_set()
        device.background(served.lu, lambda: 1 // 0)  # not any more
        assert served.server.stop(20)

    def test_one_that_does_not_listen_makes_the_end_unclean(self, served: Any) -> None:
        begun, go_on = threading.Event(), threading.Event()
        served.target.device.background(served.lu, lambda: (begun.set(), go_on.wait(20)))
        assert begun.wait(20)
        assert not served.server.stop(0.1)
        go_on.set()
        assert served.server.stop(20)

    def test_a_mistake_is_logged(self, served: Any, caplog: pytest.LogCaptureFixture, eventually: Eventually) -> None:
        served.target.device.background(served.lu, lambda: 1 // 0)
        eventually(lambda: not served.server._jobs.under_way(served.lu))
        assert f"internal error in the background of LUN 0 of {served.target.name}: ZeroDivisionError" in caplog.text

    def test_before_the_start_they_wait(self, served: Any, jobs: Jobs, eventually: Eventually) -> None:
        """A daemon forks before its threads begin."""
        done = threading.Event()
        jobs.begin(served.lu, done.set)
        assert jobs.under_way(served.lu)
        assert not jobs.waiting
        assert not done.is_set()
        assert jobs.start()
        assert done.wait(20)
        eventually(lambda: not jobs.under_way(served.lu))
        assert self.delayed == 0

    def test_without_threads_they_wait(
        self, served: Any, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
    ) -> None:
        def none(thread: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        assert jobs.start()
        done = threading.Event()
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", none)
            jobs.begin(served.lu, done.set)
        assert (jobs.waiting, self.delayed) == (True, 1)
        assert jobs.under_way(served.lu)
        assert jobs.start()
        assert done.wait(20)
        eventually(lambda: not jobs.under_way(served.lu))

    def test_the_listener_tries_again(
        self, served: Any, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
    ) -> None:
        real = threading.Thread.start

        def scarce(thread: threading.Thread) -> None:
            if thread.name.startswith("background"):
                monkeypatch.setattr(threading.Thread, "start", real)
                raise RuntimeError("can't start new thread")
            real(thread)

        monkeypatch.setattr(threading.Thread, "start", scarce)
        done = threading.Event()
        served.target.device.background(served.lu, done.set)
        assert done.wait(20)

    def test_those_that_wait_are_forgotten_at_the_end(self, served: Any, jobs: Jobs) -> None:
        jobs.begin(served.lu, lambda: 1 // 0)
        jobs.stop()
        assert jobs.start()
        assert not jobs.under_way(served.lu)
        assert jobs.join(0)


def assert_true(value: object) -> None:
    assert value


def test_targets_that_come_later_are_served_too(served: Any) -> None:
    """``IscsiNode.add`` tells the server before anybody can find the target."""
    device = ScsiDevice("iqn.2026-11.test.server:later", threading.RLock())
    served.node.add(TargetNode(device.name, device))
    done = threading.Event()
    device.background(served.lu, done.set)
    assert done.wait(20)
    assert not device.stopping()


class TestPreemption:
    """PREEMPT AND ABORT (SPC-4 section 5.13.11.2.6), with real reservations."""

    REGISTER, RESERVE, PREEMPT_AND_ABORT = 0, 1, 5

    def reserve_out(self, client: Any, action: int, key: int, other: int, kind: int = 5) -> int:
        cdb = bytes((0x5F, action, kind, 0, 0, 0, 0, 0, 24, 0))
        parameters = key.to_bytes(8, "big") + other.to_bytes(8, "big") + bytes(8)
        tag: int = client.submit(0, cdb, write=parameters)
        return tag

    @pytest.fixture
    def clients(self, served: Any) -> tuple[Any, Any]:
        """Two registered ones; the second holds a reservation, write exclusive for registrants."""
        served.target.wthreads = 2
        first, second = served.connect(), served.connect(isid=OTHER)
        for key, client in ((1, first), (2, second)):
            assert client.wait(self.reserve_out(client, self.REGISTER, 0, key)).status == 0
        assert second.wait(self.reserve_out(second, self.RESERVE, 2, 0)).status == 0
        return first, second

    def begun(self, served: Any) -> bool:
        """Whether the task of the preempted one is marked as aborted."""
        return self.aborted(served)[OTHER] == [True]

    def aborted(self, served: Any) -> dict[bytes, list[bool]]:
        """Whether they are aborted, of each session's tasks on workers."""
        sessions = list(served.target.sessions.values())
        return {each.isid: [bool(task.aborted_by) for task in list(each.running)] for each in sessions}

    @pytest.mark.parametrize("tas", [False, True])
    def test_it_is_answered_when_their_tasks_have_ended(
        self, served: Any, clients: Any, tas: bool, eventually: Eventually
    ) -> None:
        """Without a worker that waits: the other one goes on meanwhile."""
        first, second = clients
        served.lu.task_aborted_status = tas
        served.store.hold()
        reading = second.submit(0, READ_10, read=4096)
        assert served.store.entered.acquire(timeout=20)
        preempting = self.reserve_out(first, self.PREEMPT_AND_ABORT, 1, 2)
        eventually(lambda: self.begun(served))
        allowed = first.submit(0, READ_10, read=4096)
        assert served.store.entered.acquire(timeout=20)
        first.ping()
        assert preempting not in first.session.results
        served.store.open_gate()
        assert first.wait(preempting).status == 0
        assert first.wait(allowed).status == 0
        if tas:
            assert second.wait(reading).status == Status.TASK_ABORTED
        assert second.command(0, bytes(6)).status == Status.CHECK_CONDITION  # and no answer to the read before it

    def test_where_there_is_nothing_to_abort(self, served: Any, clients: Any) -> None:
        first, _ = clients
        assert first.wait(self.reserve_out(first, self.PREEMPT_AND_ABORT, 1, 2)).status == 0
        assert not any(pump.connection.session.begun or pump.parked.running for pump in served.server._pumps)

    def test_it_needs_no_worker_while_it_waits(self, served: Any, clients: Any) -> None:
        """Of its own connection's commands, too: they wait for the only worker when it aborts them."""
        first, _ = clients
        served.target.wthreads = 1
        served.server.follow(served.target)
        served.store.hold()
        (pump,) = (pump for pump in served.server._pumps if pump.connection.session.isid != OTHER)
        cdb = bytes((0x5F, self.PREEMPT_AND_ABORT, 5, 0, 0, 0, 0, 0, 24, 0))
        preempting = first.session.command(0, cdb, write=(b"\0" * 7 + b"\1") * 2 + bytes(8))
        for _ in range(3):
            first.session.command(0, READ_10, read=4096)
        assert first.wait(preempting).status == 0  # all of them came in one batch
        assert not pump.parked
        assert pump.connection.session.running == set()

    def test_it_is_reset_meanwhile(self, served: Any, clients: Any, eventually: Eventually) -> None:
        """It ends without an answer, and the reset is answered."""
        first, second = clients
        third = served.connect(isid=bytes.fromhex("800000000003"))
        served.store.hold()
        second.submit(0, READ_10, read=4096)
        assert served.store.entered.acquire(timeout=20)
        preempting = self.reserve_out(first, self.PREEMPT_AND_ABORT, 1, 2)
        eventually(lambda: self.begun(served))
        reset = third.session.manage(5, 0)
        third._flush()
        eventually(lambda: [mark for marks in self.aborted(served).values() for mark in marks] == [True] * 2)
        assert reset not in third.session.results
        served.store.open_gate()
        assert third.wait(reset) == 0
        assert first.command(0, bytes(6)).status == Status.CHECK_CONDITION
        assert preempting not in first.session.results
        assert not any(pump.connection.session.begun for pump in served.server._pumps)


def test_word_left_while_a_login_is_served_is_read(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener holds the lock of a connection without a thread, which then waits for the session it replaces."""
    old = served.connect()
    served.store.hold()
    old.submit(0, READ_10, read=4096)
    assert served.store.entered.acquire(timeout=20)
    read = threading.Event()
    inner = served.server.node.find

    def find(*arguments: Any) -> Any:
        for login in served.server._logins._open.values():
            assert login.pump.line.lock.locked()
            login.pump.line.post(read.set)
        assert not read.is_set()
        return inner(*arguments)

    monkeypatch.setattr(served.server.node, "find", find)
    new = served.dial()
    login = in_a_thread(lambda: new.login(LoginPlan(target=served.target.name)))
    assert read.wait(10)
    served.store.open_gate()
    login.join(20)


@pytest.mark.rfc7143("11.9.3-1")
def test_initiators_hear_of_luns_that_come_and_go(served: Any) -> None:
    """At once, by one message; the unit attention stays for the next command."""
    clients = [served.connect(isid=bytes((0x80, 0, 0, 0, 0, number))) for number in range(2)]
    device = served.target.device
    device.add(3, LogicalUnit(served.store, iet_identity(served.target.name, 3), device=device, number=3))
    for client in clients:
        pdu = client.receive_pdu()
        assert (pdu.opcode, pdu.header["async_event"], pdu.header["lun"]) == (Opcode.ASYNC_MESSAGE, Event.SCSI, 0)
        assert pdu.data[2 + 12 : 2 + 14] == b"\x3f\x0e"
        response = client.command(0, bytes(6))
        assert (response.status, response.sense[12:14]) == (2, b"\x3f\x0e")
    device.remove(3)
    for client in clients:
        assert client.receive_pdu().header["async_event"] == Event.SCSI


class TestFaults:
    @pytest.fixture(autouse=True)
    def _details(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "ietpy")

    def test_why_a_medium_failed_is_logged(self, served: Any, caplog: pytest.LogCaptureFixture) -> None:
        served.write_through()
        served.store.fail = 28
        client = served.connect()
        assert client.command(0, WRITE_10, write=bytes(4096)).status == Status.CHECK_CONDITION
        (record,) = [record for record in caplog.records if record.event.code == "io-failed"]
        assert record.getMessage() == f"LUN 0 of {served.target.name}: WRITE(10) failed: injected"
        assert record.facts == {"target": served.target.name, "lun": 0, "command": "WRITE(10)", "errno": 28}

    def test_a_rejected_request_is_logged(self, served: Any, caplog: pytest.LogCaptureFixture) -> None:
        client = served.connect()
        client.send_pdu(client.make(0x1F))
        assert client.receive_pdu().opcode == Opcode.REJECT
        (record,) = [record for record in caplog.records if record.event.code == "request-rejected"]
        assert record.getMessage() == "127.0.0.1: a request is rejected (reason 0x05): opcode 0x1f in this phase"
        assert record.peer == "127.0.0.1"
