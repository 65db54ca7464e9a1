"""What holds of any file: modes differ only where something is said, and repair opens nothing (decisions 1)."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from ietpy.config.findings import MODES
from ietpy.config.load import loads
from ietpy.config.model import Configuration, TargetConfig, meaning
from ietpy.config.options import LUN_OPTIONS, OPTIONS

from .rules.rule import LONG

_KEYWORDS = st.sampled_from([
    "Target", "Lun", "IncomingUser", "OutgoingUser", "MaxSessions", "Wthreads", "Type", "InitialR2T",
    "HeaderDigest", "MaxBurstLength", "Alias", "iSNSServer", "iSNSAccessControl", "initiator-address",
    "initiator-name", "User", "Compat", "DefaultTime2Wait", "NOPInterval", "OFMarkInt", "Targt", "Luns",
    "IncomingUsr", "InUser", "OutgoinUser", "MaxSesions", "Username", "Password", "chap", "readonly", "IOMode",
    "iSNSAccess", "Initiator", "initiator-portal", "xyzzy", "backing-store", "auth-group",
    "MaxRecvDataSegmentLength", "LunOption",
])
_VALUES = st.sampled_from([
    "t", "T", "u", "joe", "secret", "other", "0", "1", "2", "5", "1O", "1k", "010", "0x2", "-1", "99999", "many",
    "Yes", "No", "yes", "no", "maybe", "None", "CRC32C", "None,CRC32C", "crc32c", "10.0.0.1", "10.0.0.0/8", "ALL",
    "host", "iqn.x", "#", "#x", "\\", '"q"', '"1"', '"Yes"', "'x", "Path=/x", "Path=/y", 'Path="/x"',
    "path=/x,IOMode=ro", "Path=/x,Type=fileio", "Type=blockio", "IOMode=ro", "IOMode=RO", "IOMode=readonly",
    "ScsiSN=7", 'ScsiSN="7"', "ScsiId=a", "BlockSize=4096", "BlockSize=4k", "Path=/x,\\", ",ScsiSN=8,\\",
    "Type=nullio", "/dev/x", "fileio", "=", ",", "Naa=5000000000000001", "Mode=ro",
    "Luns=0-1:2", "Luns=0", "Address=::1", "User=joe", "*", "iqn.*",
])
_JOINTS = st.sampled_from([" ", " ", " ", "\t", "  ", "=", ": ", "=", " = ", ", ", ",", "/"])
_ENDS = st.sampled_from(["\n", "\n", "\n", "\n", "\r\n", "", "\0\n", " \n", " # c\n", "\n\n", "\\\n"])
_STARTS = st.sampled_from(["", "", "", "", " ", "\ufeff", LONG, "#", "\0"])


@st.composite
def _lines(draw: st.DrawFn) -> str:
    words = [draw(_KEYWORDS), *draw(st.lists(_VALUES, max_size=4))]
    text = draw(_STARTS) + words[0]
    for word in words[1:]:
        text += draw(_JOINTS) + word
    return text + draw(_ENDS)


FILES = st.lists(_lines(), max_size=7).map("".join)
#: Files in which mostly targets with something in them come out.
SERVED = FILES.map(lambda text: "Target t\nLun 0 Path=/x\nIncomingUser joe secret\n" + text)
#: Anything that words and blanks make.
_WORDS = st.sampled_from([
    *(option.name for option in OPTIONS),
    *(f"{option.name}=" for option in LUN_OPTIONS),
    "Targt", "IncomingUsr", "InitialR2", "/x", "0", "1", "64M", "Yes", "no", "None,", "CRC32C", "#", ",", "=", "\\",
    "\x00", "\ufeff", "\udc80", "fileio", "iqn.2001-04.com.example:t", '"q"', "\ud800", "\xa0", "-1", "0x",
])
_BLANKS = st.sampled_from([" ", "\t", "\n", "\r\n", "\f", "\v", "", " ,"])
SOUP = st.lists(st.tuples(_WORDS, _BLANKS), max_size=30).map(lambda pairs: "".join(map("".join, pairs)))
TEXTS = st.one_of(FILES, SERVED, SOUP)


@given(text=st.one_of(TEXTS, st.text(max_size=80)), mode=st.sampled_from(MODES))
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


def by_name(configuration: Configuration) -> dict[str, TargetConfig]:
    return {target.name.lower(): target for target in configuration.targets}


def same(one: Configuration, other: Configuration) -> bool:
    return replace(meaning(one), compat="") == replace(meaning(other), compat="")


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_modes_differ_only_where_something_is_said(text: str) -> None:
    repair, iet, strict = (loads(text, "f", mode) for mode in ("repair", "iet", "strict"))
    if not same(repair, iet):
        assert repair.diagnostics
        assert iet.diagnostics
        assert strict.refused
    assert strict.refused or same(strict, iet)


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
@example(f"Target t\n{LONG}IncomingUser joe secret\n")
@example(f"{LONG}Target u\nIncomingUser joe secret\n")
@example(f"Target t\n{LONG}MaxSessions 1\n")
def test_repair_opens_nothing_that_iet_kept_closed(text: str) -> None:
    repair, iet = (loads(text, "f", mode) for mode in ("repair", "iet"))
    if iet.discovery_incoming or iet.discovery_closed:
        assert repair.discovery_incoming or repair.discovery_closed
    assert repair.isns_access_control or not iet.isns_access_control
    repaired = by_name(repair)
    for legacy in iet.targets:
        target = repaired.get(legacy.name.lower())
        if target is None or target.closed:
            continue
        assert not legacy.closed
        assert target.incoming or not legacy.incoming
        assert target.max_sessions or not legacy.max_sessions
        assert not legacy.max_sessions or target.max_sessions <= legacy.max_sessions
        secrets = {account.name: account.secret for account in target.incoming}
        for account in {one.name: one for one in legacy.incoming}.values():
            assert secrets.get(account.name, account.secret) == account.secret
        mended = {(lun.span, lun.number): lun for lun in target.luns}
        for lun in legacy.luns:
            kept = mended.get((lun.span, lun.number))
            if kept is not None:
                assert kept.read_only or not lun.read_only
                assert (kept.scsi_id, kept.scsi_sn, kept.block_size) == (lun.scsi_id, lun.scsi_sn, lun.block_size)


# -- one slip of the pen in a line that keeps somebody out -------------------------------------------------------

_LETTERS = st.sampled_from("aeinrsx_-. 1")


@st.composite
def _slips(draw: st.DrawFn) -> str:
    """A line with a keyword that restricts, one edit away from right, or something else than a blank behind it."""
    keyword, value = draw(st.sampled_from([
        ("IncomingUser", "joe secret"), ("initiator-address", "10.0.0.1"), ("initiator-name", "iqn.x"),
        ("Initiator", "iqn.x Mode=ro"),
        ("MaxSessions", "1"), ("iSNSAccessControl", "Yes"), ("User", "joe secret"),
    ]))
    at = draw(st.integers(0, len(keyword) - 1))
    edits = {
        "nothing": keyword,
        "deletion": keyword[:at] + keyword[at + 1 :],
        "insertion": keyword[:at] + draw(_LETTERS) + keyword[at:],
        "substitution": keyword[:at] + draw(_LETTERS) + keyword[at + 1 :],
        "transposition": keyword[:at] + keyword[at : at + 2][::-1] + keyword[at + 2 :],
    }
    edit = draw(st.sampled_from(sorted(edits)))
    # A word of four letters has no room for a slip but this one.
    word = edits[edit] if len(keyword) > 4 or edit == "nothing" else keyword
    case = draw(st.sampled_from([str, str.lower, str.upper]))
    joint = " " if " " in word else draw(st.sampled_from([" ", "\t", "=", ": ", " = ", "= ", ":", ", "]))
    return case(word) + joint + value + draw(st.sampled_from(["", " # a comment", " \\"]))


@given(line=_slips(), end=st.sampled_from(["\n", "\r\n", "", "\0\n"]))
@settings(max_examples=300, deadline=None)
@example("Incoming User joe secret", "\n")
@example("initiator address 10.0.0.1", "\n")
@example("Max Sessions 1", "\n")
def test_one_slip_leaves_no_target_open(line: str, end: str) -> None:
    configuration = loads(f"iSNSServer h\nTarget t\nLun 0 Path=/x\n{line}{end}")
    (target,) = configuration.targets
    named = target.initiator_addresses or target.initiator_names or target.initiators
    kept_out = target.incoming or target.closed or named
    assert kept_out or target.max_sessions == 1 or configuration.isns_access_control
    for account in target.incoming:
        assert account.secret == "secret"
