"""What VMware's VAAI asks of a disk: rows of primitives, whose commands are looked up among those we have."""

from __future__ import annotations

from typing import Final, NamedTuple


class Primitive(NamedTuple):
    """``status``: its line in ``esxcli storage core device vaai status get``. ``commands``: (operation code, name)."""

    name: str
    status: str
    commands: tuple[tuple[int, str], ...]
    pages: tuple[int, ...]  #: vital product data pages by which ESXi finds it
    use: str


PRIMITIVES: Final = (
    Primitive(
        "Atomic Test and Set", "ATS Status", ((0x89, "COMPARE AND WRITE"),), (0xB0,),
        "locks of VMFS by one block, in place of reservations of the whole disk",
    ),
    Primitive(
        "Full Copy", "Clone Status", ((0x83, "EXTENDED COPY(LID1)"),), (0x8F,),
        "clones and Storage vMotion between LUNs of one target, without the host's network",
    ),
    Primitive(
        "Block Zeroing", "Zero Status", ((0x93, "WRITE SAME(16)"),), (0xB0,),
        "eager zeroed disks",
    ),
    Primitive(
        "Unmap", "Delete Status", ((0x42, "UNMAP"),), (0xB0, 0xB2),
        "space of deleted files goes back: to a sparse file, or to a device that discards",
    ),
    Primitive(
        "Thin provisioning: out of space", "", ((0x2A, "WRITE(10)"),), (0xB2,),
        "a write that finds no space is answered DATA PROTECT, SPACE ALLOCATION FAILED, and only its machine pauses",
    ),
)
