"""Values of LunOption parameters: what is accepted, and that it is written back as it was read."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.config.options import LUN_EXTENSION_BY_WORD

SIXTEEN = "0014051234567890"
T10 = "020100084142434445464748"
LONG = "010100FC" + "41" * 252


@pytest.mark.parametrize(("name", "word", "value"), [
    pytest.param("naa", "2" + SIXTEEN[1:], bytes.fromhex("2" + SIXTEEN[1:]), id="NAA IEEE Extended"),
    pytest.param("naa", "3" + SIXTEEN[1:], bytes.fromhex("3" + SIXTEEN[1:]), id="NAA Locally Assigned"),
    pytest.param("naa", "5" + SIXTEEN[1:], bytes.fromhex("5" + SIXTEEN[1:]), id="NAA IEEE Registered"),
    pytest.param("naa", "6" + 2 * SIXTEEN[1:] + "f", bytes.fromhex("6" + 2 * SIXTEEN[1:] + "f"), id="NAA Extended"),
    pytest.param("naa", "6" + "ABCDEF" * 5 + "0", bytes.fromhex("6" + "abcdef" * 5 + "0"), id="upper case"),
    pytest.param("eui", SIXTEEN, bytes.fromhex(SIXTEEN), id="EUI-64"),
    pytest.param("eui", SIXTEEN + "00000001", bytes.fromhex(SIXTEEN + "00000001"), id="EUI-64 of 12 bytes"),
    pytest.param("eui", SIXTEEN * 2, bytes.fromhex(SIXTEEN * 2), id="EUI-64 of 16 bytes"),
    pytest.param("vendor", "LIO-ORG", "LIO-ORG", id="vendor"),
    pytest.param("vendor", "12345678", "12345678", id="8 characters"),
    pytest.param("product", "a disk", "a disk", id="a blank within"),
    pytest.param("revision", "~", "~", id="one character"),
    pytest.param("serial", "x" * 252, "x" * 252, id="252 characters"),
    pytest.param("serial", "it's", "it's", id="a quote within"),
    pytest.param("page80", "2020" + b"beaf11".hex(), b"  beaf11", id="padded by another target"),
    pytest.param("page80", "FF00" * 126, bytes.fromhex("ff00" * 126), id="252 bytes"),
    pytest.param("page83", "0103000A" + "30" * 10, bytes.fromhex("0103000a" + "30" * 10), id="one designator"),
    pytest.param("page83", T10 + "01020008" + SIXTEEN, bytes.fromhex(T10 + "01020008" + SIXTEEN), id="two"),
    pytest.param("page83", LONG * 4, bytes.fromhex(LONG * 4), id="1024 bytes"),
])
def test_accepted(name: str, word: str, value: Any) -> None:
    kind = LUN_EXTENSION_BY_WORD[name].value
    assert kind.parse(word) == value
    assert kind.parse(kind.render(value)) == value


@pytest.mark.parametrize(("name", "word"), [
    *[pytest.param("naa", digit + SIXTEEN[1:], id=f"no NAA {digit}") for digit in "01479abcdef"],
    pytest.param("naa", "6" + SIXTEEN[1:], id="NAA 6 of 8 bytes"),
    pytest.param("naa", "5" + "0" * 31, id="NAA 5 of 16 bytes"),
    pytest.param("naa", "0x5" + SIXTEEN[1:], id="0x"),
    pytest.param("naa", "5" + "g" * 15, id="no hexadecimal digits"),
    pytest.param("naa", "5" + "٣" * 15, id="digits of another script"),
    pytest.param("naa", "5" + SIXTEEN[1:] + "\n", id="a line end"),
    pytest.param("naa", "", id="nothing"),
    pytest.param("eui", SIXTEEN + "00", id="EUI-64 of 9 bytes"),
    pytest.param("eui", SIXTEEN * 2 + "00000000", id="EUI-64 of 20 bytes"),
    pytest.param("vendor", "123456789", id="9 characters"),
    pytest.param("product", "x" * 17, id="17 characters"),
    pytest.param("revision", "12345", id="5 characters"),
    pytest.param("serial", "x" * 253, id="253 characters"),
    pytest.param("vendor", "", id="no vendor"),
    pytest.param("vendor", " ACME", id="a blank before"),
    pytest.param("vendor", "A,B", id="a comma"),
    pytest.param("vendor", "Müller", id="not ASCII"),
    pytest.param("vendor", "A\tB", id="not printable"),
    pytest.param("vendor", '"ACME"', id="quoted"),
    pytest.param("vendor", "'", id="a quote"),
    pytest.param("page80", "", id="no serial number"),
    pytest.param("page80", "414", id="half a byte"),
    pytest.param("page80", "41" * 253, id="253 bytes"),
    pytest.param("page80", "beaf 11", id="a blank in digits"),
    pytest.param("page83", "", id="no designator"),
    pytest.param("page83", T10[:-1], id="half a byte of a designator"),
    pytest.param("page83", T10[:-2], id="a designator that ends early"),
    pytest.param("page83", T10 + "010200", id="a header that ends early"),
    pytest.param("page83", T10 + "01020000", id="a designator of no bytes"),
    pytest.param("page83", T10 + "51940004" + "00000001", id="a designator of a port"),
    pytest.param("page83", T10 * 86, id="1032 bytes"),
    pytest.param("page83", "0" + T10[1:] + "0g", id="no hexadecimal digits"),
])
def test_refused(name: str, word: str) -> None:
    kind = LUN_EXTENSION_BY_WORD[name].value
    with pytest.raises(ValueError) as caught:
        kind.parse(word)
    assert str(caught.value) == kind.accepts
