"""All samples of other targets' files: the model is what EXPECT.json says, and the report leaves nothing out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ietpy.config.load import loads
from ietpy.errors import ConfigError
from ietpy.migrate.model import Kind, Source
from ietpy.migrate.reading import read
from ietpy.migrate.to_ietd import CONFIGURATION, to_ietd
from tests.migrate.samples import SAMPLES, check, expectations, said_of

#: The native format is read by ``ietpy.config``, whose tests have these files.
OWN = "iet/"
EXPECTED = {name: wanted for name, wanted in expectations().items() if not name.startswith(OWN)}
#: Files beside one sample that belong to the same configuration.
BESIDE = {"others/istgt.conf": ["others/istgt-auth.conf"]}
#: What a note must say, where it is not the words of EXPECT.json themselves.
SAID = {
    "per-initiator LUN maps": "per-initiator LUN map",
    "per-initiator CHAP users": "per-initiator CHAP users",
    "initiator groups with their own LUNs": "per-initiator LUN map",
    "tgt serves its own controller as LUN 0; ietd.conf wants a first LUN 0": "tgt serves its own controller as LUN 0",
    "t10_dev_id longer than 16 or with a blank": "identity kept by LunOption.*designators",
    "naa_id, prod_id, t10_vend_id": "identity kept by LunOption.*vendor.*product.*naa",
    "naa, vendor and product strings": "identity kept by LunOption.*vendor.*product.*naa",
    "secret of outgoing user storage is the placeholder": "secret of outgoing user storage.*placeholder",
    "secret of client1 is the placeholder tgt-admin --dump writes": "secret of user client1.*placeholder",
    "initiator-name 192.168.200.0/24 is an address rule: the dump sorts CIDR and IPv6 rules under initiator-name":
        "initiator-name 192.168.200.0/24.*the dump sorts CIDR and IPv6 rules",
    "account client1 has two secrets; tgtd keeps the one it meets first (target b), so target c does not use"
    " yet-another-secret": "account client1 has two secrets.*meets first.*so does iqn.2012-03.com.example:c",
    "fabric_modules userid/password: keys the man page names, which the code never applies":
        "fabric_modules userid/password.*never applies",
    "userid/password in an ACL are ignored by rtslib (chap_userid is the key)": "ACL .*never applies.*chap_userid",
    "storage object a: unknown key surprise": "storage object a: unknown key surprise",
    "storage object 1: no name": "storage object 1: it has no name",
    "storage object c: fileio with neither size nor existing file": "storage object c: fileio with neither size",
    "storage object d defined twice": "storage object d: defined twice",
    "LUN 0: storage object missing does not exist": "LUN 0 .*storage object missing does not exist",
    "mapped LUN 0: no TPG LUN 9": "mapped LUN 0.*TPG LUN 9",
    "wwn differs only in case from an earlier target": "the wwn differs only in case from an earlier target",
    "incominguser without a password": "incominguser onlyname: it has no password",
    "password is empty: two blanks": "the password is empty: two blanks",
    "trailing comment eats the character before the hash": "eats the character before the hash",
    "name AND address both required (ietd ORs the rules of a line)": "name AND address both required",
    "authentication per portal group": "authentication per portal group: target",
}


def sample(name: str) -> Source:
    return read([str(SAMPLES / each) for each in (name, *BESIDE.get(name, ()))])


@pytest.mark.skipif(not EXPECTED, reason="no ../shared: the samples are not here")
def test_there_are_samples_of_every_kind() -> None:
    assert {name.partition("/")[0] for name in EXPECTED} == {"lio", "tgt", "scst", "ctld", "others"}


@pytest.mark.parametrize("name", [name for name in EXPECTED if "refused" not in EXPECTED[name]])
def test_a_sample(name: str) -> None:
    wanted, source = EXPECTED[name], sample(name)
    check(source, wanted)
    made = to_ietd(source)
    said = [(Kind.EXTENSION, Kind.LOST, Kind.WARNING), "loses"], [(Kind.WARNING,), "warn"], [
        (Kind.REFUSED, Kind.WARNING), "errors",
    ]
    for kinds, key in said:
        for words in wanted.get(key, ()):
            assert said_of(made.notes, set(kinds), SAID.get(words, re.escape(words))), words
    read_back = loads(made.files[CONFIGURATION])
    assert not [str(error) for error in read_back.errors if error.code != "lun-refused"]
    for target in read_back.targets:
        was = next(each for each in source.targets if each.name == target.name)
        assert was.open_to_all or target.initiators


@pytest.mark.parametrize("name", [name for name in EXPECTED if "refused" in EXPECTED[name]])
def test_a_sample_that_its_owners_tool_refuses(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sample(name)
    found: Any = caught.value.diagnostics
    text = "\n".join(map(str, found))
    assert all(str(SAMPLES) in one.span.file and one.span.line >= 1 for one in found)
    for words in EXPECTED[name].get("errors", ()):
        assert re.search(SAID.get(words, re.escape(words)), text), (words, text)


@pytest.mark.skipif(not EXPECTED, reason="no ../shared: the samples are not here")
def test_the_broken_file_of_lio_keeps_what_rtslib_keeps() -> None:
    ((name, luns),) = EXPECTED["lio/05-broken.json"]["what_rtslib_keeps"].items()
    (target,) = [target for target in sample("lio/05-broken.json").targets if target.luns]
    assert (target.name, {str(lun.number): lun.disk.path for lun in target.luns}) == (name, luns)
