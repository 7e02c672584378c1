"""Reports, at most once a second, how many connections the TLS rate limit turned away."""

from __future__ import annotations

import trio

from services.router.admission.tls_rate import WINDOW_NS, HandshakeRate, rejected_text
from services.shared.telemetry.log import Logger


async def report_rejected(rate: HandshakeRate, log: Logger) -> None:
    """Runs for ever."""
    while True:
        await trio.sleep(WINDOW_NS / 1e9)
        rejected = rate.take_rejected()
        if rejected:
            log.warn(rejected_text(rejected))
