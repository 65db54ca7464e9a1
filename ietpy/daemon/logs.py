"""Where log lines go: stderr in the foreground, or the journal behind it (``daemon.journal``); syslog as ``ietd`` (as
IET) once detached.

Each refusal and fault has its code (``ietpy.events``) behind it; so often as somebody could fill a disk none is told
(``daemon.limiting``).
"""

from __future__ import annotations

import json
import logging
import os
import sys
import syslog
import threading
from datetime import datetime, timezone
from types import TracebackType
from typing import Any, Final, NamedTuple

from ietpy.daemon.journal import JournalHandler, is_ours
from ietpy.daemon.limiting import Limiter, Suppressed
from ietpy.events import Event

_PRIORITIES: Final = (
    (logging.ERROR, syslog.LOG_ERR),
    (logging.WARNING, syslog.LOG_WARNING),
    (logging.INFO, syslog.LOG_INFO),
    (logging.NOTSET, syslog.LOG_DEBUG),
)


FORMAT: Final = "%(asctime)s %(levelname)s %(message)s%(code)s"  #: of lines on stderr
_BARE: Final = "%(message)s%(code)s"  #: of syslog, which adds the rest
FORMS: Final = ("text", "json")


class Style(NamedTuple):
    """The arguments of ``set_up``."""

    foreground: bool
    debug: int
    form: str = FORMAT
    as_json: bool = False
    journal: bool = False


style = Style(True, 0)  #: as it was called last, for other processes of this daemon


class TextFormatter(logging.Formatter):
    """A form may have ``code``, the code of an event in brackets; IET's has none."""

    def format(self, record: logging.LogRecord) -> str:
        event: Event | None = getattr(record, "event", None)
        record.code = f" [{event.code}]" if event else ""
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """One JSON object for each line: ``time``, ``level``, ``message``, ``pid``; of an event also ``code``, ``peer`` if
    it is somebody's doing, and its facts."""

    def format(self, record: logging.LogRecord) -> str:
        event: Event | None = getattr(record, "event", None)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "pid": record.process,
        }
        if event:
            line["code"] = event.code
            line |= {"peer": peer} if (peer := getattr(record, "peer", "")) else {}
            line |= getattr(record, "facts", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class SyslogHandler(logging.Handler):
    """Log records to syslog(3), which finds a syslog that starts later and says nothing when there is none.

    The standard library's SysLogHandler raises when /dev/log is missing (containers).
    """

    def emit(self, record: logging.LogRecord) -> None:
        priority = next(priority for level, priority in _PRIORITIES if record.levelno >= level)
        for line in self.format(record).splitlines():
            syslog.syslog(priority, line.replace("\0", "\\0"))


class Moderator(logging.Filter):
    """Keeps back what comes too often, and has ``handler`` say how much that was when its time is over."""

    def __init__(self, handler: logging.Handler, limiter: Limiter) -> None:
        super().__init__()
        self._handler = handler
        self._limiter = limiter
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        event: Event | None = getattr(record, "event", None)
        if event is None or not event.value.limited:
            return True
        facts: dict[str, Any] = getattr(record, "facts", {})
        about = getattr(record, "peer", "") or " ".join(f"{facts[key]}" for key in ("target", "lun") if key in facts)
        with self._lock:
            admitted, due = self._limiter.admit(event.code, about)
            if not admitted and self._timer is None:
                self._wait()
        self._say(due)
        return admitted

    def _wait(self) -> None:
        """For the end of the first of those times; without a thread the next line tells what is due."""
        timer = threading.Timer(self._limiter.wait, self._over)
        timer.name, timer.daemon = "log", True
        try:
            timer.start()
        except RuntimeError:
            return
        self._timer = timer

    def _over(self) -> None:
        with self._lock:
            self._timer = None
            due = self._limiter.due()
            if self._limiter.waits:
                self._wait()
        self._say(due)

    def settle(self) -> None:
        """The process ends: say what has been kept back so far."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            due = self._limiter.settle()
        self._say(due)

    def _say(self, due: list[Suppressed]) -> None:
        for kept in due:
            about = f" about {kept.about}" if kept.about else ""
            sentence = f"{kept.lines} more suppressed of {kept.code}{about}, in {kept.seconds:.0f} s"
            record = logging.LogRecord("ietpy", logging.WARNING, "", 0, sentence, None, None)
            record.event, record.facts = Event.SUPPRESSED, {"of": kept.code, "about": kept.about, "lines": kept.lines}
            self._handler.handle(record)


_moderator: Moderator | None = None


def set_up(
    foreground: bool, debug: int, form: str = FORMAT, as_json: bool = False, journal: bool = False
) -> None:
    """Direct this process's log; ``debug`` is IET's -d LEVEL: 0 for what an administrator wants to know.

    ``journal``: where stderr is the journal's, it is told each line with its fields.
    """
    global style, _moderator
    style = Style(foreground, debug, form, as_json, journal)
    handler: logging.Handler
    if foreground and journal and is_ours(os.environ):
        handler, form = JournalHandler(), _BARE
    elif foreground:
        handler = logging.StreamHandler(sys.stderr)
    else:
        syslog.openlog("ietd", syslog.LOG_PID, syslog.LOG_DAEMON)
        handler = SyslogHandler()
    handler.setFormatter(JsonFormatter() if as_json else TextFormatter(form if foreground else _BARE))
    _moderator = None
    if debug <= 0:  # who asks for details wants all of them
        _moderator = Moderator(handler, Limiter())
        handler.addFilter(_moderator)
    root = logging.getLogger("ietpy")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(logging.DEBUG if debug > 0 else logging.INFO)
    threading.excepthook = _report_thread
    sys.excepthook = _report


def settle() -> None:
    """The process ends: nothing stays untold."""
    if _moderator is not None:
        _moderator.settle()


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error nobody expected, where the administrator looks: a detached daemon has no stderr."""
    Event.INTERNAL.tell(
        logging.getLogger("ietpy"), "unexpected %s; please report this", error, exc_info=(kind, error, trace)
    )


def _report_thread(arguments: Any) -> None:
    if arguments.exc_value is not None:
        _report(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
