"""RFC 7143 without I/O: it says where the next bytes should land and what should be sent next."""
