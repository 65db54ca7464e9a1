"""Configuration files of other iSCSI targets: read into one model (``model``), and written from it."""
