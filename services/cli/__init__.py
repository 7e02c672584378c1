"""The command line: nats-server's flags, and the few commands of our own."""
