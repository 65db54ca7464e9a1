"""What ``ietpy-daemon start`` was told: kept by the daemon, so that ``restart`` can say it again."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from typing import Any, Final

from ietpy.admin.paths import check_private, make_private, runtime_paths
from ietpy.errors import UsageError
from ietpy.iscsi.pdu import DEFAULT_PORT

RUN_DIRECTORY_MODE: Final = 0o755
OFF: Final = "off"  #: in place of where metrics are served


@dataclass(frozen=True, slots=True)
class StartOptions:
    """Options of ``start``, defaults filled in. ``config`` is absolute, or empty for the default places.

    ``uid`` and ``gid`` 0 mean no change, as with IET. ``compat`` empty: the file decides. ``state_dir`` is absolute, or
    empty for the default place, which the daemon reports as the one it was.
    ``processes``: as ``Configuration`` has it; None: the file decides.
    ``metrics``: where they are served, ``off``, or empty: the file decides.
    ``core``: whether a core file may be written, with all secrets in it.
    ``log_format``: one of ``logs.FORMS``; empty: text.
    ``lenient``: a configuration file that does not exist is an empty one, as it was for ietd.
    """

    config: str = ""
    foreground: bool = False
    address: str = ""
    port: int = DEFAULT_PORT
    uid: int = 0
    gid: int = 0
    debug: int = 0
    compat: str = ""
    lenient: bool = False
    state_dir: str = ""
    processes: int | None = None
    log_format: str = ""
    core: bool = False
    metrics: str = ""

    @classmethod
    def from_facts(cls, facts: dict[str, Any], **given: Any) -> StartOptions:
        """Options a daemon reported, overridden by those ``given`` (None: not given). -f is not kept."""
        known = {field.name for field in dataclasses.fields(cls)} - {"foreground"}
        kept = {name: value for name, value in facts.items() if name in known}
        return cls(**{**kept, **{name: value for name, value in given.items() if value is not None}})

    def facts(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Places:
    """Pid file and control socket of one daemon, absolute."""

    pid_file: str
    control: str
    private: str = ""  #: the directory of ours that holds them, if one does

    @property
    def published(self) -> str:
        """The directory that stands for IET's /proc/net/iet; where the control socket is one's own, beside that."""
        default = runtime_paths(dict(os.environ), os.geteuid())
        return default.published if self.control == default.control else f"{self.control}.iet"

    @classmethod
    def of(cls, pid_file: str | None, control: str | None) -> Places:
        """Those named, else this user's defaults."""
        default = runtime_paths(dict(os.environ), os.geteuid())
        private = default.private if pid_file is None or control is None else ""
        pid_file, control = pid_file or default.pid_file, control or default.control
        return cls(os.path.abspath(pid_file), os.path.abspath(control), private)

    def prepare(self) -> None:
        """Make the directories a daemon needs. Raises UsageError when ours is not safe."""
        if self.private:
            make_private(self.private, os.geteuid())
        elif self.control == runtime_paths({}, 0).control:
            directory = os.path.dirname(self.control)
            try:
                os.makedirs(directory, RUN_DIRECTORY_MODE, exist_ok=True)
            except OSError as error:
                raise UsageError(f"{directory} cannot be made: {error.strerror}; use --control") from None

    def verify(self) -> None:
        """Raise UsageError when the directory of ours is there but is not safe."""
        if self.private and os.path.lexists(self.private):
            check_private(self.private, os.geteuid())
