"""CONNECT as a value: what a client says about itself (reference: wire protocol 1.5).

Runs once for every connection, so it is one pass of the JSON decoder and one loop over what was sent. Unknown members
are ignored, names count in any case, `null` leaves a member alone, and a second CONNECT is laid over the first.
Nothing is judged here; `decision` does that.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

from services.router.admission.errors import MalformedHello
from services.shared.records.record import field, record, replace

_INT_MIN: Final = -(1 << 63)
_INT_MAX: Final = (1 << 63) - 1


@record
class Hello:
    """Everything a CONNECT may say. The defaults are those of a client that never sent one.

    Secrets and signatures stay out of `repr`.
    """

    verbose: bool = True
    pedantic: bool = True
    echo: bool = True
    tls_required: bool = False
    protocol: int = 0
    headers: bool = False
    no_responders: bool = False
    name: str = ""
    lang: str = ""
    version: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    auth_token: str = field(default="", repr=False)
    jwt: str = field(default="", repr=False)
    sig: str = field(default="", repr=False)
    nkey: str = ""
    proxy_sig: str = field(default="", repr=False)
    account: str = ""
    new_account: bool = False


SILENT: Final = Hello()
"""What is assumed of a client that never sends CONNECT."""

_MEMBERS: Final[dict[str, tuple[str, type]]] = {
    "verbose": ("verbose", bool),
    "pedantic": ("pedantic", bool),
    "echo": ("echo", bool),
    "tls_required": ("tls_required", bool),
    "protocol": ("protocol", int),
    "headers": ("headers", bool),
    "no_responders": ("no_responders", bool),
    "name": ("name", str),
    "lang": ("lang", str),
    "version": ("version", str),
    "user": ("user", str),
    "pass": ("password", str),
    "auth_token": ("auth_token", str),
    "jwt": ("jwt", str),
    "sig": ("sig", str),
    "nkey": ("nkey", str),
    "proxy_sig": ("proxy_sig", str),
    "account": ("account", str),
    "new_account": ("new_account", bool),
}
_JSON_TYPES: Final[dict[type, str]] = {
    bool: "a boolean",
    int: "a whole number",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def parse_hello(arguments: bytes, *, previous: Hello = SILENT) -> Hello:
    """Reads the argument of CONNECT over what the connection said before.

    Raises MalformedHello for anything that is no JSON object with members of the right types; the connection is then
    closed without an error to the peer (reference: wire protocol 1.5).
    """
    try:
        members = _DECODER.decode(arguments.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise MalformedHello(f"CONNECT is not JSON: {error}") from None
    if type(members) is not dict:
        if members is None:
            return previous
        raise MalformedHello(f"CONNECT wants an object, found {_JSON_TYPES[type(members)]}")
    changes: dict[str, Any] = {}
    for key, value in members.items():
        member = _MEMBERS.get(key) or _MEMBERS.get(key.casefold())
        if member is None or value is None:
            continue
        name, kind = member
        if type(value) is not kind:
            raise MalformedHello(f'CONNECT member "{name}" wants {_JSON_TYPES[kind]}, found {_JSON_TYPES[type(value)]}')
        changes[name] = value
    if not _INT_MIN <= changes.get("protocol", 0) <= _INT_MAX:
        raise MalformedHello('CONNECT member "protocol" is out of range')
    if b"\\u" in arguments:
        _mend_surrogates(changes)
    return Hello(**changes) if previous is SILENT else replace(previous, **changes)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def _mend_surrogates(changes: dict[str, Any]) -> None:
    """Half a surrogate pair is no character: it becomes the replacement character before it can reach a log."""
    for name, value in changes.items():
        if type(value) is str:
            changes[name] = value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
