"""gotgt's configuration."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ietpy.errors import ConfigError
from ietpy.migrate.gotgt import read_gotgt
from ietpy.migrate.model import OPEN, Kind, Source, Store
from ietpy.migrate.to_ietd import to_ietd

DOCUMENT: dict[str, Any] = {
    "storages": [
        {"deviceID": 1, "path": "file:/srv/a.img", "online": True},
        {"deviceID": 2, "path": "/srv/b.img", "online": False, "thinProvisioning": True, "blockShift": 12},
        {"deviceID": 3, "path": "ceph:pool/i"},
        {"path": "/x"},
        {"deviceID": 5, "path": "/x", "blockShift": 99},
    ],
    "iscsiportals": [
        {"id": 0, "portal": "127.0.0.1:3260"}, {"id": 1, "portal": "192.0.2.4:3261"}, {"id": 2, "portal": "x"},
    ],
    "iscsitargets": {
        "iqn.a": {"tpgts": {"1": [0, 1]}, "luns": {"0": 1, "3": 2, "4": 3, "5": 9, "x": 1}},
        "iqn.b": {"tpgts": {"1": [0]}, "luns": {}},
        "iqn.c": {},
    },
}


def source(document: Any) -> Source:
    return read_gotgt(json.dumps(document), "f")


def said(found: Source, kind: Kind) -> str:
    return "\n".join(str(note) for note in found.notes if note.kind is kind)


def test_everything() -> None:
    found = source(DOCUMENT)
    one, two, three = found.targets
    assert [target.grants for target in found.targets] == [(OPEN,)] * 3
    assert [[str(portal) for portal in found.portals_of(target)] for target in (one, two)] == [
        ["127.0.0.1:3260", "192.0.2.4:3261"], ["127.0.0.1:3260"],
    ]
    assert (three.luns, three.portal_groups) == ((), ())
    disks = {lun.number: lun.disk for lun in one.luns}
    assert [(number, disk.store, disk.path, disk.block_size) for number, disk in disks.items()] == [
        (0, Store.FILE, "/srv/a.img", 512), (3, Store.FILE, "/srv/b.img", 4096), (4, Store.FOREIGN, "ceph:pool/i", 512),
    ]
    assert disks[3].unmap
    assert said(found, Kind.REFUSED).count("storage") == 4
    assert "portal x" in said(found, Kind.LOST)
    assert "it was offline" in said(found, Kind.WARNING)


JSON = st.recursive(
    st.none() | st.integers(-1, 20) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["deviceID", "path", "id", "portal", "tpgts", "luns", "0", "1", "iqn.a"]), inner, max_size=3
    ), max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["storages", "iscsiportals", "iscsitargets"]), JSON))
def test_whatever_it_holds_it_is_read_or_refused_with_a_place(document: Any) -> None:
    found: Any = None
    try:
        found = to_ietd(source(document))
    except ConfigError as error:
        found = [one for one in error.diagnostics if one.span.file == "f"]
    assert found
