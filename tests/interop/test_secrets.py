"""No secret shows: in logs at debug level, the process list, status, checks, published files and what a wrong login is
told. One daemon, everything that has to do with accounts, and then every byte that could be read is searched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.errors import AuthenticationFailed, LoginRefused
from ietpy.initiator.login import Chap, LoginPlan
from tests.interop.conftest import Daemon

NAME = "iqn.2026-11.test.ietpy:secrets"
IN, OUT, FILED, FINDER, LATER, HAND = (
    f"s3cret-{place}-0123" for place in ("in", "out", "file", "finder", "later", "hand")
)
SECRETS = (IN, OUT, FILED, FINDER, LATER, HAND)


def words(daemon: Daemon, program: str, *arguments: str) -> str:
    """Everything a command prints, whatever its exit status."""
    environment = {**os.environ, "IETPY_CONTROL": str(daemon.directory / "control"),
                   "CREDENTIALS_DIRECTORY": str(daemon.directory)}
    ended = subprocess.run(
        [str(Path(sys.executable).parent / program), *arguments], env=environment, capture_output=True, text=True,
        check=False, timeout=60,
    )
    return ended.stdout + ended.stderr


def login(daemon: Daemon, target: str, chap: Chap) -> list[str]:
    """What the initiator heard, and why it was refused if it was."""
    with Client.connect("127.0.0.1", daemon.port) as client:
        try:
            outcome = client.login(LoginPlan(target=target, chap=chap))
        except (LoginRefused, AuthenticationFailed) as refused:
            return [str(refused)]
        client.logout()
        return [f"{name}={value}" for name, value in outcome.keys.items()]


def test_no_secret_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for name, secret in (("ann.secret", FILED), ("later.secret", LATER)):
        (tmp_path / name).write_text(secret + "\n")
        (tmp_path / name).chmod(0o644)  # so that there is something to say about it
    daemon = Daemon(tmp_path, (
        f"IncomingUser finder {FINDER}\n"
        f"Target {NAME}\nIncomingUser joe {IN}\nIncomingUserFile ann ann.secret\nOutgoingUser us {OUT}\n"
        f"IncomingUser half\n{IN}\nLun 0 Type=nullio\nIncomingUsr joe {IN} {IN}\nIncomingUser=joe {IN}\n"
        f"IncomingUserFile half\n{FILED}\nIncomingUserFile joe /none {IN}\n"
        f"Target {NAME}2\nIncomingUserFile ann ann.secret\nIncomingUser joe {IN}\nOutgoingUser us {OUT}\n"
    ))
    daemon.config.chmod(0o644)
    daemon.start("-d", "8")
    heard: list[str] = []
    try:
        target = f"{NAME}2"
        for chap in (
            Chap("joe", IN), Chap("ann", FILED), Chap("joe", IN, "us", OUT), Chap("joe", OUT), Chap("us", OUT),
            Chap("joe", "wrong"), Chap("nobody", "wrong"), Chap("joe", IN, "us", "wrong"),
            Chap("joe", "wrong", "us", OUT),
        ):
            heard += login(daemon, target, chap)
        heard += login(daemon, "", Chap("finder", FINDER)) + login(daemon, "", Chap("joe", IN))
        assert len(heard) > 30
        seen = [
            words(daemon, "ietadm", "--op", "new", "--tid=2", "--user", f"--params=IncomingUser=hand,Password={HAND}"),
            words(daemon, "ietadm", "--op", "show", "--tid=2", "--user"),
            words(daemon, "ietadm", "--op", "show", "--tid=2"),
            words(daemon, "ietpy", "status", "--json"), words(daemon, "ietpy", "status"),
            words(daemon, "ietpy", "proc", "volume"), words(daemon, "ietpy", "proc", "session"),
            words(daemon, "ietpy", "check", "-c", str(daemon.config), "--all-modes"),
            words(daemon, "ietpy", "check", "-c", str(daemon.config), "--json", "--all-modes"),
            words(daemon, "ietpy", "explain", "-c", str(daemon.config), target, "iqn.i", "127.0.0.1"),
        ]
        assert "IncomingUser hand" in seen[1]
        (tmp_path / "ann.secret").write_text(LATER)
        seen.append(words(daemon, "ietpy-daemon", "reload", "--control", str(tmp_path / "control"),
                          "--pid-file", str(tmp_path / "ietd.pid")))
        assert any("TargetPortalGroupTag" in word for word in login(daemon, target, Chap("ann", LATER)))
        assert any("02/01" in word or "0x201" in word or "authentic" in word
                   for word in login(daemon, target, Chap("ann", FILED)))
        process = Path("/proc", str(daemon.pid))
        seen += [(process / name).read_bytes().decode("utf-8", "replace") for name in ("cmdline", "environ", "comm")]
        seen += [path.read_text("utf-8", "replace") for path in process.glob("task/*/comm")]
    finally:
        daemon.stop()
    seen += [daemon.log, *heard]
    assert "wrong user or secret" in daemon.log
    assert "secrets-readable" in "".join(seen) or "which holds secrets" in "".join(seen)
    holders = {daemon.config, tmp_path / "ann.secret", tmp_path / "later.secret"}
    seen += [path.read_bytes().decode("utf-8", "replace") for path in tmp_path.rglob("*")
             if path.is_file() and path not in holders]
    for secret in SECRETS:
        assert [text[:2000] for text in seen if secret in text] == []
