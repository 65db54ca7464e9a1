"""What a daemon serves: by a file, and changed while it runs; what is not served and why, and what is shared."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from ietpy.config.access import AccessFiles
from ietpy.config.model import Account, Configuration, InitiatorConfig, LunConfig, LunMapping, TargetConfig
from ietpy.daemon import inventory as module
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.errors import AdminError, Span, StoreError
from ietpy.iscsi.target import Asker
from ietpy.scsi.store import Capabilities
from ietpy.scsi.view import View
from ietpy.stores.state import StateDirectory

NAME = "iqn.2001-04.com.example:storage.disk1"
SPAN = Span("ietd.conf", 1, 1)


class FakeStore:
    """A medium of zeros that notes what is done to it."""

    physical_block_size = 4096
    losses = 0
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

    def measured(self) -> int:
        return self.size

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
    inventory.rules.gate = gate
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
    inventory.units.transport = Transport()
    inventory.stores = stores  # type: ignore[attr-defined]
    yield inventory
    inventory.units.transport.over.set()
    seen_off()
    inventory.close()


def seen_off() -> None:
    """Wait until nothing leaves any more."""
    for thread in threading.enumerate():
        if thread.name == "leaving":
            thread.join(20)


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


@pytest.mark.parametrize("tid", [-1, 2**32])
def test_numbers_are_those_of_iet(live: Inventory, tid: int) -> None:
    with failure(errno.EINVAL):
        live.add_target(target(name="c"), tid)


def test_a_target_that_a_mistake_closes_takes_a_number_once() -> None:
    closed = target(closed="a mistake")
    inventory = build(closed, opener=Opener())
    for _ in range(3):
        inventory.apply(file(closed))
    assert inventory.add_target(target(name=OTHER)) == 2


class Slow:
    """A medium that does not answer until told."""

    def __init__(self) -> None:
        self.asked, self.answer = threading.Event(), threading.Event()

    def __call__(self, *_: Any, **__: Any) -> FakeStore:
        self.asked.set()
        assert self.answer.wait(30)
        return FakeStore()


def test_while_a_medium_does_not_answer_all_can_be_seen_and_changes_are_refused(
    live: Inventory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURN", 0.1)
    live.media._opener = slow = Slow()
    adding = threading.Thread(target=lambda: live.add_lun(1, lun(1, path="/c")))
    adding.start()
    assert slow.asked.wait(20)
    assert [each.tid for each in live.all()] == [1, 2]
    assert live.target(2).config.name == OTHER
    assert live.problems == []
    assert not live.degraded
    for change in (
        lambda: live.add_target(target(name="c")), lambda: live.remove_target(2), lambda: live.remove_lun(1, 0),
        lambda: live.add_lun(2, lun(1, path="/c")), lambda: live.set_accounts(1, (), None),
        lambda: live.reconfigure(1, {"wthreads": 2}),
    ):
        with failure(errno.EBUSY):
            change()
    slow.answer.set()
    adding.join(20)
    assert list(live.target(1).units) == [0, 1]
    assert live.target(1).config.wthreads == 8


def test_a_unit_without_a_thread_to_see_it_off_stays_open(
    live: Inventory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        live.remove_lun(1, 0)
    assert live.target(1).node.device.logical_units == {}
    assert store(live, "a").calls == []
    assert "stays open until the end: can't start new thread" in caplog.text
    assert live.close()
    assert store(live, "a").calls == ["flush", "close"]


def test_a_new_target_is_found_and_a_removed_one_is_not(live: Inventory) -> None:
    tid = live.add_target(target(lun(3, path="/c"), name="c"))
    assert list(live.node.targets) == [NAME, OTHER, "c"]
    assert [each.name for each in live.configuration.targets] == [NAME, OTHER, "c"]
    live.remove_target(tid)
    assert list(live.node.targets) == [NAME, OTHER]
    assert store(live, "c").calls == ["flush", "close"]
    assert live.units.transport.calls == ["retire c"]  # type: ignore[attr-defined]


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
    live.units.transport.over.clear()  # type: ignore[attr-defined]
    live.remove_lun(1, 0)
    (leaving,) = live.target(1).leaving
    assert leaving.config.path == "/a"
    assert store(live, "a").calls == []
    live.units.transport.over.set()  # type: ignore[attr-defined]
    seen_off()
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
    assert live.units.transport.calls == [f"follow {NAME}"] * 2  # type: ignore[attr-defined]
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
    gate = live.rules.gate = Gate()
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
    live.target(2).node.sessions["iqn.i", b""] = Mock(present=())
    rest = [target(name=OTHER, closed="a mistake")] if closed else []
    (sentence,) = live.apply(file(target(lun(0, path="/a")), *rest))
    assert OTHER in sentence
    assert "still in use" in sentence
    assert list(live.target(2).units) == [0]
    assert bool(live.target(2).node.accounts.closed) is closed
    assert [each.name for each in live.configuration.targets] == [NAME, OTHER]


def test_algorithms_hold_for_discovery_and_targets(live: Inventory) -> None:
    live.apply(replace(file(target(chap_algorithms=("SHA256",))), chap_algorithms=("SHA3-256",)))
    assert live.node.discovery.algorithms == ("SHA3-256",)
    assert [each.node.accounts.algorithms for each in live.all()] == [("SHA256",)]


def test_another_letter_case_is_another_target(live: Inventory) -> None:
    """The identity of its disks depends on it (iet-compat 7.4)."""
    live.apply(file(target(lun(0, path="/a"), name=NAME.upper())))
    assert {tid: each.config.name for tid, each in live.targets.items()} == {3: NAME.upper()}


def test_restrictions_of_the_file_hold_at_once(live: Inventory) -> None:
    assert live.node.find(NAME, ASKER)
    live.apply(file(target(initiator_names=("iqn.b",))))
    assert live.node.find(NAME, ASKER) is None


def test_initiator_lines_of_the_file_hold_at_once(live: Inventory) -> None:
    """A session that is there goes on, with what it has now; who it must be matters at the next login."""
    session = Mock(present={Mock(asker=ASKER)})
    live.target(1).node.sessions["iqn.a", b""] = session
    line = InitiatorConfig("iqn.a", SPAN, luns=(LunMapping(5, 0),))
    live.apply(file(target(lun(0, path="/a"), initiators=(line,))))
    assert live.node.find(NAME, ASKER)
    session.see.assert_called_once_with(View({5: 0}))
    live.apply(file(target(lun(0, path="/a"), initiators=(replace(line, user="joe"),))))
    assert live.node.find(NAME, ASKER) is None
    session.see.assert_called_once()


def test_an_account_made_by_hand_lets_in_whom_a_line_names(live: Inventory) -> None:
    live.apply(file(target(initiators=(InitiatorConfig("*", SPAN, user="joe"),))))
    assert live.node.visible(ASKER) == []
    live.set_accounts(1, (Account("joe", "secret", SPAN),), None)
    assert [each.name for each in live.node.visible(ASKER)] == [NAME]
    live.set_accounts(1, (), None)
    assert live.node.visible(ASKER) == []


class Lasting(FakeStore):
    """Flushing takes as long as the test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def flush(self) -> None:
        assert self.written.wait(30)
        super().flush()


