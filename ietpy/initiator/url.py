"""iSCSI URLs as libiscsi, QEMU and fio write them: ``iscsi://[user[%secret]@]host[:port]/target/lun``."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote

from ietpy.errors import UsageError
from ietpy.iscsi.pdu import DEFAULT_PORT

_FORM: Final = "iscsi://[user[%secret]@]host[:port]/target/lun"
_URL: Final = re.compile(
    r"iscsi://(?:(?P<user>[^%@/]+)(?:%(?P<secret>[^@/]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/\[\]@]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?P<target>[^/]+)/(?P<lun>[0-9]{1,5}))?/?"
)


@dataclass(frozen=True, slots=True)
class Url:
    """Where a logical unit is. ``target`` empty: only a portal, for discovery. ``host``: without brackets."""

    host: str
    port: int = DEFAULT_PORT
    target: str = ""
    lun: int = 0
    user: str = ""
    secret: str = field(default="", repr=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        account = f"{self.user}{'%' + self.secret if self.secret else ''}@" if self.user else ""
        path = f"/{quote(self.target, safe=':')}/{self.lun}" if self.target else ""
        return f"iscsi://{account}{host}:{self.port}{path}"


def parse(text: str) -> Url:
    """The parts of an iSCSI URL; the target's name is percent-decoded, user and secret are not (as libiscsi does).

    Raises UsageError with the accepted form.
    """
    match = _URL.fullmatch(text)
    port = int(match["port"] or DEFAULT_PORT) if match else 0
    if match is None or not 1 <= port <= 65535:
        raise UsageError(f"{text!r} is no iSCSI URL; accepted is {_FORM} with a port from 1 to 65535")
    lun = int(match["lun"] or 0)
    if lun > 16383:
        raise UsageError(f"{text!r} names LUN {lun}; accepted is 0 to 16383")
    return Url(
        match["host"].strip("[]"),
        port,
        unquote(match["target"] or ""),
        lun,
        match["user"] or "",
        match["secret"] or "",
    )
