"""The daemon's log in journals and files of syslogs: lines in all their forms, rotation, and where there is none."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from pathlib import Path

import pytest

from ietpy.cli import log_sources
from ietpy.cli.log_sources import Entry, NoLog
from ietpy.daemon.logs import FORMAT, JsonFormatter, TextFormatter
from ietpy.errors import UsageError
from ietpy.events import Event

OTHERS = "Nov 27 20:00:00 host sshd[1]: ietd[7]: not ours\n"
OLD = "Nov  7 20:00:00 host ietd[7]: login of iqn.x refused [login-refused]\n"
NEW = "2026-11-27T20:00:01.123456+00:00 host ietd[8]: serving 2 targets\n"


def record() -> logging.LogRecord:
    made = logging.LogRecord("ietpy.x", logging.WARNING, "", 0, "login of %s refused", ("iqn.x",), None)
    made.event = Event.LOGIN_REFUSED
    return made


@pytest.mark.parametrize("formatter", [TextFormatter(FORMAT), JsonFormatter(), TextFormatter("%(message)s%(code)s")])
def test_what_the_daemon_writes_is_found_again(formatter: logging.Formatter) -> None:
    found = log_sources.parsed(formatter.format(record()), None, "warning", 1)
    assert (found.message, found.level, found.code) == ("login of iqn.x refused", "warning", "login-refused")
    assert (found.time is None) == (formatter.format(record()).startswith("login"))


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("plain", Entry("plain")), ("{not json", Entry("{not json")), ('{"a": 1}', Entry('{"a": 1}')),
        ("[x] ", Entry("[x] ")),
        ("two\nlines [stuck]", Entry("two\nlines", code="stuck")),
    ],
)
def test_other_lines_stay_as_they_are(text: str, entry: Entry) -> None:
    assert log_sources.parsed(text, None, None, None) == entry


def test_a_file_of_a_syslog(tmp_path: Path) -> None:
    path = tmp_path / "syslog"
    path.write_text(OTHERS + OLD + OTHERS + NEW)
    assert list(log_sources.log_file(str(path), 10, False, None)) == [
        Entry("login of iqn.x refused", "Nov  7 20:00:00", None, "login-refused", 7),
        Entry("serving 2 targets", "2026-11-27T20:00:01.123456+00:00", None, None, 8),
    ]
    assert [each.pid for each in log_sources.log_file(str(path), 1, False, None)] == [8]
    assert [each.pid for each in log_sources.log_file(str(path), 1, False, "login-refused")] == [7]
    assert list(log_sources.log_file(str(path), 0, False, None)) == []


def test_the_last_lines_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_sources, "_PIECE", 1000)
    path = tmp_path / "syslog"
    path.write_text("".join(f"Nov 27 20:00:00 host ietd[{number}]: x\n" + OTHERS * 40 for number in range(1, 30)))
    assert [each.pid for each in log_sources.log_file(str(path), 3, False, None)] == [27, 28, 29]
    assert len(list(log_sources.log_file(str(path), 100, False, None))) == 29


def test_one_that_may_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory; ask as root, or as a member of its group"):
        list(log_sources.log_file(str(tmp_path), 1, False, None))


def test_following_goes_on_behind_a_rotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_sources, "_PAUSE", 0.01)
    path = tmp_path / "syslog"
    path.write_text(OLD)
    entries = log_sources.log_file(str(path), 5, True, None)
    assert next(entries).pid == 7
    with path.open("a") as file:
        file.write(NEW[:30])
        file.flush()
        later = threading.Timer(0.05, lambda: (file.write(NEW[30:] + OTHERS), file.flush()))
        later.start()
        assert next(entries).pid == 8
        later.join()
    os.rename(path, f"{path}.1")
    path.write_text(NEW.replace("[8]", "[9]"))
    assert next(entries).pid == 9
    path.write_text("")
    with path.open("a") as file:
        file.write("Nov 27 20:00:00 host ietd[10]: x\n")
    assert next(entries).pid == 10
    entries.close()  # type: ignore[attr-defined]


# The journal: journalctl's part is played by a script that keeps what it was asked ------------------------------------


@pytest.fixture
def journalctl(tmp_path: Path) -> Path:
    script = tmp_path / "journalctl"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nopen(sys.argv[0] + '.asked', 'w').write(' '.join(sys.argv[1:]))\n"
        "sys.stdout.write(open(sys.argv[0] + '.says').read())\nsys.stdout.flush()\n"
        "if '--follow' in sys.argv:\n    import signal\n    signal.pause()\n"
        "said = open(sys.argv[0] + '.complains').read()\nsys.stderr.write(said)\nsys.exit(bool(said))\n"
    )
    script.chmod(0o755)
    lines = [
        {"__REALTIME_TIMESTAMP": "1795809600123456", "PRIORITY": "6", "_PID": "7", "MESSAGE": "serving 2 targets"},
        {"__REALTIME_TIMESTAMP": "1795809601000000", "PRIORITY": "4", "SYSLOG_PID": "8", "MESSAGE": "no [stuck]"},
        {"__REALTIME_TIMESTAMP": "1795809602000000", "PRIORITY": "?", "MESSAGE": [104, 105, 255]},
        {"__REALTIME_TIMESTAMP": "1795809603000000", "MESSAGE": None},
    ]
    Path(f"{script}.says").write_text("".join(json.dumps(line) + "\n" for line in lines))
    Path(f"{script}.complains").write_text("")
    return script


def test_entries_of_the_journal(journalctl: Path) -> None:
    assert list(log_sources.journal([str(journalctl)], 7, False, None)) == [
        Entry("serving 2 targets", "2026-11-27T20:00:00.123+00:00", "info", None, 7),
        Entry("no", "2026-11-27T20:00:01.000+00:00", "warning", "stuck", 8),
        Entry("hi\ufffd", "2026-11-27T20:00:02.000+00:00", None, None, None),
        Entry("", "2026-11-27T20:00:03.000+00:00", "info", None, None),
    ]
    assert Path(f"{journalctl}.asked").read_text() == (
        "--no-pager --quiet --output json --lines 7 SYSLOG_IDENTIFIER=ietd + SYSLOG_IDENTIFIER=ietpy-daemon + "
        "_SYSTEMD_UNIT=ietpy.service + _SYSTEMD_UNIT=iscsitarget.service + _SYSTEMD_UNIT=iscsi-target.service"
    )


def test_of_a_code_the_whole_journal_is_searched(journalctl: Path) -> None:
    assert [each.pid for each in log_sources.journal([str(journalctl)], 1, False, "stuck")] == [8]
    assert "--lines all" in Path(f"{journalctl}.asked").read_text()


def test_who_has_heard_enough_ends_journalctl(journalctl: Path) -> None:
    entries = log_sources.journal([str(journalctl)], 1, True, "stuck")
    assert next(entries).pid == 8
    entries.close()  # type: ignore[attr-defined]


def test_a_journal_that_cannot_be_read(journalctl: Path) -> None:
    Path(f"{journalctl}.complains").write_text("No journal files were opened due to insufficient permissions.\n")
    with pytest.raises(UsageError, match="the journal cannot be read: No journal files were opened"):
        list(log_sources.journal([str(journalctl)], 1, False, None))


# Which of them --------------------------------------------------------------------------------------------------------


def test_the_journal_goes_first_then_files_then_nothing(
    journalctl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(log_sources, "JOURNAL", str(tmp_path))
    monkeypatch.setattr(log_sources, "FILES", (str(tmp_path / "daemon.log"), str(tmp_path / "syslog")))
    (tmp_path / "syslog").write_text(OLD)
    assert next(log_sources.read(4, False, None)).message == "serving 2 targets"
    monkeypatch.setattr(log_sources, "JOURNAL", str(tmp_path / "none"))
    assert next(log_sources.read(3, False, None)).message == "login of iqn.x refused"
    (tmp_path / "syslog").unlink()
    with pytest.raises(NoLog, match=r"there is no journal, and none of .*/daemon.log, .*/syslog. A daemon that was"):
        log_sources.read(3, False, None)
