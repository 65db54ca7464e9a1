"""Whose lines these are (iet-compat 1.3), and names of targets (1.4)."""

from __future__ import annotations

from typing import Final

from .rule import Rule, T

RULES: Final = (
    Rule(
        "1.3", "lines before the first Target",
        "Lun 0 Path=/x\nAlias a\nMaxSessions 1\nWthreads 9\nInitialR2T No\n" + T,
        "ignored them",
        repair="t:", found="outside-target@1 outside-target@2 outside-target@3 outside-target@4 outside-target@5",
    ),
    Rule(
        "1.3", "accounts before the first Target", "IncomingUser a b\nOutgoingUser c d\n" + T,
        "took them for discovery",
        repair="+a/b -c/d; t:", starts=True,
    ),
    Rule(
        "1.3", "iSNS within a target", T + "iSNSServer h\niSNSAccessControl Yes\n",
        "honoured it anywhere",
        repair="isns=h isns-access; t:", starts=True,
    ),
    Rule(
        "1.3", "two iSNS servers", "iSNSServer g\n" + T + "iSNSServer h\n",
        "took the last",
        repair="isns=h; t:", found="repeated@3", starts=True,
    ),
    Rule(
        "1.3", "access control once Yes", "iSNSServer h\niSNSAccessControl Yes\niSNSAccessControl No\n",
        "did not switch it off again",
        repair="isns=h isns-access", found="repeated@3", starts=True,
    ),
    Rule(
        "1.3", "access control first No", "iSNSServer h\niSNSAccessControl No\niSNSAccessControl Yes\n",
        "switched it on",
        repair="isns=h isns-access", found="repeated@3", starts=True,
    ),
    Rule(
        "1.3", "the order of lines in a target",
        T + "IncomingUser a b\nWthreads 9\nLun 1 Path=/y\nInitialR2T No\nLun 0 Path=/x\n",
        "did not care",
        repair="t: 1=/y 0=/x +a/b wthreads=9 InitialR2T=False", starts=True,
    ),
    Rule(
        "1.3", "the last of a repeated key",
        T + "Wthreads 9\nWthreads 10\nWthreads 10\nInitialR2T No\nInitialR2T Yes\nMaxSessions 1\nMaxSessions 5\n",
        "took the last",
        repair="t: max_sessions=5 wthreads=10 InitialR2T=True", found="repeated@3 repeated@6 repeated@8", starts=True,
    ),
    Rule(
        "1.3", "LUNs and accounts gather", T + "Lun 0 Path=/x\nIncomingUser a b\nLun 1 Path=/y\nIncomingUser c d\n",
        "kept all",
        repair="t: 0=/x 1=/y +a/b +c/d", starts=True,
    ),
    Rule(
        "1.3", "Target without a name", T + "Target\nLun 0 Path=/x\nInitialR2T No\nIncomingUser a b\n",
        "ignored the lines below and gave the account to discovery",
        repair="CLOSED; t:", found="target-name@2 stray-accounts@5",
    ),
    Rule(
        "1.3", "Target without a name, half an account", "Target\nIncomingUser a\n",
        "ignored the line, which left discovery open",
        found="target-name@1 account-without-secret@2",
    ),
    Rule(
        "1.3", "Target without a name, an equals sign in the account", "Target\nIncomingUser = a\n",
        "gave an account of the name = to discovery",
        repair="CLOSED", found="target-name@1 account-without-secret@2 stray-accounts@2 joined-by-equals@2",
        iet_found="target-name@1 stray-accounts@2 joined-by-equals@2",
    ),
    Rule(
        "1.3", "Target without a name, an outgoing account", "Target\nOutgoingUser a b\n",
        "gave it to discovery, which stayed open",
        found="target-name@1",
    ),
    Rule(
        "1.3", "Target without a name, an account in older words", "Target\nUser a b\n",
        "ignored the line, which left discovery open",
        found="target-name@1 borrowed-keyword@2", iet_found="target-name@1 unknown-keyword@2",
        strict_found="target-name@1 unknown-keyword@2",
    ),
    Rule(
        "1.3", "Target without a name, discovery has accounts",
        "IncomingUser x y\nTarget\nIncomingUser a b\nIncomingUser c d\n",
        "let a and c discover, too",
        repair="+x/y", found="target-name@2",
    ),
    Rule(
        "1.3", "a second block",
        "Target A\nLun 0 Path=/x\nTarget a\nLun 0 Path=/y\nLun 1 Path=/z\nIncomingUser j s\nWthreads 9\n",
        "ignored its LUNs and keys and added its accounts to the first block",
        repair="A: 0=/x 1=/z +j/s wthreads=9", found="duplicate-target@3 duplicate-lun@4", iet="A: 0=/x +j/s",
        iet_found="duplicate-target@3",
    ),
    Rule(
        "1.3", "a second block does not widen MaxSessions", "Target t\nMaxSessions 1\nTarget T\nMaxSessions 0\n",
        "ignored the second line",
        repair="t: max_sessions=1", found="duplicate-target@3 repeated@4", iet_found="duplicate-target@3",
    ),
    Rule(
        "1.3", "a second block narrows MaxSessions", "Target t\nLun 0 Path=/x\nTarget t\nMaxSessions 2\n",
        "ignored the line",
        repair="t: 0=/x max_sessions=2", found="duplicate-target@3", iet="t: 0=/x",
    ),
    Rule(
        "1.3", "a second block with half an account", "Target t\nTarget t\nIncomingUser a\n",
        "ignored the line, which left the target open",
        repair="t: CLOSED", found="duplicate-target@2 account-without-secret@3", iet="t:",
    ),
    Rule(
        "1.3", "targets are numbered in file order", "Target b\nTarget a\nTarget B\nTarget c\n",
        "gave them the numbers 1, 2 and 3",
        repair="b:; a:; c:", found="duplicate-target@3",
    ),
    Rule(
        "1.3", "a target that cannot be, with accounts",
        "Target " + "x" * 256 + "\nLun 0 Path=/x\nIncomingUser a b\n",
        "cut the name after 255 bytes",
        found="target-name@1", iet="x" * 255 + ": 0=/x +a/b",
    ),
    Rule(
        "1.4", "names that are no iSCSI names", "Target image_1\nTarget iqn:2006-03.com.Example:X\nTarget EUI\n",
        "accepted any word and kept it as written",
        repair="image_1:; iqn:2006-03.com.Example:X:; EUI:", starts=True,
    ),
    Rule(
        "1.4", "a name of 223 bytes", "Target " + "x" * 223 + "\n",
        "accepted it",
        repair="x" * 223 + ":", starts=True,
    ),
    Rule(
        "1.4", "a name of 224 bytes", "Target " + "x" * 224 + "\n",
        "accepted up to 255 bytes",
        repair="x" * 224 + ":", found="long-target-name@1", starts=True,
    ),
    Rule(
        "1.4", "a name of 256 bytes", "Target " + "x" * 256 + "\n",
        "cut it after 255 bytes",
        found="target-name@1", iet="x" * 255 + ":",
    ),
)
