"""``ietpy boot-line``: the lines of RFC 4173, and by which of a target's portals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ietpy.cli import boot_line
from ietpy.cli.ietpy import main
from tests.cli.conftest import Daemon
from tests.fields import checked

T = "iqn.2001-04.com.example:boot"
ONE = f"Target {T}\nLun 0 Type=nullio\n"
TWO = f"{ONE}Lun 300 Type=nullio\nTarget {T}2\nLun 10 Type=nullio\n"
CHAP = f"Target {T}\nIncomingUser joe secretsecret12\nOutgoingUser us othersecret34\nLun 0 Type=nullio\n"
MAPPED = f"{ONE}Initiator *:backup Luns=5:0\nInitiator * Mode=ro\n"
PORTALS = "Portal 1 127.0.0.1,fake0:3261,192.0.2.9\nPortal 2 [2001:db8::9]:3262\n"


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of which the addresses are known, and the default place of ietd.conf is empty."""
    addresses = {False: ["192.0.2.1", "192.0.2.2"], True: ["2001:db8::1"]}

    def of_interface(name: str) -> list[str]:
        if name != "fake0":
            raise OSError(19, "No such device")
        return ["192.0.2.5", "fe80::5%fake0"]

    monkeypatch.setattr(boot_line, "addresses_of_host", addresses.__getitem__)
    monkeypatch.setattr(boot_line, "addresses_of_interface", of_interface)


def ask(conf: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["boot-line", "-c", str(conf), *words])


@dataclass(frozen=True)
class Case:
    """A file, and what is printed of it."""

    conf: str
    words: tuple[str, ...]
    lines: list[str]


def boot(host: str, port: int = 3260, lun: str = "0", name: str = T) -> str:
    return f"sanboot iscsi:{host}::{port}:{lun}:{name}"


