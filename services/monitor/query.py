"""From the query of a URL to the options of a request (reference: operations 6.1). Pure.

Values are read as the reference reads them, down to the texts that refuse them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from services.shared.wire.quote import quote

_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INT: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_UINT: Final = re.compile(r"[0-9]+", re.ASCII)
_INT_MAX: Final = (1 << 63) - 1
_UINT_MAX: Final = (1 << 64) - 1
_STATES: Final = {"": 0, "open": 0, "closed": 1, "any": 2, "all": 2}


class QueryError(Exception):
    """A parameter cannot be read; the text is the body of the answer."""


Options = dict[str, Any]
Read = Callable[[Mapping[str, str]], Options]


def read_bool(query: Mapping[str, str], name: str) -> bool:
    """A boolean; absent or empty is false. Raises QueryError."""
    text = query.get(name, "")
    if not text or text in _FALSE:
        return False
    if text in _TRUE:
        return True
    raise QueryError(f"Error decoding boolean for '{name}': strconv.ParseBool: parsing {quote(text)}: invalid syntax")


def read_int(query: Mapping[str, str], name: str) -> int:
    """A signed number; absent or empty is 0. Raises QueryError."""
    text = query.get(name, "")
    if not text:
        return 0
    return _number(text, name=name, kind="int", call="Atoi", shape=_INT, lowest=-_INT_MAX - 1, highest=_INT_MAX)


def read_uint(query: Mapping[str, str], name: str) -> int:
    """An unsigned number; absent or empty is 0. Raises QueryError."""
    text = query.get(name, "")
    if not text:
        return 0
    return _number(text, name=name, kind="uint64", call="ParseUint", shape=_UINT, lowest=0, highest=_UINT_MAX)


def _number(text: str, *, name: str, kind: str, call: str, shape: re.Pattern[str], lowest: int, highest: int) -> int:
    fault = "invalid syntax"
    if shape.fullmatch(text):
        if len(text) <= 20 and lowest <= int(text) <= highest:
            return int(text)
        fault = "value out of range"
    raise QueryError(f"Error decoding {kind} for '{name}': strconv.{call}: parsing {quote(text)}: {fault}")


def read_state(query: Mapping[str, str]) -> int:
    """The state of connections as its number. Raises QueryError."""
    text = query.get("state", "")
    state = _STATES.get(text.lower())
    if state is None:
        raise QueryError(f"Error decoding state for {text}")
    return state


def read_subscriptions(query: Mapping[str, str]) -> Options:
    """`subs`: a boolean or `detail`. Raises QueryError."""
    if query.get("subs", "").lower() == "detail":
        return {"subscriptions": True, "subscriptions_detail": True}
    return {"subscriptions": read_bool(query, "subs")}


def nothing(query: Mapping[str, str]) -> Options:
    """For endpoints without parameters."""
    return {}


def connz(query: Mapping[str, str]) -> Options:
    """Parameters of connz (6.3), read in the reference's order."""
    return {
        "sort": query.get("sort", ""),
        "auth": read_bool(query, "auth"),
        **read_subscriptions(query),
        "offset": read_int(query, "offset"),
        "limit": read_int(query, "limit"),
        "cid": read_uint(query, "cid"),
        "state": read_state(query),
        "user": query.get("user", ""),
        "acc": query.get("acc", ""),
        "mqtt_client": query.get("mqtt_client", ""),
        "filter_subject": query.get("filter_subject", ""),
    }


def subsz(query: Mapping[str, str]) -> Options:
    """Parameters of subsz (6.8)."""
    return {
        "subscriptions": read_bool(query, "subs"),
        "offset": read_int(query, "offset"),
        "limit": read_int(query, "limit"),
        "test": query.get("test", ""),
        "account": query.get("acc", ""),
    }


def accountz(query: Mapping[str, str]) -> Options:
    """Parameters of accountz (6.9)."""
    return {"account": query.get("acc", "")}


def accstatz(query: Mapping[str, str]) -> Options:
    """Parameters of accstatz (6.10)."""
    return {"include_unused": read_bool(query, "unused")}


def routez(query: Mapping[str, str]) -> Options:
    """Parameters of routez (6.5)."""
    return read_subscriptions(query)


def gatewayz(query: Mapping[str, str]) -> Options:
    """Parameters of gatewayz (6.6)."""
    return {
        "accounts": read_bool(query, "accs"),
        "name": query.get("gw_name", ""),
        "account_name": query.get("acc_name", ""),
        **read_subscriptions(query),
    }


def leafz(query: Mapping[str, str]) -> Options:
    """Parameters of leafz (6.7)."""
    return {"subscriptions": read_bool(query, "subs"), "account": query.get("acc", "")}


def jsz(query: Mapping[str, str]) -> Options:
    """Parameters of jsz (6.11)."""
    return {
        "accounts": read_bool(query, "accounts"),
        "streams": read_bool(query, "streams"),
        "consumer": read_bool(query, "consumers"),
        "direct_consumer": read_bool(query, "direct-consumers"),
        "config": read_bool(query, "config"),
        "offset": read_int(query, "offset"),
        "limit": read_int(query, "limit"),
        "leader_only": read_bool(query, "leader-only"),
        "raft": read_bool(query, "raft"),
        "stream_leader_only": read_bool(query, "stream-leader-only"),
        "account": query.get("acc", ""),
    }


def healthz(query: Mapping[str, str]) -> Options:
    """Parameters of healthz (6.13)."""
    return {
        "js-enabled": read_bool(query, "js-enabled"),
        "js-enabled-only": read_bool(query, "js-enabled-only"),
        "js-server-only": read_bool(query, "js-server-only"),
        "js-meta-only": read_bool(query, "js-meta-only"),
        "account": query.get("account", ""),
        "stream": query.get("stream", ""),
        "consumer": query.get("consumer", ""),
        "details": read_bool(query, "details"),
    }
