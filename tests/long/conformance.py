"""libiscsi's conformance suite (iscsi-test-cu 1.19) on every kind of LUN: how it is run, what may be left out, and why.

One process runs all tests of a flavour. Each test is a suite of its own in it (a list file as ``--test``), so each has
fresh sessions: with two URLs some tests leave their second session reserved or with unit attentions for the next one.
``--Verbose-scsi`` is given because some tests pass without having done anything; only the log tells.
"""

from __future__ import annotations

import fnmatch
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import MIB

PROGRAM = "iscsi-test-cu"
INITIATORS = "iqn.2001-04.com.example:one", "iqn.2001-04.com.example:two"
LIMIT = 120  #: seconds one process may take
#: More than MAXIMUM WRITE SAME LENGTH (256 MiB), fewer than 2^21 blocks of 512: else some tests leave a part out.
SIZE = 288 * MIB
_FLAT = 0x4000  #: flat space addressing; the suite puts the number of its URL into the LUN field as it is

PASSED, SKIPPED, FAILED, NOT_RUN = "passed", "skipped", "failed", "not run"


@dataclass(frozen=True, slots=True)
class Flavour:
    """A kind of LUN. ``only``, ``without``: patterns of the tests that apply, and of those that do not ``because``."""

    name: str
    says: str
    parameters: str = "Path={medium},Type=fileio"
    option: str = ""  #: what a LunOption line says
    number: int = 0
    block: int = 512
    physical: int = 4096
    loop: int = 0  #: sectors of the loop device below it, in bytes; 0: a file, or nothing
    writable: bool = True
    swp: bool = False  #: write-protected by MODE SELECT before the suite starts
    waits: bool = True  #: for a device, when it writes
    zeros: bool = True  #: unmapped blocks read as zeros (LBPRZ)
    thin: bool = True  #: LBPME
    removable: bool = False
    only: str = "*"
    without: str = ""
    because: str = ""

    @property
    def lun(self) -> int:
        """The number for the suite's URL."""
        return self.number if self.number < 256 else _FLAT | self.number

    def lines(self, medium: str) -> str:
        """Below the Target line of ietd.conf."""
        option = f"\tLunOption {self.number} {self.option}\n" if self.option else ""
        return f"\tLun {self.number} {self.parameters.format(medium=medium)}\n{option}"


_WRITING = (
    "CompareAndWrite.* ExtendedCopy.* ModeSense6.Control-SWP OrWrite.* ProutReserve.Access* Sanitize.* Write* "
    "ReceiveCopyResults.CopyStatus iSCSIResiduals.Write* iSCSIdatasn.* iSCSITMF.* MultipathIO.Simple "
    "MultipathIO.Compare*"
)
_READING_BACK = (
    "CompareAndWrite.* ExtendedCopy.Simple OrWrite.* Sanitize.Overwrite Sanitize.BlockErase WriteSame*.Check "
    "WriteVerify* iSCSIResiduals.Write* MultipathIO.Simple MultipathIO.Compare*"
)
FLAVOURS = (
    Flavour("wt", "fileio, write-through, blocks of 512"),
    Flavour("wb", "fileio, write-back", "Path={medium},Type=fileio,IOMode=wb", waits=False),
    Flavour("1024", "fileio, blocks of 1024", "Path={medium},Type=fileio,BlockSize=1024", block=1024),
    Flavour("2048", "fileio, blocks of 2048", "Path={medium},Type=fileio,BlockSize=2048", block=2048),
    Flavour("4096", "fileio, blocks of 4096", "Path={medium},Type=fileio,BlockSize=4096", block=4096),
    Flavour("b512", "blockio on a loop device, sectors of 512", "Path={medium},Type=blockio",
            physical=512, loop=512, zeros=False),
    Flavour("b4096", "blockio on a loop device, sectors of 4096", "Path={medium},Type=blockio",
            block=4096, loop=4096, zeros=False),
    Flavour("dev", "fileio on a loop device, sectors of 4096, blocks of 512", "Path={medium},Type=fileio,BlockSize=512",
            loop=4096, zeros=False),
    Flavour("rmb", "fileio, removable", option="Removable=Yes", removable=True),
    Flavour("300", "fileio, LUN 300 (flat space addressing)", number=300),
    Flavour("ro", "fileio, IOMode=ro", "Path={medium},Type=fileio,IOMode=ro", writable=False, thin=False,
            without=_WRITING, because="writes"),
    Flavour("swp", "fileio, write-protected by SWP", writable=False, swp=True, without=_WRITING, because="writes"),
    Flavour("null", "nullio", f"Type=nullio,Blocks={SIZE // 512}", physical=512, waits=False, thin=False,
            without=_READING_BACK, because="reads back what it has written"),
    Flavour("big", "fileio, so large that overwriting it takes seconds", only="Sanitize.Reset",
            because="big is for Sanitize.Reset alone."),
)

