"""SCST's configuration before 2.1."""

from __future__ import annotations

import pytest

from ietpy.errors import ConfigError
from ietpy.migrate.model import Kind, Source, Store
from ietpy.migrate.scst_old import is_old, read_scst_old

TEXT = """\
[HANDLER vdisk]
DEVICE a,/srv/a.img,WRITE_THROUGH|READ_ONLY,4096
DEVICE b,/dev/b,BLOCKIO
DEVICE c,/srv/c.img,O_DIRECT,odd # note
DEVICE n,,NULLIO
DEVICE n,,NULLIO
[HANDLER vcdrom]
DEVICE cd,/srv/cd.iso
[GROUP Default]
[GROUP lab]
USER iqn.a
[GROUP empty]
USER iqn.b
[ASSIGNMENT lab]
DEVICE a,0
DEVICE b,1,READ_ONLY
DEVICE missing,2
DEVICE cd,3
[TARGETS enable]
HOST iqn.2006-10.net.example:old
[TARGETS disable]
HOST iqn.2006-10.net.example:off
HOST 25:00:00:f0:98:87:92:f3
"""


def said(found: Source, kind: Kind) -> str:
    return "\n".join(str(note) for note in found.notes if note.kind is kind)


def test_everything() -> None:
    found = read_scst_old(TEXT, "f")
    on, off = found.targets
    assert (on.enabled, off.enabled, on.luns) == (True, False, ())
    lab, empty = on.grants
    assert [(lun.number, lun.disk.store, lun.writable) for lun in lab.luns or ()] == [
        (0, Store.FILE, False), (1, Store.DIRECT, False), (3, Store.FOREIGN, True),
    ]
    assert (lab.names, empty.names, empty.denies) == (("iqn.a",), ("iqn.b",), True)
    disk = (lab.luns or ())[0].disk
    assert (disk.block_size, disk.write_cache, disk.read_only) == (4096, False, True)
    for words in ("n defined twice", "assignment of missing"):
        assert words in said(found, Kind.REFUSED)
    assert "target 25:00" in said(found, Kind.LOST)
    assert "iscsi-scst.conf" in said(found, Kind.WARNING)


def test_default_is_for_everybody_else() -> None:
    text = "[HANDLER vdisk]\nDEVICE a,/a\n[GROUP Default]\n[ASSIGNMENT Default]\nDEVICE a,0\n"
    text += "[TARGETS enable]\nHOST iqn.a\n"
    ((grant,),) = [target.grants for target in read_scst_old(text, "f").targets]
    assert grant.unlimited
    assert [lun.number for lun in grant.luns or ()] == [0]


@pytest.mark.parametrize(("text", "old"), [
    ("[HANDLER vdisk]\n", True), ("HANDLER vdisk {\n}\n", False), ("[odd]", False),
])
def test_which_form_it_is(text: str, old: bool) -> None:
    assert is_old(text) is old


def test_a_line_without_a_place() -> None:
    with pytest.raises(ConfigError, match="f:2:1: error: 'ODD' has no place here"):
        read_scst_old("[GROUP a]\nODD x\n", "f")
