"""What the flags say about the cluster (reference: operations 3.1, 3.2)."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from services.shared.config.errors import ValidationError
from services.shared.config.options import ClusterOptions, Options
from services.shared.config.overrides import FlagOverrides
from services.shared.config.route_urls import parse_route_url
from services.shared.records.record import replace


def with_cluster_flags(options: Options, flags: FlagOverrides) -> Options:
    """The options with what was given. Raises ValidationError with nats-server's text."""
    cluster = options.cluster or ClusterOptions()
    if flags.cluster is not None:
        cluster = _listening(cluster, flags.cluster)
    if flags.cluster_name is not None:
        cluster = replace(cluster, name=flags.cluster_name)
    if flags.cluster_advertise is not None:
        cluster = replace(cluster, advertise=flags.cluster_advertise)
    if flags.no_advertise is not None:
        cluster = replace(cluster, no_advertise=flags.no_advertise)
    if flags.connect_retries is not None:
        cluster = replace(cluster, connect_retries=flags.connect_retries)
    if flags.routes is not None:
        cluster = replace(cluster, routes=_routes(flags.routes))
    return replace(options, cluster=cluster)


def _listening(cluster: ClusterOptions, text: str) -> ClusterOptions:
    """`nats://[user:password@]host:port`; an empty text takes the listener away."""
    if not text:
        return replace(cluster, port=0, user="", password="", routes=())
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", _port(parts.netloc)
    except ValueError as error:
        raise ValidationError(f"error parsing cluster URL: {error}") from None
    if parts.username is not None and parts.password is None:
        raise ValidationError("expected cluster password to be set")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return replace(cluster, host=host or cluster.host, port=port, user=user, password=password)


def _port(netloc: str) -> int:
    """The port behind the last colon, which may be -1 for a free one."""
    digits = netloc.rpartition("@")[2].rpartition(":")[2]
    if digits != "-1" and not (digits.isascii() and digits.isdecimal()):
        raise ValueError("wanted a port after the host")
    return int(digits)


def _routes(text: str) -> tuple[str, ...]:
    routes = tuple(route.strip() for route in text.split(",") if route.strip())
    for route in routes:
        try:
            parse_route_url(route)
        except ValueError as error:
            raise ValidationError(str(error)) from None
    return routes
