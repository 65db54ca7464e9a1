"""Sphinx's configuration: the site and the man pages, of the same pages. ``docs/build`` runs it.

The source is the directory above this one, as pages link to the README and the changelog, too.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import ietpy

sys.path.insert(0, str(Path(__file__).parent))
from manpages import adapt

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "ietpy"
author = "ietpy's authors"
copyright = author
version = release = ietpy.__version__
extensions = ["myst_parser"]
include_patterns = ["*.md", "docs/**"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["docs/changes/[0-9]*", "docs/_build"]
root_doc = "docs/index"
nitpicky = True
myst_heading_anchors = 4
html_theme = "furo"
html_title = f"ietpy {release}"
html_copy_source = False
html_show_sphinx = False

_DAEMON: Final = "serve files and block devices as SCSI disks over TCP"
man_pages = [
    ("docs/reference/ietpy", "ietpy", "look after an iSCSI target", author, 8),
    ("docs/reference/ietpy-daemon", "ietpy-daemon", _DAEMON, author, 8),
    ("docs/reference/ietd", "ietd", "start the iSCSI target, with IET's options", author, 8),
    ("docs/reference/ietadm", "ietadm", "change what the iSCSI target serves, with IET's options", author, 8),
    ("docs/reference/ietd.conf", "ietd.conf", "what the iSCSI target serves", author, 5),
]
man_show_urls = False
smartquotes = False  # two hyphens are an option

#: Pages whose lists of links are also what Sphinx calls a toctree.
_CONTENTS: Final = ("docs/index", "docs/decisions/README")
_SECTION: Final = re.compile(r"^## (.*)$", re.MULTILINE)
_LINK: Final = re.compile(r"^- \[([^\]]*)\]\(([^)#:]+)\.md\)", re.MULTILINE)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    from pygments.lexers.special import TextLexer

    app.connect("source-read", _add_contents)
    app.connect("doctree-resolved", adapt)
    app.add_lexer("conf", TextLexer)


def _add_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """A toctree of a page's list items that begin with a link, one for each of its sections, that nobody sees."""
    if name not in _CONTENTS:
        return
    title, *parts = _SECTION.split(source[0])
    for caption, text in [("", title), *zip(parts[::2], parts[1::2], strict=True)]:
        links = _LINK.findall(text)
        if links:
            named = f":caption: {caption}\n" if caption else ""
            pages = "\n".join(f"{words.replace('`', '')} <{page}>" for words, page in links)
            source[0] += f"\n```{{toctree}}\n:hidden:\n{named}\n{pages}\n```\n"
