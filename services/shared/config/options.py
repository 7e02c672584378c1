"""The options of one node, as values: what a configuration file and the flags boil down to.

Units are in the names: `_ns` nanoseconds, `_bytes` bytes. A port of -1 asks for a free port, None or 0 as noted.
Defaults are nats-server's (reference: operations 2). Options of parts that are not built yet do not appear here:
the schema refuses them with a sentence. Records are frozen, so a reload is a comparison of two values.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from services.shared.identity.permissions import Permissions
from services.shared.records.record import field, record

SECOND_NS: Final = 1_000_000_000
DEFAULT_RTT_THRESHOLDS_NS: Final = (10_000_000, 50_000_000, 100_000_000)
"""Round trip times up to which `s2_auto` leaves bytes as they are, is fast, and is better."""
EMPTY: Final[Mapping[str, str]] = MappingProxyType({})


@record
class TlsCertificate:
    """A certificate chain and its key, as paths."""

    cert_file: str
    key_file: str


@record
class TlsOptions:
    """One `tls` block. `handshake_first_delay_ns`: None = INFO first; 0 = handshake first; >0 = wait, then fall back.

    `certificates_listed`: they came from a `certs` array. `insecure` only matters to a side that dials. `check_known_urls`:
    between servers, only those hosts may come that are dialled, too.
    """

    certificates: tuple[TlsCertificate, ...] = ()
    certificates_listed: bool = False
    ca_file: str = ""
    verify: bool = False
    verify_and_map: bool = False
    insecure: bool = False
    check_known_urls: bool = False
    timeout_ns: int = 2 * SECOND_NS
    cipher_suites: tuple[str, ...] = ()
    curve_preferences: tuple[str, ...] = ()
    min_version: str = "1.2"
    pinned_certs: tuple[str, ...] = ()
    connection_rate_limit: int = 0
    handshake_first_delay_ns: int | None = None
    files_digest: str = ""
    """Over the content of all files named here, so that renewed certificates make a difference on reload."""


@record
class UserOptions:
    """One user: either `user` with `password`, or `nkey`. `permissions` already has the defaults filled in."""

    user: str = ""
    password: str = field(default="", repr=False)
    nkey: str = ""
    permissions: Permissions | None = None
    connection_types: tuple[str, ...] = ()
    proxy_required: bool = False


@record
class AuthorizationOptions:
    """The `authorization` block: a single user, a token, or a list of users (they exclude each other).

    `defined` tells an empty block from no block: the former keeps the server from inventing a user (security 1.8).
    """

    defined: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    timeout_ns: int | None = None
    users: tuple[UserOptions, ...] = ()
    permissions: Permissions | None = None
    proxy_required: bool = False


@record
class MappingDestination:
    """One destination of a subject mapping; `weight` is a percentage."""

    subject: str
    weight: int = 100
    cluster: str = ""


@record
class SubjectMapping:
    """A source subject and where its messages go instead."""

    source: str
    destinations: tuple[MappingDestination, ...]


@record
class AccountLimits:
    """Limits of an account; -1 is unlimited."""

    max_connections: int = -1
    max_subscriptions: int = -1
    max_payload_bytes: int = -1
    max_leafnodes: int = -1


@record
class StreamExport:
    """Subjects that other accounts may import; without `accounts` all of them, with them those only.

    With `account_token_position` (counted from 1) that token of an imported subject must be the importing account's name.
    """

    subject: str
    accounts: tuple[str, ...] = ()
    account_token_position: int = 0


@record
class ServiceLatency:
    """How answers are timed: `results` is the subject of measurements, `sampling` the percentage of requests.

    Those whose headers ask for it are timed in any case; a `sampling` of 0 means only those.
    """

    results: str
    sampling: int = 100


@record
class ServiceExport:
    """The same for requests, and how they are answered: how often, until when, and whether that is timed."""

    subject: str
    accounts: tuple[str, ...] = ()
    account_token_position: int = 0
    response_type: str = "Singleton"
    response_threshold_ns: int = 120 * SECOND_NS
    latency: ServiceLatency | None = None
    allow_trace: bool = False
    """Traces of requests show who has them."""


@record
class StreamImport:
    """Subjects of another account (`subject`), and what they are here: `to`, with `$n` for the wildcards of `subject`.

    With `allow_trace` traces of the other account's messages show who has them here.
    """

    account: str
    subject: str
    to: str
    allow_trace: bool = False


@record
class ServiceImport:
    """Requests published here on `to` go to `subject` there. With `share` they say who asks."""

    account: str
    subject: str
    to: str
    share: bool = False


Export: TypeAlias = StreamExport | ServiceExport
Import: TypeAlias = StreamImport | ServiceImport


@record
class AccountOptions:
    """One entry of `accounts`."""

    name: str
    nkey: str = ""
    users: tuple[UserOptions, ...] = ()
    limits: AccountLimits = AccountLimits()
    mappings: tuple[SubjectMapping, ...] = ()
    stream_exports: tuple[StreamExport, ...] = ()
    service_exports: tuple[ServiceExport, ...] = ()
    stream_imports: tuple[StreamImport, ...] = ()
    service_imports: tuple[ServiceImport, ...] = ()


@record
class WebsocketOptions:
    """The `websocket` block."""

    host: str = "0.0.0.0"
    port: int = 0
    advertise: str = ""
    no_tls: bool = False
    tls: TlsOptions | None = None
    same_origin: bool = False
    allowed_origins: tuple[str, ...] = ()
    compression: bool = False
    handshake_timeout_ns: int = 0
    no_auth_user: str = ""
    jwt_cookie: str = ""
    user_cookie: str = ""
    pass_cookie: str = ""
    token_cookie: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    auth_timeout_ns: int | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    ping_interval_ns: int = 0


@record
class CompressionOptions:
    """How connections between servers are compressed: a mode as it stands in INFO. Thresholds are for `s2_auto`."""

    mode: str
    rtt_thresholds_ns: tuple[int, ...] = DEFAULT_RTT_THRESHOLDS_NS


@record
class ClusterOptions:
    """The `cluster` block. `port` 0 means that there is no cluster; `auth_timeout_ns` of None is the default.

    `hidden`: the node made it for its own routers; neither clients nor views are told of it.
    `pool_size` is how many connections there are to each other server, beside one for each of the `accounts`; negative is a
    single one for everything.
    """

    name: str = ""
    host: str = "0.0.0.0"
    port: int = 0
    advertise: str = ""
    no_advertise: bool = False
    user: str = ""
    password: str = field(default="", repr=False)
    auth_timeout_ns: int | None = None
    routes: tuple[str, ...] = field(default=(), repr=False)
    connect_retries: int = 0
    pool_size: int = 3
    accounts: tuple[str, ...] = ()
    hidden: bool = False
    compression: CompressionOptions = CompressionOptions(mode="accept")
    tls: TlsOptions | None = None
    permissions: Permissions | None = None
    """To publish is what is imported from other servers, to subscribe what is exported to them."""


@record
class ProxiesOptions:
    """The `proxies` block. `trusted` are public nkeys: who signs with one of them may stand before clients."""

    trusted: tuple[str, ...] = ()


@record
class LogOptions:
    """Where log lines go and which levels are on."""

    debug: bool = False
    trace: bool = False
    trace_verbose: bool = False
    trace_headers: bool = False
    logtime: bool = True
    logtime_utc: bool = False
    log_file: str = ""
    log_size_limit_bytes: int = 0
    log_max_num: int = 0
    syslog: bool = False
    remote_syslog: str = ""
    max_traced_msg_len: int = 0


@record
class FleetOptions:
    """natsfleet's own block, `fleet { ... }`."""

    routers: int = 1
    """Router processes of the node, which take clients at the same address and are members of one cluster."""
    pending_bytes_max: int = 0
    """Bound on all outbound buffers together; 0 picks a quarter of the machine's memory."""
    engine_threads: int = 0
    """Threads of a router's engine; 0 picks two, or one on a machine with one processor."""
    data_dir: str = ""


