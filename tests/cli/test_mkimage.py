"""``ietpy mkimage``: exit statuses, words on the right stream, and stopping in the middle."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ietpy import images
from ietpy.cli.mkimage import mkimage
from ietpy.config.load import loads
from tests.fields import checked

MIB = 1 << 20


def call(*words: str) -> Result:
    return CliRunner().invoke(mkimage, list(words), catch_exceptions=False)


def test_makes_a_sparse_image_here_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("--size", "10G")
    assert result.exit_code == 0
    facts = (tmp_path / "ietpy.img").stat()
    assert facts.st_size == 10 << 30
    assert facts.st_blocks < 100
    assert stat.S_IMODE(facts.st_mode) == 0o600
    assert "made ./ietpy.img: 10 GiB, sparse" in result.stderr


def test_standard_output_is_what_to_paste_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    result = call("--size", "1m", "--preallocate", str(path))
    assert result.exit_code == 0
    assert result.stdout == images.target_lines(str(path), os.uname().nodename)
    assert "all space allocated" in result.stderr
    assert "Allocating" not in result.stderr, "no bar where nobody looks"
    assert path.stat().st_blocks * 512 >= MIB


@pytest.mark.parametrize(("words", "sentence"), [
    (["--size", "1.5G", "x"], "not a whole number"),
    (["--size", "lots", "x"], "'lots' is not a size"),
    (["--size", "-1", "x"], "'-1' is not a size"),
    (["--size", "1000", "x"], "512-byte blocks"),
    (["--size", "1M", "nowhere/x"], "does not exist"),
    (["--size", "1M", "."], "is a directory, which is never overwritten"),
    (["--size", "1M", "old"], "old exists; add --force to replace it"),
    (["--size", "1M", "--force", "/dev/null"], "is a character device, which is never overwritten"),
    (["--size", "1M", ""], "is not a path"),
    (["x"], "say --size, as in --size 10G, or --from FILE"),
    (["--size", "1M", "--no-such", "x"], "No such option"),
])
def test_wrong_calls_exit_2_with_a_sentence(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").write_bytes(b"precious")
    result = call(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stdout == ""
    assert os.listdir(tmp_path) == ["old"]
    assert (tmp_path / "old").read_bytes() == b"precious"


def test_force_replaces(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(b"old")
    assert call("--size", "1M", "--force", str(path)).exit_code == 0
    assert path.stat().st_size == MIB


def test_a_system_that_fails_exits_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "")

    monkeypatch.setattr(os, "posix_fallocate", full)
    result = call("--size", "1M", "--preallocate", str(tmp_path / "disk.img"))
    assert result.exit_code == 1
    assert result.stderr == f"ietpy mkimage: {tmp_path}/disk.img cannot be made: No space left on device\n"
    assert os.listdir(tmp_path) == []


def test_a_path_ietd_conf_cannot_name_is_made_and_told(tmp_path: Path) -> None:
    result = call("--size", "1M", str(tmp_path / "a,b.img"))
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "ietd.conf cannot name a path with a comma in it; rename" in result.stderr


def test_a_sparse_image_larger_than_its_file_system_draws_a_note(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "free_space", lambda path: MIB)
    result = call("--size", "2M", str(tmp_path / "disk.img"))
    assert result.exit_code == 0
    assert "only 1 MiB are free there" in result.stderr


def test_a_name_that_is_not_utf_8_is_printed_as_it_is(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/disk-\xff.img"
    done = subprocess.run(
        [sys.executable, "-m", "ietpy.cli.ietpy", "mkimage", "--size", "1M", path], capture_output=True, check=True)
    assert b"Path=" + path + b",Type=fileio\n" in done.stdout


def test_ctrl_c_in_the_library_exits_130(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "posix_fallocate", interrupted)
    result = call("--size", "1M", "--preallocate", str(tmp_path / "disk.img"))
    assert result.exit_code == 130
    assert "stopped; no partial image is left" in result.stderr
    assert os.listdir(tmp_path) == []


#: The command as users run it, held in the middle of allocation: it says so on a pipe and waits for its signal.
#: (By running in a circle: one that came just before signal.pause() would be slept over.)
HELD = """
import os, sys
real = os.posix_fallocate
def held(fd, offset, length):
    real(fd, offset, length)
    if offset:
        os.write(report, b"!")
        while True:
            pass
os.posix_fallocate = held
report = int(sys.argv[1])
from ietpy import images
images._CHUNK = 1 << 20
from ietpy.cli.mkimage import mkimage
mkimage.main(args=sys.argv[2:], prog_name="ietpy mkimage")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("old", [False, True], ids=["new", "over an old one"])
def test_a_signal_in_the_middle_leaves_nothing(tmp_path: Path, number: signal.Signals, old: bool) -> None:
    path = tmp_path / "disk.img"
    if old:
        path.write_bytes(b"old")
    ours, theirs = os.pipe()
    child = subprocess.Popen(
        [sys.executable, "-c", HELD, str(theirs), "--size", "4M", "--preallocate", "--force", str(path)],
        pass_fds=[theirs], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.close(theirs)
    assert os.read(ours, 1) == b"!", "the child is in the middle"
    os.close(ours)
    [partial] = set(os.listdir(tmp_path)) - {"disk.img"}
    assert (tmp_path / partial).stat().st_blocks * 512 >= 2 * MIB
    child.send_signal(number)
    stdout, stderr = child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert stderr == b"ietpy mkimage: stopped; no partial image is left\n"
    assert stdout == b""
    assert os.listdir(tmp_path) == ["disk.img"] * old


def test_a_signal_ignored_by_the_caller_stays_ignored(tmp_path: Path) -> None:
    """As under nohup."""
    code = ("import os, signal, sys\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nreal = os.ftruncate\n"
            "def held(fd, size):\n    os.kill(os.getpid(), signal.SIGHUP)\n    real(fd, size)\n"
            "os.ftruncate = held\nfrom ietpy.cli.mkimage import mkimage\nmkimage.main(args=sys.argv[1:])")
    subprocess.run(
        [sys.executable, "-c", code, "--size", "1M", str(tmp_path / "disk.img")], check=True, capture_output=True)
    assert (tmp_path / "disk.img").stat().st_size == MIB


def test_a_bar_is_shown_to_a_terminal(tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "ietpy.cli.ietpy", "mkimage", "--size", "1M", "--preallocate",
         str(tmp_path / "disk.img")],
        stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "100"})
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # EIO is how Linux reports that the other side of a terminal is closed
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    stdout, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert b"Allocating" in shown
    assert b"1.0/1.0 MiB" in shown
    assert stdout.startswith(b"Target iqn.2010-06.")


