"""The rules of iet-compat 1 and 2, one row each: what IET did, and what ``repair``, ``iet`` and ``strict`` do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from ietpy.config import load as load_module
from ietpy.config.findings import MODES, Finding
from ietpy.config.load import load, loads
from ietpy.config.model import Configuration, meaning
from ietpy.config.options import LUN_EXTENSIONS, LUN_OPTIONS, OPTION_BY_WORD, OPTIONS, Origin, Reader
from ietpy.errors import ConfigError

from .rules import accounts, files, keys, lines, luns, scope, values
from .rules.keys import BOOLS, NUMBERS, OTHERS
from .rules.rule import Rule

Dump = Callable[[Configuration], str]

RULES: Final = (*lines.RULES, *scope.RULES, *values.RULES, *luns.RULES, *accounts.RULES, *keys.RULES)
SECTIONS: Final = ("1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "2.1", "2.2", "2.3", "2.4")

every_rule = pytest.mark.parametrize("rule", RULES, ids=str)


def findings(configuration: Configuration) -> str:
    return " ".join(f"{one.code}@{one.span.line}" for one in configuration.diagnostics)


@every_rule
class TestModes:
    def test_repair(self, rule: Rule, dump: Dump) -> None:
        configuration = loads(rule.text, compat="repair")
        assert (dump(configuration), findings(configuration)) == (rule.repair, rule.found)
        assert not configuration.refused

    def test_iet(self, rule: Rule, dump: Dump) -> None:
        configuration = loads(rule.text, compat="iet")
        expected = rule.repair if rule.iet is None else rule.iet
        found = rule.found if rule.iet_found is None else rule.iet_found
        assert (dump(configuration), findings(configuration)) == (expected, found)
        assert configuration.errors == ()

    def test_strict(self, rule: Rule) -> None:
        configuration = loads(rule.text, compat="strict")
        assert findings(configuration) == (rule.found if rule.strict_found is None else rule.strict_found)
        assert configuration.refused is not rule.starts
        if rule.starts:
            repaired = loads(rule.text, compat="repair")
            assert replace(meaning(configuration), compat="") == replace(meaning(repaired), compat="")


@every_rule
@pytest.mark.parametrize("mode", MODES)
def test_what_is_said_has_a_place_a_remedy_and_what_iet_did(rule: Rule, mode: str) -> None:
    lines = rule.text.split("\n")
    for one in loads(rule.text, "ietd.conf", mode).diagnostics:
        assert 1 <= one.span.line <= len(lines)
        assert 1 <= one.span.column <= len(lines[one.span.line - 1]) + 1
        assert str(one).startswith(f"ietd.conf:{one.span.line}:{one.span.column}: {one.severity}: ")
        assert str(one).isprintable()
        assert one.problem
        assert one.hint
        assert one.iet


@pytest.mark.parametrize("rule", files.RULES, ids=str)
def test_files(rule: files.FileRule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dump: Dump) -> None:
    monkeypatch.setattr(load_module, "DEFAULT_PATHS", (str(tmp_path / "first"), str(tmp_path / "second")))
    for name, text in rule.files.items():
        if text is None:
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_text(text)
    named = tmp_path / rule.named if rule.named else None
    for mode in MODES:
        if rule.read is None:
            with pytest.raises(ConfigError, match=r"cannot read this file: .+; name a readable") as caught:
                load(named, mode)
            assert " ".join(f"{one.code}@{one.span.line}" for one in caught.value.diagnostics) == rule.found
            continue
        configuration = load(named, mode)
        assert (dump(configuration), findings(configuration)) == (rule.read, rule.found)
        assert configuration.refused is (mode == "strict" and not rule.starts)


# -- the table is whole ------------------------------------------------------------------------------------------


def test_every_section_has_rules_and_every_rule_is_another() -> None:
    assert {rule.section for rule in RULES} == set(SECTIONS)
    assert [text for text, count in Counter(rule.text for rule in RULES).items() if count > 1] == []
    assert [name for name, count in Counter(map(str, RULES)).items() if count > 1] == []
    assert all(rule.did for rule in RULES)


def test_every_finding_about_ietd_conf_is_some_rule_s() -> None:
    parts = {part for rule in RULES for part in f"{rule.found} {rule.iet_found} {rule.strict_found}".split()}
    made = {part.partition("@")[0] for part in parts | {rule.found for rule in files.RULES}}
    elsewhere = ("ACL_", "LUN_OPTION", "INITIATOR", "CHAP_", "PORTAL", "PROCESSES", "METRICS", "SECRET", "SHORT_")
    wanted = {one.code for one in Finding if not one.name.startswith(elsewhere)}
    assert wanted - made == set()


@pytest.mark.parametrize("option", [one for one in OPTIONS if one.origin is not Origin.IETPY], ids=lambda one: one.name)
def test_every_keyword_is_in_some_rule(option: object) -> None:
    name = getattr(option, "name")  # noqa: B009
    assert any(re.search(rf"^\s*{re.escape(name)}\b", rule.text, re.IGNORECASE | re.MULTILINE) for rule in RULES)


def test_every_lun_parameter_is_in_some_rule() -> None:
    text = "".join(rule.text for rule in RULES if rule.starts)
    assert [one.name for one in LUN_OPTIONS if f"{one.name}=" not in text] == []
    assert LUN_EXTENSIONS  # not IET's: tests/config/test_lun_option.py


def test_the_keys_are_those_of_the_tables() -> None:
    """Names, IET's defaults and ranges as iet-compat 2.2 and 2.4 have them."""
    defaults = {key.name: str(key.default) for key in NUMBERS}
    defaults |= {key.name: "Yes" if key.default else "No" for key in BOOLS} | OTHERS
    known = {one.name: one.iet_default for one in OPTIONS if one.reader is Reader.VALUE}
    assert {**defaults, "iSNSServer": "none", "iSNSAccessControl": "No"} == known
    for key in NUMBERS:
        option = OPTION_BY_WORD[key.name.lower()]
        assert (getattr(option.value, "low"), getattr(option.value, "high")) == (key.low, key.high)  # noqa: B009
        assert (option.forced, option.kernel_limit) == (key.forced, key.kernel)
