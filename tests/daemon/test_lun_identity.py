"""What a file says about the identity of a LUN is what its logical unit says."""

from __future__ import annotations

import threading

import pytest

from ietpy.config.load import loads
from ietpy.daemon.assemble import logical_unit
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import Identity, iet_identity
from ietpy.stores import open_store

NAME = "iqn.2001-04.com.example:T"


@pytest.mark.parametrize(("lines", "identity"), [
    ("", iet_identity(NAME, 3)),
    (",ScsiId=id,ScsiSN=sn", iet_identity(NAME, 3, b"id", "sn")),
    (
        ",ScsiId=id,ScsiSN=sn\nLunOption 3 Naa=5001405123456789,Eui=0014051234567890\n"
        f"LunOption 3 Vendor=ACME,Product=disk,Revision=1,Serial={'s' * 40}",
        Identity(
            "ACME", "disk", "1", "s" * 40, b"id".ljust(16, b"\0"),
            bytes.fromhex("5001405123456789"), bytes.fromhex("0014051234567890"),
        ),
    ),
    (
        "\nLunOption 3 Serial=unheard,Page80=2020736E00,Page83=020100044142434401030008300000010000000F",
        Identity(
            "IET", "VIRTUAL-DISK", "0", "sn", iet_identity(NAME, 3).device_id, page_80=b"  sn\0",
            page_83=bytes.fromhex("0201000441424344 01030008300000010000000F"),
        ),
    ),
], ids=["as IET", "ScsiId and ScsiSN", "LunOption", "pages of another target"])
def test_identity(lines: str, identity: Identity) -> None:
    (target,) = loads(f"Target {NAME}\nLun 3 Type=nullio{lines}\n").targets
    store = open_store("nullio", "")
    assert logical_unit(ScsiDevice(target.name, threading.RLock()), target.luns[0], store).identity == identity
    store.close()
