"""Which commands conflict with whose reservation (SPC-4 table 65, SBC-3 table 13), and RESERVE and RELEASE."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ietpy.scsi import reservation
from ietpy.scsi.asc import Asc
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.nexus import RESERVED
from ietpy.scsi.status import SenseKey, Status
from tests.scsi.conftest import BOB, NAME
from tests.scsi.persistent_requests import TYPES, Cluster

CONFLICT = Status.RESERVATION_CONFLICT
INVALID = (SenseKey.ILLEGAL_REQUEST, Asc.INVALID_FIELD_IN_CDB)
READ = "28 00 00000000 00 0001 00"
WRITE = "2A 00 00000000 00 0001 00"


@pytest.mark.parametrize("reserve", ["16", "56"])
@pytest.mark.parametrize("release", ["17", "57"])
def test_a_unit_is_kept_until_its_holder_releases_it(disk: Any, bob: Any, reserve: str, release: str) -> None:
    assert disk.run(reserve).sense == 0
    assert disk.run(reserve).sense == 0, "reserving again is no conflict"
    assert disk.run(READ).sense == 0
    assert disk.run(READ, nexus=bob) == (CONFLICT, None, b"", None)
    assert disk.run(reserve, nexus=bob).sense == CONFLICT
    assert disk.run(release, nexus=bob).sense == 0, "releasing what another holds is GOOD"
    assert disk.run(READ, nexus=bob).sense == CONFLICT
    assert disk.run(release).sense == 0
    assert disk.run(READ, nexus=bob).sense == 0
    assert disk.run(release).sense == 0, "releasing what nobody holds is GOOD"
    assert disk.run(reserve, nexus=bob).sense == 0
    assert disk.run(READ).sense == CONFLICT


class Overtaken:
    """A lock of a device; ``by`` happens to whoever waits for it next, and before he has it."""

    def __init__(self) -> None:
        self.by: Callable[[], object] | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        by, self.by = self.by, None
        if by is not None:
            by()
        self._lock.acquire()

    def __exit__(self, *problem: object) -> None:
        self._lock.release()


def test_of_two_that_were_admitted_at_once_one_has_it(make_disk: Callable[..., Any]) -> None:
    lock = Overtaken()
    disk = make_disk(device=ScsiDevice(NAME, lock))
    bob = disk.nexus(BOB)
    first: list[Any] = []
    lock.by = lambda: first.append(disk.run("16"))
    assert disk.run("16", nexus=bob).sense == CONFLICT
    assert first[0].sense == 0
    assert disk.run(READ).sense == 0
    assert disk.run(READ, nexus=bob).sense == CONFLICT


def test_a_reservation_ends_with_its_nexus(disk: Any, bob: Any) -> None:
    disk.run("16")
    disk.lu.detach(bob)
    assert disk.lu.holder is disk.ann
    carol = disk.nexus("carol", quiet=False)
    disk.run("00", nexus=carol)
    assert disk.run(READ, nexus=carol).sense == CONFLICT, "reserved before it came"
    disk.lu.detach(disk.ann)
    assert disk.run(READ, nexus=carol).sense == 0


def test_a_reservation_ends_with_a_reset(disk: Any, bob: Any) -> None:
    disk.run("16")
    disk.lu.reset()
    assert disk.run(READ, nexus=bob).sense[1] is Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED
    assert disk.run(READ, nexus=bob).sense == 0


def test_data_is_not_asked_for_under_a_reservation(disk: Any, bob: Any) -> None:
    disk.run("16")
    assert disk.refused("2A 00 00000000 00 0001 00", nexus=bob).sense == CONFLICT
    assert disk.refused("2A 00 00000000 00 0001 00") is None


@pytest.mark.parametrize(("cdb", "allowed"), [
    pytest.param("1E 00 00 00 00 00", True, id="ALLOW MEDIUM REMOVAL"),
    pytest.param("1E 00 00 00 01 00", False, id="PREVENT MEDIUM REMOVAL"),
    pytest.param("1B 00 00 00 01 00", True, id="START UNIT"),
    pytest.param("1B 00 00 00 00 00", False, id="STOP UNIT"),
])
def test_commands_of_which_some_are_harmless(disk: Any, bob: Any, cdb: str, allowed: bool) -> None:
    disk.run("16")
    assert disk.run(cdb, nexus=bob).sense == (0 if allowed else CONFLICT)


@pytest.mark.parametrize("cdb", [
    pytest.param("16 01 00 00 00 00", id="extent"),
    pytest.param("16 10 00 00 00 00", id="third party"),
    pytest.param("57 02 00 00 00 00 00 00 00 00", id="LONGID"),
])
def test_extents_and_third_parties_are_refused(disk: Any, cdb: str) -> None:
    assert disk.run(cdb).sense == INVALID


def test_resets_are_reported_ahead_of_a_conflict_and_changes_behind_it(disk: Any, bob: Any) -> None:
    disk.run("16")
    disk.lu.capacity_changed()
    assert disk.run(READ, nexus=bob).sense == CONFLICT
    dora = disk.nexus("dora", quiet=False)
    assert disk.run(READ, nexus=dora).sense == (
        SenseKey.UNIT_ATTENTION, Asc.POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED
    )
    assert disk.run(READ, nexus=dora).sense == CONFLICT
    disk.run("00")
    disk.run("17")
    assert disk.run(READ, nexus=bob).sense == (SenseKey.UNIT_ATTENTION, Asc.CAPACITY_DATA_HAS_CHANGED)


# Persistent reservations: from the standards, by name, whatever the rows say

#: Allowed whatever reservation there is, or decided by the command itself (SPC-4 table 66 and section 5.13.3).
ALWAYS = """
    TEST UNIT READY; REQUEST SENSE; INQUIRY; REPORT LUNS; LOG SENSE; READ CAPACITY; REPORT TARGET PORT GROUPS;
    REPORT IDENTIFYING INFORMATION; RECEIVE COPY; REPORT REFERRALS; RELEASE; PERSISTENT RESERVE IN;
    PERSISTENT RESERVE OUT; PREVENT ALLOW MEDIUM REMOVAL 00; START STOP UNIT 01
