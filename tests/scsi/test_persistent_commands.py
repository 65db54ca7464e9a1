"""PERSISTENT RESERVE IN and OUT (SPC-4 sections 5.13, 6.15, 6.16)."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi import transport_id
from ietpy.scsi.asc import Asc
from ietpy.scsi.nexus import ItNexus
from ietpy.scsi.persistent import LONGEST_LIST, MOST_REGISTRATIONS
from ietpy.scsi.port_groups import set_ports
from ietpy.scsi.status import SenseKey, Status
from tests.scsi.conftest import Kept
from tests.scsi.persistent_requests import (
    ALL_TG_PT,
    APTPL,
    SPEC_I_PT,
    TYPES,
    UNREG,
    Cluster,
    move,
    name_of,
    naming,
    out,
    port,
    step,
)

CONFLICT = Status.RESERVATION_CONFLICT
SHORT = (SenseKey.ILLEGAL_REQUEST, Asc.PARAMETER_LIST_LENGTH_ERROR)
IN_CDB = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
IN_LIST = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_PARAMETER_LIST)
WRONG_RELEASE = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_RELEASE_OF_PERSISTENT_RESERVATION)
FULL = (SenseKey.ILLEGAL_REQUEST, Asc.INSUFFICIENT_REGISTRATION_RESOURCES)
READ = "28 00 00000000 00 0001 00"
WRITE = "2A 00 00000000 00 0001 00"


@pytest.fixture
def three(make_disk: Callable[..., Any]) -> Cluster:
    return Cluster(make_disk)


@pytest.fixture
def kept(make_disk: Callable[..., Any]) -> Cluster:
    """One whose registrations can be kept."""
    return Cluster(make_disk, state=Kept())


# What a service action does: (before, step, status or sense, state afterwards, generations more, who is told what)

BOTH = "A register 0 1; B register 0 2"
ALL = f"{BOTH}; C register 0 3"
SAME = "A register 0 1; B register 0 1; C register 0 3"
PREEMPTED, RELEASED, CLEARED = "REGISTRATIONS_PREEMPTED", "RESERVATIONS_RELEASED", "RESERVATIONS_PREEMPTED"


@pytest.mark.parametrize(("before", "asked", "sense", "after", "generations", "told"), [
    # REGISTER: tables 67 and 71
    ("", "A register 0 1", 0, "A=1", 1, {}),
    ("", "A register 0 0", 0, "", 0, {}),
    ("", "A register 1 2", CONFLICT, "", 0, {}),
    ("", "A register 1 0", CONFLICT, "", 0, {}),
    ("A register 0 1", "A register 1 2", 0, "A=2", 1, {}),
    ("A register 0 1", "A register 1 1", 0, "A=1", 1, {}),
    ("A register 0 1", "A register 0 2", CONFLICT, "A=1", 0, {}),
    ("A register 0 1", "A register 2 0", CONFLICT, "A=1", 0, {}),
    ("A register 0 1", "A register 1 0", 0, "", 1, {}),
    (BOTH, "B register 2 1", 0, "A=1 B=1", 1, {}),
    (f"{BOTH}; A reserve 1 0 WE", "A register 1 4", 0, "A=4 B=2 | WE 4", 1, {}),
    (f"{BOTH}; A reserve 1 0 EA", "B register 2 4", 0, "A=1 B=4 | EA 1", 1, {}),
    (f"{BOTH}; A reserve 1 0 EA", "C register 0 3", 0, "A=1 B=2 C=3 | EA 1", 1, {}),
    *((f"{ALL}; A reserve 1 0 {kind}", "A register 1 0", 0, "B=2 C=3", 1, {}) for kind in ("WE", "EA")),
    *((f"{ALL}; A reserve 1 0 {kind}", "A register 1 0", 0, "B=2 C=3", 1, {"B": [RELEASED], "C": [RELEASED]})
      for kind in ("WERO", "EARO")),
    *((f"{BOTH}; A reserve 1 0 {kind}", "A register 1 0", 0, f"B=2 | {kind} 0", 1, {}) for kind in ("WEAR", "EAAR")),
    *((f"A register 0 1; A reserve 1 0 {kind}", "A register 1 0", 0, "", 1, {}) for kind in TYPES),
    (f"{BOTH}; A reserve 1 0 WERO", "B register 2 0", 0, "A=1 | WERO 1", 1, {}),
    # REGISTER AND IGNORE EXISTING KEY: table 68
    ("", "A ignore 9 1", 0, "A=1", 1, {}),
    ("", "A ignore 9 0", 0, "", 0, {}),
    ("A register 0 1", "A ignore 9 2", 0, "A=2", 1, {}),
    ("A register 0 1", "A ignore 9 0", 0, "", 1, {}),
    (f"{BOTH}; A reserve 1 0 EARO", "A ignore 9 0", 0, "B=2", 1, {"B": [RELEASED]}),
    # RESERVE: section 5.13.9
    ("", "A reserve 0 0 WE", CONFLICT, "", 0, {}),
    ("A register 0 1", "A reserve 2 0 WE", CONFLICT, "A=1", 0, {}),
    *(("A register 0 1", f"A reserve 1 9 {kind}", 0, f"A=1 | {kind} {0 if kind.endswith('AR') else 1}", 0, {})
      for kind in TYPES),
    ("A register 0 1", "A reserve 1 0", IN_CDB, "A=1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WE", "A reserve 1 0 WE", 0, "A=1 B=2 | WE 1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WE", "A reserve 1 0 EA", CONFLICT, "A=1 B=2 | WE 1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WE", "B reserve 2 0 WE", CONFLICT, "A=1 B=2 | WE 1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WERO", "B reserve 2 0 WERO", CONFLICT, "A=1 B=2 | WERO 1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WEAR", "B reserve 2 0 WEAR", 0, "A=1 B=2 | WEAR 0", 0, {}),
    (f"{BOTH}; A reserve 1 0 WEAR", "B reserve 2 0 EAAR", CONFLICT, "A=1 B=2 | WEAR 0", 0, {}),
    (f"{BOTH}; A reserve 1 0 WEAR", "C reserve 0 0 WEAR", CONFLICT, "A=1 B=2 | WEAR 0", 0, {}),
    # RELEASE: section 5.13.11.2.2
    ("A register 0 1", "A release 1 0 WE", 0, "A=1", 0, {}),
    ("", "A release 0 0 WE", CONFLICT, "", 0, {}),
    *((f"{ALL}; A reserve 1 0 {kind}", f"A release 1 0 {kind}", 0, "A=1 B=2 C=3", 0, {}) for kind in ("WE", "EA")),
    *((f"{ALL}; A reserve 1 0 {kind}", f"A release 1 0 {kind}", 0, "A=1 B=2 C=3", 0, {"B": [RELEASED], "C": [RELEASED]})
      for kind in ("WERO", "EARO", "WEAR", "EAAR")),
    (f"{ALL}; A reserve 1 0 EAAR", "B release 2 0 EAAR", 0, "A=1 B=2 C=3", 0, {"A": [RELEASED], "C": [RELEASED]}),
    (f"{BOTH}; A reserve 1 0 WE", "A release 1 0 EA", WRONG_RELEASE, "A=1 B=2 | WE 1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WE", "A release 1 0", WRONG_RELEASE, "A=1 B=2 | WE 1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WEAR", "B release 2 0 WE", WRONG_RELEASE, "A=1 B=2 | WEAR 0", 0, {}),
    (f"{BOTH}; A reserve 1 0 WE", "A release 2 0 WE", CONFLICT, "A=1 B=2 | WE 1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WE", "B release 2 0 WE", 0, "A=1 B=2 | WE 1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WERO", "B release 2 0 EA", 0, "A=1 B=2 | WERO 1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WE", "C release 0 0 WE", CONFLICT, "A=1 B=2 | WE 1", 0, {}),
    # CLEAR: section 5.13.11.2.7
    ("", "A clear 0 0", CONFLICT, "", 0, {}),
    (ALL, "A clear 1 0", 0, "", 1, {"B": [CLEARED], "C": [CLEARED]}),
    (ALL, "A clear 2 0", CONFLICT, "A=1 B=2 C=3", 0, {}),
    (f"{BOTH}; A reserve 1 0 EA", "B clear 2 0", 0, "", 1, {"A": [CLEARED]}),
    (f"{BOTH}; A reserve 1 0 EA", "C clear 0 0", CONFLICT, "A=1 B=2 | EA 1", 0, {}),
    # PREEMPT: tables 72 and 71, section 5.13.11.2.4
    ("", "A preempt 0 1 WE", CONFLICT, "", 0, {}),
    (BOTH, "A preempt 2 2 WE", CONFLICT, "A=1 B=2", 0, {}),
    (BOTH, "A preempt 1 9 WE", CONFLICT, "A=1 B=2", 0, {}),
    (BOTH, "A preempt 1 0 WE", CONFLICT, "A=1 B=2", 0, {}),
    (ALL, "A preempt 1 2 WE", 0, "A=1 C=3", 1, {"B": [PREEMPTED]}),
    (ALL, "A preempt 1 2", 0, "A=1 C=3", 1, {"B": [PREEMPTED]}),
    (ALL, "A preempt 1 1 WE", 0, "B=2 C=3", 1, {}),
    (SAME, "C preempt 3 1 WE", 0, "C=3", 1, {"A": [PREEMPTED], "B": [PREEMPTED]}),
    (SAME, "A preempt 1 1 WE", 0, "C=3", 1, {"B": [PREEMPTED]}),
    (f"{ALL}; A reserve 1 0 WE", "B preempt 2 1 WE", 0, "B=2 C=3 | WE 2", 1, {"A": [PREEMPTED]}),
    (f"{ALL}; A reserve 1 0 WE", "B preempt 2 1 EA", 0, "B=2 C=3 | EA 2", 1, {"A": [PREEMPTED], "C": [RELEASED]}),
    (f"{ALL}; A reserve 1 0 WE", "B preempt 2 1 WEAR", 0, "B=2 C=3 | WEAR 0", 1, {"A": [PREEMPTED], "C": [RELEASED]}),
    (f"{ALL}; A reserve 1 0 WE", "B preempt 2 1", IN_CDB, "A=1 B=2 C=3 | WE 1", 0, {}),
    (f"{ALL}; A reserve 1 0 WE", "B preempt 2 3", 0, "A=1 B=2 | WE 1", 1, {"C": [PREEMPTED]}),
    (f"{ALL}; A reserve 1 0 WE", "B preempt 2 2", 0, "A=1 C=3 | WE 1", 1, {}),
    (f"{ALL}; A reserve 1 0 WE", "B preempt 2 0 WE", IN_LIST, "A=1 B=2 C=3 | WE 1", 0, {}),
    (f"{ALL}; A reserve 1 0 WE", "B preempt 2 9 WE", CONFLICT, "A=1 B=2 C=3 | WE 1", 0, {}),
    (f"{BOTH}; A reserve 1 0 WE", "C preempt 0 1 WE", CONFLICT, "A=1 B=2 | WE 1", 0, {}),
    (f"{ALL}; A reserve 1 0 WERO", "A preempt 1 1 WERO", 0, "A=1 B=2 C=3 | WERO 1", 1, {}),
    (f"{ALL}; A reserve 1 0 WERO", "A preempt 1 1 EAAR", 0, "A=1 B=2 C=3 | EAAR 0", 1,
     {"B": [RELEASED], "C": [RELEASED]}),
    (f"{SAME}; A reserve 1 0 WE", "A preempt 1 1 WE", 0, "A=1 C=3 | WE 1", 1, {"B": [PREEMPTED]}),
    (f"{SAME}; A reserve 1 0 WE", "B preempt 1 1 WE", 0, "B=1 C=3 | WE 1", 1, {"A": [PREEMPTED]}),
    (f"{SAME}; A reserve 1 0 EARO", "C preempt 3 1 EARO", 0, "C=3 | EARO 3", 1, {"A": [PREEMPTED], "B": [PREEMPTED]}),
    (f"{ALL}; A reserve 1 0 WEAR", "B preempt 2 0 WEAR", 0, "B=2 | WEAR 0", 1, {"A": [PREEMPTED], "C": [PREEMPTED]}),
    (f"{ALL}; A reserve 1 0 WEAR", "B preempt 2 0 EA", 0, "B=2 | EA 2", 1, {"A": [PREEMPTED], "C": [PREEMPTED]}),
    (f"{ALL}; A reserve 1 0 WEAR", "B preempt 2 1 EA", 0, "B=2 C=3 | WEAR 0", 1, {"A": [PREEMPTED]}),
    (f"{ALL}; A reserve 1 0 WEAR", "B preempt 2 2 EA", 0, "A=1 C=3 | WEAR 0", 1, {}),
    ("A register 0 1; A reserve 1 0 EAAR", "A preempt 1 1 EA", 0, "", 1, {}),
])
def test_service_action(
    three: Cluster, before: str, asked: str, sense: Any, after: str, generations: int, told: dict[str, list[str]]
) -> None:
    three.prepare(before)
    generation = three.generation
    who, cdb, data = step(asked)
    assert three.run(who, cdb, data, may_block=False).sense == sense, "nothing has to wait for a device"
    assert three.state() == after
    assert three.generation == generation + generations
    assert three.pending() == told


@pytest.mark.parametrize(("before", "asked"), [
    (f"{BOTH}; A reserve 1 0 WE", "A reserve 1 0 WE"),
    (f"{BOTH}; A reserve 1 0 WE", "B preempt 2 1 EA"),
])
def test_the_scope_is_the_logical_unit(three: Cluster, before: str, asked: str) -> None:
    three.prepare(before)
    state = three.state()
    who, cdb, data = step(asked)
    wrong = bytearray(bytes.fromhex(cdb))
    wrong[2] |= 0x10
    assert three.run(who, wrong.hex(), data)[::3] == (IN_CDB, (2, 7))
    assert three.state() == state


def test_a_reserved_type_is_pointed_at(three: Cluster) -> None:
    three.prepare(BOTH)
    for kind in set(range(16)) - set(TYPES.values()):
        assert three.run("A", *out("reserve", 1, scope_type=kind))[::3] == (IN_CDB, (2, 3))


def test_scope_and_type_are_ignored_where_they_mean_nothing(three: Cluster) -> None:
    assert three.run("A", *out("register", 0, 1, scope_type=0xFF)).sense == 0
    assert three.run("B", *out("ignore", 0, 2, scope_type=0xFF)).sense == 0
    assert three.run("A", *out("preempt", 1, 2, scope_type=0xFF)).sense == 0
    assert three.run("A", *out("clear", 1, scope_type=0xFF)).sense == 0


def test_the_generation_wraps(three: Cluster) -> None:
    three.disk.lu.persistent.generation = 0xFFFF_FFFF
    three.prepare("A register 0 1")
    assert three.generation == 0


def test_key_and_holder_are_those_of_the_port_that_holds(three: Cluster) -> None:
    """Two with one key: only one of them is told as the holder."""
    three.prepare("A register 0 7; B register 0 7; B reserve 7 0 WE")
    assert three.read(3)[8 + 12] == 0
    full = three.read(3)
    second = 8 + 24 + int.from_bytes(full[8 + 20:8 + 24], "big")
    assert full[second + 12:second + 14] == bytes((1, TYPES["WE"]))


# Parameter lists


@pytest.mark.parametrize("action", ["register", "reserve", "release", "clear", "preempt", "abort", "ignore"])
@pytest.mark.parametrize("size", [0, 8, 23, 25, 28, 48])
def test_basic_lists_have_24_bytes(three: Cluster, action: str, size: int) -> None:
    three.prepare(f"{BOTH}; A reserve 1 0 WE")
    cdb, data = out(action, 1, 2, TYPES["WE"])
    wrong = data.ljust(size, b"\0")[:size]
    assert three.run("A", cdb[:-11] + f"{size:08X} 00", wrong).sense == SHORT
    assert three.state() == "A=1 B=2 | WE 1"


def test_a_list_that_the_initiator_cuts_short(three: Cluster) -> None:
    cdb, data = out("register", 0, 1)
    assert three.run("A", cdb, data[:23]).sense == SHORT
    assert three.run("A", *move(1, 2, port("B"))[:1], b"").sense == SHORT
    assert three.state() == ""


def test_what_is_longer_than_any_list_is_refused_before_it_comes(three: Cluster) -> None:
    cdb = f"5F 00 00 0000 {LONGEST_LIST + 1:08X} 00"
    assert three.disk.refused(cdb).sense == SHORT
    assert three.run("A", cdb, bytes(24)).sense == SHORT
    cdb = f"5F 00 00 0000 {LONGEST_LIST:08X} 00"
    assert three.disk.refused(cdb) is None
    assert three.disk.wants(cdb) == LONGEST_LIST


@pytest.mark.parametrize(("action", "who", "key"), [
    ("reserve", "A", 1), ("release", "A", 1), ("clear", "A", 1), ("preempt", "A", 1), ("abort", "A", 1),
    ("ignore", "A", 1), ("ignore", "C", 0), ("register", "A", 1),
])
def test_only_who_registers_first_may_name_others(three: Cluster, action: str, who: str, key: int) -> None:
    three.prepare(f"{BOTH}; A reserve 1 0 WE")
    asked = out(action, key, 2, TYPES["WE"], SPEC_I_PT, naming(port("C")))
    assert three.run(who, *asked)[::3] == (IN_LIST, (20, 3))
    assert three.state() == "A=1 B=2 | WE 1"


@pytest.mark.parametrize("action", ["reserve", "release", "clear", "preempt", "abort", "move"])
def test_who_is_not_registered_conflicts_whatever_else_is_wrong(three: Cluster, action: str) -> None:
    three.prepare(f"{BOTH}; A reserve 1 0 WE")
    assert three.run("C", *out(action, 1, 0, 0xF0, SPEC_I_PT | APTPL, bytes(3))).sense == CONFLICT
    assert three.run("C", *out(action, length=0)).sense == CONFLICT


# SPEC_I_PT


def test_others_are_registered_with_the_same_key(three: Cluster) -> None:
    far = port("D")
    asked = out("register", 0, 5, flags=SPEC_I_PT | ALL_TG_PT, extra=naming(port("B"), far, port("A"), port("B")))
    assert three.run("A", *asked, may_block=False).sense == 0
    assert three.state() == "A=5 B=5 D=5"
    assert three.generation == 1
    assert three.pending() == {}
    three.prepare("B reserve 5 0 EA")
    assert three.run("A", READ).sense == CONFLICT


def test_an_empty_list_registers_only_the_sender(three: Cluster) -> None:
    assert three.run("A", *out("register", 0, 5, flags=SPEC_I_PT, extra=naming())).sense == 0
    assert three.state() == "A=5"


def test_a_key_of_zero_registers_nobody(three: Cluster) -> None:
    assert three.run("A", *out("register", flags=SPEC_I_PT, extra=b"nonsense")).sense == 0
    assert (three.state(), three.generation) == ("", 0)


@pytest.mark.parametrize(("extra", "sense", "field"), [
    pytest.param(naming(port("B"), port("C")), IN_LIST, (28,), id="one is registered"),
    pytest.param(b"", SHORT, None, id="no length"),
    pytest.param(naming(port("C"))[:-4], SHORT, None, id="cut"),
    pytest.param(naming(port("C"), length=1000), SHORT, None, id="longer than the list"),
    pytest.param(naming(port("C"), length=28), SHORT, None, id="ends inside a TransportID"),
    pytest.param(naming(port("C"), port("D"), length=64), SHORT, None, id="ends inside the second"),
    pytest.param(naming("iqn.2001-04.com.example:c"), IN_LIST, (28,), id="a device, not a port"),
])
def test_all_are_registered_or_nobody(three: Cluster, extra: bytes, sense: Any, field: Any) -> None:
    three.prepare("B register 0 2")
    asked = out("register", 0, 5, flags=SPEC_I_PT, extra=extra)
    assert three.run("A", *asked)[::3] == (sense, field)
    assert (three.state(), three.generation) == ("B=2", 1)


def test_registrations_are_bounded(three: Cluster) -> None:
    crowd = [f"iqn.x,i,0x{number:012x}" for number in range(MOST_REGISTRATIONS - 1)]
    assert three.run("A", *out("register", 0, 1, flags=SPEC_I_PT, extra=naming(*crowd))).sense == 0
    assert len(three.read(0)) == 8 + 8 * MOST_REGISTRATIONS
    assert three.read(0, 16)[4:] == (8 * MOST_REGISTRATIONS).to_bytes(4, "big") + bytes(7) + b"\1"
    for asked in (out("register", 0, 2), out("ignore", 0, 2)):
        assert three.run("B", *asked).sense == FULL
    three.prepare("A reserve 1 0 WE")
    assert three.run("A", *move(1, 2, port("B"))).sense == FULL
    assert three.run("A", *out("register", 1, 3)).sense == 0
    assert three.run("A", *out("preempt", 3, 1)).sense == 0
    assert three.run("B", *out("register", 0, 2)).sense == 0


# REGISTER AND MOVE


@pytest.mark.parametrize(("before", "flags", "after"), [
    (BOTH, 0, "A=1 B=5 | {} 5"),
    (BOTH, UNREG, "B=5 | {} 5"),
    ("A register 0 1", 0, "A=1 B=5 | {} 5"),
    ("A register 0 1", UNREG, "B=5 | {} 5"),
])
@pytest.mark.parametrize("kind", ["WE", "EA", "WERO", "EARO"])
def test_a_reservation_moves(three: Cluster, before: str, flags: int, after: str, kind: str) -> None:
    three.prepare(f"{before}; C register 0 3; A reserve 1 0 {kind}")
    generation = three.generation
    assert three.run("A", *move(1, 5, port("B"), flags), may_block=False).sense == 0
    assert sorted(three.state().split(" | ")[0].split()) == sorted([*after.split(" | ")[0].split(), "C=3"])
    assert three.state().split(" | ")[1] == after.format(kind).split(" | ")[1]
    assert three.generation == generation + 1
    assert three.pending() == {}
    assert three.run("B", WRITE, bytes(512)).sense == 0
    admitted = kind.endswith("RO") and not flags
    assert three.run("A", WRITE, bytes(512)).sense == (0 if admitted else CONFLICT)


@pytest.mark.parametrize(("before", "who", "asked", "sense", "field"), [
    pytest.param("", "C", move(0, 5, port("B")), CONFLICT, None, id="unregistered"),
    pytest.param("", "A", move(2, 5, port("B")), CONFLICT, None, id="wrong key"),
    pytest.param("", "A", move(1, 5, port("B")), IN_CDB, None, id="nothing to move"),
    pytest.param("B reserve 2 0 WE", "A", move(1, 5, port("C")), CONFLICT, None, id="another holds it"),
    pytest.param("B reserve 2 0 WERO", "A", move(1, 5, port("C")), CONFLICT, None, id="another registrant"),
    pytest.param("A reserve 1 0 WEAR", "A", move(1, 5, port("C")), CONFLICT, None, id="all hold it"),
    pytest.param("A reserve 1 0 WE", "C", move(0, 5, port("B")), CONFLICT, None, id="unregistered, reserved"),
    pytest.param("A reserve 1 0 WE", "A", move(2, 5, port("B")), CONFLICT, None, id="wrong key, reserved"),
    pytest.param("A reserve 1 0 WE", "A", move(1, 0, port("B")), IN_LIST, (8,), id="key 0"),
    pytest.param("A reserve 1 0 WE", "A", move(1, 5, port("B"), APTPL), IN_LIST, (17, 0), id="APTPL"),
    pytest.param("A reserve 1 0 WE", "A", move(1, 5, port("B"), relative_port=2), IN_LIST, (18,), id="another port"),
    pytest.param("A reserve 1 0 WE", "A", move(1, 5, port("A")), IN_LIST, (24,), id="to itself"),
    pytest.param("A reserve 1 0 WE", "A", move(1, 5, "iqn.x"), IN_LIST, (24,), id="to a device"),
    pytest.param("A reserve 1 0 WE", "A", move(1, 5, port("B"), length=52), SHORT, None, id="longer than the list"),
    pytest.param("A reserve 1 0 WE", "A", move(1, 5, port("B"), length=20), SHORT, None, id="shorter than any"),
    pytest.param("A reserve 1 0 WE", "A", move(1, 5, b"\x45\0\0\x14iqn.x,i,0x1" + bytes(13)), IN_LIST, (20,),
                 id="longer than the TransportID"),
    pytest.param("A reserve 1 0 WE", "A", move(1, 5, b""), SHORT, None, id="no TransportID"),
    pytest.param("A reserve 1 0 WE", "A", out("move", 1, 5, length=23), SHORT, None, id="23 bytes"),
])
def test_what_does_not_move(three: Cluster, before: str, who: str, asked: Any, sense: Any, field: Any) -> None:
    three.prepare(f"{BOTH}; {before}")
    state, generation = three.state(), three.generation
    cdb, data = asked
    assert three.run(who, cdb, data[:int.from_bytes(bytes.fromhex(cdb)[5:9], "big")])[::3] == (sense, field)
    assert (three.state(), three.generation) == (state, generation)


# Several target ports: who registers is a nexus, an initiator port by a target port


@pytest.fixture
def ports(make_disk: Callable[..., Any]) -> Cluster:
    """A and B by port 1, and the same initiator ports by port 2: a and b."""
    cluster = Cluster(make_disk, "AB", state=Kept())
    set_ports(cluster.disk.device, (1, 2))
    for name in "ab":
        cluster.nexuses[name] = cluster.disk.device.nexus(0, port(name.upper()), 2)
    cluster.quiet()
    return cluster


def registered(cluster: Cluster) -> dict[str, int]:
    """Keys by who has them; small letters are by port 2."""
    return {
        name_of(nexus.initiator).upper() if nexus.target_port == 1 else name_of(nexus.initiator).lower(): key
        for nexus, key in cluster.disk.lu.persistent.now.registrations.items()
    }


def test_an_initiator_port_registers_by_each_target_port(ports: Cluster) -> None:
    ports.prepare("A register 0 1")
    assert ports.run("a", *out("reserve", 1, 0, TYPES["EA"])).sense == CONFLICT, "it is not registered"
    ports.prepare("A reserve 1 0 EA")
    assert ports.run("A", READ).sense == 0
    for who in "aBb":
        assert ports.run(who, READ).sense == CONFLICT, who
    ports.prepare("a register 0 2; A preempt 1 2 EA")
    assert registered(ports) == {"A": 1}
    ports.prepare("a register 0 2; a preempt 2 1 EA")
    assert ports.run("A", READ).sense == CONFLICT
    assert ports.run("a", READ).sense == 0


def test_unit_attentions_of_reservations_go_to_the_nexus_concerned(ports: Cluster) -> None:
    ports.prepare("A register 0 1; a register 0 2; B register 0 3")
    ports.run("B", *out("preempt", 3, 2))
    assert ports.pending() == {"a": ["REGISTRATIONS_PREEMPTED"]}


def test_full_status_names_the_target_port(ports: Cluster) -> None:
    ports.prepare("A register 0 1; a register 0 1; a reserve 1 0 WE")
    data, size = ports.read(3)[8:], 24 + len(transport_id.encode(port("A")))
    assert len(data) == 2 * size
    assert [int.from_bytes(data[at + 18:at + 20], "big") for at in (0, size)] == [1, 2]
    assert [data[at + 12] for at in (0, size)] == [0, 1], "R_HOLDER, and not ALL_TG_PT"


@pytest.mark.parametrize(("before", "who", "asked", "sense", "after"), [
    pytest.param("", "A", out("register", 0, 1, flags=ALL_TG_PT), 0, {"A": 1, "a": 1}, id="by all ports"),
    pytest.param("", "a", out("register", 0, 1, flags=ALL_TG_PT), 0, {"A": 1, "a": 1}, id="asked by another"),
    pytest.param("", "a", out("register", 0, 1), 0, {"a": 1}, id="by one"),
    pytest.param("A register 0 1; a register 0 1", "A", out("register", 1, 2, flags=ALL_TG_PT), 0, {"A": 2, "a": 2},
                 id="another key"),
    pytest.param("A register 0 1", "A", out("register", 1, 2, flags=ALL_TG_PT), 0, {"A": 2, "a": 2}, id="more ports"),
    pytest.param("a register 0 1", "A", out("register", 0, 2, flags=ALL_TG_PT), CONFLICT, {"a": 1}, id="key elsewhere"),
    pytest.param("a register 0 1", "A", out("ignore", 0, 2, flags=ALL_TG_PT), 0, {"A": 2, "a": 2}, id="whatever key"),
    pytest.param("A register 0 1; a register 0 1", "A", out("register", 1, 0, flags=ALL_TG_PT), 0, {}, id="by none"),
    pytest.param("A register 0 1; a register 0 1", "A", out("register", 1, 0), 0, {"a": 1}, id="by one less"),
    pytest.param("a register 0 1", "A", out("ignore", 0, 0, flags=ALL_TG_PT), 0, {}, id="only by the other"),
    pytest.param("", "a", out("register", 0, 1, flags=SPEC_I_PT, extra=naming(port("B"))), 0, {"a": 1, "b": 1},
                 id="another initiator port by the same"),
    pytest.param("", "A", out("register", 0, 1, flags=SPEC_I_PT | ALL_TG_PT, extra=naming(port("B"))), 0,
                 {"A": 1, "a": 1, "B": 1, "b": 1}, id="another initiator port by all"),
    pytest.param("b register 0 1", "A", out("register", 0, 1, flags=SPEC_I_PT, extra=naming(port("B"))), 0,
                 {"A": 1, "B": 1, "b": 1}, id="registered by another port"),
    pytest.param("b register 0 1", "A", out("register", 0, 1, flags=SPEC_I_PT | ALL_TG_PT, extra=naming(port("B"))),
                 IN_LIST, {"b": 1}, id="registered by one of all"),
    pytest.param("A register 0 1; A reserve 1 0 WE", "A", move(1, 5, port("A"), relative_port=2), 0, {"A": 1, "a": 5},
                 id="moved to the other port"),
    pytest.param("A register 0 1; A reserve 1 0 WE", "A", move(1, 5, port("B"), relative_port=3), IN_LIST, {"A": 1},
                 id="moved to no port"),
    pytest.param("A register 0 1; A reserve 1 0 WE", "A", move(1, 5, port("A")), IN_LIST, {"A": 1}, id="to itself"),
])
def test_registering_by_several_target_ports(
    ports: Cluster, before: str, who: str, asked: tuple[str, bytes], sense: Any, after: dict[str, int]
) -> None:
    ports.prepare(before)
    assert ports.run(who, *asked).sense == sense
    assert registered(ports) == after


def test_registrations_by_other_ports_are_kept(ports: Cluster) -> None:
    ports.run("a", *out("register", 0, 1, flags=APTPL))
    ports.prepare("a reserve 1 0 WE")
    assert kept_of(ports) == {
        "registrations": [[port("A"), f"{1:016x}", 2]], "type": TYPES["WE"], "holder": [port("A"), 2],
    }


# PERSISTENT RESERVE IN


def test_parameter_data_is_cut_but_not_its_length(three: Cluster) -> None:
    three.prepare(f"{BOTH}; A reserve 1 0 WE")
    for action in (0, 1, 2, 3):
        whole = three.read(action, who="C")
        for length in (0, 3, 8, 12, len(whole) - 1, len(whole) + 1):
            assert three.read(action, length, who="C") == whole[:length]


@pytest.mark.parametrize("opcode", [0x5E, 0x5F])
def test_reserved_service_actions(three: Cluster, opcode: int) -> None:
    for action in range(4 if opcode == 0x5E else 8, 32):
        assert three.run("A", f"{opcode:02X} {action:02X} 0000000000 0018 00", bytes(24)).sense == IN_CDB


@pytest.mark.parametrize(("state", "capable", "allowed"), [(None, 0x1C, 0xC0), (Kept(), 0x1D, 0xC0)])
def test_capabilities(make_disk: Callable[..., Any], state: Any, capable: int, allowed: int) -> None:
    """CRH, SIP_C, ATP_C, TMV, ALLOW COMMANDS 100b, all types; PTPL_C only if something can be kept."""
    three = Cluster(make_disk, state=state)
    assert three.capabilities == bytes((0, 8, capable, allowed, 0xEA, 0x01, 0, 0))
    if state is not None:
        three.run("A", *out("register", 0, 1, flags=APTPL))
        assert three.capabilities[3] == allowed | 1
        three.run("A", *out("register", 1, 1))
        assert three.capabilities[3] == allowed


def test_nothing_can_be_kept_without_a_state(three: Cluster) -> None:
    for action in ("register", "ignore"):
        assert three.run("A", *out(action, 0, 1, flags=APTPL))[::3] == (IN_LIST, (20, 0))
    assert three.state() == ""
    three.prepare("A register 0 1")
    for action in ("reserve", "preempt", "release", "clear"):
        assert three.run("A", *out(action, 1, 1, TYPES["WE"], APTPL)).sense == 0, "ignored"


# Sessions and resets


def test_registrations_outlive_sessions(three: Cluster) -> None:
    three.prepare(f"{BOTH}; A reserve 1 0 EA")
    three.disk.lu.detach(three.nexuses["A"])
    assert three.run("B", READ).sense == CONFLICT
    three.nexuses["A"] = three.disk.nexus(port("A"))
    three.nexuses["B"] = three.disk.nexus(port("B"))
    assert three.run("A", READ).sense == 0
    assert three.run("B", READ).sense == CONFLICT
    assert three.state() == "A=1 B=2 | EA 1"
    assert three.run("A", *out("release", 1, scope_type=TYPES["EA"])).sense == 0
    assert three.run("B", READ).sense == 0


def test_two_nexuses_of_a_port_share_its_registration(three: Cluster) -> None:
    """While a session is replaced, its successor of the same initiator port may be there already."""
    three.prepare(BOTH)
    twin = three.disk.nexus(port("A"))
    assert three.disk.run(*out("reserve", 1, scope_type=TYPES["EA"]), nexus=twin).sense == 0
    assert three.run("A", READ).sense == 0
    assert three.run("B", *out("preempt", 2, 1, TYPES["EA"])).sense == 0
    for nexus in (twin, three.nexuses["A"]):
        assert three.disk.run(READ, nexus=nexus).sense == CONFLICT
        assert [each.asc.name for each in nexus.attentions] == [PREEMPTED]


def test_a_reset_changes_nothing(three: Cluster) -> None:
    three.prepare(f"{BOTH}; A reserve 1 0 WERO")
    generation = three.generation
    three.disk.lu.reset()
    three.quiet()
    assert (three.state(), three.generation) == ("A=1 B=2 | WERO 1", generation)
    assert three.run("C", WRITE, bytes(512)).sense == CONFLICT


# PREEMPT AND ABORT


@pytest.mark.parametrize(("before", "asked", "aborted"), [
    (ALL, "A abort 1 2 WE", "B"),
    (SAME, "C abort 3 1 WE", "AB"),
    (SAME, "A abort 1 1 WE", "AB"),
    (f"{ALL}; A reserve 1 0 WE", "B abort 2 1 EA", "A"),
    (f"{ALL}; A reserve 1 0 WEAR", "B abort 2 0 EA", "ABC"),
    (f"{ALL}; A reserve 1 0 WEAR", "B abort 2 3 EA", "C"),
    (f"{ALL}; A reserve 1 0 WE", "A abort 1 1 EA", "A"),
])
def test_tasks_of_the_preempted_are_aborted(three: Cluster, before: str, asked: str, aborted: str) -> None:
    three.prepare(before)
    three.prepare("A register 1 1")
    who, cdb, data = step(asked)
    task = three.disk.task(cdb, data, three.nexuses[who])
    calls: list[Any] = []
    state = ""

    def abort_tasks(unit: Any, nexuses: Any, author: Any) -> None:
        nonlocal state
        calls.append((unit, "".join(sorted(name for name, each in three.nexuses.items() if each in nexuses)), author))
        state = three.state()

    three.disk.device.abort_tasks = abort_tasks
    three.disk.lu.readiness.preventing.update(three.nexuses.values())
    assert three.disk.waits(cdb, data, nexus=three.nexuses[who]), "it may have to wait"
    assert three.disk.lu.execute(task)
    assert task.status == 0
    assert calls == [(three.disk.lu, aborted, task)]
    assert state == three.state(), "in effect before anything is aborted"
    assert three.disk.lu.readiness.preventing == {
        nexus for name, nexus in three.nexuses.items() if name not in aborted
    }


def test_nothing_is_aborted_unless_somebody_is_preempted(three: Cluster) -> None:
    def abort_tasks(*_: Any) -> None:
        raise AssertionError("nobody was preempted")

    three.disk.device.abort_tasks = abort_tasks
    three.prepare(f"{ALL}; A reserve 1 0 WE; A preempt 1 2 WE")
    for key, action_key, sense in ((1, 9, CONFLICT), (2, 1, CONFLICT), (1, 0, IN_LIST)):
        assert three.run("A", *out("abort", key, action_key, TYPES["WE"])).sense == sense


def test_the_port_does_nothing_where_tasks_are_executed_one_by_one(three: Cluster) -> None:
    three.prepare(BOTH)
    assert three.run("A", *out("abort", 1, 2)).sense == 0
    assert three.state() == "A=1"


# APTPL


def kept_of(cluster: Cluster) -> Any:
    return cluster.disk.lu.state.get("reservations")


def test_what_is_kept_is_kept_before_it_is_in_effect(kept: Cluster) -> None:
    state = kept.disk.lu.state
    put = state.put
    seen: list[Any] = []

    def watch(section: str, value: Any) -> None:
        seen.append((section, value is not None, kept.disk.lu.persistent.now.registrations))
        put(section, value)

    state.put = watch
    kept.run("A", *out("register", 0, 1))
    assert seen == [], "nothing has to be kept yet"
    kept.run("B", *out("register", 0, 2, flags=APTPL))
    assert seen == [("reservations", True, {ItNexus(port("A")): 1})]
    assert kept_of(kept) == {
        "registrations": [[port("A"), f"{1:016x}"], [port("B"), f"{2:016x}"]], "type": None, "holder": None,
    }
    kept.run("A", *out("reserve", 1, scope_type=TYPES["WERO"]))
    assert kept_of(kept)["type"] == TYPES["WERO"]
    assert kept_of(kept)["holder"] == port("A")
    kept.run("A", *out("reserve", 1, scope_type=TYPES["WERO"]))
    assert len(seen) == 2, "nothing changed"
    kept.run("A", *out("clear", 1))
    assert kept_of(kept) == {"registrations": [], "type": None, "holder": None}
    kept.run("A", *out("register", 0, 1))
    assert seen[-1] == ("reservations", False, {})
    assert kept_of(kept) is None


@pytest.mark.parametrize(("before", "asked", "waits"), [
    ("", out("register", 0, 1), False),
    ("", out("register", 0, 1, flags=APTPL), True),
    ("", out("register", 0, 0, flags=APTPL), False),
    ("", out("reserve", 0, 0, TYPES["WE"], flags=APTPL), False),
    ("A register 0 1", out("register", 1, 1), True),
    ("A register 0 1", out("reserve", 1, 0, TYPES["WE"]), True),
    ("A register 0 1", out("reserve", 2, 0, TYPES["WE"]), False),
    ("A register 0 1", out("release", 1, 0, TYPES["WE"]), False),
    ("A register 0 1", out("clear", 1), True),
    ("A register 0 1", out("clear", 1, length=20), False),
])
def test_what_may_wait_for_a_device_does_so_on_a_worker(
    kept: Cluster, before: str, asked: tuple[str, bytes], waits: bool
) -> None:
    """With APTPL active (as soon as there is anything before) every change is kept."""
    for who, cdb, data in [step(each) for each in before.split(";") if each]:
        assert kept.run(who, cdb, data[:20] + bytes((APTPL,)) + data[21:]).sense == 0
    now, section = kept.disk.lu.persistent.now, kept_of(kept)
    cdb, data = asked
    data = data[:int.from_bytes(bytes.fromhex(cdb)[5:9], "big")]
    assert kept.disk.waits(cdb, data, nexus=kept.nexuses["A"]) is waits
    if waits:
        assert (kept.disk.lu.persistent.now, kept_of(kept)) == (now, section)


def test_what_cannot_be_kept_has_not_happened(kept: Cluster) -> None:
    kept.run("A", *out("register", 0, 1, flags=APTPL))
    kept.run("B", *out("register", 0, 2, flags=APTPL))
    kept.run("A", *out("reserve", 1, scope_type=TYPES["WERO"]))
    state, generation, section = kept.state(), kept.generation, kept_of(kept)
    kept.disk.lu.state.fail = errno.ENOSPC
    for asked in (out("register", 1, 0), out("register", 1, 1), out("clear", 1), out("preempt", 1, 2)):
        assert kept.run("A", *asked).sense == (SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE)
    assert (kept.state(), kept.generation, kept_of(kept)) == (state, generation, section)
    assert kept.pending() == {}
    kept.disk.lu.state.fail = 0
    assert kept.run("A", *out("clear", 1)).sense == 0
    assert kept.run("B", "16").sense[1] is Asc.RESERVATIONS_PREEMPTED
    assert kept.run("B", "16").sense == 0


def test_power_is_lost(make_disk: Callable[..., Any], kept: Cluster) -> None:
    """Registrations and the reservation are there again; the generation begins anew."""
    kept.run("A", *out("register", 0, 1, flags=APTPL))
    kept.run("B", *out("register", 0, 2, flags=APTPL))
    kept.run("B", *out("reserve", 2, scope_type=TYPES["EARO"]))
    again = Cluster(make_disk, state=kept.disk.lu.state)
    assert (again.state(), again.generation) == ("A=1 B=2 | EARO 2", 0)
    assert again.capabilities[3] & 1
    assert again.run("C", READ).sense == CONFLICT
    assert again.run("A", READ).sense == 0
    assert again.run("A", *out("register", 1, 1)).sense == 0
    assert again.state() == "A=1 B=2 | EARO 2"
    assert Cluster(make_disk, state=kept.disk.lu.state).state() == "", "deactivated again"


class Slow(Kept):
    """``put`` of the value numbered so far waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go = threading.Event(), threading.Event()

    def put(self, section: str, value: Any) -> None:
        self.entered.set()
        assert self.go.wait(30)
        super().put(section, value)


