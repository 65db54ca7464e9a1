"""``ietpy probe``: what is said of a target, how one gets in, and what to do where one does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ietpy.cli import probe
from ietpy.cli.ietpy import main
from ietpy.initiator.probing import Run
from tests.cli.conftest import A, B, Daemon, make_disk
from tests.cli.terminals import AtTerminal
from tests.fields import checked

SECRET = "a-secret-of-16-b"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Daemon]:
    disk = make_disk(tmp_path / "disk.img")
    text = f"Target {A}\nLun 0 Path={disk},Type=fileio\nTarget {B}\nIncomingUser joe {SECRET}\nLun 3 Type=nullio\n"
    with Daemon(tmp_path, text) as daemon:
        yield daemon


def run(daemon: Daemon, at: str, *words: str, **environment: str) -> Result:
    """``at`` with the daemon's address in the place of {}."""
    address = at.format(f"{daemon.address}:{daemon.port}")
    return CliRunner().invoke(main, ["probe", address, *words], env={"IETPY_SECRET": None, **environment})


def test_without_a_target_it_discovers(served: Daemon) -> None:
    for at in ("iscsi://{}", "iscsi://{}/", "{}"):
        ended = run(served, at)
        portal = f"{served.address}:{served.port}"
        assert (ended.exit_code, set(ended.stdout.splitlines())) == (0, {f"{A}  {portal},1", f"{B}  {portal},1"})
        assert f"  ietpy probe iscsi://{portal}/{A}/0\n" in ended.stderr
    document = checked("probe", run(served, "iscsi://{}", "--json").stdout, full=False)
    assert {each["name"] for each in document["targets"]} == {A, B}


def test_who_finds_nothing_is_told_that(daemon: Daemon) -> None:
    ended = run(daemon, "iscsi://{}")
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "has no target for iqn.2026-01.net.ietpy:probe: it may use none, or there is none" in ended.stderr


