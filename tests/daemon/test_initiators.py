"""Initiator lines as initiators meet them, over a real socket: who finds a target, and what he has of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.access import AccessFiles
from ietpy.config.load import loads
from ietpy.config.model import Configuration
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.images import make_image
from ietpy.initiator.client import Client
from ietpy.initiator.errors import CommandFailed, LoginRefused, decode_sense
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.iscsi.pdu import LOGIN_REQUEST, NO_TAG, TRANSIT, Opcode
from ietpy.iscsi.text import encode
from ietpy.server.listener import Server
from ietpy.server.portals import bind

OPEN, HIDDEN, MISSING = (f"iqn.2026-01.test:{name:7}".replace(" ", "-") for name in ("open", "hidden", "missing"))
ANN, BOB, EVE = (f"iqn.2026-01.test:initiator:{name}" for name in ("ann", "bob", "eve"))
SECRET = "secretsecret12"
BLOCKS = 64
NO_UNIT, PROTECTED, NEW_LUNS, RESET = 0x2500, 0x2700, 0x3F0E, 0x2900


class Daemon:
    """What a daemon serves of a file with one target, or several, of three LUNs; nothing runs but its server."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for number in range(3):
            make_image(str(directory / f"{number}.img"), BLOCKS * 512)
        self.files = AccessFiles(str(directory))
        self.inventory = Inventory(Configuration("ietd.conf"), Media(), access=self.files)
        self.server = Server(self.inventory.node, bind("127.0.0.1", 0))
        self.inventory.units.transport = self.server
        self.server.start()
        self.port = self.server.portals()[0][1]

    def serve(self, *lines: str, name: str = OPEN, top: str = "") -> None:
        """Read a file whose one target has these lines."""
        luns = [f"Lun {number} Path={self.directory}/{number}.img" for number in range(3)]
        text = "\n".join((top, f"Target {name}", *luns, *lines, ""))
        assert self.inventory.apply(loads(text, "ietd.conf")) == []

    def login(self, initiator: str = ANN, target: str = OPEN, **more: Any) -> Client:
        client = Client.connect("127.0.0.1", self.port)
        try:
            client.login(LoginPlan(initiator=initiator, target=target, **more))
        except LoginRefused:
            client.close()
            raise
        return client

    def refused(self, initiator: str = ANN, **more: Any) -> int:
        with pytest.raises(LoginRefused) as caught:
            self.login(initiator, **more)
        return caught.value.status

    def first_answer(self, name: str, stage: int, more: dict[str, str]) -> bytes:
        """All bytes that come back to a Login Request."""
        text = encode([("InitiatorName", EVE), ("TargetName", name), *more.items()])
        request = LOGIN_REQUEST.pack(
            opcode=Opcode.LOGIN_REQUEST | 0x40, flags=TRANSIT | stage << 2 | 3, lengths=len(text),
            isid=b"\x80\0\0\0\0\1", initiator_task_tag=7, cid=1, cmd_sn=5, exp_stat_sn=9,
        )
        with closing(socket.create_connection(("127.0.0.1", self.port), 10)) as connected:
            connected.sendall(request + text + bytes(-len(text) % 4))
            connected.settimeout(10)
            answer = b""
            while piece := connected.recv(4096):
                answer += piece
        return answer


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    assert made.server.stop(10)
    assert made.inventory.close()


@pytest.fixture
def login(daemon: Daemon) -> Iterator[Callable[..., Client]]:
    """As ``Daemon.login``, past the unit attentions; closed after the test."""
    made: list[Client] = []

    def make(*arguments: Any, **more: Any) -> Client:
        client = daemon.login(*arguments, **more)
        made.append(client)
        for lun in client.report_luns():
            told(client, lun)
        return client

    yield make
    for client in made:
        client.close()


def failed(command: Callable[..., Any], *arguments: Any) -> int:
    """The additional sense code of a command; 0 for one that is GOOD."""
    try:
        command(*arguments)
    except CommandFailed as failure:
        return failure.asc
    return 0


def told(client: Client, lun: int) -> int:
    """The additional sense code of a TEST UNIT READY, which is not sent again after a unit attention."""
    sense = client.wait(client.submit(lun, bytes(6))).sense
    return decode_sense(sense)[1] if sense else 0


