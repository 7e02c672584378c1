"""What is written to the log when connections come and go (reference: operations 5.3, 5.4)."""

from __future__ import annotations

import json

from services.router.newcomers import Newcomer, note_prefix
from services.shared.telemetry.log import Logger
from services.shared.wire.close_reasons import CloseReason
from services.shared.wire.quote import quote

_SLOW = (CloseReason.SLOW_CONSUMER_PENDING_BYTES, CloseReason.SLOW_CONSUMER_WRITE_DEADLINE)
_QUIET = (CloseReason.CLIENT_CLOSED, CloseReason.READ_ERROR, CloseReason.WRITE_ERROR)


def log_closed(
    log: Logger, *, cid: int, about: bytes, newcomer: Newcomer | None, reason: CloseReason, detail: str
) -> None:
    """Logs the end of a connection: what was wrong at its level, that it ended at debug level."""
    if not detail and not log.debugs:
        return
    prefix = note_prefix(cid, json.loads(about)) if about else newcomer.log_prefix if newcomer else f"cid:{cid}"
    if detail:
        if reason is CloseReason.WRITE_ERROR:
            detail = f"Error flushing: {detail}"
        if reason in _SLOW:
            log.info(f"{prefix} - {detail}")
        elif reason in _QUIET or reason is CloseReason.STALE_CONNECTION:
            log.debug(f"{prefix} - {detail}")
        else:
            log.error(f"{prefix} - {detail}")
    log.debug(f"{prefix} - Client connection closed: {reason.text}")


def violation_text(kind: str, subject: bytes, queue: bytes, sid: bytes) -> str:
    """The log text of something a user may not do."""
    shown = quote(subject)
    match kind:
        case "publish":
            return f"Publish Violation - Subject {shown}"
        case "reply":
            return f"Publish Violation - Reply {shown}"
        case _:
            group = f", Queue: {quote(queue)}" if queue else ""
            return f"Subscription Violation - Subject {shown}{group}, SID {sid.decode(errors='replace')}"
