"""The parameters of a ``Lun`` line, one function each (iet-compat 1.6, 2.3), and the LUN they draft."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from ietpy.config.findings import Finding, Report, quoted
from ietpy.config.options import BLOCK_SIZES, Option
from ietpy.config.syntax import Word, to_bytes
from ietpy.config.values import strtol, with_suffix


@dataclass(slots=True)
class Draft:
    """A LUN while its line is read. ``refused``: why it cannot be served, in IET's terms for ``iet``."""

    place: Word
    number: int
    report: Report
    given: dict[str, Option] = field(default_factory=dict)
    path: str = ""
    type: str = "fileio"
    read_only: bool = False
    write_cache: bool = False
    block_size: int | None = None
    scsi_id: bytes | None = None
    scsi_sn: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    refused: bool = False
    forgettable: bool = False  #: a mistake that a later ScsiId or ScsiSN made IET forget

    def refuse(self, place: Word, problem: str, hint: str, iet: str = "") -> None:
        self.refused = True
        self.report.add(Finding.LUN_REFUSED, place, f"LUN {self.number} is not served: {problem}", hint, iet)


def _choice(draft: Draft, option: Option, item: Word, value: str) -> str | None:
    """One of a few words; None, and the LUN refused, if it is not."""
    words: tuple[str, ...] = getattr(option.value, "words", ())
    if value in words:
        return value
    if draft.report.mode == "iet" or value.lower() not in words:
        draft.forgettable = True
        # What a forgotten comma swallowed may have been IOMode=ro; IET's forgetting must not open that.
        draft.read_only |= "=" in value
        draft.report.add(
            Finding.LUN_REFUSED,
            item,
            f"{quoted(value)} is no {option.name}; LUN {draft.number} is not served",
            f"write {option.value.accepts}",
        )
        return None
    draft.report.add(
        Finding.LUN_REPAIRED,
        item,
        f"{option.name} {quoted(value)} is written {value.lower()}",
        f"write {option.name}={value.lower()}",
    )
    return value.lower()


def _set_path(draft: Draft, option: Option, item: Word, value: str) -> None:
    if draft.path:
        draft.refuse(item, "it has two Paths", "leave one of them")
    elif not value.startswith("/"):
        draft.report.add(Finding.LUN_RELATIVE, item, f"{quoted(value)} is a relative path", "write it from /")
    draft.path = value


def _set_type(draft: Draft, option: Option, item: Word, value: str) -> None:
    _twice(draft, option, item)
    draft.type = _choice(draft, option, item, value) or draft.type


def _set_io_mode(draft: Draft, option: Option, item: Word, value: str) -> None:
    mode = _choice(draft, option, item, value)
    # Not copied: IET could end with a writable LUN after an unreadable mode (iet-compat 1.6).
    draft.read_only |= mode in ("ro", None)
    draft.write_cache |= mode == "wb"


def _set_block_size(draft: Draft, option: Option, item: Word, value: str) -> None:
    _twice(draft, option, item)
    if value in BLOCK_SIZES:
        draft.block_size = int(value)
        return
    number, rest = strtol(value)
    if rest and not value.lower().startswith("0x"):
        # Not repaired: initiators keep data in the blocks they have seen.
        problem = f"{quoted(value)} is no BlockSize and has no effect"
        hint = f"write {option.value.accepts}, but only if the LUN holds no data yet"
        draft.report.add(Finding.LUN_IGNORED, item, problem, hint)
    elif draft.report.mode != "iet" and str(number) in BLOCK_SIZES:
        problem, hint = f"BlockSize {quoted(value)} is written {number}", f"write BlockSize={number}"
        draft.report.add(Finding.LUN_REPAIRED, item, problem, hint)
        draft.block_size = number
    else:
        draft.refuse(item, f"{quoted(value)} is no BlockSize", f"write {option.value.accepts}")


def _set_scsi_id(draft: Draft, option: Option, item: Word, value: str) -> None:
    data = to_bytes(value)
    if len(data) > 16:
        draft.refuse(item, f"its ScsiId has {len(data)} bytes", "write 1 to 16")
        return
    _overlaid(draft, option, item)
    draft.scsi_id = data + (draft.scsi_id or b"")[len(data) :]
    _forget(draft, item)


def _set_scsi_sn(draft: Draft, option: Option, item: Word, value: str) -> None:
    if not re.fullmatch(r"[ -~]{1,32}", value):
        draft.refuse(item, f"{quoted(value)} is no ScsiSN", "write 1 to 32 printable ASCII characters")
        return
    _overlaid(draft, option, item)
    draft.scsi_sn = value + (draft.scsi_sn or "")[len(value) :]
    _forget(draft, item)


def set_store_option(draft: Draft, option: Option, item: Word, value: str) -> None:
    """A parameter that only one type of store knows, by its row in ``stores``."""
    _twice(draft, option, item)
    sized = None if draft.report.mode == "iet" else with_suffix(value)
    if sized is not None:
        problem, hint = f"{quoted(value)} has a suffix", f"write {option.name}={sized}"
        draft.report.add(Finding.LUN_REPAIRED, item, problem, hint)
        value = str(sized)
    try:
        draft.options[option.name] = option.value.parse(value)
    except ValueError:
        problem = f"{quoted(value)} is no value of {option.name}"
        draft.refuse(item, problem, f"write {option.value.accepts}")


def _twice(draft: Draft, option: Option, item: Word) -> None:
    if option.name in draft.given:
        draft.report.add(Finding.REPEATED, item, f"{option.name} is given twice; the last counts", "leave one")


def _overlaid(draft: Draft, option: Option, item: Word) -> None:
    if option.name in draft.given:
        draft.report.add(
            Finding.LUN_OVERLAID,
            item,
            f"{option.name} is given twice; the second overwrites the beginning of the first",
            "leave one; the identity must not change",
        )


def _forget(draft: Draft, item: Word) -> None:
    """iet-compat 1.6: a valid ScsiId or ScsiSN cleared the error of a Type or IOMode before it."""
    if draft.forgettable and draft.report.mode == "iet":
        draft.forgettable = False
        draft.report.add(
            Finding.LUN_QUIRK,
            item,
            f"LUN {draft.number} is served in spite of the mistake before",
            "correct the mistake; after an unreadable IOMode it is read-only",
        )


SETTERS: Final[dict[str, Callable[[Draft, Option, Word, str], None]]] = {
    "Path": _set_path,
    "Type": _set_type,
    "ScsiId": _set_scsi_id,
    "ScsiSN": _set_scsi_sn,
    "IOMode": _set_io_mode,
    "BlockSize": _set_block_size,
}
