"""What a daemon serves: by a file, and changed while it runs; what is not served and why, and what is shared."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ietpy.config.access import AccessFiles
from ietpy.config.model import Account, Configuration, LunConfig, TargetConfig
from ietpy.daemon import inventory as module
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.errors import AdminError, Span, StoreError
from ietpy.iscsi.target import Asker
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


def build(*targets: TargetConfig, opener: Any, base: str = "/", **more: Any) -> Inventory:
    return Inventory(Configuration("ietd.conf", targets=targets), Media(base, opener), **more)


def problems(inventory: Inventory) -> list[str]:
    return [str(problem) for problem in inventory.problems]


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
    inventory = build(config, opener=opener)
    assert problems(inventory) == []
    assert not inventory.degraded
    assert opener.opened == [("nullio", "", False, 4096, {"Blocks": 256})]
    node = inventory.node.targets[NAME]
    assert node.name == NAME
    assert node.accounts.incoming == {"joe": "second"}
    assert node.accounts.outgoing == ("jim", "other")
    assert (node.max_sessions, node.wthreads, node.queued_commands) == (3, 4, 16)
    assert (node.nop_interval, node.nop_timeout) == (30, 10)
    assert node.key_values == {"MaxBurstLength": 65536}
    unit = node.device.logical_units[0]
    assert (unit.block_size, unit.blocks) == (4096, 256)


def test_discovery_accounts_are_the_nodes() -> None:
    configuration = Configuration(
        "ietd.conf", discovery_incoming=(Account("joe", "secret", SPAN),), discovery_closed="a mistake"
    )
    accounts = Inventory(configuration, Media()).node.discovery
    assert accounts.incoming == {"joe": "secret"}
    assert accounts.closed == "a mistake"


def test_a_closed_target_is_reported_and_not_served() -> None:
    opener = Opener()
    inventory = build(target(lun(0, path="/x"), closed="an account without a secret"), opener=opener)
    assert inventory.node.targets == {}
    assert opener.opened == []
    assert inventory.degraded
    assert problems(inventory) == [
        f"ietd.conf:1:1: error: target {NAME} is not served: an account without a secret"
    ]


def test_a_medium_that_cannot_be_opened_is_reported_with_its_line() -> None:
    inventory = build(target(lun(0, 2, path="/gone"), lun(1, 3, path="/here")), opener=Opener(here=FakeStore()))
    device = inventory.node.targets[NAME].device
    assert list(device.logical_units) == [1]
    assert list(inventory.target(1).units) == [1]
    assert inventory.degraded
    assert problems(inventory) == [
        f"ietd.conf:2:2: error: LUN 0 of {NAME} is not served: /gone is not there; "
        "then restart ietpy-daemon, or ietpy-daemon reload; IET: logged it and served the other LUNs"
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
    inventory = build(target(lun(0, path="/x", **line)), opener=Opener(x=store))
    assert inventory.node.targets[NAME].device.logical_units == {}
    assert reason in problems(inventory)[0]


def test_two_lines_of_one_file_share_a_store(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"")
    (tmp_path / "link").symlink_to("disk")
    opener = Opener(disk=FakeStore())
    first = target(lun(0, 2, path=str(tmp_path / "disk"), read_only=True))
    second = target(lun(0, 5, path=str(tmp_path / "link")), name="iqn.2001-04.com.example:other")
    inventory = build(first, second, opener=opener)
    assert [(path, read_only) for _, path, read_only, *_ in opener.opened] == [(str(tmp_path / "disk"), False)]
    assert len(opener.opened) == 1
    assert not inventory.degraded
    assert "shares" in problems(inventory)[0]
    assert "the Lun line at ietd.conf:2:2" in problems(inventory)[0]
    units = [node.device.logical_units[0] for node in inventory.node.targets.values()]
    assert units[0].store is units[1].store
    assert [unit.write_protected for unit in units] == [True, False]


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
    inventory = build(target(**restriction), opener=Opener(), access=AccessFiles(str(tmp_path)))
    assert (inventory.node.find(NAME, ASKER) is not None) is admitted
    assert bool(inventory.node.visible(ASKER)) is admitted


class Gate:
    """Stands for an iSNS client."""

    def __init__(self, *listed: tuple[str, str]) -> None:
        self.listed = listed
        self.refreshed = 0

    def admits(self, target: str, initiator: str) -> bool:
        return (target, initiator) in self.listed

    def refresh(self) -> None:
        self.refreshed += 1


@pytest.mark.parametrize(
    ("server", "control", "gate", "admitted"),
    [
        pytest.param("h", True, None, False, id="nobody to ask yet"),
        pytest.param("h", True, Gate(), False, id="not listed"),
        pytest.param("h", True, Gate((NAME, "iqn.a")), True, id="listed"),
        pytest.param("h", False, None, True, id="no access control"),
        pytest.param("", True, None, True, id="no server: of no effect, as under IET"),
    ],
)
def test_isns_decides_who_may_use_a_target(server: str, control: bool, gate: Gate | None, admitted: bool) -> None:
    configuration = Configuration("ietd.conf", targets=(target(),), isns_server=server, isns_access_control=control)
    inventory = Inventory(configuration, Media(), access=AccessFiles("/nonexistent"))
    inventory.gate = gate
    assert bool(inventory.node.visible(ASKER)) is admitted


# Live changes --------------------------------------------------------------------------------------------------------

OTHER = "iqn.2001-04.com.example:other"


class Transport:
    """Stands for a server: ``busy`` as long as commands are under way; notes what it is told."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.over.set()
        self.calls: list[str] = []

    def under_way(self, unit: Any) -> Callable[[], bool]:
        return lambda: not self.over.is_set()

    def follow(self, node: Any) -> None:
        self.calls.append(f"follow {node.name}")

    def retire(self, node: Any) -> None:
        self.calls.append(f"retire {node.name}")


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[Inventory]:
    """Two targets, each with a LUN on a file of its own, a third file and a transport."""
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    stores = {name: FakeStore() for name in ("a", "b", "c")}
    inventory = build(
        target(lun(0, 2, path="/a")), target(lun(0, 4, path="/b"), name=OTHER), opener=Opener(**stores)
    )
    inventory.transport = Transport()
    inventory.stores = stores  # type: ignore[attr-defined]
    yield inventory
    inventory.transport.over.set()
    for thread in threading.enumerate():
        if thread.name == "leaving":
            thread.join(20)
    inventory.close()


