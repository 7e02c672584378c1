"""Waits for a condition with a deadline; the one place of the tests that polls."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

Value = TypeVar("Value")
POLL_S = 0.01


async def eventually(
    condition: Callable[[], Value | Awaitable[Value]], *, within_s: float = 10.0, what: str = ""
) -> Value:
    """Returns the first true value of `condition` (sync or async); fails with its last value when time is up."""
    deadline = trio.current_time() + within_s
    while True:
        value = condition()
        if inspect.isawaitable(value):
            value = await value
        if value:
            return value
        if trio.current_time() > deadline:
            raise AssertionError(f"waited {within_s} s for {what or 'a condition'}, last saw {value!r}")
        await trio.sleep(POLL_S)


async def holds(condition: Callable[[], Awaitable[bool]], *, for_s: float, what: str = "") -> None:
    """Fails as soon as `condition` does not hold; returns when it held for so long."""
    deadline = trio.current_time() + for_s
    while trio.current_time() < deadline:
        assert await condition(), what or "a condition does not hold any more"
        await trio.sleep(10 * POLL_S)
