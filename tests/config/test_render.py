"""Lines made of the model mean what it says, in every mode."""

from __future__ import annotations

from typing import Any

import pytest

from ietpy.config.findings import MODES
from ietpy.config.load import loads
from ietpy.config.model import Account, LunConfig, TargetConfig
from ietpy.config.options import OPTIONS
from ietpy.config.render import (
    TARGET_KEYS,
    UnwritableError,
    account_line,
    key_value,
    lun_line,
    target_line,
    target_lines,
)
from ietpy.errors import Span
from ietpy.scsi.identity import IdentityOptions

PLACE = Span("f", 0, 0)


@pytest.mark.parametrize(("fields", "line"), [
    ({"path": "/x"}, "Lun 3 Path=/x,Type=fileio"),
    ({"path": "/x", "type": "blockio", "read_only": True}, "Lun 3 Path=/x,Type=blockio,IOMode=ro"),
    ({"path": "/x", "write_cache": True}, "Lun 3 Path=/x,Type=fileio,IOMode=wb"),
    (
        {"path": "/a b=c", "write_cache": True, "read_only": True, "block_size": 4096, "scsi_id": b"\xff"},
        "Lun 3 Path=/a b=c,Type=fileio,ScsiId=\udcff,IOMode=wb,IOMode=ro,BlockSize=4096",
    ),
    ({"path": "/x", "scsi_sn": "s n"}, "Lun 3 Path=/x,Type=fileio,ScsiSN=s n"),
    ({"type": "nullio", "options": {"Blocks": 0, "Sectors": 7}}, "Lun 3 Type=nullio,Blocks=0,Sectors=7"),
])
@pytest.mark.parametrize("mode", MODES)
def test_lun_line(fields: dict[str, Any], line: str, mode: str) -> None:
    lun = LunConfig(3, PLACE, **fields)
    assert lun_line(lun) == line
    configuration = loads(f"Target t\n{line}\n", compat=mode)
    assert (configuration.targets[0].luns, configuration.diagnostics) == ((lun,), ())


def test_every_key_of_a_target_can_be_written() -> None:
    known = {option.name for option in OPTIONS if option.session_key}
    known |= {"MaxSessions", "Wthreads", "QueuedCommands", "NOPInterval", "NOPTimeout"}
    assert {option.name for option in TARGET_KEYS} == known
    target = TargetConfig("t", PLACE, session_keys={"InitialR2T": False})
    said = {option.name: key_value(target, option) for option in TARGET_KEYS}
    assert {name: value for name, value in said.items() if value is not None} == {
        "MaxSessions": 0, "Wthreads": 8, "NOPInterval": 0, "NOPTimeout": 0, "InitialR2T": False,
    }


@pytest.mark.parametrize("mode", MODES)
def test_a_target_means_what_it_was(mode: str) -> None:
    target = TargetConfig(
        "iqn.x",
        PLACE,
        alias="a b",
        luns=(
            LunConfig(0, PLACE, "/x", identity=IdentityOptions(vendor="ACME")),
            LunConfig(7, PLACE, "/y", removable=True),
            LunConfig(16383, PLACE, "/z", identity=IdentityOptions(vendor="ACME"), removable=True),
            LunConfig(1, PLACE, type="nullio", block_size=512),
        ),
        incoming=(Account("#a", '"b"', PLACE), Account("c", "d", PLACE)),
        outgoing=Account("e", "f", PLACE),
        max_sessions=3,
        wthreads=9,
        queued_commands=7,
        nop_interval=5,
        nop_timeout=4,
        session_keys={"InitialR2T": False, "DataDigest": ("CRC32C",), "MaxBurstLength": 512},
    )
    configuration = loads("\n".join(target_lines(target)) + "\n", compat=mode)
    assert configuration.targets == (target,)
    assert configuration.errors == ()


def test_a_target_without_anything_is_one_line() -> None:
    assert list(target_lines(TargetConfig("t", PLACE, nop_interval=0))) == ["Target t"]
    assert list(target_lines(TargetConfig("t", PLACE, nop_interval=5, nop_timeout=5))) == ["Target t", "NOPInterval 5"]


@pytest.mark.parametrize("word", ["", " ", "a b", "a\t", "a\nb", "a\0", "\ra"])
def test_what_is_no_word_cannot_be_written(word: str) -> None:
    with pytest.raises(UnwritableError, match="target name"):
        target_line(word)
    for account in (Account(word, "hidden", PLACE), Account("joe", word, PLACE)):
        with pytest.raises(UnwritableError) as caught:
            account_line("IncomingUser", account, "t")
        assert "hidden" not in str(caught.value)
        assert str(caught.value).isprintable()


def test_a_no_break_space_is_part_of_a_word() -> None:
    assert account_line("OutgoingUser", Account("a\xa0b", "c", PLACE), "t") == "OutgoingUser a\xa0b c"


@pytest.mark.parametrize("path", ["/a\nb", "/a\0"])
def test_a_line_end_in_a_path_cannot_be_written(path: str) -> None:
    with pytest.raises(UnwritableError, match="LUN 3 has a parameter with a line end"):
        lun_line(LunConfig(3, PLACE, path))