# -- discovery that shows a stranger nothing ----------------------------------------------------------------------

#: Why Eve cannot use a target; a line of initiators.allow begins with its name.
REASONS = {
    "another name": ["Initiator iqn.2026-01.test:initiator:a*"],
    "another address": ["Initiator * Address=192.0.2.0/24,::/0"],
    "a mistake": ["Initiator * Adress=127.0.0.1", "Initiator *"],
    "a user without account": ["Initiator * User=joe"],
    "a user without account among others": ["Initiator * User=joe", f"IncomingUser jim {SECRET}"],
    "tgt's words": ["initiator-name iqn.x", "Initiator *"],
    "the allow file": ["Initiator *"],
    "behind CHAP": [f"IncomingUser joe {SECRET}", "Initiator iqn.x User=joe"],
}


@pytest.fixture(params=REASONS.values(), ids=REASONS)
def hiding(daemon: Daemon, request: pytest.FixtureRequest) -> Daemon:
    if request.param is REASONS["the allow file"]:
        (daemon.directory / "initiators.allow").write_text(f"{HIDDEN} iqn.x\n")
    daemon.serve(*request.param, name=HIDDEN, top=f"IncomingUser browser {SECRET}")
    return daemon


@pytest.mark.rfc7143("6.3-2")
@pytest.mark.parametrize("more", [{}, {"AuthMethod": "CHAP,None"}, {"AuthMethod": "CHAP"}, {"SessionType": "Normal"}])
@pytest.mark.parametrize("stage", [0, 1])
def test_a_login_cannot_tell_hidden_from_missing(hiding: Daemon, more: dict[str, str], stage: int) -> None:
    """Byte for byte, header included."""
    hidden, missing = (hiding.first_answer(name, stage, more) for name in (HIDDEN, MISSING))
    assert hidden == missing
    assert hidden[36:38] == b"\x02\x03"
    assert len(hidden) == 48


@pytest.mark.rfc7143("4.3-1")
def test_discovery_cannot_tell_hidden_from_missing(hiding: Daemon) -> None:
    """Not even with CHAP for discovery."""
    answers = []
    for which in (HIDDEN, MISSING, "All"):
        with hiding.login(EVE, "", chap=Chap("browser", SECRET)) as client:
            client.send_pdu(client.make(
                Opcode.TEXT_REQUEST, encode([("SendTargets", which)]), initiator_task_tag=7, target_transfer_tag=NO_TAG
            ))
            answer = client.receive_pdu()
            answers.append((answer.raw, answer.data))
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][1] == b""


@pytest.mark.rfc7143("4.3-1")
def test_who_may_not_discover_learns_nothing_by_a_name(hiding: Daemon) -> None:
    for target in ("", HIDDEN, MISSING):
        assert hiding.refused(EVE, target=target) == (0x0203 if target else 0x0201)


def test_who_may_use_a_target_finds_it(daemon: Daemon) -> None:
    daemon.serve(f"Initiator {ANN} Address=127.0.0.0/8")
    for initiator, found in ((ANN, [OPEN]), (BOB, [])):
        with daemon.login(initiator, "") as client:
            assert [name for name, _ in client.discover()] == found
    daemon.login(ANN).close()
    assert daemon.refused(BOB) == 0x0203


# -- the LUN map --------------------------------------------------------------------------------------------------


def test_each_has_its_own_luns(daemon: Daemon, login: Callable[..., Client]) -> None:
    daemon.serve(f"Initiator {ANN} Luns=0:2,5:0", f"Initiator {BOB} Luns=1", "Initiator *")
    ann, bob, eve = login(ANN), login(BOB), login(EVE)
    assert [client.report_luns() for client in (ann, bob, eve)] == [[0, 5], [1], [0, 1, 2]]
    ann.write(0, 3, b"a" * 512)
    assert eve.read(2, 3, 1) == b"a" * 512
    assert eve.read(0, 3, 1) == bob.read(1, 3, 1) == bytes(512)
    assert [failed(bob.read, lun, 0, 1) for lun in (0, 2, 5)] == [NO_UNIT] * 3
    assert bob.inquiry(0)[0] == 0x7F
    for page in (None, 0x80, 0x83):
        assert ann.inquiry(0, page) == eve.inquiry(2, page) != eve.inquiry(0, page) or page is None


