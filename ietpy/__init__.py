"""ietpy: an iSCSI target in Python, a drop-in for the iSCSI Enterprise Target."""

__version__ = "0.1.0"
