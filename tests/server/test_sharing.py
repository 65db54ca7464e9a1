"""Sessions of several connections on real sockets: nobody waits for another one's peer."""
