"""What a target may answer to offers, and what holds afterwards (RFC 7143 sections 6.2 and 13)."""

from __future__ import annotations

import pytest

from ietpy.initiator.errors import TargetFault
from ietpy.initiator.settlement import Settlement


@pytest.mark.parametrize(
    ("offer", "answer", "attribute", "value"),
    [
        pytest.param({"MaxBurstLength": "262144"}, {"MaxBurstLength": "65537"}, "max_burst_length", 65537, id="least"),
        pytest.param({"DefaultTime2Wait": "2"}, {"DefaultTime2Wait": "5"}, "default_time2wait", 5, id="maximum"),
        pytest.param({"ImmediateData": "Yes"}, {"ImmediateData": "No"}, "immediate_data", False, id="and"),
        pytest.param({"InitialR2T": "No"}, {"InitialR2T": "Yes"}, "initial_r2t", True, id="or"),
        pytest.param({"DataDigest": "CRC32C,None"}, {"DataDigest": "CRC32C"}, "data_digest", True, id="list"),
        pytest.param({"ImmediateData": "No"}, {}, "immediate_data", False, id="plain without an answer"),
        pytest.param({}, {"MaxRecvDataSegmentLength": "65536"}, "max_xmit_data_segment_length", 65536, id="declared"),
        pytest.param({"MaxRecvDataSegmentLength": "4096"}, {}, "max_recv_data_segment_length", 4096, id="ours"),
    ],
)
def test_what_holds(offer: dict[str, str], answer: dict[str, str], attribute: str, value: object) -> None:
    settlement = Settlement(offer)
    assert settlement.hear(answer) == {}
    assert getattr(settlement.close(), attribute) == value


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        pytest.param({"MaxBurstLength": "4096"}, {"MaxBurstLength": "65536"}, id="more than the minimum"),
        pytest.param({"DefaultTime2Wait": "5"}, {"DefaultTime2Wait": "2"}, id="less than the maximum"),
        pytest.param({"ImmediateData": "No"}, {"ImmediateData": "Yes"}, id="and"),
        pytest.param({"InitialR2T": "Yes"}, {"InitialR2T": "No"}, id="or"),
        pytest.param({"DataDigest": "None"}, {"DataDigest": "CRC32C"}, id="not offered"),
        pytest.param({}, {"InitiatorName": "iqn.x"}, id="a key of initiators"),
        pytest.param({"MaxBurstLength": "4096"}, {}, id="not answered"),
        pytest.param({"X-mine": "1"}, {}, id="unknown key not answered"),
        pytest.param({"MaxBurstLength": "4096"}, {"MaxBurstLength": "NotUnderstood"}, id="not understood"),
        pytest.param(
            {"MaxBurstLength": "4096", "FirstBurstLength": "4096"},
            {"MaxBurstLength": "2048", "FirstBurstLength": "4096"}, id="first burst over the maximum",
        ),
    ],
)
def test_faults(offer: dict[str, str], answer: dict[str, str]) -> None:
    with pytest.raises(TargetFault):
        judge(Settlement(offer), answer)


def judge(settlement: Settlement, answer: dict[str, str]) -> None:
    settlement.hear(answer)
    settlement.close()


def test_the_targets_own_offers_are_answered_and_must_not_stay_open() -> None:
    settlement = Settlement({})
    assert settlement.hear({"MaxBurstLength": "65536", "X-theirs": "1"}) == {
        "MaxBurstLength": "65536", "X-theirs": "NotUnderstood"
    }
    with pytest.raises(TargetFault, match="MaxBurstLength"):
        settlement.close()
    settlement.hear({})
    assert settlement.close().max_burst_length == 65536
