"""The I_T_L nexus."""

from __future__ import annotations

from ietpy.scsi.nexus import (
    ATTENTION_PENDING,
    OBSTRUCTED,
    ORDERING,
    PROTECTED,
    REMOVED,
    RESERVED,
    REVOKED,
    ItNexus,
    Nexus,
)


def test_a_nexus_knows_where_it_leads_and_has_nothing_in_the_way(disk) -> None:  # type: ignore[no-untyped-def]
    nexus = Nexus(disk.lu, disk.device, ItNexus("iqn.x,i,0x1", 2))
    assert (nexus.lu, nexus.device, nexus.initiator) == (disk.lu, disk.device, "iqn.x,i,0x1")
    assert (nexus.target_port, nexus.it_nexus) == (2, ("iqn.x,i,0x1", 2))
    assert (nexus.barrier, nexus.attentions) == (0, [])


def test_reasons_in_the_way_are_different_bits() -> None:
    bits = (ATTENTION_PENDING, RESERVED, REMOVED, OBSTRUCTED, ORDERING, PROTECTED, REVOKED)
    assert sum(bits) == 2 ** len(bits) - 1