def test_the_next_change_waits_until_one_is_kept_and_nobody_else_does(make_disk: Callable[..., Any]) -> None:
    state = Slow()
    cluster = Cluster(make_disk, state=state)
    cluster.disk.device.keeping = threading.Lock()
    senses: dict[str, Any] = {}

    def register(who: str, key: int) -> threading.Thread:
        def run() -> None:
            senses[who] = cluster.run(who, *out("register", 0, key, flags=APTPL)).sense

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    threads = [register("A", 1)]
    assert state.entered.wait(30)
    assert cluster.state() == "", "not in effect yet"
    assert cluster.run("B", READ).sense == 0
    assert cluster.disk.waits(*out("register", 0, 3), nexus=cluster.nexuses["C"]), "what could be decided at once"
    assert cluster.run("C", "16").sense == CONFLICT, "a registration is as good as there"
    assert cluster.run("C", "17").sense == CONFLICT
    threads.append(register("B", 2))
    state.go.set()
    for thread in threads:
        thread.join(30)
    assert senses == {"A": 0, "B": 0}
    assert cluster.state() == "A=1 B=2"
    assert [pair[0] for pair in state.get("reservations")["registrations"]] == [port("A"), port("B")]
    assert not cluster.disk.waits(*out("reserve", 0, scope_type=TYPES["WE"]), nexus=cluster.nexuses["C"])


# Beside RESERVE


@pytest.mark.parametrize("action", range(4))
def test_reading_conflicts_with_reserve_even_by_its_holder(three: Cluster, action: int) -> None:
    three.run("A", "16")
    for who in "AB":
        assert three.run(who, f"5E {action:02X} 0000000000 FFFF 00")[:2] == (CONFLICT, None)
    three.run("A", "17")
    assert three.run("A", f"5E {action:02X} 0000000000 FFFF 00").sense == 0


def test_changing_conflicts_with_reserve_even_by_its_holder(three: Cluster) -> None:
    three.run("A", "16")
    for who in "AB":
        for action in ("register", "ignore", "reserve", "clear"):
            assert three.run(who, *out(action, 0, 1, TYPES["WE"])).sense == CONFLICT
    three.run("A", "17")
    assert three.state() == ""


def test_a_conflict_interlocks(three: Cluster) -> None:
    """UA_INTLCK_CTRL 11b (SPC-4 section 7.5.8): whoever decides, the refused nexus has the condition."""
    three.disk.lu.unit_attention_interlock = 3
    assert three.run("A", *out("clear", 1)).sense == CONFLICT
    assert three.pending() == {"A": ["PREVIOUS_RESERVATION_CONFLICT_STATUS"]}
