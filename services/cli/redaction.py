"""Keeping secrets out of the arguments that everybody on the machine can read (operations 3.1). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SECRET_FLAGS: Final = frozenset({"user", "pass", "auth"})
URL_FLAGS: Final = frozenset({"cluster", "cluster_listen", "routes"})
REDACTED: Final = "[REDACTED]"
REDACTED_USER: Final = "_REDACTED_"


def redact_arguments(argv: Sequence[str]) -> list[str]:
    """The arguments with the values of secret flags replaced, and the credentials in URLs."""
    redacted: list[str] = []
    pending = ""
    for word in argv:
        if pending:
            redacted.append(_redact_value(pending, word))
            pending = ""
            continue
        flag, has_value, value = word.partition("=")
        name = flag.removeprefix("-").removeprefix("-") if flag.startswith("-") else ""
        if name not in SECRET_FLAGS and name not in URL_FLAGS:
            redacted.append(word)
        elif has_value:
            redacted.append(f"{flag}={_redact_value(name, value)}")
        else:
            redacted.append(word)
            pending = name
    return redacted


def _redact_value(flag: str, value: str) -> str:
    if flag in SECRET_FLAGS:
        return REDACTED
    return ",".join(_redact_url(url) for url in value.split(","))


def _redact_url(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    authority, slash, path = rest.partition("/")
    credentials, at, host = authority.rpartition("@")
    if not at or not credentials:
        return url
    return f"{scheme}://{REDACTED_USER}@{host}{slash}{path}"
