"""SIMPLE, ORDERED and HEAD OF QUEUE (SAM-5 sections 8.2 to 8.6) with sockets and workers; how waiting ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ietpy.initiator.login import LoginPlan
from ietpy.iscsi import pings
from ietpy.scsi.status import Status, TaskAttribute

SIMPLE, ORDERED, HEAD = TaskAttribute.SIMPLE, TaskAttribute.ORDERED, TaskAttribute.HEAD_OF_QUEUE
OTHER, THIRD = bytes.fromhex("800000000002"), bytes.fromhex("800000000003")
#: A login whose writes wait for their data: nothing comes without an R2T, and a test that reads none sends none.
SOLICITED = {"InitialR2T": "Yes", "ImmediateData": "No"}
LU_RESET = 5

Eventually = Callable[[Callable[[], bool]], None]


def read(client: Any, block: int, attribute: int = SIMPLE, blocks: int = 8) -> int:
    cdb = b"\x28\0" + block.to_bytes(4, "big") + b"\0" + blocks.to_bytes(2, "big") + b"\0"
    tag: int = client.submit(0, cdb, read=blocks * 512, attribute=attribute)
    return tag


def write(client: Any, block: int, attribute: int = SIMPLE, data: bytes = b"w" * 4096) -> int:
    cdb = b"\x2a\0" + block.to_bytes(4, "big") + b"\0" + (len(data) // 512).to_bytes(2, "big") + b"\0"
    tag: int = client.submit(0, cdb, write=data, attribute=attribute)
    return tag


@pytest.fixture
def log(served: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """("begin" or "end", block) of everything workers ask of the store."""
    noted: list[tuple[str, int]] = []

    def noting(call: Callable[..., None]) -> Callable[..., None]:
        def noted_call(offset: int, *arguments: Any) -> None:
            noted.append(("begin", offset // 512))
            call(offset, *arguments)
            noted.append(("end", offset // 512))

        return noted_call

    for name in ("read", "write"):
        monkeypatch.setattr(served.store, name, noting(getattr(served.store, name)))
    return noted


@pytest.fixture
def nothing_left(served: Any) -> Iterator[None]:
    """After the test: no place is taken, and commands pass without a closer look."""
    yield
    assert not served.lu.tasks._places
    assert not served.lu.gates


@pytest.fixture
def dormant(served: Any, eventually: Eventually) -> Callable[[int], None]:
    """dormant(count): wait until so many tasks of the target wait for others."""

    def wait(count: int) -> None:
        eventually(lambda: sum(
            len(session.dormant) for session in (*served.target.sessions.values(), *served.target.ending)
        ) == count)

    return wait


def expecting(served: Any) -> int:
    """How many tasks wait for data."""
    return sum(len(session.tasks) for session in list(served.target.sessions.values()))


pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize("connections", [1, 2])
def test_ordered_between_simple_ones(
    served: Any, log: list[tuple[str, int]], connections: int, dormant: Callable[[int], None], eventually: Eventually
) -> None:
    served.lu.set_write_cache(False)
    client = served.connect()
    other = client if connections == 1 else served.connect(isid=OTHER)
    served.store.hold()
    simple = [read(client, 0), read(client, 8)]
    eventually(lambda: len(log) == 2)
    ordered = write(other, 16, ORDERED)
    dormant(1)
    behind = [read(client, 24), write(other, 32)]
    dormant(3)
    assert {block for _, block in log} == {0, 8}
    served.store.open_gate()
    for who, tags in ((client, simple), (other, [ordered]), (client, behind[:1]), (other, behind[1:])):
        assert [who.wait(tag).status for tag in tags] == [0] * len(tags)
    middle = log.index(("begin", 16))
    assert {block for what, block in log[:middle] if what == "end"} == {0, 8}
    assert log[middle + 1] == ("end", 16)
    assert {block for _, block in log[middle + 2 :]} == {24, 32}


def test_head_of_queue_overtakes(
    served: Any, log: list[tuple[str, int]], dormant: Callable[[int], None], eventually: Eventually
) -> None:
    served.target.wthreads = 1
    client = served.connect()
    (pump,) = served.server._pumps
    served.store.hold()
    tags = [read(client, 0), read(client, 8)]
    eventually(lambda: log == [("begin", 0)] and len(pump.parked) == 1)
    tags.append(read(client, 16, ORDERED))
    dormant(1)
    tags.append(read(client, 24, HEAD))
    eventually(lambda: len(pump.parked) == 2)
    served.store.open_gate()
    assert [client.wait(tag).status for tag in tags] == [0] * 4
    assert [block for what, block in log if what == "begin"] == [0, 24, 8, 16]


def test_what_a_read_was_promised_is_sent_before_an_ordered_write(served: Any) -> None:
    """A large read is sent from the file itself, and the write is executed in place."""
    client = served.connect()
    client.write(0, 0, b"o" * 262144)
    (pump,) = served.server._pumps
    with pump.line.lock:  # so that both are in one batch
        first = read(client, 0, blocks=512)
        second = write(client, 0, ORDERED, b"n" * 262144)
        third = read(client, 0, blocks=512)
    assert client.wait(first).data == b"o" * 262144
    assert client.wait(second).status == 0
    assert client.wait(third).data == b"n" * 262144


def test_an_initiator_that_never_answers_is_given_up(
    served: Any, monkeypatch: pytest.MonkeyPatch, dormant: Callable[[int], None], eventually: Eventually
) -> None:
    """By the others, too, whose ORDERED tasks wait for the same."""
    client, other = served.connect(), served.connect(isid=OTHER)
    read(client, 0, blocks=512)
    write(client, 0, ORDERED)
    dormant(1)
    tag = write(other, 8, ORDERED)
    dormant(2)
    monkeypatch.setattr(pings, "ANSWER_SECONDS", 0)
    assert other.wait(tag).status == 0
    eventually(lambda: len(served.target.sessions) == 1)
    eventually(lambda: not served.server._attentive)


def test_an_ordered_read_is_over_before_a_write_behind_it(served: Any) -> None:
    client = served.connect()
    client.write(0, 0, b"o" * 131072)
    (pump,) = served.server._pumps
    with pump.line.lock:
        first = read(client, 0, ORDERED, blocks=256)
        second = write(client, 0, SIMPLE, b"n" * 131072)
    assert client.wait(first).data == b"o" * 131072
    assert client.wait(second).status == 0


def test_a_batch_that_is_sent_in_parts_keeps_its_order(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Staged reads with ORDERED ones between them: what was executed is not executed again."""
    monkeypatch.setattr(served.store, "extent", lambda offset, length: None)
    client = served.connect()
    (pump,) = served.server._pumps
    with pump.line.lock:
        tags = [read(client, 0, (SIMPLE, ORDERED)[number % 2], blocks=4096) for number in range(6)]
    assert [client.wait(tag).status for tag in tags] == [0] * 6