def store(inventory: Inventory, name: str) -> FakeStore:
    found: FakeStore = inventory.stores[name]  # type: ignore[attr-defined]
    return found


def failure(code: int) -> Any:
    return pytest.raises(AdminError, check=lambda error: error.code == code)


def test_numbers_of_targets_only_move_forward(live: Inventory) -> None:
    """iet-compat 5.5."""
    assert list(live.targets) == [1, 2]
    assert live.add_target(target(name="c")) == 3
    live.remove_target(3)
    assert live.add_target(target(name="c")) == 4
    assert live.add_target(target(name="d"), 6) == 6
    assert live.add_target(target(name="e")) == 5
    assert live.add_target(target(name="f")) == 7


def test_a_target_that_is_not_served_keeps_its_number() -> None:
    inventory = build(target(closed="a mistake"), target(name=OTHER), opener=Opener())
    assert list(inventory.targets) == [2]


def test_names_and_numbers_are_taken_once(live: Inventory) -> None:
    with failure(errno.EINVAL):
        live.add_target(target(name=NAME.upper()), 9)
    with failure(errno.EEXIST):
        live.add_target(target(name="c"), 2)
    with failure(errno.ENOENT):
        live.target(9)


def test_a_new_target_is_found_and_a_removed_one_is_not(live: Inventory) -> None:
    tid = live.add_target(target(lun(3, path="/c"), name="c"))
    assert list(live.node.targets) == [NAME, OTHER, "c"]
    assert [each.name for each in live.configuration.targets] == [NAME, OTHER, "c"]
    live.remove_target(tid)
    assert list(live.node.targets) == [NAME, OTHER]
    assert store(live, "c").calls == ["flush", "close"]
    assert live.transport.calls == ["retire c"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["sessions", "ending"])
