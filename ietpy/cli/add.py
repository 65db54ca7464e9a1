"""``ietpy add``: targets, LUNs, users and portals for the daemon that serves, at once and, if asked, for good."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from typing import Any, Final

import click

from ietpy import images
from ietpy.cli import completing
from ietpy.cli.changing import (
    DISCOVERY,
    Change,
    check_account,
    finish,
    options,
    prepare,
    scope,
    secret_from,
    served,
)
from ietpy.cli.control import ask_daemon
from ietpy.cli.output import in_bytes
from ietpy.config.findings import printable
from ietpy.errors import AdminError, UsageError

_HIGHEST_LUN: Final = 16383
#: The three kinds of iSCSI names (RFC 7143 section 4.2.7), as far as somebody may have misspelt one.
_NAME: Final = re.compile(
    r"iqn\.[0-9]{4}-[0-9]{2}\.[a-z0-9][a-z0-9.-]*(:\S+)?|eui\.[0-9A-Fa-f]{16}|naa\.([0-9A-Fa-f]{16}){1,2}"
)


@click.group("add")
def command() -> None:
    """Add a target, a LUN, a user or a portal to what the daemon serves.

    It takes effect at once, and holds until the daemon is restarted; with --save it is written into ietd.conf, too,
    whose comments stay.
    """


@command.command("target")
@click.argument("name")
@options
def target(name: str, save: bool, as_json: bool) -> None:
    """Serve a target, NAME being one such as iqn.2010-06.net.example:disk1. It has no LUN yet."""
    check_name(name)
    prepare(save)
    tid: int = ask_daemon("create-target", tid=0, name=name)
    sentence = f"target {name} is there; ietpy add lun gives it a disk, ietpy add user asks its initiators for a secret"
    finish(Change("added", "target", name, tid), sentence, save, as_json)


def check_name(name: str) -> None:
    """Raise UsageError unless it is an iSCSI name, with one that is."""
    if _NAME.fullmatch(name):
        return
    if _NAME.fullmatch(name.lower()):
        better = name.lower()
    else:
        word = name.rpartition(":")[2] or "disk1"
        better = images.target_name(word, os.uname().nodename)
    raise UsageError(
        f"{printable(name)!r} is no iSCSI name: that is iqn., year and month, a domain of yours in reverse and after a"
        f" colon what you like; here {better} would be one"
    )


@command.command("lun")
@click.argument("target", shell_complete=completing.targets)
@click.argument("path", type=click.Path())
@click.option(
    "--lun", "number", type=click.IntRange(0, _HIGHEST_LUN), help="Its number; default: the lowest that is free."
)
@click.option(
    "--type", "kind", type=click.Choice(["fileio", "blockio"]), help="Default: blockio for a block device, else fileio."
)
@click.option("--read-only", is_flag=True, help="Nobody may write.")
@click.option("--write-back", is_flag=True, help="Answer writes when they are in memory (IOMode=wb).")
@click.option("--option", "more", multiple=True, metavar="NAME=VALUE", help="A further parameter of the Lun line.")
@options
def lun(
    target: str, path: str, number: int | None, kind: str | None, read_only: bool, write_back: bool,
    more: tuple[str, ...], save: bool, as_json: bool,
) -> None:
    """Serve the file or block device PATH as a LUN of TARGET, which may be the end of its name.

    Initiators that are logged in are told. Everything else a Lun line may say goes with --option, as in
    ietd.conf(5): --option ScsiSN=disk7.
    """
    if read_only and write_back:
        raise UsageError("--read-only and --write-back exclude each other; leave one out")
    found = served(target)
    path = images.expressible(path)
    kind = kind or kind_of(path)
    mode = ["IOMode=ro"] if read_only else ["IOMode=wb"] if write_back else []
    parameters = ",".join((f"Path={path}", f"Type={kind}", *mode, *more))
    prepare(save)
    number = _lowest(found, parameters) if number is None else _create(found, number, parameters)
    size = next(each["size"] for each in served(found["name"])["luns"] if each["number"] == number)
    sentence = f"LUN {number} of {found['name']} is {path}, {in_bytes(size)}"
    finish(Change("added", "lun", found["name"], found["tid"], number, path), sentence, save, as_json)


def _create(target: Mapping[str, Any], number: int, parameters: str) -> int:
    ask_daemon("create-lun", tid=target["tid"], lun=number, parameters=parameters)
    return number


def _lowest(target: Mapping[str, Any], parameters: str) -> int:
    """Serve a LUN with the lowest number that is free; others may take it between a look and that. The number."""
    taken = {each["number"] for each in target["luns"]}
    while True:
        number = next(each for each in range(len(taken) + 1) if each not in taken)
        try:
            return _create(target, number, parameters)
        except AdminError as problem:
            if problem.code != errno.EEXIST:
                raise
        taken.add(number)


def kind_of(path: str) -> str:
    """The type of a LUN with ``path`` behind it. Raises UsageError, with how to make what is missing."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise UsageError(f"there is no {path}; ietpy mkimage --size 10G {path} makes an image") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be looked at: {error.strerror}; --type says what it is") from None
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a directory; name an image in it, which ietpy mkimage makes")
    return "blockio" if stat.S_ISBLK(mode) else "fileio"


@command.command("user")
@click.argument("target", shell_complete=completing.targets)
@click.argument("name")
@click.option(
    "--secret-from", "source", metavar="FILE|-|generated",
    help="Where the secret is: in a file's first line, on standard input, or to be made up; else it is asked for.",
)
@click.option("--outgoing", is_flag=True, help="The account by which the target authenticates itself (mutual CHAP).")
@options
def user(target: str, name: str, source: str | None, outgoing: bool, save: bool, as_json: bool) -> None:
    """Have initiators of TARGET log in as NAME, by CHAP. From the next login on nobody gets in without an account.

    TARGET may be the end of its name, or the word discovery. No secret is taken from the command line, where all could
    read it, and none is printed but one that --secret-from generated makes, once.
    """
    tid, known = scope(target)
    prepare(save)
    secret, made = secret_from(source, f"{name} of {known}")
    if made and as_json:
        raise UsageError("a generated secret is in no JSON; leave out --json, or pipe ietpy secret to --secret-from -")
    check_account(name, secret)
    ask_daemon("create-account", tid=tid, outgoing=outgoing, name=name, secret=secret)
    if made:
        click.echo("the secret, which is told only here:", err=True)
        click.echo(secret)
    what = f"{known} authenticates itself as {name}" if outgoing else f"{name} may log in to {known}"
    change = Change("added", "user", None if known == DISCOVERY else known, tid or None, user=name, outgoing=outgoing)
    finish(change, what if tid else f"{what} (discovery sessions)", save, as_json)


@command.command("portal")
@click.argument("portal", metavar="ADDR[:PORT]")
@click.option("--group", type=click.IntRange(1, 65535), default=1, show_default=True, help="The portal group's tag.")
@options
def portal(portal: str, group: int, save: bool, as_json: bool) -> None:
    """Listen at ADDR, too: an address (IPv6 in brackets), or the name of an interface."""
    from ietpy.cli import portal_changes

    new = portal_changes.portal(portal, group)
    prepare(save)
    portal_changes.add(new)
    change = Change("added", "portal", portal=str(new), group=group)
    finish(change, f"the daemon listens at {new}, too, in portal group {group}", save, as_json)