def test_rich_is_imported_only_for_a_bar(tmp_path: Path) -> None:
    code = ("import sys\nfrom ietpy.cli.mkimage import mkimage\n"
            "mkimage.main(args=sys.argv[1:], standalone_mode=False)\n"
            "assert not [name for name in sys.modules if name.split('.')[0] == 'rich']")
    subprocess.run(
        [sys.executable, "-c", code, "--size", "1M", "--preallocate", str(tmp_path / "disk.img")],
        check=True, capture_output=True)


@pytest.mark.parametrize("mode", ["repair", "iet", "strict"])
@pytest.mark.parametrize("name", ["ietpy.img", "a b=c#.img", "été.img"])
def test_what_to_paste_is_read_back_without_a_remark(tmp_path: Path, mode: str, name: str) -> None:
    result = call("--size", "1M", str(tmp_path / name))
    configuration = loads(result.stdout, compat=mode)
    assert configuration.diagnostics == ()
    [target] = configuration.targets
    assert [(lun.path, lun.type) for lun in target.luns] == [(str(tmp_path / name), "fileio")]


# From another image ---------------------------------------------------------------------------------------------------


def test_an_image_of_another(tmp_path: Path) -> None:
    (tmp_path / "other.img").write_bytes(b"x" * 4096)
    new = tmp_path / "new.img"
    result = call("--from", str(tmp_path / "other.img"), "--size", "1M", str(new))
    assert result.exit_code == 0
    assert f"made {new}: 1 MiB, copied from {tmp_path}/other.img, its holes kept\n" in result.stderr
    assert result.stdout.endswith(f"    Lun 0 Path={new},Type=fileio\n")
    assert new.read_bytes() == (b"x" * 4096).ljust(1 << 20, b"\0")


def test_an_image_that_shares_blocks(sharing: Path) -> None:
    (sharing / "first.img").write_bytes(b"x" * 4096)
    result = call("--from", str(sharing / "first.img"), str(sharing / "second.img"))
    assert f": 4 KiB, it shares its blocks with {sharing}/first.img until they are written\n" in result.stderr


@pytest.mark.parametrize("words", [(), ("--format", "qcow2")])
def test_a_qcow2_image_is_converted_and_raw_is_taken_as_it_is(tmp_path: Path, words: tuple[str, ...]) -> None:
    qcow2 = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(qcow2), "3M"], check=True)
    result = call("--from", str(qcow2), *words, str(tmp_path / "new.img"))
    assert f": 3 MiB, converted from {qcow2}\n" in result.stderr
    assert (tmp_path / "new.img").read_bytes() == bytes(3 << 20)
    call("--from", str(qcow2), "--format", "raw", str(tmp_path / "raw.img"))
    assert (tmp_path / "raw.img").read_bytes()[:4] == b"QFI\xfb"


def test_a_raw_disk_that_a_client_made_look_like_qcow2(tmp_path: Path) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(b"QFI\xfb\0\0\0\3" + bytes(1 << 20))
    result = call("--from", str(disk), str(tmp_path / "new.img"))
    assert "begins as qcow2 images do, and its name does not end with .qcow2; say --format qcow2, or" in result.stderr
    assert result.exit_code == 2
    call("--from", str(disk), "--format", "raw", str(tmp_path / "new.img"))
    assert (tmp_path / "new.img").read_bytes().startswith(disk.read_bytes())


@pytest.mark.parametrize(("words", "sentence"), [
    (["--from", "none", "x"], "none cannot be read: No such file or directory"),
    (["--from", "old", "--preallocate", "x"], "--preallocate and --from exclude each other"),
    (["--size", "1M", "--format", "qcow2", "x"], "--format says what the file of --from is"),
    (["--from", "old", "--format", "qcow2", "x"], "cannot be converted"),
    (["--from", "old", "--size", "512", "x"], "which 512 bytes cannot hold"),
])
def test_what_is_wrong_with_a_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old").write_bytes(b"x" * 1024)
    result = call(*words)
    assert (result.exit_code, sentence in result.stderr) == (2, True), result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old"]


def test_json_of_what_was_made(tmp_path: Path) -> None:
    new = tmp_path / "new.img"
    document = checked("mkimage", call("--size", "1M", "--json", str(new)).stdout)
    assert (document["path"], document["size"], document["how"], document["source"]) == (str(new), MIB, "sparse", None)
    assert document["lines"][1] == f"    Lun 0 Path={new},Type=fileio"
    document = checked("mkimage", call("--from", str(new), "--json", str(tmp_path / "a,b")).stdout)
    assert (document["how"], document["source"], document["lines"]) == ("copied", str(new), None)
