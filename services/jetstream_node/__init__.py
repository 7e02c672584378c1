"""Streams and consumers. The role is not built yet: `jetstream` in a configuration is refused with a clear error."""
