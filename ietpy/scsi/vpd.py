"""Vital product data pages (SPC-4 section 7.8, SBC-3 section 6.6): a page says only what is in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ietpy.scsi.copy_descriptors import third_party_copy_page
from ietpy.scsi.identity import IET_VENDOR, Identity
from ietpy.scsi.limits import (
    MAXIMUM_COMPARE_AND_WRITE,
    MAXIMUM_TRANSFER,
    MAXIMUM_UNMAP,
    MAXIMUM_UNMAP_DESCRIPTORS,
    MAXIMUM_WRITE_SAME,
    OPTIMAL_TRANSFER,
)
from ietpy.scsi.nexus import FIRST_PORT
from ietpy.scsi.port_groups import MOST_LISTED, group_of, target_ports
from ietpy.scsi.provisioning import unmaps_by_write_same_10
from ietpy.scsi.sense import invalid_field
from ietpy.wire.layout import Layout

if TYPE_CHECKING:
    from ietpy.scsi.device_server import DeviceServer
    from ietpy.scsi.logical_unit import LogicalUnit

#: What follows the four-byte header; called with the DeviceServer, and where ``by_port`` says so with the relative
#: identifier of the target port by which it is asked.
Content = Callable[..., bytes]


@dataclass(frozen=True, slots=True)
class VpdPage:
    """``without_unit``: also where there is no logical unit. ``by_port``: another one by each target port."""

    code: int
    name: str
    content: Content
    without_unit: bool = False
    by_port: bool = False


def _supported_pages(lu: DeviceServer) -> bytes:
    """SPC-4 section 7.8.16."""
    return bytes(page.code for page in VPD_PAGES.values() if not lu.peripheral or page.without_unit)


def serial_field(identity: Identity) -> bytes:
    """PRODUCT SERIAL NUMBER (SPC-4 section 7.8.18); right-justified in 16 or 32 characters as IET did: sites name disks
    by it.

    A longer one, which IET did not have, stands as it is, and so does a field that was given whole.
    """
    if identity.page_80 is not None:
        return identity.page_80
    serial = identity.serial.encode("utf-8", "surrogateescape")
    return serial.rjust(16 if len(serial) <= 16 else 32)


def _unit_serial_number(lu: LogicalUnit) -> bytes:
    return serial_field(lu.identity)


# Device identification (SPC-4 section 7.8.6)

_BINARY: Final = 0x1  #: CODE SET
_UTF_8: Final = 0x3
_ISCSI: Final = 0x5 << 4  #: PROTOCOL IDENTIFIER, valid with PIV
_PIV: Final = 0x80
_TARGET_PORT: Final = 0x1 << 4  #: ASSOCIATION
_TARGET_DEVICE: Final = 0x2 << 4
_T10_VENDOR_ID: Final = 0x1  #: DESIGNATOR TYPE
_EUI_64: Final = 0x2
_NAA: Final = 0x3
_RELATIVE_TARGET_PORT: Final = 0x4
_TARGET_PORT_GROUP: Final = 0x5
_SCSI_NAME_STRING: Final = 0x8

#: A target port, by the portal group tag (RFC 7143 section 4.4.1), which is its relative identifier, too.
_PORT_NAME: Final = "{},t,0x{:04x}"
_LONGEST_DESIGNATOR: Final = 255


def _designator(code_set: int, kind: int, value: bytes) -> bytes:
    return bytes((code_set, kind, 0, len(value))) + value


def _name_string(text: str) -> bytes:
    """SPC-4 section 7.8.6.11: UTF-8, NUL-terminated, padded to a multiple of four bytes."""
    name = text.encode("utf-8", "surrogateescape") + b"\0"
    return name + bytes(-len(name) % 4)


def _port_designator(lu: LogicalUnit, port: int) -> bytes:
    """The name of a target port. One longer than iSCSI allows has no place in a designator, so it is left out."""
    name = _name_string(_PORT_NAME.format(lu.device.name, port))
    if len(name) > _LONGEST_DESIGNATOR:
        return b""
    return _designator(_ISCSI | _UTF_8, _PIV | _TARGET_PORT | _SCSI_NAME_STRING, name)


def _vendor_field(vendor: str) -> bytes:
    """T10 VENDOR IDENTIFICATION, padded with blanks (SPC-4 section 7.8.6.4); IET padded its own with NUL."""
    return vendor.encode("ascii", "replace")[:8].ljust(8, b"\0" if vendor == IET_VENDOR else b" ")


def unit_designators(identity: Identity) -> bytes:
    """The descriptors with the logical unit's association; those that were given whole stand for all of them."""
    if identity.page_83 is not None:
        return identity.page_83
    first = _designator(_BINARY, _T10_VENDOR_ID, _vendor_field(identity.vendor) + identity.device_id)
    more = (_NAA, identity.naa), (_EUI_64, identity.eui)
    return first + b"".join(_designator(_BINARY, kind, value) for kind, value in more if value)


