"""What is stuck, as problems of status, each at its line."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.daemon import troubles
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.daemon.troubles import Trouble, stuck
from ietpy.errors import Span, StoreError
from ietpy.initiator.client import Client
from ietpy.initiator.login import LoginPlan
from ietpy.server import stuck as watching
from ietpy.server.listener import Server
from ietpy.server.portals import bind
from ietpy.stores import open_store
from ietpy.stores.state import StateDirectory

TARGET = "iqn.2001-04.com.example:t"
WRITE_10 = bytes.fromhex("2a 00 00000000 00 0008 00")


def test_nobody_makes_up_a_code() -> None:
    """What is wrong with what is served comes from the rows; mistakes of a file have rows of their own."""
    package = Path(troubles.__file__).parent
    calls = [path.name for path in package.glob("*.py") for _ in re.findall(r"\bDiagnostic\(", path.read_text())]
    assert sorted(calls) == ["portals.py", "troubles.py"]  # two Portal lines in one; and here


@pytest.mark.parametrize("trouble", Trouble, ids=lambda trouble: trouble.code)
def test_each_says_what_it_means(trouble: Trouble) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", trouble.code)
    assert trouble.value.severity in ("error", "warning")
    assert trouble.value.meaning.endswith(".")
    assert trouble.value.remedy
    assert not trouble.value.remedy.endswith("."), "it stands in a table"
    found = trouble.at(Span("/f", 1, 2), "a problem", "a hint")
    assert str(found) == f"/f:1:2: {trouble.value.severity}: a problem; a hint"


@pytest.mark.parametrize(("path", "codes"), [
    ("", ["nowhere-kept"]), ("/dev/null/x", ["nothing-kept"]), ("/tmp", []),
])
def test_a_directory_that_cannot_be_written(path: str, codes: list[str]) -> None:
    inventory = Inventory(loads(f"Target {TARGET}\n", "/f"), Media(), states=StateDirectory(path))
    assert [problem.code for problem in inventory.problems] == codes
    assert inventory.degraded is ("nothing-kept" in codes)


def test_state_that_could_not_be_written_is_told_until_it_can(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    text = f"Target {TARGET}\n\tLun 0 Type=nullio\n"
    inventory = Inventory(loads(text, "/f"), Media(), states=StateDirectory(str(directory)))
    state: Any = inventory.target(1).units[0].state
    directory.write_text("in the way")
    with pytest.raises(StoreError):
        state.put("x", 1)
    (problem,) = inventory.problems
    assert (problem.code, problem.span.line) == ("state-not-kept", 2)
    assert "cannot keep persistent reservations and mode pages" in problem.problem
    directory.unlink()
    state.put("x", 1)
    assert inventory.problems == []
    inventory.close()


def command(lun: int, seconds: int, **more: Any) -> dict[str, Any]:
    return {
        "target": TARGET, "lun": lun, "command": "WRITE(10)", "initiator": "iqn.i", "seconds": seconds, **more
    }


def test_one_problem_for_each_unit_at_its_line() -> None:
    inventory = Inventory(loads(f"Target {TARGET}\n\tLun 0 Type=nullio\n\tLun 1 Type=nullio\n", "/f"), Media())
    found = stuck([command(1, 30), command(1, 20), command(0, 12), command(7, 11)], inventory.all(), "/f")
    assert [(str(each.span), each.severity, each.code) for each in found] == [
        ("/f:3:2", "error", "lun-stuck"), ("/f:2:2", "error", "lun-stuck"), ("/f:1:1", "error", "lun-stuck"),
    ]
    assert found[0].problem == (
        f"LUN 1 of {TARGET} does not answer: WRITE(10) of iqn.i has been waiting for its medium for 30 s, and 1 more"
    )
    assert found[1].problem.endswith("for 12 s")


def test_a_unit_whose_cache_has_lost_something(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(4096))
    lines = f"Target {TARGET}\n\tLun 0 Path={image},Type=fileio,IOMode=wb\n\tLun 1 Type=nullio\n"
    inventory = Inventory(loads(lines, "/f"), Media())
    assert inventory.problems == []
    unit = inventory.all()[0].units[0].unit
    unit.store._syncs.failures += 1  # type: ignore[attr-defined]
    (found,) = inventory.problems
    assert (str(found.span), found.severity, found.code) == ("/f:2:2", "error", "lun-cache-lost")
    assert found.problem.startswith(f"LUN 0 of {TARGET} has lost something of its write cache")
    unit.set_write_cache(False)
    assert inventory.problems == [found], "what is lost is lost, though nothing is cached any more"
    assert not inventory.close(), "and the daemon does not end as if all had been well"


class Slow:
    """A store whose flush waits for a gate."""

    def __init__(self, gate: threading.Event, *medium: Any, **options: Any) -> None:
        self._inner = open_store(*medium, **options)
        self._gate = gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def commit(self, mark: int) -> None:
        assert self._gate.wait(30)
        self._inner.commit(mark)


@pytest.mark.parametrize("processes", [1, 2])
def test_status_says_that_a_lun_does_not_answer_and_when_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eventually: Callable[[Callable[[], bool]], None],
    fronted: Callable[..., Any], processes: int,
) -> None:
    for name, seconds in (("LONG", 0.1), ("EVERY", 0.02), ("IDLE", 0.02)):
        monkeypatch.setattr(watching, name, seconds)
    gate = threading.Event()
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    text = f"Target {TARGET}\n\tLun 0 Path={image}\n"
    if processes == 1:
        inventory = Inventory(loads(text, "/f"), Media(opener=partial(Slow, gate)))
        server: Any = Server(inventory.node, bind("127.0.0.1", 0))
        inventory.units.transport = server
        inventory.elsewhere = lambda: stuck(server.stuck.facts(), inventory.all(), "/f")
        server.start()
    else:
        monkeypatch.setattr("ietpy.daemon.worker.open_store", partial(Slow, gate))
        front = fronted(text + "Target other\n")
        inventory, server = front.mirror, front.server
    with Client.connect("127.0.0.1", server.portals()[0].port) as client:
        client.login(LoginPlan(target=TARGET))
        assert client.command(0, bytes(6)).status == 2
        assert not inventory.degraded
        tag = client.submit(0, WRITE_10, write=bytes(4096))
        eventually(lambda: inventory.degraded)
        (problem,) = inventory.problems
        assert problem.code == "lun-stuck"
        assert problem.span.line == 2
        gate.set()
        assert client.wait(tag).status == 0
        eventually(lambda: not inventory.degraded)
    if processes == 1:
        server.stop(10)
        inventory.close()
