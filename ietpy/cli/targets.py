"""``ietpy targets``: what initiators can log in to."""

from __future__ import annotations

from typing import Any, Final

import click

from ietpy.cli.completing import targets as known
from ietpy.cli.control import ask_daemon
from ietpy.cli.facts import Facts, ends_with
from ietpy.cli.output import Column, in_bytes, number, show_json, show_table

_COLUMNS: Final = (number("TID"), Column("NAME"), number("LUNS"), number("SIZE"), number("SESSIONS"))


@click.command("targets")
@click.option("--target", metavar="NAME", shell_complete=known, help="Only those whose name ends so.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(target: str | None, as_json: bool) -> None:
    """Print the targets that are served, how large they are and how many sessions they have."""
    found = [each for each in ask_daemon("targets") if ends_with(each["name"], target)]
    if as_json:
        show_json({"targets": [as_document(each) for each in found]})
    else:
        show_table(_COLUMNS, [_row(each) for each in found], "no target that fits; ietpy add target makes one")


def staying(target: Facts) -> list[Facts]:
    """The logical units of a target but those that are removed and finish their last commands."""
    return [lun for lun in target["luns"] if not lun["leaving"]]


def as_document(target: Facts) -> dict[str, Any]:
    """A target in ``--json``."""
    luns = staying(target)
    return {
        "tid": target["tid"],
        "name": target["name"],
        "luns": [lun["number"] for lun in luns],
        "size": sum(lun["size"] for lun in luns),
        "sessions": target["sessions"],
    }


def _row(target: Facts) -> tuple[str, ...]:
    luns = staying(target)
    size = in_bytes(sum(lun["size"] for lun in luns))
    return str(target["tid"]), target["name"], str(len(luns)), size, str(target["sessions"])