def test_a_target_in_use_stays(live: Inventory, kind: str) -> None:
    node = live.target(1).node
    node.sessions.update({("iqn.i", b""): None} if kind == "sessions" else {})  # type: ignore[dict-item]
    node.ending.update({None} if kind == "ending" else set())  # type: ignore[arg-type]
    with failure(errno.EBUSY):
        live.remove_target(1)
    assert NAME in live.node.targets


def test_a_lun_comes_and_goes(live: Inventory) -> None:
    told: list[int] = []
    live.changed = lambda: told.append(1)
    live.add_lun(1, lun(7, path="/c"))
    assert list(live.target(1).node.device.logical_units) == [0, 7]
    assert [each.number for each in live.configuration.targets[0].luns] == [0, 7]
    with failure(errno.EEXIST):
        live.add_lun(1, lun(7, path="/c"))
    live.remove_lun(1, 7)
    assert list(live.target(1).node.device.logical_units) == [0]
    assert [each.number for each in live.configuration.targets[0].luns] == [0]
    assert live.target(1).leaving == []
    assert store(live, "c").calls == ["flush", "close"]
    with failure(errno.ENOENT):
        live.remove_lun(1, 7)
    assert told


def test_a_medium_is_let_go_only_when_the_last_command_is_over(live: Inventory) -> None:
    live.transport.over.clear()  # type: ignore[attr-defined]
    live.remove_lun(1, 0)
    (leaving,) = live.target(1).leaving
    assert leaving.config.path == "/a"
    assert store(live, "a").calls == []
    live.transport.over.set()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name == "leaving":
            thread.join(20)
    assert store(live, "a").calls == ["flush", "close"]
    assert live.target(1).leaving == []


def test_a_lun_that_cannot_be_opened_live_leaves_no_trace(live: Inventory) -> None:
    with failure(errno.ENOENT):
        live.add_lun(1, lun(1, path="/gone"))
    with failure(errno.EINVAL):
        live.add_lun(1, lun(1, path="/c", block_size=1 << 30))
    assert store(live, "c").calls == ["flush", "close"]
    assert live.problems == []
    assert [each.number for each in live.configuration.targets[0].luns] == [0]


def test_what_could_not_be_served_at_start_can_be_later() -> None:
    opener = Opener()
    inventory = build(target(lun(0, 2, path="/a")), opener=opener)
    assert inventory.degraded
    opener.stores["a"] = FakeStore()
    inventory.add_lun(1, lun(0, 0, path="/a"))
    assert not inventory.degraded
    assert len(inventory.configuration.targets[0].luns) == 1


def test_a_medium_open_for_reading_is_not_written_by_a_later_lun(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"")
    path = str(tmp_path / "disk")
    inventory = build(target(lun(0, path=path, read_only=True)), opener=Opener(disk=FakeStore()))
    with failure(errno.EBUSY):
        inventory.add_lun(1, lun(1, path=path))
    inventory.remove_lun(1, 0)
    inventory.add_lun(1, lun(1, path=path))


def test_a_shared_medium_is_let_go_by_the_last_line(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"")
    disk = FakeStore()
    lines = [lun(number, path=str(tmp_path / "disk")) for number in (0, 1)]
    inventory = build(target(*lines), opener=Opener(disk=disk))
    inventory.remove_lun(1, 0)
    assert disk.calls == []
    inventory.remove_lun(1, 1)
    assert disk.calls == ["flush", "close"]


def test_options_hold_at_once(live: Inventory) -> None:
    live.reconfigure(1, {"wthreads": 3, "nop_interval": 5}, {"InitialR2T": False})
    live.reconfigure(1, {}, {"ImmediateData": False})
    node = live.target(1).node
    assert (node.wthreads, node.nop_interval) == (3, 5)
    assert node.key_values == {"InitialR2T": False, "ImmediateData": False}
    assert live.transport.calls == [f"follow {NAME}"] * 2  # type: ignore[attr-defined]
    assert live.configuration.targets[0].wthreads == 3


def test_a_redirection_is_the_targets(live: Inventory) -> None:
    live.redirect(2, "10.0.0.1:3260")
    assert live.target(2).node.redirect == "10.0.0.1:3260"


