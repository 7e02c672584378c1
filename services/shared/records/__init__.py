"""Typed records of what crosses the wire as JSON. None is needed yet."""
