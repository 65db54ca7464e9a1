"""Files of real life: they mean what docs/corpus.py says; what IET did with them is in iet-compat section 10."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ietpy.config.files import read_file
from ietpy.config.findings import MODES
from ietpy.config.load import load, loads
from ietpy.config.model import Configuration

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The table that the manual shows."""
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("corpus")


def test_every_file_is_as_the_manual_says(corpus: Path, table: ModuleType) -> None:
    for row in table.FILES:
        text = read_file(corpus / "ietd-conf" / row.name)  # alone: who can read the file is not its writer's mistake
        repair, iet, strict = (loads(text, row.name, mode) for mode in MODES)
        found = " ".join(f"{one.code}@{one.span.line}" for one in repair.diagnostics)
        said = (table.summary(repair), table.summary(iet), not strict.refused, found)
        assert (row.name, *said) == (row.name, row.repair, row.iet, row.starts, row.found)
        assert bool(row.why) is (row.repair != row.iet or "crash" in row.verdict)
        assert row.starts is not any(one.severity == "error" for one in strict.diagnostics)


def test_every_file_is_in_the_manual(corpus: Path, table: ModuleType) -> None:
    assert [row.name for row in table.FILES] == sorted(path.name for path in (corpus / "ietd-conf").glob("*.conf"))


def test_the_manual_holds_no_secret(corpus: Path) -> None:
    page = (DOCS / "reference" / "corpus.md").read_text("utf-8")
    secrets = set()
    for path in sorted((corpus / "ietd-conf").glob("*.conf")):
        configuration = load(path)
        accounts = [*configuration.discovery_incoming, *(one for target in configuration.targets
                                                        for one in (*target.incoming, target.outgoing) if one)]
        secrets |= {account.secret for account in accounts} - {"password", "secret"}  # ordinary words, too
    assert len(secrets) > 10
    assert [secret for secret in sorted(secrets) if secret in page] == []


def test_every_file_of_other_targets_loads(corpus: Path) -> None:
    paths = [path for path in sorted((corpus / "peer-config").rglob("*.*")) if path.is_file()]
    assert paths
    for path in paths:
        for mode in MODES:
            assert load(path, mode).compat == mode


def test_accounts_of_real_files(corpus: Path, dump: Callable[[Configuration], str]) -> None:
    folder = corpus / "ietd-conf"
    assert dump(load(folder / "01-linux-tips-tgt-style-keys.conf")) == (
        "iqn.2017-01.com.attava:target00: 0=/home/serg/iscsi_disks/lun1.img +serg/jgf23 from=10.1.2.180"
    )
    assert dump(load(folder / "18-legacy-0.2.5-user-and-positional-lun.conf")) == (
        "+joe/secret; iqn.2001-04.com.example:storage.disk2.sys1.xyz: 0=/dev/hdc +joe/secret alias=Test"
    )
    assert '+engineyard-devcloud/"HAHAEYdev383"' in dump(load(folder / "21-engineyard-drbd-quoted-passwords.conf"))


def test_lines_continued_with_a_backslash_stay_read_only(corpus: Path) -> None:
    first, _ = load(corpus / "peer-config" / "iet" / "03-case-and-oddities.conf").targets
    assert [(lun.number, lun.path, lun.read_only) for lun in first.luns] == [
        (0, "/srv/iscsi/a.img", True),
        (1, "/srv/iscsi/joined.img", True),
    ]
