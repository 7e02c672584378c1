"""URLs of routes: `nats[-route]://[user:password@]host:port` (reference: operations 2.2)."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from services.shared.records.record import field, record
from services.shared.wire.quote import quote

_SCHEMES = ("nats", "nats-route")


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
    """Reads a URL; raises ValueError that shows it, without its password. `nats://` may be left out."""
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"nats://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"error parsing route url [{quote(shown_route_url(text))}]") from None
    if parts.scheme not in _SCHEMES or not host or port is None:
        raise ValueError(f"error parsing route url [{quote(shown_route_url(text))}]: wanted nats://host:port")
    return RouteUrl(host=host, port=port, user=unquote(parts.username or ""), password=unquote(parts.password or ""))


def shown_route_url(text: str) -> str:
    """The URL without credentials."""
    scheme, separator, rest = text.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else text.rpartition("@")[2]