Where = Callable[[Flavour], bool]


@dataclass(frozen=True, slots=True)
class Exemption:
    """``tests``: patterns; ``where``: of which flavours it is so; ``remark``: an expression for what the suite says."""

    tests: str
    why: str
    where: Where = lambda flavour: True
    remark: str = ""

    def covers(self, test: str, flavour: Flavour, remark: str = "") -> bool:
        return matches(test, self.tests) and self.where(flavour) and re.search(self.remark, remark) is not None


def matches(test: str, patterns: str) -> bool:
    return any(fnmatch.fnmatchcase(test, pattern) for pattern in patterns.split())


#: Tests that may be skipped everywhere.
ALLOWED = (
    Exemption("Sanitize.CryptoErase", "nothing is encrypted, so there is no key to throw away: refused",
              remark="CRYPTO_ERASE is not implemented"),
    Exemption("WriteAtomic16.*", "no journal makes a write atomic when power is cut: refused",
              remark="WRITEATOMIC16 is not implemented"),
)

#: Skips that are right, because the test is for another flavour.
EXCUSED = (
    Exemption("NoMedia.* PreventAllow.* StartStopUnit.*", "for removable media",
              lambda f: not f.removable, "(?i)not removable"),
    Exemption("ReadOnly.*", "for write-protected units", lambda f: f.writable, "not write-protected"),
    Exemption("*", "for thin provisioning", lambda f: not f.thin,
              "fully provisioned|does not have LBP|(UNMAP|GETLBASTATUS|BLOCK_ERASE) is not implemented"),
    Exemption("*", "for several logical blocks in a physical one", lambda f: f.physical <= f.block, "LBPPB < 2"),
    Exemption("GetLBAStatus.*", "a device does not tell what is mapped",
              lambda f: not f.zeros, "GETLBASTATUS is not implemented"),
    Exemption("WriteSame1?.*", "where LBPRZ is 1 the suite wants blocks unmapped that have to be written, so WRITE "
              "SAME(10) unmaps only where it is 0", lambda f: f.zeros and f.thin, "does not have LBPWS10"),
    Exemption("Sanitize.BlockErase", "a device tells neither what is unmapped nor that it reads as zeros: refused",
              lambda f: not f.zeros, "BLOCK_ERASE is not implemented"),
)

#: Parts that a test leaves out and passes for the rest.
PARTS = (
    Exemption("Sanitize.Readonly Sanitize.Reservations", ALLOWED[0].why, remark="CRYPTO_ERASE is not implemented"),
    Exemption("Sanitize.Readonly Sanitize.Reservations", EXCUSED[-1].why, lambda f: not f.zeros or not f.thin,
              "BLOCK_ERASE is not implemented"),
    Exemption("ReadOnly.ReadOnlySBC", "nothing can be unmapped", lambda f: not f.thin, "UNMAP is not implemented"),
)

#: Tests with a process of their own and one URL. The first run in it fails whatever the answer, so there are two.
ALONE = {
    "iSCSITMF.LUNResetSimpleAsync": "it asserts a flag of its own before the response that sets it can have come; a "
    "second run finds it set if the first one's response came before that of the logout behind it, so where writes "
    "never wait",
}

