"""natsfleet beside nats-server: the same load on both, in turn, as ratios. `bench/compare` is the command."""
