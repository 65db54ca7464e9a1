"""Text Requests of the full feature phase: SendTargets, and the few keys that may be redeclared (4.3, 11.10)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ietpy.errors import Reject
from ietpy.iscsi.errors import RejectReason
from ietpy.iscsi.keys import Parameters
from ietpy.iscsi.negotiation import FULL_FEATURE_USES, Negotiation
from ietpy.iscsi.pdu import CONTINUE, FINAL, NO_TAG, portal_name
from ietpy.iscsi.target import Asker, IscsiNode, TargetNode
from ietpy.iscsi.text import REJECT, Pairs, TextAssembler, encode, split

ALL: Final = "All"


class TextExchange:
    """The text negotiations of one connection, one at a time (section 11.10.4)."""

    def __init__(
        self, node: IscsiNode, target: TargetNode | None, asker: Asker, local_port: int, parameters: Parameters
    ) -> None:
        self._node = node
        self._target = target
        self._asker = asker
        self._local_port = local_port
        self._parameters = parameters
        self._last_tag = 0
        self._begin()

    def _begin(self) -> None:
        self._text = TextAssembler()
        self._unsent: list[bytes] = []
        self._tag = NO_TAG
        self._task = (NO_TAG, 0)
        configured = {} if self._target is None else self._target.key_values
        #: What the negotiation comes to; it holds when that has ended, and not at all if it fails (section 7.12).
        self._agreed = replace(self._parameters)
        self._negotiation = Negotiation(
            configured, self._agreed, discovery=self._target is None, uses=FULL_FEATURE_USES
        )

    def receive(self, flags: int, tag: int, transfer_tag: int, lun: int, data: bytes) -> tuple[int, int, bytes]:
        """Take a Text Request: flags, Target Transfer Tag and data of the response. Raises Reject."""
        if flags & FINAL and flags & CONTINUE:
            raise Reject(RejectReason.PROTOCOL_ERROR, "a Text Request with F and C both set")
        if transfer_tag == NO_TAG:
            self._begin()
            self._task = tag, lun
        elif transfer_tag != self._tag or (tag, lun) != self._task:
            raise Reject(RejectReason.PROTOCOL_ERROR, f"Target Transfer Tag {transfer_tag:#x} is none of this task's")
        try:
            pairs = self._text.add(data, bool(flags & CONTINUE))
            others = any(name != "SendTargets" for name, _ in pairs or ())
            if self._target is None and (others or (pairs == [] and self._tag == NO_TAG)):
                raise ValueError("a discovery session takes SendTargets and nothing else (section 4.3)")
            if self._unsent:
                if pairs != []:
                    raise ValueError("text while an answer is still being sent")
                return self._go_on(bool(flags & FINAL))
            if pairs is None:
                return self._open(b"", 0)
            answers = self._answer(pairs)
        except ValueError as problem:
            self._begin()
            raise Reject(RejectReason.PROTOCOL_ERROR, str(problem)) from None
        self._unsent = split(encode(answers), self._parameters.max_xmit_data_segment_length)
        return self._go_on(bool(flags & FINAL))

    def _go_on(self, final: bool) -> tuple[int, int, bytes]:
        """The next segment of the answer; the exchange ends with the last one if the initiator has no more to say."""
        piece = self._unsent.pop(0)
        if self._unsent:
            return self._open(piece, CONTINUE)
        if not final:
            return self._open(piece, 0)
        self._parameters.take(self._agreed)
        self._begin()
        return FINAL, NO_TAG, piece

    def _open(self, piece: bytes, flags: int) -> tuple[int, int, bytes]:
        """A response that leaves the exchange open: its tag must come back (section 11.11.3)."""
        self._last_tag = (self._last_tag + 1) % NO_TAG
        self._tag = self._last_tag
        return flags, self._tag, piece

    def _answer(self, pairs: Pairs) -> Pairs:
        answers: Pairs = []
        rest: Pairs = []
        for name, value in pairs:
            if name == "SendTargets":
                answers += self._send_targets(value)
            else:
                rest.append((name, value))
        return answers + self._negotiation.answer(rest)

    def _send_targets(self, value: str) -> Pairs:
        """TargetName and TargetAddress of what the asker may use (Appendix C; iet-compat 8.4).

        All paths are told, by whatever portal group he came; a target that no portal leads to is not.
        """
        if self._target is None:
            targets = self._node.visible(self._asker)
            if value != ALL:
                targets = [target for target in targets if target.name.lower() == value.lower()]
        elif value.lower() in ("", self._target.name.lower()):
            targets = [self._target]
        else:
            return [("SendTargets", REJECT)]
        paths = [
            (
                f"{portal.advertised or portal_name(portal.address, portal.port)},{portal.group}",
                replace(self._asker, local=portal.address, group=portal.group),
            )
            for portal in self._node.addresses(self._asker, self._local_port)
        ]
        pairs: Pairs = []
        for target in targets:
            open_to = (path for path, by in paths if by.group in target.portal_groups and target.admits(by))
            addresses = dict.fromkeys(open_to)  # several may be advertised by one name
            if addresses:
                pairs.append(("TargetName", target.name))
                pairs += (("TargetAddress", address) for address in addresses)
        return pairs
