"""``ietpy check``: everything that can be said about a configuration file without serving anything."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import click

from ietpy.config.access import AccessFiles
from ietpy.config.findings import MODES, printable
from ietpy.config.load import load
from ietpy.config.model import Account, Configuration, InitiatorConfig, LunConfig, PortalConfig, TargetConfig
from ietpy.errors import ConfigError, Diagnostic
from ietpy.iscsi.chap import ALGORITHMS
from ietpy.iscsi.keys import KEYS
from ietpy.iscsi.target import QUEUED_COMMANDS
from ietpy.scsi.identity import iet_identity
from ietpy.stores import STORES

UNUSABLE: Final = 2  #: exit status: the file has errors
FORMAT: Final = 1  #: of the JSON; fields are added without a change, but none is removed or means something else


@dataclass(frozen=True, slots=True)
class View:
    """A file as one mode reads it, with everything found."""

    configuration: Configuration
    found: tuple[Diagnostic, ...]

    @property
    def errors(self) -> int:
        return sum(diagnostic.severity == "error" for diagnostic in self.found)

    @property
    def warnings(self) -> int:
        return len(self.found) - self.errors


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
        chosen = _view(config, compat)
        views = {mode: chosen if mode == chosen.configuration.compat else _view(config, mode) for mode in MODES}
    except ConfigError as error:
        if as_json:
            click.echo(json.dumps(_document(error.diagnostics, None), indent=2))
        else:
            _print(error.diagnostics)
        ctx.exit(UNUSABLE)
    if as_json:
        modes = {mode: _counts(view) | (_shown(view) if all_modes else {}) for mode, view in views.items()}
        document = {**_document(chosen.found, chosen.configuration), "modes": modes}
        click.echo(json.dumps(document, indent=2))
        ctx.exit(UNUSABLE if chosen.errors else 0)
    if all_modes:
        for mode, view in views.items():
            click.echo(f"{mode}:")
            _print(view.found)
    else:
        _print(chosen.found)
    click.echo(_summary(chosen.configuration, views))
    ctx.exit(UNUSABLE if chosen.errors else 0)


def _view(config: str | None, compat: str | None) -> View:
    configuration = load(config, compat)
    return View(configuration, findings(configuration, companions=config is None))


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
    """The configuration for JSON: what holds, also where the file is silent; without secrets."""
    return {
        "file": printable(configuration.file),
        "compat": configuration.compat,
        "refused": configuration.refused,
        "isns_server": printable(configuration.isns_server),
        "isns_access_control": configuration.isns_access_control,
        "portals": None if configuration.portals is None else [_portal(portal) for portal in configuration.portals],
        "processes": configuration.processes,
        "metrics": configuration.metrics,
        "discovery": {
            "incoming": _names(configuration.discovery_incoming),
            "outgoing": _outgoing(configuration.discovery_outgoing),
            "chap_algorithms": _algorithms(configuration.chap_algorithms),
            "closed": configuration.discovery_closed,
        },
        "targets": [_target(target) for target in configuration.targets],
    }


def _portal(portal: PortalConfig) -> dict[str, Any]:
    return {
        "group": portal.group,
        "host": printable(portal.host),
        "port": portal.port,
        "advertised": portal.advertised or None,
        "line": portal.span.line,
    }


def _target(target: TargetConfig) -> dict[str, Any]:
    return {
        "name": printable(target.name),
        "line": target.span.line,
        "alias": printable(target.alias),
        "closed": target.closed,
        "incoming": _names(target.incoming),
        "outgoing": _outgoing(target.outgoing),
        "chap_algorithms": _algorithms(target.chap_algorithms),
        "max_sessions": target.max_sessions,
        "wthreads": target.wthreads,
        "queued_commands": QUEUED_COMMANDS if target.queued_commands is None else target.queued_commands,
        "nop_interval": target.nop_interval,
        "nop_timeout": target.nop_timeout,
        "session_keys": _session_keys(target),
        "session_keys_set": sorted(target.session_keys),
        "initiator_addresses": [printable(item) for item in target.initiator_addresses],
        "initiator_names": [printable(item) for item in target.initiator_names],
        "initiators": [_initiator(line) for line in target.initiators],
        "portal_groups": list(target.portal_groups),
        "luns": [_lun(target, lun) for lun in target.luns],
    }


def _initiator(line: InitiatorConfig) -> dict[str, Any]:
    return {
        "name": printable(line.name),
        "line": line.span.line,
        "addresses": [str(network) for network in line.addresses],
        "portal_groups": list(line.portal_groups),
        "luns": None if line.luns is None else [mapping._asdict() for mapping in line.luns],
        "read_only": line.read_only,
        "user": printable(line.user) or None,
        "closed": line.closed,
        "denies": line.denies,
        "without_chap": line.free,
        "iops": line.iops or None,
        "bytes_per_second": line.bytes_per_second or None,
    }


def _session_keys(target: TargetConfig) -> dict[str, Any]:
    """What the target says of each key; null where it says nothing by itself."""
    keys = {key.name: key.wish(target.session_keys) for key in KEYS if key.option}
    return {**keys, "MaxXmitDataSegmentLength": target.session_keys.get("MaxXmitDataSegmentLength")}


def _lun(target: TargetConfig, lun: LunConfig) -> dict[str, Any]:
    identity = iet_identity(target.name, lun.number, lun.scsi_id, lun.scsi_sn, lun.identity)
    return {
        "lun": lun.number,
        "line": lun.span.line,
        "path": printable(lun.path),
        "type": lun.type,
        "read_only": lun.read_only,
        "write_cache": lun.write_cache,
        "block_size": lun.block_size,
        "scsi_id": _hexadecimal(lun.scsi_id),
        "scsi_sn": lun.scsi_sn,
        "options": dict(lun.options),
        "removable": lun.removable,
        "cached": lun.cached,
        "iops": lun.iops or None,
        "bytes_per_second": lun.bytes_per_second or None,
        "identity": {
            "vendor": identity.vendor,
            "product": identity.product,
            "revision": identity.revision,
            "serial": identity.serial,
            "device_id": identity.device_id.hex(),
            "naa": _hexadecimal(identity.naa),
            "eui": _hexadecimal(identity.eui),
            "page_80": _hexadecimal(identity.page_80),
            "page_83": _hexadecimal(identity.page_83),
        },
    }


def _hexadecimal(data: bytes | None) -> str | None:
    return None if data is None else data.hex()


def _names(accounts: tuple[Account, ...]) -> list[str]:
    """Users, each once, as the last account of a name counts."""
    return list(dict.fromkeys(printable(account.name) for account in accounts))


def _algorithms(named: tuple[str, ...]) -> list[str]:
    return list(named) or [algorithm.name for algorithm in ALGORITHMS.values()]


def _outgoing(account: Account | None) -> str | None:
    return None if account is None else printable(account.name)


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "file": printable(diagnostic.span.file),
        "line": diagnostic.span.line,
        "column": diagnostic.span.column,
        "severity": diagnostic.severity,
        "code": diagnostic.code,
        "text": printable(str(diagnostic)),
        "problem": diagnostic.problem,
        "hint": diagnostic.hint,
        "iet": diagnostic.iet,
    }


def _shown(view: View) -> dict[str, Any]:
    return {
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in view.found],
        "configuration": effective(view.configuration),
    }


def _counts(view: View) -> dict[str, Any]:
    return {"errors": view.errors, "warnings": view.warnings, "refused": view.configuration.refused}


def _document(found: tuple[Diagnostic, ...], configuration: Configuration | None) -> dict[str, Any]:
    shown = None if configuration is None else effective(configuration)
    diagnostics = [_diagnostic(diagnostic) for diagnostic in found]
    return {"format": FORMAT, "diagnostics": diagnostics, "configuration": shown, "modes": {}}


def _print(found: tuple[Diagnostic, ...]) -> None:
    for diagnostic in found:
        click.echo(printable(str(diagnostic)))


def _summary(configuration: Configuration, views: Mapping[str, View]) -> str:
    """One line: what was read, and how much each mode finds in it."""
    luns = sum(len(target.luns) for target in configuration.targets)
    counts = (
        f"{mode} {_count(view.errors, 'error')}, {_count(view.warnings, 'warning')}" for mode, view in views.items()
    )
    subject = f"{printable(configuration.file)} ({configuration.compat})"
    served = f"{_count(len(configuration.targets), 'target')}, {_count(luns, 'LUN')}"
    return f"{subject}: {served}; " + "; ".join(counts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
