"""Lun lines (iet-compat 1.6, 1.8) and their parameters (2.3)."""

from __future__ import annotations

from typing import Final

from .rule import Rule, lun

RULES: Final = (
    Rule(
        "1.6", "path only", lun("Lun 0 Path=/x"),
        "served it",
        repair="t: 0=/x", starts=True,
    ),
    Rule(
        "1.6", "a comma behind the number", lun("Lun 1,Path=/x"),
        "skipped the empty item",
        repair="t: 1=/x", starts=True,
    ),
    Rule(
        "1.6", "no number", lun("Lun Path=/x"),
        "took it as LUN 0",
        repair="t: 0=/x", found="lun-without-number@2",
    ),
    Rule(
        "1.6", "the highest number", lun("Lun 16383 Path=/x"),
        "served it",
        repair="t: 16383=/x", starts=True,
    ),
    Rule(
        "1.6", "16384", lun("Lun 16384 Path=/x"),
        "refused it: EINVAL",
        repair="t:", found="lun-number@2",
    ),
    Rule(
        "1.6", "a negative number", lun("Lun -1 Path=/x"),
        "refused it: EINVAL",
        repair="t:", found="lun-number@2",
    ),
    Rule(
        "1.6", "minus zero", lun("Lun -0 Path=/x"),
        "read 0",
        repair="t: 0=/x", starts=True,
    ),
    Rule(
        "1.6", "a number of 4000 digits", lun("Lun " + "9" * 4000 + " Path=/x"),
        "refused it: EINVAL",
        repair="t:", found="lun-number@2",
    ),
    Rule(
        "1.6", "leading zeros", lun("Lun 010 Path=/x"),
        "read the number as decimal",
        repair="t: 10=/x", starts=True,
    ),
    Rule(
        "1.6", "hexadecimal", lun("Lun 0x2 Path=/x"),
        "took x2 for the beginning of a parameter and refused it",
        repair="t:", found="lun-refused@2 lun-repaired@2", iet_found="lun-refused@2",
    ),
    Rule(
        "1.6", "gaps, and no LUN 0", lun("Lun 5 Path=/x\nLun 3 Path=/y"),
        "allowed them",
        repair="t: 5=/x 3=/y", starts=True,
    ),
    Rule(
        "1.6", "one number twice", lun("Lun 0 Path=/x\nLun 0 Path=/y,IOMode=ro"),
        "served the first: EEXIST",
        repair="t: 0=/x", found="duplicate-lun@3",
    ),
    Rule(
        "1.6", "one number twice, the first refused", lun("Lun 0 Path=/x,ro\nLun 0 Path=/y"),
        "served the second",
        repair="t: 0=/y", found="lun-refused@2",
    ),
    Rule(
        "1.6", "number only", lun("Lun 0"),
        "refused it: EINVAL",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.6", "empty items", lun("Lun 0,,Path=/x,,"),
        "skipped them",
        repair="t: 0=/x", starts=True,
    ),
    Rule(
        "1.6", "nothing but blanks between commas", lun("Lun 0 Path=/x, ,IOMode=ro"),
        "refused it",
        repair="t: 0=/x(ro)", found="lun-repaired@2", iet="t:", iet_found="lun-refused@2",
    ),
    Rule(
        "1.6", "blanks at both ends", lun("Lun  0   Path=/x, \t"),
        "trimmed them",
        repair="t: 0=/x", starts=True,
    ),
    Rule(
        "1.6", "a blank behind a comma", lun("Lun 0 Path=/x, Type=blockio"),
        "refused it: the parameter ' Type' is unknown",
        repair="t: 0=/x(blockio)", found="lun-repaired@2", iet="t:", iet_found="lun-refused@2",
    ),
    Rule(
        "1.6", "blanks around an equals sign", lun("Lun 0 Path = /x,IOMode= ro"),
        "refused it",
        repair="t: 0=/x(ro)", found="lun-repaired@2 lun-repaired@2", iet="t:",
        iet_found="lun-refused@2 lun-refused@2",
    ),
    Rule(
        "1.6", "a blank for a comma", lun("Lun 0 Path=/x IOMode=ro"),
        "looked for a file of that name",
        repair="t: 0=/x(ro)", found="lun-repaired@2", iet="t: 0=/x IOMode=ro(ro)", iet_found="missing-comma@2",
    ),
    Rule(
        "1.6", "a blank for a comma, in a serial number", lun("Lun 0 Path=/x,ScsiSN=7 IOMode=ro"),
        "served it writable, with all of it as serial number",
        repair="t: 0=/x(ro,sn=7 IOMode=ro)", found="identity-kept@2 lun-repaired@2", iet_found="missing-comma@2",
    ),
    Rule(
        "1.6", "a blank before something like IOMode, in a serial number", lun("Lun 0 Path=/x,ScsiSN=7 IOMod=ro"),
        "served it writable, with all of it as serial number",
        repair="t: 0=/x(ro,sn=7 IOMod=ro)", found="missing-comma@2",
    ),
    Rule(
        "1.6", "a blank before IOMode=wt, in a serial number", lun("Lun 0 Path=/x,ScsiSN=7 IOMode=wt"),
        "served it, with all of it as serial number",
        repair="t: 0=/x(sn=7 IOMode=wt)", found="identity-kept@2 lun-repaired@2", iet_found="missing-comma@2",
    ),
    Rule(
        "1.6", "a blank for a comma, in an identifier", lun("Lun 0 Path=/x,ScsiId=7 Type=x"),
        "took all of it for the identifier",
        repair="t:", found="lun-repaired@2 lun-refused@2", iet="t: 0=/x(id=7 Type=x)", iet_found="missing-comma@2",
    ),
    Rule(
        "1.6", "parameters in any letter case", lun("Lun 0 path=/x,TYPE=blockio,iomode=ro"),
        "since 1.4.20 served it",
        repair="t: 0=/x(blockio,ro)", starts=True,
    ),
    Rule(
        "1.6", "values in upper case", lun("Lun 0 Path=/x,Type=FileIO,IOMode=RO"),
        "refused it",
        repair="t: 0=/x(ro)", found="lun-repaired@2 lun-repaired@2", iet="t:",
        iet_found="lun-refused@2 lun-refused@2",
    ),
    Rule(
        "1.6", "blanks and equals signs in a path", lun("Lun 0 Path=/a b=c"),
        "took the value up to the comma",
        repair="t: 0=/a b=c", starts=True,
    ),
    Rule(
        "1.6", "an empty value", lun("Lun 0 Path=/x,ScsiId="),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.6", "a name without a value", lun("Lun 0 Path"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.6", "a bare word", lun("Lun 0 Path=/x,ro"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.6", "a misspelt parameter", lun("Lun 0 Path=/x,IOMod=ro"),
        "refused it",
        repair="t: 0=/x(ro)", found="lun-repaired@2", iet="t:", iet_found="lun-refused@2",
    ),
    Rule(
        "1.6", "an unknown parameter", lun("Lun 0 Path=/x,ReadOnly=Yes"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.6", "a parameter of a fork", lun("Lun 0 Path=/x,Dest=MA"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.6", "two paths", lun("Lun 0 Path=/x,Path=/y"),
        "refused it: EINVAL",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.6", "two types", lun("Lun 0 Path=/x,Type=nullio,Type=fileio"),
        "took the last",
        repair="t: 0=/x", found="repeated@2", starts=True,
    ),
    Rule(
        "1.6", "IOMode gathers", lun("Lun 0 Path=/x,IOMode=wb,IOMode=ro,IOMode=wt"),
        "served it read-only, with WCE set",
        repair="t: 0=/x(ro,wb)", starts=True,
    ),
    Rule(
        "1.6", "an identity twice", lun("Lun 0 Path=/x,ScsiId=abcdef,ScsiId=xy,ScsiSN=123,ScsiSN=9"),
        "copied the second over the beginning of the first",
        repair="t: 0=/x(id=xycdef,sn=923)", found="identity-overlaid@2 identity-overlaid@2",
    ),
    Rule(
        "1.6", "a bad type, then ScsiId", lun("Lun 0 Type=bogus,ScsiId=x,Path=/f"),
        "forgot the mistake and served a fileio LUN",
        repair="t:", found="lun-refused@2", iet="t: 0=/f(id=x)", iet_found="lun-refused@2 lun-error-cleared@2",
    ),
    Rule(
        "1.6", "a bad IOMode, then ScsiSN", lun("Lun 0 IOMode=xx,ScsiSN=1,Path=/f"),
        "forgot the mistake and served it wt; never copied: it is read-only",
        repair="t:", found="lun-refused@2", iet="t: 0=/f(ro,sn=1)", iet_found="lun-refused@2 lun-error-cleared@2",
    ),
    Rule(
        "1.6", "ScsiId, then a bad type", lun("Lun 0 ScsiId=x,Type=bogus,Path=/f"),
        "refused it: ENOENT",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.6", "a bad IOMode", lun("Lun 0 Path=/x,IOMode=readonly"),
        "refused it: EINVAL; up to 1.4.19 ignored the mode",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.6", "a relative path", lun("Lun 0 Path=x"),
        "took it from /, with -f from where it was started",
        repair="t: 0=x", found="relative-path@2", starts=True,
    ),
    Rule(
        "1.6", "a quoted path", lun('Lun 0 Path="/a b"'),
        "took the quotes for part of a relative path",
        repair="t: 0=/a b", found="lun-repaired@2", iet='t: 0="/a b"', iet_found="lun-repaired@2 relative-path@2",
    ),
    Rule(
        "1.6", "a comment", lun("Lun 0 Path=/x # the first, IOMode=ro"),
        "refused it",
        repair="t: 0=/x", found="comment-after-lun@2", iet="t:", iet_found="comment-after-lun@2 lun-refused@2",
    ),
    Rule(
        "1.6", "a comment in a path", lun("Lun 0 Path=/x #c"),
        "looked for a file of that name",
        repair="t: 0=/x", found="comment-after-lun@2", iet="t: 0=/x #c",
    ),
    Rule(
        "1.6", "a comment in a serial number", lun("Lun 0 Path=/x,ScsiSN=7 # c"),
        "took it for part of the serial number",
        repair="t: 0=/x(sn=7 # c)", found="identity-kept@2 comment-after-lun@2", iet_found="comment-after-lun@2",
    ),
    Rule(
        "1.6", "a backslash at the end", lun("Lun 1 Path=/x,\\\nType=fileio,IOMode=ro"),
        "knew no continuation and refused it",
        repair="t: 1=/x(ro)", found="continued-line@2", iet="t:", iet_found="lun-refused@2 unknown-keyword@3",
    ),
    Rule(
        "1.6", "a backslash without a comma", lun("Lun 1 Path=/x \\\n  IOMode = ro"),
        "looked for a file whose name ends with a backslash",
        repair="t: 1=/x(ro)", found="continued-line@2 lun-repaired@2", iet="t: 1=/x \\",
        iet_found="unknown-keyword@3",
    ),
    Rule(
        "1.6", "two backslashes", lun("Lun 1 Path=/x \\\nScsiSN=7 \\\nIOMode=ro"),
        "looked for a file whose name ends with a backslash",
        repair="t: 1=/x(ro)", found="continued-line@2 identity-kept@2", iet="t: 1=/x \\",
        iet_found="unknown-keyword@3 unknown-keyword@4",
    ),
    Rule(
        "1.6", "a backslash before a misspelt parameter", lun("Lun 1 Path=/x,ScsiSN=7 \\\nIOMod=ro"),
        "served it writable, with the backslash in the serial number",
        repair="t: 1=/x(ro,sn=7 \\)", found="continued-line@2 identity-kept@2 lun-repaired@2", iet="t: 1=/x(sn=7 \\)",
        iet_found="unknown-keyword@3",
    ),
    Rule(
        "1.6", "a backslash in a serial number", lun("Lun 1 Path=/x,ScsiSN=7 \\\nIOMode=ro"),
        "served it writable, with the backslash in the serial number",
        repair="t: 1=/x(ro,sn=7 \\)", found="continued-line@2 identity-kept@2", iet="t: 1=/x(sn=7 \\)",
        iet_found="unknown-keyword@3",
    ),
    Rule(
        "1.6", "a backslash before an account", lun("Lun 1 Path=/x\\\nIncomingUser a b"),
        "took it for the end of the path",
        repair="t: 1=/x\\ +a/b", starts=True,
    ),
    Rule(
        "1.6", "a backslash before a comment", lun("Lun 1 Path=/x\\\n#\nBlockSize=512"),
        "took it for the end of the path",
        repair="t: 1=/x\\", found="unknown-keyword@4",
    ),
    Rule(
        "1.6", "a backslash at the end of the file", lun("Lun 1 Path=/x\\"),
        "took it for the end of the path",
        repair="t: 1=/x\\", starts=True,
    ),
    Rule(
        "2.3", "everything", lun("Lun 1 Path=/x,Type=fileio,ScsiId=id,ScsiSN=s n,IOMode=wb,BlockSize=4096"),
        "served it",
        repair="t: 1=/x(wb,4096,id=id,sn=s n)", starts=True,
    ),
    Rule(
        "2.3", "no path", lun("Lun 0 Type=fileio"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "blockio without a path", lun("Lun 0 Type=blockio"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "an unknown type", lun("Lun 0 Path=/x,Type=block"),
        "refused it: ENOENT",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "ScsiId of 16 bytes", lun("Lun 0 Path=/x,ScsiId=0123456789abcdef"),
        "served it",
        repair="t: 0=/x(id=0123456789abcdef)", starts=True,
    ),
    Rule(
        "2.3", "ScsiId of 17 bytes", lun("Lun 0 Path=/x,ScsiId=0123456789abcdef0"),
        "refused it: EINVAL",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "ScsiSN of 32 characters", lun("Lun 0 Path=/x,ScsiSN=" + "x" * 32),
        "since 1.4.20 served it",
        repair="t: 0=/x(sn=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx)", starts=True,
    ),
    Rule(
        "2.3", "ScsiSN of 33 characters", lun("Lun 0 Path=/x,ScsiSN=" + "x" * 33),
        "refused it: EINVAL",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "ScsiSN that is no printable ASCII", lun("Lun 0 Path=/x,ScsiSN=\u00e9"),
        "refused it: EINVAL",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "quotes around an identity", lun('Lun 0 Path=/x,ScsiId="a",ScsiSN="7"'),
        "took the quotes for part of both",
        repair='t: 0=/x(id="a",sn="7")', found="quotes@2 quotes@2", starts=True,
    ),
    Rule(
        "2.3", "wb with blockio", lun("Lun 0 Path=/x,Type=blockio,IOMode=wb"),
        "accepted it and showed wt",
        repair="t: 0=/x(blockio)", found="no-effect@2", starts=True,
    ),
    Rule(
        "2.3", "BlockSize 512", lun("Lun 0 Path=/x,BlockSize=512"),
        "served it",
        repair="t: 0=/x(512)", starts=True,
    ),
    Rule(
        "2.3", "BlockSize 1024", lun("Lun 0 Path=/x,BlockSize=1024"),
        "served it",
        repair="t: 0=/x(1024)", starts=True,
    ),
    Rule(
        "2.3", "BlockSize 2048", lun("Lun 0 Path=/x,BlockSize=2048"),
        "served it",
        repair="t: 0=/x(2048)", starts=True,
    ),
    Rule(
        "2.3", "BlockSize 4096", lun("Lun 0 Path=/x,BlockSize=4096"),
        "served it",
        repair="t: 0=/x(4096)", starts=True,
    ),
    Rule(
        "2.3", "BlockSize 1000", lun("Lun 0 Path=/x,BlockSize=1000"),
        "refused it: EINVAL",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "BlockSize 8192", lun("Lun 0 Path=/x,BlockSize=8192"),
        "refused it: EINVAL",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "BlockSize 0x1000", lun("Lun 0 Path=/x,BlockSize=0x1000"),
        "refused it: EINVAL",
        repair="t: 0=/x(4096)", found="lun-repaired@2", iet="t:", iet_found="lun-refused@2",
    ),
    Rule(
        "2.3", "BlockSize 4k", lun("Lun 0 Path=/x,BlockSize=4k"),
        "ignored it",
        repair="t: 0=/x", found="lun-parameter-ignored@2",
    ),
    Rule(
        "2.3", "BlockSize that is no number", lun("Lun 0 Path=/x,BlockSize=big"),
        "ignored it",
        repair="t: 0=/x", found="lun-parameter-ignored@2",
    ),
    Rule(
        "2.3", "BlockSize in quotes", lun('Lun 0 Path=/x,BlockSize="4096"'),
        "ignored it",
        repair="t: 0=/x", found="quotes@2 lun-parameter-ignored@2",
    ),
    Rule(
        "2.3", "BlockSize with a comment", lun("Lun 0 Path=/x,BlockSize=4096 # c"),
        "ignored it",
        repair="t: 0=/x", found="identity-kept@2 comment-after-lun@2",
        iet_found="comment-after-lun@2 lun-parameter-ignored@2",
    ),
    Rule(
        "2.3", "nullio", lun("Lun 1 Blocks=10000,BlockSize=4096,Type=nullio"),
        "served it",
        repair="t: 1=(nullio,4096,Blocks=10000)", starts=True,
    ),
    Rule(
        "2.3", "nullio by its older key", lun("Lun 1 Type=nullio,Sectors=5"),
        "served it",
        repair="t: 1=(nullio,Sectors=5)", starts=True,
    ),
    Rule(
        "2.3", "nullio of the default size", lun("Lun 1 Type=nullio,Blocks=0"),
        "served 64 GiB",
        repair="t: 1=(nullio,Blocks=0)", starts=True,
    ),
    Rule(
        "2.3", "nullio with a suffix", lun("Lun 0 Type=nullio,Blocks=1M"),
        "is not known to have read it; refused, to be safe",
        repair="t: 0=(nullio,Blocks=1048576)", found="lun-repaired@2", iet="t:", iet_found="lun-refused@2",
    ),
    Rule(
        "2.3", "nullio with no number", lun("Lun 0 Type=nullio,Blocks=many"),
        "is not known to have read it; refused, to be safe",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "nullio with a path", lun("Lun 0 Path=/x,Type=nullio"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "nullio with IOMode", lun("Lun 0 Type=nullio,IOMode=ro"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "fileio with Blocks", lun("Lun 0 Path=/x,Blocks=5"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "2.3", "blockio with Sectors", lun("Lun 0 Path=/x,Type=blockio,Sectors=5"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.8", "a positional path", lun("Lun 0 /dev/hdc"),
        "up to 0.4.0 served it; since 0.4.8 refused it",
        repair="t: 0=/dev/hdc", found="positional-lun@2", iet="t:", iet_found="lun-refused@2",
    ),
    Rule(
        "1.8", "a positional path with a type", lun("Lun 0 /dev/hdc blockio"),
        "up to 0.4.0 served it; since 0.4.8 refused it",
        repair="t: 0=/dev/hdc(blockio)", found="positional-lun@2", iet="t:", iet_found="lun-refused@2",
    ),
    Rule(
        "1.8", "a positional path with a parameter", lun("Lun 0 /dev/hdc,IOMode=ro"),
        "refused it",
        repair="t: 0=/dev/hdc(ro)", found="positional-lun@2", iet="t:", iet_found="lun-refused@2",
    ),
    Rule(
        "1.8", "a positional path with an unknown type", lun("Lun 0 /dev/hdc diskio"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.8", "a positional path that is to be read-only", lun("Lun 0 /dev/hdc fileio ro"),
        "refused it",
        repair="t:", found="lun-refused@2",
    ),
    Rule(
        "1.8", "a positional path with a no-break space", lun("Lun 0 /a\u00a0b"),
        "refused it",
        repair="t: 0=/a\xa0b", found="positional-lun@2", iet="t:", iet_found="lun-refused@2",
    ),
)
