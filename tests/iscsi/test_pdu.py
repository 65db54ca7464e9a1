"""Header layouts of RFC 7143 section 11 by golden bytes: every named field where the section's figure has it."""

from __future__ import annotations

import pytest

from ietpy.iscsi.pdu import BHS_SIZE, LAYOUTS, REQUEST, Opcode, portal_name

#: field: (first byte, length); what each section's figure says beyond bytes 0, 1, 4 to 7 and the task tag
_TAG = {"opcode": (0, 1), "flags": (1, 1), "lengths": (4, 4), "initiator_task_tag": (16, 4)}
_REQUEST = _TAG | {"cmd_sn": (24, 4), "exp_stat_sn": (28, 4)}
_RESPONSE = _TAG | {"stat_sn": (24, 4), "exp_cmd_sn": (28, 4), "max_cmd_sn": (32, 4)}
_LUN = {"lun": (8, 8)}
_TTT = {"target_transfer_tag": (20, 4)}
FIGURES = {
    Opcode.NOP_OUT: _REQUEST | _LUN | _TTT,
    Opcode.SCSI_COMMAND: _REQUEST | _LUN | {"expected_data_transfer_length": (20, 4), "cdb": (32, 16)},
    Opcode.TASK_MANAGEMENT_REQUEST: _REQUEST | _LUN | {
        "referenced_task_tag": (20, 4), "ref_cmd_sn": (32, 4), "exp_data_sn": (36, 4)},
    Opcode.LOGIN_REQUEST: _REQUEST | {
        "version_max": (2, 1), "version_min": (3, 1), "isid": (8, 6), "tsih": (14, 2), "cid": (20, 2)},
    Opcode.TEXT_REQUEST: _REQUEST | _LUN | _TTT,
    Opcode.DATA_OUT: _TAG | _LUN | _TTT | {"exp_stat_sn": (28, 4), "data_sn": (36, 4), "buffer_offset": (40, 4)},
    Opcode.LOGOUT_REQUEST: _REQUEST | {"cid": (20, 2)},
    Opcode.SNACK_REQUEST: _TAG | _LUN | _TTT | {"exp_stat_sn": (28, 4), "beg_run": (40, 4), "run_length": (44, 4)},
    Opcode.NOP_IN: _RESPONSE | _LUN | _TTT,
    Opcode.SCSI_RESPONSE: _RESPONSE | {
        "response": (2, 1), "status": (3, 1), "snack_tag": (20, 4), "exp_data_sn": (36, 4),
        "bidirectional_residual_count": (40, 4), "residual_count": (44, 4)},
    Opcode.TASK_MANAGEMENT_RESPONSE: _RESPONSE | {"response": (2, 1), "information": (8, 3)},
    Opcode.LOGIN_RESPONSE: _RESPONSE | {
        "version_max": (2, 1), "version_active": (3, 1), "isid": (8, 6), "tsih": (14, 2), "status": (36, 2)},
    Opcode.TEXT_RESPONSE: _RESPONSE | _LUN | _TTT,
    Opcode.DATA_IN: _RESPONSE | _LUN | _TTT | {
        "status": (3, 1), "data_sn": (36, 4), "buffer_offset": (40, 4), "residual_count": (44, 4)},
    Opcode.LOGOUT_RESPONSE: _RESPONSE | {"response": (2, 1), "time2wait": (40, 2), "time2retain": (42, 2)},
    Opcode.READY_TO_TRANSFER: _RESPONSE | _LUN | _TTT | {
        "r2t_sn": (36, 4), "buffer_offset": (40, 4), "desired_data_transfer_length": (44, 4)},
    Opcode.ASYNC_MESSAGE: _RESPONSE | _LUN | {
        "async_event": (36, 1), "async_vcode": (37, 1), "parameter1": (38, 2), "parameter2": (40, 2),
        "parameter3": (42, 2)},
    Opcode.REJECT: _RESPONSE | {"reason": (2, 1), "data_sn": (36, 4)},
}
#: The figure of an asynchronous message has ffffffff where others have the tag.
del FIGURES[Opcode.ASYNC_MESSAGE]["initiator_task_tag"]


def test_every_opcode_has_a_layout_and_a_figure() -> None:
    assert set(LAYOUTS) == set(FIGURES) == set(Opcode)


@pytest.mark.rfc7143("11-1", "7144:5.2.1-1")
@pytest.mark.parametrize("opcode", Opcode, ids=lambda opcode: opcode.name)
def test_fields_lie_where_the_figure_has_them(opcode: Opcode) -> None:
    layout, figure = LAYOUTS[opcode], FIGURES[opcode]
    named = {name for name, _ in layout.fields}
    assert layout.size == BHS_SIZE
    assert set(figure) <= named
    for name, (first, length) in figure.items():
        ones = b"\xff" * length if isinstance(layout.unpack(bytes(48))[name], bytes) else 256**length - 1
        expected = bytes(first) + b"\xff" * length + bytes(BHS_SIZE - first - length)
        assert layout.pack(**{name: ones}) == expected, name
    assert named - set(figure) <= {"initiator_task_tag"}


@pytest.mark.parametrize(
    "opcode", [opcode for opcode in Opcode if opcode < 0x20], ids=lambda opcode: opcode.name
)
def test_requests_share_their_boundaries(opcode: Opcode) -> None:
    raw = LAYOUTS[opcode].pack(opcode=opcode, flags=0x80, lengths=5, initiator_task_tag=6)
    shared = REQUEST.unpack(raw)
    assert (shared["opcode"], shared["flags"], shared["lengths"], shared["initiator_task_tag"]) == (opcode, 0x80, 5, 6)


@pytest.mark.parametrize(("address", "name"), [("10.0.0.7", "10.0.0.7:1"), ("::", "[::]:1"), ("host", "host:1")])
def test_portal_names(address: str, name: str) -> None:
    assert portal_name(address, 1) == name