def _device_identification(lu: LogicalUnit, target_port: int) -> bytes:
    """The first designator is IET's and, unless ``LunOption`` asks for more, the only one of the logical unit; others
    name its device and the port by which it was asked.

    Who has an NAA or EUI-64 designator is named by it: udev's scsi_id, multipath and Linux's wwid choose by type (NAA,
    EUI-64, T10 vendor ID), not by place.
    """
    group = group_of(lu.device.port_groups, target_port)
    designators = [unit_designators(lu.identity)]
    designators += [
        _designator(_ISCSI | _BINARY, _PIV | _TARGET_PORT | kind, number.to_bytes(4, "big"))
        for kind, number in ((_RELATIVE_TARGET_PORT, target_port), (_TARGET_PORT_GROUP, group.tag))
    ]
    port = _port_designator(lu, target_port)
    if port:
        device = _name_string(lu.device.name)
        designators += [port, _designator(_ISCSI | _UTF_8, _PIV | _TARGET_DEVICE | _SCSI_NAME_STRING, device)]
    return b"".join(designators)


# Other pages of all device types

#: SPC-4 section 7.8.7, after the header.
EXTENDED_INQUIRY: Final = Layout("Extended INQUIRY Data VPD page", 60, (
    ("checks", "B"), ("tasks", "B"), ("caches", "B"), ("nexus", "B"), ("_reserved", "56x"),
))
_HEADSUP: Final = 0x04
_ORDSUP: Final = 0x02
_SIMPSUP: Final = 0x01
_V_SUP: Final = 0x01
_LUICLR: Final = 0x01
#: Mode page policy (SPC-4 section 7.8.9): every page and subpage is shared by all nexuses of its unit, disconnect-
#: reconnect by all units, too (section 7.5.10; nobody can change it).
_POLICIES: Final = bytes((0x3F, 0xFF, 0, 0, 0x02, 0, 0x80, 0))


def _management_network_addresses(lu: LogicalUnit) -> bytes:
    """SPC-4 section 7.8.8: there is none."""
    return b""


def _extended_inquiry_data(lu: LogicalUnit) -> bytes:
    """Task attributes as SAM-5 has them; a volatile cache with WCE and FUA; REPORTED LUNS DATA HAS CHANGED once."""
    return EXTENDED_INQUIRY.pack(tasks=_HEADSUP | _ORDSUP | _SIMPSUP, caches=_V_SUP, nexus=_LUICLR)


def _mode_page_policy(lu: LogicalUnit) -> bytes:
    return _POLICIES


def _scsi_ports(lu: LogicalUnit) -> bytes:
    """SPC-4 section 7.8.14: none of them is an initiator port."""
    return b"".join(_scsi_port(lu, port) for port in target_ports(lu.device.port_groups)[:MOST_LISTED])


def _scsi_port(lu: LogicalUnit, port: int) -> bytes:
    descriptors = _port_designator(lu, port)
    return port.to_bytes(4, "big") + bytes(6) + len(descriptors).to_bytes(2, "big") + descriptors


# Block device pages

#: SBC-3 section 6.6.3, after the header.
BLOCK_LIMITS: Final = Layout("Block Limits VPD page", 60, (
    ("wsnz", "B"), ("maximum_compare_and_write_length", "B"), ("optimal_transfer_length_granularity", "H"),
    ("maximum_transfer_length", "I"), ("optimal_transfer_length", "I"), ("maximum_prefetch_length", "I"),
    ("maximum_unmap_lba_count", "I"), ("maximum_unmap_block_descriptor_count", "I"),
    ("optimal_unmap_granularity", "I"), ("unmap_granularity_alignment", "I"),
    ("maximum_write_same_length", "Q"), ("_reserved", "20x"),
))
#: SBC-3 section 6.6.2.
BLOCK_DEVICE_CHARACTERISTICS: Final = Layout("Block Device Characteristics VPD page", 60, (
    ("medium_rotation_rate", "H"), ("product_type", "B"), ("erased", "B"), ("flags", "B"), ("_reserved", "55x"),
))
#: SBC-3 section 6.6.4.
LOGICAL_BLOCK_PROVISIONING: Final = Layout("Logical Block Provisioning VPD page", 4, (
    ("threshold_exponent", "B"), ("flags", "B"), ("provisioning_type", "B"), ("_reserved", "x"),
))
_NON_ROTATING: Final = 1
_WABEREQ_ZEROS: Final = 0x40  #: reads after SANITIZE BLOCK ERASE succeed; 0 without that command. WACEREQ is 0.
_FUAB: Final = 0x02  #: FUA and SYNCHRONIZE CACHE as SBC-3 has them
_VBULS: Final = 0x01  #: VERIFY compares unmapped blocks like others
_LBPU: Final = 0x80
_LBPWS: Final = 0x40
_LBPWS10: Final = 0x20
_LBPRZ: Final = 0x04
_THIN: Final = 2
#: QEMU (block/iscsi.c, seen with 7.2) asks for the status of 2^31 - 512 bytes when it knows an unmap granularity, and
#: aborts, guests and all, where that is no whole number of blocks. A granularity of 0 is not reported; it costs
#: nothing, as LOGICAL BLOCKS PER PHYSICAL BLOCK EXPONENT says the same.
_QEMU_SECTOR: Final = 512
_UGAVALID: Final = 0x8000_0000  #: the alignment, LBA 0, is valid


