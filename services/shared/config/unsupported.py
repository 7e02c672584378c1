"""Options that nats-server has and natsfleet does not have yet.

They are known, so that a file that uses one is refused with a sentence instead of "unknown field", and never ignored.
A feature that arrives deletes its row here and adds one to a schema table; its flags are in `unsupported_flags`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from services.shared.config.parser import Data
from services.shared.config.reading import Entry, go_type


class Unsupported(NamedTuple):
    """What to say, and whether a value that switches the feature off is accepted."""

    sentence: str
    may_be_off: bool = False


_JWT: Final = "accounts come from the configuration file, not from JWTs"
_WINDOWS: Final = "the Windows certificate store is not used"
_OCSP: Final = "certificates are used without OCSP"

_TOP_LEVEL: Final = (
    ("gateway", Unsupported("a node does not connect to other clusters")),
    ("leafnodes leaf", Unsupported("a node neither accepts nor dials leaf nodes")),
    ("jetstream", Unsupported("streams and consumers are not served", may_be_off=True)),
    ("mqtt", Unsupported("MQTT clients are not served")),
    ("operator operators root roots root_operator root_operators", Unsupported(_JWT)),
    ("trusted trusted_keys", Unsupported(_JWT)),
    ("resolver account_resolver accounts_resolver", Unsupported(_JWT)),
    ("resolver_tls resolver_preload resolver_pinned_accounts", Unsupported(_JWT)),
    ("default_sentinel", Unsupported(_JWT)),
    ("ocsp ocsp_cache", Unsupported(_OCSP, may_be_off=True)),
    ("prof_port", Unsupported("there is no profiling port", may_be_off=True)),
    ("prof_block_rate", Unsupported("there is no profiling port", may_be_off=True)),
    ("default_js_domain", Unsupported("streams and consumers are not served")),
    ("feature_flags", Unsupported("there are no feature flags")),
)
_TRACES: Final = "an account has no trace destination of its own"
_ACCOUNT: Final = (
    ("jetstream", Unsupported("streams and consumers are not served", may_be_off=True)),
    ("msg_trace trace_dest", Unsupported(_TRACES)),
)
_AUTHORIZATION: Final = (("auth_callout auth_hook", Unsupported("users are not looked up in an outside service")),)
_CLUSTER: Final = (
    ("connect_backoff", Unsupported("routes are dialled again every second", may_be_off=True)),
    ("ping_interval ping_max write_deadline write_timeout", Unsupported("routes keep to the limits of the top level")),
)
_TLS: Final = (
    ("ocsp_peer", Unsupported(_OCSP, may_be_off=True)),
    ("cert_store cert_match_by cert_match cert_match_skip_invalid ca_certs_match", Unsupported(_WINDOWS)),
)

UNSUPPORTED: Final = {
    block: {name: row for names, row in rows for name in names.split()}
    for block, rows in (
        ("top level", _TOP_LEVEL),
        ("account", _ACCOUNT),
        ("authorization", _AUTHORIZATION),
        ("tls", _TLS),
        ("cluster", _CLUSTER),
    )
}
"""Per block: what to say about a name."""


def refuse_unsupported(block: str, entry: Entry) -> None:
    """Raises OptionProblem when the entry is an option that is not supported yet; returns when it is none of those.

    An entry that switches the feature off is harmless: the caller must treat it as read.
    """
    row = UNSUPPORTED[block].get(entry.key.lower())
    if row is None or is_switched_off(block, entry):
        return
    if block != "tls" and entry.key.lower() == "jetstream":
        _check_jetstream_type(entry)
    raise entry.problem(f'option "{entry.key.lower()}" is not supported yet: {row.sentence}')


def is_switched_off(block: str, entry: Entry) -> bool:
    """True when the entry names an unsupported feature and says that it is not wanted."""
    row = UNSUPPORTED[block].get(entry.key.lower())
    return row is not None and row.may_be_off and _is_off(entry.value.data)


def _is_off(data: Data) -> bool:
    if isinstance(data, str):
        return data.lower() in ("disabled", "disable")
    if isinstance(data, dict):
        enabled = data.get("enabled") or data.get("enable")
        return enabled is not None and enabled.data is False
    return data is False or (isinstance(data, int) and data == 0)


def _check_jetstream_type(entry: Entry) -> None:
    data = entry.value.data
    if isinstance(data, str) and data.lower() not in ("enabled", "enable"):
        raise entry.problem(f"Expected 'enabled' or 'disabled' for string value, got '{data.lower()}'")
    if not isinstance(data, bool | str | dict):
        raise entry.problem(f"Expected map, bool or string to define JetStream, got {go_type(data)}")
