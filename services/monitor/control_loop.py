"""The control channel of a role that runs on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.shared.config.options import Options
from services.shared.runtime.control import ChannelClosed, ControlChannel, Reload, Stop


async def serve_control(channel: ControlChannel, on_reload: Callable[[Options], None]) -> None:
    """Obeys the supervisor until it says stop or is gone. `on_reload` applies other options."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def read() -> None:
        try:
            records = channel.receive()
        except ChannelClosed:
            ended.set()
            return
        for record in records:
            if isinstance(record, Stop):
                ended.set()
            elif isinstance(record, Reload):
                on_reload(record.options)

    def write() -> None:
        channel.flush()
        if not channel.has_pending:
            loop.remove_writer(channel.fd)

    channel.on_pending = lambda: loop.add_writer(channel.fd, write)
    if channel.has_pending:
        loop.add_writer(channel.fd, write)
    loop.add_reader(channel.fd, read)
    await ended.wait()
    loop.remove_reader(channel.fd)
    loop.remove_writer(channel.fd)
    channel.on_pending = None
