"""Credentials that a browser keeps in cookies (reference: security 2, wire protocol 5.1).

The names come from the options; what is found fills CONNECT members that the client left empty. Values are taken as
they are, without percent-decoding, and a damaged pair is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from services.shared.config.options import WebsocketOptions
from services.shared.records.record import field, record

_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_FORBIDDEN_IN_VALUES: Final = '";\\'


@record
class CookieCredentials:
    """What the configured cookies held; empty where a cookie is not configured or did not come."""

    jwt: str = field(default="", repr=False)
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


NO_CREDENTIALS: Final = CookieCredentials()


def cookie_credentials(options: WebsocketOptions, cookie_fields: Iterable[str]) -> CookieCredentials:
    """Picks the configured cookies out of all Cookie header lines. Of two with one name the last counts."""
    names = (options.jwt_cookie, options.user_cookie, options.pass_cookie, options.token_cookie)
    if not any(names):
        return NO_CREDENTIALS
    jar = _jar(cookie_fields)
    jwt, user, password, token = (jar.get(name, "") if name else "" for name in names)
    return CookieCredentials(jwt=jwt, user=user, password=password, token=token)


def _jar(cookie_fields: Iterable[str]) -> dict[str, str]:
    jar: dict[str, str] = {}
    for line in cookie_fields:
        for pair in line.split(";"):
            name, _, value = pair.strip().partition("=")
            name = name.strip()
            if len(value) > 1 and value[0] == value[-1] == '"':
                value = value[1:-1]
            if _NAME.fullmatch(name) and _is_value(value):
                jar[name] = value
    return jar


def _is_value(value: str) -> bool:
    return _VALUE.fullmatch(value) is not None and not any(character in value for character in _FORBIDDEN_IN_VALUES)
