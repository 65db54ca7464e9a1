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
    The others replace what ``Identity`` has by these names.
    """

    naa: bytes | None = None
    eui: bytes | None = None
    vendor: str | None = None
    product: str | None = None
    revision: str | None = None
    serial: str | None = None


AS_IET: Final = IdentityOptions()


@dataclass(frozen=True, slots=True)
class Identity:
    """What INQUIRY tells.

    ``vendor``, ``product`` and ``revision``: of the standard data, 8, 16 and 4 ASCII characters at most.
    ``serial``: the unit serial number of VPD page 80h. ``device_id``: the 16 vendor specific bytes of the
    first designator of VPD page 83h. ``naa`` and ``eui``: its further designators of the logical unit, if any.
    """

    vendor: str
    product: str
    revision: str
    serial: str
    device_id: bytes
    naa: bytes | None = None
    eui: bytes | None = None


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
        options.serial or scsi_sn or device_id.hex(),
        device_id,
        options.naa,
        options.eui,
    )
