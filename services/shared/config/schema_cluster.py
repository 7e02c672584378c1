"""The `cluster` block (reference: operations 2.2)."""

from __future__ import annotations

from typing import Final

from services.shared.config.assembly import Fields, assemble
from services.shared.config.errors import OptionProblem
from services.shared.config.options import ClusterOptions, CompressionOptions, TlsOptions
from services.shared.config.reading import (
    Entry,
    boolean,
    go_type,
    host_port,
    integer,
    list_of,
    map_of,
    read_block,
    seconds_or_duration,
    string,
    string_of,
    table,
    unknown_field,
)
from services.shared.config.route_urls import parse_route_url, shown_route_url
from services.shared.config.unsupported import is_switched_off, refuse_unsupported
from services.shared.identity.permissions import Permissions

POOL_SIZE_MAX: Final = 64
"""Connections to one other server. More would not help anybody, and each costs both sides."""

_NOT_FOR_ROUTES: Final = (
    ("users", "allow multiple users"),
    ("token", "support tokens"),
    ("auth_callout", "support callouts"),
)


def cluster(entry: Entry) -> ClusterOptions:
    """The listener for routes and whom to dial; without a port there is no cluster."""
    if not isinstance(entry.value.data, dict):
        raise entry.problem(f"Expected map to define cluster, got {go_type(entry.value.data)}")
    return assemble(ClusterOptions(), read_block(entry.value.data, _RULES, entry.reading, unknown=_unknown))


def _unknown(entry: Entry) -> None:
    refuse_unsupported("cluster", entry)
    if not is_switched_off("cluster", entry):
        unknown_field(entry)


def _listen(entry: Entry) -> Fields:
    host, port = host_port(entry)
    return {"host": host or ClusterOptions().host, "port": port}


def _name(entry: Entry) -> str:
    name = string(entry)
    if " " in name:
        raise entry.problem("cluster name cannot contain spaces")
    if name == "_":
        raise entry.problem("cluster name is reserved")
    return name


def _routes(entry: Entry) -> tuple[str, ...]:
    routes: list[str] = []
    for element in list_of(entry.value):
        text = string_of(element)
        try:
            parse_route_url(text)
        except ValueError as error:
            raise OptionProblem(str(error), at=element.at) from None
        if text in routes:
            entry.reading.problems.warn(shown_route_url(text), "Duplicate route entry detected", at=element.at)
            continue
        routes.append(text)
    return tuple(routes)


def _authorization(entry: Entry) -> Fields:
    block = map_of(entry.value)
    for name, sentence in _NOT_FOR_ROUTES:
        if name in {key.lower() for key in block}:
            raise entry.problem(f"Cluster authorization does not {sentence}")
    if "permissions" in {key.lower() for key in block}:
        entry.reading.problems.warn(
            entry.key, 'setting "permissions" within cluster authorization block is deprecated', at=entry.value.at
        )
    return read_block(block, _AUTHORIZATION_RULES, entry.reading)


def _permissions(entry: Entry) -> Permissions:
    # Imported here: few clusters say anything of it.
    from services.shared.config.schema_permissions import permissions

    read = permissions(entry)
    if read.responses is not None:
        raise entry.problem("servers of a cluster do not ask for answers: responses cannot be permitted here")
    return read


def _timeout(entry: Entry) -> int:
    return seconds_or_duration(entry, what="authorization")


def _compression(entry: Entry) -> CompressionOptions:
    # Imported here: few clusters say anything of it.
    from services.shared.config.schema_compression import compression

    return compression(entry, default="accept", on="s2_fast")


def _tls(entry: Entry) -> TlsOptions:
    # Imported here: only clusters with TLS read certificates.
    from services.shared.config.schema_tls import tls

    return tls(entry, between_servers=True)


def _retries(entry: Entry) -> int:
    return max(0, integer(entry))


def _pool_size(entry: Entry) -> int:
    """0 is the default; negative is no pool."""
    size = integer(entry) or ClusterOptions().pool_size
    if size > POOL_SIZE_MAX:
        raise entry.problem(f"pool_size of {size} is too large: at most {POOL_SIZE_MAX} connections")
    return max(size, -1)


def _accounts(entry: Entry) -> tuple[str, ...]:
    if isinstance(entry.value.data, str):
        return (entry.value.data,)
    if not isinstance(entry.value.data, list):
        raise entry.problem(f"error parsing accounts: unsupported type {go_type(entry.value.data)}")
    return tuple(string_of(element) for element in entry.value.data)


_RULES: Final = table(
    ("name", "name", _name),
    ("listen", "*", _listen),
    ("host net", "host", string),
    ("port", "port", integer),
    ("cluster_advertise advertise", "advertise", string),
    ("no_advertise", "no_advertise", boolean),
    ("authorization authentication", "*", _authorization),
    ("routes", "routes", _routes),
    ("connect_retries", "connect_retries", _retries),
    ("pool_size", "pool_size", _pool_size),
    ("accounts", "accounts", _accounts),
    ("compression", "compression", _compression),
    ("tls", "tls", _tls),
    ("permissions", "permissions", _permissions),
)
_AUTHORIZATION_RULES: Final = table(
    ("user username", "user", string),
    ("password pass", "password", string),
    ("timeout", "auth_timeout_ns", _timeout),
    ("permissions", "permissions", _permissions),
)
