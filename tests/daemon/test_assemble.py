"""A configuration made real: what is served, what is not and why, and what is shared."""

from __future__ import annotations

import errno
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.access import AccessFiles
from ietpy.config.model import Account, Configuration, LunConfig, TargetConfig
from ietpy.daemon.assemble import Assembly, assemble
from ietpy.errors import Span, StoreError
from ietpy.iscsi.target import Asker, IscsiNode
from ietpy.scsi.store import Capabilities

NAME = "iqn.2001-04.com.example:storage.disk1"
SPAN = Span("ietd.conf", 1, 1)


class FakeStore:
    """A medium of zeros that notes what is done to it."""

    physical_block_size = 4096
    capabilities = Capabilities()

    def __init__(self, size: int = 1 << 20, block_size: int = 512, broken: bool = False) -> None:
        self.size = size
        self.block_size = block_size
        self.broken = broken
        self.calls: list[str] = []

    def read(self, offset: int, buffer: memoryview) -> None: ...

    def read_now(self, offset: int, buffer: memoryview) -> bool:
        return True

    def extent(self, offset: int, length: int) -> None:
        return None

    def write(self, offset: int, views: Sequence[memoryview], fua: bool) -> None: ...

    def flush(self) -> None:
        self.calls.append("flush")
        if self.broken:
            raise StoreError(errno.EIO, "the disk is on fire")

    def discard(self, offset: int, length: int) -> None: ...

    def zero(self, offset: int, length: int) -> None: ...

    def close(self) -> None:
        self.calls.append("close")


class Opener:
    """Stands for ``stores.open_store``; ``stores`` by path, a missing one cannot be opened."""

    def __init__(self, **stores: FakeStore) -> None:
        self.stores = stores
        self.opened: list[tuple[str, str, bool, int | None, Mapping[str, Any]]] = []

    def __call__(
        self, type: str, path: str, *, read_only: bool, block_size: int | None, options: Mapping[str, Any]
    ) -> FakeStore:
        self.opened.append((type, path, read_only, block_size, options))
        store = self.stores.get(Path(path).name or type)
        if store is None:
            raise StoreError(errno.ENOENT, f"{path} is not there")
        return store


def lun(number: int, line: int = 1, **more: Any) -> LunConfig:
    return LunConfig(number, Span("ietd.conf", line, 2), **more)


def target(*luns: LunConfig, name: str = NAME, **more: Any) -> TargetConfig:
    return TargetConfig(name, SPAN, luns=luns, **more)


def build(*targets: TargetConfig, opener: Any, **more: Any) -> Assembly:
    return assemble(Configuration("ietd.conf", targets=targets), opener=opener, **more)


def problems(assembly: Assembly) -> list[str]:
    return [str(problem) for problem in assembly.problems]


def test_a_target_is_served_as_configured() -> None:
    config = target(
        lun(0, type="nullio", block_size=4096, options={"Blocks": 256}),
        incoming=(Account("joe", "first", SPAN), Account("joe", "second", SPAN)),
        outgoing=Account("jim", "other", SPAN),
        max_sessions=3,
        wthreads=4,
        queued_commands=16,
        nop_interval=30,
        nop_timeout=10,
        session_keys={"MaxBurstLength": 65536},
    )
    opener = Opener(nullio=FakeStore())
    assembly = build(config, opener=opener)
    assert problems(assembly) == []
    assert not assembly.degraded
    assert opener.opened == [("nullio", "", False, 4096, {"Blocks": 256})]
    node = assembly.node.targets[NAME]
    assert node.name == NAME
    assert node.accounts.incoming == {"joe": "second"}
    assert node.accounts.outgoing == ("jim", "other")
    assert (node.max_sessions, node.wthreads, node.queued_commands) == (3, 4, 16)
    assert (node.nop_interval, node.nop_timeout) == (30, 10)
    assert node.key_values == {"MaxBurstLength": 65536}
    unit = node.device.logical_units[0]
    assert (unit.block_size, unit.blocks) == (4096, 256)


def test_queued_commands_are_ours_where_the_file_is_silent() -> None:
    assert build(target(), opener=Opener()).node.targets[NAME].queued_commands == 128


def test_identity_is_that_of_name_and_number() -> None:
    """Confirmed by a capture of IET (iet-compat 7.4, last row)."""
    name = "iqn.2001-04.com.example:storage.lun1"
    assembly = build(target(lun(1, type="nullio"), name=name), opener=Opener(nullio=FakeStore()))
    identity = assembly.node.targets[name].device.logical_units[1].identity
    assert identity.device_id.hex() == "3592265eae69d00a6e8560cd2833744e"


def test_discovery_accounts_are_the_nodes() -> None:
    configuration = Configuration(
        "ietd.conf", discovery_incoming=(Account("joe", "secret", SPAN),), discovery_closed="a mistake"
    )
    accounts = assemble(configuration).node.discovery
    assert accounts.incoming == {"joe": "secret"}
    assert accounts.closed == "a mistake"


def test_a_closed_target_is_reported_and_not_served() -> None:
    opener = Opener()
    assembly = build(target(lun(0, path="/x"), closed="an account without a secret"), opener=opener)
    assert assembly.node.targets == {}
    assert opener.opened == []
    assert assembly.degraded
    assert problems(assembly) == [
        f"ietd.conf:1:1: error: target {NAME} is not served: an account without a secret"
    ]


