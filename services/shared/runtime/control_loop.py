"""The role's end of the control channel under trio.

`run_control` is one task of the role: it hands the supervisor's orders to a function and sends what `ControlChannel`
could not write at once. It returns when the supervisor is gone; the role must end then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from services.shared.runtime.control import ChannelClosed, ControlChannel, LameDuck, Reload, ReloadOutcome, Start, Stop

Order = Stop | LameDuck | Reload | ReloadOutcome


async def run_control(channel: ControlChannel, on_order: Callable[[Order], Awaitable[None]]) -> None:
    """Serves the channel until the supervisor is gone. Orders are handled one at a time, in order."""
    pending = trio.Event()

    def wake_writer() -> None:
        pending.set()

    async def write_pending() -> None:
        nonlocal pending
        while True:
            await pending.wait()
            pending = trio.Event()
            await trio.lowlevel.wait_writable(channel.fd)
            channel.flush()

    channel.on_pending = wake_writer
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write_pending)
        channel.flush()
        await _read_orders(channel, on_order)
        nursery.cancel_scope.cancel()
    channel.on_pending = None


async def _read_orders(channel: ControlChannel, on_order: Callable[[Order], Awaitable[None]]) -> None:
    while True:
        await trio.lowlevel.wait_readable(channel.fd)
        try:
            records = channel.receive()
        except ChannelClosed:
            return
        for record in records:
            match record:
                case Stop() | LameDuck() | Reload() | ReloadOutcome():
                    await on_order(record)
                case Start():
                    continue
                case _:
                    raise TypeError(f"the supervisor sent a {type(record).__name__}")
