"""``ietpy completion``: what has a shell complete our words, options and the names of targets."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ietpy.cli.ietpy import main

_VARIABLE = "_IETPY_COMPLETE"  #: click's, by which the script asks


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what has SHELL complete commands, options, names of targets and sessions of ietpy.

    \b
    bash: ietpy completion bash > /etc/bash_completion.d/ietpy
    zsh:  ietpy completion zsh > "${fpath[1]}/_ietpy"
    fish: ietpy completion fish > ~/.config/fish/completions/ietpy.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    # bash's own would ask the bash that is installed for its version; this one is for wherever it is read.
    script = kind(main, {}, "ietpy", _VARIABLE)
    click.echo(script.source_template % script.source_vars())
