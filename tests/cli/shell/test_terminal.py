"""The terminal: completion, history and interrupts in a pty, and lines from a pipe."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from ietpy.cli.shell.core import Shell
from ietpy.cli.shell.disks import BOOK, HISTORY
from ietpy.cli.shell.terminal import completer, tell
from ietpy.errors import ConfigError, Diagnostic, Span, UsageError
from tests.cli.conftest import Daemon
from tests.cli.shell.conftest import T, World

SHELL = [sys.executable, "-m", "ietpy.cli.ietpy", "shell"]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, f"Target {T}\n    Lun 0 Type=nullio\n") as daemon:
        yield daemon


@pytest.fixture
def terminal(daemon: Daemon) -> Iterator[Callable[[], pexpect.spawn]]:
    """terminal(): a shell that has shown its prompt."""
    children: list[pexpect.spawn] = []

    def begin() -> pexpect.spawn:
        environment = {**os.environ, **daemon.environment, "TERM": "dumb"}
        child = pexpect.spawn(SHELL[0], SHELL[1:], env=environment, dimensions=(50, 300), timeout=30)
        child.delaybeforesend = None
        child.expect_exact("/> ")
        children.append(child)
        return child

    yield begin
    for child in children:
        child.close(force=True)


def test_tab_completes_paths_commands_and_parameters(terminal: Callable[[], pexpect.spawn]) -> None:
    child = terminal()
    for typed, shown in (
        ("cd ba\t", "cd backstores/"), ("fi\t", "fileio"), ("\r", "/backstores/fileio> "),
        ("cre\t", "create "), ("x /dev/nul\t", "x /dev/null "), ("spar\t", "sparse="), ("t\t", "true "), ("\x15", ""),
        ("cd /iscsi/iq\t", f"cd /iscsi/{T}/"), ("tp\t", "tpg1/"), ("\r", ".../tpg1> "),
        ("set attr\t", "set attribute "), ("authen\t", "authentication="), ("\x15", ""),
        ("set \t\t", "attribute"),
    ):
        child.send(typed)
        child.expect_exact(shown)


def test_history_has_no_secrets_and_is_there_the_next_time(
    terminal: Callable[[], pexpect.spawn], daemon: Daemon
) -> None:
    child = terminal()
    for line in ("pwd", f"/iscsi/{T}/tpg1 set auth userid=joe password=secretsecret12", "version"):
        child.sendline(line)
        child.expect_exact("/> ")
    child.send("\x1b[A\x1b[A")
    child.expect_exact("pwd")
    child.sendline("")
    child.expect_exact("/> ")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    history = daemon.directory / "state-shell" / HISTORY
    assert history.read_text().splitlines() == ["pwd", "version", "pwd", "exit"]
    assert history.stat().st_mode & 0o777 == 0o600
    child = terminal()
    child.send("\x1b[A\x1b[A")
    child.expect_exact("pwd")


def interrupt(child: pexpect.spawn) -> None:
    """Ctrl-C, up to the next prompt. Python passes over one that comes while readline reads a character."""
    for _ in range(30):
        child.sendintr()
        if child.expect_exact(["/> ", pexpect.TIMEOUT], timeout=1) == 0:
            return
    raise AssertionError("nothing is interrupted")


def test_ctrl_c_drops_the_line_and_ctrl_d_leaves(terminal: Callable[[], pexpect.spawn]) -> None:
    child = terminal()
    child.send("clearconfig confirm=True")
    child.expect_exact("=True")
    interrupt(child)
    child.sendline("cd")
    child.expect_exact("Number or path to go to (empty: stay): ")
    interrupt(child)
    child.sendline("cd")
    child.expect_exact("stay): ")
    child.sendline("3")
    child.expect_exact("/backstores/fileio> ")
    child.sendline("ls /iscsi 1")
    child.expect_exact(T)
    child.expect_exact("fileio> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_bytes_that_are_no_text_are_an_error_like_others(terminal: Callable[[], pexpect.spawn]) -> None:
    child = terminal()
    child.sendline(b"ls /\xff\xfe")
    child.expect_exact(r"there is no \xff\xfe below /")
    child.expect_exact("/> ")
    child.sendline("ls /\u00e9".encode())
    child.expect_exact("there is no \u00e9 below /".encode())


def test_a_daemon_that_dies_is_an_error_like_others(tmp_path: Path, terminal: Callable[[], pexpect.spawn]) -> None:
    child = terminal()
    (tmp_path / "control").rename(tmp_path / "elsewhere")
    child.sendline("ls")
    child.expect_exact("the daemon is not running")
    child.send("cd /b\t\r")
    child.expect_exact("the daemon is not running")
    (tmp_path / "elsewhere").rename(tmp_path / "control")
    child.sendline("pwd")
    child.expect_exact("\n/\r")


def piped(daemon: Daemon, text: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        SHELL, input=text, env={**os.environ, **daemon.environment}, capture_output=True, check=False, timeout=60)


def test_lines_from_a_pipe(daemon: Daemon) -> None:
    ended = piped(daemon, b"# a comment\n\ncd iscsi\r\npwd\n/iscsi create " + f"{T}2\n".encode() + b"pwd")
    assert ended.returncode == 0
    assert ended.stdout.splitlines()[0] == b"/iscsi"
    assert ended.stdout.splitlines()[-1] == f"/iscsi/{T}2/tpg1".encode()
    assert ended.stderr == b"served, but not saved: saveconfig writes it into ietd.conf\n"
    assert f"{T}2" in [target.config.name for target in daemon.inventory.all()]


def test_two_shells_at_once_undo_nothing_of_each_other(daemon: Daemon) -> None:
    scripts = [
        "".join(f"/iscsi create {T}.{one}.{number}\n/backstores/fileio create {one}{number} {daemon.directory}/{one}"
                f"{number}.img 1M\n" for number in range(6)) for one in "ab"
    ]
    shells = [
        subprocess.Popen(SHELL, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                         env={**os.environ, **daemon.environment})
        for _ in scripts
    ]
    for each, script in zip(shells, scripts, strict=True):
        assert each.stdin is not None
        each.stdin.write(script)
        each.stdin.close()
    for each in shells:
        assert each.wait(60) == 0
        assert each.stderr is not None
        each.stderr.close()
    assert len(daemon.inventory.all()) == 1 + 2 * 6
    names = (daemon.directory / "state-shell" / BOOK).read_text()
    assert names.count('"fileio"') == 2 * 6


def test_the_first_mistake_ends_a_pipe(daemon: Daemon) -> None:
    for line, sentence in (
        (b"nonsense", b"line 2: there is no command nonsense; help says what there is\n"),
        (b"ls /\xff", b"line 2: there is no \\xff below /; there are backstores, iscsi\n"),
        (b"ls " + b"x" * 70000, b"line 2: a line of more than 65536 characters\n"),
        (b"cd", b"line 2: cd needs a path where nobody can be asked; ls shows what there is\n"),
    ):
        ended = piped(daemon, b"pwd\n" + line + b"\nversion\n")
        assert (ended.returncode, ended.stdout, ended.stderr) == (1, b"/\n", sentence)


def test_no_input_at_all(daemon: Daemon) -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", *SHELL]
    ended = subprocess.run(
        command, env={**os.environ, **daemon.environment}, capture_output=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_exit_ends_a_pipe(daemon: Daemon) -> None:
    ended = piped(daemon, b"exit\npwd\n")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_completion_never_fails(world: World) -> None:
    complete = completer(Shell(world), lambda: "cd /b rest", lambda: 5)
    assert [complete("/b", number) for number in range(3)] == ["/backstores/", None, None]
    world.text = lambda: (_ for _ in ()).throw(UsageError("gone"))  # type: ignore[method-assign]
    assert complete("/b", 0) is None


def test_errors_move_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    tell(UsageError("a\x1b[2J"))
    assert capsys.readouterr().err == "a\\x1b[2J\n"


def test_errors_of_files_are_told_without_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    tell(ConfigError([Diagnostic(Span("f", 1, 1), "error", "x", "this is wrong", "mend it", "did that")]), "line 3: ")
    tell(UsageError("so is this"))
    assert capsys.readouterr().err == "line 3: this is wrong; mend it\nso is this\n"
