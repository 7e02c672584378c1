"""When a role that died is started again, and when the node gives up. Pure: time is an argument.

Promise: the first restart is immediate, so a killed router serves again within a second; further ones wait twice as
long each time, up to a bound. A role that died `FAILED_STARTS_MAX` times in a row without ever becoming ready in
between can't be kept up. A role that gets ready and dies again is restarted for ever, since it does serve in between.
"""

from __future__ import annotations

from typing import Final

from services.shared.records.record import record, replace

MILLISECOND_NS: Final = 1_000_000
FIRST_DELAY_NS: Final = 100 * MILLISECOND_NS
DELAY_NS_MAX: Final = 10_000 * MILLISECOND_NS
STABLE_NS: Final = 30_000 * MILLISECOND_NS
"""Having been ready for this long, a role starts with a clean record."""
FAILED_STARTS_MAX: Final = 5


@record
class History:
    """What counts of a role's past: deaths in a row, and those of them before it was ready."""

    deaths: int = 0
    failed_starts: int = 0


@record
class RestartAt:
    """Start the role again at this time."""

    at_ns: int
    history: History


@record
class GiveUp:
    """The role can't be kept up."""

    failed_starts: int


def decide_restart(history: History, *, ready_since_ns: int | None, now_ns: int) -> RestartAt | GiveUp:
    """What to do about a role that has just died; `ready_since_ns` is None if it never got ready this time."""
    if ready_since_ns is None:
        after = replace(history, deaths=history.deaths + 1, failed_starts=history.failed_starts + 1)
    elif now_ns - ready_since_ns >= STABLE_NS:
        after = History(deaths=1)
    else:
        after = History(deaths=history.deaths + 1)
    if after.failed_starts >= FAILED_STARTS_MAX:
        return GiveUp(failed_starts=after.failed_starts)
    return RestartAt(at_ns=now_ns + delay_ns(after.deaths), history=after)


def delay_ns(deaths: int) -> int:
    """How long to wait after the n-th death in a row: nothing, then 100 ms, doubled each time, at most 10 s."""
    if deaths <= 1:
        return 0
    exponent = min(deaths - 2, 32)
    return min(FIRST_DELAY_NS << exponent, DELAY_NS_MAX)
