"""Initiator lines as libiscsi meets them: what each initiator is listed, how large its disks are, and a reload."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NAME = "iqn.2001-04.com.example:shared"
ANN, BOB, EVE = (f"iqn.2001-04.com.example:initiator:{name}" for name in ("ann", "bob", "eve"))
MIB = 1 << 20

Run = Callable[..., Any]


@pytest.fixture
def daemon(serve: Any, image: Callable[..., Path]) -> Any:
    luns = "".join(f"\tLun {number} Path={image(f'{number}.img', (2 << number) * MIB)}\n" for number in range(3))
    return serve(f"Target {NAME}\n{luns}\tInitiator {ANN} Luns=0:2,7:0/ro\n\tInitiator {BOB} Address=192.0.2.0/24\n"
                 f"\tInitiator {BOB} Mode=ro\n")


def listed(daemon: Any, run: Run, initiator: str) -> list[str]:
    """LUNs with their sizes; iscsi-ls shows those less the last block."""
    lines = run("iscsi-ls", "-s", "-i", initiator, daemon.portal()).stdout.splitlines()
    return [line.strip() for line in lines]


def sizes(daemon: Any, run: Run, initiator: str) -> dict[int, str]:
    lines = listed(daemon, run, initiator)
    assert lines[0].startswith(f"Target:{NAME} ")
    words = [line.replace(":", " ").replace(")", "").split() for line in lines[1:]]
    return {int(line[1]): line[-1] for line in words}


def test_each_is_listed_its_own(daemon: Any, run: Run) -> None:
    assert sizes(daemon, run, ANN) == {0: "7M", 7: "1M"}
    assert sizes(daemon, run, BOB) == {0: "1M", 1: "3M", 2: "7M"}
    assert listed(daemon, run, EVE) == []


def test_who_is_not_named_finds_no_target(daemon: Any, run: Run) -> None:
    answers = [
        run("iscsi-inq", "-i", EVE, daemon.url(name), status=None).stderr.replace(name, "NAME")
        for name in (NAME, NAME.replace("shared", "absent"))
    ]
    assert answers[0] == answers[1]
    assert "Target not found" in answers[0]


def test_identity_is_the_units(daemon: Any, run: Run) -> None:
    pages = [
        run("iscsi-inq", "-e", "1", "-c", "128", "-i", initiator, daemon.url(NAME, lun)).stdout
        for initiator, lun in ((ANN, 0), (BOB, 2), (BOB, 0))
    ]
    assert pages[0] == pages[1] != pages[2]


def test_a_reload(daemon: Any, run: Run) -> None:
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace("Luns=0:2,7:0/ro", "Luns=1"))
    assert daemon.command("reload").stdout.endswith("ietpy-daemon: reloaded\n")
    assert sizes(daemon, run, ANN) == {1: "3M"}
