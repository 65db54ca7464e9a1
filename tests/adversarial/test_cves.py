"""The known holes of iSCSI targets, one test each, named after its CVE: the attack, sent to ours.

What cannot happen here, and why, so that nobody looks for its test:

- CVE-2021-26569, CVE-2021-27646, CVE-2021-27647 (Synology), CVE-2026-23216 (LIO): races and memory used after it was
  freed. Python frees nothing that somebody holds; that a task has one owner, and what becomes of it when its connection
  ends, is ``tests/fuzz``'s and ``tests/server``'s.
- tcmu-runner 194 and pull request 200 (2017): a bus that anybody may call tells which files exist. There is no bus; the
  control socket is its owner's (``test_cve_2007_5827...``).
- CVE-2026-53176 (isert): RDMA is not spoken; the login PDU it is about is in ``test_cve_2011_0001...``.
"""

from __future__ import annotations

import ast
import contextlib
import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import ietpy
from ietpy.admin import service
from ietpy.initiator.errors import decode_sense
from ietpy.initiator.login import Chap
from ietpy.initiator.text import decode, encode
from ietpy.iscsi.chap import decode_binary
from ietpy.iscsi.errors import LoginStatus, RejectReason
from ietpy.iscsi.pdu import NO_TAG, Opcode
from ietpy.iscsi.target import IscsiNode, TargetNode, Terms
from ietpy.isns import requests
from ietpy.isns.attributes import IsnsError
from ietpy.isns.message import Assembler
from ietpy.scsi.device import ScsiDevice
from ietpy.scsi.identity import iet_identity
from ietpy.scsi.logical_unit import LogicalUnit
from ietpy.scsi.view import View
from ietpy.server import logins
from tests.adversarial.world import BLOCK, LOCKED, OPEN, SECRET, Attacker, Case, World, names
from tests.iscsi.conftest import Nexus
from tests.scsi.conftest import Memory
from tests.scsi.test_copy_descriptors import copy_list, cscd, segment

PACKAGE = Path(ietpy.__file__).parent
SECURITY, OPERATIONAL = 0, 4  #: flags of Login Requests without T
TO_FULL_FEATURE = 0x80 | 1 << 2 | 3
OUT_OF_RANGE = 0x2100


def attack(world: World, steps: Callable[[Attacker], object]) -> None:
    """Then everybody else is looked after."""
    world.run(Case("attack", steps))


# Login --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [TO_FULL_FEATURE, 0x80 | 3, 0x80 | 1])
def test_cve_2005_3327_security_is_not_skipped(world: World, flags: int) -> None:
    """NetApp: an initiator that opens in the operational stage was not asked who it is."""
    def steps(attacker: Attacker) -> None:
        attacker.send(attacker.login_request(flags, names(LOCKED)))
        attacker.refused(LoginStatus.AUTHENTICATION_FAILURE)

    attack(world, steps)


def test_cve_2005_3327_nor_left_before_it_is_over(world: World) -> None:
    def steps(attacker: Attacker) -> None:
        answer = attacker.say(0x80 | 3, names(LOCKED, AuthMethod="CHAP"))
        assert not answer.header["flags"] & 0x80
        attacker.send(attacker.login_request(TO_FULL_FEATURE))
        attacker.refused(LoginStatus.INITIATOR_ERROR)

    attack(world, steps)


def test_cve_2007_20001_half_open_logins_keep_nobody_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """StarWind, and Microsoft's CVE-2014-0255: connections that say nothing used the server up."""
    monkeypatch.setattr(logins, "LOGINS_AT_ONCE", 8)
    monkeypatch.setattr(logins, "LOGINS_PER_ADDRESS", 4)

    def steps(attacker: Attacker) -> None:
        mute = [attacker.another() for _ in range(12)]
        attacker.send(*[attacker.login_request(OPERATIONAL)[:40]])
        world.healthy("honest").close()
        for each in mute[:-4]:
            each.dropped()  # made room, the oldest first

    attack(world, steps)


@pytest.mark.parametrize("lengths", [
    pytest.param(0x01000000, id="an additional header"), pytest.param(0xFF000000, id="255 words of them"),
    pytest.param(0x00FFFFFF, id="16 MiB of text"), pytest.param(0x00002001, id="8193 bytes"),
    pytest.param(0xFFFFFFFF, id="everything"),
])
def test_cve_2011_0001_lengths_of_a_login_request(world: World, lengths: int) -> None:
    """tgt, and LIO's CVE-2026-90011: what a login PDU said of its length was believed."""
    def steps(attacker: Attacker) -> None:
        request = attacker.login_request(OPERATIONAL, names())
        attacker.send(request[:4] + lengths.to_bytes(4, "big") + request[8:])
        attacker.dropped()

    attack(world, steps)


