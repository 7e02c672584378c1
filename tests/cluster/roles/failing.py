"""A role that knows that trying again would not help."""

from services.shared.runtime.control import ControlChannel, Failed
from services.shared.runtime.role_plan import RolePlan


def run(plan: RolePlan) -> int:
    assert plan.control is not None
    ControlChannel(plan.control).send(Failed(text="The disk is missing"))
    return 1