def _block_limits(lu: LogicalUnit) -> bytes:
    granularity = max(1, lu.store.physical_block_size >> lu.shift)
    reports_granularity = lu.block_size == _QEMU_SECTOR
    provisioning = {
        "maximum_unmap_lba_count": MAXIMUM_UNMAP >> lu.shift,
        "maximum_unmap_block_descriptor_count": MAXIMUM_UNMAP_DESCRIPTORS,
        "optimal_unmap_granularity": granularity if reports_granularity else 0,
        "unmap_granularity_alignment": _UGAVALID if reports_granularity else 0,
    } if lu.capabilities.discard else {}
    return BLOCK_LIMITS.pack(
        maximum_compare_and_write_length=MAXIMUM_COMPARE_AND_WRITE,
        optimal_transfer_length_granularity=min(granularity, 0xFFFF),
        maximum_transfer_length=MAXIMUM_TRANSFER >> lu.shift,
        optimal_transfer_length=OPTIMAL_TRANSFER >> lu.shift,
        maximum_write_same_length=MAXIMUM_WRITE_SAME >> lu.shift,
        **provisioning,
    )


def _block_device_characteristics(lu: LogicalUnit) -> bytes:
    """The rotation rate is not reported unless the medium is known not to rotate."""
    rate = _NON_ROTATING if lu.capabilities.rotational is False else 0
    erased = _WABEREQ_ZEROS if lu.capabilities.discard_zeroes else 0
    return BLOCK_DEVICE_CHARACTERISTICS.pack(medium_rotation_rate=rate, erased=erased, flags=_FUAB | _VBULS)


def threshold_exponent(lu: LogicalUnit) -> int:
    """Log2 of the blocks that count as one in log page 0Ch, so that 32 bits hold the capacity (SBC-3 section 6.6.4)."""
    return max(1, lu.blocks.bit_length() - 31)


def _logical_block_provisioning(lu: LogicalUnit) -> bytes:
    """THRESHOLD EXPONENT says in what log page 0Ch counts, where there is that page."""
    if not lu.capabilities.discard:
        return LOGICAL_BLOCK_PROVISIONING.pack()
    maps = lu.capabilities.discard_zeroes
    return LOGICAL_BLOCK_PROVISIONING.pack(
        threshold_exponent=threshold_exponent(lu) if maps else 0,
        flags=_LBPU | _LBPWS | (_LBPWS10 if unmaps_by_write_same_10(lu) else 0) | (_LBPRZ if maps else 0),
        provisioning_type=_THIN,
    )


#: In ascending order, as they are listed.
VPD_PAGES: Final[Mapping[int, VpdPage]] = MappingProxyType({page.code: page for page in (
    VpdPage(0x00, "Supported VPD Pages", _supported_pages, without_unit=True),
    VpdPage(0x80, "Unit Serial Number", _unit_serial_number),
    VpdPage(0x83, "Device Identification", _device_identification, by_port=True),
    VpdPage(0x85, "Management Network Addresses", _management_network_addresses),
    VpdPage(0x86, "Extended INQUIRY Data", _extended_inquiry_data),
    VpdPage(0x87, "Mode Page Policy", _mode_page_policy),
    VpdPage(0x88, "SCSI Ports", _scsi_ports),
    VpdPage(0x8F, "Third-party Copy", third_party_copy_page),
    VpdPage(0xB0, "Block Limits", _block_limits),
    VpdPage(0xB1, "Block Device Characteristics", _block_device_characteristics),
    VpdPage(0xB2, "Logical Block Provisioning", _logical_block_provisioning),
)})


def vital_product_data(lu: DeviceServer, code: int, target_port: int = FIRST_PORT) -> bytes:
    """The page with its header, told by ``target_port``. Raises INVALID FIELD IN CDB for one ``lu`` does not have."""
    page = VPD_PAGES.get(code)
    if page is None or (lu.peripheral and not page.without_unit):
        raise invalid_field(2)
    content = page.content(lu, target_port) if page.by_port else page.content(lu)
    return bytes((lu.peripheral, code)) + len(content).to_bytes(2, "big") + content
