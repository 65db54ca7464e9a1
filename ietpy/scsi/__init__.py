"""SAM-5, SPC-4, SBC-3: a device server that knows no iSCSI, no socket and no file."""
