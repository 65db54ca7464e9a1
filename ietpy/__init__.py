"""ietpy: an iSCSI target in Python, a drop-in for the iSCSI Enterprise Target."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ietpy.embedding import Target as Target
    from ietpy.embedding import serve as serve

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """``serve`` and ``Target`` are loaded when they are used: most of what imports this needs neither."""
    if name not in ("Target", "serve"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # not an import statement: what is below would be above (decisions 6)

    return getattr(import_module("ietpy.embedding"), name)