@pytest.mark.parametrize("size", [64, 1024, 8000])
def test_cve_2013_2850_a_long_unknown_key_is_not_copied_back(world: World, size: int) -> None:
    """LIO: the answer NotUnderstood was put behind the key in 64 bytes."""
    def steps(attacker: Attacker) -> None:
        attacker.send(attacker.login_request(OPERATIONAL, encode(names()) + b"k" * size + b"=1\0"))
        answer = attacker.answer(Opcode.LOGIN_RESPONSE, status=LoginStatus.INITIATOR_ERROR)
        assert answer.data == b""
        attacker.dropped()

    attack(world, steps)


def test_cve_2026_63887_many_small_keys_make_no_large_answer(world: World) -> None:
    """LIO: 2048 keys of two bytes, 2048 answers of sixteen."""
    def steps(attacker: Attacker) -> None:
        flood = b"".join(b"%c%c=\0" % (65 + at // 26 % 26, 97 + at % 26) for at in range(676)) * 3
        attacker.send(attacker.login_request(OPERATIONAL, encode(names()) + flood[:7900]))
        answer = attacker.answer(Opcode.LOGIN_RESPONSE, status=LoginStatus.INITIATOR_ERROR)
        assert answer.data == b""
        attacker.dropped()

    attack(world, steps)


@pytest.mark.parametrize("sent", [
    pytest.param("0x" + 200 * "ab", id="long"), pytest.param("0x" + 3000 * "ab", id="over 1024 bytes"),
    pytest.param("0b" + 2000 * "QUJD", id="base64"), pytest.param("0x" + 15 * "ab", id="short"),
    pytest.param("0x", id="empty"),
])
def test_cve_2018_14633_a_response_has_the_length_of_its_digest(world: World, sent: str) -> None:
    """LIO, and CVE-2026-63886: CHAP_R was decoded into sixteen bytes, however long it was."""
    def steps(attacker: Attacker) -> None:
        attacker.say(SECURITY, names(LOCKED, AuthMethod="CHAP"))
        attacker.say(SECURITY, {"CHAP_A": "5"})
        attacker.send(attacker.login_request(SECURITY, {"CHAP_N": "joe", "CHAP_R": sent}))
        attacker.refused(LoginStatus.AUTHENTICATION_FAILURE)

    attack(world, steps)


def test_cve_2024_45751_challenges_cannot_be_foreseen(world: World) -> None:
    """tgt: rand(), never seeded. Ours are the system's randomness, and nothing imports another."""
    challenges = []

    def steps(attacker: Attacker) -> None:
        for each in (attacker, attacker.another()):
            each.say(SECURITY, names(LOCKED, AuthMethod="CHAP"))
            challenges.append(decode_binary(each.keys(SECURITY, {"CHAP_A": "7"})["CHAP_C"]))

    attack(world, steps)
    assert len(set(challenges)) == 2
    assert {len(challenge) for challenge in challenges} == {32}
    tree = ast.parse((PACKAGE / "server" / "logins.py").read_text("utf-8"))
    assert "secrets.token_bytes" in {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    imported = {
        name.name for path in PACKAGE.rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Import) for name in node.names
    }
    assert "random" not in imported


# The full feature phase ---------------------------------------------------------------------------------------------


def test_cve_2026_63888_text_is_not_read_before_its_digest(world: World) -> None:
    """LIO: a text command with a data digest was read beyond its end, and freed twice."""
    def steps(attacker: Attacker) -> None:
        attacker.log_in(keys={"DataDigest": "CRC32C"})
        text = bytearray(attacker.make(
            Opcode.TEXT_REQUEST, encode({"MaxRecvDataSegmentLength": "512"}), target_transfer_tag=NO_TAG
        ))
        text[-1] ^= 1
        attacker.send(bytes(text))
        attacker.rejected(RejectReason.DATA_DIGEST_ERROR, bytes(text))
        assert attacker.client.read(0, 0, 8) == bytes(world.image[: 8 * BLOCK])

    attack(world, steps)


@pytest.mark.parametrize("opcode", [Opcode.NOP_OUT, Opcode.TEXT_REQUEST, Opcode.DATA_OUT, Opcode.SCSI_COMMAND])
def test_cve_2021_28361_no_data_is_no_mistake(world: World, opcode: Opcode) -> None:
    """SPDK: a PDU without data where it looked for some ended the process."""
    def steps(attacker: Attacker) -> None:
        attacker.log_in()
        if opcode == Opcode.DATA_OUT:
            tag = attacker.new_tag()
            attacker.send(attacker.write(0, 1, flags=0x20, initiator_task_tag=tag))
            attacker.send(attacker.data_out(tag, NO_TAG, b"", 0))
            transfer_tag = attacker.ready(tag, 0, BLOCK)
            attacker.send(attacker.data_out(tag, transfer_tag, bytes(world.image[:BLOCK]), 0))
            attacker.good(tag)
        elif opcode == Opcode.SCSI_COMMAND:
            tag = attacker.new_tag()
            attacker.send(attacker.command(bytes(6), initiator_task_tag=tag))
            attacker.good(tag)
        else:
            attacker.send(attacker.make(opcode, target_transfer_tag=NO_TAG))
            assert attacker.client.receive_pdu().data == b""
        attacker.usable()

    attack(world, steps)


def test_cve_2014_4027_new_storage_and_short_answers_show_nothing_of_others(world: World) -> None:
    """LIO: a RAM disk showed old memory of the kernel. Ours: the null disk, and what lies behind a short answer."""
    def steps(attacker: Attacker) -> None:
        client = attacker.log_in()
        client.read(0, 0, 256)  # memory that an answer may be put into has somebody's data now
        assert not any(client.read(1, 0, 256))
        answer = client.command(0, bytes.fromhex("12000000ff00"), read=4096)
        assert answer.good
        assert len(answer.data) == 5 + answer.data[4]
        answer = client.command(0, bytes.fromhex("a00000000000000010000000"), read=4096)
        assert len(answer.data) == 8 + int.from_bytes(answer.data[:4], "big")

    attack(world, steps)


#: CDBs with an allocation length to be filled in: where, how many bytes, and what of the answer says how long it is.
ALLOCATING = {
    "INQUIRY": ("12000000000000000000", 3, 2), "VPD 83h": ("12018300000000000000", 3, 2),
    "MODE SENSE(6)": ("1a003f00000000000000", 4, 1), "MODE SENSE(10)": ("5a003f00000000000000", 7, 2),
    "REPORT LUNS": ("a00000000000000000000000", 6, 4), "PERSISTENT RESERVE IN": ("5e000000000000000000", 7, 2),
    "LOG SENSE": ("4d004000000000000000", 7, 2), "READ CAPACITY(16)": ("9e10" + 16 * "0" + "00000000" + "0000", 10, 4),
    "GET LBA STATUS": ("9e12" + 16 * "0" + "00000000" + "0000", 10, 4), "REPORT OPCODES": ("a30c" + 20 * "0", 6, 4),
    "RECEIVE DIAGNOSTIC": ("1c000000000000000000", 3, 2), "REQUEST SENSE": ("03000000000000000000", 4, 1),
}


@pytest.mark.parametrize("name", ALLOCATING)
def test_cve_2024_42416_allocation_lengths_bound_what_is_read(world: World, name: str) -> None:
    """FreeBSD-SA-24:11 (with CVE-2024-8178, CVE-2024-43110): lengths in CDBs were not compared with the buffer."""
    cdb, place, size = ALLOCATING[name]

    def steps(attacker: Attacker) -> None:
        client = attacker.log_in()
        longest = 0
        for allocated in (0, 1, 3, 4, 7, 8, 255, (1 << 8 * size) - 1):
            raw = bytearray.fromhex(cdb)
            allocated = min(allocated, (1 << 8 * size) - 1)
            raw[place : place + size] = allocated.to_bytes(size, "big")
            answer = client.command(0, bytes(raw), read=65536)
            assert len(answer.data) <= allocated
            longest = max(longest, len(answer.data))
        assert longest < 65536

    attack(world, steps)


@pytest.mark.parametrize(("cdb", "data"), [
    pytest.param("5500000000000000ff", 255, id="MODE SELECT(10)"),
    pytest.param("1510000040", 64, id="MODE SELECT(6)"),
    pytest.param("5f0000000000000017", 23, id="PERSISTENT RESERVE OUT of 23 bytes"),
    pytest.param("5f00000000ffffffff", 4096, id="PERSISTENT RESERVE OUT of 4 GiB"),
    pytest.param("420000000000000007", 7, id="UNMAP"),
    pytest.param("830000000000000000000000000f", 15, id="EXTENDED COPY"),
    pytest.param("3b02000000000000ff", 255, id="WRITE BUFFER"),
    pytest.param("1d1000ffff", 4096, id="SEND DIAGNOSTIC"),
])
def test_cve_2024_45063_parameter_lists_are_what_they_say_or_refused(world: World, cdb: str, data: int) -> None:
    """The same advisory: parameter lists cut short, or longer than what came."""
    def steps(attacker: Attacker) -> None:
        client = attacker.log_in()
        for filler in (b"\0", b"\xff"):
            answer = client.command(0, bytes.fromhex(cdb).ljust(16, b"\0"), write=filler * data)
            assert answer.status == 2
            assert decode_sense(answer.sense)[0] == 5
        attacker.usable()

    attack(world, steps)


@pytest.mark.parametrize(("lba", "count"), [
    (0xFFFFFFFFFFFFFFFF, 2), (0xFFFFFFFFFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF00000001, 0xFFFFFFFF), (255, 2), (256, 1),
])
def test_lio_2bf2d65f_the_end_of_an_unmapped_range_does_not_wrap(world: World, lba: int, count: int) -> None:
    """LIO: LBA + count in 64 bits began again at 0, and was in range."""
    def steps(attacker: Attacker) -> None:
        client = attacker.log_in()
        data = b"\0\x16\0\x10" + bytes(4) + lba.to_bytes(8, "big") + count.to_bytes(4, "big") + bytes(4)
        answer = client.command(0, bytes.fromhex("42" + 12 * "0" + "001800"), write=data)
        assert (answer.status, decode_sense(answer.sense)) == (2, (5, OUT_OF_RANGE))

    attack(world, steps)


@pytest.mark.parametrize("transport_id", [
    pytest.param(b"", id="none"), pytest.param(b"\x45\0\xff\xff" + bytes(20), id="longer than the list"),
    pytest.param(b"\x45\0\0\x14" + b"iqn.a" + bytes(15), id="an ISID that is missing"),
    pytest.param(b"\x45\0\0\x14" + b"iqn.a,i,0x\0" + bytes(9), id="an empty ISID"),
    pytest.param(b"\x45\0\0\x14" + b"iqn.a,i,0xZZ" + bytes(8), id="an ISID of no digits"),
    pytest.param(b"\x45\0\0\x14" + b"a" * 20, id="no end"), pytest.param(b"\xc5" + bytes(23), id="a format of nobody"),
    pytest.param(b"\x05\0\0\x14" + bytes(20), id="an empty name"), pytest.param(b"\x06" + bytes(23), id="of SAS"),
])
def test_cve_2026_72083_transport_ids_of_register_and_move(world: World, transport_id: bytes) -> None:
    """LIO: the ISID in REGISTER AND MOVE was used after it had been freed."""
    def steps(attacker: Attacker) -> None:
        client = attacker.log_in()
        key = b"attacker"
        register = client.command(0, bytes.fromhex("5f" + 12 * "0" + "001800"), write=bytes(8) + key + bytes(8))
        assert register.good
        assert client.command(0, bytes.fromhex("5f01010000000000180000"), write=key + bytes(16)).good
        data = key + b"a newkey" + bytes(4) + len(transport_id).to_bytes(4, "big") + transport_id
        cdb = bytes.fromhex("5f0701000000") + len(data).to_bytes(3, "big") + b"\0"
        answer = client.command(0, cdb, write=data)
        assert (answer.status, decode_sense(answer.sense)[0]) == (2, 5)
        clear = client.command(0, bytes.fromhex("5f03010000000000180000"), write=key + bytes(16))
        assert clear.good

    attack(world, steps)


def copying(view: View) -> tuple[int, Memory]:
    """EXTENDED COPY from LUN 1 to LUN 0 by an initiator with this view: sense key and ASC, and LUN 0's store."""
    node = IscsiNode(threading.RLock())
    device = ScsiDevice("iqn.t", threading.RLock())
    stores = [Memory(1 << 20), Memory(1 << 20)]
    stores[1].content[: 8 * BLOCK] = b"s" * 8 * BLOCK
    for number, store in enumerate(stores):
        device.add(number, LogicalUnit(
            store, iet_identity("iqn.t", number), device=device, number=number, write_cache=True
        ))
    target = TargetNode("iqn.t", device, terms=lambda asker: Terms(view))
    node.add(target)
    nexus = Nexus(node, target)
    nexus.ask(nexus.command("00"))
    ends = b"".join(
        cscd(designator_type=1, value=b"IET\0\0\0\0\0" + device.logical_units[number].identity.device_id)
        for number in (1, 0)
    )
    data = copy_list(ends, segment(0, 1, 8, 0, 64))
    cdb = bytes.fromhex("8300") + bytes(8) + len(data).to_bytes(4, "big") + bytes(2)
    answers = nexus.ask(nexus.command(cdb, data, flags=0xA0, expected=len(data)))
    nexus.work()
    (answer,) = answers or nexus.answers()
    return (answer.data[4] << 16 | int.from_bytes(answer.data[14:16], "big") if answer.status else 0), stores[0]


def test_cve_2020_28374_a_copy_reaches_only_what_its_initiator_has() -> None:
    """LIO, and tcmu-runner's CVE-2021-3139: any disk of the host could be named as an end of EXTENDED COPY."""
    told, store = copying(View({0: 0}))
    assert told == 0xA0D02  # COPY ABORTED, COPY TARGET DEVICE NOT REACHABLE
    assert not any(store.content)
    told, store = copying(View({0: 0, 1: 1}))  # who has both may
    assert told == 0
    assert bytes(store.content[64 * BLOCK : 72 * BLOCK]) == b"s" * 8 * BLOCK


# Around it ----------------------------------------------------------------------------------------------------------


def test_cve_2007_5827_the_control_socket_is_its_owners(tmp_path: Path) -> None:
    """IET's secrets, targetcli's (CVE-2020-13867, CVE-2020-14019) and its socket (CVE-2020-10699) were everybody's."""
    path = tmp_path / "control"
    before = os.umask(0)
    try:
        listener = service.bind(str(path))
    finally:
        os.umask(before)
    with listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


ENTITY = b"\0\0\0\x01\0\0\0\x04%n%s"


@pytest.mark.parametrize("payload", [
    pytest.param(b"\0\0\0\0" + ENTITY, id="a format"),
    pytest.param(b"\0\0\0\0" + b"\0\0\0\x20\xff\xff\xff\xfcabcd", id="a name of 4 GiB"),
    pytest.param(b"\0\0\0\0" + b"\0\0\0\x20\0\0\x02\0" + b"%x" * 256, id="a name of 512 bytes"),
    pytest.param(b"\0\0\0\0" + b"\0\0\0\x20\0\0\0\x08abc", id="a name cut short"),
    pytest.param(b"\0\0\0\0" + b"\0\0\0\x10\0\0\0\x04abcd", id="an address of 4 bytes"),
    pytest.param(b"%n%n", id="a status"), pytest.param(b"", id="no status"),
])
@pytest.mark.parametrize("function", [0x8001, 0x8002, 0x8005, 0x0008, 0x000D])
def test_cve_2010_0743_what_a_name_server_says_is_only_read(function: int, payload: bytes) -> None:
    """tgt and IET printed it as a format; CVE-2010-2221 (tgt, IET, SCST): they copied as much as it said."""
    assembler = Assembler()
    assembler.feed(
        b"\0\1" + function.to_bytes(2, "big") + len(payload).to_bytes(2, "big") + b"\x0c\0\0\1\0\0" + payload
    )
    with contextlib.suppress(IsnsError):
        message = assembler.next_message()
        assert message is not None
        for read in (requests.operating, requests.is_present, requests.initiators_in, requests.granted_period):
            with contextlib.suppress(IsnsError):
                read(message)


def test_secrets_are_needed_where_they_are_configured(world: World) -> None:
    """That the tests above do not hold because nobody gets in at all."""
    attack(world, lambda attacker: attacker.log_in(LOCKED, chap=Chap("joe", SECRET)))


def test_a_scanner_that_is_no_initiator(world: World) -> None:
    """spdk 3927: a PDU that is no login ended the server; HTTP, TLS and nothing at all."""
    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\0\x01", b"\0" * 48, b""):
        with socket.create_connection(("127.0.0.1", world.port), 20) as sock:
            sock.sendall(sent)
            sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                assert sock.recv(1) == b""
    attack(world, lambda attacker: attacker.log_in(OPEN).logout())


def test_text_of_a_stranger_is_cut_before_it_is_kept(world: World) -> None:
    def steps(attacker: Attacker) -> None:
        attacker.send(attacker.login_request(OPERATIONAL | 0x40, b"x" * 8192))
        for _ in range(9):
            pdu = attacker.client.receive_pdu()
            if pdu.header["status"]:
                break
            attacker.send(attacker.login_request(OPERATIONAL | 0x40, b"x" * 8192))
        assert pdu.header["status"] == LoginStatus.INITIATOR_ERROR
        assert decode(pdu.data) == []
        attacker.dropped()

    attack(world, steps)
