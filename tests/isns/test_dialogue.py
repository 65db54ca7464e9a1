"""One round after another with a server that loses answers: what is said again, and what is not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from ietpy.isns.attributes import IsnsError, Tag
from ietpy.isns.dialogue import Complaints, Dialogue, batches
from ietpy.isns.message import Flag, Function, Message, Status
from ietpy.isns.network import Network
from tests.isns.conftest import STILL, A, B, Clock
from tests.isns.server import IsnsServer

SILENT = b""


class Round:
    """A dialogue in the test's own thread."""

    def __init__(self, server: IsnsServer, address: str = "") -> None:
        self.clock = Clock()
        self.network = Network(self.clock, 60)
        server.on_silence = self.let_time_pass
        self.changes = 0
        self.dialogue = Dialogue(
            self.network,
            STILL,
            self.clock,
            Complaints("isns.test"),
            portal_port=3260,
            portal_address=address,
            find=lambda: [(2, 1, 0, "", ("127.0.0.1", server.port))],
            identify=lambda address: "storage.test",
            interrupted=lambda: False,
            changed=self.change,
        )

    def let_time_pass(self) -> None:
        self.clock.ahead += STILL.answer
        self.network.wake()

    def change(self) -> None:
        self.changes += 1

    def fails(self, step: Callable[[], object], problem: str) -> None:
        """As the client: a step that fails ends the connection."""
        with pytest.raises(IsnsError, match=problem):
            step()
        self.network.hang_up(problem)


@pytest.fixture
def round_(server: IsnsServer) -> Iterator[Round]:
    made = Round(server)
    yield made
    made.network.close()


def said(server: IsnsServer) -> list[str]:
    """Requests so far by name; ``*`` marks a replacing registration."""
    return [
        Function(request.function).name + ("*" if request.flags & Flag.REPLACE else "") for request in server.requests
    ]


def test_nothing_to_register_says_nothing(server: IsnsServer, round_: Round) -> None:
    round_.dialogue.update([])
    round_.dialogue.leave()
    assert round_.network.server is None
    assert said(server) == []


def test_what_is_registered_is_not_registered_again(server: IsnsServer, round_: Round) -> None:
    round_.dialogue.update([A])
    round_.dialogue.update([A])
    round_.dialogue.update([A, B])
    assert said(server) == [
        *("DEV_ATTR_REG*", "SCN_REG"),
        "DEV_ATTR_QRY",
        *("DEV_ATTR_QRY", "DEV_ATTR_REG", "SCN_REG"),
    ]
    assert server.requests[-2].attributes.count((Tag.ISCSI_NAME, A)) == 1, "A is the source only"


def test_a_registration_whose_answer_was_lost_is_made_again(server: IsnsServer, round_: Round) -> None:
    server.faults[Function.DEV_ATTR_REG] = SILENT
    round_.fails(lambda: round_.dialogue.update([A, B]), "no answer to DEV_ATTR_REG came within 5 s")
    server.faults.clear()
    round_.dialogue.update([A])
    assert said(server) == ["DEV_ATTR_REG*", "DEV_ATTR_REG*", "SCN_REG"], "B may be there: it has to be replaced"
    assert server.targets == {A}


def test_only_the_notification_whose_answer_was_lost_is_asked_for_again(server: IsnsServer, round_: Round) -> None:
    server.faults[Function.SCN_REG] = SILENT
    round_.fails(lambda: round_.dialogue.update([A]), "no answer to SCN_REG")
    server.faults.clear()
    round_.dialogue.update([A])
    assert said(server) == ["DEV_ATTR_REG*", "SCN_REG", "DEV_ATTR_QRY", "SCN_REG"]


@pytest.mark.parametrize("left", [[], [B]], ids=["all go", "one goes"])
def test_a_withdrawal_whose_answer_was_lost_is_made_again(server: IsnsServer, round_: Round, left: list[str]) -> None:
    round_.dialogue.update([A, B])
    server.faults[Function.DEV_DEREG] = SILENT
    round_.fails(lambda: round_.dialogue.update(left), "no answer to DEV_DEREG")
    server.faults.clear()
    round_.dialogue.update(left)
    assert server.targets == set(left)
    assert round_.dialogue.known == set(left)


