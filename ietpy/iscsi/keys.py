"""Text keys (RFC 7143 section 13), one row each: how the value is written, how it is settled, where it may stand.

``negotiation`` applies these rows and knows no key by name; ``config`` derives the session options of ietd.conf
from them. ``default`` is the RFC's (what holds when nobody says anything); ``ours`` is what this target declares
or offers when its configuration is silent (docs/decisions: larger than IET's where IET's only cost speed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Final

from ietpy.schema import Number, Text, Value, WordList, YesNo

LENGTH_LIMIT: Final = 16777215  #: 2**24 - 1, the DataSegmentLength field
KEY_NAME_LIMIT: Final = 63  #: section 6.1
RECOVERS_CONNECTIONS: Final = 2  #: the ErrorRecoveryLevel at which tasks outlive their connection
MOST_CONNECTIONS: Final = 8  #: of a session; each costs a thread
#: The iSCSIProtocolLevel from which RFC 7144 holds: QUERY TASK, I_T NEXUS RESET and so on.
SAM_5_LEVEL: Final = 2


class Result(Enum):
    """How the two sides' values make one (section 6.2)."""

    DECLARE = "each side's own value holds for its direction"
    AND = "Yes if both say Yes"
    OR = "Yes if either says Yes"
    MIN = "the smaller"
    MAX = "the larger"
    LIST = "the first of the initiator's list that the target accepts"
    OBSOLETE_NO = "answered No (section 13.25)"
    OBSOLETE_REJECT = "answered Reject (section 13.25)"


class Use(Enum):
    """Where a key may stand; section 13's "Use"."""

    FIRST = "the first Login Request of the leading connection, declared by the initiator"
    SECURITY = "the security stage"
    LOGIN = "the operational stage of the leading connection (LO)"
    CONNECTION = "the operational stage of each connection (IO)"
    ALL = "login and full feature phase"
    FULL_FEATURE = "Text Requests of the full feature phase"
    TARGET = "sent by targets only"


@dataclass(frozen=True, slots=True)
class Key:
    """One text key. ``attribute`` names its place in ``Parameters`` (empty: not kept there)."""

    name: str
    value: Value
    default: Any
    result: Result
    use: Use
    section: str
    attribute: str = ""
    #: What the target offers when ietd.conf is silent; None means the RFC default.
    ours: Any = None
    #: Irrelevant in discovery sessions (section 13's "Irrelevant when").
    normal_only: bool = False
    #: Of declared keys: where the initiator's value goes, and the option that caps it.
    peer: str = ""
    cap: str = ""
    #: Whether ietd.conf has an option of this name (iet-compat 2.4).
    option: bool = True
    #: Of lengths: the key whose value this one's may not exceed.
    bound: str = ""
    #: The most this target can serve, whatever ietd.conf says; None: all of ``value``.
    most: Any = None
    #: The ErrorRecoveryLevel ietd.conf must name for its value to be served.
    level: int = 0

    @property
    def offer(self) -> Any:
        return self.default if self.ours is None else self.ours

    def wish(self, configured: Mapping[str, Any]) -> Any:
        """What this target says, given the values its configuration names."""
        if self.level > configured.get("ErrorRecoveryLevel", 0):
            return self.offer
        wish = configured.get(self.name, self.offer)
        return wish if self.most is None else min(wish, self.most)


_LENGTH = Number(512, LENGTH_LIMIT)
_DIGEST = WordList(("None", "CRC32C"))
_NAME = Text(223)

