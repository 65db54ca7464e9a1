"""Portals that are added and removed while the daemon serves: in the text it serves, which it then adopts."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

from ietpy.cli.control import ask_daemon
from ietpy.config.load import loads
from ietpy.config.model import PortalConfig
from ietpy.config.writer import rewrite
from ietpy.errors import AdminError, Span, UsageError
from ietpy.iscsi.pdu import PORTAL_GROUP_TAG

_NOWHERE: Final = Span("the command line", 1, 1)
_NOT_OPENED: Final = "portal-not-opened"  #: the code of such a problem in the daemon's status
#: What the Portal lines say, and in which file, to what they shall say.
Choice: TypeAlias = Callable[["tuple[PortalConfig, ...] | None", str], "tuple[PortalConfig, ...]"]


def portal(word: str, group: int) -> PortalConfig:
    """The portal a Portal line would mean by ``word``. Raises UsageError with what is wrong with it."""
    found = loads(f"Portal {group} {word}\n", "the command line")
    if not found.portals or len(found.portals) != 1 or "," in word:
        said = "; ".join(f"{each.problem}; {each.hint}" for each in found.diagnostics)
        raise UsageError(said or f"{word!r} is not one portal; write ADDRESS or ADDRESS:PORT")
    return found.portals[0]


def add(new: PortalConfig) -> None:
    """Have the daemon listen there, too. Raises UsageError, AdminError, ConfigError."""
    options = ask_daemon("status")["options"]
    if options["address"]:
        raise UsageError(
            f"the daemon was started with -a {options['address']}, which means that address only; restart it with"
            " -a '' and a Portal line in ietd.conf for each address"
        )
    port = options["port"]

    def more(known: tuple[PortalConfig, ...] | None, file: str) -> tuple[PortalConfig, ...]:
        if known is None:
            known = (PortalConfig(PORTAL_GROUP_TAG, "*", None, _NOWHERE),)
        for each in known:
            if _same(each, new, port):
                raise UsageError(f"the daemon listens at {each} already, in portal group {each.group}")
            if each.holds(new) and _port(each, port) == _port(new, port):
                raise UsageError(
                    f"the daemon listens at {each} already, which is all addresses; to have it listen at {new} alone,"
                    f" write Portal {new.group} {new} into {file} and call ietpy-daemon reload"
                )
        return (*known, new)

    _change(more, options)


def remove(old: PortalConfig) -> None:
    """Have the daemon listen there no more; connections stay. Raises UsageError, AdminError, ConfigError."""
    options = ask_daemon("status")["options"]

    def fewer(known: tuple[PortalConfig, ...] | None, file: str) -> tuple[PortalConfig, ...]:
        if known is None:
            raise UsageError(f"{file} has no Portal line; where the daemon listens say -a and -p of ietpy-daemon start")
        left = tuple(each for each in known if not _same(each, old, options["port"]))
        there = ", ".join(map(str, known))
        if len(left) == len(known):
            raise UsageError(f"the daemon does not listen at {old}, but at {there}")
        if not left:
            raise UsageError(f"{there} is the last portal, and without one nobody could log in; ietpy-daemon stop ends")
        return left

    _change(fewer, options)


def _port(portal: PortalConfig, default: int) -> int:
    return default if portal.port is None else portal.port


def _same(one: PortalConfig, other: PortalConfig, default: int) -> bool:
    return (one.host, _port(one, default)) == (other.host, _port(other, default))


def _change(choice: Choice, options: dict[str, Any]) -> None:
    """Have the daemon adopt what it serves with other portals; where one cannot be opened it goes back."""
    answer = ask_daemon("rewritten", force=False)
    text, file, compat = answer["after"], answer["file"], options["compat"] or None
    found = loads(text, file, compat)
    new = replace(found, portals=choice(found.portals, file))
    before = _problems()
    ask_daemon("adopt", text=rewrite(text, new, compat=compat, file=file))
    wrong = [problem for problem in _problems() if problem not in before]
    if wrong:
        ask_daemon("adopt", text=text)
        raise AdminError(errno.EADDRNOTAVAIL, f"nothing has changed: {'; '.join(wrong)}")


def _problems() -> list[str]:
    """Why portals are not open."""
    return [each["problem"] for each in ask_daemon("status")["problems"] if each["code"] == _NOT_OPENED]
