"""A role that gets ready and then obeys nothing."""

import threading

from services.shared.runtime.control import ControlChannel, Ready
from services.shared.runtime.role_plan import RolePlan


def run(plan: RolePlan) -> int:
    assert plan.control is not None
    ControlChannel(plan.control).send(Ready())
    threading.Event().wait()
    return 0
