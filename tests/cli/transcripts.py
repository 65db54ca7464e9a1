"""What was typed and what must come back, byte for byte: iet-compat section 5, one transcript for each of its rows.

``{disk}``, ``{other}`` and ``{dir}`` stand for two images and their directory, ``{sid}`` for the number of the
newest session. Where ``iet`` differs from ``repair``, a call says what it prints there; where ietpy differs from IET
on purpose, ``differs`` says how IET was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import ietpy
from ietpy.cli.ietadm import HELP

ONE: Final = "iqn.2001-04.com.example:one"
TWO: Final = "iqn.2001-04.com.example:two"
#: ietd.conf of most transcripts.
FILE: Final = f"Target {ONE}\n\tLun 0 Path={{disk}},Type=fileio\n"

Result = tuple[int, str]
OK: Final[Result] = (0, "")
EINVAL: Final[Result] = (234, "Invalid argument.\n")
ENOENT: Final[Result] = (254, "No such file or directory.\n")
EPERM: Final[Result] = (255, "Operation not permitted.\n")
EEXIST: Final[Result] = (239, "File exists.\n")
EBUSY: Final[Result] = (240, "Device or resource busy.\n")
ECONNREFUSED: Final[Result] = (145, "Connection refused.\n")
UNSUPPORTED: Final[Result] = (234, "Unsupported.\n")
SILENT: Final[Result] = (234, "")
NO_OPERATION: Final[Result] = (234, "You must specify the operation type\n")
HALF_ACCOUNT: Final[Result] = (234, "Username and password must be specified\n")
TRY: Final = "Try `ietadm --help' for more information.\n"
USAGE: Final[Result] = (255, TRY)


def usage(sentence: str) -> Result:
    return 255, f"ietadm: {sentence}\n{TRY}"


@dataclass(frozen=True)
class Call:
    """ietadm with these words (as a shell splits them): standard output; exit status and standard error."""

    words: str
    out: str = ""
    result: Result = OK
    iet: tuple[str, Result] | None = None  #: output and result under --compat iet, if not the same


@dataclass(frozen=True)
class Login:
    """An initiator logs in and stays."""

    target: str
    keys: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Volume:
    """What /proc/net/iet/volume holds now."""

    text: str


Step = Call | Login | Volume


@dataclass(frozen=True)
class Transcript:
    """``section`` of iet-compat; ``process``: run as a process of its own, too."""

    section: str
    title: str
    steps: tuple[Step, ...]
    differs: str = ""
    file: str = FILE
    process: bool = False


def calls(form: str, result: Result, *values: object, out: str = "") -> tuple[Call, ...]:
    """One call for each value, which stands where ``form`` has ``%s``, all with this result."""
    return tuple(Call(form.replace("%s", str(value)), out, result) for value in values)


def target_options(**changed: object) -> str:
    """The five lines of ``--op show --tid``."""
    shown = {"Wthreads": 8, "Type": 0, "QueuedCommands": 32, "NOPInterval": 0, "NOPTimeout": 0, **changed}
    return "".join(f"{name}={value}\n" for name, value in shown.items())


#: The nineteen lines of ``--op show --tid --sid`` (iet-compat 5.4).
DEFAULTS: Final = """\
InitialR2T=Yes
ImmediateData=Yes
MaxConnections=1
MaxRecvDataSegmentLength=8192
MaxXmitDataSegmentLength=8192
MaxBurstLength=262144
FirstBurstLength=65536
DefaultTime2Wait=2
DefaultTime2Retain=0
MaxOutstandingR2T=1
DataPDUInOrder=Yes
DataSequenceInOrder=Yes
ErrorRecoveryLevel=0
HeaderDigest=None
DataDigest=None
OFMarker=No
IFMarker=No
OFMarkInt=Reject
IFMarkInt=Reject
"""


def session_options(**changed: object) -> str:
    """The nineteen lines with some values changed."""
    shown = dict(line.split("=") for line in DEFAULTS.splitlines())
    assert set(changed) <= set(shown)
    return "".join(f"{name}={changed.get(name, value)}\n" for name, value in shown.items())


def fileio(lun: int, path: str, mode: str = "wt") -> str:
    """A line of volume for an image of the tests."""
    return f"\tlun:{lun} state:0 iotype:fileio iomode:{mode} blocks:2048 blocksize:512 path:{path}\n"


_NULLIO = "iotype:nullio iomode:wt blocks:134217728 blocksize:512"
_ONE_TARGET = f"tid:1 name:{ONE}\n" + fileio(0, "{disk}")

PARSING: Final = (
    Transcript(
        "5.1", "an operation must be named, exactly",
        calls(
            "%s", NO_OPERATION,
            "", "--tid=1", "--op=shows --tid=1", "--op=Show --tid=1", "--op=NEW", "--op= --tid=1", "-o list", "--user",
            "--tid=1 --params=Wthreads=4",
        ),
    ),
    Transcript(
        "5.1", "long options may be abbreviated, short ones joined",
        calls(
            "%s", OK,
            "--op show --tid 1", "--op=show --tid=1", "--o=show --t=1", "-o show -t 1", "-oshow -t1",
            "--ti 1 --op show", "--op=new --op=show --tid=5 --tid=1", "-o show -t 1 --",
            out=target_options(),
        ),
        process=True,
    ),
    Transcript(
        "5.1", "a number counts up to the first character that is no digit; none is 0",
        (
            *calls(
                "--op=show --tid='%s'", OK,
                "1", "01", "001", "+1", " 1", "\t\n1", "1x", "1 2", "1.9", "000000000000000000000000000001",
                "4294967297", "-4294967295",
                out=target_options(),
            ),
            *calls(
                "--op=show --tid='%s'", ENOENT,
                "auto", "", "x1", "0x1", "-", "+-1", "-1", "99999999999999999999", "-99999999999999999999", "1" * 5000,
                "²", "\u0661",
            ),
            Call("--op=new --tid=1 --lun=x --params=Type=nullio", "", EEXIST),
            Call("--op=show --tid=1 --sid=x", DEFAULTS),
        ),
    ),
    Transcript(
        "5.1", "words left over",
        (
            Call("--op=show --tid=1 one", "", (255, f"unrecognized: one\n{TRY}")),
            Call("one --op=show --tid=1 two -- --three", "", (255, f"unrecognized: onetwo--three\n{TRY}")),
            Call("show", "", (255, f"unrecognized: show\n{TRY}")),
            Call("--op=delete --tid=1 -", "", (255, f"unrecognized: -\n{TRY}")),
            Call("--op=new --tid=1 --params Name= x", "", (255, f"unrecognized: x\n{TRY}")),
            Volume(_ONE_TARGET),
        ),
        process=True,
    ),
    Transcript(
        "5.1", "unknown options, and values missing or too many",
        (
            Call("--op=show --tid=1 --bogus", "", usage("unrecognized option '--bogus'")),
            Call("--op=show --tid=1 --bogus=3", "", usage("unrecognized option '--bogus=3'")),
            Call("-x", "", usage("invalid option -- 'x'")),
            Call("--op=show --tid=1 -d", "", usage("invalid option -- 'd'")),
            Call("--op=show --tid", "", usage("option '--tid' requires an argument")),
            Call("--op=show -t", "", usage("option requires an argument -- 't'")),
            Call("--op=show --us=1", "", usage("option '--user' doesn't allow an argument")),
            Call("--op=delete --tid=1 --bogus", "", usage("unrecognized option '--bogus'")),
            Volume(_ONE_TARGET),
        ),
        process=True,
    ),
    Transcript(
        "5.1", "version and help come at once",
        (
            *calls(
                "%s", OK,
                "--version", "-v", "--v", "--ver", "--op=nonsense -v", "-uv", "--version --bogus", "stray --version -t",
                out=f"ietadm version 1.4.20.3 (ietpy {ietpy.__version__})\n",
            ),
            *calls("%s", OK, "--help", "-h", "--he", "-h --bogus", "--op=delete --tid=1 --help", out=HELP),
            Call("--bogus --version", "", usage("unrecognized option '--bogus'")),
            Volume(_ONE_TARGET),
        ),
        process=True,
    ),
    Transcript(
        "5.1", "of the options that name something the first of user, lun, cid, sid, tid decides",
        (
            Call("--op=show --tid=9 --sid=9 --cid=9 --lun=9"),
            Call("--op=show --tid=9 --sid=9 --cid=9"),
            Call("--op=show --tid=9 --sid=9", "", ENOENT),
            Call("--op=delete --tid=1 --sid=0 --lun=0"),
            Volume(f"tid:1 name:{ONE}\n"),
            Call("--op=delete --tid=1 --sid=0", "", SILENT),
            Call("--op=delete --tid=1 --user", "", SILENT),
            Volume(f"tid:1 name:{ONE}\n"),
        ),
    ),
    Transcript(
        "5.1", "a redirection needs a tid",
        (
            Call("--op=update --redirect=10.0.0.1", "", USAGE),
            Call("--op=show --redirect=10.0.0.1", "", USAGE),
            Call("--op=update --lun=1 --redirect=10.0.0.1", "", USAGE),
        ),
    ),
    Transcript(
        "5.1", "--params and --redirect share one variable, the last one given is used",
        (
            Call("--op=update --tid=1 --params=Wthreads=3 --redirect=10.0.0.1"),
            Call("--op=update --tid=1 --redirect=10.0.0.1 --params=Wthreads=3", "", EINVAL),
            Call("--op=update --tid=1 --redirect=10.0.0.1 --params=10.0.0.2"),
            Call("--op=show --tid=1", target_options()),
            Call(f"--op=new --tid=0 --params=Name=x --redirect=Name={TWO}"),
            Volume(f"tid:2 name:{TWO}\n{_ONE_TARGET}"),
        ),
    ),
)

ERRORS: Final = (
    Transcript(
        "5.2", "EINVAL: bad parameters, a name that exists, a LUN above 16383, an unknown parameter of a LUN",
        (
            Call("--op=new --tid=0 --params=iqn.2001-04.com.example:two", "", EINVAL),
            Call(f"--op=new --tid=0 --params=Name={ONE}", "", EINVAL),
            Call("--op=new --tid=1 --lun=16384 --params=Type=nullio", "", EINVAL),
            Call("--op=new --tid=1 --lun=1 --params=Path={other},Dest=MA", "", EINVAL),
        ),
        process=True,
    ),
    Transcript(
        "5.2", "ENOENT: no such tid, lun, user or session, a path that is not there, an unknown Type",
        (
            Call("--op=delete --tid=2", "", ENOENT),
            Call("--op=show --tid=2", "", ENOENT),
            Call("--op=show --tid=2 --sid=0", "", ENOENT),
            Call("--op=show --tid=1 --sid=77", "", ENOENT),
            Call("--op=update --tid=2 --params=Wthreads=4", "", ENOENT),
            Call("--op=update --tid=2 --redirect=10.0.0.1", "", ENOENT),
            Call("--op=new --tid=2 --lun=0 --params=Path={other}", "", ENOENT),
            Call("--op=delete --tid=2 --lun=0", "", ENOENT),
            Call("--op=delete --tid=1 --lun=1", "", ENOENT),
            Call("--op=delete --tid=1 --lun=16384", "", ENOENT),
            Call("--op=delete --tid=1 --sid=77 --cid=0", "", ENOENT),
            Call("--op=delete --tid=1 --user --params=IncomingUser=joe", "", ENOENT),
            Call("--op=show --tid=1 --user --params=OutgoingUser=joe", "", ENOENT),
            Call("--op=new --tid=1 --lun=1 --params=Path={dir}/gone", "", ENOENT),
            Call("--op=new --tid=1 --lun=1 --params=Path={other},Type=tape", "", ENOENT),
            Volume(_ONE_TARGET),
        ),
        process=True,
    ),
    Transcript(
        "5.2", "EEXIST: a tid in use, a LUN in use, no such cid",
        (
            Call(f"--op=new --tid=1 --params=Name={TWO}", "", EEXIST),
            Call("--op=new --tid=1 --lun=0 --params=Path={other}", "", EEXIST),
            Login(ONE),
            Call("--op=delete --tid=1 --sid={sid} --cid=1", "", EEXIST),
            Volume(_ONE_TARGET),
        ),
        process=True,
    ),
    Transcript(
        "5.2", "EBUSY: a target with sessions",
        (
            Login(ONE),
            Call("--op=delete --tid=1", "", EBUSY),
            Call("--op=delete --tid=1 --sid={sid} --cid=0"),
            Call("--op=delete --tid=1"),
            Volume(""),
        ),
        process=True,
    ),
)

TARGETS: Final = (
    Transcript(
        "5.3", "new target with a tid of one's own, and with the next free one",
        (
            Call(f"--op new --tid=5 --params Name={TWO}"),
            Call("--op new --tid=0 --params Name=image1"),
            Call("--op new --tid=auto --params Name=image2"),
            Volume(f"tid:3 name:image2\ntid:2 name:image1\ntid:5 name:{TWO}\n{_ONE_TARGET}"),
            Call("--op show --tid=2", target_options()),
        ),
        process=True,
    ),
    Transcript(
        "5.3", "the key of a new target is exactly Name, and everything behind the first = is the name",
        (
            *calls(
                "--op new --tid=0 --params '%s'", EINVAL,
                f"name={TWO}", f"NAME={TWO}", f"Name{TWO}", f" Name={TWO}", f"Path=/x,Name={TWO}", "", "Name=",
                f"={TWO}",
            ),
            Call("--op new --tid=0", "", EINVAL),
            Call("--op new --tid=0 --params Name=a=b,Path=/x"),
            Call("--op new --tid=0 --params 'Name=é-ß_#\"'"),
            Volume(f"tid:3 name:é-ß_#\"\ntid:2 name:a=b,Path=/x\n{_ONE_TARGET}"),
        ),
    ),
    Transcript(
        "5.3", "a name that ietd.conf could not say is refused",
        (
            *calls(
                "--op new --tid=0 --params 'Name=%s'", EINVAL,
                "a b", "a\tb", "a\nb", "a\n", "\na", " a", "a ", "a\rb", "a\fb", "a\vb", "n" * 256, "é" * 128,
            ),
            Call(f"--op new --tid=0 --params 'Name={'n' * 255}'"),
            Call("--op new --tid=0 --params 'Name=a\u00a0b'"),
            Volume(f"tid:3 name:a\u00a0b\ntid:2 name:{'n' * 255}\n{_ONE_TARGET}"),
        ),
        differs="made targets of such names, which no file can say and which spoil the lines of /proc",
    ),
    Transcript(
        "5.3", "a name that exists, in any letter case; a tid that exists",
        (
            Call(f"--op new --tid=0 --params Name={ONE.upper()}", "", EINVAL),
            Call(f"--op new --tid=1 --params Name={ONE}", "", EINVAL),
            Call(f"--op new --tid=1 --params Name={TWO}", "", EEXIST),
            Volume(_ONE_TARGET),
        ),
    ),
    Transcript(
        "5.3", "--verbose prints the tid of a new target, and why something failed",
        (
            Call(f"--op new --tid=0 --params Name={TWO} --verbose", "2\n"),
            Call("--op new --tid=9 --params Name=image1 --verb", "9\n"),
            Call(
                f"--op new --tid=9 --params Name={TWO} --verbose", "",
                (234, f"ietadm: there is a target {TWO} already, at ietadm:0:0\nInvalid argument.\n"),
            ),
            Call(
                "--op delete --tid=8 --verbose", "",
                (254, "ietadm: there is no target with tid 8; see ietpy proc volume\nNo such file or directory.\n"),
            ),
        ),
        differs="had no such option and never printed the tid",
        process=True,
    ),
    Transcript(
        "5.3", "delete target, with its LUNs and accounts",
        (
            Call("--op new --tid=1 --user --params=IncomingUser=joe,Password=secret"),
            Call("--op delete --tid=1"),
            Volume(""),
            Call("--op delete --tid=1", "", ENOENT),
            Call("--op show --tid=1 --user", "", ENOENT),
            Call(f"--op new --tid=1 --params=Name={ONE}"),
            Call("--op show --tid=1 --user"),
            Volume(f"tid:1 name:{ONE}\n"),
            Call("--op new --tid=1 --lun=0 --params=Path={disk}"),
            Volume(_ONE_TARGET),
        ),
    ),
    Transcript("5.3", "show target: five lines", (Call("--op show --tid=1", target_options()),), process=True),
    Transcript(
        "5.3", "show target: as configured",
        (Call("--op show --tid=1", target_options(Wthreads=16, QueuedCommands=64, NOPInterval=20, NOPTimeout=7)),),
        file=f"Target {ONE}\nWthreads 16\nQueuedCommands 64\nNOPInterval 20\nNOPTimeout 7\n",
    ),
    Transcript(
        "5.3", "update: keys of a target, in any letter case; items without = are passed over",
        (
            Call("--op update --tid=1 --params=Wthreads=16,QueuedCommands=64,NOPInterval=20,NOPTimeout=7"),
            Call(
                "--op show --tid=1",
                target_options(Wthreads=16, QueuedCommands=64, NOPInterval=20, NOPTimeout=7),
            ),
            Call("--op update --tid=1 --params=wthreads=4,,junk,NOPINTERVAL=0x10,noptimeout=010,"),
            Call("--op show --tid=1", target_options(Wthreads=4, QueuedCommands=64, NOPInterval=16, NOPTimeout=8)),
            Call("--op update --tid=1 --params=Wthreads=5,Wthreads=6"),
            Call("--op show --tid=1", target_options(Wthreads=6, QueuedCommands=64, NOPInterval=16, NOPTimeout=8)),
            Call("--op update --tid=1"),
            Call("--op update --tid=1 --params="),
            Call("--op update --tid=1 --params=Type=0"),
            Call("--op show --tid=1", target_options(Wthreads=6, QueuedCommands=64, NOPInterval=16, NOPTimeout=8)),
        ),
        process=True,
    ),
    Transcript(
        "5.3", "update: session keys",
        (
            Call("--op update --tid=1 --params=InitialR2T=No,ImmediateData=No,MaxConnections=4"),
            Call("--op update --tid=1 --params=MaxRecvDataSegmentLength=65536,MaxXmitDataSegmentLength=32768"),
            Call("--op update --tid=1 --params=maxburstlength=131072,FirstBurstLength=0x8000,DefaultTime2Wait=3"),
            Call("--op update --tid=1 --params=MaxOutstandingR2T=2,HeaderDigest=CRC32C"),
            Call(
                "--op show --tid=1 --sid=0",
                session_options(
                    InitialR2T="No", ImmediateData="No", MaxConnections=4, MaxRecvDataSegmentLength=65536,
                    MaxXmitDataSegmentLength=32768, MaxBurstLength=131072, FirstBurstLength=32768, DefaultTime2Wait=3,
                    MaxOutstandingR2T=2, HeaderDigest="CRC32C",
                ),
            ),
            Call("--op show --tid=1", target_options()),
        ),
    ),
    Transcript(
        "5.3", "update: an unknown parameter, or a word that is no value; then nothing is changed",
        (
            *(
                Call(f"--op update --tid=1 --params={name}=1", "", (234, f'Unknown parameter "{name}".\n'))
                for name in ("MaxSessions", "Alias", "Lun", "IncomingUser", "iSNSServer", "Wthread", "Name", "")
            ),
            Call("--op update --tid=1 --params=InitialR2T=yes", "", (234, 'Invalid InitialR2T value "yes".\n')),
            Call("--op update --tid=1 --params=immediatedata=1", "", (234, 'Invalid ImmediateData value "1".\n')),
            Call("--op update --tid=1 --params=ImmediateData=", "", (234, 'Invalid ImmediateData value "".\n')),
            Call("--op update --tid=1 --params=DataDigest=crc32c", "", (234, 'Invalid DataDigest value "crc32c".\n')),
            Call(
                "--op update --tid=1 --params=Wthreads=4,InitialR2T=No,Junk=1", "",
                (234, 'Unknown parameter "Junk".\n'),
            ),
            Call("--op show --tid=1", target_options()),
            Call("--op show --tid=1 --sid=0", DEFAULTS),
        ),
        process=True,
    ),
    Transcript(
        "5.3", "update: a comma ends a value, so of a list of digests the first is taken",
        (
            Call("--op update --tid=1 --params=HeaderDigest=None,CRC32C"),
            Call("--op show --tid=1 --sid=0", DEFAULTS),
            Call("--op update --tid=1 --params=HeaderDigest=CRC32C,None"),
            Call("--op show --tid=1 --sid=0", session_options(HeaderDigest="CRC32C")),
        ),
    ),
    Transcript(
        "5.3", "update: a number out of range becomes the nearest allowed one; under iet what IET made of it",
        (
            Call("--op update --tid=1 --params=Wthreads=1000"),
            Call("--op show --tid=1", target_options(Wthreads=128), iet=(target_options(Wthreads=1), OK)),
            Call("--op update --tid=1 --params=Wthreads=0"),
            Call("--op show --tid=1", target_options(Wthreads=1)),
            Call("--op update --tid=1 --params=NOPInterval=-5,NOPTimeout=91"),
            Call(
                "--op show --tid=1", target_options(Wthreads=1, NOPTimeout=90),
                iet=(target_options(Wthreads=1, NOPTimeout=0), OK),
            ),
            Call("--op update --tid=1 --params=QueuedCommands=100000,MaxBurstLength=99999999,DefaultTime2Wait=4000"),
            Call(
                "--op show --tid=1 --sid=0",
                session_options(MaxBurstLength=16777215, DefaultTime2Wait=3600),
                iet=(session_options(MaxBurstLength=512, DefaultTime2Wait=3600), OK),
            ),
            Call("--op update --tid=1 --params=MaxBurstLength=64K"),
            Call(
                "--op show --tid=1 --sid=0",
                session_options(MaxBurstLength=65536, DefaultTime2Wait=3600),
                iet=(session_options(MaxBurstLength=512, DefaultTime2Wait=3600), OK),
            ),
        ),
        differs="made the smallest allowed number of one that is too large, and read 64K as 64",
    ),
    Transcript(
        "5.3", "update: what is no number at all",
        (
            Call("--op update --tid=1 --params=Wthreads=many", "", EINVAL, iet=("", OK)),
            Call("--op show --tid=1", target_options(), iet=(target_options(Wthreads=1), OK)),
        ),
        differs="took it for 0, and that for the smallest allowed number",
    ),
    Transcript(
        "5.3", "redirect: an address, with a port or not; empty clears; a bad one is refused",
        (
            *calls(
                "--op update --tid=1 --redirect='%s'", OK,
                "10.0.0.1", "10.0.0.1:3261", "[2001:db8::1]", "[::1]:65535", "", "10.0.0.1:1",
            ),
            *calls(
                "--op update --tid=1 --redirect='%s'", EINVAL,
                "host", "2001:db8::1", "10.0.0", "10.0.0.256", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:x",
                "10.0.0.1:-1", "[::1", "::1]", "[10.0.0.1]", "[]", ":3260", "10.0.0.1 ", "10.0.0.1:3260:1", "[::1]3260",
                "10.0.0.1\nx", "[fe80::1%1 ]", "10.0.0.1:³", "1" * 5000,
            ),
            Call("--op show --tid=1", target_options()),
        ),
        process=True,
    ),
)

LUNS: Final = (
    Transcript(
        "5.3", "new LUN, with the parameters of a Lun line",
        (
            Call("--op new --tid=1 --lun=1 --params Path={other},Type=fileio,IOMode=wb"),
            Call("--op new --tid=1 --lun=16383 --params=Type=nullio"),
            Call("--op new --tid=1 --lun=2 --params=type=nullio,BLOCKS=100,blocksize=4096,ScsiId=abc,ScsiSN=123"),
            Volume(
                _ONE_TARGET + fileio(1, "{other}", "wb") + f"\tlun:16383 state:0 {_NULLIO}\n"
                "\tlun:2 state:0 iotype:nullio iomode:wt blocks:100 blocksize:4096\n"
            ),
            Call("--op new --tid=1 --lun=2 --params=Type=nullio", "", EEXIST),
        ),
        process=True,
    ),
    Transcript(
        "5.3", "new LUN: what is wrong with a Lun line is EINVAL",
        (
            *calls("--op new --tid=1 --lun=%s --params=Type=nullio", EINVAL, 16384, -1, 99999999999),
            *calls(
                "--op new --tid=1 --lun=1 --params=%s", EINVAL,
                "Type=fileio", "x", "Path={dir}", "Path=/dev/null", "Path={other},Type=blockio", "Path=", "''",
                "Path={disk},Type=blockio", "Path={other},IOMode=rw", "Path={other},BlockSize=3",
                "Path={other},ScsiId=12345678901234567", "Path={other},ScsiSN=é", "Path={other},Path={other}",
                "Type=nullio,IOMode=ro", "Type=nullio,Path={other}",
            ),
            Volume(_ONE_TARGET),
        ),
    ),
    Transcript(
        "5.3", "new LUN: what repair understands on a Lun line it understands here",
        (
            Call("--op new --tid=1 --lun=1 --params='Path={other}, Type=fileio'", iet=("", EINVAL)),
            Call("--op delete --tid=1 --lun=1", iet=("", ENOENT)),
            Call("--op new --tid=1 --lun=1 --params='{other} fileio'", iet=("", EINVAL)),
            Call("--op delete --tid=1 --lun=1", iet=("", ENOENT)),
            Call("--op new --tid=1 --lun=1 --params=Path={dir}/gone,Type=Fileio", "", ENOENT),
            Volume(_ONE_TARGET),
        ),
        differs="refused the blank, and the words of a Lun line before 0.4.8",
    ),
    Transcript(
        "5.3", "new LUN without --params",
        (Call("--op new --tid=1 --lun=1", "", EINVAL), Volume(_ONE_TARGET)),
        differs="crashed",
        process=True,
    ),
    Transcript(
        "5.3", "new LUN: the image of another one is let go as soon as that is deleted",
        (
            Call("--op delete --tid=1 --lun=0"),
            Call("--op new --tid=1 --lun=0 --params=Path={disk},IOMode=ro"),
            Volume(f"tid:1 name:{ONE}\n" + fileio(0, "{disk}", "ro")),
            Call("--op delete --tid=1 --lun=0"),
            Call("--op new --tid=1 --lun=3 --params=Path={disk},IOMode=wb"),
            Volume(f"tid:1 name:{ONE}\n" + fileio(3, "{disk}", "wb")),
        ),
    ),
    Transcript(
        "5.3", "delete LUN",
        (
            Call("--op delete --tid=1 --lun=0"),
            Call("--op delete --tid=1 --lun=0", "", ENOENT),
            Volume(f"tid:1 name:{ONE}\n"),
        ),
        process=True,
    ),
    Transcript(
        "5.3", "show LUN prints nothing, whether there is one or not",
        (Call("--op show --tid=1 --lun=0"), Call("--op show --tid=7 --lun=9")),
    ),
    Transcript(
        "5.3", "update LUN is unsupported",
        (
            Call("--op update --tid=1 --lun=0 --params=IOMode=ro", "", UNSUPPORTED),
            Call("--op update --tid=7 --lun=0", "", UNSUPPORTED),
            Volume(_ONE_TARGET),
        ),
        process=True,
    ),
)

SESSIONS: Final = (
    Transcript(
        "5.3", "delete connection: the session goes with its last one",
        (
            Login(ONE),
            Call("--op delete --tid=1 --sid={sid} --cid=0"),
            Call("--op delete --tid=1"),
            Volume(""),
        ),
    ),
    Transcript(
        "5.3", "delete session does nothing",
        (
            Login(ONE),
            Call("--op delete --tid=1 --sid={sid}", "", SILENT),
            Call("--op delete --tid=7 --sid=9", "", SILENT),
            Call("--op delete --tid=1", "", EBUSY),
        ),
        process=True,
    ),
    Transcript(
        "5.3", "show connection prints nothing",
        (Login(ONE), Call("--op show --tid=1 --sid={sid} --cid=0"), Call("--op show --tid=7 --cid=9")),
    ),
    Transcript(
        "5.3", "new and update with a session or a connection are unsupported",
        calls(
            "--op %s", UNSUPPORTED,
            "new --tid=1 --sid=1", "update --tid=1 --sid=1 --params=MaxBurstLength=512", "new --tid=1 --sid=1 --cid=0",
            "update --tid=1 --sid=1 --cid=0", "new --cid=0",
        ),
    ),
)

_JOE: Final = "--params=IncomingUser=joe"

ACCOUNTS: Final = (
    Transcript(
        "5.3", "new account: of a target, and of discovery where no tid or 0 is given",
        (
            Call(f"--op new --tid=1 --user {_JOE},Password=first"),
            Call("--op new --tid=1 --user --params=OutgoingUser=jim,Password=second"),
            Call("--op new --user --params=Password=third,IncomingUser=jack"),
            Call("--op new --tid=0 --user --params=OutgoingUser=jane,Password=fourth"),
            Call("--op show --tid=1 --user", "IncomingUser joe\nOutgoingUser jim\n"),
            Call("--op show --user", "IncomingUser jack\nOutgoingUser jane\n"),
            Call("--op show --tid=0 --user", "IncomingUser jack\nOutgoingUser jane\n"),
        ),
        process=True,
    ),
    Transcript(
        "5.3", "new account: a part is missing",
        (
            *calls(
                "--op new --tid=1 --user %s", HALF_ACCOUNT,
                "", "--params=", _JOE, "--params=Password=x", f"{_JOE},Password=", f"{_JOE},Password",
                "--params=IncomingUser=,Password=x", f"{_JOE},password=x", "--params=incominguser=joe,Password=x",
                "--params=joe,x",
            ),
            Call("--op show --tid=1 --user"),
        ),
        process=True,
    ),
    Transcript(
        "5.3", "new account: one of its name exists; the later one counts, and its deletion uncovers the older",
        (
            Call(f"--op new --tid=1 --user {_JOE},Password=older"),
            Call(f"--op new --tid=1 --user {_JOE},Password=newer"),
            Call("--op show --tid=1 --user", "IncomingUser joe\nIncomingUser joe\n"),
            Call(f"--op show --tid=1 --user {_JOE}", "IncomingUser joe newer\n"),
            Call(f"--op delete --tid=1 --user {_JOE}"),
            Call(f"--op show --tid=1 --user {_JOE}", "IncomingUser joe older\n"),
            Call(f"--op delete --tid=1 --user {_JOE}"),
            Call(f"--op delete --tid=1 --user {_JOE}", "", ENOENT),
        ),
    ),
    Transcript(
        "5.3", "new account: there is one outgoing account, the last one given",
        (
            Call("--op new --tid=1 --user --params=OutgoingUser=jim,Password=older"),
            Call("--op new --tid=1 --user --params=OutgoingUser=jane,Password=newer"),
            Call("--op show --tid=1 --user", "OutgoingUser jane\n"),
            Call("--op show --tid=1 --user --params=OutgoingUser=jim", "", ENOENT),
            Call("--op delete --tid=1 --user --params=OutgoingUser=jim", "", ENOENT),
            Call("--op delete --tid=1 --user --params=OutgoingUser=jane"),
            Call("--op show --tid=1 --user"),
        ),
    ),
    Transcript(
        "5.3", "account of a target that does not exist",
        (
            Call(f"--op new --tid=7 --user {_JOE},Password=x", "", ENOENT),
            Call(f"--op delete --tid=7 --user {_JOE}", "", ENOENT),
            Call(f"--op show --tid=7 --user {_JOE}", "", ENOENT),
            Call("--op show --tid=7 --user", "", ENOENT),
            Call("--op show --user"),
        ),
        differs="did not look whether there is such a target and gave the account to discovery",
        process=True,
    ),
    Transcript(
        "5.3", "delete account",
        (
            Call(f"--op delete --tid=1 --user {_JOE}"),
            Call(f"--op delete --tid=1 --user {_JOE}", "", ENOENT),
            Call("--op delete --tid=1 --user --params=OutgoingUser=jack", "", ENOENT),
            Call("--op show --tid=1 --user", "IncomingUser jack\n"),
            Call("--op delete --user --params=IncomingUser=jack", "", ENOENT),
        ),
        file=f"{FILE}\tIncomingUser joe first\n\tIncomingUser jack second\n",
        process=True,
    ),
    Transcript(
        "5.3", "show accounts: incoming ones newest first, then the outgoing one",
        (
            Call("--op show --tid=1 --user", "IncomingUser c\nIncomingUser b\nIncomingUser a\nOutgoingUser o\n"),
            Call("--op show --user", "IncomingUser d\n"),
        ),
        file=f"IncomingUser d 0\n{FILE}IncomingUser a 1\nOutgoingUser o 2\nIncomingUser b 3\nIncomingUser c 4\n",
        process=True,
    ),
    Transcript(
        "5.3", "show an account, with its secret in clear text",
        (
            Call(f"--op show --tid=1 --user {_JOE}", 'IncomingUser joe "se=cret"\n'),
            Call("--op show --tid=1 --user --params=OutgoingUser=jim", "OutgoingUser jim Ünkn#wn\n"),
            Call(f"--op show --user {_JOE}", "", ENOENT),
            Call("--op show --tid=1 --user --params=IncomingUser=JOE", "", ENOENT),
        ),
        file=f'{FILE}\tIncomingUser joe "se=cret"\n\tOutgoingUser jim Ünkn#wn\n',
        process=True,
    ),
    Transcript(
        "5.3", "update account is unsupported, said without a full stop",
        (
            Call("--op update --tid=1 --user", "", (234, "Unsupported\n")),
            Call(f"--op update --user {_JOE},Password=x", "", (234, "Unsupported\n")),
        ),
        process=True,
    ),
    Transcript(
        "5.3", "--user together with --lun, --sid, --cid or --redirect",
        (
            *(
                call
                for operation in ("new", "delete", "show", "update")
                for call in calls(
                    f"--op={operation} --tid=1 --user %s {_JOE},Password=x", SILENT,
                    "--lun=0", "--sid=1", "--cid=0", "--redirect=10.0.0.1",
                )
            ),
            Call("--op show --tid=1 --user"),
        ),
    ),
)

SYSTEM: Final = (
    Transcript(
        "5.3", "delete alone leaves the iSNS server and nothing else",
        (Call("--op delete"), Volume(_ONE_TARGET), Call("--op delete --params=x"), Volume(_ONE_TARGET)),
        process=True,
    ),
    Transcript(
        "5.3", "show, new and update alone",
        calls(
            "--op %s", EINVAL,
            "show", "new", "update", f"new --params=Name={TWO}", "show --params=x", "update --params=Wthreads=4",
        ),
        process=True,
    ),
)

PARAMETERS: Final = (
    Transcript("5.4", "nineteen lines in this order", (Call("--op show --tid=1 --sid=0", DEFAULTS),), process=True),
    Transcript(
        "5.4", "as configured; both digests in one order",
        (
            Call(
                "--op show --tid=1 --sid=0",
                session_options(
                    ImmediateData="No", MaxConnections=2, MaxRecvDataSegmentLength=262144,
                    MaxXmitDataSegmentLength=65536, MaxOutstandingR2T=8, HeaderDigest="None,CRC32C",
                    DataDigest="None,CRC32C",
                ),
            ),
        ),
        file=f"Target {ONE}\nImmediateData No\nMaxConnections 2\nMaxRecvDataSegmentLength 262144\n"
        "MaxXmitDataSegmentLength 65536\nMaxOutstandingR2T 8\nHeaderDigest None,CRC32C\nDataDigest CRC32C,None\n",
    ),
    Transcript(
        "5.4", "of a session: what was negotiated",
        (
            Login(ONE, {
                "HeaderDigest": "CRC32C,None", "InitialR2T": "No", "ImmediateData": "Yes",
                "MaxRecvDataSegmentLength": "131072", "MaxBurstLength": "1048576", "FirstBurstLength": "65536",
                "DefaultTime2Wait": "2", "DefaultTime2Retain": "20",
            }),
            Call(
                "--op show --tid=1 --sid={sid}",
                session_options(
                    ImmediateData="No", MaxRecvDataSegmentLength=16384, MaxXmitDataSegmentLength=65536,
                    MaxBurstLength=131072, DefaultTime2Wait=5, HeaderDigest="CRC32C",
                ),
            ),
            Call(
                "--op show --tid=1 --sid=0",
                session_options(
                    ImmediateData="No", MaxRecvDataSegmentLength=16384, MaxXmitDataSegmentLength=65536,
                    MaxBurstLength=131072, DefaultTime2Wait=5, HeaderDigest="None,CRC32C",
                ),
            ),
            Call("--op show --tid=1 --sid=1", "", ENOENT),
        ),
        file=f"Target {ONE}\nImmediateData No\nMaxRecvDataSegmentLength 16384\nMaxXmitDataSegmentLength 65536\n"
        "MaxBurstLength 131072\nFirstBurstLength 65536\nDefaultTime2Wait 5\nHeaderDigest None,CRC32C\n",
        process=True,
    ),
)

_BURST = {"MaxBurstLength": "262144", "FirstBurstLength": "65536", "MaxRecvDataSegmentLength": "8192"}
_KEYS = {"InitialR2T": "Yes", **_BURST}

LIVE: Final = (
    Transcript(
        "5.5", "session keys that are changed hold for new sessions only",
        (
            Login(ONE, _KEYS),
            Call("--op update --tid=1 --params=MaxBurstLength=65536,DefaultTime2Wait=9"),
            Call("--op show --tid=1 --sid={sid}", session_options()),
            Call("--op show --tid=1 --sid=0", session_options(MaxBurstLength=65536, DefaultTime2Wait=9)),
            Login(ONE, _KEYS),
            Call("--op show --tid=1 --sid={sid}", session_options(MaxBurstLength=65536, DefaultTime2Wait=9)),
        ),
        file=f"{FILE}MaxRecvDataSegmentLength 8192\n",
    ),
    Transcript(
        "5.5", "the counter of tids only moves forward, and a tid given by hand does not move it",
        (
            Call("--op new --tid=0 --params=Name=a"),
            Call("--op delete --tid=2"),
            Call("--op new --tid=0 --params=Name=b"),
            Call("--op new --tid=7 --params=Name=c"),
            Call("--op new --tid=0 --params=Name=d"),
            Call("--op new --tid=5 --params=Name=e"),
            Call("--op new --tid=0 --params=Name=f"),
            Volume(f"tid:6 name:f\ntid:5 name:e\ntid:4 name:d\ntid:7 name:c\ntid:3 name:b\n{_ONE_TARGET}"),
            Call("--op new --tid=2 --params=Name=a"),
            Call("--op delete --tid=1"),
            Call("--op new --tid=4294967295 --params=Name=g"),
            Volume(
                "tid:4294967295 name:g\ntid:2 name:a\ntid:6 name:f\ntid:5 name:e\ntid:4 name:d\ntid:7 name:c\n"
                "tid:3 name:b\n"
            ),
        ),
    ),
)

TRANSCRIPTS: Final = (
    *PARSING, *ERRORS, *TARGETS, *LUNS, *SESSIONS, *ACCOUNTS, *SYSTEM, *PARAMETERS, *LIVE,
)
