"""Options given on the command line, and how they win over the file (reference: operations 3.1, 3.2).

None means "not given". At start every given flag wins; on a reload only those of `KEPT_ON_RELOAD` are laid over the new
file again, so that dropping the others shows up as a difference, as it does with nats-server.
"""

from __future__ import annotations

from typing import Final

from services.shared.config.assembly import Fields, assemble
from services.shared.config.errors import ValidationError
from services.shared.config.options import Options, TlsCertificate, TlsOptions
from services.shared.records.record import field, fields, record, replace


@record
class FlagOverrides:
    """What the flags say about options. `tls` is None unless `--tls` itself was given."""

    config_file: str = ""
    host: str | None = None
    port: int | None = None
    server_name: str | None = None
    client_advertise: str | None = None
    pid_file: str | None = None
    ports_file_dir: str | None = None
    http_port: int | None = None
    https_port: int | None = None
    log_file: str | None = None
    logtime: bool | None = None
    logtime_utc: bool | None = None
    syslog: bool | None = None
    remote_syslog: str | None = None
    debug: bool | None = None
    trace: bool | None = None
    trace_verbose: bool | None = None
    log_size_limit: int | None = None
    max_traced_msg_len: int | None = None
    store_dir: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    cluster: str | None = field(default=None, repr=False)
    cluster_name: str | None = None
    cluster_advertise: str | None = None
    no_advertise: bool | None = None
    connect_retries: int | None = None
    routes: str | None = field(default=None, repr=False)
    tls: bool | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    tls_ca_cert: str | None = None
    tls_verify: bool | None = None


_FIELDS: Final = {
    "host": "host",
    "port": "port",
    "server_name": "server_name",
    "client_advertise": "client_advertise",
    "pid_file": "pid_file",
    "ports_file_dir": "ports_file_dir",
    "http_port": "http_port",
    "https_port": "https_port",
    "log_file": "log.log_file",
    "logtime": "log.logtime",
    "logtime_utc": "log.logtime_utc",
    "syslog": "log.syslog",
    "remote_syslog": "log.remote_syslog",
    "debug": "log.debug",
    "trace": "log.trace",
    "trace_verbose": "log.trace_verbose",
    "log_size_limit": "log.log_size_limit_bytes",
    "max_traced_msg_len": "log.max_traced_msg_len",
    "store_dir": "store_dir",
    "user": "authorization.user",
    "password": "authorization.password",
    "token": "authorization.token",
}
"""Which field a flag sets; the TLS flags build a whole record and are not here, nor are those of the cluster."""

_CLUSTER_FLAGS: Final = ("cluster", "cluster_name", "cluster_advertise", "no_advertise", "connect_retries", "routes")

KEPT_ON_RELOAD: Final = frozenset(
    (
        "host",
        "port",
        "client_advertise",
        "pid_file",
        "ports_file_dir",
        "http_port",
        "log_file",
        "logtime",
        "syslog",
        "debug",
        "trace",
        "trace_verbose",
        "store_dir",
        "user",
        "password",
        "token",
        "cluster",
        "cluster_name",
        "cluster_advertise",
        "no_advertise",
        "connect_retries",
        "routes",
    )
)


def apply_flags(options: Options, flags: FlagOverrides) -> Options:
    """The options with every given flag on top. Raises ValidationError when the TLS flags do not make sense."""
    changed: Fields = {target: value for name, target in _FIELDS.items() if (value := getattr(flags, name)) is not None}
    options = assemble(options, changed)
    if any(getattr(flags, name) is not None for name in _CLUSTER_FLAGS):
        # Only nodes with these flags need it.
        from services.shared.config.cluster_flags import with_cluster_flags

        options = with_cluster_flags(options, flags)
    if flags.tls is False:
        return replace(options, tls=None, tls_from_flags=False)
    if flags.tls is None and flags.tls_verify is None and not _tls_files(flags):
        return options
    return replace(options, tls=_tls(flags), tls_from_flags=True)


def flags_after_start(flags: FlagOverrides) -> FlagOverrides:
    """What is left of the flags when the file is read again."""
    lost = {item.name: None for item in fields(flags) if item.name not in KEPT_ON_RELOAD | {"config_file"}}
    return replace(flags, **lost)  # type: ignore[arg-type]  # Every field that is lost accepts None.


def _tls_files(flags: FlagOverrides) -> bool:
    return any(path is not None for path in (flags.tls_cert, flags.tls_key, flags.tls_ca_cert))


def _tls(flags: FlagOverrides) -> TlsOptions:
    """One certificate, and perhaps a CA: all that the flags can say."""
    if not flags.tls_cert:
        raise ValidationError("TLS Server certificate must be present and valid")
    if not flags.tls_key:
        raise ValidationError("TLS Server private key must be present and valid")
    return TlsOptions(
        certificates=(TlsCertificate(cert_file=flags.tls_cert, key_file=flags.tls_key),),
        ca_file=flags.tls_ca_cert or "",
        verify=bool(flags.tls_verify),
    )
