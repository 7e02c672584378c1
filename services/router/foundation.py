"""What a router stands on: the engine with its rules, and the desk that settles CONNECTs. Built without an event loop.

The engine can greet clients as soon as this stands, while the interpreter is still loading what serves them. That takes
the larger half off the time to the first INFO (ADR-0003).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from typing import Final

from services.router.admission.desk import Desk, Rules
from services.router.admission.directory import SYNTHETIC_SECRET_CHARS, Directory, Listener
from services.router.admission.info import InfoTemplate
from services.router.census import Census
from services.router.rib.accounts import AccountNumbers
from services.router.rib.imports import install_imports
from services.router.rib.limits import crew_size, engine_limits
from services.router.rib.permits import PermitBook
from services.router.rules import clustered, compile_rules, first_face, greets_at_once, info_templates
from services.shared.config.options import Options
from services.shared.engine.forwarding import Forwarding, Permit, compile_permit
from services.shared.member.cluster_face import Face
from services.shared.records.record import record
from services.shared.runtime.control import ControlChannel
from services.shared.runtime.role_plan import NATS_LISTENER, RolePlan
from services.shared.telemetry.log import Level, Logger


@record
class Foundation:
    """The parts that need no event loop.

    `compile` makes the rules of other options, and raises ValueError; `templates` only what clients are told.
    """

    log: Logger
    compile: Callable[[Options, Face], Rules]
    templates: Callable[[Options, Directory, Face], dict[Listener, InfoTemplate]]
    numbers: AccountNumbers
    census: Census
    engine: Forwarding
    desk: Desk


ENTROPY_BYTES: Final = SYNTHETIC_SECRET_CHARS + 8


def lay_foundation(plan: RolePlan, log: Logger, *, entropy: bytes) -> Foundation:
    """Builds the parts and opens the plain client listener; raises ValueError when the options cannot be enforced.

    `entropy` are `ENTROPY_BYTES` that nobody can guess: for a secret, and for the seed of the engine.
    """
    secret = base64.b32encode(entropy[:SYNTHETIC_SECRET_CHARS])[:SYNTHETIC_SECRET_CHARS].decode()
    seed = int.from_bytes(entropy[SYNTHETIC_SECRET_CHARS:ENTROPY_BYTES])
    identity, ports, commit = plan.identity, plan.ports, plan.git_commit

    def compile(options: Options, face: Face) -> Rules:
        return compile_rules(
            options, identity=identity, ports=ports, synthetic_secret=secret, git_commit=commit, face=face
        )  # fmt: skip

    def templates(options: Options, directory: Directory, face: Face) -> dict[Listener, InfoTemplate]:
        return info_templates(options, directory, identity=identity, ports=ports, git_commit=commit, face=face)

    rules = compile(plan.options, first_face(plan.options, plan.identity))
    permits: PermitBook[Permit] = PermitBook(compile_permit)
    for user in (*rules.directory.users.values(), *rules.directory.nkeys.values()):
        permits.permit(user.permissions)
    numbers = AccountNumbers()
    engine = Forwarding(
        engine_limits(plan.options, memory_bytes=memory_bytes()),
        seed=seed,
        crew=crew_size(plan.options, processors=len(os.sched_getaffinity(0))),
    )
    for name in rules.directory.accounts:
        engine.install_account(numbers.number(name), rules.mappings.get(name))
    cluster = clustered(plan.options)
    if cluster is not None:
        # Only routers of a cluster need it.
        from services.router.cluster import name_accounts, pooling

        name_accounts(engine, pooling(cluster, rules.directory), rules.directory, numbers)
    install_imports(engine, numbers, server_name=rules.server_name, before={}, after=rules.imports)
    census = Census()
    desk = Desk(engine=engine, rules=rules, numbers=numbers, permits=permits, census=census, log=log)
    fd = plan.sockets.get(NATS_LISTENER)
    if fd is not None and greets_at_once(plan.options):
        engine.open_door(os.dup(fd), desk.door(Listener.CLIENT))
    return Foundation(
        log=log, compile=compile, templates=templates, numbers=numbers, census=census, engine=engine, desk=desk
    )


def role_log(plan: RolePlan, channel: ControlChannel | None) -> Logger:
    """The log of the role: lines go to the supervisor, or to standard error without one."""

    def emit(level: Level, text: str) -> None:
        if channel is not None:
            channel.send_log(level, text)
        else:
            os.write(2, f"[{plan.node_pid}] [{level}] {text}\n".encode(errors="replace"))

    return Logger(emit, debug=plan.options.log.debug, trace=plan.options.log.trace)


def memory_bytes() -> int:
    """The memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
