"""Logging: in the foreground to stderr, detached to syslog, which need not be there."""

from __future__ import annotations

import logging
import subprocess
import sys
import syslog

import pytest

from ietpy.daemon.logs import SyslogHandler


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.DEBUG, syslog.LOG_DEBUG),
        (logging.INFO, syslog.LOG_INFO),
        (logging.WARNING, syslog.LOG_WARNING),
        (logging.ERROR, syslog.LOG_ERR),
        (logging.CRITICAL, syslog.LOG_ERR),
    ],
)
def test_levels_are_priorities(level: int, priority: int, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda *line: said.append(line))
    SyslogHandler().emit(logging.LogRecord("ietpy", level, "", 0, "one\ntwo\0", None, None))
    assert said == [(priority, "one"), (priority, "two\\0")]


def run(program: str) -> subprocess.CompletedProcess[str]:
    program = "import logging, threading\nfrom ietpy.daemon.logs import set_up\n" + program
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(("debug", "shown"), [(0, ["INFO known"]), (1, ["INFO known", "DEBUG detail"])])
def test_foreground_lines_go_to_stderr(debug: int, shown: list[str]) -> None:
    program = f"set_up(True, {debug})\nlog = logging.getLogger('ietpy.x')\nlog.info('known')\nlog.debug('detail')"
    lines = run(program).stderr.splitlines()
    assert [line.split(maxsplit=2)[2] for line in lines] == shown


def test_without_a_syslog_nothing_breaks() -> None:
    ended = run("set_up(False, 1)\nlogging.getLogger('ietpy.x').error('unheard')")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_unexpected_error_of_a_thread_is_logged() -> None:
    ended = run("set_up(True, 0)\nt = threading.Thread(target=lambda: 1 / 0)\nt.start(); t.join()")
    assert ended.returncode == 0
    assert "CRITICAL unexpected division by zero; please report this" in ended.stderr
    assert "ZeroDivisionError" in ended.stderr


def test_an_unexpected_error_of_the_main_thread_is_logged() -> None:
    ended = run("set_up(True, 0)\n1 / 0")
    assert ended.returncode == 1
    assert "CRITICAL unexpected division by zero; please report this" in ended.stderr
