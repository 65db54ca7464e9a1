"""Lines and items of the allow files: where they stand, and what is said of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ietpy.config.access_addresses import Network
from ietpy.config.access_rules import (
    EVERYBODY,
    INITIATORS_ALLOW,
    INITIATORS_DENY,
    KINDS,
    TARGETS_ALLOW,
    Kind,
    match,
    read_restriction,
    read_rules,
)
from ietpy.config.findings import MODES, Report
from ietpy.errors import Span


def said(text: str, kind: Kind = INITIATORS_ALLOW, mode: str = "repair") -> list[str]:
    """The findings of a text as ``line:column code problem; hint; iet``."""
    report = Report("f", mode)
    for _ in read_rules(text, kind, report):
        pass
    return [
        f"{one.span.line}:{one.span.column} {one.code} {one.problem}; {one.hint}; {one.iet}"
        for one in report.in_order()
    ]


SAID = {
    "/32": (
        "ALL 10.0.0.7/32\n",
        "1:5 access-repaired '10.0.0.7/32' is not how a network is written; write 10.0.0.7; never matched this item",
    ),
    "v6 /128": (
        "ALL [::1]/128\n",
        "1:5 access-repaired '[::1]/128' is not how a network is written; write ::1; never matched this item",
    ),
    "host bits": (
        "# x\n ALL\t10.9.9.9,10.0.0.5/255.255.255.0\n",
        "2:15 access-repaired '10.0.0.5/255.255.255.0' is not how a network is written; write 10.0.0.0/24; never"
        " matched this item",
    ),
    "junk": (
        "ALL 10.0.0.0/24x\n",
        "1:5 access-repaired '10.0.0.0/24x' is not how a network is written; write 10.0.0.0/24; read 24 bits",
    ),
    "brackets": (
        "ALL [10.0.0.7]\n",
        "1:5 access-repaired '[10.0.0.7]' is not how an address is written; write 10.0.0.7; never matched this item",
    ),
    "everybody": (
        "ALL 0.0.0.0/0\n",
        "1:5 access-everybody '0.0.0.0/0' means everybody and is not honoured; write ALL if you mean it; never matched"
        " this item",
    ),
    "octal": (
        "ALL 010.0.0.0/010\n",
        "1:5 octal-number '010.0.0.0/010' has numbers that begin with 0 and are octal: it means 8.0.0.0/8; remove the"
        " zeros; read a number with a leading 0 as octal",
    ),
    "IPv6 only": (
        "ALL [::]/0\n",
        "1:5 access-item '[::]/0' holds IPv6 addresses only; name IPv4 addresses if you mean them; matched IPv4, too",
    ),
    "IPv4 only": (
        "ALL 0.0.0.0/1\n",
        "1:5 access-item '0.0.0.0/1' holds IPv4 addresses only; name IPv6 addresses if you mean them; matched IPv6,"
        " too",
    ),
    "zone": (
        "ALL fe80::1%eth0\n",
        "1:5 access-item 'fe80::1%eth0' names a zone, which is never compared; leave it out; never matched this item",
    ),
    "host name": (
        "ALL a.example.com\n",
        "1:5 access-item 'a.example.com' is compared with initiator names only; host names never match; write the"
        " host's address; took it so, too",
    ),
    "alternative": (
        "ALL a\\|b\n",
        "1:5 access-item each alternative of 'a\\|b' must match a whole name; write .* where more may stand; let the"
        " first end anyhow and the last begin anyhow",
    ),
    "no expression": (
        "ALL \\(a\n",
        "1:5 access-item '\\(a' matches nobody; write an address, or an expression for names without a comma in it;"
        " never matched this item",
    ),
    "open bracket": (
        "ALL [::1, ALL\n",
        "1:5 access-item '[' without ']'; the rest of the line is not read; close it; never matched this item",
    ),
    "comment": (
        "ALL ALL, 10.0.0.7 # x\n",
        "1:10 access-repaired a comment behind items; put it on a line of its own; took it as part of an item",
    ),
    "blanks": (
        "ALL 10.0.0.7 10.0.0.8\n",
        "1:5 access-repaired blanks between items; join items by commas; never matched this item",
    ),
    "name alone": (
        " t\r\n t\n",
        "1:2 access-line a name without items; it admits nobody; write whom the line means; took it for a line that"
        " means nobody",
        "2:2 access-line a name without items; write whom the line means; ignored the line",
    ),
    "no newline": (
        "ALL a",
        "1:1 access-line the file ends without a newline; end the line with a newline; ignored the line",
    ),
    "ALL, no newline": (
        "x b\nALL ALL",
        "2:1 access-line the file ends without a newline; end the line with a newline; ignored the line",
        "2:5 access-everybody ALL is not honoured here, as IET did not see it; write it between commas, and end the"
        " line; never matched this item",
    ),
    "byte order mark": (
        "\ufeffALL a\n",
        "1:2 access-line the file begins with a UTF-8 byte order mark; save it without one; took it for a part of the"
        " target's name",
    ),
    "NUL": ("ALL a\0\n", "1:1 access-line a NUL byte stands in this line; remove it; ignored the line"),
    "long": (
        "ALL a".ljust(5000, ",") + "\n",
        "1:1 access-line this line has more than the 4094 bytes a line may have; shorten it, by networks or"
        " expressions; a second line for the same target does not count; ignored all but the tail, which it read as a"
        " line of its own",
    ),
}


@pytest.mark.parametrize("case", SAID.values(), ids=SAID.keys())
def test_what_is_said_of_mistakes(case: tuple[str, ...]) -> None:
    text, *findings = case
    assert said(text) == findings


DENY_SAID = {
    "/0": (
        "ALL 0.0.0.0/0\n",
        "1:5 access-repaired '0.0.0.0/0' is taken for everybody; write ALL; never matched this item",
    ),
    "not understood": (
        "ALL 10.*\n",
        "1:5 access-everybody '10.*' is not understood and denies everybody, to be safe; write an address, or an"
        " expression for names without a comma in it; never matched this item",
    ),
    "name alone": (
        "t\n",
        "1:1 access-line a name without items; it denies everybody, to be safe; write whom the line means; ignored the"
        " line",
    ),
    "zone": (
        "ALL fe80::1%eth0\n",
        "1:5 access-repaired 'fe80::1%eth0' is not how an address is written; write fe80::1; never matched this item",
    ),
}


@pytest.mark.parametrize("case", DENY_SAID.values(), ids=DENY_SAID.keys())
def test_what_is_said_of_mistakes_in_a_deny_file(case: tuple[str, ...]) -> None:
    text, *findings = case
    assert said(text, INITIATORS_DENY) == findings


def test_what_is_said_of_names_in_targets_allow() -> None:
    (one,) = said("ALL iqn.a\n", TARGETS_ALLOW)
    assert one.startswith("1:5 access-item 'iqn.a' matches nobody; write an address of this machine; ")


def test_iet_says_the_same_of_what_it_does_not_read() -> None:
    for text in ("ALL a", "\ufeffALL a\n", "ALL a\0\n", "ALL 10.0.0.7/32\n", "ALL a b\n"):
        assert said(text, mode="iet") == said(text)


def test_rules_and_items_know_their_places() -> None:
    text = "# x\n\t t  10.0.0.7 ,\ta\\.b,, x y\r\n"
    (rule,) = read_rules(text, INITIATORS_ALLOW, Report("f", "repair"))
    assert (rule.target, rule.span) == ("t", Span("f", 2, 3))
    assert [(item.text, item.span.column) for item in rule.items] == [
        ("10.0.0.7", 6),
        ("a\\.b", 17),
        ("x", 24),
        ("y", 26),
    ]


def test_the_tail_of_a_long_line_knows_its_place() -> None:
    text = "é" + "x" * 4093 + "ALL b\n"
    (rule,) = read_rules(text, INITIATORS_ALLOW, Report("f", "iet"))
    assert (rule.target, rule.span) == (EVERYBODY, Span("f", 1, 4095))


def test_the_first_rule_decides_unless_it_hides_nothing() -> None:
    rules = list(read_rules("all a\nALL b\nALL c\n", INITIATORS_DENY, Report("f", "repair")))
    assert [rule.final for rule in rules] == [False, True, True]
    assert [getattr(match(rules, name, None), "found", None) for name in "abc"] == [True, True, False]
    assert match([], "a", None) is None


def test_a_restriction_may_hold_all_addresses_of_a_family() -> None:
    address = Network(4, 1, 32)
    assert read_restriction("0.0.0.0/0", Span("f", 1, 1)).why("", address)
    assert not read_restriction("[::]/0", Span("f", 1, 1)).why("", address)
    assert not read_restriction("10.0.0.0/x", Span("f", 1, 1)).why("", address)


_TEXTS = st.text(alphabet="ALiqntx:.10/*[]\\(){},%# \t\n\r\0\xa0\ufeff", max_size=60)


@given(text=_TEXTS, mode=st.sampled_from(MODES))
def test_any_text_is_a_list_of_rules(text: str, mode: str) -> None:
    for kind in KINDS:
        report = Report("f", mode)
        rules = list(read_rules(text, kind, report))
        places = [rule.span for rule in rules] + [item.span for rule in rules for item in rule.items]
        lines = text.split("\n")
        for span in (*places, *(one.span for one in report.diagnostics)):
            assert 1 <= span.line <= len(lines)
            assert 1 <= span.column <= len(lines[span.line - 1])


@given(text=_TEXTS, mode=st.sampled_from(MODES), target=st.sampled_from(["t", "A", "x", "all"]))
def test_looking_for_one_target_finds_all_its_rules(text: str, mode: str, target: str) -> None:
    for kind in KINDS:
        every = [(r.target, r.span, r.final) for r in read_rules(text, kind, Report("f", mode))]
        some = [(r.target, r.span, r.final) for r in read_rules(text, kind, Report("f", mode), target)]
        assert some == [rule for rule in every if rule[0] in (target.lower(), EVERYBODY)]
