"""The plain facts that are told of what is served."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.config.model import LunConfig
from ietpy.daemon.inventory import Inventory
from ietpy.daemon.media import Media
from ietpy.daemon.served import configured, mode_of, negotiated, problem_facts, target_facts
from ietpy.errors import Diagnostic, Span
from ietpy.iscsi.keys import Parameters

SPAN = Span("ietd.conf", 3, 2)


@pytest.fixture
def inventory() -> Any:
    lines = ("Target t", "Lun 9 Type=nullio,Blocks=8,BlockSize=4096", "Lun 2 Type=nullio,Blocks=16", "")
    made = Inventory(loads("\n".join(lines)), Media())
    yield made
    made.close()


def test_units_are_in_the_order_of_their_lines(inventory: Inventory) -> None:
    facts = json.loads(json.dumps(target_facts(inventory.target(1))))
    assert (facts["tid"], facts["name"], facts["sessions"]) == (1, "t", 0)
    assert [(unit["number"], unit["size"], unit["block_size"]) for unit in facts["luns"]] == [
        (9, 32768, 4096), (2, 8192, 512),
    ]
    assert not any(unit["leaving"] for unit in facts["luns"])


def test_what_leaves_is_told_last(inventory: Inventory) -> None:
    target = inventory.target(1)
    target.leaving.append(target.units.pop(9))
    facts = target_facts(target)["luns"]
    target.units[9] = target.leaving.pop()
    assert [(unit["number"], unit["leaving"]) for unit in facts] == [(2, False), (9, True)]


@pytest.mark.parametrize(
    ("read_only", "write_cache", "mode"),
    [(False, False, "wt"), (False, True, "wb"), (True, False, "ro"), (True, True, "ro")],
)
def test_of_several_modes_read_only_goes_first(read_only: bool, write_cache: bool, mode: str) -> None:
    assert mode_of(LunConfig(0, SPAN, read_only=read_only, write_cache=write_cache)) == mode


def test_a_problem() -> None:
    facts = problem_facts(Diagnostic(SPAN, "error", "lun-not-served", "gone", "make it", "ignored it"))
    assert facts == {
        "file": "ietd.conf", "line": 3, "column": 2, "severity": "error", "code": "lun-not-served", "problem": "gone",
        "hint": "make it", "text": "ietd.conf:3:2: error: gone; make it; IET: ignored it",
    }


#: iet-compat 5.4.
UNSET = {
    "InitialR2T": "Yes", "ImmediateData": "Yes", "MaxConnections": "1", "MaxRecvDataSegmentLength": "8192",
    "MaxXmitDataSegmentLength": "8192", "MaxBurstLength": "262144", "FirstBurstLength": "65536",
    "DefaultTime2Wait": "2", "DefaultTime2Retain": "0", "MaxOutstandingR2T": "1", "DataPDUInOrder": "Yes",
    "DataSequenceInOrder": "Yes", "ErrorRecoveryLevel": "0", "HeaderDigest": "None", "DataDigest": "None",
    "OFMarker": "No", "IFMarker": "No", "OFMarkInt": "Reject", "IFMarkInt": "Reject",
}


def test_session_parameters_that_nobody_set_are_iets() -> None:
    (target,) = loads("Target t\n").targets
    assert configured(target) == UNSET


def test_session_parameters_that_were_set() -> None:
    (target,) = loads("Target t\nHeaderDigest CRC32C,None\nInitialR2T No\nOFMarkInt 4096\nOFMarker Yes\n").targets
    assert configured(target) == UNSET | {"HeaderDigest": "None,CRC32C", "InitialR2T": "No"}


def test_session_parameters_as_negotiated() -> None:
    parameters = Parameters(
        header_digest=True, initial_r2t=False, max_recv_data_segment_length=262144, max_xmit_data_segment_length=4096,
        default_time2retain=0,
    )
    assert negotiated(parameters) == UNSET | {
        "HeaderDigest": "CRC32C", "InitialR2T": "No", "MaxRecvDataSegmentLength": "262144",
        "MaxXmitDataSegmentLength": "4096",
    }