KEYS: Final = (
    Key("HeaderDigest", _DIGEST, ("None",), Result.LIST, Use.CONNECTION, "13.1", "header_digest",
        ours=("None", "CRC32C")),
    Key("DataDigest", _DIGEST, ("None",), Result.LIST, Use.CONNECTION, "13.1", "data_digest",
        ours=("None", "CRC32C")),
    Key("MaxConnections", Number(1, 65535), 1, Result.MIN, Use.LOGIN, "13.2", "max_connections",
        normal_only=True, most=MOST_CONNECTIONS),
    Key("SendTargets", Text(), None, Result.DECLARE, Use.FULL_FEATURE, "13.3", option=False),
    Key("TargetName", _NAME, None, Result.DECLARE, Use.FIRST, "13.4", option=False),
    Key("InitiatorName", _NAME, None, Result.DECLARE, Use.FIRST, "13.5", option=False),
    Key("TargetAlias", Text(), None, Result.DECLARE, Use.TARGET, "13.6", option=False),
    Key("InitiatorAlias", Text(), None, Result.DECLARE, Use.ALL, "13.7", option=False),
    Key("TargetAddress", Text(), None, Result.DECLARE, Use.TARGET, "13.8", option=False),
    Key("TargetPortalGroupTag", Number(0, 65535), None, Result.DECLARE, Use.TARGET, "13.9", option=False),
    Key("InitialR2T", YesNo(), True, Result.OR, Use.LOGIN, "13.10", "initial_r2t", normal_only=True),
    Key("ImmediateData", YesNo(), True, Result.AND, Use.LOGIN, "13.11", "immediate_data", normal_only=True),
    Key("MaxRecvDataSegmentLength", _LENGTH, 8192, Result.DECLARE, Use.ALL, "13.12",
        "max_recv_data_segment_length", ours=262144, peer="max_xmit_data_segment_length",
        cap="MaxXmitDataSegmentLength"),
    Key("MaxBurstLength", _LENGTH, 262144, Result.MIN, Use.LOGIN, "13.13", "max_burst_length",
        ours=1048576, normal_only=True),
    Key("FirstBurstLength", _LENGTH, 65536, Result.MIN, Use.LOGIN, "13.14", "first_burst_length",
        ours=262144, normal_only=True, bound="MaxBurstLength"),
    Key("DefaultTime2Wait", Number(0, 3600), 2, Result.MAX, Use.LOGIN, "13.15", "default_time2wait"),
    Key("DefaultTime2Retain", Number(0, 3600), 20, Result.MIN, Use.LOGIN, "13.16", "default_time2retain",
        ours=0, level=RECOVERS_CONNECTIONS),
    Key("MaxOutstandingR2T", Number(1, 65535), 1, Result.MIN, Use.LOGIN, "13.17", "max_outstanding_r2t",
        normal_only=True),
    Key("DataPDUInOrder", YesNo(), True, Result.OR, Use.LOGIN, "13.18", "data_pdu_in_order", normal_only=True),
    Key("DataSequenceInOrder", YesNo(), True, Result.OR, Use.LOGIN, "13.19", "data_sequence_in_order",
        normal_only=True),
    Key("ErrorRecoveryLevel", Number(0, 2), 0, Result.MIN, Use.LOGIN, "13.20", "error_recovery_level",
        most=RECOVERS_CONNECTIONS),
    Key("SessionType", Text(), "Normal", Result.DECLARE, Use.FIRST, "13.21", option=False),
    Key("TaskReporting", WordList(("RFC3720", "ResponseFence", "FastAbort")), ("RFC3720",), Result.LIST,
        Use.LOGIN, "13.23", normal_only=True, option=False),
    Key("iSCSIProtocolLevel", Number(0, 31), 1, Result.MIN, Use.LOGIN, "13.24", "protocol_level",
        ours=SAM_5_LEVEL, normal_only=True, option=False),
    Key("OFMarker", YesNo(), False, Result.OBSOLETE_NO, Use.CONNECTION, "13.25"),
    Key("IFMarker", YesNo(), False, Result.OBSOLETE_NO, Use.CONNECTION, "13.25"),
    Key("OFMarkInt", Text(), None, Result.OBSOLETE_REJECT, Use.CONNECTION, "13.25"),
    Key("IFMarkInt", Text(), None, Result.OBSOLETE_REJECT, Use.CONNECTION, "13.25"),
    Key("AuthMethod", WordList(("CHAP", "None")), ("None",), Result.LIST, Use.SECURITY, "12.1", option=False),
)

KEY_BY_NAME: Final = {key.name: key for key in KEYS}


@dataclass(slots=True)
class Parameters:
    """What a login settled, one attribute per row of ``KEYS`` that has one; the RFC's defaults until then.

    ``max_recv_data_segment_length`` is what *we* may receive; ``max_xmit_data_segment_length`` is what the
    initiator declared it can receive, capped by the target's MaxXmitDataSegmentLength option.
    """

    header_digest: bool = False
    data_digest: bool = False
    max_connections: int = 1
    initial_r2t: bool = True
    immediate_data: bool = True
    max_recv_data_segment_length: int = 8192
    max_xmit_data_segment_length: int = 8192
    max_burst_length: int = 262144
    first_burst_length: int = 65536
    default_time2wait: int = 2
    default_time2retain: int = 20
    max_outstanding_r2t: int = 1
    data_pdu_in_order: bool = True
    data_sequence_in_order: bool = True
    error_recovery_level: int = 0
    protocol_level: int = 1

    def take(self, other: Parameters) -> None:
        """Take all values of ``other``."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))

    def join(self, session: Parameters) -> None:
        """Take the values of a session, but for what each of its connections settles for itself."""
        own = {name for key in KEYS if key.use in (Use.CONNECTION, Use.ALL) for name in (key.attribute, key.peer)}
        for each in fields(self):
            if each.name not in own:
                setattr(self, each.name, getattr(session, each.name))
