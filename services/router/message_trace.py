"""The event about a traced message (reference: wire protocol 1.19). Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from services.shared.records.record import record
from services.shared.wire.times import rfc3339

CLIENT_KIND: Final = 0
"""What a connection is, as trace events number it (reference: wire protocol, legend)."""


@record
class Hop:
    """A connection that the message came from or went to; `queue` is empty for a plain subscription.

    `account` is empty where that is the account of who published.
    """

    cid: int
    name: str
    account: str = ""
    subject: str = ""
    queue: str = ""


@record
class Crossing:
    """The message goes on in another account as `after`: a stream there (`se`), or a request (`si`) that was `before`."""

    kind: str
    account: str
    before: str
    after: str


@record
class TracedMessage:
    """What the engine noted about a traced message."""

    account: str
    subject: str
    mapped: str
    header: bytes
    size_bytes: int
    publisher: Hop
    steps: Sequence[Hop | Crossing]
    unnamed: int


def trace_event(message: TracedMessage, *, server: dict[str, Any], now_ns: int) -> bytes:
    """The event as JSON: ingress first, then the mapping if there was one, then who received it."""
    at = rfc3339(now_ns)
    events: list[dict[str, Any]] = [
        {
            "type": "in",
            "ts": at,
            "kind": CLIENT_KIND,
            "cid": message.publisher.cid,
            "name": message.publisher.name,
            "acc": message.account,
            "subj": message.subject,
        }
    ]
    if message.mapped != message.subject:
        events.append({"type": "sm", "ts": at, "to": message.mapped})
    events.extend(_step(step, at) for step in message.steps)
    if message.unnamed:
        events.append({"type": "eg", "ts": at, "kind": CLIENT_KIND, "error": f"{message.unnamed} more steps"})
    request = {"header": header_values(message.header), "msgsize": message.size_bytes}
    return json.dumps({"server": server, "request": request, "events": events}, separators=(",", ":")).encode()


def _step(step: Hop | Crossing, at: str) -> dict[str, Any]:
    if isinstance(step, Crossing):
        crossing = {"type": step.kind, "ts": at, "acc": step.account}
        return crossing | ({"from": step.before} if step.before else {}) | {"to": step.after}
    egress: dict[str, Any] = {"type": "eg", "ts": at, "kind": CLIENT_KIND, "cid": step.cid}
    if step.name:
        egress["name"] = step.name
    if step.account:
        egress["acc"] = step.account
    egress["sub"] = step.subject
    if step.queue:
        egress["queue"] = step.queue
    return egress


def header_values(block: bytes) -> dict[str, list[str]]:
    """The headers of a block, each with all its values, in order; malformed lines are left out."""
    values: dict[str, list[str]] = {}
    for line in block.split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if colon and name:
            values.setdefault(name.decode(errors="replace"), []).append(value.decode(errors="replace").strip())
    return values
