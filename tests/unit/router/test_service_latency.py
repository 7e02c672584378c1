"""What a measurement of a service says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.router.service_latency import Measurement, metric

NOW_NS = 1_800_000_000_000_000_000


def told(**fields: Any) -> dict[str, Any]:
    measured = Measurement(
        **{"status": 200, "requestor": b'{"acc":"I"}', "requestor_rtt_ns": 5, "header": b"", "took_ns": 100} | fields
    )
    found: dict[str, Any] = json.loads(metric(measured, metric_id="x" * 22, now_ns=NOW_NS))
    return found


def test_times_add_up() -> None:
    found = told(responder=b'{"acc":"E"}', responder_rtt_ns=30)
    assert (found["service"], found["system"], found["total"]) == (70, 0, 105)
    assert found["start"] == "2027-01-15T07:59:59.999999895Z"
    assert found["timestamp"] == "2027-01-15T08:00:00Z"


def test_a_round_trip_that_was_longer_than_the_answer_took_makes_no_time_negative() -> None:
    found = told(responder=b'{"acc":"E"}', responder_rtt_ns=300)
    assert (found["service"], found["total"]) == (0, 105)


def test_nobody_is_named_who_is_not_known() -> None:
    assert "responder" not in told()


@pytest.mark.parametrize("status", [400, 408, 503, 504])
def test_what_was_not_answered_took_no_time(status: int) -> None:
    found = told(status=status)
    assert (found["service"], found["system"], found["total"]) == (0, 0, 0)
    assert found["description"]


def test_headers_are_named_as_in_http() -> None:
    header = b"x-b3-traceid:t\r\nX-B3-SAMPLED:1\r\nUberctx-a:b\r\nUberctx-a:c\r\n"
    assert told(header=header)["header"] == {"X-B3-Traceid": ["t"], "X-B3-Sampled": ["1"], "Uberctx-A": ["b", "c"]}
