"""Forking the process of a row of the role table."""

from __future__ import annotations

from services.shared.runtime.spawn import ForkedRole, fork_role
from services.supervisor.roles import RoleSpec


def fork(spec: RoleSpec) -> ForkedRole:
    """Forks the process of a role, which imports its module and waits for its plan."""
    return fork_role(module=spec.module, comm=spec.comm, title=f"natsfleet: {spec.name}")
