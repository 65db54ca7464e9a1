"""``ietpy check``: everything that can be said about a configuration file without serving anything."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any, Final

import click

from ietpy.config.access import AccessFiles
from ietpy.config.findings import MODES, printable
from ietpy.config.load import load
from ietpy.config.model import Configuration, LunConfig, TargetConfig
from ietpy.errors import ConfigError, Diagnostic
from ietpy.stores import STORES

UNUSABLE: Final = 2  #: exit status: the file has errors


@click.command()
@click.option("-c", "--config", metavar="FILE", help="Read FILE instead of /etc/iet/ietd.conf.")
@click.option("--compat", type=click.Choice(MODES), help="Read as this mode instead of the file's own.")
@click.option("--all-modes", is_flag=True, help="Print what every mode says.")
@click.option("--json", "as_json", is_flag=True, help="Print findings and the effective configuration as JSON.")
@click.pass_context
def check(ctx: click.Context, config: str | None, compat: str | None, all_modes: bool, as_json: bool) -> None:
    """Print everything noticed in an ietd.conf; serve nothing.

    Exit status 0: no errors, perhaps warnings. 2: errors, or the file cannot be read.
    """
    try:
        configuration = load(config, compat)
    except ConfigError as error:
        _print(error.diagnostics, None, as_json)
        ctx.exit(UNUSABLE)
    found = findings(configuration, companions=config is None)
    if as_json or not all_modes:
        _print(found, configuration, as_json)
    else:
        for mode in MODES:
            click.echo(f"{mode}:")
            _print(findings(load(config, mode), companions=config is None), None, False)
    if not as_json:
        click.echo(_summary(config, configuration, found))
    ctx.exit(UNUSABLE if _errors(found) else 0)


def findings(configuration: Configuration, *, companions: bool) -> tuple[Diagnostic, ...]:
    """What the file says, what its LUNs find on this machine and, with ``companions``, the allow files."""
    media = [problem for target in configuration.targets for lun in target.luns for problem in medium(target, lun)]
    access = AccessFiles(compat=configuration.compat).diagnostics() if companions else ()
    own = sorted((*configuration.diagnostics, *media), key=lambda diagnostic: diagnostic.span)
    return (*own, *access)


def medium(target: TargetConfig, lun: LunConfig) -> Iterator[Diagnostic]:
    """Why the daemon will not open the medium of ``lun``, as far as looking at it tells."""
    if not STORES[lun.type].takes_path:
        return
    path = os.path.join("/", lun.path)
    hint = "correct the Path"
    try:
        mode = os.stat(path).st_mode
        regular = stat.S_ISREG(mode)
        problem = "is a directory" if stat.S_ISDIR(mode) else "is neither a file nor a block device"
        if stat.S_ISBLK(mode) or (regular and lun.type == "fileio"):
            return
        if regular:
            problem, hint = "is a file, not a block device", "write Type=fileio"
    except OSError as error:
        problem = os.strerror(error.errno or errno.EIO)
        if error.errno == errno.ENOENT:
            problem, hint = "does not exist", "correct the Path, or make the file with ietpy mkimage"
    sentence = printable(f"LUN {lun.number} of {target.name} is not served: {path}: {problem}")
    yield Diagnostic(lun.span, "error", "backing-file", sentence, hint, "served the other LUNs")


def effective(configuration: Configuration) -> dict[str, Any]:
    """The configuration for JSON, without secrets."""
    return {
        "file": printable(configuration.file),
        "compat": configuration.compat,
        "refused": configuration.refused,
        "isns_server": configuration.isns_server,
        "isns_access_control": configuration.isns_access_control,
        "discovery": {
            "incoming": [printable(account.name) for account in configuration.discovery_incoming],
            "outgoing": _outgoing(configuration.discovery_outgoing),
            "closed": configuration.discovery_closed,
        },
        "targets": [_target(target) for target in configuration.targets],
    }


def _target(target: TargetConfig) -> dict[str, Any]:
    return {
        "name": printable(target.name),
        "line": target.span.line,
        "alias": printable(target.alias),
        "closed": target.closed,
        "incoming": [printable(account.name) for account in target.incoming],
        "outgoing": _outgoing(target.outgoing),
        "max_sessions": target.max_sessions,
        "wthreads": target.wthreads,
        "queued_commands": target.queued_commands,
        "nop_interval": target.nop_interval,
        "nop_timeout": target.nop_timeout,
        "session_keys": dict(target.session_keys),
        "initiator_addresses": [printable(item) for item in target.initiator_addresses],
        "initiator_names": [printable(item) for item in target.initiator_names],
        "luns": [_lun(lun) for lun in target.luns],
    }


def _lun(lun: LunConfig) -> dict[str, Any]:
    return {
        "lun": lun.number,
        "line": lun.span.line,
        "path": printable(lun.path),
        "type": lun.type,
        "read_only": lun.read_only,
        "write_cache": lun.write_cache,
        "block_size": lun.block_size,
        "scsi_id": None if lun.scsi_id is None else lun.scsi_id.hex(),
        "scsi_sn": lun.scsi_sn,
        "options": dict(lun.options),
    }


def _outgoing(account: Any) -> str | None:
    return None if account is None else printable(account.name)


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "file": printable(diagnostic.span.file),
        "line": diagnostic.span.line,
        "column": diagnostic.span.column,
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "problem": diagnostic.problem,
        "hint": diagnostic.hint,
        "iet": diagnostic.iet,
    }


def _errors(found: Iterable[Diagnostic]) -> int:
    return sum(diagnostic.severity == "error" for diagnostic in found)


def _print(found: tuple[Diagnostic, ...], configuration: Configuration | None, as_json: bool) -> None:
    if as_json:
        document = {
            "diagnostics": [_diagnostic(diagnostic) for diagnostic in found],
            "configuration": None if configuration is None else effective(configuration),
        }
        click.echo(json.dumps(document, indent=2))
        return
    for diagnostic in found:
        click.echo(printable(str(diagnostic)))


def _summary(config: str | None, configuration: Configuration, found: tuple[Diagnostic, ...]) -> str:
    """One line: what was read, and how much each mode finds in it."""
    luns = sum(len(target.luns) for target in configuration.targets)
    counts = []
    for mode in MODES:
        other = found if mode == configuration.compat else findings(load(config, mode), companions=config is None)
        errors = _errors(other)
        counts.append(f"{mode} {_count(errors, 'error')}, {_count(len(other) - errors, 'warning')}")
    subject = f"{printable(configuration.file)} ({configuration.compat})"
    served = f"{_count(len(configuration.targets), 'target')}, {_count(luns, 'LUN')}"
    return f"{subject}: {served}; " + "; ".join(counts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
