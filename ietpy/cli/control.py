"""Which daemon a command speaks to."""

from __future__ import annotations

import os

from ietpy.admin.paths import check_private, runtime_paths


def control_socket() -> str:
    """The control socket that $IETPY_CONTROL names, else this user's. Raises UsageError where that is not safe."""
    named = os.environ.get("IETPY_CONTROL")
    if named:
        return named
    paths = runtime_paths(dict(os.environ), os.geteuid())
    if paths.private and os.path.lexists(paths.private):
        check_private(paths.private, os.geteuid())
    return paths.control
