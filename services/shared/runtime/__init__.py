"""What touches the world: processes, sockets, descriptors, the clock. The only library that may load trio."""
