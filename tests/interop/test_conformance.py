"""libiscsi's conformance suite on a fileio LUN: no test fails, and those not run are these. All kinds of LUN, and why a
test does not run on one: ``tests/long/test-cu``, which this runs, and ``docs/conformance.md``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.interop.conftest import command

SCRIPT = Path(__file__).parents[1] / "long" / "test-cu"
LIMIT = 110  #: seconds; it takes 40

#: Number of tests in libiscsi 1.19.
TESTS = 230
#: Only a removable, write-protected, encrypted or journalled LUN, or one without LBPRZ, has these.
SKIPPED = {
    "NoMedia": ["NoMediaSBC"],
    "PreventAllow": [
        "Simple", "Eject", "ITNexusLoss", "Logout", "WarmReset", "ColdReset", "LUNReset", "2ITNexuses",
    ],
    "ReadOnly": ["ReadOnlySBC"],
    "Sanitize": ["CryptoErase"],
    "StartStopUnit": ["Simple", "PwrCnd", "NoLoej"],
    "WriteAtomic16": ["Simple", "BeyondEol", "ZeroBlocks", "WriteProtect", "DpoFua", "VPD"],
    "WriteSame10": ["Unmap", "UnmapUnaligned", "UnmapUntilEnd", "InvalidDataOutSize"],
    "WriteSame16": ["InvalidDataOutSize"],
}
#: Not started: what they ask of such a LUN is wrong, or takes minutes.
NOT_RUN = {"GetLBAStatus": ["UnmapSingle"], "Sanitize": ["Reset"], "iSCSITMF": ["LUNResetSimpleAsync"]}


def names(table: dict[str, list[str]]) -> list[str]:
    return sorted(f"{suite}.{test}" for suite, tests in table.items() for test in tests)


def test_no_conformance_test_fails_and_the_skipped_ones_are_known() -> None:
    command("iscsi-test-cu")
    asked = [sys.executable, str(SCRIPT), "--flavour", "wt", "--json"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])["wt"]
    assert len(found) == TESTS
    assert sorted(test for test, (kind, *_) in found.items() if kind == "skipped") == names(SKIPPED)
    assert sorted(test for test, (kind, *_) in found.items() if kind == "not run") == names(NOT_RUN)
    assert {kind for kind, *_ in found.values()} == {"passed", "skipped", "not run"}
