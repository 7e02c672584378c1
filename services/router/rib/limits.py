"""The limits that hold for all connections, as the engine wants them."""

from __future__ import annotations

from typing import Final

from services.shared.config.options import Options
from services.shared.config.units import format_duration

UNLIMITED_PAYLOAD: Final = (1 << 64) - 1
UNLIMITED_SUBSCRIPTIONS: Final = (1 << 32) - 1
DEFAULT_ENGINE_THREADS_MAX: Final = 2


def engine_limits(options: Options, *, memory_bytes: int) -> dict[str, object]:
    """Limits from the options. `memory_bytes` is the machine's memory: a quarter of it may be held for slow readers.

    The bound is for all that slow readers cost. A fifth of it is left for what comes with their buffers: gaps between
    them, copies on their way, records of who was cut. Several routers of a node share it.
    """
    pending_total = (options.fleet.pending_bytes_max or memory_bytes // 4) // options.fleet.routers
    return {
        "control_line_max": options.max_control_line_bytes,
        "pending_max": options.max_pending_bytes,
        "pending_total_max": pending_total - pending_total // 5,
        "write_deadline_ns": options.write_deadline_ns,
        "write_deadline": format_duration(options.write_deadline_ns),
        "write_retry": options.write_timeout == "retry",
        "ping_max": options.ping_max,
        "sub_tokens_max": options.max_sub_tokens,
        "trace": options.log.trace,
        "trace_headers": options.log.trace_headers,
        "trace_body_max": max(options.log.max_traced_msg_len, 0),
        "no_stall": options.no_fast_producer_stall,
        "remember_routes": not options.no_sublist_cache,
        "report_details": options.log.debug,
        "conns_max": max(options.max_connections, 0),
        "routes": options.cluster is not None and options.cluster.port != 0,
    }


def crew_size(options: Options, *, processors: int) -> int:
    """Threads beside the forwarding thread: what `engine_threads` leaves, by default one where it can run."""
    threads = options.fleet.engine_threads or min(processors // options.fleet.routers, DEFAULT_ENGINE_THREADS_MAX)
    return max(threads, 1) - 1


def payload_limit(limit: int) -> int:
    """A payload limit where -1 is unlimited, as the engine writes it."""
    return UNLIMITED_PAYLOAD if limit < 0 else limit


def subscription_limit(limit: int) -> int:
    """A limit of subscriptions where -1 is unlimited, as the engine writes it."""
    return UNLIMITED_SUBSCRIPTIONS if limit < 0 else min(limit, UNLIMITED_SUBSCRIPTIONS)