def test_a_medium_that_cannot_be_opened_is_reported_with_its_line() -> None:
    assembly = build(target(lun(0, 2, path="/gone"), lun(1, 3, path="/here")), opener=Opener(here=FakeStore()))
    device = assembly.node.targets[NAME].device
    assert list(device.logical_units) == [1]
    assert [line.number for line in assembly.served[NAME]] == [1]
    assert assembly.degraded
    assert problems(assembly) == [
        f"ietd.conf:2:2: error: LUN 0 of {NAME} is not served: /gone is not there; then restart ietpy-daemon; "
        "IET: logged it and served the other LUNs"
    ]


@pytest.mark.parametrize(
    ("store", "line", "reason"),
    [
        pytest.param(
            FakeStore(block_size=4096), {"type": "blockio", "block_size": 512}, "blocks of 512 bytes, only 4096",
            id="blocks smaller than the medium's",
        ),
        pytest.param(FakeStore(size=1024), {"block_size": 4096}, "less than one block of 4096 bytes", id="too small"),
    ],
)
def test_a_medium_that_does_not_suit_is_reported(store: FakeStore, line: dict[str, Any], reason: str) -> None:
    assembly = build(target(lun(0, path="/x", **line)), opener=Opener(x=store))
    assert assembly.node.targets[NAME].device.logical_units == {}
    assert reason in problems(assembly)[0]


@pytest.mark.parametrize(("type", "expected"), [("blockio", 4096), ("fileio", 512)])
def test_the_default_block_size(type: str, expected: int) -> None:
    store = FakeStore(block_size=4096 if type == "blockio" else 512)
    assembly = build(target(lun(0, path="/x", type=type)), opener=Opener(x=store))
    assert assembly.node.targets[NAME].device.logical_units[0].block_size == expected


def test_two_lines_of_one_file_share_a_store(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"")
    (tmp_path / "link").symlink_to("disk")
    opener = Opener(disk=FakeStore())
    first = target(lun(0, 2, path=str(tmp_path / "disk"), read_only=True))
    second = target(lun(0, 5, path=str(tmp_path / "link")), name="iqn.2001-04.com.example:other")
    assembly = build(first, second, opener=opener)
    assert [(path, read_only) for _, path, read_only, *_ in opener.opened] == [(str(tmp_path / "disk"), False)]
    assert len(assembly.stores) == 1
    assert not assembly.degraded
    assert "shares" in problems(assembly)[0]
    assert "the Lun line at ietd.conf:2:2" in problems(assembly)[0]
    units = [node.device.logical_units[0] for node in assembly.node.targets.values()]
    assert units[0].store is units[1].store
    assert [unit.write_protected for unit in units] == [True, False]


def test_a_file_nobody_writes_is_opened_read_only(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"")
    opener = Opener(disk=FakeStore())
    build(target(lun(0, path=str(tmp_path / "disk"), read_only=True)), opener=opener)
    assert opener.opened[0][2] is True


def test_nullio_is_never_shared() -> None:
    opener = Opener(nullio=FakeStore())
    assembly = build(target(lun(0, type="nullio"), lun(1, type="nullio")), opener=opener)
    assert len(opener.opened) == 2
    assert problems(assembly) == []


def test_relative_paths_count_from_the_base() -> None:
    opener = Opener()
    assembly = build(target(lun(0, path="a/b")), opener=opener, base="/srv")
    assert opener.opened[0][1] == "/srv/a/b"
    assert "a relative Path counts from /srv; write the whole path" in problems(assembly)[0]


def test_closing_flushes_and_closes_every_store() -> None:
    good, bad = FakeStore(), FakeStore(broken=True)
    assert Assembly(IscsiNode(threading.RLock()), [good]).close() is True
    assert Assembly(IscsiNode(threading.RLock()), [bad, good]).close() is False
    assert bad.calls == ["flush", "close"]
    assert good.calls == ["flush", "close", "flush", "close"]


ASKER = Asker("iqn.a", "10.0.0.7", "10.0.0.1")


@pytest.mark.parametrize(
    ("restriction", "allow", "admitted"),
    [
        pytest.param({}, None, True, id="no restriction"),
        pytest.param({"initiator_addresses": ("10.0.0.7",)}, None, True, id="an address in the block"),
        pytest.param({"initiator_addresses": ("10.0.0.8",)}, None, False, id="another address in the block"),
        pytest.param({"initiator_names": ("iqn.a",)}, None, True, id="a name in the block"),
        pytest.param({"initiator_names": ("iqn.b",)}, None, False, id="another name in the block"),
        pytest.param({}, f"{NAME} 10.0.0.7\n", True, id="an address in initiators.allow"),
        pytest.param({}, "", False, id="an empty initiators.allow"),
    ],
)
def test_who_may_use_a_target(
    restriction: dict[str, Any], allow: str | None, admitted: bool, tmp_path: Path
) -> None:
    if allow is not None:
        (tmp_path / "initiators.allow").write_text(allow)
    assembly = build(target(**restriction), opener=Opener(), access=AccessFiles(str(tmp_path)))
    assert (assembly.node.find(NAME, ASKER) is not None) is admitted
    assert bool(assembly.node.visible(ASKER)) is admitted


@pytest.mark.parametrize(("server", "control", "open_"), [("h", True, False), ("h", False, True), ("", True, True)])
def test_a_target_that_isns_guarded_is_not_open(server: str, control: bool, open_: bool) -> None:
    configuration = Configuration(
        "ietd.conf", targets=(target(lun(0, type="nullio")),), isns_server=server, isns_access_control=control
    )
    assembly = assemble(configuration, opener=Opener(nullio=FakeStore()))
    assert bool(assembly.node.targets) is open_
    assert open_ or "initiators.allow" in problems(assembly)[0]
