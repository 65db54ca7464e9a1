"""What RFC 7143 (and RFC 7144) ask of a target: one row for each MUST, MUST NOT, SHOULD and SHOULD NOT.

Tests name the rows they hold: ``@pytest.mark.rfc7143("6.2-3")``. ``generate.py`` writes ``rfc7143.md`` of rows and
marks, and ``tests/contracts/test_rfc7143.py`` compares them. Left out is what binds initiators alone, unless a target
sees it broken; the row then says what becomes of that. The number behind the section tells apart the rows of one
section; it is never used again for something else. MUST stands for REQUIRED and SHALL too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

TESTS: Final = Path(__file__).parents[1] / "tests"

MUST, MUST_NOT, SHOULD, SHOULD_NOT = "MUST", "MUST NOT", "SHOULD", "SHOULD NOT"


class Requirement(NamedTuple):
    """A rule in our words. ``why`` says why no test holds it: not done, or nothing here that could break it."""

    id: str
    level: str
    text: str
    why: str = ""

    @property
    def section(self) -> str:
        return self.id.rpartition("-")[0]


_FAST_ABORT: Final = "FastAbort is never agreed to: TaskReporting is answered with what is served"
_NO_FENCE: Final = "needs ResponseFence or FastAbort, and TaskReporting is answered RFC3720 only"
_IPSEC: Final = "IPsec is the operating system's; ietpy is a program above TCP"
_ADMINISTRATOR: Final = "a duty of who administers the site"
_ONE_WAY: Final = "commands that move data both ways are refused"

REQUIREMENTS: Final = tuple(Requirement(*row) for row in (
    # 4.2 Protocol concepts
    ("4.2.1-1", MUST, "A session has one TCP connection at least."),
    ("4.2.1-2", SHOULD, "Where one active connection is all a session may have, a second is accepted for recovery."),
    ("4.2.2.1-1", MUST_NOT, "CmdSN does not advance after an immediate command: it takes no number."),
    ("4.2.2.1-2", MUST, "Numbering begins with the leading Login Request; each non-immediate command has the next"
     " CmdSN."),
    ("4.2.2.1-3", MUST, "Task management acts as if commands and answers were delivered in order: its CmdSN says on"
     " which commands."),
    ("4.2.2.1-4", MUST, "One immediate task management function and one other immediate command can be taken on a"
     " connection at any time."),
    ("4.2.2.1-5", MUST, "Commands are delivered for execution in the order of CmdSN, but for immediate ones."),
    ("4.2.2.1-6", MUST_NOT, "The acknowledged CmdSN sequence has no holes."),
    ("4.2.2.1-7", MUST, "CmdSN, ExpCmdSN and MaxCmdSN are compared in serial number arithmetic of 32 bits."),
    ("4.2.2.1-8", MUST_NOT, "MaxCmdSN is never less than ExpCmdSN - 1."),
    ("4.2.2.1-9", MUST, "A non-immediate command outside the window, or a second of one CmdSN, is silently ignored."),
    ("4.2.2.1-10", MUST, "The command numbering scheme is supported."),
    ("4.2.2.1-11", MUST, "Whether a command has state already (its Initiator Task Tag) is looked at before anything"
     " else."),
    ("4.2.2.1-12", MUST_NOT, "An answer with status does not come before the command's acknowledgment; it may carry"
     " it."),
    ("4.2.2.2-1", MUST, "The response numbering scheme (StatSN, ExpStatSN) is supported."),
    ("4.2.2.3.2-1", MUST, "A fenced response is delivered after all responses of the nexus before it.", _NO_FENCE),
    ("4.2.2.3.2-2", MUST, "A fenced response is delivered before all responses of the nexus that follow it.",
     _NO_FENCE),
    ("4.2.2.3.3-1", MUST, "With TaskReporting ResponseFence or FastAbort the fence is done as this section says.",
     _NO_FENCE),
    ("4.2.2.3.3-2", MUST_NOT, "Over several connections a fenced response is not sent before each connection's last"
     " StatSN was acknowledged.", _NO_FENCE),
    ("4.2.2.3.3-3", MUST, "The fence is cleared only when the fenced response itself was acknowledged.", _NO_FENCE),
    ("4.2.2.3.3-4", MUST, "Responses of the nexus are held until the fence is cleared.", _NO_FENCE),
    ("4.2.2.3.4-1", MUST, "The fence is put around: the first UA after a multi-task abort, an abort's response, and"
     " ACA.", _NO_FENCE),
    ("4.2.2.4-1", MUST, "Data-In and R2T PDUs of a command are numbered from 0, one by one; so are Data-Out PDUs of a"
     " sequence."),
    ("4.2.2.4-2", MUST, "A command has less than 2**32 R2T and Data-In PDUs."),
    ("4.2.3.3-1", MUST, "A multi-task abort waits for responses to valid Target Transfer Tags of the issuing"
     " initiator.",
     "a task that waits for data ends at once, and what still comes for it is dropped (10.7-2): nothing is"
     " left that a tag could reach, and an initiator that has gone silent holds nothing up"),
    ("4.2.3.3-2", MUST, "A multi-task abort waits until commands before it, by CmdSN, have come."),
    ("4.2.3.3-3", SHOULD_NOT, "It does not wait for new commands on sessions of others."),
    ("4.2.3.3-4", MUST, "The function is carried out by the SCSI layer, and its response is that layer's."),
    ("4.2.3.3-5", MUST, "The function's response is fenced on the issuing session."),
    ("4.2.3.3-6", MUST, "On sessions of others the first response after the function is fenced."),
    ("4.2.3.3-7", MUST_NOT, "The response is not sent before all that was done."),
    ("4.2.3.4-1", SHOULD, "FastAbort semantics are implemented.", _FAST_ABORT),
    ("4.2.3.4-2", MUST, "With FastAbort: waits for commands by CmdSN on the issuing session, tells the others by"
     " Async Message 5, and frees tags when these are answered.", _FAST_ABORT),
    ("4.2.3.5-1", SHOULD, "Sessions with FastAbort affected by one without are told by Async Message 5.", _FAST_ABORT),
    ("4.2.3.5-2", MUST_NOT, "A session without FastAbort is never told of aborted tasks by Async Message 5."),
    ("4.2.3.6-1", MUST_NOT, "The unit attention after a function that others see does not pass responses of the tasks"
     " it ended."),
    ("4.2.4-1", SHOULD, "Initiator and target authenticate each other."),
    ("4.2.4-2", MUST, "Login PDUs are used in the login phase only, which comes first on a connection, and once."),
    ("4.2.4-3", MUST, "Any PDU but a Login Request before login ends the connection at once."),
    ("4.2.4-4", MUST, "Any PDU but a Login Request within the login is answered by a Login Response of 02/0b, and the"
     " connection ends."),
    ("4.2.5.1-1", MUST, "What answers a request, and all that belongs to it, goes over the request's connection."),
    ("4.2.5.1-2", MUST, "Data, R2T and status of a command go over its connection."),
    ("4.2.5.1-3", MUST, "So does what a SNACK asks for."),
    ("4.2.5.2-1", MUST, "Data beyond FirstBurstLength is solicited."),
    ("4.2.5.2-2", SHOULD_NOT, "Data is not silently discarded and asked for again by R2T."),
    ("4.2.5.2-3", MUST, "Unsolicited data comes in the order of its commands; commands may stand between."),
    ("4.2.5.3-1", MUST, "PDUs of a task are consistent with the command: LUN and the rest are verified by its tag."),
    ("4.2.6-1", SHOULD, "A connection in the full feature phase is not shut down without an Async Message."),
    ("4.2.7-1", SHOULD, "Discovery beyond SendTargets is by iSNS."),
    ("4.2.7-2", SHOULD_NOT, "Discovery does not rely on SLP.", "nothing here speaks SLP"),
    ("4.2.7.1-1", MUST, "A node has one iSCSI name.", "a target is its name; there is no initiator in its node"),
    ("4.2.7.1-2", MUST, "Names of up to 223 bytes are received."),
    ("4.2.7.1-3", MUST, "The first Login Request names initiator and target, in discovery the initiator; else it is"
     " refused."),
    ("4.2.7.1-4", SHOULD, "Names are brought to lower case before they are compared."),
    ("4.2.7.2-1", MUST, "A name is UTF-8, of the characters and formats this section allows."),
    # 4.3 to 4.6 Sessions, the SCSI model
    ("4.3-1", MUST, "A discovery session takes Text Requests with SendTargets and Logout Requests to close the"
     " session."),
    ("4.3-2", MUST, "All other requests of a discovery session are rejected."),
    ("4.4.2-1", MUST, "The SCSI device name is the iSCSI name."),
    ("4.4.2-2", MUST, "SCSI port names are iSCSI name, `,i,0x` and ISID or `,t,0x` and portal group tag; in parameter"
     " data they are padded with nulls."),
    ("4.4.3-1", MUST, "The TSIH given at session creation is not 0 and stays the session's."),
    ("4.4.3-2", MUST, "There is one session only for initiator name, ISID, target and portal group (ISID rule)."),
    ("4.6.1.2-1", MUST, "Autosense: the answer to a failed command has its sense data."),
    # 6 Login and text
    ("6.1-1", MUST, "Every pair, also the last, ends with a null."),
    ("6.1-2", MUST, "A key name has at most 63 characters; a longer one is an error."),
    ("6.1-3", MUST_NOT, "Binary values of more than 64 bits are not read as decimal."),
    ("6.1-4", MUST, "At least 8192 bytes of text are taken in one negotiation."),
    ("6.1-5", MUST, "With authentication methods of very long items at least 64 KiB are."),
    ("6.2-1", MUST_NOT, "The C bit does not go with F or T; a request where it does is an error."),
    ("6.2-2", MUST, "A request with the C bit is answered without data."),
    ("6.2-3", SHOULD_NOT, "No response is empty where no rule asks for that.",
     "every request is answered, also where there is nothing to say"),
    ("6.2-4", MUST_NOT, "A connection has one Text Request and one Text Response outstanding at most."),
    ("6.2-5", MUST, "A result depends on what was exchanged in this negotiation only; nothing is proposed by"
     " silence."),
    ("6.2-6", MUST, "A key not understood is answered NotUnderstood."),
    ("6.2-7", MUST, "NotUnderstood is taken as an answer to what we say."),
    ("6.2-8", MUST, "NotUnderstood for a key of this RFC is a protocol error."),
    ("6.2-9", MUST, "None, Reject, Irrelevant and NotUnderstood mean what they mean; as a proposal the last three are"
     " an error."),
    ("6.2-10", MUST_NOT, "No key of this RFC is answered NotUnderstood where it may stand."),
    ("6.2-11", MUST, "A negotiation is atomic: all of it takes effect, at its end, or nothing."),
    ("6.2-12", MUST, "Rules between keys are checked before new values take effect."),
    ("6.2-13", SHOULD, "A negotiation may take six exchanges at least."),
    ("6.2.1-1", MUST, "Of a list the first value is chosen that we support and may use."),
    ("6.2.1-2", MUST, "None is chosen only where it was proposed."),
    ("6.2.1-3", MUST, "Values of a list that are not understood are passed over."),
    ("6.2.1-4", MUST, "An answer that was not proposed is a protocol error."),
    ("6.2.2-1", MUST, "A simple value is answered with the same key; what was answered is the result."),
    ("6.2.2-2", MUST, "A value out of bounds is answered Reject or with a value within."),
    ("6.2.2-3", MUST, "Of a range a number within is chosen, or Reject is answered.",
     "no key has a range any more: the markers' are answered Reject (13.25)"),
    ("6.2.2-4", MUST, "A Boolean is answered with the result where the proposal does not settle it."),
    ("6.3-1", MUST_NOT, "One Login Request or Response is outstanding at most."),
    ("6.3-2", MUST, "The first Login Request of a connection has InitiatorName and, but in discovery, TargetName; else"
     " it is refused."),
    ("6.3-3", MUST, "A login has a stage at least, and security comes before operational."),
    ("6.3-4", MUST, "Security is settled within the login phase."),
    ("6.3-5", MUST_NOT, "The stage chosen is not beyond the one asked for; no transition is answered that was not asked"
     " for."),
    ("6.3-6", MUST_NOT, "A response with T has no parameters that need another request."),
    ("6.3-7", MUST, "The login ends with T and full feature phase in request and response."),
    ("6.3-8", MUST, "A key negotiated or declared a second time is answered by a login reject, initiator error."),
    ("6.3.1-1", MUST, "TargetPortalGroupTag is in the first response that may have it, in every session type."),
    ("6.3.1-2", MUST, "TSIH 0 and a new ISID make a new session."),
    ("6.3.1-3", MUST, "TSIH 0 and an existing ISID reinstate the session."),
    ("6.3.1-4", MUST, "An existing TSIH and a new CID add a connection to the session."),
    ("6.3.1-5", MUST, "An existing TSIH and an existing CID reinstate the connection."),
    ("6.3.1-6", MUST, "A TSIH that does not exist, or not with this ISID, fails the login: session does not exist."),
    ("6.3.2-1", MUST, "Of the authentication methods the first is chosen that is supported and allowed."),
    ("6.3.2-2", MUST, "Where none is, the answer is Reject.",
     "the login is refused with 02/01 at once, as sections 6.2.1 and 12.1.3 allow: it tells why"),
    ("6.3.2-3", MUST, "The final response carries the TSIH."),
    ("6.3.2-4", MUST, "A failed security negotiation is answered by a Login Response that says so."),
    ("6.3.4-1", MUST, "At ErrorRecoveryLevel 2 a second connection can be opened, even where the session has one."),
    ("6.3.4-2", SHOULD, "So it can at lower levels."),
    ("6.3.4-3", MUST, "Connection reinstatement logs the old connection out."),
    ("6.3.5-1", MUST, "Session reinstatement ends all tasks of the old session at once, without a word."),
    ("6.4-1", MUST_NOT, "A Text Response with F has no parameters that need another request."),
    ("6.4-2", SHOULD_NOT, "A Text Request with F is not answered by an empty response without F."),
    ("6.4-3", MUST, "A response without F has a Target Transfer Tag."),
    ("6.4-4", MUST, "A key declared a second time in a negotiation is rejected: protocol error."),
    # 7 Errors
    ("7.1.4-1", MUST_NOT, "Recovery within a connection or command begins in the full feature phase only."),
    ("7.1.4.3-1", MUST, "A failed connection is closed."),
    ("7.1.4.3-2", SHOULD, "Other connections of its session are told by Async Message."),
    ("7.1.5-1", MUST, "The ErrorRecoveryLevel that is agreed to is served, and all below it."),
    ("7.1.5-2", MUST, "ErrorRecoveryLevel 0 is served."),
    ("7.2.2-1", SHOULD, "A reassigned command goes on from where it was, by its ExpDataSN."),
    ("7.2.2-2", MUST, "Its status is sent, or sent again."),
    ("7.2.2-3", MUST, "TASK REASSIGN below ErrorRecoveryLevel 2 is answered: not supported."),
    ("7.2.2-4", MUST, "It is answered \"task still allegiant\" where the old connection was not logged out for"
     " recovery."),
    ("7.2.2-5", MUST, "Its response is sent before it takes effect."),
    ("7.2.2-6", MUST, "A reassigned command has SNACK Tag 0 again."),
    ("7.3-1", MUST_NOT, "A Reject of a PDU does not end an active task; only a response does."),
    ("7.3-2", MUST_NOT, "The CmdSN of a rejected command does not count as received."),
    ("7.3-3", MUST, "ExpDataSN goes on past a rejected data PDU for which a recovery R2T is sent."),
    ("7.4.1-1", MUST, "ErrorRecoveryLevel of a discovery session is 0, whatever is proposed."),
    ("7.4.2.1-1", MUST, "Unnamed discovery sessions are one for initiator name, ISID and portal; a new one reinstates"
     " the old."),
    ("7.4.2.1-2", SHOULD, "Discovery sessions of one initiator with different portals exist side by side."),
    ("7.4.2.2-1", MUST, "Named discovery sessions obey the ISID rule of their target."),
    ("7.4.3-1", SHOULD_NOT, "On a discovery session only Text and Logout Responses are sent."),
    ("7.5-1", MUST, "State for recovery is kept for Time2Retain seconds after Time2Wait."),
    ("7.7-1", MUST, "A PDU with a format error ends all connections of its session, without an answer."),
    ("7.8-1", MUST, "A header digest error discards what follows or ends the connection."),
    ("7.8-2", MUST, "A data digest error is answered by Reject 02h, and the PDU is discarded."),
    ("7.8-3", MUST, "Discarded Data-Out is asked for again by R2T, or its task ends with 47h/05h."),
    ("7.8-4", MUST, "In the latter case the response waits for the end of all that was asked for."),
    ("7.8-5", MUST, "A SNACK is answered by what it asks for or by Reject 03h."),
    ("7.8-6", MUST, "After the latter a command without status yet ends with CHECK CONDITION, SNACK rejected."),
    ("7.9-1", MUST, "A DataSN out of order is treated as the digest error it hints at."),
    ("7.11-1", MUST, "ABORT TASK of a command that has not come counts it as received: function complete."),
    ("7.11-2", MUST, "ABORT TASK of a command answered before is answered: task does not exist."),
    ("7.12-1", MUST, "A failed negotiation in login ends login and connection, with a Login Response."),
    ("7.12-2", MUST, "A failed negotiation in the full feature phase leaves all values as they were."),
    ("7.14-1", MUST, "A connection failure is recovered within the session, or the session ends."),
    ("7.14-2", MUST, "It ends all active immediate commands of the connection."),
    ("7.15-1", MUST, "An initiator may reinstate its session after session errors."),
    # 9 Security
    ("9-1", SHOULD_NOT, "iSCSI is not configured without in-band authentication.", _ADMINISTRATOR),
    ("9.1-1", MUST, "In-band authentication is implemented."),
    ("9.1-2", MUST, "IPsec is implemented.", _IPSEC),
    ("9.2-1", MUST_NOT, "No method sends clear-text passwords."),
    ("9.2-2", MUST, "Authentication keys out of step are refused: initiator error or missing parameter."),
    ("9.2-3", MUST, "A wrong CHAP response is refused: authentication failure."),
    ("9.2-4", SHOULD, "The identity for authentication is configured, and need not be the iSCSI name."),
    ("9.2-5", SHOULD, "Whether an identity belongs to the iSCSI name is verified at login."),
    ("9.2-6", SHOULD, "All connections of a session have the same method, name and identity; another one fails."),
    ("9.2-7", SHOULD_NOT, "A session has not both authenticated and unauthenticated connections."),
    ("9.2.1-1", MUST, "CHAP is implemented, target authentication included."),
    ("9.2.1-2", MUST, "Secrets of 128 random bits can be used, made here, and taken from elsewhere."),
    ("9.2.1-3", MUST_NOT, "Secrets are made in no other way than at random."),
    ("9.2.1-4", MUST, "With secrets of less than 96 random bits IPsec is used.", _ADMINISTRATOR),
    ("9.2.1-5", MUST, "A secret is a whole number of bytes.", "ietd.conf writes characters, which are bytes"),
    ("9.2.1-6", SHOULD_NOT, "Secrets of less than 96 bits are not used; here they are, and `ietpy check` warns."),
    ("9.2.1-7", MUST_NOT, "No secret is used for both directions."),
    ("9.2.1-8", MUST, "A response equal to what we would have answered to our challenge is a failure, and the"
     " connection ends."),
    ("9.2.1-9", MUST, "A challenge of ours that comes back ends the connection."),
    ("9.2.1-10", SHOULD_NOT, "No secret is used for several initiators.", _ADMINISTRATOR),
    ("9.2.1-11", SHOULD, "A target has a secret of its own for each administrative domain, or initiator.",
     _ADMINISTRATOR),
    ("9.2.2-1", MUST, "With SRP the modulus has 768 bits at least.", "SRP is optional and not implemented"),
    ("9.2.3-1", MUST, "With Kerberos tickets are validated.", "Kerberos is optional and not implemented"),
    ("9.3.1-1", MUST, "IPsec v2 with ESPv2 in tunnel mode, HMAC-SHA1, anti-replay and extended numbers.", _IPSEC),
    ("9.3.1-2", SHOULD, "IPsec v3 with ESPv3, AES XCBC and GMAC.", _IPSEC),
    ("9.3.2-1", MUST, "Confidentiality by AES CBC, never by DES, always with integrity.", _IPSEC),
    ("9.3.2-2", SHOULD, "IPsec v3, AES GCM.", _IPSEC),
    ("9.3.3-1", MUST, "Keys by IKE, never by hand; its modes and identifications.", _IPSEC),
    ("9.3.3-2", SHOULD, "IKEv2, groups of 2048 bits; deletion of an association does not end a connection.", _IPSEC),
    ("9.4-1", MUST, "Sending X#NodeArchitecture can be switched off.", "it is never sent"),
    ("9.4-2", MUST, "A log of such values is shown to administrators only.", "values received are not logged"),
    # 10 Notes to implementers
    ("10.2-1", MUST, "Autosense is supported and used."),
    ("10.2-2", SHOULD, "ACA is supported.", "no initiator in use asks for it; NormACA is 0 in INQUIRY, and NACA is"
     " refused"),
    ("10.3-1", SHOULD, "Limits of time and exchanges are generous: each key may come in an exchange of its own."),
    ("10.7-1", SHOULD, "FastAbort is supported.", _FAST_ABORT),
    ("10.7-2", MUST, "Data that still comes for ended tasks is silently discarded."),
    # 11 PDUs
    ("11-1", MUST, "Bits not defined and reserved fields are sent as 0."),
    ("11-2", MUST, "They are ignored when received."),
    ("11-3", MUST, "Reserved code values in defined fields are a protocol error."),
    ("11.1-1", SHOULD, "Padding is sent as 0."),
    ("11.2.1.2-1", MUST_NOT, "No opcode of initiators is sent, and one of targets is not taken from an initiator."),
    ("11.2.1.5-1", MUST, "TotalAHSLength is 0 where there is no additional header."),
    ("11.2.1.6-1", MUST, "DataSegmentLength is 0 where there is no data."),
    ("11.2.1.8-1", MUST, "An Initiator Task Tag names one task of its session; one in use is not taken again."),
    ("11.2.1.8-2", MUST_NOT, "ffffffffh is no task's tag."),
    ("11.2.2.3-1", MUST_NOT, "There is no Extended CDB header for CDBs of up to 16 bytes; an empty one is refused."),
    ("11.3.1-1", MUST, "W or F is set in a SCSI Command; one with neither is refused."),
    ("11.3.1-2", MUST_NOT, "Data is not expected where neither R nor W is set; none is moved then."),
    ("11.3.4-1", MUST, "A bidirectional command has a header with its read length; it is refused all the same."),
    ("11.3.4-2", MUST, "F is set where immediate data is all there is."),
    ("11.3.5-1", MUST, "A CDB of more than 16 bytes goes on in an Extended CDB header."),
    ("11.4.1-1", MUST, "In a response other than \"completed\" bits 3 to 6 are 0.",
     "no other response is sent: what the transport cannot do ends with CHECK CONDITION"),
    ("11.4.2-1", MUST, "An error found while data is still to come is answered after the last PDU with F."),
    ("11.4.5.1-1", MUST, "Residual Count is valid with U or O; without, it is 0."),
    ("11.4.5.2-1", MUST, "More data than expected: O, and the count is what is missing."),
    ("11.4.5.2-2", MUST, "Less data than expected: U, and the count is the rest."),
    ("11.4.5.3-1", MUST_NOT, "What the allocation length cut off is no overflow."),
    ("11.4.5.3-2", MUST, "Data shorter than expected, by allocation length or nature, is an underflow."),
    ("11.4.6-1", MUST, "Bidirectional Read Residual Count is valid with u or o.", _ONE_WAY),
    ("11.4.7-1", MUST, "CHECK CONDITION has sense data in the response's data segment."),
    ("11.4.8-1", MUST, "ExpDataSN of a response is 0 where no Data-In was sent."),
    ("11.4.9-1", MUST, "A response sent again has the StatSN it had."),
    ("11.4.11-1", MUST, "A MaxCmdSN that changed while nothing is to be sent is told by NOP-In."),
    ("11.5.1-1", MUST, "Every task management request is answered by a response."),
    ("11.5.1-2", MUST, "No response of a task that a function covers comes after the function's response."),
    ("11.5.1-3", MUST, "ABORT TASK SET and CLEAR TASK SET wait for responses to all Target Transfer Tags concerned.",
     "as 4.2.3.3-1"),
    ("11.5.1-4", MUST_NOT, "ABORT TASK does not end a task management function: function rejected."),
    ("11.5.1-5", MUST, "LOGICAL UNIT RESET is what SAM says."),
    ("11.5.1-6", MUST, "A reset of the target by who may not is answered: function authorization failed."),
    ("11.5.1-7", MUST, "TARGET COLD RESET ends all connections of all sessions."),
    ("11.5.1-8", MUST, "TASK REASSIGN moves a task only from a connection that was logged out."),
    ("11.5.1-9", MUST_NOT, "TASK REASSIGN does not move task management, text or logout: function rejected."),
    ("11.5.6-1", MUST, "After TASK REASSIGN all Data-In from the acknowledged number on is sent."),
    ("11.5.6-2", MUST, "An ExpDataSN that cannot be is ignored."),
    ("11.6-1", MUST, "The new allegiance takes effect after the response."),
    ("11.6.1-1", MUST, "After the response to TARGET COLD RESET all connections are closed."),
    ("11.6.1-2", MUST, "ABORT TASK SET and CLEAR TASK SET are answered when all commands concerned have come, the"
     " function was executed, and earlier responses are acknowledged."),
    ("11.6.2-1", MUST, "A task management response has no additional header and no data."),
    ("11.7.1-1", MUST_NOT, "A data segment is no longer than the receiver's MaxRecvDataSegmentLength, a sequence no"
     " longer than MaxBurstLength."),
    ("11.7.1-2", MUST_NOT, "Unsolicited data beyond FirstBurstLength is refused."),
    ("11.7.2-1", MUST_NOT, "The A bit is set no more often than every MaxBurstLength bytes and at the end."),
    ("11.7.2-2", MUST_NOT, "The A bit is not set at ErrorRecoveryLevel 0."),
    ("11.7.3-1", MUST, "An error status goes in a SCSI Response, never in Data-In."),
    ("11.7.3-2", MUST, "Data-In with S has F."),
    ("11.7.4-1", MUST, "Data-In with A has a Target Transfer Tag and the LUN; without, they are reserved."),
    ("11.7.7-1", MUST, "Data-Out without data is taken."),
    ("11.7.7-2", SHOULD, "Data segments are filled to whole words unless F is set."),
    ("11.8-1", MUST, "Without InitialR2T=No no data comes before R2T but immediate data."),
    ("11.8-2", MUST, "Data-Out fits the R2T it answers: tag, offset, length, F in the last."),
    ("11.8-3", MUST, "No more R2Ts are outstanding than MaxOutstandingR2T."),
    ("11.8-4", MUST, "With DataSequenceInOrder R2Ts go on where the last ended."),
    ("11.8-5", MUST, "With DataPDUInOrder the PDUs of a sequence come in order of offset; else it is an error."),
    ("11.8.1-1", MUST, "R2T has no additional header and no data."),
    ("11.8.4-1", MUST_NOT, "R2T asks for 1 to MaxBurstLength bytes."),
    ("11.8.5-1", MUST_NOT, "R2T never has Target Transfer Tag ffffffffh."),
    ("11.9.1-1", MUST, "A request to log out is sent on the connection it is about."),
    ("11.9.1-2", SHOULD, "Who does not log out in time is told that the connection is dropped, and it is."),
    ("11.9.1-3", MUST_NOT, "Async Message 5 is not sent without FastAbort."),
    ("11.9.3-1", MUST, "LUN is valid in Async Message 0."),
    ("11.10-1", MUST_NOT, "A second Text Request is not outstanding: a new one drops the exchange before it."),
    ("11.10.2-1", MUST, "A Text Request with C has not F; else it is rejected."),
    ("11.10.3-1", MUST, "All requests of an exchange have the same Initiator Task Tag; else they are rejected."),
    ("11.10.4-1", MUST, "A response that leaves the exchange open has a Target Transfer Tag."),
    ("11.10.4-2", MUST, "The LUN goes with a Target Transfer Tag."),
    ("11.10.5-1", MUST_NOT, "A request's data longer than our MaxRecvDataSegmentLength drops the connection."),
    ("11.11.1-1", MUST_NOT, "A response with F has no keys that need an answer."),
    ("11.11.1-2", MUST, "A response with F has Target Transfer Tag ffffffffh, one without has another."),
    ("11.11.2-1", MUST, "A response with C has not F."),
    ("11.11.4-1", MUST, "A Target Transfer Tag is given whenever there is more to send."),
    ("11.11.6-1", MUST_NOT, "A response's data is no longer than the initiator's MaxRecvDataSegmentLength."),
    ("11.12-1", MUST, "Nothing of a target is to be had before the login."),
    ("11.12.2-1", MUST, "A Login Request with C has not T; else it is refused."),
    ("11.12.4-1", MUST, "The version is 0; where it is not in the range asked for the login is refused, 02/05."),
    ("11.12.4-2", MUST, "The versions of the first Login Request count."),
    ("11.12.6-1", MUST, "TSIH 0 asks for a new session; another is that of the session to join."),
    ("11.12.6-2", MUST, "All requests of a login have the same TSIH; the first one's counts."),
    ("11.12.7-1", MUST, "All requests of a login have the same CID; the first one's counts."),
    ("11.12.8-1", MUST, "The leading Login Request's CmdSN is the first ExpCmdSN."),
    ("11.12.10-1", MUST, "The first request has what the target needs to know who asks and for what."),
    ("11.12.10-2", MUST, "All keys of section 13 are supported."),
    ("11.13.1-1", MUST, "All responses of a login have the same Version-max."),
    ("11.13.2-1", MUST, "All responses of a login have the same Version-active."),
    ("11.13.3-1", MUST, "A new session's TSIH is not 0 and in the final response only."),
    ("11.13.5-1", MUST, "A redirection has TargetAddress."),
    ("11.13.5-2", MUST, "After any status but success the connection is closed."),
    ("11.13.6-1", MUST_NOT, "A response with T has no keys that need an answer in the same stage."),
    ("11.13.6-2", MUST_NOT, "T is not set where the request had it not."),
    ("11.13.7-1", MUST, "A response with C has not T."),
    ("11.13.8-1", MUST, "The first response tells where the initiator has come to: TargetPortalGroupTag."),
    ("11.14-1", MUST, "Logout of a connection or session ends all its commands."),
    ("11.14-2", MUST, "Logout for recovery discards what is not acknowledged and suspends the rest."),
    ("11.14-3", MUST_NOT, "Nothing is taken on a connection after its Logout Request."),
    ("11.14.5-1", MUST, "After tasks ended with their connection the nexus's next command reports 47h/7Fh."),
    ("11.15-1", MUST, "After the Logout Response the connection is closed."),
    ("11.15.2-1", MUST, "A Logout Response has no additional header and no data."),
    ("11.16-1", MUST, "Above ErrorRecoveryLevel 0 all kinds of SNACK are served."),
    ("11.16-2", MUST, "Responses and R2Ts sent again are as they were but for ExpCmdSN, MaxCmdSN and, of R2Ts,"
     " StatSN."),
    ("11.16-3", MUST, "Data-In sent again is as it was but for ExpCmdSN and MaxCmdSN."),
    ("11.16-4", MUST, "A SNACK for what was never sent, or is acknowledged, is rejected: protocol error."),
    ("11.16.1-1", MUST, "A SNACK comes before its command's status is acknowledged; else it is rejected."),
    ("11.16.3-1", MUST, "Data for an R-Data SNACK is cut anew, numbered from the last acknowledged on."),
    ("11.16.3-2", MUST, "The response after it has its SNACK Tag."),
    ("11.16.5-1", MUST, "DataACK names the tag and LUN of the Data-In it acknowledges."),
    ("11.17.1-1", MUST_NOT, "Reason 0bh is not used."),
    ("11.17.1-2", MUST, "A task ended because of a reject has a SCSI Response with CHECK CONDITION."),
    ("11.17.1-3", MUST, "That response waits for the end of all data that was asked for."),
    ("11.18-1", MUST, "A NOP-Out with an Initiator Task Tag is answered."),
    ("11.18-2", MUST, "A NOP-Out without one is not, and takes no number."),
    ("11.19-1", MUST, "The answer has the same tag, as much of the data as the initiator takes, and Target Transfer"
     " Tag ffffffffh."),
    ("11.19-2", SHOULD_NOT, "No other NOP-Out is answered."),
    ("11.19-3", MUST, "A NOP-In of our own has Initiator Task Tag ffffffffh and no data."),
    ("11.19.1-1", MUST, "One that wants no answer has Target Transfer Tag ffffffffh."),
    ("11.19.3-1", MUST, "The LUN is valid where the Target Transfer Tag is."),
    # 12 Security keys
    ("12-1", MUST_NOT, "No other keys than those named stand in the security stage."),
    ("12.1-1", MUST, "Authentication is supported; using it is the site's choice."),
    ("12.1-2", MUST, "CHAP is implemented."),
    ("12.1-3", MUST, "The initiator makes the first step of the method chosen."),
    ("12.1-4", MUST, "With an extension in the default offer CHAP is offered too, and None is not.",
     "there are no extensions"),
    ("12.1.1-1", MUST, "Kerberos: keys and their order.", "optional and not implemented"),
    ("12.1.2-1", MUST, "SRP: keys and their order.", "optional and not implemented"),
    ("12.1.3-1", MUST, "CHAP_A is answered by CHAP_A, CHAP_I and CHAP_C, or by authentication failure."),
    ("12.1.3-2", MUST, "A wrong response is answered by authentication failure."),
    ("12.1.3-3", MUST, "Target authentication is answered by CHAP_N and CHAP_R, or by authentication failure."),
    ("12.1.3-4", MUST_NOT, "Binary values have 1024 bytes at most."),
    ("12.1.3-5", MUST, "Algorithm 5 is supported: initiators offer it always."),
    # 13 Operational keys
    ("13-1", MUST, "Leading-only keys are taken on the leading connection only."),
    ("13.1-1", MUST, "None and CRC32C are supported for both digests."),
    ("13.1-2", MUST, "A digest agreed on is in every PDU of the full feature phase."),
    ("13.1-3", SHOULD, "Padding is 0 and part of the digest."),
    ("13.1-4", MUST, "The digest is CRC32C, sent as the process described here has it."),
    ("13.4-1", MUST, "TargetName is in the first Login Request, but in discovery."),
    ("13.4-2", MUST_NOT, "TargetName does not change within a login."),
    ("13.5-1", MUST, "InitiatorName is in the first Login Request of every connection."),
    ("13.5-2", MUST_NOT, "InitiatorName does not change within a login."),
    ("13.6-1", SHOULD, "A configured alias is told as TargetAlias in the login of a normal session."),
    ("13.8-1", MUST, "TargetAddress of a redirection has no portal group tag."),
    ("13.8-2", MUST, "TargetAddress in SendTargets has it."),
    ("13.11-1", MUST, "With ImmediateData=No and InitialR2T=Yes all unsolicited data is refused."),
    ("13.11-2", MUST_NOT, "With ImmediateData=No immediate data is refused."),
    ("13.12-1", MUST_NOT, "Solicited data longer than MaxBurstLength, or unsolicited longer than FirstBurstLength, is"
     " refused."),
    ("13.14-1", MUST_NOT, "FirstBurstLength is never more than MaxBurstLength."),
    ("13.19-1", MUST, "With DataSequenceInOrder sequences have offsets that never go back."),
    ("13.19-2", MUST, "With it, and ErrorRecoveryLevel not 0, MaxOutstandingR2T is 1."),
    ("13.21-1", MUST, "Discovery has MaxConnections 1 and ErrorRecoveryLevel 0."),
    ("13.22-1", MUST, "Vendor keys are for normal sessions."),
    ("13.23-1", MUST, "TaskReporting is served as it was agreed on."),
    ("13.23-2", MUST, "Who offers TaskReporting offers RFC3720 and ResponseFence at least.", "it is never offered"),
    ("13.23-3", MUST, "Without FastAbort a multi-task abort is the standard one (4.2.3.3)."),
    ("13.24-1", MUST, "iSCSIProtocolLevel is answered with a level that is served."),
    ("13.25-1", SHOULD, "IFMarker and OFMarker are answered Reject; No is allowed too."),
    ("13.25-2", MUST_NOT, "They are never answered NotUnderstood."),
    ("13.25-3", MUST, "IFMarkInt and OFMarkInt are answered Reject."),
    ("13.26.1-1", MUST_NOT, "X#NodeArchitecture is no longer than 255 bytes.", "it is never sent; whatever comes is"
     " bounded as any value"),
    ("13.26.2-1", MUST_NOT, "Nothing depends on X#NodeArchitecture."),
    # Appendix C, SendTargets (normative)
    ("C-1", MUST, "SendTargets is taken in the full feature phase only."),
    ("C-2", MUST, "Discovery sessions, and SendTargets in them, are served on every portal."),
    ("C-3", MUST, "A discovery session is told all paths (address, port, portal group tag) to what the initiator may"
     " use."),
    ("C-4", MUST, "SendTargets is served in normal sessions."),
    ("C-5", MUST, "SendTargets=All is served in discovery sessions."),
    ("C-6", MUST_NOT, "SendTargets=All is not served in normal sessions."),
    ("C-7", MUST, "A target's name is served in discovery sessions, for all targets that All would tell of."),
    ("C-8", MUST, "An empty value is served in normal sessions, and tells of the session's target only."),
    ("C-9", MUST_NOT, "No target is named where there is none for the initiator."),
    ("C-10", SHOULD, "With an address of a target all others of its portal group are told."),
    # RFC 7144
    ("7144:4.1-1", MUST, "The features of RFC 7144 need iSCSIProtocolLevel 2."),
    ("7144:4.1-2", MUST_NOT, "With level 2 its functions are never answered by Reject."),
    ("7144:4.2-1", MUST, "A version descriptor of iSCSI in INQUIRY is 0960h plus the level.",
     "INQUIRY has IET's bytes, by which initiators know their disks: 0960h, no version claimed"),
    ("7144:5.1.1-1", MUST, "The priority field is ignored below level 2."),
    ("7144:5.2.1-1", MUST_NOT, "Status qualifiers are 0 below level 2."),
    ("7144:6.3-1", MUST, "Each of its functions is answered."),
    ("7144:6.3-2", MUST, "No response of a task covered comes after the function's, but for queries."),
    ("7144:6.3-3", MUST_NOT, "QUERY TASK of a task management function is answered: function rejected."),
    ("7144:6.3-4", MUST, "I_T NEXUS RESET is the I_T nexus loss of SAM-5 on every unit, and all connections of the"
     " session are dropped."),
    ("7144:6.5-1", MUST, "I_T NEXUS RESET follows the rules of multi-task aborts."),
))


def marks() -> dict[str, list[str]]:
    """The tests that hold each requirement, as ``folder/test_file.py::test_name``, in the order of files and lines."""
    held: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        place = path.relative_to(TESTS).as_posix()
        text = path.read_text("utf-8")
        if "mark.rfc7143" not in text:
            continue
        for name, ids in _marked(ast.parse(text).body, ()):
            for each in ids:
                held.setdefault(each, []).append(f"{place}::{name}")
    return held


def _marked(body: list[ast.stmt], above: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Tests with what their marks, and those of the classes they stand in, name."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from ((f"{node.name}::{name}", ids) for name, ids in _marked(node.body, (*above, *_ids(node))))
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node.name, [*above, *_ids(node)]


def _ids(node: ast.ClassDef | ast.FunctionDef) -> list[str]:
    return [
        argument.value
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.rfc7143"
        for argument in decorator.args
        if isinstance(argument, ast.Constant)
    ]
