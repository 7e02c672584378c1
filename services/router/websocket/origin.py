"""Who may embed a page that connects here: the check of the Origin header (reference: wire protocol 5.1).

Browsers send Origin and pages cannot forge it; other clients need not send it, so its absence passes. Two rules exist,
`same_origin` and `allowed_origins`; where both are configured, both must hold. Origins are compared as scheme, host in
lower case, and port, with 80 and 443 filled in.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, urlsplit

from services.shared.records.record import record

DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@record
class Origin:
    """Scheme, host and port; only `http` and `https` have a meaning here."""

    scheme: str
    host: str
    port: int


def parse_origin(text: str) -> Origin:
    """The origin that a URL belongs to. Raises ValueError with the cause when it is none of http or https."""
    url = _split(text)
    if url.scheme not in DEFAULT_PORTS:
        raise ValueError(f"{text!r} is no absolute URL with scheme http or https")
    if not url.hostname:
        raise ValueError(f"{text!r} has no host")
    return Origin(scheme=url.scheme, host=url.hostname, port=_port(url, scheme=url.scheme))


def own_origin(*, host_field: str, tls: bool) -> Origin:
    """The origin of pages served under the name by which the client reached us. Raises ValueError for a bad name."""
    scheme = "https" if tls else "http"
    return parse_origin(f"{scheme}://{host_field}")


@record
class OriginPolicy:
    """The rules in force on one listener. `allowed` of None means that any origin is fine."""

    same: bool
    allowed: frozenset[Origin] | None

    def objection(self, origin_field: str, *, host_field: str, tls: bool) -> str | None:
        """Why a request with these fields is refused, or None. Never raises."""
        if not origin_field or (not self.same and self.allowed is None):
            return None
        try:
            origin = parse_origin(origin_field)
        except ValueError as error:
            return str(error)
        if self.same and not _is_own(origin, host_field=host_field, tls=tls):
            return "not same origin"
        if self.allowed is not None and origin not in self.allowed:
            return "not in the allowed list"
        return None


def origin_policy(*, same_origin: bool, allowed_origins: tuple[str, ...]) -> OriginPolicy:
    """The policy that options ask for. Raises ValueError for an entry that is no origin."""
    allowed = frozenset(parse_origin(text) for text in allowed_origins) if allowed_origins else None
    return OriginPolicy(same=same_origin, allowed=allowed)


def _is_own(origin: Origin, *, host_field: str, tls: bool) -> bool:
    try:
        return origin == own_origin(host_field=host_field, tls=tls)
    except ValueError:
        return False


def _split(text: str) -> SplitResult:
    if any(character <= " " or character >= "\x7f" for character in text):
        raise ValueError(f"{text!r} has characters that no URL has")
    return urlsplit(text)


def _port(url: SplitResult, *, scheme: str) -> int:
    """The port, 80 or 443 when none is given. A colon without a port behind it is refused, not read as the default."""
    try:
        port = url.port
    except ValueError as error:
        raise ValueError(f"{url.geturl()!r} has an invalid port") from error
    if url.netloc.endswith(":"):
        raise ValueError(f"{url.geturl()!r} has an empty port")
    return DEFAULT_PORTS[scheme] if port is None else port
