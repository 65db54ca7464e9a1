"""Which daemon a command speaks to, and how it asks."""

from __future__ import annotations

import errno
import os
from typing import Any, Final

from ietpy.admin.client import PATIENCE, Unreachable, ask
from ietpy.admin.paths import check_private, runtime_paths

#: Why nobody is there at all; then a command ends with ``Exit.NOT_RUNNING``.
_NOBODY: Final = {
    errno.ENOENT: "the daemon is not running: there is no control socket {path}",
    errno.ECONNREFUSED: "the daemon is not running, and did not end cleanly: nobody answers at {path}",
}
_BEGIN: Final = "ietpy-daemon start begins one; $IETPY_CONTROL names another socket"


class NotRunning(Unreachable):
    """No daemon runs that could be asked."""


def control_socket() -> str:
    """The control socket that $IETPY_CONTROL names, else this user's. Raises UsageError where that is not safe."""
    named = os.environ.get("IETPY_CONTROL")
    if named:
        return named
    paths = runtime_paths(dict(os.environ), os.geteuid())
    if paths.private and os.path.lexists(paths.private):
        check_private(paths.private, os.geteuid())
    return paths.control


def ask_daemon(operation: str, *, patience: float = PATIENCE, **arguments: Any) -> Any:
    """The result of one operation (``admin.operations``) of the daemon. Raises AdminError, NotRunning if there is none.

    ``patience``: seconds.
    """
    path = control_socket()
    try:
        return ask(path, operation, arguments, patience)
    except Unreachable as problem:
        if problem.code in _NOBODY:
            raise NotRunning(problem.code, f"{_NOBODY[problem.code].format(path=path)}; {_BEGIN}") from None
        raise
