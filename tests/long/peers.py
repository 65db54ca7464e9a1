"""Real targets of others beside ietpy: started on a free port of loopback, looked at, stopped by their pids.

Some of them break RFC 7143 where our initiator would say so and stop, so it looks at them forgivingly.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import free_port, put_down

from ietpy.cli.initiator_view import Seen, View, compare, seen
from ietpy.config.load import loads
from ietpy.config.model import Configuration
from ietpy.initiator.client import Client
from ietpy.initiator.errors import ConnectionLost
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.initiator.tasks import Response
from ietpy.iscsi.pdu import Opcode
from ietpy.migrate.model import Source
from ietpy.migrate.to_ietd import CONFIGURATION, to_ietd
from ietpy.scsi import lun as lun_field

ADDRESS = "127.0.0.1"
READS, FINAL, HAS_STATUS = 0xC1, 0x81, 0x01


class Plain(LoginPlan):
    """A login that says SessionType, which istgt wants to hear."""

    @property
    def names(self) -> dict[str, str]:
        return {**super().names, "SessionType": "Normal"}


class Lenient(Client):
    """Our initiator, which takes an answer for what it says: tgt counts ExpDataSN otherwise than RFC 7143."""

    def command(self, lun: int, cdb: bytes, *, read: int = 0, **_: Any) -> Response:
        self.send_pdu(self.make(
            Opcode.SCSI_COMMAND, flags=READS if read else FINAL, lun=lun_field.encode(lun),
            expected_data_transfer_length=read, cdb=cdb,
        ))
        data = bytearray()
        while True:
            pdu = self.receive_pdu(strict=False)
            if pdu.opcode == Opcode.DATA_IN:
                data[pdu.header["buffer_offset"]:] = pdu.data
                if not pdu.header["flags"] & HAS_STATUS:
                    continue
            elif pdu.opcode != Opcode.SCSI_RESPONSE:
                continue
            sense = b"" if pdu.opcode == Opcode.DATA_IN else pdu.data[2:]
            return Response(pdu.header["status"], sense, bytes(data))


def record(port: int, target: str, chap: Chap | None = None, digest: str = "None") -> dict[int, Seen]:
    """What the disks of a target say of themselves, by LUN."""
    with Lenient.connect(ADDRESS, port) as client:
        client.login(Plain(target=target, keys={"HeaderDigest": digest, "DataDigest": digest}, chap=chap))
        return {lun: seen(client, lun) for lun in client.report_luns() if client.inquiry(lun)[0] & 0x1F == 0}


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it accepts connections; the limit only bounds a failure."""
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(ConnectionLost):
            Client.connect(ADDRESS, port).close()
            return
        time.sleep(0.02)
    raise SystemExit(f"{process.args!r} does not listen on port {port}")


# -- tgt


@dataclass
class Tgt:
    """A running tgtd."""

    port: int
    control: str

    def admin(self, *words: str) -> str:
        command = ["tgtadm", "-C", self.control, "--lld", "iscsi", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def configure(self, file: Path) -> None:
        command = ["tgt-admin", "-C", self.control, "--execute", "--verbose", "--conf", str(file)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, cwd=file.parent)
        if ended.returncode or ended.stderr.strip() or "# Skipping" in ended.stdout:
            raise SystemExit(f"tgt-admin does not take {file}:\n{ended.stdout}{ended.stderr}")

    def open_up(self) -> list[str]:
        """Let everybody in, without a user; the names of the targets."""
        names = []
        shown = self.admin("--mode", "target", "--op", "show")
        for part in re.split(r"(?m)^(?=Target \d+:)", shown)[1:]:
            tid, name = re.match(r"Target (\d+): (\S+)", part).groups()  # type: ignore[union-attr]
            names.append(name)
            accounts = part.partition("Account information:\n")[2].partition("    ACL information:")[0]
            for line in accounts.splitlines():
                outgoing = ["--outgoing"] if "(outgoing)" in line else []
                user = line.replace("(outgoing)", "").strip()
                self.admin("--mode", "account", "--op", "unbind", "--tid", tid, "--user", user, *outgoing)
            if "ALL" not in part.partition("ACL information:")[2].split():
                self.admin("--mode", "target", "--op", "bind", "--tid", tid, "-I", "ALL")
        return names


@contextlib.contextmanager
def tgt(folder: Path) -> Iterator[Tgt]:
    """tgtd with a control socket of its own."""
    port, control = free_port(), str(10000 + free_port() % 20000)
    with (folder / "tgtd.log").open("ab") as log:
        command = ["tgtd", "-f", "--iscsi", f"portal={ADDRESS}:{port}", "-C", control]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    running = Tgt(port, control)
    try:
        wait_for(port, process)
        yield running
    finally:
        for end in ("tgt-admin -C {} --force --delete ALL", "tgtadm -C {} --op delete --mode system"):
            subprocess.run(end.format(control).split(), check=False, capture_output=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        put_down(process)


# -- istgt


@contextlib.contextmanager
def istgt(config: Path, port: int) -> Iterator[int]:
    """istgt on the port its configuration names."""
    with (config.parent / "istgt.log").open("ab") as log:
        process = subprocess.Popen(["istgt", "-D", "-c", str(config)], stdout=log, stderr=log)
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        put_down(process)


# -- the comparison


def imported(source: Source) -> Configuration:
    """What ``ietpy import`` makes of it."""
    written = to_ietd(source, os.sep + "nowhere")
    return loads(written.files[CONFIGURATION], CONFIGURATION)


def look(source: Source) -> View:
    """What initiators see of the imported configuration, over scratch images of the same sizes."""
    view = compare(source, imported(source), scratch=True)
    if view.problems:
        raise SystemExit("FAIL: not served: " + "; ".join(map(str, view.problems)))
    return view


def judge(theirs: Mapping[str, Mapping[int, Seen]], view: View, kept: Callable[[Seen], Seen] = lambda one: one) -> int:
    """Every disk of theirs is ours, by the same LUN, the same to the last byte; how many they are.

    ``kept``: a disk with the facts that are compared.
    """
    count = 0
    ours = {(row.target, row.lun): row.after and kept(row.after) for row in view.rows}
    for target, disks in theirs.items():
        for number, one in disks.items():
            disk = kept(one)
            if ours.get((target, number)) != disk:
                raise SystemExit(f"FAIL: LUN {number} of {target}:\n  was {disk}\n  is  {ours.get((target, number))}")
            count += 1
    if len(ours) != count:
        raise SystemExit(f"FAIL: LUNs that were not there: {sorted(ours.keys())}")
    return count