class TestEnds:
    """Of a task that others wait for, because it waits for its data."""

    @pytest.fixture
    def client(self, served: Any) -> Any:
        return served.connect(isid=THIRD)

    @pytest.fixture
    def holder(self, served: Any, client: Any, eventually: Eventually) -> Any:
        """Another client, with an ORDERED write that waits for its data."""
        holder = served.connect(isid=OTHER, keys=SOLICITED)
        write(holder, 0, ORDERED)
        eventually(lambda: expecting(served) == 1)
        return holder

    @pytest.fixture
    def waiter(self, client: Any, holder: Any, dormant: Callable[[int], None]) -> tuple[Any, int]:
        """The first client, and its command that waits for that write."""
        tag = read(client, 8)
        dormant(1)
        return client, tag

    def test_its_data_come(self, waiter: Any, holder: Any) -> None:
        client, tag = waiter
        assert holder.wait(next(iter(holder.session._flying))).status == 0
        assert client.wait(tag).status == 0

    def test_its_data_never_come(
        self, served: Any, waiter: Any, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
    ) -> None:
        monkeypatch.setattr(pings, "ANSWER_SECONDS", 0)
        client, tag = waiter
        assert client.wait(tag).status == 0
        eventually(lambda: not served.server._attentive)

    def test_its_connection_is_lost(self, waiter: Any, holder: Any) -> None:
        client, tag = waiter
        holder.close()
        assert client.wait(tag).status == 0

    def test_its_session_logs_out(self, waiter: Any, holder: Any) -> None:
        client, tag = waiter
        holder.logout()
        assert client.wait(tag).status == 0

    def test_its_session_is_replaced(self, served: Any, waiter: Any, holder: Any) -> None:
        client, tag = waiter
        served.connect(isid=OTHER)
        assert client.wait(tag).status == 0

    def test_it_is_reset(self, waiter: Any) -> None:
        client, _ = waiter
        assert client.manage(LU_RESET, 0) == 0
        assert client.command(0, bytes(6)).status == Status.CHECK_CONDITION
        client.test_unit_ready(0)

    def test_it_is_reset_by_a_third(self, served: Any, waiter: Any) -> None:
        third = served.dial()
        third.login(LoginPlan(target=served.target.name, isid=bytes.fromhex("800000000004")))
        assert third.manage(LU_RESET, 0) == 0
        client, _ = waiter
        assert client.command(0, bytes(6)).status == Status.CHECK_CONDITION

    def test_who_waits_is_lost(self, served: Any, waiter: Any, holder: Any, eventually: Eventually) -> None:
        client, _ = waiter
        client.close()
        eventually(lambda: expecting(served) == 1)
        assert holder.wait(next(iter(holder.session._flying))).status == 0
        eventually(lambda: len(served.target.sessions) == 1)

    def test_who_waits_is_replaced(self, served: Any, waiter: Any, eventually: Eventually, holder: Any) -> None:
        new = served.dial()
        new.login(LoginPlan(target=served.target.name, isid=THIRD))  # in its place
        eventually(lambda: len(served.server._pumps) == 2)
        assert holder.wait(next(iter(holder.session._flying))).status == 0

    def test_the_server_stops(self, served: Any, waiter: Any) -> None:
        """What waited is executed and answered, as everything that came."""
        client, tag = waiter
        assert served.server.stop(20)
        assert client.wait(tag).status == 0

    def test_the_unit_is_removed(self, served: Any, waiter: Any, holder: Any, eventually: Eventually) -> None:
        client, tag = waiter
        unit = served.target.device.remove(0)
        busy = served.server.under_way(unit)
        eventually(lambda: not busy())  # neither has begun anything
        assert holder.wait(next(iter(holder.session._flying))).status == Status.CHECK_CONDITION
        assert client.wait(tag).status == Status.CHECK_CONDITION


