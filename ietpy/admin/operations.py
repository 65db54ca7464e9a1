"""What the control socket can do: one row each, from which dispatch and checks follow.

A row names a method of the running daemon, which gets the arguments by name and returns what JSON can hold. Bad
news: AdminError.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, Final

from ietpy.errors import AdminError


@dataclass(frozen=True, slots=True)
class Operation:
    """``arguments`` maps each accepted argument to the type of its value, or several; all are required."""

    name: str
    help: str
    arguments: Mapping[str, type | UnionType] = field(default_factory=dict)

    @property
    def method(self) -> str:
        """The daemon's method that answers (``daemon.administration``)."""
        return self.name.replace("-", "_")

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Raise AdminError (EINVAL) unless ``arguments`` are exactly those of this row."""
        wrong = set(arguments) ^ set(self.arguments)
        wrong |= {name for name, kind in self.arguments.items() if not _is(arguments.get(name), kind)}
        if wrong:
            accepted = ", ".join(f"{name} ({getattr(kind, '__name__', kind)})" for name, kind in self.arguments.items())
            raise AdminError(
                errno.EINVAL,
                f"{self.name}: wrong arguments ({', '.join(sorted(wrong))}); accepted: {accepted or 'none'}",
            )


def _is(value: Any, kind: type | UnionType) -> bool:
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


_TARGET: Final = {"tid": int}  #: IET's target number
_LUN: Final = {"tid": int, "lun": int}
_SESSION: Final = {"tid": int, "sid": int}  #: IET's session number
_ACCOUNT: Final = {"tid": int, "outgoing": bool, "name": str}  #: tid 0: of discovery

OPERATIONS: Final = (
    Operation("ping", "answer, to show that somebody is there"),
    Operation("status", "everything `ietpy-daemon status` prints"),
    Operation("targets", "targets with their logical units"),
    Operation("sessions", "live iSCSI sessions"),
    Operation("volume", "the text of IET's /proc/net/iet/volume"),
    Operation("session", "the text of IET's /proc/net/iet/session"),
    Operation("create-target", "serve a target; its number, the next free one for tid 0", {**_TARGET, "name": str}),
    Operation("delete-target", "serve a target, which has no session, no more", _TARGET),
    Operation("drain-target", "end a target's sessions, having its initiators log out, and serve it no more", _TARGET),
    Operation("show-target", "a target's options that are not negotiated", _TARGET),
    Operation("update-target", "change options and session keys of a target", {**_TARGET, "values": dict}),
    Operation("redirect-target", "send logins of a target elsewhere; empty: no more", {**_TARGET, "address": str}),
    Operation("show-session", "session parameters: configured for sid 0, else negotiated", _SESSION),
    Operation("close-connection", "close a connection, and its session with it", {**_SESSION, "cid": int}),
    Operation(
        "end-sessions", "end sessions, having their initiators log out if `politely`; which did, by number",
        {**_TARGET, "sids": list, "politely": bool},
    ),
    Operation("create-lun", "serve a logical unit, given the words of a Lun line", {**_LUN, "parameters": str}),
    Operation("delete-lun", "serve a logical unit no more", _LUN),
    Operation(
        "resize-lun", "give the file of a logical unit so many bytes; 0: look how many it has; force: also fewer",
        {**_LUN, "size": int, "force": bool},
    ),
    Operation("create-account", "add a CHAP account", {**_ACCOUNT, "secret": str}),
    Operation("delete-account", "remove the newest account of a name", _ACCOUNT),
    Operation("show-accounts", "names of accounts, newest first, without secrets", _TARGET),
    Operation("show-account", "the secret of an account", _ACCOUNT),
    Operation("deregister", "leave the iSNS server; targets stay"),
    Operation("plan", "what adopt would do with a text of ietd.conf, or reload for null", {"text": str | None}),
    Operation("reload", "read the configuration again and serve what it says; the plan, and what could not be done"),
    Operation("adopt", "as reload, but of a text in place of the file's; rewritten has it then", {"text": str}),
    Operation(
        "rewritten", "the configuration file's text, before and after live changes are written into it",
        {"force": bool},
    ),
)

_BY_NAME: Final = {row.name: row for row in OPERATIONS}


def checked(name: str, arguments: Mapping[str, Any]) -> Operation:
    """The operation of this name. Raises AdminError: ENOSYS if there is none, EINVAL for wrong arguments."""
    row = _BY_NAME.get(name)
    if row is None:
        raise AdminError(errno.ENOSYS, f"no operation {name!r}; there are {', '.join(_BY_NAME)}")
    row.check(arguments)
    return row


def perform(daemon: object, name: str, arguments: Mapping[str, Any]) -> Any:
    """Run one operation. Raises AdminError as ``checked`` does, and what the daemon has to say."""
    return getattr(daemon, checked(name, arguments).method)(**arguments)
