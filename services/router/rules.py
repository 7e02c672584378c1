"""The options of a router, compiled: directory, INFO templates, limits. Pure; a reload compiles another set.

`ports` are the real ports of the listeners, which options may leave to the system.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.router.admission.advertising import advertised_address, connect_urls, own_urls
from services.router.admission.desk import Rules
from services.router.admission.directory import GLOBAL_ACCOUNT, Directory, Listener, compile_directory
from services.router.admission.info import InfoTemplate, ServerInfo
from services.router.rib.imports import imports_by_account
from services.router.websocket.urls import info_endpoint
from services.shared.config.options import ClusterOptions, Options, TlsOptions
from services.shared.engine.forwarding import Mappings, compile_mappings
from services.shared.member.cluster_face import STANDALONE, Face, shown_cluster
from services.shared.runtime.listeners import WILDCARDS
from services.shared.runtime.role_plan import NATS_LISTENER, WEBSOCKET_LISTENER, Identity
from services.shared.telemetry.release import COMPATIBLE_RELEASE, PRODUCT, PRODUCT_VERSION

JETSTREAM_API_LEVEL: Final = 5
_GENERATED_NAME_CHARS: Final = 22


def engine_greets(options: Options) -> bool:
    """Whether nothing comes before INFO and NATS on the client listener, so that the engine accepts by itself."""
    return options.tls is None and not options.proxy_protocol


def greets_at_once(options: Options) -> bool:
    """Whether clients may be greeted before the rest of the router is there.

    Where routes are configured they come first: the first INFO can name the other servers then, and whoever starts the
    servers of a cluster one after another finds that each is known to the others as soon as it answers.
    """
    cluster = clustered(options)
    return engine_greets(options) and not (cluster is not None and cluster.routes)


def compile_rules(
    options: Options, *, identity: Identity, ports: Mapping[str, int], synthetic_secret: str, git_commit: str,
    face: Face = STANDALONE,
) -> Rules:  # fmt: skip
    """Compiles the options; raises DirectoryError or ValueError when they cannot be enforced.

    `face` is what clients are told of the cluster.
    """
    directory = compile_directory(options, synthetic_secret=synthetic_secret)
    intervals = {Listener.CLIENT: options.ping_interval_ns}
    websocket = options.websocket
    if websocket is not None and websocket.port:
        intervals[Listener.WEBSOCKET] = websocket.ping_interval_ns or options.ping_interval_ns
    return Rules(
        directory=directory,
        templates=info_templates(
            options, directory, identity=identity, ports=ports, git_commit=git_commit, face=face
        ),
        ping_interval_ns=intervals,
        max_connections=options.max_connections,
        mappings=_mappings(options, cluster=face.name),
        imports=imports_by_account(options),
        server_name=identity.server_name,
    )  # fmt: skip


def info_templates(
    options: Options, directory: Directory, *, identity: Identity, ports: Mapping[str, int], git_commit: str, face: Face
) -> dict[Listener, InfoTemplate]:
    """INFO by listener."""
    host, port = advertised_address(
        host=options.host, port=ports.get(NATS_LISTENER, options.port), advertise=options.client_advertise
    )
    urls = () if face.urls is None else client_urls(options, ports)
    templates = {
        Listener.CLIENT: _template(
            directory, Listener.CLIENT, identity=identity, git_commit=git_commit, host=host, port=port,
            tls=options.tls, tls_optional=options.allow_non_tls, cluster=face.name,
            urls=connect_urls(own=() if face.leaving else urls, learned=face.urls),
        )
    }  # fmt: skip
    websocket = options.websocket
    if websocket is not None and websocket.port:
        endpoint = info_endpoint(websocket, bound_port=ports.get(WEBSOCKET_LISTENER, websocket.port))
        tls = None if websocket.no_tls else websocket.tls
        urls = () if face.ws_urls is None else websocket_urls(options, ports)
        templates[Listener.WEBSOCKET] = _template(
            directory, Listener.WEBSOCKET, identity=identity, git_commit=git_commit, host=endpoint.host,
            port=endpoint.port, tls=tls, tls_optional=False, cluster=face.name,
            urls=connect_urls(own=() if face.leaving else urls, learned=face.ws_urls),
        )  # fmt: skip
    return templates


def clustered(options: Options) -> ClusterOptions | None:
    """The cluster that the options ask for."""
    return options.cluster if options.cluster is not None and options.cluster.port != 0 else None


def cluster_name(cluster: ClusterOptions, identity: Identity) -> str:
    """The configured name, else one that nobody else has, made of what is random in the server's id."""
    return cluster.name or identity.server_id[-_GENERATED_NAME_CHARS:]


def first_face(options: Options, identity: Identity) -> Face:
    """What clients are told before another server was heard of."""
    cluster = shown_cluster(options)
    return STANDALONE if cluster is None else Face(name=cluster_name(cluster, identity))


def client_urls(options: Options, ports: Mapping[str, int]) -> tuple[str, ...]:
    """Where clients can reach this server."""
    port = ports.get(NATS_LISTENER, options.port)
    return _urls(host=options.host, port=port, advertise=options.client_advertise)


def websocket_urls(options: Options, ports: Mapping[str, int]) -> tuple[str, ...]:
    """Where WebSocket clients can."""
    websocket = options.websocket
    if websocket is None or not websocket.port:
        return ()
    port = ports.get(WEBSOCKET_LISTENER, websocket.port)
    return _urls(host=websocket.host, port=port, advertise=websocket.advertise)


def _urls(*, host: str, port: int, advertise: str) -> tuple[str, ...]:
    addresses: list[str] = []
    if host in WILDCARDS and not advertise:
        # Only servers bound to all addresses look at them.
        from services.shared.runtime.interfaces import local_hosts

        addresses = local_hosts()
    return own_urls(host=host or "0.0.0.0", port=port, advertise=advertise, interface_addresses=addresses)


def _mappings(options: Options, *, cluster: str) -> dict[str, Mappings | None]:
    """The compiled mappings by account; the top level's are those of the global account."""
    by_account = {GLOBAL_ACCOUNT: options.mappings} | {account.name: account.mappings for account in options.accounts}
    return {name: compile_mappings(mappings, cluster=cluster) for name, mappings in by_account.items()}


def _template(
    directory: Directory, listener: Listener, *, identity: Identity, git_commit: str, host: str, port: int,
    tls: TlsOptions | None, tls_optional: bool, cluster: str, urls: tuple[str, ...],
) -> InfoTemplate:  # fmt: skip
    policy = directory.listeners[listener]
    verify = tls is not None and (tls.verify or tls.verify_and_map)
    return InfoTemplate(
        ServerInfo(
            server_id=identity.server_id,
            server_name=identity.server_name,
            version=COMPATIBLE_RELEASE,
            go=f"{PRODUCT} {PRODUCT_VERSION}",
            host=host,
            port=port,
            max_payload_bytes=directory.max_payload_bytes,
            xkey=identity.xkey,
            git_commit=git_commit,
            headers=directory.headers_supported,
            auth_advertised=policy.auth_advertised,
            auth_required=directory.auth_required if listener is Listener.CLIENT else policy.auth_required,
            tls_required=tls is not None and not tls_optional,
            tls_verify=verify,
            tls_available=tls is not None and tls_optional,
            api_level=JETSTREAM_API_LEVEL,
            cluster=cluster,
            connect_urls=urls,
        )
    )
