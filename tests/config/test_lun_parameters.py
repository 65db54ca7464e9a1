"""Parameters one by one; whole lines are in test_lun.py."""

from __future__ import annotations

import pytest

from ietpy.config.findings import Report
from ietpy.config.lun_parameters import SETTERS, Draft, set_store_option
from ietpy.config.options import LUN_OPTION_BY_WORD, LUN_OPTIONS
from ietpy.config.syntax import Word

ITEM = Word("x", 2, 7)


def draft(mode: str) -> Draft:
    return Draft(Word("Lun", 2, 1), 0, Report("f", mode))


def give(to: Draft, name: str, value: str) -> None:
    option = LUN_OPTION_BY_WORD[name.lower()]
    SETTERS.get(option.name, set_store_option)(to, option, ITEM, value)
    to.given[option.name] = option


def test_every_parameter_of_ours_has_a_function() -> None:
    assert set(SETTERS) == {option.name for option in LUN_OPTIONS if option.attribute or option.name == "IOMode"}


@pytest.mark.parametrize("mode", ["repair", "iet"])
@pytest.mark.parametrize("value", ["ro", "RO", "readonly", "", "wt,", "r0"])
def test_only_a_readable_mode_leaves_a_lun_writable(mode: str, value: str) -> None:
    one = draft(mode)
    give(one, "IOMode", value)
    assert one.read_only


@pytest.mark.parametrize("mode", ["repair", "iet"])
def test_identity_is_overlaid_in_all_modes(mode: str) -> None:
    one = draft(mode)
    give(one, "ScsiId", "abcdef")
    give(one, "ScsiId", "xy")
    assert one.scsi_id == b"xycdef"
    assert [finding.code for finding in one.report.diagnostics] == ["identity-overlaid"]


def test_scsi_id_counts_bytes() -> None:
    one = draft("repair")
    give(one, "ScsiId", "é" * 8)
    assert (one.scsi_id, one.refused) == ("é".encode() * 8, False)
    give(one, "ScsiId", "é" * 9)
    assert one.refused


def test_iet_forgot_a_bad_type_once_an_identity_followed() -> None:
    one = draft("iet")
    give(one, "Type", "bogus")
    assert one.forgettable
    give(one, "ScsiId", "x")
    assert (one.forgettable, one.read_only) == (False, False)
    give(one, "Type", "fileio IOMode=ro")
    give(one, "ScsiSN", "x")
    assert (one.forgettable, one.read_only) == (False, True)
