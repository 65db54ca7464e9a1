"""The loader against iet-compat 1.2 to 1.8: what each mode makes of a text, and what it says about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config import load as load_module
from ietpy.config.findings import MODES
from ietpy.config.load import load, loads
from ietpy.config.model import Configuration
from ietpy.config.options import LUN_OPTIONS, OPTIONS
from ietpy.errors import ConfigError

Dump = Callable[[Configuration], str]

BLOCKIO = "Target iqn.2010-06.ServerName:desc\nLun 0 Path=/dev/sdX,Type=blockio\n"
FILEIO = "Target iqn.2010-06.ServerName:desc\nLun 0 Path=/root/os.img,Type=fileio\n"


@dataclass(frozen=True)
class Case:
    """A text, what ``repair`` and ``iet`` make of it, the findings as ``code@line``, and whether ``strict`` starts."""

    text: str
    repair: str
    findings: str = ""
    iet: str | None = None
    iet_findings: str | None = None
    strict: bool = False


T = "Target t\n"

CASES = {
    # -- valid lines
    "empty file": Case("", "", strict=True),
    "only comments": Case("# a\n   # b\n\n", "", strict=True),
    "founding example, blockio": Case(BLOCKIO, "iqn.2010-06.ServerName:desc: 0=/dev/sdX(blockio)", strict=True),
    "founding example, fileio": Case(FILEIO, "iqn.2010-06.ServerName:desc: 0=/root/os.img", strict=True),
    "keywords in any case": Case("TARGET t\nlUn 0 PATH=/x\nincominguser a b\n", "t: 0=/x +a/b", strict=True),
    "CRLF": Case("Target t\r\nLun 0 Path=/x,Type=fileio\r\n", "t: 0=/x", strict=True),
    "form feeds and vertical tabs are blanks": Case("\fTarget\vt\n\vLun\f0 Path=/x\f\n", "t: 0=/x", strict=True),
    "a hash within a line is text": Case("Target #t\nIncomingUser #a #b\n", "#t: +#a/#b", strict=True),
    "comment after a value": Case(T + "Wthreads 16 # more\nIncomingUser a b # c\n", "t: +a/b wthreads=16", strict=True),
    "accounts of discovery": Case("IncomingUser a b\nOutgoingUser c d\n" + T, "+a/b -c/d; t:", strict=True),
    "alias with blanks": Case(T + "Alias Lun 0\n", "t: alias=Lun 0", strict=True),
    "iSNS within a target": Case(T + "iSNSServer h\niSNSAccessControl yes\n", "isns=h isns-access; t:", strict=True),
    "all target keys": Case(
        T + "MaxSessions 4\nWthreads 16\nType 0\nQueuedCommands 64\nNOPInterval 15\nNOPTimeout 10\n",
        "t: max_sessions=4 wthreads=16 queued_commands=64 nop_interval=15 nop_timeout=10",
        strict=True,
    ),
    "NOPTimeout defaults to NOPInterval": Case(T + "NOPInterval 9\n", "t: nop_interval=9 nop_timeout=9", strict=True),
    "NOPTimeout above NOPInterval": Case(
        T + "NOPInterval 9\nNOPTimeout 20\n", "t: nop_interval=9 nop_timeout=9", strict=True
    ),
    "session keys": Case(
        T + "InitialR2T No\nMaxBurstLength 0x10000\nHeaderDigest CRC32C,None\nOFMarkInt 2048\n",
        "t: HeaderDigest=('CRC32C', 'None') InitialR2T=False MaxBurstLength=65536 OFMarkInt=2048",
        strict=True,
    ),
    "a name that is not iqn": Case("Target image_1\n", "image_1:", strict=True),
    "non-UTF-8 bytes survive": Case("Target t\udcff\n", "t\udcff:", strict=True),
    # -- lines (1.2)
    "byte order mark": Case(
        "\ufeff" + T + "Lun 0 Path=/x\n",
        "t: 0=/x",
        "byte-order-mark@1",
        "",
        "byte-order-mark@1 unknown-keyword@1 outside-target@2",
    ),
    "byte order mark before a target with accounts": Case(
        "\ufeffTarget t\nIncomingUser a b\nTarget u\nIncomingUser c d\n",
        "CLOSED; t: +a/b; u: +c/d",
        "byte-order-mark@1 stray-accounts@2",
        "+a/b; u: +c/d",
        "byte-order-mark@1 unknown-keyword@1",
    ),
    "byte order mark before a comment": Case(
        "\ufeff#\nTarget t\nIncomingUser a b\n",
        "t: +a/b",
        "byte-order-mark@1",
        "t: +a/b",
        "byte-order-mark@1 unknown-keyword@1",
    ),
    "NUL in the name of a target with accounts": Case(
        "Target t\0\nIncomingUser a b\nTarget\nTarget u\nIncomingUser c d\n",
        "CLOSED; t: +a/b; u: +c/d",
        "no-final-newline@1 nul-byte@1 stray-accounts@2 target-name@3",
        "CLOSED; u: +c/d",
        "target-name@1 no-final-newline@1 nul-byte@1 stray-accounts@2 target-name@3",
    ),
    "NUL ends a line": Case(T + "Lun 0 Path=/x\0y\n", "t: 0=/x", "nul-byte@2"),
    "NUL in a target name": Case(
        "Target t\0u\n", "t:", "no-final-newline@1 nul-byte@1", "", "target-name@1 no-final-newline@1 nul-byte@1"
    ),
    "a long comment": Case("#" + "x" * 4094 + "Target t\n", "", "long-line@1", "t:"),
    "a long line with an odd tail": Case("#" + "x" * 4094 + "\nTarget t\n", "t:", "long-line@1"),
    "unknown keyword": Case(T + "xyzzy 5\n", "t:", "unknown-keyword@2"),
    "unknown keyword with a neighbour": Case(T + "MaxBurst 5\n", "t:", "unknown-keyword@2"),
    "misspelt key": Case(
        T + "MaxBurstLenght 65536\n", "t: MaxBurstLength=65536", "misspelt-keyword@2", "t:", "unknown-keyword@2"
    ),
    "key=value": Case(T + "InitialR2T=No\n", "t: InitialR2T=False", "joined-by-equals@2", "t:", "unknown-keyword@2"),
    "key: value": Case(T + "InitialR2T: No\n", "t: InitialR2T=False", "joined-by-equals@2", "t:", "unknown-keyword@2"),
    "misspelt key=value": Case(
        T + "InitialR2=No\n", "t: InitialR2T=False", "misspelt-keyword@2 joined-by-equals@2", "t:", "unknown-keyword@2"
    ),
    "misspelt Lun": Case(T + "Luns 0 Path=/x\n", "t:", "unclear-keyword@2", "t:", "unknown-keyword@2"),
    "surplus words": Case(
        T + "InitialR2T No way\nIncomingUser a b c\nTarget u v\n",
        "t: +a/b InitialR2T=False; u:",
        "surplus-words@2 surplus-words@3 surplus-words@4",
    ),
    # -- end of file (1.2)
    "EOF after Target X": Case("Target X", "X:", "no-final-newline@1", "", "target-name@1 no-final-newline@1"),
    "EOF after a name with a blank": Case("Target X ", "X:", strict=True),
    "EOF after Target": Case("Target", "", "no-final-newline@1 target-name@1", "", "no-final-newline@1"),
    "EOF after Lun": Case(T + "Lun 0 Path=/x", "t: 0=/x", strict=True),
    "EOF after Wthreads": Case(T + "Wthreads 16", "t: wthreads=16", strict=True),
    "EOF after a session key": Case(T + "ImmediateData Yes", "t: ImmediateData=True", "no-final-newline@2"),
    "EOF after an account": Case(
        T + "IncomingUser a b", "t: +a/b", "no-final-newline@2", "t:", "account-without-secret@2 no-final-newline@2"
    ),
    "EOF after Alias": Case(T + "Alias x", "t: alias=x", strict=True),
    "EOF after iSNSServer": Case("iSNSServer 1.2.3.4", "isns=1.2.3.4", "no-final-newline@1"),
    # -- missing values (1.2)
    "session key alone": Case(T + "ImmediateData\n", "t:", "missing-value@2"),
    "session key before a comment": Case(
        T + "ImmediateData # Yes\n", "t:", "missing-value@2", "t:", "bad-value@2 surplus-words@2"
    ),
    "target key alone": Case(
        T + "Wthreads\n", "t:", "missing-value@2", "t: wthreads=1", "missing-value@2 out-of-range@2"
    ),
    "iSNSServer alone": Case("iSNSServer\n", "", "missing-value@1"),
    "Lun alone": Case(T + "Lun\n", "t:", "lun-number@2"),
    # -- scope (1.3)
    "lines before the first Target": Case(
        "Lun 0 Path=/x\nAlias a\nInitialR2T No\ninitiator-address 10.0.0.1\n" + T,
        "t:",
        "outside-target@1 outside-target@2 outside-target@3 borrowed-keyword@4 outside-target@4",
        "t:",
        "outside-target@1 outside-target@2 outside-target@3 unknown-keyword@4",
    ),
    "the last of a repeated key": Case(
        T + "Wthreads 9\nWthreads 10\nWthreads 10\n", "t: wthreads=10", "repeated@3", strict=True
    ),
    "iSNSAccessControl stays on": Case(
        "iSNSAccessControl Yes\niSNSAccessControl No\n", "isns-access", "repeated@2", strict=True
    ),
    "Target without a name": Case(
        T + "Target\nLun 0 Path=/x\nInitialR2T No\nIncomingUser a b\n", "CLOSED; t:", "target-name@2 stray-accounts@5"
    ),
    "Target without a name, discovery has accounts": Case(
        "IncomingUser x y\nTarget\nIncomingUser a b\nIncomingUser c d\n", "+x/y", "target-name@2"
    ),
    "misspelt Target": Case(
        "Target a\nTargt b\nLun 1 Path=/x\nIncomingUser j s\nTarrget c\nIncomingUser k s\n",
        "a: +j/s +k/s",
        "unclear-keyword@2 unclear-keyword@5",
        "a: 1=/x +j/s +k/s",
        "unknown-keyword@2 unknown-keyword@5",
    ),
    "misspelt first Target": Case(
        "Targt b\nLun 1 Path=/x\nIncomingUser j s\n",
        "CLOSED",
        "unclear-keyword@1 stray-accounts@3",
        "+j/s",
        "unknown-keyword@1 outside-target@2",
    ),
    "second block": Case(
        "Target A\nLun 0 Path=/x\nTarget a\nLun 0 Path=/y\nLun 1 Path=/z\nIncomingUser j s\nWthreads 9\n",
        "A: 0=/x 1=/z +j/s wthreads=9",
        "duplicate-target@3 duplicate-lun@4",
        "A: 0=/x +j/s",
        "duplicate-target@3",
    ),
    "a name of 256 bytes": Case(
        "Target " + "x" * 256 + "\nLun 0 Path=/x\nIncomingUser a b\n", "", "target-name@1", "x" * 255 + ": 0=/x +a/b"
    ),
    "a name of 224 bytes": Case("Target " + "x" * 224 + "\n", "x" * 224 + ":", "long-target-name@1", strict=True),
    # -- numbers and words (1.5)
    "octal": Case(T + "Wthreads 010\n", "t:", "octal-number@2", strict=True),
    "suffix": Case(
        T + "MaxBurstLength 1M\n",
        "t: MaxBurstLength=1048576",
        "number-suffix@2",
        "t: MaxBurstLength=512",
        "number-suffix@2 out-of-range@2",
    ),
    "junk after a number": Case(T + "Wthreads 12abc\n", "t:", "bad-number@2", "t: wthreads=12"),
    "no number": Case(T + "Wthreads many\n", "t:", "bad-number@2", "t: wthreads=1", "bad-number@2 out-of-range@2"),
    "a huge number": Case(
        T + "Wthreads " + "9" * 5000 + "\n",
        "t: wthreads=128",
        "long-line@2 out-of-range@2",
        "t: wthreads=1",
        "long-line@2 out-of-range@2 unknown-keyword@2",
    ),
    "too large": Case(
        T + "MaxBurstLength 99999999\n", "t: MaxBurstLength=16777215", "out-of-range@2", "t: MaxBurstLength=512"
    ),
    "too small": Case(T + "Wthreads -5\n", "t: wthreads=1", "out-of-range@2"),
    "DefaultTime2Wait goes to its maximum": Case(
        T + "DefaultTime2Wait -1\n", "t: DefaultTime2Wait=0", "out-of-range@2", "t: DefaultTime2Wait=3600"
    ),
    "out of range with no value of IET's own": Case(
        T + "OFMarkInt x\nMaxConnections 0\n", "t: MaxConnections=1 OFMarkInt=x", "out-of-range@3"
    ),
    "over the kernel's limit": Case(
        T + "MaxRecvDataSegmentLength 1048576\n",
        "t: MaxRecvDataSegmentLength=1048576",
        "over-kernel-limit@2",
        "t: MaxRecvDataSegmentLength=512",
    ),
    "forced": Case(
        T + "ErrorRecoveryLevel 2\nDataPDUInOrder No\n",
        "t: DataPDUInOrder=True ErrorRecoveryLevel=0",
        "forced-value@2 forced-value@3",
        strict=True,
    ),
    "yes for Yes": Case(
        T + "InitialR2T no\nImmediateData 1\n",
        "t: InitialR2T=False ImmediateData=True",
        "repaired-value@2 repaired-value@3",
        "t:",
    ),
    "neither Yes nor No": Case(T + "InitialR2T perhaps\n", "t:", "bad-value@2"),
    "digests with a blank": Case(
        T + "HeaderDigest None, CRC32C # both\n", "t: HeaderDigest=('None', 'CRC32C')", "repaired-value@2", "t:"
    ),
    "digest in lower case": Case(T + "DataDigest crc32c\n", "t: DataDigest=('CRC32C',)", "repaired-value@2", "t:"),
    "unknown digest": Case(T + "DataDigest MD5\n", "t:", "bad-value@2"),
    # -- accounts (1.7) and the rule of repair
    "no secret": Case(T + "IncomingUser a\n", "t: CLOSED", "account-without-secret@2", "t:"),
    "no secret twice": Case(
        T + "IncomingUser a\nIncomingUser\n", "t: CLOSED", "account-without-secret@2 account-without-secret@3", "t:"
    ),
    "no secret for discovery": Case("IncomingUser\n", "CLOSED", "account-without-secret@1", ""),
    "half an outgoing account": Case(T + "OutgoingUser a\n", "t: CLOSED", "account-without-secret@2", "t:"),
    "empty OutgoingUser": Case(T + "IncomingUser a b\nOutgoingUser\n", "t: +a/b", "empty-outgoinguser@3"),
    "second OutgoingUser": Case(
        T + "OutgoingUser a b\nOutgoingUser c d\n", "t: -c/d", "second-outgoinguser@3", strict=True
    ),
    "same user twice": Case(
        T + "IncomingUser a b\nIncomingUser a c\n", "t: +a/b +a/c", "same-user-twice@3", strict=True
    ),
    "quotes": Case(
        T + 'IncomingUser a "b"\nIncomingUser \'c d\n', 't: +a/"b" +\'c/d', "quotes@2 quotes@3", strict=True
    ),
    "misspelt IncomingUser": Case(T + "IncomingUsr a b\n", "t: +a/b", "misspelt-keyword@2", "t:", "unknown-keyword@2"),
    "misspelt OutgoingUser": Case(T + "OutgoinUser a b\n", "t: -a/b", "misspelt-keyword@2", "t:", "unknown-keyword@2"),
    "misspelt account without a secret": Case(
        T + "IncomingUsr a\n", "t: CLOSED", "misspelt-keyword@2 account-without-secret@2", "t:", "unknown-keyword@2"
    ),
    "User of 0.2": Case(
        "User a b\n" + T + "User c d\n",
        "+a/b; t: +c/d",
        "borrowed-keyword@1 borrowed-keyword@3",
        "t:",
        "unknown-keyword@1 unknown-keyword@3",
    ),
    "IncomingUser=name": Case(
        T + "IncomingUser=a b\nIncomingUser= c d\n",
        "t: +a/b +c/d",
        "joined-by-equals@2 joined-by-equals@3",
        "t:",
        "unknown-keyword@2 unknown-keyword@3",
    ),
    "account below an account without a secret": Case(
        T + "IncomingUser a\nhunter2\n", "t: CLOSED", "account-without-secret@2 unknown-keyword@3", "t:"
    ),
    "tgt's restrictions": Case(
        T + "initiator-address 10.0.0.1,10.0.0.2\ninitiator-name iqn.x\n",
        "t: from=10.0.0.1 from=10.0.0.2 who=iqn.x",
        "borrowed-keyword@2 borrowed-keyword@3",
        "t:",
        "unknown-keyword@2 unknown-keyword@3",
    ),
    "an empty restriction": Case(
        T + "initiator-name\n", "t: CLOSED", "borrowed-keyword@2 empty-restriction@2", "t:", "unknown-keyword@2"
    ),
    "tgt's backing-store": Case(T + "backing-store /x\n", "t:", "unknown-keyword@2"),
    # -- Compat
    "Compat too late": Case(T + "Compat strict\n", "t:", "compat-line@2"),
    "Compat with no mode": Case("Compat easy\n" + T, "t:", "compat-line@1"),
    "Compat alone": Case("Compat\n" + T, "t:", "compat-line@1"),
    "misspelt Compat": Case("Compt strict\n" + T, "t:", "unclear-keyword@1", "t:", "unknown-keyword@1"),
}


def findings(configuration: Configuration) -> str:
    return " ".join(f"{one.code}@{one.span.line}" for one in configuration.diagnostics)


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
class TestModes:
    def test_repair(self, case: Case, dump: Dump) -> None:
        configuration = loads(case.text, compat="repair")
        assert (dump(configuration), findings(configuration)) == (case.repair, case.findings)
        assert not configuration.refused

    def test_iet(self, case: Case, dump: Dump) -> None:
        configuration = loads(case.text, compat="iet")
        expected = case.repair if case.iet is None else case.iet
        codes = case.findings if case.iet_findings is None else case.iet_findings
        assert (dump(configuration), findings(configuration)) == (expected, codes)
        assert configuration.errors == ()

    def test_strict(self, case: Case) -> None:
        assert loads(case.text, compat="strict").refused is not case.strict


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


def test_default_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = (str(tmp_path / "first"), str(tmp_path / "second"))
    monkeypatch.setattr(load_module, "DEFAULT_PATHS", places)
    nothing = load()
    assert (findings(nothing), nothing.targets, nothing.compat) == ("file-not-found@1", (), "repair")
    assert load(compat="strict").refused
    (tmp_path / "second").write_text("Target b\nfoo\n")
    assert findings(load()) == "old-location@1 unknown-keyword@2"
    (tmp_path / "first").write_text("Target a\n")
    assert [target.name for target in load().targets] == ["a"]


# -- properties --------------------------------------------------------------------------------------------------

_WORDS = st.sampled_from(
    [
        *(option.name for option in OPTIONS),
        *(f"{option.name}=" for option in LUN_OPTIONS),
        "Targt",
        "IncomingUsr",
        "InitialR2",
        "/x",
        "0",
        "1",
        "64M",
        "Yes",
        "no",
        "None,",
        "CRC32C",
        "#",
        ",",
        "=",
        "\\",
        "\0",
        "\ufeff",
        "\udc80",
        "fileio",
        "iqn.2001-04.com.example:t",
        '"q"',
        "\ud800",
        "\xa0",
        "-1",
        "0x",
    ]
)
_BLANKS = st.sampled_from([" ", "\t", "\n", "\r\n", "\f", "\v", "", " ,"])
_TEXTS = st.lists(st.tuples(_WORDS, _BLANKS), max_size=30).map(lambda pairs: "".join(map("".join, pairs)))


@given(text=st.one_of(_TEXTS, st.text(max_size=80)), mode=st.sampled_from(MODES))
def test_any_text_is_a_configuration(text: str, mode: str) -> None:
    configuration = loads(text, "f", mode)
    lines = text.split("\n")
    for one in configuration.diagnostics:
        assert 1 <= one.span.line <= len(lines)
        assert 1 <= one.span.column <= len(lines[one.span.line - 1]) + 1
        assert str(one).isprintable()
    assert list(configuration.diagnostics) == sorted(configuration.diagnostics, key=lambda one: one.span)
    numbers = [[lun.number for lun in target.luns] for target in configuration.targets]
    assert all(len(set(luns)) == len(luns) for luns in numbers)


@given(text=_TEXTS)
def test_repair_never_opens_what_iet_kept_closed(text: str) -> None:
    """A target that IET served with accounts is not served without any."""
    configuration, legacy = loads(text, compat="repair"), loads(text, compat="iet")
    closed = configuration.discovery_incoming or configuration.discovery_closed
    assert closed or not (legacy.discovery_incoming or legacy.discovery_closed)
    repaired = {target.name.lower(): target for target in configuration.targets}
    for target in legacy.targets:
        other = repaired.get(target.name.lower())
        if target.incoming and other is not None:
            assert other.incoming or other.closed
