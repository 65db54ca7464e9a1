"""Lun lines against iet-compat 1.6 and 2.3: what each mode serves and says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.findings import MODES
from ietpy.config.load import loads
from ietpy.config.model import Configuration

Dump = Callable[[Configuration], str]


@dataclass(frozen=True)
class Case:
    """What follows ``Target t``, what ``repair`` and ``iet`` serve, the findings of both, whether ``strict`` starts."""

    text: str
    repair: str
    findings: str = ""
    iet: str | None = None
    iet_findings: str | None = None
    strict: bool = False


CASES = {
    # -- valid
    "path only": Case("Lun 0 Path=/x", "0=/x", strict=True),
    "everything": Case(
        "Lun 1 Path=/x,Type=fileio,ScsiId=id,ScsiSN=s n,IOMode=wb,BlockSize=4096",
        "1=/x(wb,4096,id=id,sn=s n)",
        strict=True,
    ),
    "names in any case": Case("Lun 0 path=/x,TYPE=blockio,iomode=ro", "0=/x(blockio,ro)", strict=True),
    "nullio": Case("Lun 1 Blocks=10000,BlockSize=4096,Type=nullio", "1=(nullio,4096,Blocks=10000)", strict=True),
    "nullio by its older key": Case("Lun 1 Type=nullio,Sectors=5", "1=(nullio,Sectors=5)", strict=True),
    "a blank and an equals sign in a path": Case("Lun 0 Path=/a b=c", "0=/a b=c", strict=True),
    "empty items": Case("Lun 0,,Path=/x,,", "0=/x", strict=True),
    "IOMode twice": Case("Lun 0 Path=/x,IOMode=wb,IOMode=ro,IOMode=wt", "0=/x(ro,wb)", strict=True),
    "highest number": Case("Lun 16383 Path=/x", "16383=/x", strict=True),
    "wb with blockio": Case("Lun 0 Path=/x,Type=blockio,IOMode=wb", "0=/x(blockio)", "no-effect", strict=True),
    "relative path": Case("Lun 0 Path=x", "0=x", "relative-path", strict=True),
    "ScsiId of 16 bytes": Case("Lun 0 Path=/x,ScsiId=0123456789abcdef", "0=/x(id=0123456789abcdef)", strict=True),
    # -- numbers
    "16384": Case("Lun 16384 Path=/x", "", "lun-number"),
    "negative": Case("Lun -1 Path=/x", "", "lun-number"),
    "minus zero": Case("Lun -0 Path=/x", "", "lun-number"),
    "a number of 5000 digits": Case("Lun " + "9" * 4000 + " Path=/x", "", "lun-number"),
    "leading zeros are decimal": Case("Lun 010 Path=/x", "10=/x", strict=True),
    "no number": Case("Lun Path=/x", "0=/x", "lun-without-number"),
    "hexadecimal": Case("Lun 0x2 Path=/x", "", "lun-refused lun-repaired", "", "lun-refused"),
    # -- mistakes with one plain meaning
    "blank after a comma": Case("Lun 0 Path=/x, Type=blockio", "0=/x(blockio)", "lun-repaired", "", "lun-refused"),
    "blanks around =": Case(
        "Lun 0 Path = /x,IOMode= ro", "0=/x(ro)", "lun-repaired lun-repaired", "", "lun-refused lun-refused"
    ),
    "blank for a comma": Case("Lun 0 Path=/x IOMode=ro", "0=/x(ro)", "lun-repaired", "0=/x IOMode=ro", ""),
    "blank after a comma at the end": Case("Lun 0 Path=/x, ", "0=/x", strict=True),
    "nothing between blanks": Case("Lun 0 Path=/x, ,IOMode=ro", "0=/x(ro)", "", "", "lun-refused", strict=True),
    "comment": Case("Lun 0 Path=/x # the first, IOMode=ro", "0=/x", "comment-after-lun", "", "lun-refused"),
    "comment as part of a path": Case("Lun 0 Path=/x #c", "0=/x", "comment-after-lun", "0=/x #c", ""),
    "positional": Case("Lun 0 /dev/hdc", "0=/dev/hdc", "positional-lun", "", "lun-refused"),
    "positional with a type": Case(
        "Lun 0 /dev/hdc blockio", "0=/dev/hdc(blockio)", "positional-lun", "", "lun-refused"
    ),
    "positional with a parameter": Case(
        "Lun 0 /dev/hdc,IOMode=ro", "0=/dev/hdc(ro)", "positional-lun", "", "lun-refused"
    ),
    "positional with an unknown type": Case("Lun 0 /dev/hdc diskio", "", "lun-refused"),
    "positional with a no-break space": Case("Lun 0 /a\xa0b", "0=/a\xa0b", "positional-lun", "", "lun-refused"),
    "quoted path": Case('Lun 0 Path="/a b"', "0=/a b", "lun-repaired", '0="/a b"', "relative-path"),
    "misspelt parameter": Case("Lun 0 Path=/x,IOMod=ro", "0=/x(ro)", "lun-repaired", "", "lun-refused"),
    "upper-case values": Case(
        "Lun 0 Path=/x,Type=FileIO,IOMode=RO", "0=/x(ro)", "lun-repaired lun-repaired", "", "lun-refused lun-refused"
    ),
    "BlockSize 4k": Case("Lun 0 Path=/x,BlockSize=4k", "0=/x(4096)", "lun-repaired", "0=/x", "lun-parameter-ignored"),
    "BlockSize 0x1000": Case("Lun 0 Path=/x,BlockSize=0x1000", "0=/x(4096)", "lun-repaired", "", "lun-refused"),
    "Blocks with a suffix": Case(
        "Lun 0 Type=nullio,Blocks=1M", "0=(nullio,Blocks=1048576)", "lun-repaired", "", "lun-refused"
    ),
    "continued": Case(
        "Lun 1 Path=/x,\\\nType=fileio,IOMode=ro", "1=/x(ro)", "continued-line", "", "lun-refused unknown-keyword"
    ),
    "continued without a comma": Case(
        "Lun 1 Path=/x \\\n  IOMode=ro", "1=/x(ro)", "continued-line", "1=/x \\", "unknown-keyword"
    ),
    "not continued: an account follows": Case("Lun 1 Path=/x\\\nIncomingUser a b", "1=/x\\ +a/b", strict=True),
    "not continued: a comment follows": Case("Lun 1 Path=/x\\\n#\nIOMode=ro", "1=/x\\", "unknown-keyword"),
    "not continued: nothing follows": Case("Lun 1 Path=/x\\", "1=/x\\", strict=True),
    "identity twice": Case(
        "Lun 0 Path=/x,ScsiId=abcdef,ScsiId=xy,ScsiSN=123,ScsiSN=9",
        "0=/x(id=xycdef,sn=923)",
        "identity-overlaid identity-overlaid",
    ),
    "type twice": Case("Lun 0 Path=/x,Type=nullio,Type=fileio", "0=/x", "repeated", strict=True),
    # -- mistakes without one: not served, and never writable
    "unknown parameter": Case("Lun 0 Path=/x,Dest=MA", "", "lun-refused"),
    "a bare word": Case("Lun 0 Path=/x,ro", "", "lun-refused"),
    "unknown type": Case("Lun 0 Path=/x,Type=block", "", "lun-refused"),
    "unreadable IOMode": Case("Lun 0 Path=/x,IOMode=readonly", "", "lun-refused"),
    "empty value": Case("Lun 0 Path=/x,ScsiId=", "", "lun-refused"),
    "name without =": Case("Lun 0 Path", "", "lun-refused"),
    "two paths": Case("Lun 0 Path=/x,Path=/y", "", "lun-refused"),
    "no path": Case("Lun 0 Type=fileio", "", "lun-refused"),
    "number only": Case("Lun 0", "", "lun-refused"),
    "nullio with a path": Case("Lun 0 Path=/x,Type=nullio", "", "lun-refused"),
    "nullio with IOMode": Case("Lun 0 Type=nullio,IOMode=ro", "", "lun-refused"),
    "fileio with Blocks": Case("Lun 0 Path=/x,Blocks=5", "", "lun-refused"),
    "ScsiId of 17 bytes": Case("Lun 0 Path=/x,ScsiId=0123456789abcdef0", "", "lun-refused"),
    "ScsiSN of 33 characters": Case("Lun 0 Path=/x,ScsiSN=" + "x" * 33, "", "lun-refused"),
    "BlockSize 1000": Case("Lun 0 Path=/x,BlockSize=1000", "", "lun-refused"),
    "BlockSize junk": Case("Lun 0 Path=/x,BlockSize=big", "0=/x", "lun-parameter-ignored"),
    "Blocks junk": Case("Lun 0 Type=nullio,Blocks=many", "", "lun-refused"),
    # -- IET's forgetfulness (1.6)
    "bad type, then ScsiId": Case(
        "Lun 0 Type=bogus,ScsiId=x,Path=/f", "", "lun-refused", "0=/f(id=x)", "lun-refused lun-error-cleared"
    ),
    "bad IOMode, then ScsiSN": Case(
        "Lun 0 IOMode=xx,ScsiSN=1,Path=/f", "", "lun-refused", "0=/f(ro,sn=1)", "lun-refused lun-error-cleared"
    ),
    "bad type after ScsiId": Case("Lun 0 ScsiId=x,Type=bogus,Path=/f", "", "lun-refused"),
    "same number twice": Case("Lun 0 Path=/x\nLun 0 Path=/y", "0=/x", "duplicate-lun"),
    "same number after a refused one": Case("Lun 0 Path=/x,ro\nLun 0 Path=/y", "0=/y", "lun-refused"),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
class TestModes:
    def served(self, case: Case, mode: str, dump: Dump) -> tuple[str, str, bool]:
        configuration = loads(f"Target t\n{case.text}\n", compat=mode)
        codes = " ".join(one.code for one in configuration.diagnostics)
        return dump(configuration).removeprefix("t:").strip(), codes, configuration.refused

    def test_repair(self, case: Case, dump: Dump) -> None:
        assert self.served(case, "repair", dump) == (case.repair, case.findings, False)

    def test_iet(self, case: Case, dump: Dump) -> None:
        expected = case.repair if case.iet is None else case.iet
        codes = case.findings if case.iet_findings is None else case.iet_findings
        assert self.served(case, "iet", dump) == (expected, codes, False)

    def test_strict(self, case: Case, dump: Dump) -> None:
        assert self.served(case, "strict", dump)[2] is not case.strict


@given(
    mode=st.sampled_from(MODES),
    before=st.sampled_from(["Path=/x", "Path=/x,ScsiSN=1", "Path=/x,Type=fileio"]),
    joint=st.sampled_from([",", ", ", " ", " ,", ",\\\n", " \\\n"]),
    name=st.sampled_from(["IOMode", "iomode", "IOMod", "IOmode ", "IO-Mode", "Mode"]),
    value=st.sampled_from(["ro", "RO", " ro", "readonly", "r", '"ro"', "ro,ScsiId=a", "ro # c", "r o"]),
)
def test_a_line_that_says_ro_in_any_way_is_never_writable_but_as_iet_had_it(
    mode: str, before: str, joint: str, name: str, value: str
) -> None:
    text = f"Target t\nLun 0 {before}{joint}{name}={value}\n"
    for lun in loads(text, compat=mode).targets[0].luns:
        # After a blank, what looks like no parameter is part of the last value, as under IET: another file or serial.
        swallowed = lun.path != "/x" or lun.scsi_sn not in (None, "1")
        assert lun.read_only or swallowed
