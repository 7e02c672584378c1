"""Whether a router is well (reference: operations 6.13). Pure.

It answers, so it serves; without JetStream there is nothing else to be unwell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MEMBERS: Final = {
    "js-enabled": "bool",
    "js-enabled-only": "bool",
    "js-server-only": "bool",
    "js-meta-only": "bool",
    "account": "string",
    "stream": "string",
    "consumer": "string",
    "details": "bool",
}
"""The options of a request, with their types."""


def healthz(options: Mapping[str, Any]) -> dict[str, Any]:
    """The verdict, with the status of the HTTP answer in `status_code`."""
    fault = _contradiction(options)
    if not fault:
        return {"status": "ok", "status_code": 200}
    if options.get("details"):
        errors = [{"type": "BAD_REQUEST", "error": fault}]
        return {"status": "error", "status_code": 400, "errors": errors}
    return {"status": "error", "status_code": 400, "error": fault}


def _contradiction(options: Mapping[str, Any]) -> str:
    if options.get("stream") and not options.get("account"):
        return '"account" must not be empty when checking stream health'
    if options.get("consumer") and not options.get("stream"):
        return '"stream" must not be empty when checking consumer health'
    return ""
