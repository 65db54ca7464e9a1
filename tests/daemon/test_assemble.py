"""The parts of a target: accounts, options, logical units, and why one cannot be."""

from __future__ import annotations

import errno
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.config.model import LunConfig, TargetConfig
from ietpy.daemon import assemble
from ietpy.daemon.assemble import LunRefused, accounts, follow, logical_unit, refusal, target_node
from ietpy.daemon.rules import Rules
from ietpy.daemon.served import mode_of
from ietpy.errors import Span, StoreError
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.limits import MAXIMUM_TRANSFER
from ietpy.scsi.store import Capabilities
from ietpy.stores.state import StateDirectory

NAME = "iqn.2001-04.com.example:storage.lun1"
SPAN = Span("ietd.conf", 1, 1)


def target(*lines: str) -> TargetConfig:
    (found,) = loads("".join(f"{line}\n" for line in (f"Target {NAME}", *lines))).targets
    return found


def device() -> ScsiDevice:
    return ScsiDevice(NAME, threading.RLock())


def rule(config: TargetConfig) -> Any:
    return Rules(loads("")).of(config)


def store(size: int = 1 << 20, block_size: int = 512) -> Any:
    return SimpleNamespace(
        size=size, block_size=block_size, physical_block_size=block_size, capabilities=Capabilities(),
        losses=0,
    )


def test_of_two_accounts_with_one_name_the_later_holds() -> None:
    config = target("IncomingUser joe first", "IncomingUser joe second", "OutgoingUser jim other")
    made = accounts(config.incoming, config.outgoing, "")
    assert (made.incoming, made.outgoing, made.required) == ({"joe": "second"}, ("jim", "other"), True)
    assert accounts((), None, "a mistake").required


def test_an_account_without_its_secret_lets_nobody_in() -> None:
    """Its file could not be read: the others' hold, and without others the target is closed, not open."""
    config = target("IncomingUserFile joe /none", "IncomingUser ann known", "OutgoingUserFile us /none")
    made = accounts(config.incoming, config.outgoing, "")
    assert (made.incoming, made.outgoing, made.closed, made.required) == ({"ann": "known"}, None, "", True)
    config = target("IncomingUser joe known", "IncomingUserFile joe /none")
    made = accounts(config.incoming, None, "")
    assert (made.incoming, made.required, bool(made.closed)) == ({}, True, True)
    assert accounts(config.incoming, None, "a mistake").closed == "a mistake"


def test_algorithms_of_a_target() -> None:
    config = target("IncomingUser joe known", "CHAPAlgorithms SHA256")
    node = target_node(config, device(), rule(config))
    assert node.accounts.algorithms == ("SHA256",)


def test_options_of_a_target() -> None:
    config = target(
        "MaxSessions 3", "Wthreads 4", "QueuedCommands 16", "NOPInterval 30", "NOPTimeout 10", "InitialR2T No"
    )
    node = target_node(config, device(), rule(config))
    assert (node.max_sessions, node.wthreads, node.queued_commands) == (3, 4, 16)
    assert (node.nop_interval, node.nop_timeout) == (30, 10)
    assert node.key_values == {"InitialR2T": False}
    follow(node, target(), rule(target()))
    assert (node.max_sessions, node.wthreads, node.queued_commands) == (0, 8, 128)
    assert (node.nop_interval, node.nop_timeout, node.key_values) == (0, 0, {})


def test_a_target_that_a_mistake_closes_admits_nobody_new() -> None:
    config = target("IncomingUser joe")
    node = target_node(config, device(), rule(config))
    assert node.accounts.closed


def test_access_rule_and_terms_come_together() -> None:
    config = target("Initiator iqn.a Luns=0")
    made = rule(config)
    node = target_node(config, device(), made)
    assert (node.admits, node.terms) == (made, made.terms)


