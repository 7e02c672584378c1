"""Routes between the servers of one cluster: handshake, mesh and gossip as machines, and the loops that wait for them."""