def test_a_reservation_is_of_the_unit(daemon: Daemon, login: Callable[..., Client]) -> None:
    daemon.serve(f"Initiator {ANN} Luns=0:2", "Initiator *")
    ann, eve = login(ANN), login(EVE)
    ann.wait(ann.submit(0, bytes.fromhex("160000000000")))
    with pytest.raises(CommandFailed, match="RESERVATION CONFLICT"):
        eve.read(2, 0, 1)
    eve.read(0, 0, 1)


# -- read only ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [f"Initiator {ANN} Mode=ro", f"Initiator {ANN} Luns=0-2/ro"])
def test_who_may_only_read(daemon: Daemon, login: Callable[..., Client], line: str) -> None:
    daemon.serve(line, "Initiator *")
    ann, eve = login(ANN), login(EVE)
    eve.write(1, 0, b"e" * 512)
    assert ann.read(1, 0, 1) == b"e" * 512
    for size in (512, BLOCKS * 512):
        assert failed(ann.write, 1, 0, bytes(size)) == PROTECTED
    ann.synchronize_cache(1)
    assert eve.read(1, 0, 1) == b"e" * 512
    wp = [client.wait(client.submit(1, bytes.fromhex("1A0008003F00"), read=63)).data[2] & 0x80 for client in (ann, eve)]
    assert wp == [0x80, 0]


# -- the account --------------------------------------------------------------------------------------------------


@pytest.mark.rfc7143("9.2-5")
def test_the_account_of_a_line(daemon: Daemon) -> None:
    accounts = (f"IncomingUser joe {SECRET}", f"IncomingUser jim {SECRET}x")
    daemon.serve(*accounts, f"Initiator {ANN} User=joe", "Initiator *")
    daemon.login(ANN, chap=Chap("joe", SECRET)).close()
    daemon.login(EVE, chap=Chap("jim", f"{SECRET}x")).close()
    assert daemon.refused(ANN, chap=Chap("jim", f"{SECRET}x")) == 0x0201
    assert daemon.refused(ANN) == 0x0201


# -- a file that changes ------------------------------------------------------------------------------------------


def test_sessions_follow_the_file(daemon: Daemon, login: Callable[..., Client]) -> None:
    daemon.serve(f"Initiator {ANN} Luns=0,1")
    ann = login(ANN)
    daemon.serve(f"Initiator {ANN} Luns=0/ro,4:2")
    assert [told(ann, lun) for lun in (1, 0, 4)] == [NO_UNIT, 0x2A01, RESET]
    assert told(ann, 0) == NEW_LUNS
    assert ann.report_luns() == [0, 4]
    assert failed(ann.write, 0, 0, bytes(512)) == PROTECTED
    ann.write(4, 0, b"4" * 512)
    daemon.serve("Initiator iqn.x")
    assert ann.read(4, 0, 1) == b"4" * 512, "who is there stays"
    assert daemon.refused(ANN, isid=b"\x80\0\0\0\0\2") == 0x0203


def test_a_lun_that_comes_is_told_to_those_who_have_it(daemon: Daemon, login: Callable[..., Client]) -> None:
    lines = (f"Initiator {ANN} Luns=0", "Initiator *")
    daemon.serve(*lines)
    ann, eve = login(ANN), login(EVE)
    make_image(str(daemon.directory / "3.img"), BLOCKS * 512)
    daemon.serve(*lines, f"Lun 3 Path={daemon.directory}/3.img")
    assert [told(client, 0) for client in (ann, eve)] == [0, NEW_LUNS]
    assert [client.report_luns() for client in (ann, eve)] == [[0], [0, 1, 2, 3]]


def test_a_unit_may_go_whose_last_user_may_no_more(daemon: Daemon, login: Callable[..., Client]) -> None:
    """Its store is let go although a nexus is left."""
    daemon.serve("Initiator * Luns=0,1")
    ann = login(ANN)
    daemon.serve("Initiator * Luns=0")
    target = daemon.inventory.target(1)
    daemon.inventory.remove_lun(1, 1)
    assert target.leaving == []
    assert failed(ann.read, 1, 0, 1) == NO_UNIT
