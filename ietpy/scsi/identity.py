"""Who a logical unit says it is. Frozen byte for byte: initiators name disks by it (docs: IET identity)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

IET_VENDOR: Final = "IET"


@dataclass(frozen=True, slots=True)
class IdentityOptions:
    """What a logical unit says otherwise than under IET, because it was asked to; None: as under IET.

    ``naa`` (8 or 16 bytes, SPC-4 section 7.8.6.6) and ``eui`` (8, 12 or 16 bytes, 7.8.6.5) are further designators.
    ``page_80`` and ``page_83`` are what these VPD pages say of the logical unit, whole, as another target said it, and
    outrank what else is told by them. The others replace what ``Identity`` has by these names.
    """

    naa: bytes | None = None
    eui: bytes | None = None
    vendor: str | None = None
    product: str | None = None
    revision: str | None = None
    serial: str | None = None
    page_80: bytes | None = None
    page_83: bytes | None = None


AS_IET: Final = IdentityOptions()


@dataclass(frozen=True, slots=True)
class Identity:
    """What INQUIRY tells.

    ``vendor``, ``product`` and ``revision``: of the standard data, 8, 16 and 4 ASCII characters at most.
    ``serial``: the unit serial number of VPD page 80h. ``device_id``: the 16 vendor specific bytes of the
    first designator of VPD page 83h. ``naa`` and ``eui``: its further designators of the logical unit, if any.
    ``page_80`` and ``page_83``, unless None: the PRODUCT SERIAL NUMBER field of the one page, padding and all, and the
    designation descriptors of the logical unit in the other, instead of those made from the fields above.
    """

    vendor: str
    product: str
    revision: str
    serial: str
    device_id: bytes
    naa: bytes | None = None
    eui: bytes | None = None
    page_80: bytes | None = None
    page_83: bytes | None = None


def iet_identity(
    target_name: str,
    lun: int,
    scsi_id: bytes | None = None,
    scsi_sn: str | None = None,
    options: IdentityOptions = AS_IET,
) -> Identity:
    """The identity IET 1.4.20 and later gave LUN ``lun`` of ``target_name``, letter case included.

    ``scsi_id`` (1 to 16 bytes, NUL-padded) replaces the hash of name and number; ``scsi_sn`` the serial
    number, which otherwise is the identifier in hexadecimal. IET hashed the number in host order,
    little-endian on everything it ran on. ``options`` come last and win.
    """
    if scsi_id is None:
        name = target_name.encode("utf-8", "surrogateescape")
        device_id = hashlib.md5(name + lun.to_bytes(4, "little"), usedforsecurity=False).digest()
    else:
        device_id = scsi_id[:16].ljust(16, b"\0")
    return Identity(
        options.vendor or IET_VENDOR,
        options.product or "VIRTUAL-DISK",
        options.revision or "0",
        _serial(options) or scsi_sn or device_id.hex(),
        device_id,
        options.naa,
        options.eui,
        options.page_80,
        options.page_83,
    )


def _serial(options: IdentityOptions) -> str | None:
    """The number itself, of whatever says it: others pad theirs with blanks, or end it with NUL."""
    if options.page_80 is None:
        return options.serial
    return options.page_80.decode("utf-8", "surrogateescape").strip(" \0")