@pytest.mark.parametrize("step", ["let_in", "offer"])
def test_no_login_succeeds_between_accounts_and_portal_groups(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    config = target("Initiator iqn.a Luns=0")
    node = target_node(config, device(), rule(config))
    held: list[bool] = []

    def look(*_: object) -> None:
        def try_it() -> None:
            held.append(not node.device.lock.acquire(blocking=False))  # type: ignore[attr-defined]

        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()

    monkeypatch.setattr(node, step, look)
    follow(node, config, rule(config))
    assert held == [True]


def test_a_unit_has_the_identity_of_its_target_and_number() -> None:
    """Captured from IET (iet-compat 7.4, last row)."""
    unit = logical_unit(device(), LunConfig(1, SPAN, path="/x", read_only=True, write_cache=True), store())
    assert unit.identity.device_id.hex() == "3592265eae69d00a6e8560cd2833744e"
    assert (unit.read_only, unit.configured_write_cache, unit.block_size, unit.blocks) == (True, True, 512, 2048)
    assert not unit.removable
    assert logical_unit(device(), LunConfig(1, SPAN, path="/x", removable=True), store()).removable


def test_a_cache_that_a_blockio_has_by_a_lun_option() -> None:
    lun = LunConfig(1, SPAN, path="/x", type="blockio", cached=True)
    unit = logical_unit(device(), lun, store())
    assert not unit.write_through
    assert mode_of(lun) == "wb"


@pytest.mark.parametrize(("type", "native", "given", "expected"), [
    ("fileio", 512, None, 512), ("fileio", 512, 4096, 4096),
    ("blockio", 4096, None, 4096), ("blockio", 512, 1024, 1024),
])
def test_block_sizes(type: str, native: int, given: int | None, expected: int) -> None:
    config = LunConfig(0, SPAN, path="/x", type=type, block_size=given)
    assert logical_unit(device(), config, store(block_size=native)).block_size == expected


@pytest.mark.parametrize(("medium", "reason", "hint"), [
    (store(block_size=4096), "cannot be addressed by blocks of 512 bytes, only 4096", "say BlockSize=4096"),
    (store(size=511), "/x holds less than one block of 512 bytes", "make it larger"),
])
def test_a_medium_that_does_not_suit(medium: Any, reason: str, hint: str) -> None:
    with pytest.raises(LunRefused, match=reason) as caught:
        logical_unit(device(), LunConfig(0, SPAN, path="/x", block_size=512), medium)
    assert caught.value.code == errno.EINVAL
    assert hint in caught.value.hint


def test_a_state_that_makes_no_sense_to_the_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **more: Any) -> None:
        raise ValueError("no key 12g")

    monkeypatch.setattr(assemble, "LogicalUnit", refuse)
    config = LunConfig(0, SPAN, path="/x")
    state = StateDirectory(str(tmp_path)).unit(NAME, 0)
    with pytest.raises(LunRefused, match=r",lun0.json:1:1: the kept state .*: no key 12g; .* move it away") as caught:
        logical_unit(device(), config, store(), state=state)
    assert (caught.value.code, "reload" in caught.value.hint) == (errno.EINVAL, True)
    with pytest.raises(ValueError, match="no key 12g"):  # a mistake of ours
        logical_unit(device(), config, store())


@pytest.mark.parametrize(("path", "hint"), [("/x", "ietpy-daemon reload"), ("x", "counts from /srv")])
def test_a_store_that_cannot_be_opened(path: str, hint: str) -> None:
    refused = refusal(LunConfig(0, SPAN, path=path), "/srv", StoreError(errno.EBUSY, "claimed"))
    assert (refused.code, str(refused)) == (errno.EBUSY, "claimed")
    assert hint in refused.hint


@pytest.mark.parametrize(("pages", "expected"), [(1 << 30, 256 << 20), (1 << 10, 1 << 20)])
def test_unfinished_writes_take_a_quarter_of_a_small_machine(
    monkeypatch: pytest.MonkeyPatch, pages: int, expected: int
) -> None:
    sizes = {"SC_PHYS_PAGES": pages, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(assemble.os, "sysconf", sizes.__getitem__)
    assert assemble.memory_limit() == expected


@pytest.mark.parametrize(("wanted", "expected"), [((), (1, 2, 3)), ((3, 1), (1, 3)), ((2, 9), (2,)), ((9,), ())])
def test_a_target_is_in_those_portal_groups_there_are(wanted: tuple[int, ...], expected: tuple[int, ...]) -> None:
    config = replace(target(), portal_groups=wanted)
    node = target_node(config, device(), rule(config), (1, 2, 3))
    assert node.portal_groups == expected
    assert [group.ports for group in node.device.port_groups] == [expected]


def test_the_alias_is_told_as_far_as_it_can_be() -> None:
    for text, told in (("Alias Disk of the office", "Disk of the office"), (f"Alias {'a' * 300}", "a" * 255)):
        config = target(text)
        assert target_node(config, device(), rule(config)).alias == told


@pytest.mark.parametrize(("processes", "share"), [(1, 256), (2, 128), (4, 64), (16, 64)])
def test_a_worker_has_room_for_more_than_one_write(
    processes: int, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assemble, "memory_limit", lambda: 256 << 20)
    assert assemble.memory_share(processes) == share << 20
    assert share << 20 >= 2 * MAXIMUM_TRANSFER
