"""What ietadm says, read by the rules of the file; wrong words have IET's errno."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from ietpy.config.findings import MODES
from ietpy.config.live import lun_parameters, one_line, redirection, target_key, target_keys, target_name
from ietpy.errors import AdminError


def failure(code: int, match: str | None = None) -> Any:
    return pytest.raises(AdminError, match=match, check=lambda error: error.code == code)


@pytest.mark.parametrize("name", ["Wthreads", "wthreads", "Type", "InitialR2T", "MaxXmitDataSegmentLength"])
def test_keys_of_a_target(name: str) -> None:
    option = target_key(name)
    assert option is not None
    assert option.name.lower() == name.lower()


@pytest.mark.parametrize("name", ["MaxSessions", "Alias", "Lun", "IncomingUser", "iSNSServer", "Compat", "Path", ""])
def test_what_is_no_key_of_a_target(name: str) -> None:
    assert target_key(name) is None
    with failure(errno.EINVAL, "is no key of a target"):
        target_keys({name: "1"}, "repair")


def test_both_kinds_of_keys_at_once() -> None:
    values = {"wthreads": "0x10", "Type": "0", "InitialR2T": "No", "HeaderDigest": "CRC32C", "MaxBurstLength": "65536"}
    assert target_keys(values, "repair") == (
        {"wthreads": 16},
        {"InitialR2T": False, "HeaderDigest": ("CRC32C",), "MaxBurstLength": 65536},
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "text"), [("InitialR2T", "no"), ("DataDigest", "crc32c"), ("DataDigest", "")])
def test_words_must_be_exact_as_for_iet(name: str, text: str, mode: str) -> None:
    with failure(errno.EINVAL, f"is no value of {name}; write "):
        target_keys({name: text}, mode)


@pytest.mark.parametrize(
    ("text", "repair", "iet", "strict"),
    [("1000", 128, 1, None), ("64M", 128, 64, None), ("x", None, 1, None), ("", 1, 1, None), ("9", 9, 9, 9)],
)
def test_numbers_are_read_as_in_the_file(text: str, repair: int | None, iet: int, strict: int | None) -> None:
    for mode, expected in zip(MODES, (repair, iet, strict), strict=True):
        if expected is None:
            with failure(errno.EINVAL):
                target_keys({"Wthreads": text}, mode)
        else:
            assert target_keys({"Wthreads": text}, mode) == ({"wthreads": expected}, {})


def test_a_lun() -> None:
    lun = lun_parameters(3, "Path=/dev/sda,Type=blockio,ScsiId=x", "iet")
    assert (lun.number, lun.path, lun.type, lun.scsi_id) == (3, "/dev/sda", "blockio", b"x")


@pytest.mark.parametrize(
    ("number", "parameters", "code"),
    [
        pytest.param(16384, "Path=/x", errno.EINVAL, id="no such number"),
        pytest.param(-1, "Path=/x", errno.EINVAL, id="negative"),
        pytest.param(0, "", errno.EINVAL, id="nothing"),
        pytest.param(0, "Type=fileio", errno.EINVAL, id="no path"),
        pytest.param(0, "Path=/x,Type=scsi", errno.ENOENT, id="unknown type"),
        pytest.param(0, "Path=/x,Type=block,Type=fileio", errno.EINVAL, id="the last type is known"),
        pytest.param(0, "Path=/x,IOMode=rw", errno.EINVAL, id="unknown mode"),
        pytest.param(0, "Path=/x,Dest=MA", errno.EINVAL, id="unknown parameter"),
        pytest.param(0, "Path=/x,Path=/y", errno.EINVAL, id="two paths"),
    ],
)
def test_a_lun_that_cannot_be(number: int, parameters: str, code: int) -> None:
    for mode in MODES:
        with failure(code):
            lun_parameters(number, parameters, mode)


def test_a_lun_is_repaired_as_in_the_file(caplog: pytest.LogCaptureFixture) -> None:
    assert lun_parameters(0, "Path=/x, Type=blockio", "repair").type == "blockio"
    assert "ietadm:1:" in caplog.text
    for mode in ("iet", "strict"):
        with failure(errno.EINVAL):
            lun_parameters(0, "Path=/x, Type=blockio", mode)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("", ""),
        ("10.0.0.1", "10.0.0.1:3260"),
        ("10.0.0.1:860", "10.0.0.1:860"),
        ("[2001:DB8::0:1]", "[2001:db8::1]:3260"),
        ("[::1]:860", "[::1]:860"),
    ],
)
def test_a_redirection(text: str, address: str) -> None:
    assert redirection(text) == address


@pytest.mark.parametrize(
    "text", ["host", "10.0.0", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "::1", "[10.0.0.1]", "[::1", ":860", "[]:1"]
)
def test_no_redirection(text: str) -> None:
    with failure(errno.EINVAL, "is no address to redirect to"):
        redirection(text)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("character", ["\n", "\0", "\x1b", "\x85", "\u2028", "\x7f", "\r"])
def test_nothing_said_by_hand_forges_a_line_of_a_list(character: str, mode: str) -> None:
    """What is published goes line by line, and is read by programs."""
    forged = f"/srv/a{character}tid:9 name:b"
    with failure(errno.EINVAL, "control characters"):
        lun_parameters(0, f"Path={forged}", mode)
    with failure(errno.EINVAL):
        lun_parameters(0, f"Path=/srv/a,ScsiSN=a{character}b", mode)
    with failure(errno.EINVAL, "control characters"):
        target_name(f"a{character}b")
    with failure(errno.EINVAL, "the secret has control characters; leave them out"):
        one_line("the secret", f"a{character}b")


def test_what_is_no_control_character_may_be_said() -> None:
    for text in ("", "a b\tc", "\udcff\u00e9\u00a0"):
        assert one_line("the name", text) == text


def test_a_targets_name_is_one_word() -> None:
    assert target_name("iqn.2001-04.com.example:é") == "iqn.2001-04.com.example:é"
    assert target_name("x" * 255)
    for name in ("", "two words", "x" * 254 + "é"):
        with failure(errno.EINVAL, "one word of at most 255 bytes"):
            target_name(name)


def test_parameters_are_bounded() -> None:
    with failure(errno.EINVAL, "at most 262144 characters"):
        lun_parameters(0, "," * 262145, "repair")
