from __future__ import annotations

import pytest

from ietpy.initiator.errors import CommandFailed, LoginRefused, Rejected, TargetFault, decode_sense


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (TargetFault("11.4", "x is y"), "the target broke RFC 7143 section 11.4: x is y"),
        (LoginRefused(0x0201), "the target refused the login with 02/01 (authentication failure)"),
        (
            LoginRefused(0x0101, "10.0.0.1:3260,1"),
            "the target refused the login with 01/01 (moved temporarily, go to 10.0.0.1:3260,1)",
        ),
        (LoginRefused(0x0999), "the target refused the login with 09/99 (an unknown status)"),
        (Rejected(0x77, b""), "the target rejected a PDU with reason 0x77 (unknown)"),
        (CommandFailed("READ", 0x18, b""), "READ ended with RESERVATION CONFLICT"),
        (CommandFailed("READ", 0x99, b""), "READ ended with status 0x99"),
        (
            CommandFailed("READ", 2, bytes.fromhex("70000500000000 0a00000000 2100 00000000")),
            "READ ended with CHECK CONDITION, ILLEGAL REQUEST, ASC/ASCQ 2100h",
        ),
    ],
)
def test_sentences(error: Exception, sentence: str) -> None:
    assert str(error) == sentence


@pytest.mark.parametrize(
    ("sense", "decoded"),
    [
        pytest.param("72052400", (5, 0x2400), id="descriptor format"),
        pytest.param("70000600000000 0a00000000 2903", (6, 0x2903), id="fixed format"),
        pytest.param("700006", (6, 0), id="cut"),
        pytest.param("", (0, 0), id="none"),
    ],
)
def test_decode_sense(sense: str, decoded: tuple[int, int]) -> None:
    assert decode_sense(bytes.fromhex(sense)) == decoded
