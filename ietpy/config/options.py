"""The vocabulary of ietd.conf: one row for each keyword and each ``Lun`` parameter (iet-compat section 2).

Session keys come from ``iscsi.keys.KEYS``; what IET did with them is in ``_SESSION`` below, and a key without an
entry there fails at import. ``Type=`` values and what only one of them knows come from ``stores.STORES``. From these
rows follow reading, range checks, spelling hints and ``docs/reference/ietd.conf.md``. More than 400 lines,
as it is a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from ietpy.config.identity_values import Descriptors, Hex, Printable
from ietpy.config.initiator_values import AddressOrNetwork, LunRange
from ietpy.config.rate_values import ByteRate
from ietpy.iscsi.chap import ALGORITHMS
from ietpy.iscsi.keys import KEYS, LENGTH_LIMIT, Key
from ietpy.schema import Choice, Number, Text, Value, WordList, YesNo
from ietpy.stores import STORES


class Scope(Enum):
    """Where a keyword may stand."""

    ANYWHERE = "anywhere"
    TARGET = "after a Target line"
    BOTH = "after a Target line; before the first one it is about discovery"
    EACH = "after a Target line; before the first one it is about discovery, and targets without one of their own"
    TOP = "the first line"
    LUN = "on a Lun line"
    LUN_OPTION = "on a LunOption line"
    INITIATOR = "on an Initiator line"


class Reader(Enum):
    """How the rest of the line is read; ``load`` has one function for each."""

    COMPAT = "a mode"
    TARGET = "a target's name"
    LUN = "a number and parameters"
    LUN_OPTION = "the number of a LUN of the same target, and parameters"
    ALGORITHMS = "names, joined by commas"
    INCOMING_FILE = "a user's name, and the path of a file that holds the secret"
    OUTGOING_FILE = "our own name, and the path of a file that holds the secret"
    INCOMING = "a user's name and secret"
    OUTGOING = "our own name and secret"
    VALUE = "one value"
    TEXT = "the rest of the line"
    ADDRESS = "an address or a network"
    INITIATOR = "an initiator's name"
    ADMITTED = "a pattern of initiators' names, and parameters"
    PROCESSES = "a number, or auto"
    METRICS = "an address, a colon and a port"
    PORTAL = "the tag of a portal group, and its portals"
    PORTAL_GROUPS = "tags of portal groups"
    PARAMETER = "a parameter of a Lun line"


#: Of lines that say who may use a target, or by what.
RESTRICTING: Final = (Reader.ADDRESS, Reader.INITIATOR, Reader.ADMITTED, Reader.PORTAL_GROUPS)


class Origin(Enum):
    """Who knows the keyword."""

    IET = "IET"
    IETPY = "ietpy; IET ignores it"
    BORROWED = "others; IET ignores it, repair understands it"


@dataclass(frozen=True, slots=True)
class Option:
    """One keyword, or one parameter of ``Lun``."""

    name: str
    scope: Scope
    reader: Reader
    value: Value
    prose: str
    default: str = ""  #: what holds in ietpy when the file is silent, as the manual writes it
    iet_default: str = ""
    iet: str = ""  #: what IET did that a reader would not expect
    attribute: str = ""  #: the model's field, else the value goes by its name
    origin: Origin = Origin.IET
    out_of_range: int | None = None  #: what IET took instead; None: whatever was written
    kernel_limit: int | None = None  #: above it IET's kernel module took ``out_of_range``
    forced: Any = None  #: the only value IET worked with; ietpy does the same,
    honoured: bool = False  #: but takes the others at their word where it does not read as IET
    tokenised: bool = True  #: IET split the rest of the line at blanks (so a last line needs its newline)
    crash: bool = False  #: a missing value crashed ietd
    types: tuple[str, ...] = ()  #: Lun parameters: the types that know it
    guards: bool = False  #: it keeps somebody out: ``repair`` never reads it more widely than IET did

    @property
    def session_key(self) -> bool:
        return self.reader is Reader.VALUE and not self.attribute and self.scope is Scope.TARGET


@dataclass(frozen=True, slots=True)
class _Session:
    """What iet-compat 2.4 says about a session key."""

    prose: str
    iet_default: str
    out_of_range: int | None = None
    kernel_limit: int | None = None
    forced: Any = None
    iet: str = ""
    honoured: bool = False


_ORDERED: Final = "Anything but Yes was forced to Yes."
_SEGMENTS: Final = 262144  #: 64 pages of 4096, the kernel module's limit

_SESSION: Final = {
    "HeaderDigest": _Session("CRC32C checksums over PDU headers, in order of preference.", "None"),
    "DataDigest": _Session("CRC32C checksums over PDU data, in order of preference.", "None"),
    "MaxConnections": _Session("Connections in one session; 8 are the most.", "1", 1),
    "InitialR2T": _Session("Whether an initiator must wait for an R2T before it sends write data.", "Yes"),
    "ImmediateData": _Session(
        "Whether write data may travel with the command.",
        "Yes",
        iet="Its manual gave No as the default, wrongly.",
    ),
    "MaxRecvDataSegmentLength": _Session("Bytes of data the target accepts in one PDU.", "8192", 512, _SEGMENTS),
    "MaxBurstLength": _Session("Bytes of data in one sequence of PDUs.", "262144", 512),
    "FirstBurstLength": _Session("Bytes of write data before the first R2T.", "65536", 512),
    "DefaultTime2Wait": _Session("Seconds an initiator waits before it logs in again.", "2", 3600),
    "DefaultTime2Retain": _Session(
        "Seconds after DefaultTime2Wait for which tasks of a lost connection are kept, at ErrorRecoveryLevel 2.",
        "0",
        0,
        forced=0,
        iet="Up to 1.4.20.2 the default was 20, and it was not acted on.",
        honoured=True,
    ),
    "MaxOutstandingR2T": _Session("R2Ts under way for one task.", "1", 1, iet="1.4.20.3 forced 1."),
    "DataPDUInOrder": _Session(
        "Whether PDUs of a sequence come in order; No if the initiator says so too.",
        "Yes",
        forced=True,
        iet=_ORDERED,
        honoured=True,
    ),
    "DataSequenceInOrder": _Session(
        "Whether sequences come in order; No if the initiator says so too.",
        "Yes",
        forced=True,
        iet=_ORDERED,
        honoured=True,
    ),
    "ErrorRecoveryLevel": _Session(
        "The most error recovery that is offered: of sessions, of PDUs with a wrong digest (1), of connections (2).",
        "0",
        0,
        forced=0,
        iet="Anything but 0 was forced to 0.",
        honoured=True,
    ),
    "OFMarker": _Session("Markers towards the target. Obsolete (RFC 7143 section 13.25).", "No", forced=False),
    "IFMarker": _Session("Markers towards the initiator. Obsolete (RFC 7143 section 13.25).", "No", forced=False),
    "OFMarkInt": _Session("Distance of markers. Obsolete (RFC 7143 section 13.25).", "2048"),
    "IFMarkInt": _Session("Distance of markers. Obsolete (RFC 7143 section 13.25).", "2048"),
}


def _session_option(key: Key) -> Option:
    """The option of ietd.conf that a text key has."""
    facts = _SESSION[key.name]
    return Option(
        key.name,
        Scope.TARGET,
        Reader.VALUE,
        key.value,
        facts.prose,
        default="" if key.offer is None else key.value.render(key.offer),
        iet_default=facts.iet_default,
        iet=facts.iet,
        out_of_range=facts.out_of_range,
        kernel_limit=facts.kernel_limit,
        forced=facts.forced,
        honoured=facts.honoured,
        crash=True,
    )


def _target_option(
    name: str,
    value: Number,
    prose: str,
    default: str,
    attribute: str,
    *,
    iet_default: str = "",
    iet: str = "",
    out_of_range: int | None = None,
    forced: Any = None,
    guards: bool = False,
) -> Option:
    """A key that holds for a whole target and is not negotiated (iet-compat 2.2)."""
    return Option(
        name,
        Scope.TARGET,
        Reader.VALUE,
        value,
        prose,
        default,
        iet_default or default,
        iet,
        attribute,
        out_of_range=value.low if out_of_range is None else out_of_range,
        forced=forced,
        tokenised=False,
        guards=guards,
    )


_SECRET: Final = Text()

OPTIONS: Final = (
    Option(
        "Compat",
        Scope.TOP,
        Reader.COMPAT,
        Choice(("repair", "iet", "strict")),
        "How mistakes in this file are read: repaired, as IET read them, or refused.",
        "repair",
        "",
        origin=Origin.IETPY,
    ),
    Option(
        "iSNSServer",
        Scope.ANYWHERE,
        Reader.VALUE,
        Text(),
        "Host name or address of an iSNS server; the last line counts.",
        "none",
        "none",
        "A name that did not resolve switched access control off as well; ietpy keeps it on.",
        "isns_server",
        crash=True,
    ),
    Option(
        "iSNSAccessControl",
        Scope.ANYWHERE,
        Reader.VALUE,
        YesNo(),
        "Whether the iSNS server decides who may see and use a target. One Yes anywhere switches it on.",
        "No",
        "No",
        "The value counts in any letter case.",
        "isns_access_control",
        crash=True,
        guards=True,
    ),
    Option(
        "Processes",
        Scope.ANYWHERE,
        Reader.PROCESSES,
        Text(),
        "How many processes serve the targets, 1 to 64; auto: as many as there are processors. With more than one,"
        " targets are spread over them, those that share a file together, and one process more listens in front of"
        " them. --processes on the command line outranks it. Changed by a restart only.",
        "1",
        origin=Origin.IETPY,
        tokenised=False,
    ),
    Option(
        "Metrics",
        Scope.ANYWHERE,
        Reader.METRICS,
        Text(),
        "Where Prometheus finds metrics, and a browser a status page, both without a password: 127.0.0.1:9260, say;"
        " port 0 is any that is free. --metrics on the command line outranks it. Changed by a restart only.",
        "off",
        origin=Origin.IETPY,
        tokenised=False,
    ),
    Option(
        "Portal",
        Scope.ANYWHERE,
        Reader.PORTAL,
        Text(),
        "What the daemon listens on: the tag of a portal group, 1 to 65535, a blank, and portals joined by commas. A"
        " portal is an address (192.0.2.1, [2001:db8::1], a link-local one with its interface: [fe80::1%eth0]), the"
        " name of an interface for all addresses it has when the daemon starts or reads the file again, or * for all;"
        " and a port behind a colon. Lines with one tag make one group. A portal with a mistake is not listened on."
        " Advertise=HOST:PORT behind a portal has discovery tell initiators that name or address instead, as where the"
        " daemon is behind NAT or in a container: they must reach the portal by it. An iSNS server is told of the first"
        " portal so where it is an address; redirections are not changed.",
        "what -a and -p say, as group 1",
        origin=Origin.IETPY,
        tokenised=False,
    ),
    Option(
        "PortalGroups",
        Scope.TARGET,
        Reader.PORTAL_GROUPS,
        Text(),
        "The portal groups the target is in: tags of Portal lines, joined by commas. For a login by others it is not"
        " there; discovery tells by all groups which portals lead to it. Each group is a target port of its own for"
        " SCSI.",
        "all of them",
        origin=Origin.IETPY,
        tokenised=False,
        guards=True,
    ),
    Option(
        "Target",
        Scope.ANYWHERE,
        Reader.TARGET,
        Text(),
        "Begins a target; what follows belongs to it. The name"
        " is kept as written and compared without regard to letter case.",
        iet="Any word up to 255 bytes is a name.",
    ),
    Option(
        "Alias",
        Scope.TARGET,
        Reader.TEXT,
        Text(),
        "A name for people, told to initiators that log in (TargetAlias, RFC 7143 section 13.6).",
        iet="Accepted and never used.",
    ),
    Option(
        "Lun",
        Scope.TARGET,
        Reader.LUN,
        Text(),
        "A logical unit: its number, a blank, and parameters joined by commas without blanks.",
        tokenised=False,
    ),
    Option(
        "LunOption",
        Scope.TARGET,
        Reader.LUN_OPTION,
        Text(),
        "What a logical unit is to be otherwise than under IET: the number of its Lun line, a blank, and parameters"
        " joined by commas. It may stand above or below the Lun line. Initiators know disks by most of what it changes,"
        " so a disk in use gets another name with it. What it does not name stays as under IET, and so does a parameter"
        " with a mistake in it.",
        origin=Origin.IETPY,
        tokenised=False,
    ),
    Option(
        "Initiator",
        Scope.TARGET,
        Reader.ADMITTED,
        Text(),
        "Who may use the target: a pattern of initiators' names, a blank, and parameters joined by commas. In the"
        " pattern * stands for any characters, and letter case does not count. If a target has such lines, the first"
        " that is about an initiator decides about it, and whom none is about may not use the target. The allow and"
        " deny files must admit it, too. A line with a mistake admits nobody whom its pattern means.",
        "whom all else admits",
        origin=Origin.IETPY,
        tokenised=False,
    ),
    Option(
        "IncomingUser",
        Scope.BOTH,
        Reader.INCOMING,
        _SECRET,
        "A CHAP account with which initiators log in. Any"
        " number of lines; of two with one name the later counts. Quotes are part of a secret.",
        "none",
        "none",
        guards=True,
    ),
    Option(
        "OutgoingUser",
        Scope.BOTH,
        Reader.OUTGOING,
        _SECRET,
        "The CHAP account with which the target answers an initiator that asks for it. The last line counts.",
        "none",
        "none",
    ),
    Option(
        "IncomingUserFile",
        Scope.BOTH,
        Reader.INCOMING_FILE,
        _SECRET,
        "IncomingUser with its secret in a file of its own, which holds nothing else; one newline at the end does not"
        " count. It is read at the start and at every reload. A relative path counts from `$CREDENTIALS_DIRECTORY`,"
        " where systemd puts what `LoadCredential=` names. While it cannot be read the user cannot log in.",
        "none",
        origin=Origin.IETPY,
    ),
    Option(
        "OutgoingUserFile",
        Scope.BOTH,
        Reader.OUTGOING_FILE,
        _SECRET,
        "OutgoingUser with its secret in a file of its own, as with IncomingUserFile.",
        "none",
        origin=Origin.IETPY,
    ),
    Option(
        "CHAPAlgorithms",
        Scope.EACH,
        Reader.ALGORITHMS,
        WordList(tuple(algorithm.name for algorithm in ALGORITHMS.values())),
        "The algorithms by which initiators may prove with CHAP who they are. Of those an initiator offers, the first"
        " that is named here is taken; with none of them it cannot log in. Initiators have to offer MD5 (RFC 7143"
        " section 12.1.3) and know it in any case; not all know the others.",
        "all of them",
        origin=Origin.IETPY,
    ),
    _target_option(
        "MaxSessions", Number(0, 2**31 - 1), "Sessions at one time; 0 is any number.", "0", "max_sessions", guards=True
    ),
    _target_option("Wthreads", Number(1, 128), "Threads that wait for slow devices.", "8", "wthreads"),
    _target_option("Type", Number(0, 16), "SCSI device type; there are only disks.", "0", "scsi_type", forced=0),
    _target_option(
        "QueuedCommands",
        Number(1, 256),
        "Commands an initiator may have under way.",
        "128",
        "queued_commands",
        iet_default="32",
    ),
    _target_option(
        "NOPInterval",
        Number(0, 90),
        "Seconds of silence before the target asks whether the initiator is there; 0 is never.",
        "0",
        "nop_interval",
    ),
    _target_option(
        "NOPTimeout",
        Number(0, 90),
        "Seconds to wait for the answer; 0 or more than NOPInterval means NOPInterval.",
        "0",
        "nop_timeout",
    ),
    *(_session_option(key) for key in KEYS if key.option),
    Option(
        "MaxXmitDataSegmentLength",
        Scope.TARGET,
        Reader.VALUE,
        Number(512, LENGTH_LIMIT),
        "Bytes of data the target sends in one PDU at most; the initiator's MaxRecvDataSegmentLength limits it too.",
        "what the initiator accepts",
        "8192",
        out_of_range=512,
        kernel_limit=_SEGMENTS,
        crash=True,
    ),
    Option(
        "User",
        Scope.BOTH,
        Reader.INCOMING,
        _SECRET,
        "IncomingUser, as it was spelt up to IET 0.4.0.",
        origin=Origin.BORROWED,
    ),
    Option(
        "initiator-address",
        Scope.TARGET,
        Reader.ADDRESS,
        Text(),
        "tgt's word: only initiators from this address or network may use the target.",
        origin=Origin.BORROWED,
    ),
    Option(
        "initiator-name",
        Scope.TARGET,
        Reader.INITIATOR,
        Text(),
        "tgt's word: only initiators of this name may use the target.",
        origin=Origin.BORROWED,
    ),
)

OPTION_BY_WORD: Final = {option.name.lower(): option for option in OPTIONS}

LUN_TYPES: Final = tuple(STORES)
FILE_TYPES: Final = tuple(name for name, store in STORES.items() if store.takes_path)
BLOCK_SIZES: Final = ("512", "1024", "2048", "4096")


def _parameter(
    name: str,
    value: Value,
    prose: str,
    default: str = "",
    iet: str = "",
    attribute: str = "",
    types: tuple[str, ...] = LUN_TYPES,
) -> Option:
    return Option(name, Scope.LUN, Reader.PARAMETER, value, prose, default, default, iet, attribute, types=types)


def _store_parameters() -> Iterator[Option]:
    """What only some types know, each name once."""
    for name in dict.fromkeys(option.name for store in STORES.values() for option in store.options):
        knowing = {store.name: row for store in STORES.values() for row in store.options if row.name == name}
        row = next(iter(knowing.values()))
        yield _parameter(name, row.value, row.help, types=tuple(knowing))


#: Parameters of a ``Lun`` line (iet-compat 2.3).
LUN_OPTIONS: Final = (
    _parameter(
        "Path",
        Text(4095),
        "The file (fileio) or block device (fileio, blockio). Required; no commas.",
        attribute="path",
        types=FILE_TYPES,
    ),
    _parameter(
        "Type",
        Choice(LUN_TYPES),
        "fileio: through the page cache. blockio: around it. nullio: reads zeros and forgets what is written.",
        "fileio",
        attribute="type",
    ),
    _parameter(
        "ScsiId",
        Text(16),
        "1 to 16 bytes, as written, of the vendor-specific designator (VPD page 83h).",
        "made from target name and LUN",
        attribute="scsi_id",
    ),
    _parameter(
        "ScsiSN",
        Text(32),
        "The unit serial number (VPD page 80h): 1 to 32 printable ASCII characters.",
        "the hexadecimal digits of ScsiId",
        attribute="scsi_sn",
    ),
    _parameter(
        "IOMode",
        Choice(("wt", "wb", "ro")),
        "wt: a write is on the medium when it is answered. wb: after"
        " a flush (fileio). ro: no writes. Given twice, both hold.",
        "wt",
        "Of no effect with blockio: wb.",
        types=FILE_TYPES,
    ),
    _parameter(
        "BlockSize",
        Choice(BLOCK_SIZES),
        "Bytes of a logical block.",
        "512; blockio: the device's",
        attribute="block_size",
    ),
    *_store_parameters(),
)

LUN_OPTION_BY_WORD: Final = {option.name.lower(): option for option in LUN_OPTIONS}


def _extension(name: str, value: Value, prose: str, default: str, attribute: str = "") -> Option:
    return Option(
        name,
        Scope.LUN_OPTION,
        Reader.PARAMETER,
        value,
        prose,
        default,
        attribute=attribute or name.lower(),
        origin=Origin.IETPY,
    )


_IOPS: Final = Number(1, 10**9)
_LIMIT: Final = "{} in a second,"
_PACED: Final = (
    " What comes sooner waits for its turn, and nobody else is held up; a tenth of a second's worth may come at once."
    " What waits longer than an initiator's timeout (30 s with Linux) is aborted: a limit below a few commands in a"
    " second needs a small QueuedCommands."
)

#: Parameters of a ``LunOption`` line; ``attribute`` is a field of ``model.LunConfig``, or of its ``identity``.
LUN_EXTENSIONS: Final = (
    _extension(
        "Naa",
        Hex(
            "16 hexadecimal digits that begin with 2, 3 or 5, or 32 that begin with 6",
            "[235][0-9a-f]{15}|6[0-9a-f]{31}",
        ),
        "A designator of the type NAA (VPD page 83h, SPC-4 section 7.8.6.6), behind IET's own. It outranks the others:"
        " Linux then calls the disk scsi-3 and these digits, and multipath takes them for its wwid.",
        "none",
    ),
    _extension(
        "Eui",
        Hex("16, 24 or 32 hexadecimal digits", "[0-9a-f]{16}(?:[0-9a-f]{8}){0,2}"),
        "A designator of the type EUI-64 (VPD page 83h, SPC-4 section 7.8.6.5), behind IET's own. It outranks all but"
        " Naa: Linux then calls the disk scsi-2 and these digits.",
        "none",
    ),
    _extension(
        "Vendor",
        Printable(8),
        "The T10 vendor identification, of the INQUIRY data and of IET's designator in VPD page 83h. Without Naa and"
        " Eui the disk's name in Linux contains it, and changes.",
        "IET",
    ),
    _extension("Product", Printable(16), "The product identification in the INQUIRY data.", "VIRTUAL-DISK"),
    _extension("Revision", Printable(4), "The product revision level in the INQUIRY data.", "0"),
    _extension(
        "Serial",
        Printable(252),
        "The unit serial number (VPD page 80h), longer than ScsiSN can be, which it outranks.",
        "ScsiSN",
    ),
    _extension(
        "Page80",
        Hex("2 to 504 hexadecimal digits, two for each byte", "(?:[0-9a-f]{2}){1,252}"),
        "The whole PRODUCT SERIAL NUMBER field of VPD page 80h, with the padding another target gave it. It outranks"
        " Serial and ScsiSN. `ietpy import` writes it.",
        "made from Serial or ScsiSN",
        "page_80",
    ),
    _extension(
        "Page83",
        Descriptors(),
        "What VPD page 83h says of the logical unit, whole, as another target said it: its designators in their order."
        " They stand instead of IET's, Naa and Eui; those of ports and of the target follow. `ietpy import` writes it.",
        "IET's designator, and what Naa and Eui say",
        "page_83",
    ),
    _extension(
        "Removable",
        YesNo(),
        "Whether the medium is removable: initiators may then eject and load it (START STOP UNIT), and keep others from"
        " doing so (PREVENT ALLOW MEDIUM REMOVAL). It does not change the disk's name.",
        "No",
    ),
    _extension(
        "WriteCache",
        YesNo(),
        "Whether writes are answered before they are on the medium, and initiators told so (WCE): they flush what must"
        " last. As IOMode=wb, and with blockio, too, where the cache is the device's own.",
        "No",
        "cached",
    ),
    _extension(
        "Iops", _IOPS, f"{_LIMIT.format('Reads and writes')} by all its initiators together.{_PACED}", "no limit",
    ),
    _extension(
        "BytesPerSecond",
        ByteRate(),
        f"{_LIMIT.format('Bytes that are read and written')} by all its initiators together, with K, M, G or T for"
        " powers of 1024.",
        "no limit",
        "bytes_per_second",
    ),
)

LUN_EXTENSION_BY_WORD: Final = {option.name.lower(): option for option in LUN_EXTENSIONS}


def _initiator(name: str, value: Value, prose: str, default: str) -> Option:
    return Option(name, Scope.INITIATOR, Reader.PARAMETER, value, prose, default, origin=Origin.IETPY)


#: Parameters of an ``Initiator`` line.
INITIATOR_PARAMETERS: Final = (
    _initiator(
        "Address",
        AddressOrNetwork(),
        "Only from here is an initiator meant; several stand between commas.",
        "any address",
    ),
    _initiator(
        "PortalGroup",
        Number(1, 65535),
        "Only by these portal groups is an initiator meant; several tags of Portal lines stand between commas.",
        "any of the target's",
    ),
    _initiator(
        "Luns",
        LunRange(),
        "Which LUNs the initiator has; to it there are no others. Several stand between commas. With /ro it may only"
        " read them.",
        "all LUNs of the target, under their own numbers",
    ),
    _initiator(
        "Mode",
        Choice(("rw", "ro", "none")),
        "ro: the initiator may only read. Its disks are write protected, those of others are not. none: it is turned"
        " away, whatever further lines say.",
        "rw",
    ),
    _initiator(
        "User",
        Text(),
        "The initiator must log in as this IncomingUser of the target. Other names, and their secrets, are as wrong as"
        " any.",
        "any of them",
    ),
    _initiator(
        "AuthMethod",
        Choice(("CHAP", "None")),
        "None: the initiator logs in without CHAP, also where the target has accounts for others. A name and an"
        " address are all it shows then.",
        "CHAP, if the target has an IncomingUser",
    ),
    _initiator(
        "Iops",
        _IOPS,
        f"{_LIMIT.format('Reads and writes')} by each session of the initiator, on all its LUNs together. It holds"
        " beside that of a LUN (LunOption).",
        "no limit",
    ),
    _initiator(
        "BytesPerSecond",
        ByteRate(),
        f"{_LIMIT.format('Bytes that are read and written')} by each session of the initiator, on all its LUNs"
        " together.",
        "no limit",
    ),
)

INITIATOR_PARAMETER_BY_WORD: Final = {option.name.lower(): option for option in INITIATOR_PARAMETERS}

#: How other targets, and people, say who may use a target. ``repair`` closes a target below whose line one stands.
#: True: it asks for what an IncomingUser gives, so with one the target is open to its user.
ACCESS_ELSEWHERE: Final = {
    "chap": True,
    "chap-mutual": True,
    "auth-group": True,
    "auth-type": True,
    "authgroup": True,
    "authmethod": True,
    "username": True,
    "password": True,
    "secret": True,
    "allowed_portal": False,
    "per_portal_acl": False,
    "netmask": False,
}

#: How they say that nobody may write; ``repair`` then serves all LUNs of the target read-only.
READ_ONLY_ELSEWHERE: Final = ("readonly", "read-only", "read_only", "iomode")

#: Values with which one of these words keeps nobody out.
NO_GUARD: Final = ("none", "auto", "no-authentication", "no", "off", "0", "false", "rw", "wt", "wb")

#: Words of other targets and what to write instead; only for hints.
ELSEWHERE: Final = {
    "backing-store": "in ietd.conf: Lun 0 Path=FILE,Type=fileio",
    "direct-store": "in ietd.conf: Lun 0 Path=DEVICE,Type=blockio",
    "include": "ietd.conf knows no includes",
    "type=fileio": "parameters of a Lun stand on its own line",
}
