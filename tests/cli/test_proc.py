"""The files that stand for IET's /proc/net/iet, `ietpy proc`, and the programs that read them (iet-compat 6)."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from ietpy.cli.ietpy import main
from ietpy.initiator.login import LoginPlan
from tests.cli.conftest import Daemon, make_disk, until

# The files ------------------------------------------------------------------------------------------------------------

ONE, TWO = "iqn.2001-04.com.example:storage.disk1.sys1.xyz", "image2"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Daemon]:
    """Two targets, of which the first has a session, and a third without logical units."""
    for name in ("a", "b"):
        make_disk(tmp_path / name)
    lines = (
        f"Target {ONE}", f"Lun 0 Path={tmp_path}/a", f"Lun 11 Path={tmp_path}/b,IOMode=ro", f"Target {TWO}",
        "Lun 1 Type=nullio,Blocks=100", "Target empty", "",
    )
    with Daemon(tmp_path, "\n".join(lines)) as daemon:
        daemon.login(ONE, initiator="iqn.1993-08.org.debian:01:792572ead4e4", isid=bytes.fromhex("00023d010000"))
        until(lambda: "\tsid:" in daemon.session())
        yield daemon


def fields(line: str) -> dict[str, str]:
    """The words of a line, parted at the first colon, as lunr's exporter does it."""
    return {key: value for key, _, value in (word.partition(":") for word in line.split())}


def printed(daemon: Daemon, file: str) -> str:
    ended = CliRunner().invoke(main, ["proc", file], env=daemon.environment)
    assert (ended.exit_code, ended.stderr) == (0, "")
    return ended.stdout


def test_files_and_command_say_the_same(served: Daemon) -> None:
    assert printed(served, "volume") == served.volume() == (
        "tid:3 name:empty\n"
        f"tid:2 name:{TWO}\n"
        "\tlun:1 state:0 iotype:nullio iomode:wt blocks:100 blocksize:512\n"
        f"tid:1 name:{ONE}\n"
        f"\tlun:0 state:0 iotype:fileio iomode:wt blocks:2048 blocksize:512 path:{served.directory}/a\n"
        f"\tlun:11 state:0 iotype:fileio iomode:ro blocks:2048 blocksize:512 path:{served.directory}/b\n"
    )
    assert printed(served, "session") == served.session() == (
        "tid:3 name:empty\n"
        f"tid:2 name:{TWO}\n"
        f"tid:1 name:{ONE}\n"
        "\tsid:281474997486080 initiator:iqn.1993-08.org.debian:01:792572ead4e4\n"
        "\t\tcid:0 ip:127.0.0.1 state:active hd:none dd:none\n"
    )


def test_the_command_prints_bytes(daemon: Daemon) -> None:
    daemon.do("--op=new", "--tid=0", f"--params=Name={os.fsdecode(bytes([0xFF, 0xE9]))}")
    command = [sys.executable, "-m", "ietpy.cli.ietpy", "proc", "volume"]
    environment = {**os.environ, **daemon.environment}
    ended = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=60)
    assert ended.stdout == b"tid:1 name:\xff\xe9\n"


def test_without_a_daemon_the_command_exits_with_3(tmp_path: Path) -> None:
    ended = CliRunner().invoke(main, ["proc", "volume"], env={"IETPY_CONTROL": str(tmp_path / "none")})
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert "the daemon is not running" in ended.stderr


@pytest.mark.parametrize("words", [["proc"], ["proc", "volumes"], ["proc", "volume", "session"]])
def test_there_are_two_files(words: list[str]) -> None:
    assert CliRunner().invoke(main, words).exit_code == 2


def test_everybody_may_read_the_files(served: Daemon) -> None:
    assert sorted(os.listdir(served.published)) == ["session", "volume"]
    assert stat.S_IMODE(served.published.stat().st_mode) == 0o755
    for name in ("session", "volume"):
        assert stat.S_IMODE((served.published / name).stat().st_mode) == 0o644
        assert (served.published / name).stat().st_nlink == 1


