"""Every command, VPD page, mode page and log page has a case byte for byte; a row without one fails here."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ietpy.scsi.direct_access import DIRECT_ACCESS
from ietpy.scsi.log_pages import LOG_PAGES
from ietpy.scsi.mode import MODE_PAGES
from ietpy.scsi.vpd import VPD_PAGES

TABLES = sorted(path.stem for path in Path(__file__).parent.glob("golden_*.py"))


def cases() -> Iterator[Any]:
    for table in TABLES:
        for case in importlib.import_module(f"tests.scsi.{table}").CASES:
            yield pytest.param(case, id=f"{table}: {case.cdb}")


@pytest.mark.parametrize("case", [*cases()])
def test_case(make_disk: Callable[..., Any], case: Any) -> None:
    disk = make_disk(**case.options)
    for cdb, out in case.before:
        assert disk.run(cdb, bytes.fromhex(out)).sense == 0
    task = disk.task(case.cdb, bytes.fromhex(case.out))
    assert task.nexus.lu.execute(task)
    assert task.sense.hex(" ") == bytes.fromhex(case.sense).hex(" ")
    assert task.status == (case.status or (2 if case.sense else 0))
    assert bytes(task.data_in or b"").hex(" ") == bytes.fromhex(case.answer).hex(" ")
    if case.medium is not None:
        offset, expected = case.medium[0], bytes.fromhex(case.medium[1])
        assert disk.store.content[offset:offset + len(expected)] == expected


def good() -> list[bytes]:
    return [bytes.fromhex(case.values[0].cdb) for case in cases() if not case.values[0].sense]  # type: ignore[attr-defined]


def test_every_command_has_a_case() -> None:
    with_actions = {row.opcode for row in DIRECT_ACCESS if row.service_action is not None}
    seen = {(cdb[0], cdb[1] & 0x1F if cdb[0] in with_actions else None) for cdb in good()}
    missing = [row.name for row in DIRECT_ACCESS if (row.opcode, row.service_action) not in seen]
    assert missing == []


def test_every_vital_product_data_page_has_a_case() -> None:
    assert VPD_PAGES.keys() - {cdb[2] for cdb in good() if cdb[0] == 0x12 and cdb[1] & 1} == set()


def test_every_mode_page_has_a_case() -> None:
    assert MODE_PAGES.keys() - {(cdb[2] & 0x3F, cdb[3]) for cdb in good() if cdb[0] in (0x1A, 0x5A)} == set()


def test_every_log_page_has_a_case() -> None:
    assert LOG_PAGES.keys() - {cdb[2] & 0x3F for cdb in good() if cdb[0] == 0x4D and not cdb[3]} == set()
