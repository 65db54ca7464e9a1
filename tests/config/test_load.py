"""What a file says about itself: sentences, secrets, modes. The rules one by one are in test_rules.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ietpy.config.findings import MODES
from ietpy.config.load import load, loads
from ietpy.errors import ConfigError

BLOCKIO = "Target iqn.2010-06.ServerName:desc\nLun 0 Path=/dev/sdX,Type=blockio\n"
FILEIO = "Target iqn.2010-06.ServerName:desc\nLun 0 Path=/root/os.img,Type=fileio\n"


# -- the founding examples and their like ------------------------------------------------------------------------


def test_founding_examples_in_one_file_name_both_places() -> None:
    configuration = loads(BLOCKIO + FILEIO, "ietd.conf")
    (target,) = configuration.targets
    assert [(lun.path, lun.type) for lun in target.luns] == [("/dev/sdX", "blockio")]
    clash = next(one for one in configuration.diagnostics if one.code == "duplicate-lun")
    assert str(clash.span) == "ietd.conf:4:1"
    assert "LUN 0" in clash.problem
    assert "ietd.conf:2:1" in clash.problem


TWELVE = """\
# twelve mistakes that people make
Targett iqn.2001-04.com.example:first
Target iqn.2001-04.com.example:second
    Lun 0 Path=/dev/sdb, Type=blockio
    Lun 1 Path=/dev/sdc,Type=fileio   # the big one
    Lun 2 /dev/hdc fileio
    Lun 3 Path=/dev/sdd,Type=block
    Lun 0 Path=/dev/sde
    IncomingUsr joe topsecret1
    OutgoingUser
    InitialR2T yes
    MaxBurstLength 4M
    FirstBurstLenght 65536
    initiator-address 10.1.2.180
"""


def test_twelve_mistakes_make_twelve_located_sentences() -> None:
    configuration = loads(TWELVE, "ietd.conf")
    found = configuration.diagnostics
    assert [(one.span.line, one.span.column, one.code) for one in found] == [
        (2, 1, "unclear-keyword"),
        (4, 26, "lun-repaired"),
        (5, 39, "comment-after-lun"),
        (6, 11, "positional-lun"),
        (7, 25, "lun-refused"),
        (8, 5, "duplicate-lun"),
        (9, 5, "misspelt-keyword"),
        (10, 5, "empty-outgoinguser"),
        (11, 16, "repaired-value"),
        (12, 20, "number-suffix"),
        (13, 5, "misspelt-keyword"),
        (14, 5, "borrowed-keyword"),
    ]
    for one in found:
        assert str(one).startswith(f"ietd.conf:{one.span.line}:{one.span.column}: ")
        assert one.problem
        assert one.hint
        assert one.iet


def test_a_sentence_in_full() -> None:
    (one,) = loads("Target t\n  MaxBurstLenght 65536\n", "ietd.conf").diagnostics
    assert str(one) == (
        "ietd.conf:2:3: warning: 'MaxBurstLenght' is a misspelt MaxBurstLength; write MaxBurstLength;"
        " IET: ignored the line"
    )


# -- secrets -----------------------------------------------------------------------------------------------------

SECRET = "hunter2secret"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "line",
    [
        f"IncomingUser joe {SECRET}",
        f'IncomingUser joe "{SECRET}"',
        f"IncomingUser joe {SECRET} {SECRET}",
        f"IncomingUser {SECRET}",
        f"IncomingUsr joe {SECRET}",
        f"IncomingUser=joe {SECRET}",
        f"User joe {SECRET}",
        f"IncomingUser=joe:{SECRET}",
        f"IncomingUser joe\n{SECRET}",
        f"OutgoingUser {SECRET}",
        f"password={SECRET}",
        f"chap:{SECRET} x",
        f"IncomingUser joe {SECRET}\nIncomingUser joe {SECRET}",
        f"IncomingUser joe \\\n{SECRET}",
        f"IncomingUser \\\njoe {SECRET}",
        f"IncomingUser joe # the secret is\n{SECRET} x",
        f"IncomingUser joe\nUser{SECRET} x",
        f"IncomingUser joe\nTarget{SECRET} x",
        f"IncomingUser,joe,{SECRET}",
        f"IncomingUser/joe/{SECRET}",
        f'IncomingUser"joe"{SECRET}"',
        f"IncomingUser = joe {SECRET}",
        f"InUser joe {SECRET}",
        f"chap joe {SECRET}",
        f"Password={SECRET}",
        f"Username joe\nPassword {SECRET}",
        "#" + "x" * 4094 + f"IncomingUser joe {SECRET}",
        f"IncomingUser joe {SECRET * 30}",
    ],
)
def test_no_message_holds_a_secret(line: str, mode: str) -> None:
    for text in (f"{line}\n", f"Target t\n{line}\n", f"Target t\n{line}", f"Target\n{line}\n", f"Targt\n{line}\n"):
        configuration = loads(text, compat=mode)
        assert SECRET not in "".join(map(str, configuration.diagnostics))
        assert SECRET not in repr(configuration)


# -- modes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "argument", "mode"),
    [
        ("", None, "repair"),
        ("", "strict", "strict"),
        ("Compat iet\n", None, "iet"),
        ("# first\n\n  compat STRICT\n", None, "strict"),
        ("Compat iet\n", "repair", "repair"),
        ("Compat nonsense\n", None, "repair"),
    ],
)
def test_mode(text: str, argument: str | None, mode: str) -> None:
    assert loads(text, compat=argument).compat == mode


def test_strict_refuses_a_misspelling() -> None:
    assert loads("Compat strict\nTarget t\nMaxBurstLenght 1\n").refused
    assert not loads("Compat strict\n" + FILEIO).refused


# -- files -------------------------------------------------------------------------------------------------------


def test_load_reads_bytes(tmp_path: Path) -> None:
    path = tmp_path / "ietd.conf"
    path.write_bytes(b"Target t\xff\n\tIncomingUser j \xe9\n")
    configuration = load(path)
    assert configuration.file == str(path)
    assert os.fsencode(configuration.targets[0].name) == b"t\xff"
    assert configuration.targets[0].incoming[0].secret.encode("utf-8", "surrogateescape") == b"\xe9"


@pytest.mark.parametrize("name", ["absent", "."], ids=["absent", "a directory"])
def test_a_named_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r":1:1: error: cannot read this file: .+; name a readable") as caught:
        load(tmp_path / name)
    assert [one.code for one in caught.value.diagnostics] == ["file-unreadable"]
