"""CONNECT as the log shows it: the client's own text, without its secrets (reference: operations 5.5).

Promise: what the text says under a name for secrets is not shown, at any depth, however it is written. Where that cannot be
told, since the text is no JSON or holds a secret that is no plain value, the rest of the text is left away.
"""

from __future__ import annotations

import json
import re
from typing import Final

from services.router.admission.verdict import REDACTED

_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_MEMBER: Final = re.compile(rf'({_STRING})(?:(\s*:\s*)({_STRING}|[^\s,:"\[\]{{}}]+|[\[{{]))?', re.DOTALL)
_SECRETS: Final = frozenset(("sig", "proxy_sig", "nkey"))
_SUSPICIOUS: Final = re.compile(r"pass|auth_token|sig|nkey|\\u", re.IGNORECASE)
"""What may begin the name of a secret, where names cannot be told from values."""


def redacted(arguments: bytes) -> str:
    """The arguments of a CONNECT for the log."""
    text = arguments.decode(errors="replace")
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        found = _SUSPICIOUS.search(text)
        return text if found is None else text[: found.end()] + REDACTED
    shown: list[str] = []
    end = 0
    for member in _MEMBER.finditer(text):
        name, colon, value = member.groups()
        if colon is None or not _is_secret(name):
            continue
        if value in ("{", "["):
            return "".join(shown) + text[end : member.start(3)] + REDACTED
        shown += text[end : member.start(3)], f'"{REDACTED}"' if value.startswith('"') else REDACTED
        end = member.end()
    return "".join(shown) + text[end:]


def _is_secret(name: str) -> bool:
    folded: str = json.loads(name, strict=False).casefold()
    return "pass" in folded or "auth_token" in folded or folded in _SECRETS