def test_what_a_unit_is_and_how_fast(served: Daemon) -> None:
    ended = run(served, f"iscsi://{{}}/{A}", "--seconds", "0.05", "--depth", "4")
    assert (ended.exit_code, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[:2] == [f"{A}, LUN 0; it has 0", "  it is:       disk, IET VIRTUAL-DISK 0"]
    assert any(line.startswith("  size:        1 MiB (2048 blocks of 512 bytes, physical 4096), ") for line in lines)
    assert [line.split(",")[:2] for line in lines if "IOPS" in line] == [
        ["4 KiB at random", " 1 read at a time"], ["4 KiB at random", " 4 reads at a time"],
        ["256 KiB in a row", " 4 reads at a time"],
    ]
    assert any("█" in line and line.startswith("  up to ") for line in lines)
    assert served.inventory.target(1).units[0].unit.statistics().writes == 0


def test_json_of_a_unit(served: Daemon) -> None:
    text = run(served, f"iscsi://{{}}/{A}/0", "--seconds", "0.05", "--json").stdout
    document = checked("probe", text.replace('"targets": null', '"targets": [{"name": "", "portals": []}]'))
    assert document["unit"]["size"] == 1 << 20
    assert [each["depth"] for each in document["unit"]["runs"]] == [1, 1, 16, 4]
    for each in document["unit"]["runs"]:
        assert sum(part["count"] for part in each["histogram"]) == each["count"]


@pytest.mark.parametrize("how", ["environment", "file", "input"])
def test_an_account(served: Daemon, tmp_path: Path, how: str) -> None:
    at = f"iscsi://joe@{{}}/{B}/3"
    (tmp_path / "secret").write_text(SECRET + "\n")
    source = {"environment": None, "file": str(tmp_path / "secret"), "input": "-"}[how]
    words = [] if source is None else ["--secret-from", source]
    address = at.format(f"{served.address}:{served.port}")
    ended = CliRunner().invoke(
        main, ["probe", address, "--seconds", "0", *words], input=SECRET + "\n",
        env={"IETPY_SECRET": SECRET if how == "environment" else None},
    )
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{B}, LUN 3; it has 3\n")
    assert "IOPS" not in ended.stdout
    assert SECRET not in ended.stdout


def test_an_account_at_a_terminal(served: Daemon) -> None:
    words = ["probe", f"iscsi://joe@{served.address}:{served.port}/{B}/3", "--seconds", "0.2"]
    with AtTerminal(words, {"IETPY_SECRET": ""}, columns=100, lines=60) as shown:
        shown.see("secret of joe")
        shown.type(SECRET + "\n")
        shown.see("measuring 4 KiB at random")
        shown.see("256 KiB in a row, 4 reads at a time,")
        assert shown.ended() == 0
        assert SECRET not in shown.text
        assert "measuring" not in shown.text


def test_a_secret_on_the_command_line_is_minded(served: Daemon) -> None:
    ended = run(served, f"iscsi://joe%{SECRET}@{{}}/{B}/3", "--seconds", "0")
    assert ended.exit_code == 0
    assert ended.stderr == "note: the secret was on the command line, where every user can read it; leave it out\n"


@pytest.mark.parametrize(
    ("at", "words", "status", "said"),
    [
        (f"iscsi://{{}}/{B}/3", (), 1, "(authentication failure); say as whom to log in, iscsi://USER@..."),
        (f"iscsi://joe@{{}}/{B}/3", (), 1, "and check the secret"),
        ("iscsi://{}/iqn.x:none/0", (), 1, "(not found); ietpy probe iscsi://HOST lists the targets"),
        ("iscsi://127.0.0.1:1", (), 1, "no connection to 127.0.0.1 port 1: Connection refused; is it the right addr"),
        ("iscsi://a/b/c/d", (), 2, "is no iSCSI URL; accepted is iscsi://"),
        ("http://{}", (), 2, "is no iSCSI URL"),
        ("iscsi://joe@{}", ("--secret-from", "/none/such"), 2, "/none/such cannot be read"),
    ],
)
def test_what_goes_wrong(served: Daemon, at: str, words: tuple[str, ...], status: int, said: str) -> None:
    ended = run(served, at, *words, IETPY_SECRET="wrong-secret")
    assert (ended.exit_code, ended.stdout) == (status, "")
    assert said in ended.stderr


def test_a_lun_that_is_not_there(served: Daemon) -> None:
    ended = run(served, f"iscsi://{{}}/{A}/5")
    assert ended.exit_code == 1
    assert ended.stdout == f"{A}, LUN 5; it has 0\n  problem:     there is no LUN 5\n  digests:     none\n"


def test_a_redirection_is_followed(served: Daemon, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Daemon(tmp_path / "other", f"Target {A}\nLun 7 Type=nullio\n", address="127.0.0.2") as other:
        served.inventory.redirect(1, f"{other.address}:{other.port}")
        assert f"{A}, LUN 7; it has 7\n" in run(served, f"iscsi://{{}}/{A}/7", "--seconds", "0").stdout
        other.inventory.redirect(1, f"{served.address}:{served.port}")
        ended = run(served, f"iscsi://{{}}/{A}/7")
        assert (ended.exit_code, "was redirected 3 times, and at last to 127.0.0.1 port" in ended.stderr) == (1, True)


@pytest.mark.parametrize(
    ("micros", "found"),
    [([], {}), ([0, 1], {1: 2}), ([2, 3, 4, 5], {2: 1, 4: 2, 8: 1}), ([1, 16], {1: 1, 2: 0, 4: 0, 8: 0, 16: 1})],
)
def test_classes_of_times(micros: list[int], found: dict[int, int]) -> None:
    counts = probe.classes([each / 1e6 for each in micros])
    assert {round(bound * 1e6): count for bound, count in counts.items()} == found


def test_digests_are_said() -> None:
    from ietpy.initiator import url
    from ietpy.initiator.identity import Inquiry
    from ietpy.initiator.probing import Unit

    unit = Unit(0, Inquiry(0, "V", "P", ""), physical_block=0)
    found = probe.Probe(url.Url("h", target="t"), {"HeaderDigest": "CRC32C"}, [], unit, (Run("NOP-Out", 64, 1),))
    assert list(probe.lines(found)) == [
        "t, LUN 0; it has none", "  it is:       disk, V P", "  digests:     HeaderDigest", "",
        "NOP-Out, one at a time, which no disk has a part in: p50 -, p90 -, p99 -, max -",
    ]
