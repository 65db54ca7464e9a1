"""How other targets name their disks: INQUIRY, VPD pages 80h and 83h, made of what their configuration says.

Of tgt 1.0.85, istgt 20111008 and Linux 6.1's LIO the bytes were recorded on the wire (``tests/long/identity-tgt``,
``identity-istgt``, ``guest-lio``); of SCST and FreeBSD's ctld they follow their manuals, and what these leave open is
None. A designator stands with its header (SPC-4 section 7.8.6.1); those of ports are none of a disk's.
"""

from __future__ import annotations

import re
from typing import Final

from crc32c import crc32c

from ietpy.migrate.model import Identity

_BINARY: Final = 0x1  #: CODE SET
_ASCII: Final = 0x2
_UTF_8: Final = 0x3
_T10_VENDOR_ID: Final = 0x1  #: DESIGNATOR TYPE
_EUI_64: Final = 0x2
_NAA: Final = 0x3
_LOGICAL_UNIT_GROUP: Final = 0x6
_SCSI_NAME: Final = 0x8
_UUID: Final = 0xA
_PIV: Final = 0x80
_NOT_HEX: Final = re.compile("[^0-9A-Fa-f]")


def _designator(code_set: int, kind: int, value: bytes) -> bytes:
    return bytes((code_set, kind, 0, len(value))) + value


