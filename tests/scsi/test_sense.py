"""Sense data byte for byte (SPC-4 section 4.5)."""

from __future__ import annotations

import errno

import pytest

from ietpy.errors import StoreError
from ietpy.scsi.asc import Asc
from ietpy.scsi.sense import CheckCondition, invalid_field, invalid_parameter, list_length_error, store_failure
from ietpy.scsi.status import SenseKey

RANGE = (SenseKey.ILLEGAL_REQUEST, Asc.LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE)


@pytest.mark.parametrize(("condition", "fixed", "descriptors"), [
    pytest.param(
        CheckCondition(SenseKey.NO_SENSE, Asc.NO_ADDITIONAL_SENSE_INFORMATION),
        "70 00 00 00000000 0A 00000000 0000 00 000000", "72 00 0000 000000 00", id="NO SENSE",
    ),
    pytest.param(
        CheckCondition(*RANGE, information=0x800),
        "F0 00 05 00000800 0A 00000000 2100 00 000000",
        "72 05 2100 000000 0C  00 0A 80 00 0000000000000800", id="INFORMATION",
    ),
    pytest.param(
        CheckCondition(*RANGE, information=0x1_0000_0000),
        "70 00 05 00000000 0A 00000000 2100 00 000000",
        "72 05 2100 000000 0C  00 0A 80 00 0000000100000000", id="INFORMATION beyond four bytes is not VALID",
    ),
    pytest.param(
        invalid_field(1, 7),
        "70 00 05 00000000 0A 00000000 2400 00 CF0001",
        "72 05 2400 000000 08  02 06 0000 CF0001 00", id="field pointer with bit",
    ),
    pytest.param(
        invalid_field(2), "70 00 05 00000000 0A 00000000 2400 00 C00002",
        "72 05 2400 000000 08  02 06 0000 C00002 00", id="field pointer to a whole byte",
    ),
    pytest.param(
        invalid_parameter(0x104, 3), "70 00 05 00000000 0A 00000000 2600 00 8B0104",
        "72 05 2600 000000 08  02 06 0000 8B0104 00", id="field pointer into the parameter list",
    ),
    pytest.param(
        CheckCondition(
            SenseKey.COPY_ABORTED, Asc.THIRD_PARTY_DEVICE_FAILURE, field=(16, None), in_cdb=False, information=5,
            segment=3,
        ),
        "F0 00 0A 00000005 0A 00000003 0D01 00 800010",
        "72 0A 0D01 000000 20  00 0A 80 00 0000000000000005  01 0A 0000 0000 0003 00000000  02 06 0000 800010 00",
        id="a segment of a copy",
    ),
    pytest.param(
        CheckCondition(SenseKey.COPY_ABORTED, Asc.COPY_TARGET_DEVICE_NOT_REACHABLE, segment=3),
        "70 00 0A 00000000 0A 00000003 0D02 00 000000",
        "72 0A 0D02 000000 0C  01 0A 0000 0000 0003 00000000", id="a segment of which nothing was copied",
    ),
    pytest.param(
        list_length_error(), "70 00 05 00000000 0A 00000000 1A00 00 000000", "72 05 1A00 000000 00",
        id="PARAMETER LIST LENGTH ERROR",
    ),
])
def test_formats(condition: CheckCondition, fixed: str, descriptors: str) -> None:
    assert condition.fixed() == bytes.fromhex(fixed)
    assert condition.descriptors() == bytes.fromhex(descriptors)


def test_it_reads_as_a_sentence() -> None:
    assert str(invalid_field(2)) == "ILLEGAL REQUEST: INVALID FIELD IN CDB"


@pytest.mark.parametrize(("number", "writing", "key", "asc"), [
    (errno.EIO, False, SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR),
    (errno.EIO, True, SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR),
    (errno.ENOSPC, True, SenseKey.DATA_PROTECT, Asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT),
    (errno.EDQUOT, True, SenseKey.DATA_PROTECT, Asc.SPACE_ALLOCATION_FAILED_WRITE_PROTECT),
    (errno.ENOSPC, False, SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR),
    (errno.EDQUOT, False, SenseKey.MEDIUM_ERROR, Asc.UNRECOVERED_READ_ERROR),
    (errno.EROFS, True, SenseKey.DATA_PROTECT, Asc.WRITE_PROTECTED),
    (errno.EBADF, True, SenseKey.HARDWARE_ERROR, Asc.INTERNAL_TARGET_FAILURE),
    (errno.ENODEV, False, SenseKey.NOT_READY, Asc.LOGICAL_UNIT_NOT_READY_CAUSE_NOT_REPORTABLE),
    (12345, True, SenseKey.MEDIUM_ERROR, Asc.WRITE_ERROR),
])
def test_what_a_store_failure_is(number: int, writing: bool, key: SenseKey, asc: Asc) -> None:
    condition = store_failure(StoreError(number, "no"), writing)
    assert (condition.key, condition.asc) == (key, asc)
