"""Errors read as sentences with an address."""

from __future__ import annotations

import errno

from ietpy import errors
from ietpy.errors import ConfigError, Diagnostic, IetpyError, LoginFailure, Reject, Span, StoreError


def test_a_diagnostic_says_where_what_how_and_what_iet_did() -> None:
    span = Span("/etc/iet/ietd.conf", 3, 9)
    full = Diagnostic(span, "warning", "spelling", "'yes' is not 'Yes'", "write Yes", "ignored the line")
    assert str(full) == "/etc/iet/ietd.conf:3:9: warning: 'yes' is not 'Yes'; write Yes; IET: ignored the line"
    assert str(Diagnostic(span, "error", "x", "wrong")) == "/etc/iet/ietd.conf:3:9: error: wrong"


def test_a_config_error_carries_all_in_order() -> None:
    found = [Diagnostic(Span("f", line, 1), "error", "x", "wrong") for line in (1, 2)]
    assert ConfigError(iter(found)).diagnostics == tuple(found)
    assert str(ConfigError(found)) == "f:1:1: error: wrong\nf:2:1: error: wrong"


def test_places_sort_as_a_file_reads() -> None:
    assert sorted([Span("f", 10, 1), Span("f", 2, 9), Span("f", 2, 3)])[0] == Span("f", 2, 3)


def test_what_errors_carry() -> None:
    assert (Reject(4, "no").reason, str(Reject(4, "no"))) == (4, "no")
    assert LoginFailure(0x0101, "moved", "10.0.0.2:3260,1").address == "10.0.0.2:3260,1"
    assert StoreError(errno.EIO, "gone").errno == errno.EIO


def test_the_tree_of_the_docstring_is_the_tree() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, IetpyError)]
    assert {kind.__name__ for kind in kinds} - {
        word.split("(")[0] for word in (errors.__doc__ or "").split()
    } == set()
