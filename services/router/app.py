"""The router role: lays its foundation, then loads and runs what needs an event loop."""

from __future__ import annotations

import os

from services.router.foundation import ENTROPY_BYTES, lay_foundation, role_log
from services.shared.runtime import garbage
from services.shared.runtime.control import ControlChannel, Failed
from services.shared.runtime.role_plan import RolePlan


def run(plan: RolePlan) -> int:
    """Serves until told to stop; returns the exit code of the process."""
    channel = ControlChannel(plan.control) if plan.control is not None else None
    log = role_log(plan, channel)
    try:
        foundation = lay_foundation(plan, log, entropy=os.urandom(ENTROPY_BYTES))
    except ValueError as error:
        # What options cannot be together, or what cannot be compiled of them; trying again would not help.
        if channel is not None:
            channel.send(Failed(text=str(error)))
        else:
            log.fatal(str(error))
        return 1
    garbage.hold_off()
    # Loaded only now: the engine greets clients already, and trio takes its time.
    import trio

    from services.router.serving_loop import Serving

    garbage.resume()
    trio.run(Serving(plan, channel, foundation).serve)
    return 0
