"""Splits `host:port` as the configuration writes it."""

from __future__ import annotations


def is_ip_address(host: str) -> bool:
    """Whether a host is meant by its address, not by a name."""
    return ":" in host or host.replace(".", "").isdigit()


def split_host_port(text: str) -> tuple[str, str] | None:
    """Host and port around the last colon, the host without its brackets; None when the text has another shape."""
    host, colon, port = text.rpartition(":")
    if not colon or set("[]") & set(port):
        return None
    if host.startswith("["):
        host = host[1:-1] if host.endswith("]") else "["
    elif ":" in host:
        return None
    return None if set("[]") & set(host) else (host, port)