def test_parked_tasks_of_a_connection_that_closes(
    served: Any, log: list[tuple[str, int]], dormant: Callable[[int], None], eventually: Eventually
) -> None:
    """No worker has begun them, and none will; who waits for them goes on."""
    served.target.wthreads = 1
    client, other = served.connect(), served.connect(isid=OTHER)
    served.store.hold()
    for block in (0, 8, 16):
        read(client, block)
    (pump,) = (each for each in served.server._pumps if each.connection.session.isid != OTHER)
    eventually(lambda: len(pump.parked) == 2)
    ordered = write(other, 24, ORDERED)
    dormant(1)
    served.server.end_connection(pump.connection)
    eventually(lambda: not pump.parked)
    served.store.open_gate()
    assert other.wait(ordered).status == 0
    assert [block for what, block in log if what == "begin"] == [0, 24]


def test_many_at_once_end(served: Any, eventually: Eventually) -> None:
    """Three sessions with all attributes and every kind of task; nothing hangs, nothing is left."""
    served.lu.set_write_cache(False)
    clients = [served.connect(isid=bytes((0x80, 0, 0, 0, 0, number)), keys=SOLICITED) for number in range(3)]
    failed: list[BaseException] = []

    def work(client: Any, seed: int) -> None:
        try:
            for turn in range(30):
                tags = []
                for number in range(8):
                    attribute = (SIMPLE, ORDERED, SIMPLE, HEAD)[(seed + turn + number) % 4]
                    tags.append((write if (seed + number) % 3 else read)(client, number * 8, attribute))
                if turn % 5 == seed:
                    client.manage(2, 0)  # ABORT TASK SET
                    client.session.results.clear()
                else:
                    assert [client.wait(tag).status for tag in tags] == [0] * 8
        except BaseException as problem:
            failed.append(problem)

    threads = [threading.Thread(target=work, args=(client, seed)) for seed, client in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert not any(thread.is_alive() for thread in threads)


def test_tasks_aborted_by_others_are_told(served: Any, eventually: Eventually) -> None:
    """TAS of the control mode page."""
    served.lu.task_aborted_status = True
    client, other = served.connect(), served.connect(isid=OTHER)
    served.store.hold()
    tag = read(client, 0)
    assert served.store.entered.acquire(timeout=20)
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(other.manage(4, 0)))
    thread.start()
    sessions = served.target.sessions.values()
    eventually(lambda: any(task.aborted_by for session in list(sessions) for task in list(session.running)))
    served.store.open_gate()
    thread.join(20)
    assert answers == [0]
    assert client.wait(tag).status == Status.TASK_ABORTED
    client.command(0, bytes(6))
    assert client.command(0, bytes(6)).status == 0


def test_functions_of_the_second_protocol_level(served: Any) -> None:
    client = served.connect(keys={"iSCSIProtocolLevel": "2"})
    served.store.hold()
    tag = read(client, 0)
    assert served.store.entered.acquire(timeout=20)
    assert [client.manage(function, 0, tag) for function in (9, 10, 12)] == [7, 7, 0]
    reset = client.session.manage(11)
    client.ping()
    assert reset not in client.session.results
    served.store.open_gate()
    assert client.wait(reset) == 0
    assert client.closed_by_target()


def test_without_it_they_are_not_supported(served: Any) -> None:
    client = served.connect()
    assert [client.manage(function, 0) for function in (9, 10, 11, 12)] == [5] * 4
