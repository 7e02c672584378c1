"""A role that raises before it is ready."""

from services.shared.runtime.role_plan import RolePlan


def run(plan: RolePlan) -> int:
    raise RuntimeError(f"start {plan.incarnation} of {plan.role} fails")
