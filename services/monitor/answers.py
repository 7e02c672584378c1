"""HTTP answers from the router's answers (reference: operations 6.1). Pure: bytes in, status, headers and bytes out."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from services.shared.records.record import field, record
from services.shared.wire.json_text import compact, indented

_CALLBACK: Final = re.compile(r"[A-Za-z_$][\w$.\[\]]{0,127}", re.ASCII)
"""A function's name in a script, and nothing that could be more than that."""


@record(kw_only=False)
class Answer:
    """What goes back: the status, the body, its type, and further headers."""

    status: int
    body: bytes
    content_type: str
    headers: dict[str, str] = field(default_factory=dict)


def refusal(text: str, *, status: int = 400) -> Answer:
    """An error in plain text, without a newline at its end."""
    return Answer(status, text.encode(errors="replace"), "text/plain; charset=utf-8")


def not_found() -> Answer:
    """There is no such page."""
    headers = {"X-Content-Type-Options": "nosniff"}
    return Answer(404, b"404 page not found\n", "text/plain; charset=utf-8", headers)


def unavailable(reason: str, *, is_health: bool) -> Answer:
    """The router cannot be asked. Health is JSON in any case, since tools decode it without looking at the status."""
    if is_health:
        return _json(compact({"status": "unavailable", "error": reason}), 503, callback="")
    return refusal(reason, status=503)


def from_router(answer: bytes, *, is_health: bool, callback: str) -> Answer:
    """The data of a router's answer as a page, or its error as a refusal."""
    message: dict[str, Any] = json.loads(answer)
    error = message.get("error")
    if error:
        # 500 is what the router calls parameters that make no sense; over HTTP that is 400.
        code = error.get("code", 500)
        return refusal(str(error["description"]), status=400 if code == 500 else code)
    data = message["data"]
    if is_health:
        status = data.pop("status_code", 200)
        return _json(compact(data), status, callback=callback)
    return _json(indented(data), 200, callback=callback)


def _json(text: bytes, status: int, *, callback: str) -> Answer:
    headers = {"Access-Control-Allow-Origin": "*"}
    if callback and _CALLBACK.fullmatch(callback):
        return Answer(status, callback.encode() + b"(" + text + b")", "application/javascript", headers)
    return Answer(status, text, "application/json", headers)
