"""Identity as LunOption parameters: words where they make the same bytes, else bytes."""

from __future__ import annotations

import pytest
from hypothesis import given

from ietpy.migrate.ietd_identity import options_of, unknown, unsaid
from ietpy.migrate.model import Identity
from ietpy.scsi.identity import AS_IET, IdentityOptions, iet_identity
from ietpy.scsi.vpd import serial_field, unit_designators
from tests.migrate.models import IDENTITIES

T = "iqn.2001-04.com.example:a"
OWN = iet_identity(T, 0)
NAA = bytes.fromhex("0103000860014050aabbccdd")


@pytest.mark.parametrize(("identity", "options"), [
    (Identity(), AS_IET),
    (Identity(vendor=b"IET     ", product=b"VIRTUAL-DISK    ", revision=b"0   "), AS_IET),
    (Identity(vendor=b"LIO-ORG ", revision=b"4.0 "), IdentityOptions(vendor="LIO-ORG", revision="4.0")),
    (Identity(serial=b"0123456789abcdef"), IdentityOptions(serial="0123456789abcdef")),
    (Identity(serial=b"          beaf11"), IdentityOptions(serial="beaf11")),
    (Identity(serial=b"beaf11"), IdentityOptions(page_80=b"beaf11")),
    (Identity(serial=b"a,b".rjust(16)), IdentityOptions(page_80=b"a,b".rjust(16))),
    (Identity(serial=serial_field(OWN)), AS_IET),
    (Identity(designators=(NAA,)), IdentityOptions(page_83=NAA)),
    (Identity(designators=(unit_designators(OWN),)), AS_IET),
])
def test_what_has_to_be_said(identity: Identity, options: IdentityOptions) -> None:
    assert options_of(identity, T, 0) == options


@given(IDENTITIES)
def test_the_bytes_come_out(identity: Identity) -> None:
    made = iet_identity(T, 0, options=options_of(identity, T, 0))
    if identity.serial is not None:
        assert serial_field(made) == identity.serial
        assert unit_designators(made) == b"".join(identity.designators or ())
        assert made.vendor.ljust(8).encode() == identity.vendor


def test_what_cannot_be_said_and_what_is_not_known() -> None:
    assert unsaid(Identity(vendor=b"A,B     ", product=b"\0" * 16)) == ("vendor", "product")
    assert unknown(Identity(vendor=b"A       ")) == ("product", "revision", "VPD page 80h", "VPD page 83h")
