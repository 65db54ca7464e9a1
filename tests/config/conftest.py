"""What a configuration means, as one comparable string, and where the files of real life are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ietpy.config.model import Configuration, LunConfig, TargetConfig

_CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"


@pytest.fixture
def corpus() -> Path:
    """The files other people wrote; not part of this repository."""
    if not _CORPUS.is_dir():
        pytest.skip("no ../shared")
    return _CORPUS


def _lun(lun: LunConfig) -> str:
    extras = [lun.type] if lun.type != "fileio" else []
    extras += ["ro"] if lun.read_only else []
    extras += ["wb"] if lun.write_cache else []
    extras += [str(lun.block_size)] if lun.block_size else []
    extras += [f"id={lun.scsi_id.decode()}"] if lun.scsi_id else []
    extras += [f"sn={lun.scsi_sn}"] if lun.scsi_sn else []
    extras += [f"{name}={value}" for name, value in lun.options.items()]
    return f"{lun.number}={lun.path}" + (f"({','.join(extras)})" if extras else "")


def _target(target: TargetConfig) -> str:
    words = [_lun(lun) for lun in target.luns]
    words += [f"+{account.name}/{account.secret}" for account in target.incoming]
    words += [f"-{target.outgoing.name}/{target.outgoing.secret}"] if target.outgoing else []
    words += [f"alias={target.alias}"] if target.alias else []
    for name, default in (
        ("max_sessions", 0),
        ("wthreads", 8),
        ("queued_commands", None),
        ("nop_interval", 0),
        ("nop_timeout", 0),
    ):
        value = getattr(target, name)
        words += [f"{name}={value}"] if value != default else []
    words += [f"{name}={value}" for name, value in target.session_keys.items()]
    words += [f"from={address}" for address in target.initiator_addresses]
    words += [f"who={name}" for name in target.initiator_names]
    words += ["CLOSED"] if target.closed else []
    return f"{target.name}: " + " ".join(words)


def _dump(configuration: Configuration) -> str:
    """Everything but the diagnostics; an empty string means nothing at all."""
    words = [f"+{account.name}/{account.secret}" for account in configuration.discovery_incoming]
    outgoing = configuration.discovery_outgoing
    words += [f"-{outgoing.name}/{outgoing.secret}"] if outgoing else []
    words += ["CLOSED"] if configuration.discovery_closed else []
    words += [f"isns={configuration.isns_server}"] if configuration.isns_server else []
    words += ["isns-access"] if configuration.isns_access_control else []
    targets = [_target(target).strip() for target in configuration.targets]
    return "; ".join(([" ".join(words)] if words else []) + targets)


@pytest.fixture
def dump() -> Callable[[Configuration], str]:
    return _dump
