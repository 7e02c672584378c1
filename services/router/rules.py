"""The options of a router, compiled: directory, INFO templates, limits. Pure; a reload compiles another set.

`ports` are the real ports of the listeners, which options may leave to the system.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.router.admission.advertising import advertised_address
from services.router.admission.desk import Rules
from services.router.admission.directory import GLOBAL_ACCOUNT, Directory, Listener, compile_directory
from services.router.admission.info import InfoTemplate, ServerInfo
from services.router.rib.imports import imports_by_account
from services.router.websocket.urls import info_endpoint
from services.shared.config.options import Options, TlsOptions
from services.shared.engine.forwarding import Mappings, compile_mappings
from services.shared.runtime.role_plan import NATS_LISTENER, WEBSOCKET_LISTENER, Identity
from services.shared.telemetry.release import COMPATIBLE_RELEASE, PRODUCT, PRODUCT_VERSION

JETSTREAM_API_LEVEL: Final = 5


def engine_greets(options: Options) -> bool:
    """Whether nothing comes before INFO and NATS on the client listener, so that the engine accepts by itself."""
    return options.tls is None and not options.proxy_protocol


def compile_rules(
    options: Options, *, identity: Identity, ports: Mapping[str, int], synthetic_secret: str, git_commit: str
) -> Rules:
    """Compiles the options; raises DirectoryError or ValueError when they cannot be enforced."""
    directory = compile_directory(options, synthetic_secret=synthetic_secret)
    host, port = advertised_address(
        host=options.host, port=ports.get(NATS_LISTENER, options.port), advertise=options.client_advertise
    )
    templates = {
        Listener.CLIENT: _template(
            directory, Listener.CLIENT, identity=identity, git_commit=git_commit, host=host, port=port,
            tls=options.tls, tls_optional=options.allow_non_tls,
        )
    }  # fmt: skip
    intervals = {Listener.CLIENT: options.ping_interval_ns}
    websocket = options.websocket
    if websocket is not None and websocket.port:
        endpoint = info_endpoint(websocket, bound_port=ports.get(WEBSOCKET_LISTENER, websocket.port))
        tls = None if websocket.no_tls else websocket.tls
        templates[Listener.WEBSOCKET] = _template(
            directory, Listener.WEBSOCKET, identity=identity, git_commit=git_commit, host=endpoint.host,
            port=endpoint.port, tls=tls, tls_optional=False,
        )  # fmt: skip
        intervals[Listener.WEBSOCKET] = websocket.ping_interval_ns or options.ping_interval_ns
    return Rules(
        directory=directory,
        templates=templates,
        ping_interval_ns=intervals,
        max_connections=options.max_connections,
        mappings=_mappings(options),
        imports=imports_by_account(options),
        server_name=identity.server_name,
    )


def _mappings(options: Options) -> dict[str, Mappings | None]:
    """The compiled mappings by account; the top level's are those of the global account."""
    by_account = {GLOBAL_ACCOUNT: options.mappings} | {account.name: account.mappings for account in options.accounts}
    return {name: compile_mappings(mappings, cluster="") for name, mappings in by_account.items()}


def _template(
    directory: Directory, listener: Listener, *, identity: Identity, git_commit: str, host: str, port: int,
    tls: TlsOptions | None, tls_optional: bool,
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
        )
    )
