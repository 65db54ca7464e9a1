"""Lun lines: what must hold of any; the rules one by one are in test_rules.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.findings import MODES
from ietpy.config.load import loads


@given(
    mode=st.sampled_from(MODES),
    before=st.sampled_from(["Path=/x", "Path=/x,ScsiSN=1", "Path=/x,Type=fileio"]),
    joint=st.sampled_from([",", ", ", " ", " ,", ",\\\n", " \\\n"]),
    name=st.sampled_from(["IOMode", "iomode", "IOMod", "IOmode ", "IO-Mode", "Mode"]),
    value=st.sampled_from(["ro", "RO", " ro", "readonly", "r", '"ro"', "ro,ScsiId=a", "ro # c", "r o"]),
)
def test_a_line_that_says_ro_in_any_way_is_never_writable(
    mode: str, before: str, joint: str, name: str, value: str
) -> None:
    text = f"Target t\nLun 0 {before}{joint}{name}={value}\n"
    for lun in loads(text, compat=mode).targets[0].luns:
        # After a blank, what looks like no parameter is part of the path: another file. And IET knew no continuation.
        elsewhere = lun.path != "/x" or (mode == "iet" and (lun.scsi_sn or "").endswith("\\"))
        assert lun.read_only or elsewhere
