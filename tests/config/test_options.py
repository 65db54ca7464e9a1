"""The rows: complete, consistent with what they derive from, and the documents that follow from them are fresh."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from ietpy.config.access import AccessFiles
from ietpy.config.findings import MODES, Finding
from ietpy.config.load import load, loads
from ietpy.config.model import LunConfig, TargetConfig
from ietpy.config.options import (
    INITIATOR_PARAMETERS,
    LUN_EXTENSIONS,
    LUN_OPTIONS,
    OPTIONS,
    Option,
    Origin,
    Reader,
    Scope,
)
from ietpy.iscsi.keys import KEYS
from ietpy.scsi.identity import IdentityOptions
from ietpy.stores import STORES

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "etc" / "iet"
VALUES = [option for option in OPTIONS if option.reader is Reader.VALUE]


def test_names_are_unique() -> None:
    names = [option.name.lower() for option in OPTIONS]
    assert len(set(names)) == len(names)
    assert len({finding.code for finding in Finding}) == len(Finding)


def test_every_option_key_is_an_option() -> None:
    named = {option.name for option in OPTIONS if option.session_key}
    assert named == {key.name for key in KEYS if key.option} | {"MaxXmitDataSegmentLength"}


def test_every_parameter_of_a_store_is_a_parameter() -> None:
    known = {option.name: option.types for option in LUN_OPTIONS}
    for store in STORES.values():
        for row in store.options:
            assert store.name in known[row.name]


MODELS = {
    Scope.LUN: [LunConfig], Scope.LUN_OPTION: [IdentityOptions, LunConfig], Scope.TARGET: [TargetConfig],
}


ROWS = (*OPTIONS, *LUN_OPTIONS, *LUN_EXTENSIONS, *INITIATOR_PARAMETERS)


@pytest.mark.parametrize("option", ROWS, ids=lambda option: option.name)
def test_a_row_is_complete(option: Option) -> None:
    assert option.prose.endswith(".") or option.scope is Scope.LUN
    if option.attribute and option.scope in MODELS and option.attribute != "scsi_type":
        assert option.attribute in {field.name for model in MODELS[option.scope] for field in fields(model)}


@pytest.mark.parametrize(
    "option",
    [option for option in VALUES if option.default[:1].isdigit() or option.default in ("Yes", "No")],
    ids=lambda option: option.name,
)
def test_a_default_passes_its_own_check(option: Option) -> None:
    for mode in MODES:
        configuration = loads(f"Target t\n{option.name} {option.default}\n", compat=mode)
        assert [one.code for one in configuration.diagnostics if one.code != "over-kernel-limit"] == []


@pytest.mark.parametrize("name", ["ietd.conf", "initiators.allow", "targets.allow"])
def test_samples_as_shipped_say_nothing_wrong(name: str) -> None:
    assert load(SAMPLES / "ietd.conf", "strict").diagnostics == ()
    assert AccessFiles(str(SAMPLES), compat="strict").diagnostics() == ()
    assert AccessFiles(str(SAMPLES)).admits("iqn.x", "iqn.y", "10.0.0.1", "::1")
    assert (SAMPLES / name).read_text("ascii").endswith("\n")


def test_the_sample_uncommented_is_valid_and_names_every_option() -> None:
    lines = (SAMPLES / "ietd.conf").read_text("ascii").splitlines()
    text = "\n".join(re.sub(r"^( *)#(?=\S)", r"\1", line) for line in lines) + "\n"
    configuration = loads(text)
    assert configuration.compat == "strict"
    assert configuration.errors == ()
    assert [lun.number for lun in configuration.targets[0].luns] == [0, 1, 2, 3]
    for option in OPTIONS:
        assert option.origin is Origin.BORROWED or f"\n{option.name} " in re.sub(r"\n[ #]*", "\n", text)


def test_the_reference_is_not_stale() -> None:
    result = subprocess.run([sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    page = (ROOT / "docs" / "reference" / "ietd.conf.md").read_text("utf-8")
    for option in ROWS:
        assert f"### {option.name}\n" in page