@record
class Options:
    """The whole configuration of a node."""

    host: str = "0.0.0.0"
    port: int = 4222
    client_advertise: str = ""
    server_name: str = ""
    server_tags: tuple[str, ...] = ()
    server_metadata: Mapping[str, str] = field(default_factory=lambda: EMPTY)

    log: LogOptions = LogOptions()
    pid_file: str = ""
    ports_file_dir: str = ""

    http_host: str = ""
    http_port: int = 0
    https_port: int = 0
    http_base_path: str = ""

    max_connections: int = 65_536
    """0 means none allowed (the file's 0 is stored as -1 by nats-server; the effect is the same)."""
    max_subscriptions: int = 0
    max_sub_tokens: int = 0
    max_control_line_bytes: int = 4_096
    max_payload_bytes: int = 1_048_576
    max_pending_bytes: int = 67_108_864
    max_closed_clients: int = 10_000
    ping_interval_ns: int = 120 * SECOND_NS
    ping_max: int = 2
    write_deadline_ns: int = 10 * SECOND_NS
    write_timeout: str = "default"
    lame_duck_duration_ns: int = 120 * SECOND_NS
    lame_duck_grace_ns: int = 10 * SECOND_NS
    no_fast_producer_stall: bool = False
    no_header_support: bool = False
    no_sublist_cache: bool = False
    proxy_protocol: bool = False
    connect_error_reports: int = 3_600
    reconnect_error_reports: int = 1
    store_dir: str = ""

    authorization: AuthorizationOptions = AuthorizationOptions()
    no_auth_user: str = ""
    accounts: tuple[AccountOptions, ...] = ()
    system_account: str = ""
    no_system_account: bool = False
    mappings: tuple[SubjectMapping, ...] = ()

    tls: TlsOptions | None = None
    tls_from_flags: bool = False
    """TLS was asked for on the command line; such a node refuses a reload, since the flags do not survive it."""
    allow_non_tls: bool = False
    websocket: WebsocketOptions | None = None
    cluster: ClusterOptions | None = None
    proxies: ProxiesOptions | None = None

    fleet: FleetOptions = FleetOptions()

    config_file: str = ""
    config_digest: str = ""
