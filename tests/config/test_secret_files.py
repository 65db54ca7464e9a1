"""Secrets in files of their own, and who can read them: what is found, what holds, and that no message shows one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ietpy.config import secret_files
from ietpy.config.findings import MODES
from ietpy.config.load import load, loads, search
from ietpy.config.model import Account, Configuration, meaning
from ietpy.config.secret_files import DIRECTORY, resolved
from ietpy.errors import Span

T = "Target iqn.2001-04.com.example:disk1\n"
SECRET = "a-secret-of-19-bytes"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(DIRECTORY, raising=False)
    return tmp_path


def secret(place: Path, content: str | bytes = SECRET, mode: int = 0o600, name: str = "joe") -> Path:
    path = place / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def conf(place: Path, text: str, mode: int = 0o600, compat: str | None = None) -> Configuration:
    path = place / "ietd.conf"
    path.write_text(text)
    path.chmod(mode)
    return load(path, compat)


def found(configuration: Configuration) -> list[tuple[str, int]]:
    for one in configuration.diagnostics:
        assert SECRET not in str(one)
    return [(one.code, one.span.line) for one in configuration.diagnostics]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("content", [SECRET, SECRET + "\n"])
def test_secrets_are_read(place: Path, content: str, mode: str) -> None:
    path = secret(place, content)
    ours = secret(place, "another-long-secret\n", name="ours")
    configuration = conf(
        place, f"IncomingUserFile joe {path}\n{T}IncomingUserFile joe {path} # him\nOutgoingUserFile us {ours}\n",
        compat=mode,
    )
    assert found(configuration) == []
    (target,) = configuration.targets
    for accounts in (configuration.discovery_incoming, target.incoming):
        assert [(one.name, one.secret, one.file) for one in accounts] == [("joe", SECRET, str(path))]
    assert target.outgoing is not None
    assert (target.outgoing.name, target.outgoing.secret) == ("us", "another-long-secret")


def test_the_text_alone_holds_no_secret(place: Path) -> None:
    text = f"{T}IncomingUserFile joe {secret(place)}\n"
    written, read = loads(text, str(place / "ietd.conf")), conf(place, text)
    assert written.targets[0].incoming[0].secret == ""
    assert written != read
    assert meaning(written) == meaning(read)


@pytest.mark.parametrize(("content", "kept"), [
    pytest.param("two lines\nof a secret\n", "two lines\nof a secret", id="newlines within"),
    pytest.param("newline at its end\n\n", "newline at its end\n", id="one newline only"),
    pytest.param(b"bytes that are \xff\xfe", "bytes that are \udcff\udcfe", id="no UTF-8"),
    pytest.param(" blanks around it ", " blanks around it ", id="blanks"),
    pytest.param("s" * 255, "s" * 255, id="the longest"),
])
def test_what_a_file_may_hold(place: Path, content: str | bytes, kept: str) -> None:
    configuration = conf(place, f"{T}IncomingUserFile joe {secret(place, content)}\n")
    assert found(configuration) == []
    assert configuration.targets[0].incoming[0].secret == kept


@pytest.mark.parametrize(("content", "reason"), [
    pytest.param("", "it is empty", id="empty"), pytest.param("\n", "it is empty", id="a newline"),
    pytest.param("s" * 256, "it holds 256 bytes", id="too long"),
    pytest.param(None, "No such file or directory", id="missing"),
])
@pytest.mark.parametrize(("keyword", "effect"), [
    ("IncomingUserFile", "the user cannot log in"), ("OutgoingUserFile", "the target cannot authenticate itself"),
])
def test_files_without_a_secret(place: Path, content: str | None, reason: str, keyword: str, effect: str) -> None:
    path = place / "joe" if content is None else secret(place, content)
    for mode in MODES:
        configuration = conf(place, f"{T}{keyword} joe {path}\n", compat=mode)
        assert found(configuration) == [("secret-file", 2)]
        (one,) = configuration.diagnostics
        assert one.severity == ("warning" if mode == "iet" else "error")
        assert reason in one.problem
        assert effect in one.problem
        (target,) = configuration.targets
        account = target.outgoing or target.incoming[0]
        assert (account.name, account.secret) == ("joe", "")


def test_what_never_ends_is_no_secret(place: Path) -> None:
    os.mkfifo(place / "fifo")
    configuration = conf(place, f"{T}IncomingUserFile joe {place / 'fifo'}\nIncomingUserFile ann {place}\n")
    assert found(configuration) == [("secret-file", 2), ("secret-file", 3)]


def test_a_relative_path_counts_from_systemd_s_directory(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"{T}IncomingUserFile joe joe\n"
    configuration = conf(place, text)
    assert found(configuration) == [("secret-file", 2)]
    assert "LoadCredential=" in configuration.diagnostics[0].problem
    secret(place)
    monkeypatch.setenv(DIRECTORY, str(place))
    configuration = conf(place, text)
    assert found(configuration) == []
    assert configuration.targets[0].incoming[0].secret == SECRET


def test_a_file_is_read_again_at_every_load(place: Path) -> None:
    text = f"{T}IncomingUserFile joe {secret(place)}\n"
    assert conf(place, text).targets[0].incoming[0].secret == SECRET
    secret(place, "another-long-secret")
    assert conf(place, text).targets[0].incoming[0].secret == "another-long-secret"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("line", ["IncomingUserFile", "IncomingUserFile joe", "IncomingUserFile joe # path to come",
                                  "OutgoingUserFile us"])
def test_half_a_line_closes_what_it_is_about(mode: str, line: str) -> None:
    configuration = loads(f"{T}{line}\n", compat=mode)
    assert [one.code for one in configuration.diagnostics] == ["secret-file"]
    assert configuration.targets[0].closed
    assert loads(f"{line}\n", compat=mode).discovery_closed


def test_a_misspelt_line_keeps_its_meaning() -> None:
    configuration = loads(f"{T}IncomingUserFiel joe /none\n")
    assert [one.code for one in configuration.diagnostics] == ["misspelt-keyword"]
    assert [one.file for one in configuration.targets[0].incoming] == ["/none"]


def test_words_behind_are_reported() -> None:
    assert [one.code for one in loads(f"{T}IncomingUserFile joe /a b\n").diagnostics] == ["surplus-words"]


# Who can read them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "who"), [
    (0o600, ""), (0o400, ""), (0o644, "everybody"), (0o604, "everybody"), (0o602, "everybody"), (0o640, "group 12345"),
    (0o620, "group 12345"), (0o601, ""), (0o610, ""),
])
@pytest.mark.parametrize("own", [True, False])
def test_who_can_read_a_secret(
    place: Path, mode: int, who: str, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In ietd.conf as in a file of its own; the group counts unless it is root's or the daemon's."""
    path = secret(place, mode=mode if own else 0o600)
    line = f"IncomingUserFile joe {path}" if own else f"IncomingUser joe {SECRET}"
    real = os.stat

    def stat(path: str) -> os.stat_result:
        values = list(real(path))
        values[5] = 12345
        return os.stat_result(values)

    monkeypatch.setattr(secret_files.os, "stat", stat)
    configuration = conf(place, f"{T}{line}\n", mode=0o600 if own else mode)
    assert found(configuration) == ([("secrets-readable", 2 if own else 1)] if who else [])
    for one in configuration.diagnostics:
        assert one.severity == "warning"
        assert one.problem.startswith(who)
    monkeypatch.setattr(secret_files.os, "getegid", lambda: 12345)
    configuration = conf(place, f"{T}{line}\n", mode=0o600 if own else mode)
    assert bool(found(configuration)) is (who == "everybody")


