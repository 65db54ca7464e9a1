"""Where log lines go: stderr in the foreground, syslog as ``ietd`` (as IET) once detached."""

from __future__ import annotations

import logging
import sys
import syslog
import threading
from types import TracebackType
from typing import Any, Final, NamedTuple

_PRIORITIES: Final = (
    (logging.ERROR, syslog.LOG_ERR),
    (logging.WARNING, syslog.LOG_WARNING),
    (logging.INFO, syslog.LOG_INFO),
    (logging.NOTSET, syslog.LOG_DEBUG),
)


FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"  #: of lines on stderr


class Style(NamedTuple):
    """The arguments of ``set_up``."""

    foreground: bool
    debug: int
    form: str = FORMAT


style = Style(True, 0)  #: as it was called last, for other processes of this daemon


class SyslogHandler(logging.Handler):
    """Log records to syslog(3), which finds a syslog that starts later and says nothing when there is none.

    The standard library's SysLogHandler raises when /dev/log is missing (containers).
    """

    def emit(self, record: logging.LogRecord) -> None:
        priority = next(priority for level, priority in _PRIORITIES if record.levelno >= level)
        for line in self.format(record).splitlines():
            syslog.syslog(priority, line.replace("\0", "\\0"))


def set_up(foreground: bool, debug: int, form: str = FORMAT) -> None:
    """Direct this process's log; ``debug`` is IET's -d LEVEL: 0 for what an administrator wants to know."""
    global style
    style = Style(foreground, debug, form)
    handler: logging.Handler
    if foreground:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(form))
    else:
        syslog.openlog("ietd", syslog.LOG_PID, syslog.LOG_DAEMON)
        handler = SyslogHandler()
    root = logging.getLogger("ietpy")
    root.handlers[:] = [handler]
    root.propagate = False
    root.setLevel(logging.DEBUG if debug > 0 else logging.INFO)
    threading.excepthook = _report_thread
    sys.excepthook = _report


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error nobody expected, where the administrator looks: a detached daemon has no stderr."""
    logger = logging.getLogger("ietpy")
    logger.critical("unexpected %s; please report this", error, exc_info=(kind, error, trace))


def _report_thread(arguments: Any) -> None:
    if arguments.exc_value is not None:
        _report(arguments.exc_type, arguments.exc_value, arguments.exc_traceback)
