"""``ietpy sessions``: in words, in full and as documented JSON, of a real daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ietpy.cli import sessions as module
from ietpy.cli.control import NotRunning
from ietpy.cli.facts import pace, sessions
from ietpy.cli.ietpy import main
from ietpy.initiator.login import LoginPlan
from tests.cli.conftest import INITIATOR, A, B, Daemon
from tests.cli.test_facts import connection
from tests.fields import checked


def test_who_is_connected(busy: Daemon) -> None:
    ended = busy.ietpy("sessions")
    assert (ended.exit_code, ended.stderr) == (0, "")
    head, first, second = ended.stdout.splitlines()
    assert head.split() == ["ID", "INITIATOR", "ADDRESS", "TARGET", "LUNS", "IOPS", "BYTES/S", "P99", "DEPTH", "AGE"]
    assert first.split()[:4] == ["1", "iqn.2026-01.net.ietpy:initiator", "127.0.0.1", A]
    assert second.split()[:4] == ["2", INITIATOR, "127.0.0.1", B]


def test_filters(busy: Daemon) -> None:
    for words, target in (("--target=:a", A), ("--initiator=:JOE", B)):
        (line,) = busy.ietpy("sessions", words).stdout.splitlines()[1:]
        assert target in line.split()
    ended = busy.ietpy("sessions", "--target", "zzz")
    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "no session that fits\n")
    assert busy.ietpy("sessions", "-v", "--target", "zzz").stderr == "no session that fits\n"


def test_json_of_sessions_is_as_documented(busy: Daemon) -> None:
    document = checked("sessions", busy.ietpy("sessions", "--json", "--interval", "0.1").stdout)
    one, two = document["sessions"]
    assert (one["target"], one["initiator"], one["tid"], one["user"]) == (A, "iqn.2026-01.net.ietpy:initiator", 1, None)
    assert [each["header_digest"] for each in two["connections"]] == [True]
    assert (one["counters"]["bytes_written"], one["luns"], two["keys"]["HeaderDigest"]) == (4096, [0, 3], "CRC32C")
    none = busy.ietpy("sessions", "--json", "--target", "zzz").stdout
    assert checked("sessions", none, full=False)["sessions"] == []


def test_in_full(busy: Daemon) -> None:
    shown = busy.ietpy("sessions", "-v").stdout
    assert f"session 2: {INITIATOR}\n" in shown
    assert "from 127.0.0.1 to 127.0.0.1 (portal group 1), header digests\n" in shown
    assert "(portal group 1), no digests\n" in shown
    assert "MaxBurstLength=" in shown
    assert "  commands:     " in shown
    assert "(0 reads, 1 writes)\n" in shown
    assert " 0 B read, 4 KiB written\n" in shown


def test_everything_that_may_be_told_is_shown() -> None:
    told = connection(user="joe", header_digest=True, errors={"medium_error": 2})
    (found,) = sessions([told], [{"name": "iqn.x:a", "tid": 7}])
    assert module.row(found, pace(found, 1010.0), 1010.0) == (
        "1", "iqn.1993-08.org.debian:01:abc", "10.0.0.7", "iqn.x:a", "2", "15", "512 B", "10 ms", "3", "10s"
    )
    assert list(module.in_full(found, pace(found, 1010.0), 1010.0, {"MaxBurstLength": "8"})) == [
        "session 1: iqn.1993-08.org.debian:01:abc",
        "  target:       iqn.x:a",
        "  user:         joe",
        "  age:          10s",
        "  LUNs:         0, 1",
        f"  IET's sid:    {found.sid}",
        "  connection 0: from 10.0.0.7 to 10.0.0.1 (portal group 1), header and data digests",
        "  commands:     160 (100 reads, 50 writes)",
        "  bytes:        4 KiB read, 1 KiB written",
        "  pace:         10 reads/s, 5 writes/s, 410 B/s read, 102 B/s written, over 10s",
        "  depth:        3",
        "  latency:      p50 556 us, p90 1 ms, p99 10 ms of 100 commands",
        "  errors:       2 medium error",
        "  keys:         MaxBurstLength=8",
    ]


@pytest.mark.parametrize("command", ["sessions", "targets", "luns"])
def test_without_a_daemon_the_next_step_is_said(command: str, tmp_path: Path) -> None:
    environment: dict[str, Any] = {"IETPY_CONTROL": str(tmp_path / "none")}
    ended = CliRunner().invoke(main, [command], env=environment)
    assert (ended.exit_code, ended.stdout) == (3, "")
    assert ended.stderr == (
        f"ietpy: the daemon is not running: there is no control socket {tmp_path}/none; ietpy-daemon start begins one;"
        " $IETPY_CONTROL names another socket\n"
    )


def test_discovery_and_who_has_just_gone_have_no_keys(busy: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IETPY_CONTROL", busy.control)
    found = module.look()
    busy.dial().login(LoginPlan())
    (asking,) = [each for each in module.look() if not each.target]
    assert module.keys(asking) is None
    assert module.DISCOVERY in busy.ietpy("sessions").stdout
    assert busy.ietpy("kick", "1", "--now").exit_code == 0
    assert module.keys(found[0]) is None
    assert module.keys(found[1]) is not None
    monkeypatch.setenv("IETPY_CONTROL", busy.control + ".none")
    with pytest.raises(NotRunning):
        module.keys(found[1])