#: Tests that are not started, because they are wrong about a flavour.
LEFT_OUT = (
    Exemption("Sanitize.Reset", "it wants an overwrite that takes more than 4 seconds", lambda f: f.name != "big"),
    Exemption("GetLBAStatus.UnmapSingle", "it asks for LBA i + 1 and wants the descriptor of i + (blocks in a physical "
              "one)", lambda f: f.physical > f.block),
    Exemption("WriteSame16.Unmap", "it writes 65536 blocks at once, whatever MAXIMUM TRANSFER LENGTH is",
              lambda f: f.block > 512),
    Exemption("MultipathIO.CompareAndWriteAsync", "it overruns its own buffers, which are for two blocks of 512",
              lambda f: f.block > 1024),
    *(Exemption(test, why, lambda f: f.waits) for test, why in ALONE.items()),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """``remarks``: why it failed or was skipped, or which parts a test left out that passed."""

    kind: str
    remarks: tuple[str, ...] = ()


def tests() -> list[str]:
    """All tests, ``SUITE.TEST``, in the suite's order; its other families repeat them."""
    listed = subprocess.run([PROGRAM, "--list"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^ALL\.([^.\n]+\.[^.\n]+)$", listed, re.MULTILINE)


def left_out(test: str, flavour: Flavour) -> str:
    """Why the test is not started; empty if it is."""
    if not matches(test, flavour.only) or matches(test, flavour.without):
        return flavour.because
    return next((row.why for row in LEFT_OUT if row.covers(test, flavour)), "")


def command(urls: Sequence[str], tests: Path | str) -> list[str]:
    options = ["--dataloss", "--allow-sanitize", "--Verbose-scsi", "--test", str(tests)]
    return [PROGRAM, *options, "--initiator-name", INITIATORS[0], "--initiator-name-2", INITIATORS[1], *urls]


def run(
    wanted: Sequence[str], flavour: Flavour, urls: Sequence[str], log: Path, *, apart: Sequence[str] = ()
) -> dict[str, Outcome]:
    """What became of each test; what the suite said is in ``log``. ``apart``: with another process each."""
    outcomes = _process([test for test in wanted if test not in {*ALONE, *apart}], flavour, urls, log)
    for test in apart:
        outcomes |= _process([test], flavour, urls, log.with_name(f"{log.name}.{test}"))
    for test in [test for test in wanted if test in ALONE]:
        outcomes |= _process([test, test], flavour, urls[:1], log.with_name(f"{log.name}.{test}"))
    return outcomes


def _process(listed: Sequence[str], flavour: Flavour, urls: Sequence[str], log: Path) -> dict[str, Outcome]:
    """The last outcome of each test in the list."""
    listing = log.with_name(f"{log.name}.tests")
    listing.write_text("".join(f"ALL.{test}\n" for test in listed))
    with log.open("w") as said:
        process = subprocess.Popen(command(urls, listing), stdout=said, stderr=subprocess.STDOUT)
        try:
            end = f"the suite ended with status {process.wait(LIMIT)}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            end = f"no end after {LIMIT} s"
    text = log.read_text(errors="replace")
    found = list(_parse(text, flavour))
    ran = re.search(r"^ +tests +(\d+) +(\d+) +(\d+) +(\d+) ", text, re.MULTILINE)
    if ran is not None:
        failures = sum(outcome.kind == FAILED for _, outcome in found)
        if [*map(int, ran.groups())] != [len(listed), len(listed), len(listed) - failures, failures]:
            raise SystemExit(f"{log}: the summary is {ran[0].split()}, read were {len(found)}, {failures} failed")
    return {test: Outcome(FAILED, (f"not reached: {end}",)) for test in listed} | dict(found)


def _parse(text: str, flavour: Flavour) -> Iterator[tuple[str, Outcome]]:
    for part in re.split(r"^Suite: ", text, flags=re.MULTILINE)[1:]:
        suite, _, rest = part.partition("\n")
        name, _, rest = rest.partition("Test: ")[2].partition(" ...")
        test = f"{suite}.{name}"
        yield test, _outcome(test, rest, flavour)


def _outcome(test: str, said: str, flavour: Flavour) -> Outcome:
    """``said``: the log of the test, its verdict, and the log of the clean-up behind it."""
    verdict = re.search(r"^(passed|FAILED)", said, re.MULTILINE)
    if verdict is None:
        return Outcome(FAILED, ("the suite ended or hung in it",))
    log = [" ".join(line.split()) for line in said[: verdict.start()].splitlines() if line.strip()]
    if verdict[1] == "FAILED":
        asserted = re.findall(r"^ +\d+\. (\S+) +- +(.*?)(?:    .*)?$", said[verdict.end():], re.MULTILINE)
        complaints = [line for line in log if "[FAILED]" in line]
        return Outcome(FAILED, (*complaints[:1], ": ".join(asserted[0])))
    if not log:
        return Outcome(SKIPPED, ("in silence: nothing was sent",))
    remarks = tuple(dict.fromkeys(line.removeprefix("[SKIPPED] ") for line in log if "[SKIPPED]" in line))
    parts = [remark for remark in remarks if any(row.covers(test, flavour, remark) for row in PARTS)]
    worked = any("[OK]" in line for line in log)
    return Outcome(PASSED if len(parts) == len(remarks) and (worked or not remarks) else SKIPPED, remarks)


def excuse(test: str, flavour: Flavour, outcome: Outcome) -> str:
    """Why a skip is right; empty if it is not."""
    rows = (row for row in (*ALLOWED, *EXCUSED) for remark in outcome.remarks if row.covers(test, flavour, remark))
    return next((row.why for row in rows), "")


def misses(columns: dict[Flavour, dict[str, Outcome]]) -> list[str]:
    """What keeps the bar from being met. ``columns``: all flavours, or those a developer asked for."""
    found = []
    for flavour, outcomes in columns.items():
        for test, outcome in outcomes.items():
            if outcome.kind == FAILED:
                found.append(f"{test} fails on {flavour.name}: {'; '.join(outcome.remarks)}")
            elif outcome.kind == SKIPPED and not excuse(test, flavour, outcome):
                found.append(f"{test} is skipped on {flavour.name}: {'; '.join(outcome.remarks)}")
    if len(columns) == len(FLAVOURS):
        passed = {test for outcomes in columns.values() for test, outcome in outcomes.items() if outcome.kind == PASSED}
        free = " ".join(row.tests for row in ALLOWED)
        found += [f"{test} passes nowhere" for test in tests() if test not in passed and not matches(test, free)]
    return found
