"""``ietpy resize``, of images alone and of what a real daemon serves, with an initiator that hears of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ietpy.cli.exits import Exit
from ietpy.initiator.client import Client
from ietpy.initiator.errors import decode_sense
from ietpy.scsi.asc import Asc
from tests.cli.conftest import SIZE, A, B, Daemon, make_disk
from tests.fields import checked

CAPACITY = (6, 0x2A09)


def sense(client: Client, lun: int) -> tuple[int, int]:
    """Sense key and additional sense of TEST UNIT READY; zeros when it is GOOD."""
    response = client.command(lun, bytes(6))
    return decode_sense(response.sense) if response.sense else (0, 0)


def test_a_lun_grows_and_its_initiator_hears_of_it(busy: Daemon, tmp_path: Path) -> None:
    client, bystander = busy.clients
    assert Asc.CAPACITY_DATA_HAS_CHANGED.value == CAPACITY[1]
    assert [sense(each, 0)[0] for each in (client, bystander, bystander)] == [0, 6, 0]
    grown = busy.ietpy("resize", "a/0", "+1M")
    assert (grown.exit_code, grown.output) == (0, f"{tmp_path}/disk.img: 2 MiB, was 1 MiB; 1 session told\n")
    assert (sense(client, 0), sense(client, 0), sense(bystander, 0)) == (CAPACITY, (0, 0), (0, 0))
    assert client.read_capacity(0).size == 2 * SIZE
    client.write(0, 2 * SIZE // 512 - 1, b"z" * 512)
    assert "LUN" not in busy.ietpy("plan").output
    document = checked("resize", busy.ietpy("resize", str(tmp_path / "disk.img"), "3M", "--json").output)
    assert (document["target"], document["lun"], document["after"]) == (A, 0, 3 * SIZE)


def test_it_becomes_smaller_only_by_force(busy: Daemon, tmp_path: Path) -> None:
    client = busy.clients[0]
    refused = busy.ietpy("resize", f"{A}/0", "512K")
    assert refused.exit_code == Exit.FAILED
    assert "has 1 MiB; the last 512 KiB would be lost" in refused.stderr
    assert "add --force" in refused.stderr
    assert busy.ietpy("resize", "1/0", "512K", "--force").exit_code == 0
    assert (tmp_path / "disk.img").stat().st_size == SIZE // 2
    assert sense(client, 0) == CAPACITY
    assert client.read_capacity(0).size == SIZE // 2


def test_what_grew_elsewhere_is_noticed_by_a_reload_or_at_once(busy: Daemon, tmp_path: Path) -> None:
    client = busy.clients[0]
    make_disk(tmp_path / "disk.img", 2 * SIZE)
    plan = busy.ietpy("plan")
    assert plan.exit_code == Exit.CHANGES
    assert f"resize LUN 0 of {A} from {SIZE} to {2 * SIZE} bytes" in plan.output
    assert "CAPACITY DATA HAS CHANGED" in plan.output
    busy.instance.administration.reload()
    assert sense(client, 0) == CAPACITY
    assert busy.ietpy("plan").exit_code == 0
    make_disk(tmp_path / "disk.img", 3 * SIZE)
    assert busy.ietpy("resize", "a/0").output.startswith(f"{tmp_path}/disk.img: 3 MiB, was 2 MiB; 1 session told")
    assert sense(client, 0) == CAPACITY
    assert busy.ietpy("resize", "a/0").output == f"{tmp_path}/disk.img: 3 MiB, as before\n"
    assert sense(client, 0) == (0, 0)


@pytest.mark.parametrize(("words", "status", "problem"), [
    (("a/0", "x"), Exit.USAGE, "'x' is not a size"),
    (("a/0", "1000"), Exit.USAGE, "not a whole number of 512-byte blocks"),
    (("a/9", "2M"), Exit.USAGE, "serves no LUN 9; it has 0, 3"),
    (("nobody/0", "2M"), Exit.USAGE, "no target has the name 'nobody'"),
    (("a/3", "2M"), Exit.FAILED, "is open for reading only"),
    (("b/0", "100G"), Exit.FAILED, "nullio has no file"),
    (("/none/at/all", "2M"), Exit.FAILED, "/none/at/all does not exist"),
    (("/none/at/all",), Exit.USAGE, "no daemon serves /none/at/all"),
])
def test_what_cannot_be(busy: Daemon, words: tuple[str, ...], status: Exit, problem: str) -> None:
    ended = busy.ietpy("resize", *words)
    assert (ended.exit_code, problem in ended.stderr) == (status, True), ended.stderr
    assert busy.ietpy("plan").exit_code == 0


def test_an_image_that_nobody_serves(daemon: Daemon, disk: Path) -> None:
    ended = daemon.ietpy("resize", str(disk), "+512")
    assert (ended.exit_code, ended.output, disk.stat().st_size) == (0, f"{disk}: 1 MiB, was 1 MiB\n", SIZE + 512)
    daemon.environment["IETPY_CONTROL"] = "/none"
    assert daemon.ietpy("resize", str(disk), "2M").exit_code == 0
    assert disk.stat().st_size == 2 * SIZE
    assert daemon.ietpy("resize", "disk.img/0", "4M").exit_code == Exit.NOT_RUNNING


def test_a_target_is_its_number_name_or_end(busy: Daemon) -> None:
    for word in (B, "2", ":b"):
        assert "nullio" in busy.ietpy("resize", f"{word}/0", "1G").stderr
