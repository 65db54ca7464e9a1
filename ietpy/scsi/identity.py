"""Who a logical unit says it is. Frozen byte for byte: initiators name disks by it (docs: IET identity)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """What INQUIRY tells.

    ``vendor``, ``product`` and ``revision``: of the standard data, 8, 16 and 4 ASCII characters at most.
    ``serial``: the unit serial number of VPD page 80h. ``device_id``: the 16 vendor specific bytes of the
    first designator of VPD page 83h.
    """

    vendor: str
    product: str
    revision: str
    serial: str
    device_id: bytes


def iet_identity(
    target_name: str, lun: int, scsi_id: bytes | None = None, scsi_sn: str | None = None
) -> Identity:
    """The identity IET 1.4.20 and later gave LUN ``lun`` of ``target_name``, letter case included.

    ``scsi_id`` (1 to 16 bytes, NUL-padded) replaces the hash of name and number; ``scsi_sn`` the serial
    number, which otherwise is the identifier in hexadecimal. IET hashed the number in host order,
    little-endian on everything it ran on.
    """
    if scsi_id is None:
        name = target_name.encode("utf-8", "surrogateescape")
        device_id = hashlib.md5(name + lun.to_bytes(4, "little"), usedforsecurity=False).digest()
    else:
        device_id = scsi_id[:16].ljust(16, b"\0")
    serial = device_id.hex() if scsi_sn is None else scsi_sn
    return Identity("IET", "VIRTUAL-DISK", "0", serial, device_id)
