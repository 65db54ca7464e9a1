"""Lines, words, keywords and the end of the file (iet-compat 1.2)."""

from __future__ import annotations

from typing import Final

from .rule import LONG, Rule, T

BLOCKIO: Final = "Target iqn.2010-06.ServerName:desc\nLun 0 Path=/dev/sdX,Type=blockio\n"
FILEIO: Final = "Target iqn.2010-06.ServerName:desc\nLun 0 Path=/root/os.img,Type=fileio\n"

RULES: Final = (
    Rule(
        "1.2", "an empty file", "",
        "started without targets",
        starts=True,
    ),
    Rule(
        "1.2", "the founding example, blockio", BLOCKIO,
        "one target, one LUN",
        repair="iqn.2010-06.ServerName:desc: 0=/dev/sdX(blockio)", starts=True,
    ),
    Rule(
        "1.2", "the founding example, fileio", FILEIO,
        "one target, one LUN",
        repair="iqn.2010-06.ServerName:desc: 0=/root/os.img", starts=True,
    ),
    Rule(
        "1.2", "4094 bytes and a newline", "#" + "x" * 4093 + "\nTarget t\n",
        "fit into its buffer",
        repair="t:", starts=True,
    ),
    Rule(
        "1.2", "the newline alone is too much", "#" + "x" * 4094 + "\nTarget t\n",
        "read an empty line for the rest",
        repair="t:", found="long-line@1",
    ),
    Rule(
        "1.2", "a long comment with a target at its end", LONG + "Target t\n",
        "cut the line after 4095 bytes and read the rest as a line",
        found="long-line@1", iet="t:",
    ),
    Rule(
        "1.2", "a long comment with an account at its end", T + LONG + "IncomingUser a b\n",
        "had the account, so the target was closed to others",
        repair="t: +a/b", found="long-line@2 long-line@2", iet_found="long-line@2",
    ),
    Rule(
        "1.2", "a long comment with half an account at its end", T + LONG + "IncomingUser a\n",
        "ignored half an account",
        repair="t:", found="long-line@2", iet_found="long-line@2 account-without-secret@2",
    ),
    Rule(
        "1.2", "a long comment with MaxSessions at its end", T + LONG + "MaxSessions 2",
        "held to it, for a number needs no blank behind it",
        repair="t: max_sessions=2", found="long-line@2 long-line@2", iet_found="long-line@2",
    ),
    Rule(
        "1.2", "a long comment with access control at its end", "iSNSServer h\n" + LONG + "iSNSAccessControl Yes\n",
        "switched it on",
        repair="isns=h isns-access", found="long-line@2 long-line@2", iet_found="long-line@2",
    ),
    Rule(
        "1.2", "a long comment with access control at its end, which ends the file",
        "iSNSServer h\n" + LONG + "iSNSAccessControl Yes",
        "crashed",
        repair="isns=h isns-access", found="long-line@2 long-line@2 no-final-newline@2",
        iet_found="long-line@2 no-final-newline@2",
    ),
    Rule(
        "1.2", "a long comment with a Target line at its end", LONG + "Target u\nIncomingUser a b\n",
        "gave the account to that target",
        repair="+a/b", found="long-line@1", iet="u: +a/b",
    ),
    Rule(
        "1.2", "a long comment with a nameless Target at its end", T + LONG + "Target\nIncomingUser a b\n",
        "gave the account to discovery",
        repair="CLOSED; t: +a/b", found="long-line@2 stray-accounts@3", iet="CLOSED; t:",
        iet_found="long-line@2 target-name@2 stray-accounts@3",
    ),
    Rule(
        "1.2", "a long comment with another key at its end", T + LONG + "Wthreads 9\n",
        "read the key",
        repair="t:", found="long-line@2", iet="t: wthreads=9",
    ),
    Rule(
        "1.2", "a long comment above Compat", LONG + "Wthreads 9\nCompat repair\n" + T,
        "knew no such keyword",
        repair="t:", found="long-line@1", iet_found="long-line@1 outside-target@1 compat-line@2",
    ),
    Rule(
        "1.2", "a long value", T + "Wthreads " + "9" * 5000 + "\n",
        "took the first slice for too large a number, the second for a keyword",
        repair="t: wthreads=128", found="long-line@2 out-of-range@2", iet="t: wthreads=1",
        iet_found="long-line@2 out-of-range@2 unknown-keyword@2",
    ),
    Rule(
        "1.2", "a backslash at the end of a key", T + "Wthreads 9 \\\nNOPInterval 5\n",
        "took it for a word; there was no continuation",
        repair="t: wthreads=9 nop_interval=5 nop_timeout=5", found="surplus-words@2",
    ),
    Rule(
        "1.2", "a backslash for a secret", T + "IncomingUser joe \\\nhunter2\n",
        "took the backslash for the secret and ignored the next line",
        repair="t: CLOSED", found="account-without-secret@2 unknown-keyword@3", iet="t: +joe/\\",
    ),
    Rule(
        "1.2", "a backslash for an account", T + "IncomingUser \\\njoe hunter2\n",
        "had half an account and an unknown keyword",
        repair="t: CLOSED", found="account-without-secret@2 unknown-keyword@3", iet="t:",
    ),
    Rule(
        "1.2", "a backslash behind an account", T + "IncomingUser joe s \\\nx\n",
        "ignored the surplus word",
        repair="t: +joe/s", found="surplus-words@2 unknown-keyword@3",
    ),
    Rule(
        "1.2", "comments", "# a\n   # b\n\n\t#c\n",
        "ignored lines whose first word begins with #",
        starts=True,
    ),
    Rule(
        "1.2", "a hash within a line", "Target #t\nIncomingUser #a #b\n",
        "took it as text",
        repair="#t: +#a/#b", starts=True,
    ),
    Rule(
        "1.2", "a comment behind a value", T + "Wthreads 16 # more\nInitialR2T No # c\nHeaderDigest None # c\n",
        "ignored the surplus words",
        repair="t: wthreads=16 HeaderDigest=('None',) InitialR2T=False", starts=True,
    ),
    Rule(
        "1.2", "a comment behind accounts", T + "IncomingUser a b # c\nOutgoingUser c d # c\n",
        "ignored the surplus words",
        repair="t: +a/b -c/d", starts=True,
    ),
    Rule(
        "1.2", "a comment behind a name", "Target t # mine\n",
        "ignored the surplus words",
        repair="t:", starts=True,
    ),
    Rule(
        "1.2", "a comment for a value", T + "ImmediateData # Yes\n",
        "took # for the value, which means nothing",
        repair="t:", found="missing-value@2", iet_found="missing-value@2 bad-value@2 surplus-words@2",
    ),
    Rule(
        "1.2", "a comment for a number", T + "MaxSessions # 5\n",
        "read 0",
        repair="t:", found="missing-value@2", iet_found="missing-value@2 bad-number@2 surplus-words@2",
    ),
    Rule(
        "1.2", "a comment for a server", "iSNSServer # 10.0.0.1\n",
        "took # for the server",
        found="missing-value@1", iet="isns=#", iet_found="missing-value@1 surplus-words@1",
    ),
    Rule(
        "1.2", "a comment for a secret", T + "IncomingUser joe # the backup host\n",
        "took # for the secret",
        repair="t: CLOSED", found="account-without-secret@2", iet="t: +joe/#",
        iet_found="account-without-secret@2 surplus-words@2",
    ),
    Rule(
        "1.2", "a comment for an account", "IncomingUser # nobody\n" + T,
        "took # for the name",
        repair="CLOSED; t:", found="account-without-secret@1", iet="+#/nobody; t:",
    ),
    Rule(
        "1.2", "a comment for an outgoing account", T + "OutgoingUser # none\n",
        "took # for the name",
        repair="t:", found="empty-outgoinguser@2", iet="t: -#/none", iet_found="account-without-secret@2",
    ),
    Rule(
        "1.2", "form feeds and vertical tabs", "\fTarget\vt\n\vLun\f0 Path=/x\f\n",
        "took all that isspace() names for blanks",
        repair="t: 0=/x", starts=True,
    ),
    Rule(
        "1.2", "indentation", "  Target t\n\t\tWthreads 9\nInitialR2T No\n",
        "gave it no meaning",
        repair="t: wthreads=9 InitialR2T=False", starts=True,
    ),
    Rule(
        "1.2", "a no-break space", T + "IncomingUser a\u00a0b\n",
        "took it for part of the word",
        repair="t: CLOSED", found="account-without-secret@2", iet="t:",
    ),
    Rule(
        "1.2", "CRLF", "Target t\r\nLun 0 Path=/x,Type=fileio\r\nIncomingUser a b\r\n",
        "took CR for a blank",
        repair="t: 0=/x +a/b", starts=True,
    ),
    Rule(
        "1.2", "blank lines", "\n \n" + T + "\n\t\n",
        "ignored them",
        repair="t:", starts=True,
    ),
    Rule(
        "1.2", "a byte order mark before a Target line", "\ufeff" + T + "Lun 0 Path=/x\n",
        "lost the target",
        repair="t: 0=/x", found="byte-order-mark@1", iet="",
        iet_found="byte-order-mark@1 unknown-keyword@1 outside-target@2",
    ),
    Rule(
        "1.2", "a byte order mark before a target with accounts",
        "\ufeffTarget t\nIncomingUser a b\nTarget u\nIncomingUser c d\n",
        "lost the target and gave its accounts to discovery",
        repair="CLOSED; t: +a/b; u: +c/d", found="byte-order-mark@1 stray-accounts@2", iet="+a/b; u: +c/d",
        iet_found="byte-order-mark@1 unknown-keyword@1",
    ),
    Rule(
        "1.2", "a byte order mark before a comment", "\ufeff#\nTarget t\nIncomingUser a b\n",
        "took the comment for an unknown keyword",
        repair="t: +a/b", found="byte-order-mark@1", iet_found="byte-order-mark@1 unknown-keyword@1",
    ),
    Rule(
        "1.2", "a byte order mark before an account", "\ufeffIncomingUser a b\n" + T,
        "lost the account, so discovery was open",
        repair="+a/b; t:", found="byte-order-mark@1", iet="t:", iet_found="byte-order-mark@1 unknown-keyword@1",
    ),
    Rule(
        "1.2", "a NUL ends a line", T + "Lun 0 Path=/x\0y\n",
        "read up to it",
        repair="t: 0=/x", found="nul-byte@2",
    ),
    Rule(
        "1.2", "a NUL before IOMode=ro", T + "Lun 0 Path=/x\0,IOMode=ro\n",
        "served it writable",
        repair="t: 0=/x(ro)", found="nul-byte@2", iet="t: 0=/x",
    ),
    Rule(
        "1.2", "a NUL in the name of a target", "Target t\0u\n",
        "lost the name, behind which no blank was",
        repair="t:", found="no-final-newline@1 nul-byte@1", iet="",
        iet_found="target-name@1 no-final-newline@1 nul-byte@1",
    ),
    Rule(
        "1.2", "a NUL in the name of a target with accounts",
        "Target t\0\nIncomingUser a b\nTarget\nTarget u\nIncomingUser c d\n",
        "gave the accounts to discovery",
        repair="CLOSED; t: +a/b; u: +c/d", found="no-final-newline@1 nul-byte@1 stray-accounts@2 target-name@3",
        iet="CLOSED; u: +c/d", iet_found="target-name@1 no-final-newline@1 nul-byte@1 stray-accounts@2 target-name@3",
    ),
    Rule(
        "1.2", "a NUL behind Target", T + "Target\0\nMaxSessions 2\nIncomingUser a b\n",
        "ignored the line and gave those below to the target above",
        repair="t: +a/b max_sessions=2", found="no-final-newline@2 target-name@2 nul-byte@2",
        iet_found="no-final-newline@2 nul-byte@2",
    ),
    Rule(
        "1.2", "a NUL in a secret", T + "IncomingUser a b\0c\n",
        "lost the account",
        repair="t: +a/b", found="no-final-newline@2 nul-byte@2", iet="t:",
        iet_found="account-without-secret@2 no-final-newline@2 nul-byte@2",
    ),
    Rule(
        "1.2", "bytes that are no UTF-8", "Target t\udcff\n",
        "kept them",
        repair="t\udcff:", starts=True,
    ),
    Rule(
        "1.2", "quotes around a secret", T + 'IncomingUser a "b"\nIncomingUser \'c d\n',
        "took them for part of name and secret",
        repair='t: +a/"b" +\'c/d', found="quotes@2 quotes@3", starts=True,
    ),
    Rule(
        "1.2", "quotes around the name of a target", 'Target "t"\n',
        "took them for part of the name",
        repair='"t":', found="quotes@1", starts=True,
    ),
    Rule(
        "1.2", "quotes around a number", T + 'MaxSessions "5"\n',
        "read 0",
        repair="t: max_sessions=5", found="repaired-value@2", iet="t:", iet_found="repaired-value@2 bad-number@2",
    ),
    Rule(
        "1.2", "quotes around Yes", T + 'InitialR2T "No"\n',
        "ignored the line",
        repair="t: InitialR2T=False", found="repaired-value@2", iet="t:", iet_found="repaired-value@2 bad-value@2",
    ),
    Rule(
        "1.2", "quotes around a server", 'iSNSServer "10.0.0.1"\n',
        "looked for a host of that name",
        repair="isns=10.0.0.1", found="repaired-value@1", iet='isns="10.0.0.1"',
    ),
    Rule(
        "1.2", "keywords in any letter case", "TARGET t\nlUn 0 PATH=/x\nincominguser a b\nWTHREADS 9\n",
        "compared them without regard to letter case",
        repair="t: 0=/x +a/b wthreads=9", starts=True,
    ),
    Rule(
        "1.2", "values in lower case", T + "InitialR2T no\nHeaderDigest crc32c\n",
        "ignored the lines",
        repair="t: HeaderDigest=('CRC32C',) InitialR2T=False", found="repaired-value@2 repaired-value@3", iet="t:",
    ),
    Rule(
        "1.2", "access control in lower case", "iSNSServer h\niSNSAccessControl yes\n",
        "accepted any letter case",
        repair="isns=h isns-access", starts=True,
    ),
    Rule(
        "1.2", "an equals sign for a blank", T + "InitialR2T=No\n",
        "knew no such keyword",
        repair="t: InitialR2T=False", found="joined-by-equals@2", iet="t:", iet_found="unknown-keyword@2",
        strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a colon behind a keyword", T + "InitialR2T: No\n",
        "knew no such keyword",
        repair="t: InitialR2T=False", found="joined-by-equals@2", iet="t:", iet_found="unknown-keyword@2",
        strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "an equals sign at the value", T + "MaxSessions =1\n",
        "read 0: no limit",
        repair="t: max_sessions=1", found="joined-by-equals@2", iet="t:", iet_found="joined-by-equals@2 bad-number@2",
    ),
    Rule(
        "1.2", "Target in two words", "Target a\nTar get b\n",
        "ignored the line",
        repair="a:", found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "an equals sign between blanks", T + "InitialR2T = No\n",
        "ignored a value it did not know",
        repair="t: InitialR2T=False", found="joined-by-equals@2", iet="t:",
        iet_found="joined-by-equals@2 bad-value@2 surplus-words@2",
    ),
    Rule(
        "1.2", "an equals sign behind Target", "Target a\nTarget=b\nLun 0 Path=/x\nIncomingUser j s\n",
        "gave the lines below to the target above",
        repair="a: +j/s", found="unclear-keyword@2", iet="a: 0=/x +j/s", iet_found="unknown-keyword@2",
        strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "an equals sign behind IncomingUser", T + "IncomingUser=a b\nIncomingUser= c d\n",
        "ignored the lines, which left the target open",
        repair="t: +a/b +c/d", found="joined-by-equals@2 joined-by-equals@3", iet="t:",
        iet_found="unknown-keyword@2 unknown-keyword@3", strict_found="unknown-keyword@2 unknown-keyword@3",
    ),
    Rule(
        "1.2", "an equals sign between the words of an account", T + "IncomingUser = joe secret\n",
        "had an account of the name =",
        repair="t: +joe/secret", found="joined-by-equals@2", iet="t: +=/joe",
        iet_found="joined-by-equals@2 surplus-words@2",
    ),
    Rule(
        "1.2", "a colon between the words of a restriction", T + "initiator-address : 10.0.0.1\n",
        "ignored the line, which left the target open",
        repair="t: from=10.0.0.1", found="borrowed-keyword@2 joined-by-equals@2", iet="t:",
        iet_found="unknown-keyword@2", strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a comma behind IncomingUser", T + "IncomingUser,a,hunter2\n",
        "ignored the line, which left the target open",
        repair="t: CLOSED", found="joined-by-equals@2 account-without-secret@2", iet="t:",
        iet_found="unknown-keyword@2", strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "words behind a value",
        T + "InitialR2T No way\nHeaderDigest CRC32C None\nWthreads 9 8\nAlias x y\niSNSServer h i\n",
        "ignored them",
        repair="isns=h; t: alias=x y wthreads=9 HeaderDigest=('CRC32C',) InitialR2T=False",
        found="surplus-words@2 surplus-words@3 surplus-words@4 surplus-words@6",
    ),
    Rule(
        "1.2", "words behind names and accounts", "Target t v\nIncomingUser a b c\nOutgoingUser a d c\n",
        "ignored them",
        repair="t: +a/b -a/d", found="surplus-words@1 surplus-words@2 surplus-words@3",
    ),
    Rule(
        "1.2", "an unknown keyword", "xyzzy\n" + T + "xyzzy 5\n",
        "ignored the line, wherever it stands",
        repair="t:", found="unknown-keyword@1 unknown-keyword@3",
    ),
    Rule(
        "1.2", "free text", T + "WARNING: do not touch\n",
        "ignored the line",
        repair="t:", found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a keyword of nobody with a neighbour", T + "MaxBurst 5\n",
        "ignored the line",
        repair="t:", found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a path where a keyword should be", T + "/dev/sdb fileio\n",
        "ignored the line",
        repair="t:", found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a misspelt key", T + "MaxBurstLenght 65536\n",
        "ignored the line",
        repair="t: MaxBurstLength=65536", found="misspelt-keyword@2", iet="t:", iet_found="unknown-keyword@2",
        strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a misspelt key with an equals sign", T + "InitialR2=No\n",
        "ignored the line",
        repair="t: InitialR2T=False", found="misspelt-keyword@2 joined-by-equals@2", iet="t:",
        iet_found="unknown-keyword@2", strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a misspelt Lun", T + "Luns 0 Path=/x\n",
        "ignored the line",
        repair="t:", found="unclear-keyword@2", iet_found="unknown-keyword@2", strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a misspelt Target",
        "Target a\nTargt b\nLun 1 Path=/x\nIncomingUser j s\nTarrget c\nIncomingUser k s\n",
        "gave the lines below to the target above",
        repair="a: +j/s +k/s", found="unclear-keyword@2 unclear-keyword@5", iet="a: 1=/x +j/s +k/s",
        iet_found="unknown-keyword@2 unknown-keyword@5", strict_found="unknown-keyword@2 unknown-keyword@5",
    ),
    Rule(
        "1.2", "MaxSessions below a misspelt Target", "Target a\nTargt b\nMaxSessions 2\n",
        "held the target above to it",
        repair="a: max_sessions=2", found="unclear-keyword@2", iet_found="unknown-keyword@2",
        strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a misspelt first Target", "Targt b\nLun 1 Path=/x\nIncomingUser j s\n",
        "gave the account to discovery",
        repair="CLOSED", found="unclear-keyword@1 stray-accounts@3", iet="+j/s",
        iet_found="unknown-keyword@1 outside-target@2", strict_found="unknown-keyword@1 outside-target@2",
    ),
    Rule(
        "1.2", "a misspelt MaxSessions does not widen", T + "MaxSessions 1\nMaxSesions 5\n",
        "held to the line it knew",
        repair="t: max_sessions=1", found="misspelt-keyword@3 repeated@3", iet_found="unknown-keyword@3",
        strict_found="unknown-keyword@3",
    ),
    Rule(
        "1.2", "a misspelt MaxSessions narrows", T + "MaxSesions 1\n",
        "admitted any number",
        repair="t: max_sessions=1", found="misspelt-keyword@2", iet="t:", iet_found="unknown-keyword@2",
        strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a misspelt iSNSAccessControl", "iSNSServer h\niSNSAccess Yes\n",
        "admitted everybody",
        repair="isns=h isns-access", found="unclear-keyword@2", iet="isns=h", iet_found="unknown-keyword@2",
        strict_found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a misspelt iSNSAccessControl that says No", "iSNSServer h\niSNSAccess No\n",
        "admitted everybody",
        repair="isns=h", found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "the file ends after Target X", "Target X",
        "lost the name",
        repair="X:", found="no-final-newline@1", iet="", iet_found="target-name@1 no-final-newline@1",
    ),
    Rule(
        "1.2", "the file ends after Target X and a blank", "Target X ",
        "kept the name, behind which a blank was",
        repair="X:", starts=True,
    ),
    Rule(
        "1.2", "the file ends after Target", T + "Target",
        "did nothing",
        repair="t:", found="no-final-newline@2 target-name@2", iet_found="no-final-newline@2",
    ),
    Rule(
        "1.2", "the file ends after Lun", T + "Lun 0 Path=/x",
        "read the rest of the line as it stood",
        repair="t: 0=/x", starts=True,
    ),
    Rule(
        "1.2", "the file ends after Wthreads", T + "Wthreads 16",
        "read the number",
        repair="t: wthreads=16", starts=True,
    ),
    Rule(
        "1.2", "the file ends after QueuedCommands", T + "QueuedCommands 64",
        "read the number",
        repair="t: queued_commands=64", starts=True,
    ),
    Rule(
        "1.2", "the file ends after NOPInterval", T + "NOPInterval 5",
        "read the number",
        repair="t: nop_interval=5 nop_timeout=5", starts=True,
    ),
    Rule(
        "1.2", "the file ends after MaxSessions", T + "MaxSessions 3",
        "read the number",
        repair="t: max_sessions=3", starts=True,
    ),
    Rule(
        "1.2", "the file ends after ImmediateData", T + "ImmediateData Yes",
        "crashed",
        repair="t: ImmediateData=True", found="no-final-newline@2",
    ),
    Rule(
        "1.2", "the file ends after MaxBurstLength", T + "MaxBurstLength 65536",
        "crashed",
        repair="t: MaxBurstLength=65536", found="no-final-newline@2",
    ),
    Rule(
        "1.2", "the file ends after HeaderDigest", T + "HeaderDigest None",
        "crashed",
        repair="t: HeaderDigest=('None',)", found="no-final-newline@2",
    ),
    Rule(
        "1.2", "the file ends after IncomingUser", T + "IncomingUser a b",
        "lost the secret and ignored the line",
        repair="t: +a/b", found="no-final-newline@2", iet="t:",
        iet_found="account-without-secret@2 no-final-newline@2",
    ),
    Rule(
        "1.2", "the file ends after a second secret", T + "IncomingUser a b\nIncomingUser a c",
        "knew the first secret only",
        repair="t: +a/b", found="same-user-twice@3 no-final-newline@3",
        iet_found="account-without-secret@3 no-final-newline@3",
    ),
    Rule(
        "1.2", "the file ends after OutgoingUser", T + "OutgoingUser a b",
        "lost the secret and ignored the line",
        repair="t: -a/b", found="no-final-newline@2", iet="t:",
        iet_found="account-without-secret@2 no-final-newline@2",
    ),
    Rule(
        "1.2", "the file ends after Alias", T + "Alias x",
        "never used an alias",
        repair="t: alias=x", starts=True,
    ),
    Rule(
        "1.2", "the file ends after iSNSServer", "iSNSServer 1.2.3.4",
        "crashed",
        repair="isns=1.2.3.4", found="no-final-newline@1",
    ),
    Rule(
        "1.2", "the file ends after an unknown keyword", T + "xyzzy",
        "ignored it",
        repair="t:", found="unknown-keyword@2",
    ),
    Rule(
        "1.2", "a session key alone", T + "ImmediateData\n",
        "crashed",
        repair="t:", found="missing-value@2",
    ),
    Rule(
        "1.2", "iSNSServer alone", "iSNSServer\n",
        "crashed",
        found="missing-value@1",
    ),
    Rule(
        "1.2", "iSNSServer alone, with access control", "iSNSServer\niSNSAccessControl Yes\n" + T,
        "crashed",
        repair="isns-access; t: CLOSED", found="missing-value@1 access-control-alone@2",
    ),
    Rule(
        "1.2", "iSNSAccessControl alone", "iSNSServer h\niSNSAccessControl\n" + T,
        "crashed",
        repair="isns=h isns-access; t:", found="missing-value@2", iet="isns=h; t:",
    ),
    Rule(
        "1.2", "a target key alone", T + "Wthreads\n",
        "took 0, so the minimum",
        repair="t:", found="missing-value@2", iet="t: wthreads=1", iet_found="missing-value@2 out-of-range@2",
    ),
    Rule(
        "1.2", "MaxSessions alone", T + "MaxSessions\n",
        "took 0: no limit",
        repair="t:", found="missing-value@2",
    ),
    Rule(
        "1.2", "Lun alone", T + "Lun\n",
        "refused a LUN 0 without parameters",
        repair="t:", found="lun-number@2",
    ),
    Rule(
        "1.2", "IncomingUser alone", T + "IncomingUser\n",
        "ignored the line, which left the target open",
        repair="t: CLOSED", found="account-without-secret@2", iet="t:",
    ),
    Rule(
        "1.2", "OutgoingUser alone", T + "IncomingUser a b\nOutgoingUser\n",
        "ignored the line",
        repair="t: +a/b", found="empty-outgoinguser@3",
    ),
    Rule(
        "1.2", "Alias alone", T + "Alias\n",
        "never used an alias",
        repair="t:", starts=True,
    ),
    Rule(
        "1.2", "Compat too late", T + "Compat strict\n",
        "knew no such keyword",
        repair="t:", found="compat-line@2",
    ),
    Rule(
        "1.2", "Compat with no mode", "Compat easy\n" + T,
        "knew no such keyword",
        repair="t:", found="compat-line@1",
    ),
    Rule(
        "1.2", "Compat alone", "Compat\n" + T,
        "knew no such keyword",
        repair="t:", found="compat-line@1",
    ),
    Rule(
        "1.2", "a misspelt Compat", "Compt strict\n" + T,
        "knew no such keyword",
        repair="t:", found="unclear-keyword@1", iet_found="unknown-keyword@1", strict_found="unknown-keyword@1",
    ),
)
