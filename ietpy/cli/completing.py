"""What a shell may complete: names the running daemon knows. It never waits long, and never says a word."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ietpy.errors import IetpyError

if TYPE_CHECKING:
    import click

_PATIENCE: Final = 1.0  #: seconds that somebody waits for who pressed the tabulator


def targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of targets."""
    return _beginning((str(each["name"]) for each in _told("targets")), incomplete)


def initiators(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of initiators that are connected."""
    return _beginning((str(each["initiator"]) for each in _told("sessions")), incomplete)


def sessions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """What ``ietpy kick`` takes: numbers of sessions, initiators and their addresses."""
    told = _told("sessions")
    words = [str(each[name]) for name in ("tsih", "initiator", "address") for each in told]
    return _beginning(words, incomplete)


def _told(operation: str) -> list[dict[str, object]]:
    from ietpy.cli.control import ask_daemon

    try:
        found: list[dict[str, object]] = ask_daemon(operation, patience=_PATIENCE)
    except IetpyError:
        return []
    return found


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return sorted({word for word in words if word.startswith(incomplete)})
