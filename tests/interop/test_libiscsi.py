"""libiscsi's tools and conformance tests against the daemon: what initiators built on it see."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TARGET = "iqn.2001-04.com.example:storage.disk2.sys1.xyz"  #: the design's vector of frozen identities
OTHER = "iqn.2001-04.com.example:other"
MIB = 1 << 20

#: VPD pages by number, and what iscsi-inq must say about each.
VPD_PAGES = {
    0x00: ["Page:0x80 UNIT_SERIAL_NUMBER", "Page:0x83 DEVICE_IDENTIFICATION", "Page:0xb0 BLOCK_LIMITS"],
    0x80: ["Unit Serial Number:[ec9c13110abbc543ab448c602bef9852]"],
    # iscsi-inq prints designators last first: IET's, the only one of the logical unit, is the first on the page.
    0x83: ["Association:(0) LOGICAL_UNIT\nDesignator Type:(1) T10_VENDORT_ID\nDesignator:[IET]\n"],
    0xB0: ["optimal unmap granularity:", "maximum write same length:"],
    0xB1: ["Medium Rotation Rate:0RPM"],
    0xB2: ["lbpu:1\n", "lbpws:1\n", "lbpws10:0\n", "lbprz:1\n"],
}

#: Suites of which every test passes: a regression list. What else there is, and why it is not here: docs/proofs.md.
PASSING = (
    "SCSI.Inquiry",
    "SCSI.Mandatory",
    "SCSI.ModeSense6",
    "SCSI.Read6",
    "SCSI.Read10",
    "SCSI.Read12",
    "SCSI.Read16",
    "SCSI.ReadCapacity10",
    "SCSI.ReadCapacity16",
    "SCSI.ReportSupportedOpcodes",
    "SCSI.Reserve6",
    "SCSI.TestUnitReady",
    "SCSI.Unmap",
    "SCSI.Verify10",
    "SCSI.Verify12",
    "SCSI.Verify16",
    "SCSI.Write10",
    "SCSI.Write12",
    "SCSI.Write16",
    "SCSI.WriteVerify10",
    "SCSI.WriteVerify12",
    "SCSI.WriteVerify16",
    "iSCSI.iSCSIcmdsn",
    "iSCSI.iSCSIdatasn",
    "iSCSI.iSCSIResiduals",
    "iSCSI.iSCSITMF",
)

Serve = Callable[..., Any]
Run = Callable[..., Any]
Image = Callable[..., Path]


@pytest.fixture(scope="module")
def disk(serve_module: Serve, image: Image) -> Any:
    """A daemon with a fileio LUN of 64 MiB at TARGET, and two more of other sizes."""
    small, big = image("small.img", 3 * MIB), image("big.img", 1024 * MIB)
    return serve_module(
        f"Target {TARGET}\n\tLun 0 Path={image('disk.img', 64 * MIB)},Type=fileio\n"
        f"\tLun 7 Path={small},Type=fileio,IOMode=ro,BlockSize=4096\n"
        f"Target {OTHER}\n\tLun 0 Path={big},Type=fileio,ScsiId=xyz,ScsiSN=serial-1\n"
    )


def test_discovery_lists_targets_and_sizes(disk: Any, run: Run) -> None:
    lines = run("iscsi-ls", "-s", disk.portal()).stdout.splitlines()
    portal = f"Portal:127.0.0.1:{disk.port},1"
    # iscsi-ls rounds the last block's address down, hence one MiB less than there is.
    expected = {
        TARGET: ["Lun:0    Type:DIRECT_ACCESS (Size:63M)", "Lun:7    Type:DIRECT_ACCESS (Size:2M)"],
        OTHER: ["Lun:0    Type:DIRECT_ACCESS (Size:1023M)"],
    }
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.startswith("Target:"):
            name, where = line.removeprefix("Target:").split(" ")
            assert where == portal
            luns = found.setdefault(name, [])
        else:
            luns.append(line.strip())
    assert found == expected


def test_standard_inquiry_is_iets(disk: Any, run: Run) -> None:
    lines = run("iscsi-inq", disk.url(TARGET)).stdout.splitlines()
    for line in ("Vendor:IET     ", "Product:VIRTUAL-DISK    ", "Revision:0   ", "CmdQue:1",
                 "Peripheral Device Type:DIRECT_ACCESS", "Removable:0"):  # fmt: skip
        assert line in lines


@pytest.mark.parametrize("page", VPD_PAGES, ids=lambda page: f"{page:02X}h")
def test_vital_product_data(disk: Any, run: Run, page: int) -> None:
    answer = run("iscsi-inq", "-e", 1, "-c", page, disk.url(TARGET)).stdout
    for words in VPD_PAGES[page]:
        assert words in answer


def test_default_serial_is_the_hash_of_name_and_lun(disk: Any, run: Run) -> None:
    serial = hashlib.md5(TARGET.encode() + (7).to_bytes(4, "little")).hexdigest()
    assert f"Unit Serial Number:[{serial}]" in run("iscsi-inq", "-e", 1, "-c", 0x80, disk.url(TARGET, 7)).stdout
    # Right-aligned in at least 16 bytes, as IET did.
    assert "Unit Serial Number:[        serial-1]" in run("iscsi-inq", "-e", 1, "-c", 0x80, disk.url(OTHER)).stdout


@pytest.mark.parametrize(
    ("target", "lun", "blocks", "block_size"),
    [(TARGET, 0, 131072, 512), (TARGET, 7, 768, 4096), (OTHER, 0, 2097152, 512)],
)
def test_capacity(disk: Any, run: Run, target: str, lun: int, blocks: int, block_size: int) -> None:
    lines = run("iscsi-readcapacity16", disk.url(target, lun)).stdout.splitlines()
    assert f"RETURNED LOGICAL BLOCK ADDRESS:{blocks - 1}" in lines
    assert f"LOGICAL BLOCK LENGTH IN BYTES:{block_size}" in lines
    assert f"Total size:{blocks * block_size}" in lines


def test_software_write_protect_is_kept_between_sessions(disk: Any, run: Run) -> None:
    url = disk.url(TARGET)
    before = [run("iscsi-swp", url).stdout]
    for setting in ("on", "off"):
        run("iscsi-swp", "-s", setting, url)
        before.append(run("iscsi-swp", url).stdout)
    assert before == ["SWP:0\n", "SWP:1\n", "SWP:0\n"]


# -- iscsi-test-cu -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", PASSING)
def test_conformance(disk: Any, run: Run, suite: str) -> None:
    # One process per suite: CompareAndWrite.InvalidDataOutSize, skipped, leaves a hook behind that changes CDBs.
    answer = run("iscsi-test-cu", "--dataloss", "--fail", "--test", suite, disk.url(TARGET)).stdout
    results = [line for line in answer.splitlines() if line.split() and line.split()[0] == "tests"]
    assert len(results) == 1, answer
    total, ran, passed, failed = map(int, results[0].split()[1:5])
    assert total > 0, answer
    assert (ran, passed, failed) == (total, total, 0), answer
    # Skipped tests count as passed. Before and after, every run looks for persistent reservations.
    skipped = [line for line in answer.partition("Suite:")[2].splitlines() if "[SKIPPED]" in line]
    assert [line for line in skipped if "PERSISTENT RESERVE IN" not in line] == [], answer
