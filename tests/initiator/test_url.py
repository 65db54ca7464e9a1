from __future__ import annotations

import pytest

from ietpy.errors import UsageError
from ietpy.initiator.url import Url, parse


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("iscsi://host/iqn.a:b/0", Url("host", 3260, "iqn.a:b", 0)),
        ("iscsi://10.0.0.1:3261/iqn.a:b/16383", Url("10.0.0.1", 3261, "iqn.a:b", 16383)),
        ("iscsi://[fe80::1]:3261/iqn.a/1", Url("fe80::1", 3261, "iqn.a", 1)),
        ("iscsi://[::1]/iqn.a/1", Url("::1", 3260, "iqn.a", 1)),
        ("iscsi://joe@host/iqn.a/1", Url("host", 3260, "iqn.a", 1, "joe")),
        ("iscsi://joe%se:cr%t@host:1/iqn.a/1", Url("host", 1, "iqn.a", 1, "joe", "se:cr%t")),
        ("iscsi://host/iqn.a%2Fb/1", Url("host", 3260, "iqn.a/b", 1)),
        ("iscsi://host", Url("host")),
        ("iscsi://host:3261/", Url("host", 3261)),
    ],
)
def test_parse(text: str, url: Url) -> None:
    assert parse(text) == url
    assert parse(str(url)) == url


@pytest.mark.parametrize(
    "text",
    [
        "http://host/iqn.a/0", "iscsi:///iqn.a/0", "iscsi://host/iqn.a", "iscsi://host/iqn.a/x", "iscsi://host/iqn.a/16384",
        "iscsi://host:0/iqn.a/0", "iscsi://host:65536/iqn.a/0", "iscsi://::1/iqn.a/0", "iscsi://host/iqn.a/0/1",
    ],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(UsageError, match="accepted is"):
        parse(text)


def test_secret_is_not_shown() -> None:
    assert "hidden" not in repr(parse("iscsi://joe%hidden@host/iqn.a/0"))
