"""A small iSCSI initiator on the target's own PDU tables, for ``ietpy demo --check``, probes and tests."""
