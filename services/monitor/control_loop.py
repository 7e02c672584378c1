"""The control channel of a role that runs on asyncio."""

from __future__ import annotations

import asyncio

from services.shared.runtime.control import ChannelClosed, ControlChannel, Reload, Stop
from services.shared.telemetry.log import Logger


async def serve_control(channel: ControlChannel, log: Logger) -> None:
    """Obeys the supervisor until it says stop or is gone."""
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
                log.debugs, log.traces = record.options.log.debug, record.options.log.trace

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
