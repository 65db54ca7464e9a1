"""What a logical unit says of itself, read: INQUIRY data and vital product data pages (SPC-4 sections 6.6 and 7.8).

Whatever a target sends is taken as far as it goes; what is cut or unknown is left out or shown in hexadecimal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

DISK: Final = 0x00
NO_UNIT: Final = 0x7F  #: peripheral qualifier and device type where there is no logical unit

#: PERIPHERAL DEVICE TYPE (SPC-4 table 142), those that are met.
DEVICE_TYPES: Final = {
    0x00: "disk", 0x01: "tape", 0x03: "processor", 0x05: "CD or DVD", 0x08: "medium changer", 0x0C: "storage array",
    0x0D: "enclosure", 0x0E: "simplified disk", 0x11: "object storage", 0x1F: "no device",
}
_KINDS: Final = {0: "vendor", 1: "t10", 2: "eui", 3: "naa", 4: "port", 5: "port group", 6: "unit group", 7: "md5",
                 8: "name", 9: "protocol", 10: "uuid"}  # SPC-4 table 607
_ASSOCIATIONS: Final = {0: "unit", 1: "target port", 2: "target device"}
_PROVISIONING: Final = {0: "full", 1: "resource", 2: "thin"}  # SBC-3 table 190, as LBPME says nothing of which


class Inquiry(NamedTuple):
    """Standard INQUIRY data (SPC-4 section 6.6.2)."""

    device_type: int  #: with the peripheral qualifier
    vendor: str
    product: str
    revision: str

    @property
    def kind(self) -> str:
        """The device type in a word."""
        return DEVICE_TYPES.get(self.device_type & 0x1F, f"device type {self.device_type & 0x1F:#04x}")


class Designator(NamedTuple):
    """One name of VPD page 83h: what kind, whose, and as people write it."""

    kind: str
    of: str
    name: str


def inquiry(data: bytes) -> Inquiry:
    """Standard INQUIRY data; texts without what cannot be printed."""
    padded = data.ljust(36, b"\0")
    return Inquiry(padded[0], text(padded[8:16]), text(padded[16:32]), text(padded[32:36]))


def pages(data: bytes) -> list[int]:
    """The codes of VPD page 00h (section 7.8.15)."""
    return list(_body(data))


def serial(data: bytes) -> str:
    """The unit serial number of VPD page 80h (section 7.8.16)."""
    return text(_body(data))


def designators(data: bytes) -> Iterator[Designator]:
    """The designation descriptors of VPD page 83h (section 7.8.6)."""
    body = _body(data)
    while len(body) >= 4:
        length = body[3]
        value, kind = body[4 : 4 + length], _KINDS.get(body[1] & 0x0F, f"type {body[1] & 0x0F}")
        shown = text(value) if body[0] & 0x0F in (2, 3) else value.hex()  # ASCII or UTF-8
        if kind == "t10" and body[0] & 0x0F == 1:  # the vendor is ASCII in any case (section 7.8.6.4)
            shown = f"{text(value[:8])} {value[8:].hex()}"
        yield Designator(kind, _ASSOCIATIONS.get(body[1] >> 4 & 3, "?"), shown)
        body = body[4 + length :]


def provisioning(data: bytes) -> str:
    """The provisioning type of VPD page B2h (SBC-3 section 6.6.6), in a word."""
    padded = data.ljust(8, b"\0")
    return _PROVISIONING.get(padded[6] & 7, f"type {padded[6] & 7}")


def write_protected(data: bytes) -> bool:
    """The WP bit of MODE SENSE(6) (SBC-3 section 6.5.1)."""
    return len(data) > 2 and bool(data[2] & 0x80)


def _body(data: bytes) -> bytes:
    """What follows the header of a VPD page, as long as it says."""
    return data[4 : 4 + int.from_bytes(data[2:4], "big")]


def text(data: bytes) -> str:
    """Characters of SCSI: blanks and NULs at the ends mean nothing."""
    shown = data.decode("utf-8", "backslashreplace").strip(" \0")
    return "".join(character if character.isprintable() else "?" for character in shown)
