"""Logging: in the foreground to stderr, detached to syslog, which need not be there."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import syslog
import threading
import time
from collections.abc import Callable

import pytest

from ietpy.daemon.limiting import PER_PEER, Limiter
from ietpy.daemon.logs import JsonFormatter, Moderator, SyslogHandler, TextFormatter
from ietpy.events import Event


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
    assert "CRITICAL unexpected division by zero; please report this [internal-error]" in ended.stderr
    assert "ZeroDivisionError" in ended.stderr


def test_an_unexpected_error_of_the_main_thread_is_logged() -> None:
    ended = run("set_up(True, 0)\n1 / 0")
    assert ended.returncode == 1
    assert "CRITICAL unexpected division by zero; please report this" in ended.stderr


# Events ---------------------------------------------------------------------------------------------------------------


def record(event: Event | None, sentence: str = "no", peer: str = "", **facts: object) -> logging.LogRecord:
    made = logging.LogRecord("ietpy", logging.WARNING, "", 0, sentence, None, None)
    if event is not None:
        made.event, made.peer, made.facts = event, peer, facts
    return made


@pytest.mark.parametrize(("event", "line"), [
    (None, "WARNING no"), (Event.LOGIN_REFUSED, "WARNING no [login-refused]"),
])
def test_a_code_stands_behind_the_sentence(event: Event | None, line: str) -> None:
    assert TextFormatter("%(levelname)s %(message)s%(code)s").format(record(event)) == line


@pytest.mark.parametrize(("event", "peer", "facts", "fields"), [
    (None, "", {}, {}),
    (Event.LOGIN_REFUSED, "10.0.0.1", {}, {"code": "login-refused", "peer": "10.0.0.1"}),
    (Event.IO_STUCK, "", {"target": "iqn.x", "lun": 3}, {"code": "io-stuck", "target": "iqn.x", "lun": 3}),
])
def test_for_machines_a_line_is_an_object(
    event: Event | None, peer: str, facts: dict[str, object], fields: dict[str, object]
) -> None:
    line = json.loads(JsonFormatter().format(record(event, "two\nlines", peer, **facts)))
    assert line.pop("time").endswith("+00:00")
    assert line.pop("pid") > 0
    assert line == {"level": "warning", "message": "two\nlines", **fields}


def test_where_a_mistake_was_made_stays_in_its_line() -> None:
    program = "set_up(True, 0, as_json=True)\n1 / 0"
    (line,) = run(program).stderr.splitlines()
    assert "ZeroDivisionError" in json.loads(line)["traceback"]


class Recorder(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.told = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
        if "suppressed" in self.lines[-1]:
            self.told.set()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def moderated(recorder: Recorder, clock: Callable[[], float]) -> Moderator:
    moderator = Moderator(recorder, Limiter(clock))
    recorder.addFilter(moderator)
    return moderator


def test_what_is_suppressed_is_told_when_its_time_is_over(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ietpy.daemon.limiting.FIRST", 0.2)
    moderator = moderated(recorder, time.monotonic)
    for _ in range(PER_PEER + 5):
        recorder.handle(record(Event.LOGIN_REFUSED, peer="10.0.0.1"))
    assert recorder.lines == ["no"] * PER_PEER
    assert recorder.told.wait(10)
    assert recorder.lines[-1] == "5 more suppressed of login-refused about 10.0.0.1, in 0 s"
    assert moderator._timer is None


def test_at_the_end_nothing_stays_untold(recorder: Recorder) -> None:
    moderator = moderated(recorder, time.monotonic)
    for lun in (0, 1):
        for _ in range(PER_PEER + 1):
            recorder.handle(record(Event.IO_FAILED, target="iqn.x", lun=lun))
    moderator.settle()
    assert [line.partition(",")[0] for line in recorder.lines[-2:]] == [
        f"1 more suppressed of io-failed about iqn.x {lun}" for lun in (0, 1)
    ]
    assert moderator._timer is None


@pytest.mark.parametrize("event", [None, Event.FINDING], ids=["details", "what nobody outside can cause"])
def test_what_is_never_suppressed(event: Event | None, recorder: Recorder) -> None:
    moderated(recorder, time.monotonic)
    for _ in range(1000):
        recorder.handle(record(event))
    assert len(recorder.lines) == 1000


def test_without_a_thread_the_next_line_tells_it(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    now = [0.0]
    moderated(recorder, lambda: now[0])
    for _ in range(PER_PEER + 1):
        recorder.handle(record(Event.LOGIN_REFUSED, peer="10.0.0.1"))
    now[0] = 100.0
    recorder.handle(record(Event.LOGIN_REFUSED, peer="10.0.0.1"))
    assert recorder.lines[-2:] == ["1 more suppressed of login-refused about 10.0.0.1, in 60 s", "no"]