def test_exposed_secrets_stop_a_strict_daemon(place: Path) -> None:
    assert conf(place, f"Compat strict\n{T}IncomingUser joe {SECRET}\n", 0o644).refused
    assert not conf(place, f"Compat strict\n{T}IncomingUser joe {SECRET}\n").refused


def test_a_file_without_secrets_may_be_read_by_all(place: Path) -> None:
    assert found(conf(place, T, 0o644)) == []
    assert found(conf(place, f"{T}IncomingUserFile joe {secret(place)}\n", 0o644)) == []


def test_a_file_gone_since_it_was_read_is_nobody_s() -> None:
    account = Account("joe", SECRET, Span("/none/ietd.conf", 1, 1))
    assert found(resolved(Configuration("/none/ietd.conf", discovery_incoming=(account,)), {})) == []


def test_one_look_at_a_file_of_many(place: Path) -> None:
    path = secret(place, mode=0o644)
    lines = "".join(f"Target iqn.{number}\nIncomingUserFile joe {path}\n" for number in range(3))
    assert found(conf(place, lines)) == [("secrets-readable", 2)]


def test_the_second_place_is_looked_at_too(place: Path) -> None:
    path = place / "ietd.conf"
    path.write_text(f"{T}IncomingUser joe {SECRET}\n")
    path.chmod(0o644)
    assert [one.code for one in search(("/none/ietd.conf", str(path)), None).diagnostics] == [
        "old-location", "secrets-readable",
    ]


# What they are --------------------------------------------------------------------------------------------------------


@pytest.mark.rfc7143("9.2.1-6")
@pytest.mark.parametrize(("word", "short"), [("eleven-byte", True), ("twelve-bytes", False), ("é" * 6, False)])
def test_short_secrets(place: Path, word: str, short: bool) -> None:
    configuration = conf(place, f"{T}IncomingUser joe {word}\nIncomingUserFile ann {secret(place, word)}\n")
    assert found(configuration) == ([("short-secret", 2), ("short-secret", 3)] if short else [])
    assert all(one.severity == "warning" for one in configuration.diagnostics)


@pytest.mark.rfc7143("9.2.1-7")
def test_one_secret_in_both_directions(place: Path) -> None:
    path = secret(place)
    for lines in (
        f"IncomingUserFile joe {path}\nOutgoingUser us {SECRET}\n",
        f"IncomingUser joe {SECRET}\nOutgoingUserFile us {path}\n",
        f"IncomingUserFile joe {path}\nOutgoingUserFile us {path}\n",
    ):
        assert found(conf(place, T + lines)) == [("same-secret-both-ways", 3)]
        assert [one.code for one in loads(T + lines).diagnostics] == []
    missing = f"IncomingUserFile joe {place}/none\nOutgoingUserFile us {place}/none\n"
    assert found(conf(place, T + missing)) == [("secret-file", 2), ("secret-file", 3)]
