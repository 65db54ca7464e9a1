"""The iSNS client (RFC 4171): registers the targets with a name server and asks it who may use them."""
