"""LunOption lines: the same in every mode, nothing guessed, and without them nothing changes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.findings import MODES, Report
from ietpy.config.load import loads
from ietpy.config.lun_option import UNSAID, LunOptions, rendered, said
from ietpy.config.model import LunConfig
from ietpy.config.options import LUN_EXTENSIONS
from ietpy.config.syntax import read
from ietpy.errors import Span
from ietpy.scsi.identity import AS_IET, IdentityOptions

NAA = "600140512345678901234567890abcde"
EUI = "0014051234567890"
LUN = "Lun 1 Path=/x\n"
PLACE = Span("f", 1, 1)
N = IdentityOptions(naa=bytes.fromhex(NAA))


@dataclass(frozen=True)
class Case:
    """What stands below ``Target t``, what LUN 1 has of it, and the findings as ``code@line:column``."""

    text: str
    identity: IdentityOptions
    findings: str = ""
    removable: bool = False
    cached: bool = False


CASES = {
    # -- valid
    "no line": Case(LUN, AS_IET),
    "below the Lun": Case(LUN + f"LunOption 1 Naa={NAA}\n", N),
    "above the Lun": Case(f"LunOption 1 Naa={NAA}\n" + LUN, N),
    "everything": Case(
        LUN + f"LunOption 1 Naa={NAA},Eui={EUI},Vendor=ACME,Product=a disk,Revision=1.0,Serial={'s' * 40}"
        ",Removable=Yes,WriteCache=Yes\n",
        IdentityOptions(bytes.fromhex(NAA), bytes.fromhex(EUI), "ACME", "a disk", "1.0", "s" * 40),
        removable=True,
        cached=True,
    ),
    "pages": Case(
        LUN + "LunOption 1 page80=20736E,Page83=02010004414243440103000830000001000000ab\n",
        IdentityOptions(
            page_80=b" sn", page_83=bytes.fromhex("0201000441424344") + bytes.fromhex("0103000830000001000000ab")
        ),
    ),
    "a page of a port": Case(LUN + "LunOption 1 Page83=5194000400000001,Page80=41\n", IdentityOptions(page_80=b"A"),
                             "lun-option@3:13"),
    "a write cache": Case(LUN + "LunOption 1 WriteCache=Yes\n", AS_IET, cached=True),
    "removable": Case(LUN + "LunOption 1 removable = Yes\n", AS_IET, removable=True),
    "not removable": Case(LUN + "LunOption 1 Removable=No\n", AS_IET),
    "removable on a line of its own": Case(
        f"LunOption 1 Naa={NAA}\nLunOption 1 Removable=Yes\n" + LUN, N, removable=True
    ),
    "several lines": Case(
        LUN + f"LunOption 1 Naa={NAA}\nLunOption 1 Vendor=ACME\n", IdentityOptions(naa=N.naa, vendor="ACME")
    ),
    "letter case": Case(LUN + f"LUNOPTION 1 NAA={NAA.upper()}\n", N),
    "blanks": Case(LUN + f"LunOption\t1  Naa = {NAA} , Vendor=ACME\r\n", IdentityOptions(naa=N.naa, vendor="ACME")),
    "empty items": Case(LUN + f"LunOption 01,, ,Naa={NAA},\n", N),
    "a comment": Case(LUN + f"LunOption 1 Naa={NAA} # of the old target, Vendor=ACME\n", N),
    "a hash without a blank": Case(LUN + "LunOption 1 Serial=a#b\n", IdentityOptions(serial="a#b")),
    "an equals sign in a value": Case(LUN + "LunOption 1 Serial=a=b\n", IdentityOptions(serial="a=b")),
    "of another LUN": Case(LUN + f"Lun 2 Path=/y\nLunOption 2 Naa={NAA}\n", AS_IET),
    "of another target": Case(LUN + f"Target u\nLun 1 Path=/y\nLunOption 1 Naa={NAA}\n", AS_IET),
    # -- mistakes
    "no number": Case(LUN + f"LunOption Naa={NAA}\n", AS_IET, "lun-option@3:1"),
    "nothing": Case(LUN + "LunOption\n", AS_IET, "lun-option@3:1"),
    "a number that cannot be": Case(LUN + f"LunOption 16384 Naa={NAA}\n", AS_IET, "lun-option@3:1"),
    "a hexadecimal number": Case(LUN + f"LunOption 0x1 Naa={NAA}\n", AS_IET, "lun-option@3:1"),
    "nothing behind the number": Case(LUN + "LunOption 1 # Naa\n", AS_IET, "lun-option@3:1"),
    "no such LUN": Case(LUN + f"LunOption 2 Naa={NAA}\n", AS_IET, "lun-option-without-lun@3:1"),
    "a LUN that is not served": Case(
        "LunOption 1 Vendor=A\nLun 1 Path=/x,bad\nLun 1 Path=/y\nLunOption 2 Vendor=B\nLun 2 bad\n",
        IdentityOptions(vendor="A"),
        "lun-refused@3:15 lun-option-without-lun@5:1 lun-refused@6:7",
    ),
    "unknown parameter": Case(LUN + f"LunOption 1 Naa={NAA},Color=red\n", N, "lun-option@3:50"),
    "misspelt parameter": Case(LUN + f"LunOption 1 Na={NAA}\n", AS_IET, "lun-option@3:13"),
    "bad value": Case(LUN + "LunOption 1 Vendor=ACME, Naa=0x5\n", IdentityOptions(vendor="ACME"), "lun-option@3:26"),
    "no value": Case(LUN + "LunOption 1 Vendor\n", AS_IET, "lun-option@3:13"),
    "nothing is guessed": Case(LUN + "LunOption 1 Removable=yes\n", AS_IET, "lun-option@3:13"),
    "twice on a line": Case(
        LUN + "LunOption 1 Vendor=A,Vendor=A\n", IdentityOptions(vendor="A"), "lun-option@3:22"
    ),
    "twice on two lines": Case(
        "LunOption 1 Vendor=A\n" + LUN + "LunOption 1 vendor=B\n", IdentityOptions(vendor="A"), "lun-option@4:13"
    ),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_every_mode_reads_the_same(case: Case, mode: str) -> None:
    configuration = loads(f"Target t\n{case.text}", compat=mode)
    found = " ".join(f"{one.code}@{one.span.line}:{one.span.column}" for one in configuration.diagnostics)
    (one,) = (lun for lun in configuration.targets[0].luns if lun.number == 1)
    expected = case.identity, case.removable, case.cached, case.findings
    assert (one.identity, one.removable, one.cached, found) == expected
    assert one.caches is case.cached
    severity = "warning" if mode == "iet" else "error"
    for finding in configuration.diagnostics:
        assert (finding.severity, bool(finding.hint), bool(finding.iet)) == (severity, True, True)


@pytest.mark.parametrize(("line", "message"), [
    (
        "LunOption 1 Naa=12",
        "f:3:13: error: '12' is no Naa; LUN 1 is served without it; write 16 hexadecimal digits that begin with 2, 3 or"
        " 5, or 32 that begin with 6; IET: has no such keyword and ignored the line",
    ),
    (
        "LunOption 7 Vendor=A",
        "f:3:1: error: target t serves no LUN 7 to which this could apply; correct the number, or its Lun line;"
        " IET: has no such keyword and ignored the line",
    ),
    (
        "LunOption 1 Vendro=A",
        "f:3:13: error: 'Vendro' is no parameter of a LunOption line and has no effect; did you mean Vendor?;"
        " IET: has no such keyword and ignored the line",
    ),
    (
        "LunOption 1 Vendor=A,Vendor=B",
        "f:3:22: error: LUN 1 has its Vendor already, from f:3:13; this one has no effect; leave one of them;"
        " IET: has no such keyword and ignored the line",
    ),
])
def test_a_sentence_in_full(line: str, message: str) -> None:
    (one,) = loads(f"Target t\n{LUN}{line}\n", "f").diagnostics
    assert str(one) == message


def test_before_the_first_target_it_belongs_to_nobody() -> None:
    configuration = loads(f"LunOption 1 Vendor=A\nTarget t\n{LUN}")
    assert [one.code for one in configuration.diagnostics] == ["outside-target"]
    assert configuration.targets[0].luns[0].identity == AS_IET


def test_two_blocks_of_one_target_share_their_lines() -> None:
    text = f"Target t\n{LUN}Target t\nLunOption 1 Vendor=A\n"
    assert loads(text).targets[0].luns[0].identity == IdentityOptions(vendor="A")
    assert loads(text, compat="iet").targets[0].luns[0].identity == AS_IET


def test_the_last_line_needs_no_newline() -> None:
    for mode in MODES:
        configuration = loads(f"Target t\n{LUN}LunOption 1 Vendor=A", compat=mode)
        assert configuration.targets[0].luns[0].identity == IdentityOptions(vendor="A")
        assert configuration.diagnostics == ()


def test_the_parameters_are_what_an_identity_can_say_and_other_fields_of_a_lun() -> None:
    identity = [field.name for field in fields(IdentityOptions)]
    others = [name for name in UNSAID if name != "identity"]
    assert [option.attribute for option in LUN_EXTENSIONS] == [*identity, *others]
    assert said(LunConfig(0, PLACE)) == UNSAID


_TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=",#\"'"), min_size=1)


@given(
    number=st.integers(0, 16383),
    naa=st.none() | st.binary(min_size=8, max_size=8).map(lambda data: bytes([0x50 | data[0] & 15]) + data[1:]),
    eui=st.none() | st.binary(min_size=12, max_size=12),
    vendor=st.none() | _TEXTS.map(lambda text: text[:8]),
    serial=st.none() | _TEXTS.map(lambda text: text[:252]),
    page_80=st.none() | st.binary(min_size=1, max_size=252),
    page_83=st.none() | st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=5).map(
        lambda values: b"".join(bytes((1, 1, 0, len(value))) + value for value in values)
    ),
    flags=st.fixed_dictionaries({
        "removable": st.booleans(), "cached": st.booleans(), "iops": st.integers(0, 10**9),
        "bytes_per_second": st.sampled_from([0, 1024, 1025, 50 << 20]),
    }),
)
def test_what_is_rendered_reads_as_what_it_was(number: int, flags: dict[str, Any], **values: object) -> None:
    identity = IdentityOptions(**values)  # type: ignore[arg-type]
    lun = LunConfig(number, PLACE, identity=identity, **flags)
    report, options = Report("f", "strict"), LunOptions()
    (statement,) = read(rendered(lun) + "\n", report)
    options.add(statement, report)
    assert options.of(number) == {"identity": identity, **flags} == said(lun)
    given = {name for name, value in values.items() if value is not None} | {name for name in flags if flags[name]}
    assert options.given.get(number, {}).keys() == given
    assert len(report.diagnostics) == (said(lun) == UNSAID)