def test_what_ietadm_did_is_there_when_it_has_answered(served: Daemon) -> None:
    served.do("--op=new", "--tid=9", "--params=Name=x")
    assert served.volume().startswith("tid:9 name:x\n")
    assert served.session().startswith("tid:9 name:x\n")
    served.do("--op=new", "--tid=9", "--lun=0", "--params=Type=nullio")
    assert served.volume().startswith("tid:9 name:x\n\tlun:0 ")
    served.do("--op=delete", "--tid=9", "--lun=0")
    assert served.volume().startswith("tid:9 name:x\ntid:3")
    served.do("--op=delete", "--tid=9")
    assert served.volume().startswith("tid:3 ")
    assert served.session().startswith("tid:3 ")


def test_sessions_come_and_go(served: Daemon) -> None:
    second = served.login(ONE, initiator="iqn.second", keys={"HeaderDigest": "CRC32C"}, cid=3)
    until(lambda: served.session().count("\tsid:") == 2)
    newest, connection = re.findall(r"initiator:(\S+)\n\t\t(.*)\n", served.session())[0]
    assert newest == "iqn.second"
    assert connection == "cid:3 ip:127.0.0.1 state:active hd:crc32c dd:none"
    discovery = served.dial()
    discovery.login(LoginPlan(initiator="iqn.discovering"))
    second.logout()
    until(lambda: served.session().count("\tsid:") == 1)
    assert "iqn.discovering" not in served.session()


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    names = [f"stays{number}" for number in range(100)]
    lines = r"(?:tid:\d+ name:\S+\n|\tlun:\d+ state:[01] iotype:nullio iomode:wt blocks:134217728 blocksize:512\n)*"
    seen: list[str] = []
    over = threading.Event()

    def read(daemon: Daemon) -> None:
        while not over.is_set():
            seen.append(daemon.volume())

    with Daemon(tmp_path, "".join(f"Target {name}\nLun 0 Type=nullio\n" for name in names)) as daemon:
        reader = threading.Thread(target=read, args=(daemon,))
        reader.start()
        try:
            for number in range(50):
                daemon.do("--op=new", "--tid=999", f"--params=Name=comes{number}")
                daemon.do("--op=new", "--tid=999", "--lun=1", "--params=Type=nullio")
                daemon.do("--op=delete", "--tid=999")
        finally:
            over.set()
            reader.join()
    assert len(set(seen)) > 3, "the reader saw changes"
    for text_read in set(seen):
        assert re.fullmatch(lines, text_read)
        assert text_read.count(" name:stays") == text_read.count("\tlun:0 ") == 100


def test_when_the_daemon_ends_the_files_are_gone(tmp_path: Path) -> None:
    with Daemon(tmp_path, "Target x\n") as daemon:
        assert daemon.volume() == "tid:1 name:x\n"
    assert not daemon.published.exists()


def test_files_of_a_killed_daemon_are_taken_over(tmp_path: Path) -> None:
    left = tmp_path / "control.iet"
    left.mkdir(mode=0o700)
    (left / "volume").write_text("tid:77 name:old\n")
    (left / "session.new").write_text("half")
    with Daemon(tmp_path, "Target x\n") as daemon:
        assert daemon.volume() == daemon.session() == "tid:1 name:x\n"
        assert stat.S_IMODE(left.stat().st_mode) == 0o755


# The programs that read them (iet-compat 6.3), with their own expressions and our path --------------------------------


