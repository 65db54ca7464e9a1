"""The initiator against this project's own target, in one process: a TargetFault is a bug of one of the two."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from ietpy.initiator.client import Client
from ietpy.initiator.errors import CommandFailed, LoginRefused
from ietpy.initiator.framing import build_pdu
from ietpy.initiator.login import Chap, LoginPlan
from ietpy.iscsi.errors import LoginStatus, RejectReason
from ietpy.iscsi.pdu import NO_TAG, Opcode
from ietpy.scsi.status import Status

OPEN, LOCKED, BOTH_WAYS = "iqn.2026-01.test:open", "iqn.2026-01.test:locked", "iqn.2026-01.test:both"
SECRET, MUTUAL = "secretsecret12", "mutualmutual12"
BLOCKS = 8192
CONFIGURATION = """
Target iqn.2026-01.test:open
    Lun 0 Path={path},Type=fileio
    Lun 1 Type=nullio,Blocks=2048
    InitialR2T No
Target iqn.2026-01.test:locked
    IncomingUser joe secretsecret12
    Lun 0 Type=nullio
Target iqn.2026-01.test:both
    IncomingUser joe secretsecret12
    OutgoingUser itself mutualmutual12
    Lun 0 Type=nullio
"""


@pytest.fixture(scope="module")
def port(serve: Callable[[str, int], int]) -> int:
    return serve(CONFIGURATION, BLOCKS)


Connect = Callable[[], Client]


@pytest.fixture
def client(connect: Connect) -> Client:
    made = connect()
    made.login(LoginPlan(target=OPEN))
    return made


def test_discovery(connect: Connect, port: int) -> None:
    client = connect()
    client.login(LoginPlan())
    assert sorted(client.discover()) == [(name, [f"127.0.0.1:{port},1"]) for name in sorted((OPEN, LOCKED, BOTH_WAYS))]
    assert client.discover(OPEN) == [(OPEN, [f"127.0.0.1:{port},1"])]
    assert client.logout().response == 0
    with pytest.raises(OSError):
        client.socket.getpeername()


@pytest.mark.parametrize(
    "keys",
    [
        pytest.param({}, id="defaults"),
        pytest.param({"HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}, id="both digests"),
        pytest.param({"HeaderDigest": "CRC32C,None"}, id="header digest"),
        pytest.param({"DataDigest": "None,CRC32C"}, id="None preferred"),
        pytest.param({"InitialR2T": "Yes"}, id="InitialR2T=Yes"),
        pytest.param({"ImmediateData": "No"}, id="unsolicited data without immediate data"),
        pytest.param({"InitialR2T": "Yes", "ImmediateData": "No"}, id="R2T only"),
        pytest.param({"MaxRecvDataSegmentLength": "512"}, id="MaxRecvDataSegmentLength=512"),
        pytest.param({"MaxBurstLength": "512", "FirstBurstLength": "512"}, id="bursts of 512 bytes"),
        pytest.param(
            {"MaxRecvDataSegmentLength": "1000", "MaxBurstLength": "3001", "FirstBurstLength": "777"}, id="odd lengths"
        ),
        pytest.param(
            {"MaxRecvDataSegmentLength": "4093", "DataDigest": "CRC32C", "HeaderDigest": "CRC32C"}, id="padded digests"
        ),
        pytest.param(
            {"MaxOutstandingR2T": "8", "MaxBurstLength": "2048", "FirstBurstLength": "512", "InitialR2T": "Yes"},
            id="R2Ts at once",
        ),
        pytest.param({"DataPDUInOrder": "No", "DataSequenceInOrder": "No"}, id="any order"),
        pytest.param({"ErrorRecoveryLevel": "2", "MaxConnections": "8"}, id="more than the target has"),
        pytest.param({"TaskReporting": "FastAbort,RFC3720", "iSCSIProtocolLevel": "2"}, id="RFC 7143's new keys"),
        pytest.param({"OFMarker": "Yes", "IFMarker": "Yes"}, id="obsolete markers"),
        pytest.param({"X-org.example.key": "1"}, id="unknown key"),
        pytest.param(dict.fromkeys(("MaxBurstLength", "FirstBurstLength", "InitialR2T")), id="fewer offers"),
    ],
)
@pytest.mark.parametrize("size", [512, 8192, 65536 + 512, 1 << 20], ids="{} bytes".format)
def test_what_is_written_is_read_back(connect: Connect, keys: dict[str, str | None], size: int) -> None:
    client = connect()
    client.login(LoginPlan(target=OPEN, keys=keys))
    sample = secrets.token_bytes(size)
    client.write(0, 3, sample)
    assert client.read(0, 3, size // 512) == sample
    client.logout()


@pytest.mark.rfc7143("9.1-1", "12.1-1", "9.2.1-1")
@pytest.mark.parametrize("algorithm", [5, 6, 7, 8])
@pytest.mark.parametrize("target", [LOCKED, BOTH_WAYS])
def test_chap(connect: Connect, algorithm: int, target: str) -> None:
    mutual = ("itself", MUTUAL) if target == BOTH_WAYS else ("", "")
    client = connect()
    client.login(LoginPlan(target=target, chap=Chap("joe", SECRET, *mutual, algorithms=(algorithm,))))
    assert client.read_capacity(0).block_size == 512
    client.logout()


@pytest.mark.parametrize(
    ("plan", "status"),
    [
        pytest.param(LoginPlan(target="iqn.2026-01.test:nobody"), LoginStatus.NOT_FOUND, id="no such target"),
        pytest.param(
            LoginPlan(target=LOCKED, chap=Chap("joe", "wrongwrong12")), LoginStatus.AUTHENTICATION_FAILURE, id="secret"
        ),
        pytest.param(
            LoginPlan(target=LOCKED, chap=Chap("jim", SECRET)), LoginStatus.AUTHENTICATION_FAILURE, id="user"
        ),
        pytest.param(
            LoginPlan(target=LOCKED, auth_method="None"), LoginStatus.AUTHENTICATION_FAILURE, id="no authentication"
        ),
        pytest.param(LoginPlan(target=LOCKED), LoginStatus.AUTHENTICATION_FAILURE, id="no security stage"),
        pytest.param(LoginPlan(target=OPEN, tsih=99), LoginStatus.SESSION_DOES_NOT_EXIST, id="no such session"),
    ],
)
def test_login_refused(connect: Connect, plan: LoginPlan, status: int) -> None:
    client = connect()
    with pytest.raises(LoginRefused) as caught:
        client.login(plan)
    assert caught.value.status == status
    assert client.closed_by_target()


def test_ping(client: Client) -> None:
    assert client.ping(b"") == b""
    assert client.ping(b"hello", immediate=True) == b"hello"
    assert client.ping(bytes(8192)) == bytes(8192)


def test_many_commands_outstanding(client: Client) -> None:
    client.write(0, 0, bytes(range(256)) * 2 * 300)
    cdbs = [bytes((0x28, 0)) + lba.to_bytes(4, "big") + bytes((0, 0, 1, 0)) + bytes(6) for lba in range(300)]
    tags = [client.submit(0, cdb, read=512) for cdb in cdbs]
    assert all(client.wait(tag).data == bytes(range(256)) * 2 for tag in reversed(tags))


@pytest.mark.rfc7143("4.2.5.2-3")
def test_commands_of_both_directions_outstanding(client: Client) -> None:
    client.test_unit_ready(0)
    samples = {lba: secrets.token_bytes(128 * 512) for lba in range(0, 2048, 128)}
    head = {lba: lba.to_bytes(4, "big") + bytes((0, 0, 128, 0)) + bytes(6) for lba in samples}
    writes = [client.submit(0, bytes((0x2A, 0)) + head[lba], write=sample) for lba, sample in samples.items()]
    assert all(client.wait(tag).good for tag in writes)
    reads = {lba: client.submit(0, bytes((0x28, 0)) + head[lba], read=128 * 512) for lba in samples}
    assert {lba: client.wait(tag).data for lba, tag in reads.items()} == samples


@pytest.mark.rfc7143("11.4.5.2-1", "11.4.5.2-2")
@pytest.mark.parametrize(
    ("cdb", "read", "status", "moved", "residual"),
    [
        pytest.param("28000000000000000100", 512, 0, 512, 0, id="exact"),
        pytest.param("28000000000000000100", 4096, 0, 512, 3584, id="underflow"),
        pytest.param("28000000000000000200", 512, 0, 512, -512, id="overflow"),
        pytest.param("28000000000000000100", 100, 0, 100, -412, id="overflow within a block"),
        pytest.param("28000000000000000000", 512, 0, 0, 512, id="zero blocks"),
        pytest.param("28000000000000000000", 0, 0, 0, 0, id="zero blocks, zero bytes"),
        pytest.param("28007fffffff00000100", 512, 2, 0, 512, id="past the end"),
        pytest.param("c0000000000000000000", 512, 2, 0, 512, id="unknown operation code"),
        pytest.param("120000002400", 36, 0, 36, 0, id="INQUIRY"),
        pytest.param("120000000500", 36, 0, 5, 31, id="INQUIRY cut by its allocation length"),
    ],
)  # fmt: skip
def test_residuals_of_reads(
    client: Client, cdb: str, read: int, status: int, moved: int, residual: int
) -> None:
    client.test_unit_ready(0)
    response = client.command(0, bytes.fromhex(cdb).ljust(16, b"\0"), read=read)
    assert (response.status, len(response.data), response.residual) == (status, moved, residual)
    assert bool(response.sense) == (status == Status.CHECK_CONDITION)


@pytest.mark.rfc7143("11.4.5.2-1", "11.4.5.2-2")
@pytest.mark.parametrize(
    ("blocks", "sent", "status", "residual"),
    [
        pytest.param(1, 512, 0, 0, id="exact"),
        pytest.param(1, 1024, 0, 512, id="underflow"),
        pytest.param(0, 512, 0, 512, id="zero blocks"),
    ],
)
def test_residuals_of_writes(client: Client, blocks: int, sent: int, status: int, residual: int) -> None:
    client.test_unit_ready(0)
    cdb = bytes((0x2A, 0, 0, 0, 0, 0, 0, 0, blocks)).ljust(16, b"\0")
    response = client.command(0, cdb, write=bytes(sent))
    assert (response.status, response.residual) == (status, residual)


def test_luns(client: Client) -> None:
    assert client.report_luns() == [0, 1]
    assert client.read_capacity(0).size == BLOCKS * 512
    assert client.read(1, 0, 1) == bytes(512)
    with pytest.raises(CommandFailed, match="ILLEGAL REQUEST, ASC/ASCQ 2500h"):
        client.test_unit_ready(5)


def test_pages_of_vital_product_data(client: Client) -> None:
    for page in client.inquiry(0, 0)[4:]:
        data = client.inquiry(0, page, length=4096)
        assert data[1] == page
        assert int.from_bytes(data[2:4], "big") == len(data) - 4


@pytest.mark.parametrize("function", [2, 5, 6], ids=["ABORT TASK SET", "LOGICAL UNIT RESET", "TARGET WARM RESET"])
def test_task_management(client: Client, function: int) -> None:
    client.test_unit_ready(0)
    assert client.manage(function, 0) == 0
    client.test_unit_ready(0)


def test_abort_of_a_command_waiting_for_data(client: Client) -> None:
    client.test_unit_ready(0)
    fields = {"flags": 0xA1, "expected_data_transfer_length": 512, "cdb": bytes.fromhex("2a000000000000000100")}
    tag = client.session.numbering.new_tag()
    ref_cmd_sn = client.session.numbering.cmd_sn
    client.session.parameters.immediate_data = False
    client.send_pdu(client.make(Opcode.SCSI_COMMAND, initiator_task_tag=tag, **fields))
    assert client.receive_pdu().opcode == Opcode.READY_TO_TRANSFER
    assert client.manage(1, 0, tag, ref_cmd_sn) == 0
    assert client.ping(b"alive") == b"alive"


@pytest.mark.rfc7143("7.11-1")
def test_abort_of_a_command_that_is_not_there(client: Client) -> None:
    assert client.manage(1, 0, 0x1234, client.session.numbering.cmd_sn - 1) in (0, 1)


@pytest.mark.parametrize(
    ("opcode", "fields", "reason"),
    [
        pytest.param(0x1C, {}, RejectReason.COMMAND_NOT_SUPPORTED, id="vendor specific opcode"),
        pytest.param(
            Opcode.SNACK_REQUEST, {"target_transfer_tag": NO_TAG}, RejectReason.SNACK_REJECT, id="SNACK at level 0"
        ),
    ],
)
def test_rejected(client: Client, opcode: int, fields: dict[str, int], reason: int) -> None:
    client.send_pdu(client.make(opcode, initiator_task_tag=0x77, **fields))
    pdu = client.receive_pdu()
    assert (pdu.opcode, pdu.header["reason"]) == (Opcode.REJECT, reason)
    assert client.ping(b"alive") == b"alive"


@pytest.mark.rfc7143("7.8-2")
def test_data_digest_error_is_rejected_and_the_connection_lives(connect: Connect) -> None:
    client = connect()
    client.login(LoginPlan(target=OPEN, keys={"HeaderDigest": "CRC32C", "DataDigest": "CRC32C"}))
    client.send_pdu(client.make(Opcode.NOP_OUT, b"abcd", target_transfer_tag=NO_TAG, immediate=True, spoil_data=True))
    pdu = client.receive_pdu()
    assert (pdu.opcode, pdu.header["reason"]) == (Opcode.REJECT, RejectReason.DATA_DIGEST_ERROR)
    assert client.ping(b"alive") == b"alive"


@pytest.mark.rfc7143("7.8-1")
def test_header_digest_error_ends_the_connection(connect: Connect) -> None:
    client = connect()
    client.login(LoginPlan(target=OPEN, keys={"HeaderDigest": "CRC32C"}))
    client.send_pdu(client.make(Opcode.NOP_OUT, b"abcd", target_transfer_tag=NO_TAG, spoil_header=True))
    assert client.closed_by_target()


@pytest.mark.rfc7143("4.2.4-3", "11.12-1")
def test_login_begins_with_a_login_request(connect: Connect) -> None:
    client = connect()
    client.send_pdu(build_pdu(Opcode.NOP_OUT, flags=0x80))
    assert client.closed_by_target()


@pytest.mark.rfc7143("6.3.5-1", "7.15-1", "6.3.1-3")
def test_session_reinstatement_ends_the_old_session(connect: Connect) -> None:
    old, new = connect(), connect()
    old.login(LoginPlan(target=OPEN))
    new.login(LoginPlan(target=OPEN))
    assert old.closed_by_target()
    new.test_unit_ready(0)


def test_two_sessions_of_one_initiator(connect: Connect) -> None:
    one, two = connect(), connect()
    first = one.login(LoginPlan(target=OPEN, isid=b"\x80\0\0\0\0\1"))
    second = two.login(LoginPlan(target=OPEN, isid=b"\x80\0\0\0\0\2"))
    assert first.tsih != second.tsih
    one.test_unit_ready(0)
    two.test_unit_ready(0)

