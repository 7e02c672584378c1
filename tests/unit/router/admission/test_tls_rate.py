"""The limit of TLS handshakes a second."""

from __future__ import annotations

from services.router.admission.tls_rate import WINDOW_NS, HandshakeRate, rejected_text


def test_limit_holds_within_a_window() -> None:
    rate = HandshakeRate(3)
    assert [rate.allow(now_ns=10 + i) for i in range(5)] == [True, True, True, False, False]
    assert rate.take_rejected() == 2
    assert rate.take_rejected() == 0


def test_next_window_begins_with_its_first_handshake() -> None:
    rate = HandshakeRate(1)
    start_ns = 5 * WINDOW_NS
    assert rate.allow(now_ns=start_ns)
    assert not rate.allow(now_ns=start_ns + WINDOW_NS - 1)
    late_ns = start_ns + 10 * WINDOW_NS + 7
    assert rate.allow(now_ns=late_ns)
    assert not rate.allow(now_ns=late_ns + WINDOW_NS - 1)
    assert rate.allow(now_ns=late_ns + WINDOW_NS)


def test_warning_counts_connections() -> None:
    assert rejected_text(7) == "Rejected 7 connections due to TLS rate limiting"