def shell(script: str, *arguments: str) -> tuple[int, str]:
    command = ["sh", "-c", script, "sh", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.stderr == ""
    return ended.returncode, ended.stdout


def test_greps_of_the_resource_agents(served: Daemon) -> None:
    """Is this target there, and this logical unit: exit statuses of grep decide."""
    volume = str(served.published / "volume")
    assert served.published.is_dir()
    for tid, name, status in ((1, ONE, 0), (2, TWO, 0), (2, ONE, 1), (11, ONE, 1), (4, "other", 1)):
        assert shell(f'grep -q "tid:{tid} name:{name}" "$1"', volume)[0] == status
    for number, path, status in ((0, "a", 0), (11, "b", 0), (2, "b", 1), (0, "b", 1), (11, "", 1)):
        assert shell(f'grep -E -q "lun:{number}.*path:$2$" "$1"', volume, f"{served.directory}/{path}")[0] == status


def test_next_tid_of_openqrm(served: Daemon) -> None:
    script = "grep tid: \"$1\" | cut -d' ' -f1 | cut -d: -f2 | sort -n | tail -n 1"
    assert shell(script, str(served.published / "volume")) == (0, "3\n")
    served.do("--op=new", "--tid=12", "--params=Name=x")
    assert shell(script, str(served.published / "volume")) == (0, "12\n")
    tid = shell(f"grep 'name:{TWO}$' \"$1\" | sed -e 's/^tid:\\([0-9]*\\) .*/\\1/'", str(served.published / "volume"))
    assert tid == (0, "2\n")
    sid = shell("grep -A1 \"name:$2\" \"$1\" | awk -F'[: ]' '/sid/ {print $2}' | tr -d '\\t'",
                str(served.published / "session"), ONE)
    assert sid == (0, "281474997486080\n")
    served.do("--op=delete", "--tid=1", f"--sid={sid[1].strip()}", "--cid=0")
    served.do("--op=delete", "--tid=1")


def test_splits_of_lunr(served: Daemon) -> None:
    """On blanks, then at the first colon; by indentation it is not told what a line is of."""
    volumes: list[dict[str, str]] = []
    for line in served.volume().splitlines():
        found = fields(line)
        if "tid" in found:
            volumes.append(found)
        else:
            volumes[-1].update(found)
    assert volumes[1:] == [
        {"tid": "2", "name": TWO, "lun": "1", "state": "0", "iotype": "nullio", "iomode": "wt", "blocks": "100",
         "blocksize": "512"},
        {"tid": "1", "name": ONE, "lun": "11", "state": "0", "iotype": "fileio", "iomode": "ro", "blocks": "2048",
         "blocksize": "512", "path": f"{served.directory}/b"},
    ]
    lines = served.session().splitlines()
    assert [fields(line) for line in lines[-2:]] == [
        {"sid": "281474997486080", "initiator": "iqn.1993-08.org.debian:01:792572ead4e4"},
        {"cid": "0", "ip": "127.0.0.1", "state": "active", "hd": "none", "dd": "none"},
    ]


def test_session_blocks_of_cinder(served: Daemon) -> None:
    """A block for each target; in it the name, and of one in use what to close."""
    found = {}
    for block in re.split("^tid:", served.session(), flags=re.MULTILINE)[1:]:
        words = block.split()
        facts = dict(word.split(":", 1) for word in words[1:])
        found[facts["name"]] = (words[0], facts.get("sid"), facts.get("cid"))
    assert found == {ONE: ("1", "281474997486080", "0"), TWO: ("2", None, None), "empty": ("3", None, None)}
    tid, sid, cid = found[ONE]
    served.do("--op=delete", f"--tid={tid}", f"--sid={sid}", f"--cid={cid}")
    served.do("--op=delete", f"--tid={tid}")
    assert ONE not in served.volume()



def test_tid_by_name_of_proxmox(served: Daemon) -> None:
    """One line for each target; how much is blank does not matter."""
    assert dict(re.findall(r"^tid:(\d+)\s+name:(.+)$", served.volume(), re.MULTILINE)) == {
        "1": ONE, "2": TWO, "3": "empty",
    }
    assert re.findall(r"^\s+lun:(\d+)\s+state:\d+\s+iotype:(\w+).*\s+path:(.+)$", served.volume(), re.MULTILINE) == [
        ("0", "fileio", f"{served.directory}/a"), ("11", "fileio", f"{served.directory}/b"),
    ]