def _text(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def _padded(value: str, width: int) -> bytes:
    return _text(value)[:width].ljust(width)


def _identity(vendor: str, product: str, revision: str, serial: bytes, *designators: bytes) -> Identity:
    return Identity(_padded(vendor, 8), _padded(product, 16), _padded(revision, 4), serial, designators)


# -- tgt

TGT_WIDTH: Final = 36  #: bytes of scsi_id and scsi_sn at most, and always on the wire


def tgt(
    tid: int, lun: int, scsi_id: str = "", scsi_sn: str = "", vendor: str = "", product: str = "", revision: str = ""
) -> Identity:
    """A disk of tgt. ``tid`` and ``lun`` count whatever the others say; empty: tgt's own."""
    own_id = scsi_id or f"IET     {tid:04x}{lun:04x}"
    own_sn = scsi_sn or f"beaf{tid}{lun}"
    digits = _NOT_HEX.sub("0", own_id)[-31:].rjust(31, "0")  # of the scsi_id, what is no digit counts as 0
    return _identity(
        vendor or "IET",
        product or "VIRTUAL-DISK",
        revision or "0001",
        _text(own_sn).rjust(TGT_WIDTH),
        _designator(_ASCII, _T10_VENDOR_ID, _text(own_id).ljust(TGT_WIDTH, b"\0")),
        _designator(_BINARY, _NAA, (3 << 60 | tid << 32 | lun).to_bytes(8, "big")),
        _designator(_BINARY, _NAA, bytes.fromhex("6" + digits)),
    )


# -- LIO

LIO_VENDOR: Final = "LIO-ORG"
LIO_NAME: Final = 15  #: characters of a storage object's name that are told
_LIO_NAA: Final = "6001405"
#: What INQUIRY says where ``emulate_model_alias`` is 0, by plugin.
LIO_MODELS: Final = {"fileio": "FILEIO", "block": "IBLOCK", "ramdisk": "RAMDISK-MCP"}


def lio(name: str, serial: str, plugin: str = "fileio", *, model_alias: bool = True) -> Identity:
    """A storage object. ``serial``: the ``wwn`` of saveconfig.json, a UUID as a rule."""
    product = name[:LIO_NAME] if model_alias else LIO_MODELS.get(plugin, plugin.upper())
    digits = _NOT_HEX.sub("", serial)[:25].ljust(25, "0")
    told = _text(f"{product[:LIO_NAME]}:{serial}\0")
    return _identity(
        LIO_VENDOR,
        product,
        "4.0",
        _text(serial) + b"\0",
        _designator(_BINARY, _NAA, bytes.fromhex(_LIO_NAA + digits)),
        _designator(_ASCII, _T10_VENDOR_ID, _padded(LIO_VENDOR, 8) + told),
        _designator(_BINARY, _LOGICAL_UNIT_GROUP, bytes(4)),
    )


# -- istgt

_ISTGT_SERIAL: Final = 32
_ISTGT_FIRST: Final = 10000000


def istgt(
    target: str, unit: int, lun: int, vendor: str = "", product: str = "", revision: str = "", serial: str = "",
    lun_serial: str = "",
) -> Identity:
    """A disk of ``[LogicalUnitN]``: ``unit`` is N. ``serial``: of UnitInquiry; ``lun_serial``: of its Option line."""
    own = lun_serial or (serial or str(_ISTGT_FIRST + unit)) + (f"L{lun}" if lun else "")
    vendor, product = vendor or "FreeBSD", product or "iSCSI DISK"
    hashed = _text(f"{target},{lun}")
    naa = 3 << 60 | crc32c(hashed + bytes(-len(hashed) % 4))
    return _identity(
        vendor,
        product,
        revision or "0001",
        _text(own)[:_ISTGT_SERIAL],
        _designator(_BINARY, _NAA, naa.to_bytes(8, "big")),
        _designator(
            _UTF_8, _T10_VENDOR_ID, _padded(vendor, 8) + _padded(product, 16) + _padded(own, _ISTGT_SERIAL)
        ),
    )


# -- SCST

#: Vendor by handler.
SCST_VENDORS: Final = {"vdisk_fileio": "SCST_FIO", "vdisk_blockio": "SCST_BIO"}


def scst(
    name: str, handler: str, t10_dev_id: str = "", usn: str = "", naa: bytes = b"", eui: bytes = b"", vendor: str = "",
    product: str = "", revision: str = "",
) -> Identity:
    """A device. Where the file has no ``t10_dev_id`` or ``usn``, SCST makes one of its own, which is not known."""
    own = vendor or SCST_VENDORS.get(handler, "")
    designators = [_designator(_ASCII, _T10_VENDOR_ID, _padded(own, 8) + _text(t10_dev_id))] if t10_dev_id else []
    designators += [_designator(_BINARY, kind, value) for kind, value in ((_NAA, naa), (_EUI_64, eui)) if value]
    return Identity(
        _padded(own, 8) if own else None,
        _padded(product or name, 16),
        _padded(revision, 4) if revision else None,
        _text(usn) if usn else None,
        tuple(designators) or None,
    )


# -- FreeBSD's ctld

_CTL_SERIAL: Final = 16
_CTL_DEVICE_ID: Final = (16, 64)  #: bytes at least, and at most


def ctl(
    serial: str = "", device_id: str = "", vendor: str = "", product: str = "", revision: str = "", naa: bytes = b"",
    eui: bytes = b"", uuid: bytes = b"", scsi_name: str = "",
) -> Identity:
    """A LUN of ctl.conf. Without ``serial`` and ``device_id`` the kernel counts, and what it came to is not known."""
    shortest, longest = _CTL_DEVICE_ID
    vendor = vendor or "FREEBSD"
    designators = []
    if device_id:
        told = _text(device_id)[:longest].ljust(shortest, b"\0")
        designators.append(_designator(_ASCII, _PIV | _T10_VENDOR_ID, _padded(vendor, 8) + told))
    if scsi_name:
        told = _text(scsi_name) + b"\0"
        designators.append(_designator(_UTF_8, _PIV | _SCSI_NAME, told + bytes(-len(told) % 4)))
    designators += [
        _designator(_BINARY, _PIV | kind, value)
        for kind, value in ((_EUI_64, eui), (_NAA, naa), (_UUID, b"\x10\0" + uuid if uuid else b"")) if value
    ]
    return Identity(
        _padded(vendor, 8),
        _padded(product or "CTLDISK", 16),
        _padded(revision or "0001", 4),
        _text(serial)[:_CTL_SERIAL].ljust(_CTL_SERIAL, b"\0") if serial else None,
        tuple(designators) or None,
    )
