"""IET's identity, the vectors of iet-compat 7.4."""

from __future__ import annotations

import pytest

from ietpy.scsi.identity import AS_IET, Identity, IdentityOptions, iet_identity


@pytest.mark.parametrize(("name", "lun", "identifier"), [
    ("iqn.2001-04.com.example:storage.disk2.sys1.xyz", 0, "ec9c13110abbc543ab448c602bef9852"),
    ("iqn.2001-04.com.example:storage.disk2.sys1.xyz", 1, "9771fb5e93610e7e0f7adce6d8462429"),
    ("IQN.2001-04.com.example:Storage", 0, "29667d89707c1f461857de8eb5c48f37"),
    ("iqn.2017-01.com.attava:target00", 0, "aa262651c723ea6f92ce2f042154fffe"),
    ("iqn.2001-04.com.example:t", 300, "2dcbc668f961ad0f6a0b8d6ac0ff2b89"),
    ("test", 0, "706092f5372167d10ab2119156edb1f4"),
    ("iqn.2001-04.com.example:storage.lun1", 1, "3592265eae69d00a6e8560cd2833744e"),
])
def test_default_identity_is_the_hash_of_name_and_number(name: str, lun: int, identifier: str) -> None:
    identity = iet_identity(name, lun)
    assert identity.device_id.hex() == identifier
    assert identity.serial == identifier
    assert (identity.vendor, identity.product, identity.revision) == ("IET", "VIRTUAL-DISK", "0")


@pytest.mark.parametrize(("scsi_id", "identifier"), [
    pytest.param(b"xyz", "78797a00000000000000000000000000", id="padded with NUL"),
    pytest.param(b"hosta_iscsi", "686f7374615f69736373690000000000", id="as captured"),
    pytest.param(b"0123456789abcdef", "30313233343536373839616263646566", id="16 bytes"),
    pytest.param(b"0123456789abcdefgh", "30313233343536373839616263646566", id="cut to 16 bytes"),
])
def test_scsi_id_replaces_the_hash_and_is_the_default_serial(scsi_id: bytes, identifier: str) -> None:
    identity = iet_identity("iqn.x", 0, scsi_id)
    assert identity.device_id.hex() == identifier
    assert identity.serial == identifier


def test_scsi_sn_is_the_serial_and_leaves_the_identifier() -> None:
    assert iet_identity("test", 0, scsi_sn="disk-7").serial == "disk-7"
    assert iet_identity("test", 0, scsi_sn="disk-7").device_id.hex() == "706092f5372167d10ab2119156edb1f4"


ALL = IdentityOptions(b"N" * 16, b"E" * 8, "ACME", "disk", "1.0", "s" * 40)


@pytest.mark.parametrize(("options", "identity"), [
    pytest.param(AS_IET, Identity("IET", "VIRTUAL-DISK", "0", "sn", b"id".ljust(16, b"\0")), id="nothing"),
    pytest.param(
        ALL, Identity("ACME", "disk", "1.0", "s" * 40, b"id".ljust(16, b"\0"), b"N" * 16, b"E" * 8), id="everything"
    ),
    pytest.param(
        IdentityOptions(naa=b"N" * 8),
        Identity("IET", "VIRTUAL-DISK", "0", "sn", b"id".ljust(16, b"\0"), b"N" * 8),
        id="a designator leaves the rest",
    ),
    pytest.param(
        IdentityOptions(serial="unheard", page_80=b"  beaf11\0", page_83=b"\2\1\0\1A"),
        Identity(
            "IET", "VIRTUAL-DISK", "0", "beaf11", b"id".ljust(16, b"\0"), page_80=b"  beaf11\0", page_83=b"\2\1\0\1A"
        ),
        id="pages say the serial number and leave the rest",
    ),
])
def test_options_replace_what_they_name_and_nothing_else(options: IdentityOptions, identity: Identity) -> None:
    assert iet_identity("iqn.x", 0, b"id", "sn", options) == identity
