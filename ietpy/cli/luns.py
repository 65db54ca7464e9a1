"""``ietpy luns``: the disks, what is behind them, and what was done with them."""

from __future__ import annotations

from typing import Any, Final

import click

from ietpy.cli.completing import targets as known
from ietpy.cli.control import ask_daemon
from ietpy.cli.facts import UNIT_COUNTERS, Facts, ends_with
from ietpy.cli.output import UNKNOWN, Column, in_bytes, number, show_json, show_table

_COLUMNS: Final = (
    Column("TARGET"), number("LUN"), Column("TYPE"), Column("MODE"), number("SIZE"), number("READ"),
    number("WRITTEN"), number("ERRORS"), Column("PATH"),
)


@click.command("luns")
@click.option("--target", metavar="NAME", shell_complete=known, help="Only of targets whose name ends so.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(target: str | None, as_json: bool) -> None:
    """Print the logical units that are served.

    MODE is wt (written through), wb (written back) or ro. READ and WRITTEN are bytes since the daemon has served it.
    """
    found = [(each, lun) for each in ask_daemon("targets") if ends_with(each["name"], target) for lun in each["luns"]]
    if as_json:
        show_json({"luns": [as_document(each, lun) for each, lun in found]})
    else:
        show_table(_COLUMNS, [_row(each, lun) for each, lun in found], "no LUN that fits; ietpy add lun makes one")


def as_document(target: Facts, lun: Facts) -> dict[str, Any]:
    """A logical unit in ``--json``; null is what the daemon does not tell."""
    return {
        "tid": target["tid"],
        "target": target["name"],
        "lun": lun["number"],
        "type": lun["type"],
        "path": lun["path"],
        "mode": lun["mode"],
        "block_size": lun["block_size"],
        "size": lun["size"],
        "leaving": lun["leaving"],
        "counters": {name: lun.get(name) for name in UNIT_COUNTERS},
        "errors": lun.get("errors"),
    }


def _row(target: Facts, lun: Facts) -> tuple[str, ...]:
    errors = lun.get("errors")
    return (
        target["name"], str(lun["number"]), lun["type"], "leaving" if lun["leaving"] else lun["mode"],
        in_bytes(lun["size"]), in_bytes(lun.get("bytes_read")), in_bytes(lun.get("bytes_written")),
        UNKNOWN if errors is None else str(sum(errors.values())), lun["path"] or UNKNOWN,
    )
