"""Bytes without meaning: declared layouts, serial-number arithmetic, CRC32C. No protocol constant lives here."""
