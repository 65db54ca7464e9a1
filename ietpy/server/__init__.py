"""Sockets and threads: moves bytes and wakes whoever waits. Decides nothing that a standard decides."""