"""
#: Allowed for who is admitted, and under Write Exclusive types for everybody.
LIKE_READ = """
    READ; VERIFY; PRE-FETCH; GET LBA STATUS; READ DEFECT DATA; READ BUFFER; RECEIVE DIAGNOSTIC RESULTS; MODE SENSE;
    REPORT SUPPORTED OPERATION CODES; REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS; RECEIVE ROD TOKEN INFORMATION
"""
#: Allowed for who is admitted only.
LIKE_WRITE = """
    WRITE; WRITE AND VERIFY; WRITE SAME; WRITE ATOMIC; COMPARE AND WRITE; ORWRITE; UNMAP; SYNCHRONIZE CACHE;
    FORMAT UNIT; SANITIZE; EXTENDED COPY; MODE SELECT; LOG SELECT; SEND DIAGNOSTIC; WRITE BUFFER;
    SET TARGET PORT GROUPS; SET IDENTIFYING INFORMATION; RESERVE; PREVENT ALLOW MEDIUM REMOVAL 01; START STOP UNIT 00
"""
RULES = {
    name.strip(): rule
    for rule, names in (("always", ALWAYS), ("read", LIKE_READ), ("write", LIKE_WRITE)) for name in names.split(";")
}


def rule_of(name: str, byte_4: int) -> str:
    """By the longest name that ``name`` begins with; byte 4 of the CDB chooses where there are two."""
    name = f"{name} {byte_4:02X}"
    found = [known for known in RULES if name.startswith(known) and not name[len(known):len(known) + 1].isalpha()]
    assert found, f"say here what SPC-4 or SBC-3 has about {name}"
    return RULES[max(found, key=len)]


def conflicts_by_the_standard(rule: str, kind: str, who: str) -> bool:
    admitted = who == "holder" or (who == "registered" and kind[2:] in ("RO", "AR"))
    return not admitted and (rule == "write" or (rule == "read" and kind.startswith("EA")))


@pytest.mark.parametrize("kind", TYPES)
def test_every_row_under_every_persistent_reservation(make_disk: Callable[..., Any], kind: str) -> None:
    cluster = Cluster(make_disk)
    cluster.prepare(f"A register 0 1; B register 0 2; A reserve 1 0 {kind}")
    wrong = []
    for row in DIRECT_ACCESS:
        for byte_4 in (0, 1):
            cdb = bytes((row.opcode, row.service_action or 0, 0, 0, byte_4)).ljust(16, b"\0")
            for name, who in (("A", "holder"), ("B", "registered"), ("C", "unregistered")):
                expected = conflicts_by_the_standard(rule_of(row.name, byte_4), kind, who)
                if reservation.conflicts(cluster.disk.lu, cluster.nexuses[name], row, cdb) is not expected:
                    wrong.append(f"{row.name}, byte 4 {byte_4}, {who}: {'should' if expected else 'should not'}")
    assert wrong == []


def test_the_rules_are_about_rows() -> None:
    """Those about commands that no row has yet are few, and listed."""
    unused = {
        known for known in RULES
        if not any(row.name.startswith(known.removesuffix(" 00").removesuffix(" 01")) for row in DIRECT_ACCESS)
    }
    assert unused <= {"REPORT REFERRALS", "RECEIVE ROD TOKEN INFORMATION", "WRITE ATOMIC"}


@pytest.mark.parametrize("kind", TYPES)
def test_reading_and_writing_under_a_persistent_reservation(make_disk: Callable[..., Any], kind: str) -> None:
    cluster = Cluster(make_disk)
    cluster.prepare(f"A register 0 1; B register 0 2; A reserve 1 0 {kind}")
    for who, role in (("A", "holder"), ("B", "registered"), ("C", "unregistered")):
        for cdb, data, rule in ((READ, b"", "read"), (WRITE, bytes(512), "write"), ("00", b"", "always")):
            expected = CONFLICT if conflicts_by_the_standard(rule, kind, role) else 0
            assert cluster.run(who, cdb, data).sense == expected
            refused = cluster.disk.refused(cdb, nexus=cluster.nexuses[who])
            assert (0 if refused is None else refused.sense) == expected
    assert cluster.nexuses["A"].barrier == 0, "the holder pays nothing"


def test_who_comes_later_takes_the_closer_look_if_needed(make_disk: Callable[..., Any]) -> None:
    cluster = Cluster(make_disk)
    cluster.prepare("A register 0 1; B register 0 2; A reserve 1 0 EARO")
    for name, expected in (("A", 0), ("B", 0), ("C", CONFLICT)):
        newcomer = cluster.disk.nexus(cluster.nexuses[name].initiator)
        assert cluster.disk.run(READ, nexus=newcomer).sense == expected
    cluster.prepare("A release 1 0 EARO")
    assert not any(nexus.barrier & RESERVED for nexus in cluster.disk.lu.nexuses)


# RESERVE and RELEASE where ports are registered: CRH (SPC-4 section 5.13.3), else SPC-2 section 5.5.1


@pytest.mark.parametrize("command", ["16", "56", "17", "57"])
@pytest.mark.parametrize(("before", "good"), [
    ("A register 0 1", ""),
    ("A register 0 1; B register 0 2; A reserve 1 0 WE", "A"),
    ("A register 0 1; B register 0 2; A reserve 1 0 EA", "A"),
    ("A register 0 1; B register 0 2; A reserve 1 0 WERO", "AB"),
    ("A register 0 1; B register 0 2; A reserve 1 0 EARO", "AB"),
    ("A register 0 1; B register 0 2; A reserve 1 0 WEAR", "AB"),
    ("A register 0 1; B register 0 2; A reserve 1 0 EAAR", "AB"),
])
def test_reserve_and_release_have_no_effect_beside_registrations(
    make_disk: Callable[..., Any], command: str, before: str, good: str
) -> None:
    cluster = Cluster(make_disk)
    cluster.prepare(before)
    state = cluster.state()
    for who in "ABC":
        assert cluster.run(who, command).sense == (0 if who in good else CONFLICT)
        assert (cluster.disk.lu.holder, cluster.state()) == (None, state)
    cluster.prepare("A clear 1 0")
    assert cluster.run("C", command).sense == 0
