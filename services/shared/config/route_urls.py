"""URLs of routes: `nats[-route]://[user:password@]host:port` (reference: operations 2.2)."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from services.shared.records.record import field, record


@record
class RouteUrl:
    """Where a server listens for routes, and who we are there."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """`host:port`, without credentials."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_route_url(text: str) -> RouteUrl:
    """Reads a URL; raises ValueError that says what is wrong with it, without its password."""
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"error parsing route url: {error}") from None
    if parts.scheme not in ("nats", "nats-route", "tls"):
        raise ValueError('error parsing route url: wanted "nats://host:port" or "nats-route://host:port"')
    if not host or port is None:
        raise ValueError("error parsing route url: wanted a host and a port")
    return RouteUrl(host=host, port=port, user=unquote(parts.username or ""), password=unquote(parts.password or ""))
