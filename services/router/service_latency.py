"""Measurements of services: how long an answer took, as its export asks for it (reference: security 5.6).

`metric` is pure. Times between servers are not measured: what a request spends in this one is part of its service.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from services.router.client_info import client_info
from services.router.newcomers import recall
from services.router.own_traffic import OwnTraffic
from services.shared.engine.forwarding import Event
from services.shared.records.record import record
from services.shared.wire.json_text import compact
from services.shared.wire.times import rfc3339

METRIC: Final = "io.nats.server.metric.v1.service_latency"
_DESCRIPTIONS: Final = {
    400: "Bad Request",
    408: "Request Timeout",
    503: "Service Unavailable",
    504: "Service Timeout",
}
_ANSWERED: Final = 200


@record
class Measurement:
    """How a timed request ended. Times are nanoseconds; `header` has the trace headers, line by line.

    `requestor` is JSON. `responder` has the members about who answered and its round trip, if that was a client here.
    """

    status: int
    requestor: bytes
    requestor_rtt_ns: int
    header: bytes
    took_ns: int
    responder: bytes = b""
    responder_rtt_ns: int = 0


def metric(measured: Measurement, *, metric_id: str, now_ns: int) -> bytes:
    """The measurement as JSON. `now_ns` is when the request ended, as wall-clock time."""
    shown: dict[str, Any] = {
        "type": METRIC, "id": metric_id, "timestamp": rfc3339(now_ns), "status": measured.status,
    }  # fmt: skip
    if measured.status in _DESCRIPTIONS:
        shown["description"] = _DESCRIPTIONS[measured.status]
    shown["requestor"] = json.loads(measured.requestor)
    if measured.responder:
        shown["responder"] = json.loads(measured.responder)
    if measured.header:
        shown["header"] = _header_values(measured.header)
    shown["start"] = rfc3339(now_ns - measured.took_ns - measured.requestor_rtt_ns)
    service = total = 0
    if measured.status == _ANSWERED:
        service = max(measured.took_ns - measured.responder_rtt_ns, 0)
        total = measured.requestor_rtt_ns + measured.took_ns
    return compact(shown | {"service": service, "system": 0, "total": total})


def _header_values(lines: bytes) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            canonical = "-".join(part.capitalize() for part in name.decode(errors="replace").split("-"))
            values.setdefault(canonical, []).append(value.decode(errors="replace"))
    return values


class Stopwatch:
    """Publishes what the engine has measured. `draw_id` makes up the name of a measurement."""

    __slots__ = ("_draw_id", "_own", "_server_name")

    def __init__(self, *, own: OwnTraffic, server_name: str, draw_id: Callable[[], str]) -> None:
        self._own = own
        self._server_name = server_name
        self._draw_id = draw_id

    def report(self, event: Event, *, now_ns: int) -> None:
        """Publishes the measurement of a `served` event of the engine. `now_ns` is wall-clock time."""
        _, account, results, status, (requestor, requestor_rtt_ns, header), took_ns, answered_by = event
        responder, responder_rtt_ns = b"", 0
        if answered_by is not None:
            cid, about, responder_rtt_ns = answered_by
            responder = self._client(cid, about, responder_rtt_ns)
        measured = Measurement(
            status=status, requestor=requestor, requestor_rtt_ns=requestor_rtt_ns, header=header, took_ns=took_ns,
            responder=responder, responder_rtt_ns=responder_rtt_ns,
        )  # fmt: skip
        body = metric(measured, metric_id=self._draw_id(), now_ns=now_ns)
        self._own.publish(account=account, subject=results, body=body)

    def _client(self, cid: int, about: bytes, rtt_ns: int) -> bytes:
        if not about:
            return b""
        note = json.loads(about)
        before, after_account, after_rtt = client_info(
            recall(cid, note), user=note.get("user", ""), server_name=self._server_name
        )
        rtt = b',"rtt":%d' % rtt_ns if rtt_ns else b""
        return b'{%b"acc":%b%b%b%b}' % (before, compact(note["account"]), after_account, rtt, after_rtt)