def test_a_registration_lost_while_it_is_renewed_is_made_whole(server: IsnsServer, round_: Round) -> None:
    round_.dialogue.update([A, B])
    server.entities.clear()
    server.faults[Function.DEV_ATTR_REG] = SILENT
    round_.fails(lambda: round_.dialogue.update([A, B]), "no answer to DEV_ATTR_REG")
    server.faults.clear()
    round_.dialogue.update([B])
    assert server.targets == {B}
    assert round_.dialogue.known == {B}


def test_a_server_that_takes_none_of_them_is_a_failure(server: IsnsServer, round_: Round) -> None:
    server.faults[Function.DEV_ATTR_REG] = Status.SOURCE_UNAUTHORIZED
    round_.fails(lambda: round_.dialogue.update([A, B]), "it takes none of the targets")
    assert said(server) == ["DEV_ATTR_REG*"] * 3, "together, then one by one"


def test_an_answer_to_something_else_is_no_answer(server: IsnsServer, round_: Round) -> None:
    round_.dialogue.update([A])
    server.before = [Message(0x8002, (), 0, 999), Message(0x8001, (), 0, 3)]
    server.faults[Function.DEV_ATTR_QRY] = SILENT
    round_.fails(lambda: round_.dialogue.admitted(A), "no answer to DEV_ATTR_QRY")


def test_only_a_notification_is_a_change(server: IsnsServer, round_: Round) -> None:
    round_.dialogue.update([A])
    for function, changes in [(Function.ESI, 0), (Function.HEARTBEAT, 0), (Function.SCN, 1), (Function.SCN, 2)]:
        server.before = [Message(function, ((Tag.ISCSI_NAME, A),))]
        round_.dialogue.update([A])
        assert round_.changes == changes


def test_a_connection_that_is_lost_is_a_failure(server: IsnsServer, round_: Round) -> None:
    round_.dialogue.update([A])
    server.drop_connections()
    round_.fails(lambda: round_.dialogue.admitted(A), "the connection is lost: ")
    round_.fails(lambda: round_.dialogue.admitted(A), "the connection is lost: ")


def test_who_is_not_registered_has_no_initiators(server: IsnsServer, round_: Round) -> None:
    assert round_.dialogue.admitted(A) == frozenset()
    round_.dialogue.update([A])
    assert round_.dialogue.admitted(B) == frozenset()
    assert server.count(Function.DEV_ATTR_QRY) == 0


def test_transactions_are_told_apart_for_ever(server: IsnsServer, round_: Round) -> None:
    round_.dialogue._transaction = 0xFFFE
    round_.dialogue.update([A])
    round_.dialogue.update([A])
    assert [request.transaction for request in server.requests] == [0xFFFF, 1, 2]


@pytest.mark.parametrize(("granted", "keep_alive"), [(300, 100.0), (3, 1.0), (1, 1.0), (0, float("inf"))])
def test_the_period_the_server_grants_is_kept_alive(
    server: IsnsServer, round_: Round, granted: int, keep_alive: float
) -> None:
    server.granted = granted
    round_.dialogue.update([A])
    assert round_.dialogue.keep_alive == keep_alive


def test_complaints_are_made_once(caplog: pytest.LogCaptureFixture) -> None:
    complaints = Complaints("isns.test:3205")
    with caplog.at_level(logging.DEBUG):
        for about, problem in [("x", "one"), ("x", "one"), ("y", "one"), ("x", "two"), ("x", "two")]:
            complaints.log(about, problem, "so what")
        complaints.over("x")
        complaints.over("x")
        complaints.log("x", "two", "so what")
    warned = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert warned == [f"iSNS server isns.test:3205: {problem}; so what" for problem in ("one", "one", "two", "two")]
    assert len(caplog.records) == 6


def test_batches() -> None:
    assert list(batches("abcde", 2)) == ["ab", "cd", "e"]
    assert list(batches([])) == []


def test_what_is_advertised_is_what_is_registered(server: IsnsServer) -> None:
    made = Round(server, "198.51.100.7")
    made.dialogue.update(["iqn.2026-11.test:a"])
    (entity,) = server.entities.values()
    assert [*entity.portals] == [("198.51.100.7", 3260)]
    made.network.close()
