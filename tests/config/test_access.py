"""Allow and deny files against iet-compat section 3: who gets in, mode by mode."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.access import INITIATORS_ALLOW, INITIATORS_DENY, AccessFiles, read_rules, restricted
from ietpy.config.findings import MODES, Report
from ietpy.config.load import loads
from ietpy.iscsi.target import Asker

T = "iqn.2001-04.com.example:t"
NAME = "iqn.1993-08.org.debian:01:abc"
LOCAL = "192.0.2.1"
SYS = "iqn.2001-04.com.example:storage.disk1."
MS = "iqn.1991-05.com.microsoft:mscs1-2.example.com"
VM = "iqn.1998-01.com.vmware:a.example.com"


def admitted(directory: Path, peer: str, *, initiator: str = NAME, mode: str = "repair", target: str = T) -> bool:
    return AccessFiles(str(directory), compat=mode).admits(target, initiator, peer, LOCAL)


def write(directory: Path, name: str, text: str) -> Path:
    path = directory / name
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return directory


# -- items: text, peers it admits, peers it does not; in repair, and whether IET agreed ---------------------------

ITEMS = {
    "everybody": ("ALL", ["10.0.0.7", "2001:db8::1", "nonsense"], [], True),
    "exact": ("10.0.0.7", ["10.0.0.7"], ["10.0.0.8", "::1", "10.0.0.7.example"], True),
    "network": ("10.0.0.0/8", ["10.255.0.1"], ["11.0.0.1", "::1", "nonsense"], True),
    "half of all": ("0.0.0.0/1", ["10.0.0.1"], ["200.0.0.1", "::", "::1"], True),
    "two of a network": ("10.0.0.6/31", ["10.0.0.7"], ["10.0.0.8"], True),
    "inet_aton's short form": ("10.7", ["10.0.0.7"], ["10.7.0.0"], True),
    "inet_aton's octal": ("012.0.0.7", ["10.0.0.7"], ["12.0.0.7"], True),
    "hexadecimal prefix": ("10.0.0.0/0x18", ["10.0.0.9"], ["10.0.1.9"], True),
    "prefix with junk": ("10.0.0.0/24x", ["10.0.0.9"], ["10.0.1.9"], True),
    "IPv6 network": ("[3ffe:505:2:1::]/64", ["3ffe:505:2:1::9"], ["3ffe:505:2:2::9", "10.0.0.7"], True),
    "IPv6 network with host bits": ("[3ffe:505:2:1::5]/64", ["3ffe:505:2:1::9"], ["3ffe:505:2:2::9"], True),
    "IPv6 without brackets": ("3ffe:505::1", ["3ffe:505::1", "3ffe:505::1%eth0"], ["3ffe:505::2"], True),
    "all of IPv6 never means IPv4": ("[::]/0", ["::1", "3ffe::1"], ["10.0.0.7"], True),
    "the null address means itself": ("::", ["::"], ["10.0.0.7", "::1"], True),
    "IPv4 in IPv6 is another address": ("::ffff:10.0.0.7", ["::ffff:10.0.0.7"], ["10.0.0.7"], True),
    "zero means itself": ("0.0.0.0", ["0.0.0.0"], ["::1", "10.0.0.7"], True),
    "host by prefix": ("10.0.0.7/32", ["10.0.0.7"], ["10.0.0.8"], False),
    "IPv6 host by prefix": ("[::1]/128", ["::1"], ["::2"], False),
    "host bits": ("10.0.0.5/24", ["10.0.0.9"], ["10.0.1.9"], False),
    "netmask": ("10.0.0.0/255.0.0.0", ["10.9.9.9"], ["11.0.0.1"], False),
    "blanks for commas": ("10.0.0.1 10.0.0.7", ["10.0.0.1", "10.0.0.7"], ["10.0.0.2"], False),
    "comment": ("10.0.0.7 # the backup host, ALL", ["10.0.0.7"], ["10.0.0.8"], False),
}


@pytest.mark.parametrize(("item", "inside", "outside", "as_iet"), ITEMS.values(), ids=ITEMS.keys())
def test_items(tmp_path: Path, item: str, inside: list[str], outside: list[str], as_iet: bool) -> None:
    write(tmp_path, "initiators.allow", f"ALL {item}\n")
    assert [admitted(tmp_path, peer) for peer in inside] == [True] * len(inside)
    assert [admitted(tmp_path, peer) for peer in outside] == [False] * len(outside)
    for mode in ("iet", "strict"):
        assert [admitted(tmp_path, peer, mode=mode) for peer in inside] == [as_iet] * len(inside)
        assert [admitted(tmp_path, peer, mode=mode) for peer in outside] == [False] * len(outside)
    findings = AccessFiles(str(tmp_path)).diagnostics()
    assert bool(findings) is not as_iet
    assert all(one.span.line == 1 and one.hint for one in findings)


@pytest.mark.parametrize(
    "item",
    [
        "0.0.0.0/0",
        "0.0.0.0/0.0.0.0",
        "10.0.0.7/0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/255.0.255.0",
        "10.0.0.0/1.2.3.4.5",
        "10.*",
        "10.0.0.1-9",
        "host.example.com",
        "10.0.0.7 ALL 10.0.0.9",
        "[3ffe::1",
        "[",
        "",
        "10.0.0.0/8 .*",
        "[10.0.0.7]/x",
        "10.0.0.7/99999999999999999999999999",
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_what_would_admit_everybody_or_means_nothing_stays_closed(tmp_path: Path, item: str, mode: str) -> None:
    write(tmp_path, "initiators.allow", f"{T} {item}\n")
    assert not admitted(tmp_path, "172.16.0.1", mode=mode)
    assert not admitted(tmp_path, "2001:db8::1", mode=mode)


@pytest.mark.parametrize("line", ["ALL ALL", "ALL .*", f"{T} ALL", r"ALL .\{1,223\}", r"ALL .\+", "ALL 0.0.0.0/0"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("spoil", ["{}", "{}\0\n", "{}" + "," * 4096 + "\n"], ids=["no newline", "NUL", "too long"])
def test_a_line_iet_did_not_see_opens_nothing(tmp_path: Path, line: str, mode: str, spoil: str) -> None:
    write(tmp_path, "initiators.allow", spoil.format(line))
    assert not admitted(tmp_path, "10.0.0.7", mode=mode)
    assert AccessFiles(str(tmp_path), compat=mode).diagnostics()


@pytest.mark.parametrize("item", ["10.0.0.7", "10.0.0.0/24", NAME, NAME.replace(".", r"\.")])
def test_repair_reads_hosts_on_a_last_line_without_newline(tmp_path: Path, item: str) -> None:
    write(tmp_path, "initiators.allow", f"# who\nALL {item}")
    assert admitted(tmp_path, "10.0.0.7")
    assert not admitted(tmp_path, "172.16.0.1", initiator="iqn.other")
    assert not admitted(tmp_path, "172.16.0.1", initiator=NAME.replace(".", "x"))
    assert not admitted(tmp_path, "10.0.0.7", mode="iet")


# -- lines --------------------------------------------------------------------------------------------------------

LINES = {
    "no lines": ("", False),
    "only comments": ("# ALL ALL\n  #x\n\n", False),
    "CRLF": ("ALL ALL\r\n", True),
    "case of the target's name": (f"{T.upper()} ALL\n", True),
    "all is a target": ("all ALL\n", False),
    "other targets are skipped": (f"x {NAME}\n{T} ALL\n", True),
    "the first line decides": (f"{T} 10.9.9.9\n{T} ALL\nALL ALL\n", False),
    "nothing after ALL": (f"ALL 10.9.9.9\n{T} ALL\n", False),
    "a name without items is absent": (f"{T}\nALL ALL\n", True),
    "a name and a blank mean nobody": (f"{T} \nALL ALL\n", False),
    "nothing after an open bracket": ("ALL [3ffe::1, ALL\n", False),
    "a no-break space is part of a name": (f"{T}\xa0ALL\nALL ALL\n", True),
    "a long comment": ("#" + "x" * 5000 + "\nALL ALL\n", True),
}


@pytest.mark.parametrize(("text", "verdict"), LINES.values(), ids=LINES.keys())
@pytest.mark.parametrize("mode", MODES)
def test_lines(tmp_path: Path, text: str, verdict: bool, mode: str) -> None:
    assert admitted(write(tmp_path, "initiators.allow", text), "10.0.0.7", mode=mode) is verdict


# -- files --------------------------------------------------------------------------------------------------------


def test_without_files_everybody_may(tmp_path: Path) -> None:
    assert admitted(tmp_path, "10.0.0.7")
    assert AccessFiles(str(tmp_path)).diagnostics() == ()
    assert AccessFiles().directories == ("/etc/iet", "/etc")


def test_each_file_falls_back_on_its_own(tmp_path: Path) -> None:
    first, second = tmp_path / "iet", tmp_path / "etc"
    second.mkdir()
    (tmp_path / "file").write_text("")
    files = AccessFiles(str(tmp_path / "file"), str(first), str(second))
    write(second, "initiators.allow", "ALL 10.0.0.7\n")
    assert [files.admits(T, NAME, peer, LOCAL) for peer in ("10.0.0.7", "10.0.0.8")] == [True, False]
    first.mkdir()
    write(first, "initiators.allow", "ALL 10.0.0.8\n")
    assert [files.admits(T, NAME, peer, LOCAL) for peer in ("10.0.0.7", "10.0.0.8")] == [False, True]
    write(second, "targets.allow", "ALL 203.0.113.1\n")
    assert not files.admits(T, NAME, "10.0.0.8", LOCAL)


@pytest.mark.parametrize("name", ["initiators.allow", "initiators.deny", "targets.allow"])
@pytest.mark.parametrize("mode", MODES)
def test_a_file_that_cannot_be_read_denies(tmp_path: Path, name: str, mode: str) -> None:
    (tmp_path / name).mkdir()
    assert not admitted(tmp_path, "10.0.0.7", mode=mode)
    (one,) = AccessFiles(str(tmp_path), compat=mode).diagnostics()
    assert one.code == "access-file-unreadable"


def test_a_dangling_link_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "initiators.allow").symlink_to(tmp_path / "nowhere")
    assert not admitted(tmp_path, "10.0.0.7")


def test_a_directory_that_cannot_be_looked_into_denies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert not admitted(tmp_path, "10.0.0.7")


def test_targets_allow_looks_at_our_own_address(tmp_path: Path) -> None:
    write(tmp_path, "targets.allow", f"{T} 192.0.2.0/24, {NAME}\n")
    files = AccessFiles(str(tmp_path))
    assert files.admits(T, NAME, "10.0.0.7", "192.0.2.9")
    assert not files.admits(T, NAME, "192.0.2.9", "10.0.0.7")
    assert not files.admits("other", NAME, "10.0.0.7", "192.0.2.9")


# -- the old mode: initiators.deny ---------------------------------------------------------------------------------

DENY = {
    "matches": ("ALL 10.0.0.0/8\n", None, False),
    "does not match": ("ALL 11.0.0.0/8\n", None, True),
    "does not match, nor does allow": ("ALL 11.0.0.0/8\n", "ALL 11.0.0.1\n", True),
    "allow lifts it": ("ALL ALL\n", "ALL 10.0.0.7\n", True),
    "allow does not lift it": ("ALL ALL\n", "ALL 10.0.0.9\n", False),
    "empty": ("", None, True),
    "no newline": ("ALL ALL", None, False),
    "all of IPv4": ("ALL 0.0.0.0/0\n", None, False),
    "host by prefix": ("ALL 10.0.0.7/32\n", None, False),
    "blanks for commas": ("ALL 10.0.0.1 ALL\n", None, False),
    "all in lower case": ("all 10.0.0.7\n", None, False),
    "after an open bracket": ("ALL [3ffe::1, ALL\n", None, False),
    "an expression we refuse": (r"ALL \(a\)\1" + "\n", None, False),
}


@pytest.mark.parametrize(("deny", "allow", "verdict"), DENY.values(), ids=DENY.keys())
@pytest.mark.parametrize("mode", MODES)
def test_deny_lines_are_always_honoured(tmp_path: Path, deny: str, allow: str | None, verdict: bool, mode: str) -> None:
    write(tmp_path, "initiators.deny", deny)
    if allow is not None:
        write(tmp_path, "initiators.allow", allow)
    assert admitted(tmp_path, "10.0.0.7", mode=mode) is verdict


# -- the corpus ----------------------------------------------------------------------------------------------------

VERDICTS = [
    ("sys1.xyz", "192.168.9.9", VM, True),
    ("sys1.xyz", "10.0.0.1", MS, True),
    ("sys1.xyz", "10.0.0.1", VM, False),
    ("sys2.xyz", "192.168.22.9", VM, True),
    ("sys2.xyz", "3ffe:505:2:1::9", VM, True),
    ("sys2.xyz", "3ffe:302:11:1:211:43ff:fe31:5ae2", VM, True),
    ("sys2.xyz", "192.168.23.9", VM, False),
    ("sys3.xyz", "10.0.0.1", NAME, True),
    ("sys4.xyz", "192.168.22.3", MS, True),
    ("sys4.xyz", "10.0.0.1", VM, True),
    ("sys4.xyz", "192.168.22.4", MS, False),
    ("sys5.xyz", "192.168.1.1", NAME, True),
    ("sys7.xyz", "10.0.0.1", NAME, False),
    ("other", "192.168.1.1", NAME, True),
]


@pytest.mark.parametrize("mode", MODES)
def test_the_stock_example(tmp_path: Path, corpus: Path, mode: str) -> None:
    source = corpus / "ietd-conf" / "90-iet-parser.initiators.allow"
    (tmp_path / "initiators.allow").write_bytes(source.read_bytes())
    files = AccessFiles(str(tmp_path), compat=mode)
    for suffix, peer, initiator, verdict in VERDICTS:
        assert files.admits(SYS + suffix, initiator, peer, LOCAL) is verdict, (suffix, peer, initiator)


# -- a target's whole rule -----------------------------------------------------------------------------------------

RESTRICTIONS = {
    "none": ("", "10.0.0.7", NAME, True),
    "address": ("initiator-address 10.0.0.7", "10.0.0.7", NAME, True),
    "another address": ("initiator-address 10.0.0.8", "10.0.0.7", NAME, False),
    "one of two": ("initiator-address 10.0.0.8\ninitiator-address 10.0.0.7/32", "10.0.0.7", NAME, True),
    "tgt's ALL": ("initiator-address ALL", "10.0.0.7", NAME, True),
    "a host name names nobody": ("initiator-address host", "10.0.0.7", NAME, False),
    "name": (f"initiator-name {NAME}", "10.0.0.7", NAME, True),
    "another name": ("initiator-name iqn.other", "10.0.0.7", NAME, False),
    "both are required": (f"initiator-name {NAME}\ninitiator-address 10.0.0.8", "10.0.0.7", NAME, False),
}


@pytest.mark.parametrize(("lines", "peer", "initiator", "verdict"), RESTRICTIONS.values(), ids=RESTRICTIONS.keys())
def test_restrictions(tmp_path: Path, lines: str, peer: str, initiator: str, verdict: bool) -> None:
    (target,) = loads(f"Target {T}\n{lines}\n").targets
    asker = Asker(initiator, peer, LOCAL)
    assert restricted(target)(asker) is verdict
    assert AccessFiles(str(tmp_path)).rule(target)(asker) is verdict
    write(tmp_path, "initiators.allow", "")
    assert not AccessFiles(str(tmp_path)).rule(target)(asker)


# -- properties ----------------------------------------------------------------------------------------------------


@given(text=st.text(alphabet="ALiqn.:x10/*[]\\(){},# \t\n\r\0\xa0", max_size=60), mode=st.sampled_from(MODES))
def test_any_text_is_a_list_of_rules(text: str, mode: str) -> None:
    for kind in (INITIATORS_ALLOW, INITIATORS_DENY):
        report = Report("f", mode)
        read_rules(text, kind, report)
        assert all(1 <= one.span.line <= text.count("\n") + 1 for one in report.diagnostics)