def test_accounts_hold_for_the_next_login(live: Inventory) -> None:
    joe, jim = Account("joe", "first", SPAN), Account("jim", "other", SPAN)
    live.set_accounts(1, (joe,), jim)
    assert live.accounts_of(1) == ((joe,), jim)
    assert live.target(1).node.accounts.incoming == {"joe": "first"}
    assert live.target(1).node.accounts.outgoing == ("jim", "other")
    live.set_accounts(0, (jim,), None)
    assert live.node.discovery.incoming == {"jim": "other"}
    assert live.configuration.discovery_incoming == (jim,)


def test_isns_hears_of_changes(live: Inventory) -> None:
    gate = live.gate = Gate()
    live.add_target(target(name="c"))
    live.remove_target(3)
    assert gate.refreshed == 2


# A file again --------------------------------------------------------------------------------------------------------


def file(*targets: TargetConfig, **more: Any) -> Configuration:
    return Configuration("ietd.conf", targets=targets, **more)


def test_the_same_file_again_changes_nothing(live: Inventory) -> None:
    units = [dict(each.node.device.logical_units) for each in live.all()]
    assert live.apply(file(target(lun(0, 9, path="/a")), target(lun(0, path="/b"), name=OTHER))) == []
    assert [dict(each.node.device.logical_units) for each in live.all()] == units
    assert store(live, "a").calls == []


def test_a_file_adds_changes_and_removes(live: Inventory) -> None:
    joe = Account("joe", "secret", SPAN)
    new = file(
        target(lun(0, path="/c"), name="c"),
        target(lun(0, path="/a", read_only=True), lun(1, path="/gone"), incoming=(joe,), wthreads=2),
        discovery_incoming=(joe,),
    )
    assert live.apply(new) == []
    assert {tid: each.config.name for tid, each in live.targets.items()} == {1: NAME, 3: "c"}
    assert live.target(1).node.device.logical_units[0].read_only
    assert live.target(1).node.accounts.required
    assert live.target(1).node.wthreads == 2
    assert live.node.discovery.required
    assert [each.name for each in live.configuration.targets] == ["c", NAME]
    assert [problem.code for problem in live.problems] == ["lun-not-served"]
    assert store(live, "b").calls == ["flush", "close"]
    assert live.apply(file(target(lun(0, path="/a", read_only=True)))) == []
    assert live.problems == []


def test_live_changes_are_given_up_for_the_file(live: Inventory) -> None:
    live.add_lun(1, lun(5, path="/c"))
    live.add_target(target(name="c"))
    live.reconfigure(1, {"wthreads": 3}, {"InitialR2T": False})
    live.apply(file(target(lun(0, path="/a")), target(lun(0, path="/b"), name=OTHER)))
    assert list(live.target(1).units) == [0]
    assert list(live.node.targets) == [NAME, OTHER]
    assert (live.target(1).node.wthreads, live.target(1).node.key_values) == (8, {})


@pytest.mark.parametrize("closed", [False, True])
def test_a_target_in_use_is_kept_by_a_file_without_it(live: Inventory, closed: bool) -> None:
    live.target(2).node.sessions["iqn.i", b""] = None  # type: ignore[assignment]
    rest = [target(name=OTHER, closed="a mistake")] if closed else []
    (sentence,) = live.apply(file(target(lun(0, path="/a")), *rest))
    assert OTHER in sentence
    assert "still in use" in sentence
    assert list(live.target(2).units) == [0]
    assert bool(live.target(2).node.accounts.closed) is closed
    assert [each.name for each in live.configuration.targets] == [NAME, OTHER]


def test_another_letter_case_is_another_target(live: Inventory) -> None:
    """The identity of its disks depends on it (iet-compat 7.4)."""
    live.apply(file(target(lun(0, path="/a"), name=NAME.upper())))
    assert {tid: each.config.name for tid, each in live.targets.items()} == {3: NAME.upper()}


def test_restrictions_of_the_file_hold_at_once(live: Inventory) -> None:
    assert live.node.find(NAME, ASKER)
    live.apply(file(target(initiator_names=("iqn.b",))))
    assert live.node.find(NAME, ASKER) is None
