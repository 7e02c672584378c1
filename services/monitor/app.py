"""The monitor role: wires the site, the link to the router and the web server, and nothing else."""

from __future__ import annotations

import asyncio
import os
import socket
from functools import partial
from ssl import SSLContext
from typing import Final

import uvicorn

from services.monitor.control_loop import serve_control
from services.monitor.link_loop import Link
from services.monitor.site import Site
from services.monitor.web_server_loop import WebServer
from services.shared.config.options import Options
from services.shared.runtime.control import ControlChannel, Failed, Ready
from services.shared.runtime.https import build_tls_context
from services.shared.runtime.link_passing import RENDEZVOUS, send_link
from services.shared.runtime.role_plan import MONITORING_LISTENER, RolePlan
from services.shared.telemetry.log import Level, Logger

BACKLOG_CONNECTIONS: Final = 4096
CONCURRENT_MAX: Final = 1024
"""Connections at a time; more are told to come again later."""
IDLE_S: Final = 75
CLOSING_S: Final = 1


def run(plan: RolePlan) -> int:
    """Serves until told to stop; returns the exit code of the process."""
    channel = ControlChannel(plan.control) if plan.control is not None else None
    log = _log(plan, channel)
    if RENDEZVOUS not in plan.sockets:
        return _give_up(channel, log, "The monitor has to run beside the router of its node")
    try:
        link = Link(lambda: send_link(plan.sockets[RENDEZVOUS]))
        config = _config(plan, link)
        https = plan.options.tls if plan.options.https_port else None
        secure = build_tls_context(https) if https is not None else None
    except (OSError, ValueError) as error:
        return _give_up(channel, log, f"Can't start monitoring: {error}")
    # Not asyncio.run, which would wait for requests that are under way: whoever stops a node wants it gone, and the
    # process ends with this function.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_serve(plan, channel, log, config, secure))
    return 0


def _give_up(channel: ControlChannel | None, log: Logger, text: str) -> int:
    if channel is None:
        log.fatal(text)
    else:
        channel.send(Failed(text=text))
    return 1


def _config(plan: RolePlan, link: Link) -> uvicorn.Config:
    site = Site(link, identity=plan.identity, configured_base_path=plan.options.http_base_path)
    config = uvicorn.Config(
        site.app(), http="h11", ws="none", loop="asyncio", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, backlog=BACKLOG_CONNECTIONS, limit_concurrency=CONCURRENT_MAX,
        timeout_keep_alive=IDLE_S, timeout_graceful_shutdown=CLOSING_S,
    )  # fmt: skip
    config.load()
    return config


async def _serve(
    plan: RolePlan, channel: ControlChannel | None, log: Logger, config: uvicorn.Config, secure: SSLContext | None
) -> None:
    server = WebServer(config, secure=secure, on_start=lambda: channel.send(Ready()) if channel is not None else None)
    listener = socket.socket(fileno=os.dup(plan.sockets[MONITORING_LISTENER]))
    tasks = [asyncio.create_task(server.serve(sockets=[listener]))]
    if channel is not None:
        tasks.append(asyncio.create_task(serve_control(channel, partial(_follow, server, log))))
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()  # raises what ended it


def _follow(server: WebServer, log: Logger, options: Options) -> None:
    log.debugs, log.traces = options.log.debug, options.log.trace
    if server.secure is None or options.tls is None:
        return
    try:
        server.secure = build_tls_context(options.tls)
    except (OSError, ValueError) as error:
        log.error(f"The certificates of the monitoring port stay as they were: {error}")


def _log(plan: RolePlan, channel: ControlChannel | None) -> Logger:
    def emit(level: Level, text: str) -> None:
        if channel is not None:
            channel.send_log(level, text)
        else:
            os.write(2, f"[{plan.node_pid}] [{level}] {text}\n".encode(errors="replace"))

    return Logger(emit, debug=plan.options.log.debug, trace=plan.options.log.trace)