CASES = {
    "this machine's first address": Case(ONE, (), [boot("192.0.2.1")]),
    "a line for each LUN, in hexadecimal": Case(
        TWO, (), [boot("192.0.2.1"), boot("192.0.2.1", lun="412c"), boot("192.0.2.1", lun="a", name=f"{T}2")]
    ),
    "a target": Case(TWO, (f"{T.upper()}2",), [boot("192.0.2.1", lun="a", name=f"{T}2")]),
    "a LUN": Case(TWO, ("--lun", "300"), [boot("192.0.2.1", lun="412c")]),
    "a host": Case(ONE, ("--host", "storage.example"), [boot("storage.example")]),
    "an IPv6 host": Case(ONE, ("--host", "2001:db8::7"), [boot("[2001:db8::7]")]),
    "an IPv6 host in brackets": Case(ONE, ("--host", "[2001:db8::7]"), [boot("[2001:db8::7]")]),
    "what is written comes first, loopback last": Case(PORTALS + ONE, (), [boot("192.0.2.9")]),
    "a host that is a portal has its port": Case(PORTALS + ONE, ("--host", "192.0.2.5"), [boot("192.0.2.5", 3261)]),
    "by the groups of the target": Case(
        f"{PORTALS}{ONE}PortalGroups 2\n", (), [boot("[2001:db8::9]", 3262)]
    ),
    "what is advertised comes first": Case(
        f"Portal 1 192.0.2.9,*:3261,Advertise=storage.example:3270\n{ONE}", (), [boot("storage.example", 3270)]
    ),
    "an advertised address of IPv6": Case(
        f"Portal 1 *,Advertise=[2001:db8::7]:3270\n{ONE}", (), [boot("[2001:db8::7]", 3270)]
    ),
    "an interface": Case(f"Portal 1 lo,fake0\n{ONE}", (), [boot("192.0.2.5")]),
    "all of a family": Case(f"Portal 1 [::]\n{ONE}", (), [boot("[2001:db8::1]")]),
    "loopback, where there is nothing else": Case(f"Portal 1 127.0.0.1\n{ONE}", (), [boot("127.0.0.1")]),
    "accounts": Case(CHAP, (), [
        f"# {T}: it asks for CHAP: before sanboot, set username joe, and set password to the secret",
        f"# {T}: who asks it for proof: set reverse-username us, and set reverse-password",
        boot("192.0.2.1"),
    ]),
    "other numbers": Case(MAPPED, (), [
        f"# {T}: its Initiator lines give some initiators other LUN numbers", boot("192.0.2.1"),
    ]),
    "verbose": Case(TWO, ("-v", "--lun", "300"), [
        f"# {T}, LUN 300",
        "#   iPXE:",
        boot("192.0.2.1", lun="412c"),
        "#   GRUB, which starts iPXE:",
        f"linux16 /boot/ipxe.lkrn dhcp '&&' {boot('192.0.2.1', lun='412c')}",
        "#   kernel command line, for dracut:",
        f"ip=dhcp rd.iscsi.initiator=INITIATOR netroot=iscsi:192.0.2.1::3260:300:{T}",
        "#   kernel command line, for Debian's initramfs-tools with open-iscsi:",
        f"ip=dhcp ISCSI_INITIATOR=INITIATOR ISCSI_TARGET_NAME={T} ISCSI_TARGET_IP=192.0.2.1 ISCSI_TARGET_PORT=3260",
    ]),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_lines(case: Case, tmp_path: Path) -> None:
    conf = tmp_path / "ietd.conf"
    conf.write_text(case.conf)
    ended = ask(conf, *case.words)
    assert (ended.exit_code, ended.output.splitlines()) == (0, case.lines)
    assert "secretsecret12" not in ended.output


@pytest.mark.parametrize(
    ("conf", "words", "complaint"),
    [
        (ONE, ("iqn.other",), f"there is no target 'iqn.other'; there are: {T}"),
        (TWO, ("--lun", "7"), "there is no LUN 7; there are: 0, 10, 300"),
        (f"Target {T}\n", (), "there is no LUN; there are: none; add a Lun line"),
        (f"{ONE}PortalGroups x\n", (T,), f"{T} is not served: line 3 limits it to portal groups, and names none"),
        (f"Portal 1 gone0\n{ONE}", (), f"no address is known by which {T} can be reached; say --host ADDR"),
        (f"Compat strict\n{ONE}Nonsense\n", (), "unknown keyword"),
        ("", ("-c", "/none/ietd.conf"), "/none/ietd.conf"),
    ],
)
def test_what_cannot_be_said(conf: str, words: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "ietd.conf"
    path.write_text(conf)
    ended = ask(path, *words)
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert complaint in ended.stderr


def test_json(tmp_path: Path) -> None:
    conf = tmp_path / "ietd.conf"
    conf.write_text(CHAP)
    (row,) = checked("boot-line", ask(conf, "--json").output)["luns"]
    assert {name: row[name] for name in ("target", "lun", "host", "port", "users")} == {
        "target": T, "lun": 0, "host": "192.0.2.1", "port": 3260, "users": ["joe"],
    }
    assert row["lines"].keys() == boot_line.FORMS.keys() == boot_line.READERS.keys()
    assert row["lines"]["ipxe"] == boot("192.0.2.1")
    assert len(row["notes"]) == 2


def test_a_daemon_is_asked_for_what_it_serves_now(tmp_path: Path) -> None:
    with Daemon(tmp_path, ONE) as daemon:
        daemon.do("--op=new", "--tid=1", "--lun=2", "--params=Type=nullio")
        daemon.config.write_text("Target edited\n")
        ended = CliRunner().invoke(main, ["boot-line"], env=daemon.environment)
        assert (ended.exit_code, ended.stderr) == (0, "")
        assert ended.output.splitlines() == [boot("127.0.0.1", daemon.port, lun) for lun in "02"]


def test_without_a_daemon_the_file_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    conf = tmp_path / "ietd.conf"
    conf.write_text(ONE)
    monkeypatch.setattr("ietpy.config.load.DEFAULT_PATHS", (str(conf),))
    ended = CliRunner().invoke(main, ["boot-line"], env={"IETPY_CONTROL": str(tmp_path / "control")})
    assert (ended.exit_code, ended.output) == (0, f"{boot('192.0.2.1')}\n")
