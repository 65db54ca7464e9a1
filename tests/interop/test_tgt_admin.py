"""The real ``tgt-admin --pretend`` reads what ``to_tgt`` writes, and would call tgtadm with what was meant."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

from ietpy.migrate import identities
from ietpy.migrate.model import OPEN, Account, Disk, Grant, Lun, Source, Store, Target
from ietpy.migrate.to_tgt import CONFIGURATION, to_tgt
from tests.interop.conftest import command

NAME = "iqn.2001-04.com.example:"


def options(line: str) -> list[str]:
    """Of a call of tgtadm, in alphabetical order: tgt-admin has them, like a LUN's parameters, in any."""
    words = re.sub(r" +", " ", line.partition("--lld iscsi ")[2]).strip()
    return sorted(f" {words}".replace('--blocksize="4096"', "--blocksize 4096").split(" --"))


def pretend(tmp_path: Path, source: Source) -> list[list[str]]:
    """The calls of tgtadm, each by its options."""
    file = tmp_path / CONFIGURATION
    file.write_text(to_tgt(source).files[CONFIGURATION])
    words = [command("tgt-admin"), "--pretend", "--execute", "--conf", str(file)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert "# Skipping" not in ended.stdout
    assert not [line for line in ended.stderr.splitlines() if not line.startswith("tgtadm: failed to send request")]
    return sorted(options(line) for line in ended.stdout.splitlines() if line.startswith("tgtadm"))


def test_tgt_admin_does_what_was_meant(tmp_path: Path) -> None:
    paths = []
    for name in ("a disk", "b+%@~:=.img", "c"):
        paths.append(tmp_path / name)
        paths[-1].write_bytes(bytes(1 << 20))
    first = Disk(
        Store.FILE, str(paths[0]), write_cache=True, unmap=True,
        identity=identities.tgt(3, 1, "my scsi id", "SN 1", "VENDOR", "A (B)-C+D", "1.0"),
    )
    second = Disk(Store.DIRECT, str(paths[1]), block_size=4096, read_only=True, removable=True)
    third = Disk(Store.FILE, str(paths[2]), write_cache=True)
    accounts = Account("joe.-+:@%/^", "one#two=three+^%@"), Account("jim", "jim-secret-12")
    source = Source("ietd", (
        Target(f"{NAME}first", (Lun(1, first), Lun(7, second)), (OPEN,), accounts, Account("us", "our-secret-12")),
        Target(
            f"{NAME}second", (Lun(0, third),), (Grant(networks=(ip_network("192.0.2.0/24"),)), Grant(("iqn.x:y",))),
            keys={"InitialR2T": "No", "MaxBurstLength": "262144"}, enabled=False,
        ),
        Target(f"{NAME}third", (Lun(2, replace(third, write_cache=False)),)),
    ))
    uncached = "mode_page=8:0:18:0x10:0:0xff:0xff:0:0:0xff:0xff:0xff:0xff:0x80:0x14:0:0:0:0:0:0"
    def lun(tid: int, number: int, *words: str) -> list[str]:
        return [f"--op update --mode logicalunit --tid {tid} --lun={number} --params {word}" for word in words]

    def user(tid: int, name: str, secret: str, *more: str) -> list[str]:
        new = f"--mode account --op new --user={name} --password={secret}"
        return [new, " ".join((f"--mode account --op bind --tid={tid} --user={name}", *more))]

    assert pretend(tmp_path, source) == sorted(options(f"--lld iscsi {words}") for words in (
        f"--op new --mode target --tid 3 -T {NAME}first",
        f'--op new --mode logicalunit --tid 3 --lun 1 -b "{paths[0]}"',
        *lun(3, 1, 'vendor_id="VENDOR"', 'product_id="A (B)-C+D"', 'product_rev="1.0"', 'scsi_id="my scsi id"',
             'scsi_sn="SN 1"', '"thin_provisioning=1"'),
        f'--op new --mode logicalunit --tid 3 --lun 7 -b "{paths[1]}" --blocksize 4096 --bsoflags direct',
        *lun(3, 7, uncached, 'removable="1"', 'readonly="1"'),
        *user(3, "joe.-+:@%/^", "one#two=three+^%@"),
        *user(3, "jim", "jim-secret-12"),
        *user(3, "us", "our-secret-12", "--outgoing"),
        "--op bind --mode target --tid 3 -I ALL",
        f"--op new --mode target --tid 1 -T {NAME}second",
        f'--op new --mode logicalunit --tid 1 --lun 1 -b "{paths[2]}"',
        *(f"--mode target --op update --tid 1 --name {word}" for word in (
            "InitialR2T --value No", "MaxBurstLength --value 262144", "state --value offline",
        )),
        "--op bind --mode target --tid 1 -I 192.0.2.0/24",
        "--op bind --mode target --tid 1 -Q iqn.x:y",
        f"--op new --mode target --tid 2 -T {NAME}third",
        f'--op new --mode logicalunit --tid 2 --lun 2 -b "{paths[2]}"',
        *lun(2, 2, uncached),
        "--op bind --mode target --tid 2 -I 255.255.255.255",
    ))
