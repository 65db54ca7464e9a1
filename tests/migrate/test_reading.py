"""Which format a file has."""

from __future__ import annotations

from pathlib import Path

import pytest

from ietpy.errors import ConfigError
from ietpy.migrate.model import OPEN, Disk, Lun, Source, Store, Target
from ietpy.migrate.reading import FORMATS, disks, is_ucl, read, sizes

#: The beginning of a file of each kind.
SIGNS = {
    "lio": '{\n  "fabric_modules": [],\n  "storage_objects": [],\n  "targets": []\n}\n',
    "tgt": "# a note\ndefault-driver iscsi\n<target iqn.a>\n</target>\n",
    "istgt": '[Global]\n  NodeBase "iqn.a"\n',
    "ctl": "portal-group pg0 {\n}\ntarget iqn.a {\n auth-group no-authentication\n portal-group pg0\n}\n",
    "spdk": '{"subsystems": []}\n',
    "gotgt": '{"storages": [], "iscsiportals": [], "iscsitargets": {}}\n',
    "scst": "# note\nHANDLER vdisk_fileio {\n}\n",
}


def test_every_format_has_a_sign() -> None:
    assert set(SIGNS) == {row.name for row in FORMATS}


@pytest.mark.parametrize("name", SIGNS)
def test_formats_are_recognised_and_can_be_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text(SIGNS[name])
    assert read([str(path)]).format == name
    assert read([str(path)], name).format == name


@pytest.mark.parametrize("text", [
    'target {\n "iqn.a" {\n auth-group = "no-authentication"\n}\n}\n', 'target : { "iqn.a" : {} }\n',
])
def test_ucl_is_told_from_the_plain_form(text: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(text)
    assert [target.name for target in read([str(tmp_path / "f")]).targets] == ["iqn.a"]
    assert is_ucl(text)
    assert not is_ucl('target iqn.a { alias "a = b" # c = d\n}')


def test_the_scripts_of_lio_utils_are_one_configuration(tmp_path: Path) -> None:
    (tmp_path / "tcm_start.sh").write_text("tcm_node --block iblock_0/a /dev/a\n")
    (tmp_path / "lio_start.sh").write_text("lio_node --addlun=iqn.a 1 0 port iblock_0/a\n")
    source = read([str(tmp_path / "tcm_start.sh"), str(tmp_path / "lio_start.sh")])
    assert (source.format, source.targets[0].luns[0].disk.path) == ("lio", "/dev/a")


def test_the_old_form_of_scst(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("[HANDLER vdisk]\n[TARGETS enable]\nHOST iqn.a\n")
    assert [target.name for target in read([str(tmp_path / "f")]).targets] == ["iqn.a"]


@pytest.mark.parametrize(("text", "words"), [
    ("Target iqn.a\n    Lun 0 Path=/a\n", "this is an ietd.conf already; ietpy check"),
    ("hello\n", "no format is recognised; name it with --from: spdk"),
    ("", "no format is recognised"),
])
def test_what_is_none_of_them(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read([str(tmp_path / "f")])


def test_files_that_are_not_there_and_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read([str(tmp_path / "none")])
    (tmp_path / "f").write_text(SIGNS["lio"])
    (tmp_path / "t").write_text(SIGNS["tgt"])
    with pytest.raises(ConfigError, match="has 1 file, and there are 2"):
        read([str(tmp_path / "t"), "other"])
    with pytest.raises(ConfigError, match="a configuration by itself"):
        read([str(tmp_path / "f"), str(tmp_path / "t")], "lio")


def test_sizes_that_differ_are_said(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(bytes(1024))
    found = [Disk(Store.FILE, str(path), size=size) for size in (1024, 2048)]
    found += [Disk(Store.NULL, size=1), Disk(Store.FILE, "/nonexistent/x", size=1), Disk(Store.FILE, str(path))]
    target = Target("iqn.a", tuple(Lun(number, disk) for number, disk in enumerate(found)), (OPEN,))
    source = Source("lio", (target, target))
    assert list(disks(source)) == found
    assert [note.why for note in sizes(source)] == [
        "the file has 1024 bytes, which is what initiators see; the source told them 2048"
    ]
