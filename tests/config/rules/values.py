"""Numbers and words (iet-compat 1.5), and what is special about single keywords (2.1, 2.2, 2.4)."""

from __future__ import annotations

from typing import Final

from .rule import Rule, T

RULES: Final = (
    Rule(
        "1.5", "hexadecimal", T + "Wthreads 0x40\nMaxBurstLength 0x10000\n",
        "read it",
        repair="t: wthreads=64 MaxBurstLength=65536", starts=True,
    ),
    Rule(
        "1.5", "octal", T + "Wthreads 010\n",
        "read 8",
        repair="t:", found="octal-number@2", starts=True,
    ),
    Rule(
        "1.5", "digits that are not octal", T + "Wthreads 09\n",
        "read 0",
        repair="t:", found="bad-number@2", iet="t: wthreads=1", iet_found="bad-number@2 out-of-range@2",
    ),
    Rule(
        "1.5", "a sign", T + "Wthreads +16\n",
        "read it",
        repair="t: wthreads=16", starts=True,
    ),
    Rule(
        "1.5", "a suffix of a target key", T + "QueuedCommands 1k\n",
        "read 1",
        repair="t: queued_commands=256", found="number-suffix@2 out-of-range@2", iet="t: queued_commands=1",
        iet_found="number-suffix@2",
    ),
    Rule(
        "1.5", "a suffix of a session key", T + "MaxBurstLength 1M\nFirstBurstLength 256k\n",
        "read 1 and 256",
        repair="t: MaxBurstLength=1048576 FirstBurstLength=262144", found="number-suffix@2 number-suffix@3",
        iet="t: MaxBurstLength=512 FirstBurstLength=512",
        iet_found="number-suffix@2 out-of-range@2 number-suffix@3 out-of-range@3",
    ),
    Rule(
        "1.5", "a suffix of MaxSessions", T + "MaxSessions 1k\n",
        "read 1",
        repair="t: max_sessions=1", found="number-suffix@2",
    ),
    Rule(
        "1.5", "junk behind a number", T + "Wthreads 12abc\n",
        "read 12",
        repair="t:", found="bad-number@2", iet="t: wthreads=12",
    ),
    Rule(
        "1.5", "junk behind MaxSessions", T + "MaxSessions 1O\n",
        "read 1",
        repair="t: max_sessions=1", found="bad-number@2",
    ),
    Rule(
        "1.5", "no number", T + "Wthreads many\n",
        "read 0",
        repair="t:", found="bad-number@2", iet="t: wthreads=1", iet_found="bad-number@2 out-of-range@2",
    ),
    Rule(
        "1.5", "no number for MaxSessions", T + "MaxSessions one\n",
        "read 0: no limit",
        repair="t:", found="bad-number@2",
    ),
    Rule(
        "1.5", "no number after a good one", T + "MaxSessions 5\nMaxSessions one\n",
        "took the last: no limit",
        repair="t: max_sessions=5", found="bad-number@3", iet="t:", iet_found="repeated@3 bad-number@3",
    ),
    Rule(
        "1.5", "a wrong value after a good one", T + "InitialR2T No\nInitialR2T maybe\n",
        "kept the good one",
        repair="t: InitialR2T=False", found="bad-value@3",
    ),
    Rule(
        "1.5", "other words for Yes and No", T + "InitialR2T no\nImmediateData 1\nOFMarker off\n",
        "ignored the lines",
        repair="t: InitialR2T=False ImmediateData=True OFMarker=False",
        found="repaired-value@2 repaired-value@3 repaired-value@4", iet="t:",
    ),
    Rule(
        "1.5", "neither Yes nor No", T + "InitialR2T perhaps\n",
        "ignored the line",
        repair="t:", found="bad-value@2",
    ),
    Rule(
        "1.5", "access control that is neither", "iSNSServer h\niSNSAccessControl perhaps\n",
        "ignored the line and admitted everybody",
        repair="isns=h isns-access", found="bad-value@2", iet="isns=h",
    ),
    Rule(
        "1.5", "access control in other words", "iSNSServer h\niSNSAccessControl on\n",
        "ignored the line and admitted everybody",
        repair="isns=h isns-access", found="repaired-value@2", iet="isns=h",
    ),
    Rule(
        "1.5", "digests with a blank", T + "HeaderDigest None, CRC32C # both\n",
        "found an empty item and ignored the line",
        repair="t: HeaderDigest=('None', 'CRC32C')", found="repaired-value@2", iet="t:",
    ),
    Rule(
        "1.5", "a digest with a tail", T + "DataDigest CRC32C-x\n",
        "ignored the line; 1.4.20.2 compared the beginning only",
        repair="t:", found="bad-value@2",
    ),
    Rule(
        "1.5", "an unknown digest", T + "DataDigest MD5\n",
        "ignored the line",
        repair="t:", found="bad-value@2",
    ),
    Rule(
        "1.5", "a comma behind a digest", T + "DataDigest CRC32C,\n",
        "found an empty item and ignored the line",
        repair="t: DataDigest=('CRC32C',)", found="repaired-value@2", iet="t:",
    ),
    Rule(
        "2.1", "a server", "iSNSServer isns.example.com\n",
        "asked it, on port 3205",
        repair="isns=isns.example.com", starts=True,
    ),
    Rule(
        "2.1", "access control with a server", "iSNSServer h\niSNSAccessControl Yes\n",
        "admitted only whom the server listed",
        repair="isns=h isns-access", starts=True,
    ),
    Rule(
        "2.1", "access control without a server", "iSNSAccessControl Yes\n" + T,
        "had no server to ask and admitted everybody",
        repair="isns-access; t:", found="access-control-alone@1",
    ),
    Rule(
        "2.1", "access control off", "iSNSAccessControl No\n",
        "admitted everybody",
        starts=True,
    ),
    Rule(
        "2.2", "Alias", T + "Alias Lun 0\n",
        "accepted it and never used it",
        repair="t: alias=Lun 0", starts=True,
    ),
    Rule(
        "2.2", "all target keys",
        T + "MaxSessions 4\nWthreads 16\nType 0\nQueuedCommands 64\nNOPInterval 15\nNOPTimeout 10\n",
        "held to them",
        repair="t: max_sessions=4 wthreads=16 queued_commands=64 nop_interval=15 nop_timeout=10", starts=True,
    ),
    Rule(
        "2.2", "any sign for MaxSessions", T + "MaxSessions -1\n",
        "took any int",
        repair="t:", found="out-of-range@2",
    ),
    Rule(
        "2.2", "NOPTimeout of 0", T + "NOPInterval 9\nNOPTimeout 0\n",
        "used NOPInterval",
        repair="t: nop_interval=9 nop_timeout=9", starts=True,
    ),
    Rule(
        "2.2", "NOPTimeout above NOPInterval", T + "NOPInterval 9\nNOPTimeout 20\n",
        "used NOPInterval",
        repair="t: nop_interval=9 nop_timeout=9", starts=True,
    ),
    Rule(
        "2.2", "MaxSessions may be any number", T + "MaxSessions 2147483647\n",
        "held to it",
        repair="t: max_sessions=2147483647", starts=True,
    ),
    Rule(
        "2.4", "FirstBurstLength above MaxBurstLength", T + "MaxBurstLength 512\nFirstBurstLength 65536\n",
        "did not compare them",
        repair="t: MaxBurstLength=512 FirstBurstLength=65536", starts=True,
    ),
    Rule(
        "2.4", "digests", T + "HeaderDigest CRC32C,None\nDataDigest CRC32C\n",
        "offered both, and CRC32C only",
        repair="t: HeaderDigest=('CRC32C', 'None') DataDigest=('CRC32C',)", starts=True,
    ),
    Rule(
        "2.4", "the kernel's limit", T + "MaxRecvDataSegmentLength 262145\nMaxXmitDataSegmentLength 1048576\n",
        "reset anything above 262144 to 512",
        repair="t: MaxRecvDataSegmentLength=262145 MaxXmitDataSegmentLength=1048576",
        found="over-kernel-limit@2 over-kernel-limit@3",
        iet="t: MaxRecvDataSegmentLength=512 MaxXmitDataSegmentLength=512",
    ),
    Rule(
        "2.4", "up to the kernel's limit", T + "MaxRecvDataSegmentLength 262144\nMaxXmitDataSegmentLength 262144\n",
        "accepted it",
        repair="t: MaxRecvDataSegmentLength=262144 MaxXmitDataSegmentLength=262144", starts=True,
    ),
    Rule(
        "2.4", "marker intervals", T + "OFMarkInt 2048\nIFMarkInt 4096\n",
        "accepted them and answered Irrelevant or Reject",
        repair="t: OFMarkInt=2048 IFMarkInt=4096", starts=True,
    ),
    Rule(
        "2.4", "no option in any version",
        T + "Portal 10.0.0.1\nInclude /etc/x\nMaxLuns 5\nRedirect 10.0.0.1\nbacking-store /x\n",
        "ignored the lines",
        repair="t: CLOSED",
        found="portal@2 portal-group@2 unknown-keyword@3 unknown-keyword@4 unknown-keyword@5 unknown-keyword@6",
    ),
)
