"""Rights that are given up, and cores that are not written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ietpy.daemon import confine
from ietpy.daemon.confine import become
from ietpy.errors import IetpyError

USER, GROUP = 65534, 65533


@pytest.fixture
def prctl(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Any]]:
    done: list[tuple[int, Any]] = []
    monkeypatch.setattr(confine, "_prctl", lambda *call: done.append(call))
    monkeypatch.setattr(confine.resource, "setrlimit", lambda *limit: None)
    return done


def test_the_group_goes_before_the_user(monkeypatch: pytest.MonkeyPatch, prctl: list[tuple[int, Any]]) -> None:
    done: list[tuple[str, object]] = []
    monkeypatch.setattr(confine.os, "geteuid", lambda: 0)
    for name in ("setgroups", "setgid", "setuid"):
        monkeypatch.setattr(confine.os, name, lambda value, name=name: done.append((name, value)))
    become(0, 0)
    assert done == []
    become(7, 8)
    assert done == [("setgroups", []), ("setgid", 8), ("setuid", 7)]
    assert prctl == [(4, 0)]
    become(0, 8)
    assert prctl == [(4, 0)] * 2  # for a group alone the kernel decides anew, too


def test_a_user_that_cannot_be_taken_on_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(value: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(confine.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(confine.os, "setuid", refuse)
    with pytest.raises(IetpyError, match="user 7 and group 0 cannot be taken on: Operation not permitted"):
        become(7, 0)


def status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)}


def processes(pid: int) -> list[int]:
    """This one and all it has made."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in processes(int(child)))]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("count", [1, 2])
def test_no_process_of_the_daemon_keeps_anything_of_root_s(daemon: Any, count: int) -> None:
    """Who forks workers, too; with the groups root was in, and no way back by what it might execute. What only root
    may do has been done: here a port below 1024."""
    address = f"127.77.{os.getpid() >> 8 & 255}.{os.getpid() & 255 or 1}"  # nobody else has it
    daemon.write("".join(f"Target iqn.2001-04.com.example:{name}\n\tLun 0 Type=nullio\n" for name in "ab"))
    started = daemon.start(
        "-u", str(USER), "-g", str(GROUP), "--processes", str(count), "-a", address, "-p", "860",
        preexec_fn=lambda: os.setgroups([0, 6, 1]),
    )
    assert started.returncode == 0, started.stderr
    facts = daemon.status()
    assert facts["portals"] == [{"address": address, "port": 860, "group": 1, "advertised": ""}]
    found = [*processes(facts["pid"]), *(each["pid"] for each in facts["processes"])]
    if count > 1:  # it is adopted by the daemon's parent's parent
        found.append(int(status(facts["processes"][0]["pid"])["PPid"]))
    assert len({*found}) == (1 if count == 1 else count + 2)
    for pid in found:
        is_now = status(pid)
        assert is_now["Uid"] == " ".join([str(USER)] * 4)
        assert is_now["Gid"] == " ".join([str(GROUP)] * 4)
        assert is_now["Groups"] == ""
        assert {int(is_now[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Amb")} == {0}
        assert is_now["NoNewPrivs"] == "1"


PROGRAM = """
import ctypes, os, resource, signal, sys
from ietpy.daemon.confine import become, leave_no_core
allowed = sys.argv[1] == "allowed"
leave_no_core(allowed)
become(int(sys.argv[2]), int(sys.argv[3]), allowed)
dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
if allowed:
    sys.exit(dumpable != 1 or resource.getrlimit(resource.RLIMIT_CORE)[0] != resource.RLIM_INFINITY)
if not dumpable:
    os.kill(os.getpid(), signal.SIGSEGV)
"""


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("user", "group"), [(0, 0), (USER, GROUP), (USER, 0), (0, GROUP)])
@pytest.mark.parametrize("word", ["not", "allowed"])
def test_a_crash_leaves_no_core_unless_that_is_allowed(word: str, user: int, group: int) -> None:
    """The kernel says whether it wrote one. Whether it could depends on core(5) of this machine, so where it is allowed
    only what it asks is looked at."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        command = f'cd {place}; ulimit -c unlimited; exec "$@"'
        program = [sys.executable, "-c", PROGRAM, word, str(user), str(group)]
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", command, "sh", *program], os.environ)
        _, ended = os.waitpid(pid, 0)
    if word == "allowed":
        assert ended == 0
    else:
        assert os.WTERMSIG(ended) == signal.SIGSEGV
        assert not os.WCOREDUMP(ended)


def test_a_process_has_a_name() -> None:
    program = "from ietpy.daemon import confine; confine.name_process('ietpy-x'); print(open('/proc/self/comm').read())"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "ietpy-x"


def test_another_process_of_the_same_user_sees_nothing(daemon: Any, plain_user: list[str]) -> None:
    """ptrace(2), and so /proc/PID/mem, asks whether a process may leave a core."""
    program = (
        "import os, sys; from ietpy.daemon.confine import leave_no_core; leave_no_core(sys.argv[1] == 'allowed');"
        "print(os.getpid(), flush=True); sys.stdin.read()"
    )
    for word, seen in (("not", False), ("allowed", True)):
        victim = subprocess.Popen(
            [*plain_user, sys.executable, "-c", program, word], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with victim:
            assert victim.stdout is not None
            pid = int(victim.stdout.readline())
            look = subprocess.run([*plain_user, "cat", f"/proc/{pid}/environ"], capture_output=True, check=False)
            assert (look.returncode == 0) is seen
            assert victim.stdin is not None
            victim.stdin.close()
