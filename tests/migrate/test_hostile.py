"""Files made to hurt: no reader crashes, hangs or executes, and what comes out opens nothing by mistake."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ietpy.config.load import loads
from ietpy.errors import ConfigError
from ietpy.migrate.ctl import model
from ietpy.migrate.ctl_text import parse_ctl
from ietpy.migrate.gotgt import read_gotgt
from ietpy.migrate.istgt import read_istgt
from ietpy.migrate.lio import read_lio
from ietpy.migrate.lio_scripts import read_lio_scripts
from ietpy.migrate.model import Source
from ietpy.migrate.scst import read_scst
from ietpy.migrate.scst_old import read_scst_old
from ietpy.migrate.spdk import read_spdk
from ietpy.migrate.tgt import Files
from ietpy.migrate.tgt_targets import read_tgt
from ietpy.migrate.to_ietd import CONFIGURATION, to_ietd
from ietpy.migrate.ucl import parse_ucl

IQN = "iqn.2001-04.com.example:a"
READERS: dict[str, tuple[Callable[[str], Source], str]] = {
    "lio": (lambda text: read_lio(text, "f", lambda path: True), f"""{{"storage_objects": [
  {{"plugin": "fileio", "name": "a", "dev": "/srv/a.img", "size": 4096, "wwn": "ab-cd"}}],
 "targets": [{{"fabric": "iscsi", "wwn": "{IQN}", "tpgs": [{{"tag": 1, "enable": true,
  "attributes": {{"generate_node_acls": 0, "authentication": 1}}, "parameters": {{"InitialR2T": "No"}},
  "luns": [{{"index": 0, "storage_object": "/backstores/fileio/a"}}],
  "portals": [{{"ip_address": "192.0.2.1", "port": 3260}}],
  "node_acls": [{{"node_wwn": "iqn.x", "chap_userid": "u", "chap_password": "p s",
   "mapped_luns": [{{"index": 1, "tpg_lun": 0, "write_protect": true}}]}}]}}]}}]}}"""),
    "scripts": (lambda text: read_lio_scripts({"f": text}, lambda path: True),
                f"tcm_node --block iblock_0/a /dev/a\nlio_node --addlun={IQN} 1 0 p iblock_0/a\n"
                f"lio_node --addnp {IQN} 1 192.0.2.1:3260\nlio_node --enabletpg {IQN} 1\n"),
    "tgt": (lambda text: read_tgt("f", Files(lambda path: text if path == "f" else "", lambda pattern: [])),
            f"default-driver iscsi\n<target {IQN}>\n<backing-store /a>\nlun 3\nwrite-cache off\n</backing-store>\n"
            "initiator-address 192.0.2.0/24\nincominguser u secret\n</target>\n"),
    "scst": (lambda text: read_scst(text, "f"),
             "HANDLER vdisk_fileio {\nDEVICE a {\nfilename /srv/a.img\n}\n}\nTARGET_DRIVER iscsi {\nenabled 1\n"
             f"TARGET {IQN} {{\nIncomingUser \"u s\"\nLUN 0 a\nGROUP g {{\nLUN 1 a\n"
             "INITIATOR iqn.*\n}\n"
             "enabled 1\n}\n}\n"),
    "old scst": (lambda text: read_scst_old(text, "f"),
                 "[HANDLER vdisk]\nDEVICE a,/a,READ_ONLY,512\n[GROUP g]\nUSER iqn.x\n[ASSIGNMENT g]\nDEVICE a,0\n"
                 f"[TARGETS enable]\nHOST {IQN}\n"),
    "ctl": (lambda text: model(parse_ctl(text, "f"), "f", ordered=True),
            "auth-group g { chap u s; initiator-name iqn.x }\nportal-group p { listen 192.0.2.1 }\nlun a { path /a }\n"
            f"target {IQN} {{ auth-group g; portal-group p; lun 0 a; lun 1 {{ path /b; size 4G }} }}\n"),
    "ucl": (lambda text: model(parse_ucl(text, "f"), "f", ordered=False),
            'auth-group { g { chap = { user = "u", secret = "s" } } }\nportal-group { p { listen = ["192.0.2.1"] } }\n'
            f'target {{ "{IQN}" {{ auth-group = g, portal-group = p, lun = [ {{ number = 0, path = /a }} ] }} }}\n'),
    "istgt": (lambda text: read_istgt("f", "", lambda path: text),
              "[Global]\nNodeBase iqn.b\n[PortalGroup1]\nPortal A 192.0.2.1:3260\n"
              "[InitiatorGroup1]\n"
              "InitiatorName ALL\nNetmask 192.0.2.0/24\n[LogicalUnit1]\nTargetName a\n"
              "Mapping PortalGroup1 InitiatorGroup1\nUnitType Disk\nLUN0 Storage /a 1GB\n"),
    "spdk": (lambda text: read_spdk(text, "f"), """{"subsystems": [{"config": [
 {"method": "bdev_aio_create", "params": {"name": "a", "filename": "/a", "block_size": 512}},
 {"method": "iscsi_create_portal_group", "params": {"tag": 1, "portals": [{"host": "192.0.2.1", "port": "3260"}]}},
 {"method": "iscsi_create_initiator_group", "params": {"tag": 1, "initiators": ["ANY"], "netmasks": ["10.0.0.0/8"]}},
 {"method": "iscsi_create_target_node", "params": {"name": "iqn.a", "pg_ig_maps": [{"pg_tag": 1, "ig_tag": 1}],
  "luns": [{"bdev_name": "a", "lun_id": 0}]}}]}]}"""),
    "gotgt": (lambda text: read_gotgt(text, "f"), f"""{{"storages": [{{"deviceID": 1, "path": "file:/a"}}],
 "iscsiportals": [{{"id": 0, "portal": "192.0.2.1:3260"}}],
 "iscsitargets": {{"{IQN}": {{"tpgts": {{"1": [0]}}, "luns": {{"0": 1}}}}}}}}"""),
}
PIECES = st.sampled_from([
    "", "\n", "\0", '"', "{", "}", "[", "]", ",", "#", "\\", " ", "<", ">", "=", "/", "0", "-1", "9" * 30, "é",
    "\u2028", "*", "ALL", "none", "null", "Target iqn.evil", "\nTarget iqn.evil\n", "$(reboot)", "\x1b[2J",
    "..", "iqn.",
])
EDITS = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 12), PIECES), min_size=1, max_size=4)


def edited(text: str, edits: list[tuple[int, int, str]]) -> str:
    for place, gone, piece in edits:
        place %= len(text) + 1
        text = text[:place] + piece + text[place + gone :]
    return text


@pytest.mark.parametrize("name", READERS)
def test_the_files_that_are_edited_are_right(name: str) -> None:
    read, text = READERS[name]
    made = to_ietd(read(text))
    assert loads(made.files[CONFIGURATION]).targets
    assert not loads(made.files[CONFIGURATION]).errors


@settings(max_examples=60, deadline=None)
@given(edits=EDITS, name=st.sampled_from(sorted(READERS)))
def test_an_edited_file_is_read_or_refused_and_writes_no_lines_of_its_own(
    edits: list[tuple[int, int, str]], name: str
) -> None:
    read, text = READERS[name]
    try:
        source = read(edited(text, edits))
    except ConfigError as error:
        found: Any = {diagnostic.span.file for diagnostic in error.diagnostics}
        source = Source(name) if found == {"f"} else None  # type: ignore[assignment]
    made = to_ietd(source)
    back = loads(made.files[CONFIGURATION])
    assert {target.name for target in back.targets} <= {target.name for target in source.targets}
    for target in back.targets:
        was = next(each for each in source.targets if each.name == target.name)
        assert was.open_to_all or target.initiators or target.closed


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("piece", ["\\", '"', "{", "#", "<a>\n", "/*", "a ", "a\\\n", "{\n", "[a]\n", '{"a":'])
def test_time_is_bounded(name: str, piece: str) -> None:
    read, text = READERS[name]
    start = time.perf_counter()
    for long in (piece * 4000, text + piece * 4000, piece * 4000 + text):
        try:
            to_ietd(read(long))
        except ConfigError as error:
            assert len(str(error)) < 1 << 20  # noqa: PT017
    assert time.perf_counter() - start < 20
