from __future__ import annotations

import pytest

from ietpy.initiator.errors import TargetFault
from ietpy.initiator.text import decode, encode


def test_there_and_back() -> None:
    keys = {"TargetName": "iqn.a", "X-org.example.k": "a=b", "iSCSIProtocolLevel": "1", "TargetAlias": "\u00e9"}
    assert dict(decode(encode(keys))) == keys
    assert decode(b"") == []
    assert decode(b"TargetAlias=\0") == [("TargetAlias", "")]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"TargetName=x", id="no NUL at the end"),
        pytest.param(b"TargetName\0", id="no equals sign"),
        pytest.param(b"=x\0", id="no name"),
        pytest.param(b"A=1\0\0B=2\0", id="empty pair"),
        pytest.param(b"A" * 64 + b"=1\0", id="name of 64 bytes"),
        pytest.param(b"Ta rget=1\0", id="blank in a name"),
        pytest.param(b"A=\xff\0", id="not UTF-8"),
    ],
)
def test_refused(data: bytes) -> None:
    with pytest.raises(TargetFault) as caught:
        decode(data)
    assert caught.value.section == "6.1"
