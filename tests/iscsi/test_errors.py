"""Numbers of RFC 7143 sections 11.13.5, 11.17.1 and 11.4.7.2."""

from __future__ import annotations

import pytest

from ietpy.iscsi.errors import LoginStatus, RejectReason, ServiceFailure

STATUSES = (
    "0000 0101 0102 0200 0201 0202 0203 0204 0205 0206 0207 0208 0209 020a 020b 0300 0301 0302"
)


def test_login_statuses() -> None:
    assert [f"{status:04x}" for status in LoginStatus] == STATUSES.split()


@pytest.mark.rfc7143("11.17.1-1")
def test_reject_reasons() -> None:
    assert " ".join(f"{reason:02x}" for reason in RejectReason) == "02 03 04 05 06 07 08 09 0a 0c"


@pytest.mark.parametrize(("failure", "sense"), [
    (ServiceFailure.UNEXPECTED_UNSOLICITED_DATA, "0b 0c0c"),
    (ServiceFailure.INCORRECT_AMOUNT_OF_DATA, "0b 0c0d"),
    (ServiceFailure.CRC_ERROR, "0b 4705"),
    (ServiceFailure.SEQUENCE_ERROR, "0b 4b00"),
    (ServiceFailure.BIDIRECTIONAL, "05 0e03"),
    (ServiceFailure.SHORT_EXTENT, "03 1100"),
], ids=lambda value: getattr(value, "name", value))
def test_sense_of_the_transport(failure: ServiceFailure, sense: str) -> None:
    data = failure.sense(False)
    assert data[0] == 0x70
    assert f"{data[2]:02x} {data[12:14].hex()}" == sense
    data = failure.sense(True)
    assert data[0] == 0x72
    assert f"{data[1]:02x} {data[2:4].hex()}" == sense