def test_a_unit_whose_medium_is_let_go_late_is_served_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush can take longer than a reload waits; nobody should have to reload twice."""
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    path = str(tmp_path / "disk")
    Path(path).touch()
    disk = Lasting()
    inventory = build(target(lun(0, path=path)), opener=Opener(disk=disk))
    inventory.apply(file(target(lun(0, path=path, block_size=4096))))
    assert inventory.target(1).units == {}
    assert "is still being let go" in problems(inventory)[0]
    disk.written.set()
    seen_off()
    assert inventory.target(1).units[0].config.block_size == 4096
    assert inventory.problems == []
    disk.written.clear()
    inventory.apply(file(target(lun(0, path=path))))
    ending = threading.Thread(target=inventory.close)
    ending.start()
    while not inventory.units._closed:
        ending.join(0.01)
    disk.written.set()
    ending.join(20)
    seen_off()
    assert disk.calls.count("close") == 2
    assert inventory.target(1).units == {}  # the daemon ends: nothing is opened any more


def test_a_medium_whose_last_commands_run_is_shared_in_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.1)
    path = str(tmp_path / "disk")
    Path(path).touch()
    disk = FakeStore()
    inventory = build(target(lun(0, path=path)), opener=Opener(disk=disk))
    inventory.units.transport = transport = Transport()
    transport.over.clear()
    inventory.apply(file(target(lun(0, path=path, write_cache=True))))
    assert inventory.target(1).units[0].config.write_cache
    assert inventory.problems == []
    transport.over.set()
    seen_off()
    assert disk.calls == []


def test_what_is_noted_of_units_that_stay_is_noted_again(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.touch()
    lines = [lun(number, number + 2, path=str(path)) for number in (0, 1)]
    inventory = build(target(*lines), opener=Opener(disk=FakeStore()))
    inventory.apply(file(target(*(lun(number, number + 12, path=str(path)) for number in (0, 1)))))
    (problem,) = problems(inventory)
    assert problem.startswith(f"ietd.conf:13:2: warning: LUN 1 of {NAME} shares")
    assert "the Lun line at ietd.conf:12:2" in problem
    inventory.apply(file(target(lun(1, 22, path=str(path)))))
    assert inventory.problems == []


def test_a_medium_that_was_replaced_is_noted_and_goes_on_being_served(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.touch()
    line = lun(0, 2, path=str(path))
    inventory = build(target(line), opener=Opener(disk=FakeStore()))
    unit = inventory.target(1).units[0].unit
    (tmp_path / "new").touch()
    (tmp_path / "new").rename(path)
    inventory.apply(file(target(line)))
    (problem,) = problems(inventory)
    assert problem.startswith(f"ietd.conf:2:2: warning: LUN 0 of {NAME} serves what was at {path} when it was opened;")
    assert inventory.target(1).units[0].unit is unit


# Nobody gets in during a reload whom neither file lets in -------------------------------------------------------------


class Watcher(Transport):
    """Asks as a stranger whenever a target is changed, in the middle of a reload."""

    def __init__(self, inventory: Inventory) -> None:
        super().__init__()
        self.inventory = inventory
        self.admitted: list[bool] = []

    def look(self) -> None:
        node = self.inventory.node
        self.admitted += [not target.accounts.required for target in node.visible(ASKER)]
        self.admitted.append(bool(node.visible(ASKER)) and not node.discovery.required)

    def follow(self, node: Any) -> None:
        self.look()

    def under_way(self, unit: Any) -> Callable[[], bool]:
        self.look()
        return super().under_way(unit)


JOE = Account("joe", "secret", SPAN)
ONLY_B = {"initiator_names": ("iqn.b",)}


@pytest.mark.parametrize(("old", "new"), [
    pytest.param(
        [target(lun(0, path="/a"), incoming=(JOE,)), target(name=OTHER, incoming=(JOE,))],
        [target(lun(0, path="/b"), **ONLY_B), target(name=OTHER, **ONLY_B)],
        id="an account, then a restriction",
    ),
    pytest.param(
        [target(lun(0, path="/a"), **ONLY_B), target(name=OTHER, **ONLY_B)],
        [target(lun(0, path="/b"), incoming=(JOE,)), target(name=OTHER, incoming=(JOE,))],
        id="a restriction, then an account",
    ),
])
def test_rules_of_a_target_change_in_one_step(old: list[TargetConfig], new: list[TargetConfig]) -> None:
    opener = Opener(a=FakeStore(), b=FakeStore())
    files = [
        file(*targets, discovery_incoming=(JOE,) if targets[0].incoming else ()) for targets in (old, new)
    ]
    inventory = Inventory(files[0], Media("/", opener), access=AccessFiles("/nonexistent"))
    inventory.units.transport = watcher = Watcher(inventory)
    watcher.look()
    inventory.apply(files[1])
    watcher.look()
    assert len(watcher.admitted) >= 4
    assert not any(watcher.admitted)
    assert inventory.node.discovery.required is bool(files[1].discovery_incoming)


@pytest.mark.parametrize("first", ["isns", "restriction"])
def test_isns_decides_in_a_reload_if_it_does_before_or_after(first: str) -> None:
    asked = {"isns_server": "h", "isns_access_control": True}
    files = [file(target(lun(0, path="/a")), **asked), file(target(lun(0, path="/b"), **ONLY_B))]
    if first == "restriction":
        files.reverse()
    opener = Opener(a=FakeStore(), b=FakeStore())
    inventory = Inventory(files[0], Media("/", opener), access=AccessFiles("/nonexistent"))
    inventory.rules.gate = Gate()
    inventory.units.transport = watcher = Watcher(inventory)
    inventory.apply(files[1])
    watcher.look()
    assert len(watcher.admitted) >= 3
    assert not any(watcher.admitted)


def test_another_mode_reads_the_companion_files_otherwise(tmp_path: Path) -> None:
    (tmp_path / "initiators.allow").write_text(f"{NAME} 10.0.0.7/32\n")  # admits nobody as IET reads it
    inventory = build(target(), opener=Opener(), access=AccessFiles(str(tmp_path)))
    assert inventory.node.find(NAME, ASKER)
    inventory.apply(file(target(), compat="iet"))
    assert inventory.node.find(NAME, ASKER) is None
    inventory.apply(file(target()))
    assert inventory.node.find(NAME, ASKER)


def test_logins_under_way_are_disturbed_only_if_their_rules_change(live: Inventory) -> None:
    nodes = (live.target(1).node, live.target(2).node, live.node)

    def changes(change: Callable[[], object]) -> list[int]:
        before = [node.revision for node in nodes]
        change()
        return [node.revision - count for node, count in zip(nodes, before, strict=True)]

    again = target(name=OTHER, **ONLY_B)
    assert changes(lambda: live.apply(file(target(lun(3, path="/c"), wthreads=3), again))) == [0, 1, 0]
    assert changes(lambda: live.reconfigure(1, {"wthreads": 4})) == [0, 0, 0]
    assert changes(lambda: live.set_accounts(1, (JOE,), None)) == [1, 0, 0]
    assert changes(lambda: live.set_accounts(0, (JOE,), None)) == [0, 0, 1]
    asked = file(target(incoming=(JOE,)), again, discovery_incoming=(JOE,), isns_server="h", isns_access_control=True)
    assert changes(lambda: live.apply(asked)) == [1, 1, 0]


def test_a_target_kept_in_use_follows_isns(live: Inventory) -> None:
    node = live.target(2).node
    node.sessions["iqn.i", b""] = Mock(present=())
    assert node.admits(ASKER)
    live.apply(file(target(), isns_server="h", isns_access_control=True))
    assert not node.admits(ASKER)


# What units keep -----------------------------------------------------------------------------------------------------


@pytest.fixture
def keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inventory]:
    """A target with two LUNs and one with one, each of which keeps something, and a third file."""
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    inventory = build(
        target(lun(0, path="/a"), lun(1, path="/b")), target(lun(0, path="/d"), name=OTHER),
        opener=Opener(**{name: FakeStore() for name in "abcd"}), states=StateDirectory(str(tmp_path)),
    )
    for each in inventory.all():
        for unit in each.units.values():
            assert unit.state is not None
            assert unit.unit.state is unit.state
            unit.state.put("x", [each.tid, unit.config.number])
    yield inventory
    seen_off()
    inventory.close()


def kept(inventory: Inventory) -> dict[tuple[int, int], Any]:
    """By tid and LUN."""
    units = [(each.tid, unit) for each in inventory.all() for unit in each.units.values()]
    return {(tid, unit.config.number): unit.state and unit.state.get("x") for tid, unit in units}


def files(tmp_path: Path) -> int:
    return len(list(tmp_path.iterdir()))


def test_what_units_keep_outlives_the_daemon(keeping: Inventory, tmp_path: Path) -> None:
    assert kept(keeping) == {(1, 0): [1, 0], (1, 1): [1, 1], (2, 0): [2, 0]}
    keeping.close()
    configuration = Configuration("ietd.conf", targets=(target(lun(1, path="/b")),))
    again = Inventory(configuration, Media("/", Opener(b=FakeStore())), states=StateDirectory(str(tmp_path)))
    assert kept(again) == {(1, 1): [1, 1]}
    assert files(tmp_path) == 3, "what a file does not name at a start may be added again"
    again.close()


def test_a_lun_that_is_deleted_and_added_again_finds_what_it_kept(keeping: Inventory) -> None:
    """A cluster's agents move LUNs so; and IET's delete was for as long as the daemon ran."""
    keeping.remove_lun(1, 0)
    keeping.add_lun(1, lun(0, path="/c"))
    assert kept(keeping) == {(1, 0): [1, 0], (1, 1): [1, 1], (2, 0): [2, 0]}


def test_so_does_a_target(keeping: Inventory) -> None:
    keeping.remove_target(1)
    keeping.add_target(target(lun(0, path="/a")))
    assert kept(keeping) == {(2, 0): [2, 0], (3, 0): [1, 0]}


def test_what_is_kept_stays_as_long_as_the_file_names_the_lun(keeping: Inventory, tmp_path: Path) -> None:
    """Whatever else its line says: to initiators it is the same disk, which has only moved."""
    other = target(lun(0, path="/d"), name=OTHER)
    for line in (lun(0, path="/a"), lun(0, path="/a", read_only=True), lun(0, path="/c"), lun(0, type="nullio")):
        keeping.apply(file(target(line, lun(1, path="/b")), other))
        assert kept(keeping) == {(1, 0): [1, 0], (1, 1): [1, 1], (2, 0): [2, 0]} or line.type == "nullio"
    keeping.apply(file(target(lun(0, path="/a"), lun(1, path="/gone")), other))
    keeping.apply(file(target(lun(0, path="/a"), lun(1, path="/b")), other))
    assert kept(keeping) == {(1, 0): [1, 0], (1, 1): [1, 1], (2, 0): [2, 0]}


@pytest.mark.parametrize("note", [
    {"sanitize": {"restricted": True, "size": 1 << 20}},
    {"sanitize": {"restricted": True, "size": 1 << 20, "failed": True}},
    {"format": {"size": 1 << 20}},
], ids=["under way", "failed", "format"])
def test_nothing_is_erased_that_has_come_in_the_place_of_what_was_to_be(
    keeping: Inventory, tmp_path: Path, note: dict[str, Any]
) -> None:
    state = keeping.target(1).units[0].state
    assert state is not None
    ((section, value),) = note.items()
    state.put(section, value)
    (path,) = tmp_path.glob("*disk1,lun0.json")
    text = path.read_text()
    keeping.apply(file(target(lun(0, 3, path="/c"), lun(1, path="/b"))))
    assert list(kept(keeping)) == [(1, 1)]
    (problem,) = problems(keeping)
    assert problem.startswith(f"ietd.conf:3:2: error: LUN 0 of {NAME} is not served: {path}:1:1: the kept state")
    assert f"{section!r} says that an operation on /a has not succeeded, and LUN 0 has another medium now" in problem
    with failure(errno.EINVAL):
        keeping.add_lun(1, lun(0, path="/c"))
    assert path.read_text() == text
    keeping.apply(file(target(lun(0, path="/a"), lun(1, path="/b"))))
    readiness = keeping.target(1).units[0].unit.readiness
    assert (readiness.operation is not None, readiness.sanitize_failed, readiness.format_corrupt) == (
        section == "sanitize" and "failed" not in value, "failed" in value, section == "format"
    )


def test_what_a_reload_leaves_out_finds_it_when_it_comes_again(keeping: Inventory) -> None:
    keeping.apply(file(target(lun(1, path="/b"))))
    assert kept(keeping) == {(1, 1): [1, 1]}
    keeping.apply(file(target(lun(0, path="/a"), lun(1, path="/b")), target(lun(0, path="/d"), name=OTHER)))
    assert kept(keeping) == {(1, 0): [1, 0], (1, 1): [1, 1], (3, 0): [2, 0]}


def test_a_target_that_a_mistake_closes_keeps_what_it_has(keeping: Inventory, tmp_path: Path) -> None:
    rest = target(lun(0, path="/d"), name=OTHER)
    keeping.apply(file(target(lun(0, path="/a"), closed="a mistake"), rest))
    assert files(tmp_path) == 3
    keeping.apply(file(target(lun(0, path="/a")), rest))
    assert kept(keeping) == {(2, 0): [2, 0], (3, 0): [1, 0]}


def test_commands_that_run_on_keep_nothing_more(keeping: Inventory) -> None:
    old = keeping.target(1).units[0].state
    assert old is not None
    keeping.apply(file(target(lun(0, path="/c")), target(lun(0, path="/d"), name=OTHER)))
    with pytest.raises(StoreError, match="the logical unit was removed"):
        old.put("x", "late")
    assert kept(keeping)[1, 0] == [1, 0]


def test_a_unit_whose_state_makes_no_sense_is_not_served_and_the_others_are(keeping: Inventory, tmp_path: Path) -> None:
    keeping.close()
    (path,) = tmp_path.glob("*disk1,lun0.json")
    path.write_text("{\n")
    configuration = Configuration("ietd.conf", targets=(target(lun(0, 3, path="/a"), lun(1, path="/b")),))
    opener = Opener(a=FakeStore(), b=FakeStore())
    again = Inventory(configuration, Media("/", opener), states=StateDirectory(str(tmp_path)))
    assert kept(again) == {(1, 1): [1, 1]}
    (problem,) = problems(again)
    assert problem.startswith(f"ietd.conf:3:2: error: LUN 0 of {NAME} is not served: {path}:2:1: the kept state")
    assert "move it away" in problem
    assert opener.stores["a"].calls == ["flush", "close"]
    assert path.read_text() == "{\n"
    with failure(errno.EINVAL):
        again.add_lun(1, lun(0, path="/a"))
    path.unlink()
    again.apply(configuration)
    assert kept(again) == {(1, 0): None, (1, 1): [1, 1]}
    again.close()


def test_a_place_where_nothing_can_be_kept_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = StateDirectory(str(tmp_path / "file" / "ietpy"))
    inventory = build(target(lun(0, path="/a")), opener=Opener(a=FakeStore()), states=places)
    assert problems(inventory) == [
        f"{places.path}:1:1: error: persistent reservations, saved mode pages and the like end with the daemon, and"
        f" those kept earlier cannot be changed: {tmp_path / 'file'} is not a directory;"
        " start with another --state-dir, or as another user"
    ]
    assert inventory.degraded
    assert kept(inventory) == {(1, 0): None}
    inventory.apply(file(target()))
    assert len(inventory.problems) == 1
    (problem,) = problems(build(opener=Opener(), states=StateDirectory("")))
    assert problem.startswith("ietd.conf:1:1: warning: ")


def test_a_unit_that_is_refused_lets_go_of_what_it_kept(keeping: Inventory, tmp_path: Path) -> None:
    keeping.close()
    stores = {"a": FakeStore(block_size=4096), "b": FakeStore()}
    configuration = Configuration("ietd.conf", targets=(target(lun(0, path="/a")),))
    again = Inventory(configuration, Media("/", Opener(**stores)), states=StateDirectory(str(tmp_path)))
    assert "cannot be addressed by blocks of 512 bytes" in problems(again)[0]
    again.add_lun(1, lun(0, path="/b"))
    assert kept(again) == {(1, 0): [1, 0]}
    again.close()
