"""C's reading of numbers, and single values by their types (iet-compat 1.5)."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.findings import MODES, Report
from ietpy.config.options import OPTION_BY_WORD
from ietpy.config.syntax import Word
from ietpy.config.values import read_value, strtol, with_suffix


@pytest.mark.parametrize(
    ("text", "number", "rest"),
    [
        ("10", 10, ""),
        ("0x40", 64, ""),
        ("0X4g", 4, "g"),
        ("010", 8, ""),
        ("08", 0, "8"),
        ("-5", -5, ""),
        ("+5", 5, ""),
        ("256k", 256, "k"),
        ("0x", 0, "x"),
        ("", 0, ""),
        ("many", 0, "many"),
        ("9" * 30, 2**63 - 1, ""),
    ],
)
def test_strtol(text: str, number: int, rest: str) -> None:
    assert strtol(text) == (number, rest)


@given(text=st.text(alphabet="0123456789xXaF+-k", max_size=12))
def test_strtol_is_the_c_librarys(text: str) -> None:
    libc = ctypes.CDLL(None)
    libc.strtol.restype = ctypes.c_long
    assert strtol(text)[0] == libc.strtol(text.encode("ascii"), None, 0)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1k", 1024),
        ("64M", 1 << 26),
        ("2GiB", 2 << 30),
        ("1tb", 1 << 40),
        ("64", None),
        ("k", None),
        ("-1k", None),
        ("1kk", None),
        ("9" * 30 + "k", None),
    ],
)
def test_with_suffix(text: str, number: int | None) -> None:
    assert with_suffix(text) == number


@pytest.mark.parametrize(
    ("keyword", "words", "repair", "iet"),
    [
        ("InitialR2T", ["Yes"], True, True),
        ("InitialR2T", ["on"], True, None),
        ("HeaderDigest", ["CRC32C,None"], ("CRC32C", "None"), ("CRC32C", "None")),
        ("HeaderDigest", ["None,", "CRC32C,", "None"], ("None", "CRC32C"), None),
        ("HeaderDigest", ["#"], None, None),
        ("Wthreads", ["0x10"], 16, 16),
        ("Wthreads", ["1k"], 128, 1),
        ("ErrorRecoveryLevel", ["1"], 1, 0),
        ("Type", ["5"], 0, 0),
        ("iSNSAccessControl", ["YES"], True, True),
        ("iSNSServer", ["host", "#", "rack", "4"], "host", "host"),
    ],
)
def test_read_value(keyword: str, words: list[str], repair: Any, iet: Any) -> None:
    option = OPTION_BY_WORD[keyword.lower()]
    line = tuple(Word(text, 1, 10) for text in words)
    assert [read_value(option, line, Report("f", mode)) for mode in MODES[:2]] == [repair, iet]
