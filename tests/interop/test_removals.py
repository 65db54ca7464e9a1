"""What is removed under load is drained: all that was answered is in the file, which is then free; others go on."""

from __future__ import annotations

import errno
import fcntl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ietpy.admin.client import ask
from ietpy.errors import AdminError
from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost
from ietpy.initiator.login import LoginPlan
from ietpy.iscsi.async_messages import Event
from ietpy.scsi.status import SenseKey

GOES, STAYS = "iqn.2001-04.com.example:goes", "iqn.2001-04.com.example:stays"
BLOCK, DEPTH, SESSIONS = 4096, 8, 3
REGION = 1 << 20  #: bytes of a session
PATIENCE = 60.0


class Writer(threading.Thread):
    """Writes at depth until it is told that there is nothing to write to, in one way or another."""

    def __init__(self, port: int, number: int, lun: int) -> None:
        super().__init__(daemon=True)
        self.lun, self.first = lun, number * REGION
        self.client = Client.connect("127.0.0.1", port, timeout=PATIENCE)
        self.client.login(LoginPlan(f"iqn.2001-04.com.example:initiator{number}", GOES))
        self.client.test_unit_ready(lun)
        self.answered: dict[int, bytes] = {}  #: by offset
        self.busy = threading.Event()  #: some of it has been answered
        self.end = ""
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            turn = 0
            while not self.end:
                turn += 1
                self.end = self.turn(turn)
                self.busy.set()
        except ConnectionLost:
            self.end = "lost"
        except BaseException as problem:
            self.problem = problem

    def turn(self, turn: int) -> str:
        """Why it was the last; empty if it was not."""
        tags = {}
        for place in range(DEPTH):
            offset = self.first + (turn * DEPTH + place) * BLOCK % REGION
            data = (turn << 8 | place).to_bytes(4, "big") * (BLOCK // 4)
            cdb = bytes((0x8A, 0)) + (offset // 512).to_bytes(8, "big") + (BLOCK // 512).to_bytes(4, "big") + bytes(2)
            self.answered.pop(offset, None)
            tags[self.client.submit(self.lun, cdb, write=data)] = offset, data
        end = ""
        for tag, (offset, data) in tags.items():
            response = self.client.wait(tag)
            if response.good:
                self.answered[offset] = data
            elif response.sense[2] & 0xF == SenseKey.ILLEGAL_REQUEST:
                end = "no such LUN"
            else:
                assert response.sense[2] & 0xF == SenseKey.UNIT_ATTENTION, response.sense
        if any(each.event == Event.LOGOUT_REQUEST for each in self.client.session.messages):
            self.client.logout()
            end = "asked"
        return end


@pytest.fixture(params=[1, 2])
def site(request: pytest.FixtureRequest, serve: Any, image: Callable[..., Path]) -> Any:
    """A daemon with two targets, three writers on LUN 1 of one, and the file behind it."""
    media = [image("disk.img", SESSIONS * REGION) for _ in range(3)]
    daemon = serve(
        f"Target {GOES}\n\tLun 0 Path={media[0]},Type=fileio\n\tLun 1 Path={media[1]},Type=fileio,IOMode=wb\n"
        f"Target {STAYS}\n\tLun 0 Path={media[2]},Type=fileio\n",
        "--processes", str(request.param),
    )
    writers = [Writer(daemon.port, number, 1) for number in range(SESSIONS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        assert writer.busy.wait(PATIENCE)
    yield daemon, writers, media[1]
    for writer in writers:
        writer.client.close()


def done(daemon: Any, operation: str, **arguments: int) -> None:
    assert ask(str(daemon.directory / "control"), operation, arguments, PATIENCE) is None


def judge(writers: list[Writer], ends: set[str], file: Path) -> None:
    for writer in writers:
        writer.join(PATIENCE)
        assert writer.problem is None
        assert writer.end in ends
        assert writer.answered
    content = file.read_bytes()
    for writer in writers:
        for offset, data in writer.answered.items():
            assert content[offset:offset + BLOCK] == data


def test_a_lun_goes_while_it_is_written(site: Any) -> None:
    daemon, writers, file = site
    done(daemon, "delete-lun", tid=1, lun=1)
    with file.open("rb+") as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)  # whoever deleted it may use the file at once
    judge(writers, {"no such LUN"}, file)
    for writer in writers:
        writer.client.write(0, 0, bytes(512))
    with pytest.raises(AdminError) as refused:
        done(daemon, "delete-lun", tid=1, lun=1)
    assert refused.value.code == errno.ENOENT


def test_a_target_goes_while_it_is_written(site: Any) -> None:
    daemon, writers, file = site
    with Client.connect("127.0.0.1", daemon.port, timeout=PATIENCE) as other:
        other.login(LoginPlan(target=STAYS))
        with pytest.raises(AdminError) as refused:
            done(daemon, "delete-target", tid=1)
        assert refused.value.code == errno.EBUSY
        done(daemon, "drain-target", tid=1)
        with file.open("rb+") as free:
            fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)
        judge(writers, {"asked", "lost"}, file)  # who does not get to it within two seconds is dropped
        other.write(0, 0, bytes(512))
        assert [target["name"] for target in daemon.status()["targets"]] == [STAYS]
