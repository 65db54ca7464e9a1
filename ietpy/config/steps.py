"""The steps of a plan (``difference``), and what must be known of a daemon to make one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from ietpy.config.findings import printable
from ietpy.errors import Span


class Action(Enum):
    """What is done. ``ietpy plan --json`` and its reference have these words."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"  #: remove and add again, under the same number
    CHANGE = "change"
    RESIZE = "resize"
    RETRY = "retry"  #: what could not be served is tried again
    KEEP = "keep"  #: what is no longer wanted stays, as it is in use


class Notice(Enum):
    """Who notices a step, and how."""

    DISCOVERY = "initiators find it, or no longer, with their next discovery"
    NOBODY = "nobody notices"
    NEW_LOGINS = "holds from the next login on; sessions go on as they are"
    AT_ONCE = "holds at once; sessions go on"
    VIEWS = "who may log in is asked at the next login; what sessions have of the target follows at once"
    LUNS = "its initiators are told REPORTED LUNS DATA HAS CHANGED"
    MODE = "its initiators are told MODE PARAMETERS CHANGED"
    CAPACITY = "its initiators are told CAPACITY DATA HAS CHANGED"
    IN_USE = "its sessions go on; end them (ietadm --op delete --tid=N --force), then reload again"
    CONNECTIONS = "connections stay; new ones come by what is listened on then"
    RESTART = "takes effect when ietpy-daemon is restarted"
    NAMES = "the iSNS server is told"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done. ``target`` is empty for what is about none; ``span``: the line that says so, of what goes
    the line that said so."""

    action: Action
    subject: str  #: "target", "lun", "limits", "accounts", "access", "option", "portal", "isns", "order", "daemon"
    what: str
    notice: Notice
    span: Span
    target: str = ""
    lun: int | None = None
    why: str = ""
    sessions: int = 0  #: of its target, when the plan was made

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        return printable(f"{self.action.value} {self.what}{why}: {self.notice.value}")

    def facts(self) -> dict[str, Any]:
        """For JSON; ``docs/plan_json.py`` says what the fields mean."""
        return {
            "action": self.action.value,
            "subject": self.subject,
            "target": self.target,
            "lun": self.lun,
            "what": self.what,
            "why": self.why,
            "notice": self.notice.value,
            "sessions": self.sessions,
            "file": self.span.file,
            "line": self.span.line,
            "column": self.span.column,
            "text": str(self),
        }


@dataclass(frozen=True, slots=True)
class LiveTarget:
    """What is known of a target that is served. ``resized``: bytes of media by LUN, before and now."""

    sessions: int = 0
    unserved: frozenset[int] = frozenset()
    resized: Mapping[int, tuple[int, int]] = field(default_factory=lambda: MappingProxyType({}))


#: By the target's name in lower case; what is missing has no session, and all its LUNs are served.
Live = Mapping[str, LiveTarget]
