"""The supervisor's composition root: from options to a running node, to an exit code.

What must be loaded before the first role is forked is imported at the top and is kept small; everything else is
imported while the roles start. Nothing here decides.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from services.shared.config.options import Options
from services.shared.records.record import field, record
from services.shared.runtime import garbage
from services.shared.runtime.commit import own_commit
from services.shared.runtime.log_stream import LogTargetError
from services.shared.runtime.process_name import set_process_name
from services.shared.runtime.role_plan import Identity
from services.shared.runtime.signal_pipe import SignalPipe
from services.shared.runtime.spawn import ForkedRole, fill_standard_descriptors
from services.shared.telemetry.release import SERVER_PROGRAM
from services.supervisor.log_loop import LogWriter
from services.supervisor.opening import StartError, open_node
from services.supervisor.reload import Reload
from services.supervisor.role_fork import fork
from services.supervisor.role_process import RoleProcess
from services.supervisor.roles import ROLES, RoleSpec
from services.supervisor.signals import HANDLED

if TYPE_CHECKING:
    from services.supervisor.readiness import RunDir

EXIT_FAILED: Final = 1
EXIT_BROKEN: Final = 70
SECRET_BYTES: Final = 32
TEMPORARY_DIR: Final = "/tmp"


@record
class Launch:
    """How the node was started. `program` names the executable in file names and syslog, `argv` is for views.

    `ahead` has roles, by name, that were forked before the options were known and wait for their plans.
    """

    options: Options
    read_again: Reload
    program: str = SERVER_PROGRAM
    argv: tuple[str, ...] = ()
    roles: tuple[RoleSpec, ...] = ROLES
    ahead: Mapping[str, ForkedRole] = field(default_factory=dict)


def run_node(launch: Launch) -> int:
    """Runs a node until it is stopped; the exit code (operations 4.1)."""
    started_ns = time.time_ns()
    fill_standard_descriptors()
    set_process_name(SERVER_PROGRAM)
    signals = SignalPipe(HANDLED)
    options = launch.options
    try:
        log = LogWriter(options.log, pid=os.getpid(), ident=launch.program)
    except LogTargetError as error:
        print(f"{time.strftime('%Y/%m/%d %H:%M:%S')} {error}", file=sys.stderr)
        return EXIT_FAILED
    try:
        node = open_node(
            options, roles=launch.roles, program=launch.program, argv=launch.argv, started_ns=started_ns,
            secret=os.urandom(SECRET_BYTES).hex(),
        )  # fmt: skip
    except StartError as error:
        _log_start(log, options, identity=_make_identity(options))
        log.write("FTL", str(error))
        log.close()
        return EXIT_FAILED
    identities = _make_identities(options, node.plan.roles)
    identity = identities[node.plan.roles[0].name]
    forked = {role: launch.ahead.get(role.name) or fork(role) for role in node.plan.roles}
    _end_unwanted(launch.ahead, wanted=forked.values())

    # From here on the roles have what they wait for; the rest is loaded beside them.
    running = {role.name: RoleProcess(role, process, incarnation=0) for role, process in forked.items()}
    for process in running.values():
        own = identities[process.spec.name]
        process.start(node.role_plan(process.spec, options=options, identity=own, incarnation=0))
    from services.supervisor.announcements import Announcements
    from services.supervisor.banner import monitor_lines
    from services.supervisor.children_loop import ChildrenLoop
    from services.supervisor.reload_loop import Reloader

    announcements = Announcements(node, log, _open_run_dir(options, log))
    loop = ChildrenLoop(
        node,
        identities=identities,
        running=running,
        log=log,
        announcements=announcements,
        reloader=Reloader(options, log, launch.read_again),
    )
    _log_start(log, options, identity=identity)
    for level, text in monitor_lines(node.plan, addresses=node.addresses):
        log.write(level, text)
    garbage.resume()
    try:
        code = loop.run(signals)
        log.write("INF", "Server Exiting..")
    except Exception:
        code = EXIT_BROKEN  # the roles die with this process
        _log_own_failure(log)
    announcements.close()
    log.close()
    return code


def _end_unwanted(ahead: Mapping[str, ForkedRole], *, wanted: Collection[ForkedRole]) -> None:
    """Lets go of roles that the options have no use for: they end when the channel does."""
    for forked in ahead.values():
        if forked not in wanted:
            os.close(forked.control)
            os.close(forked.output)


def _make_identity(options: Options) -> Identity:
    from services.shared.runtime.node_identity import make_identity  # loads a library for the keys: 4 ms

    return make_identity(server_name=options.server_name)


def _make_identities(options: Options, roles: Sequence[RoleSpec]) -> dict[str, Identity]:
    """By role. The first router's is that of the node, which the other roles share; further routers have their own."""
    identity = _make_identity(options)
    identities = {role.name: identity for role in roles}
    for role in roles:
        if role.number > 1:
            from services.shared.runtime.node_identity import make_identity
            from services.supervisor.fellows import name_of

            identities[role.name] = make_identity(server_name=name_of(options.server_name, role.number))
    return identities


def _log_start(log: LogWriter, options: Options, *, identity: Identity) -> None:
    from services.supervisor.banner import starting_lines

    for level, text in starting_lines(options, identity=identity, commit=own_commit()):
        log.write(level, text)


def _log_own_failure(log: LogWriter) -> None:
    import traceback

    for line in traceback.format_exc().splitlines():
        log.write("FTL", line)


def _open_run_dir(options: Options, log: LogWriter) -> RunDir | None:
    from services.supervisor.readiness import RunDir, sweep_temporary, temporary_run_dir

    temporary = os.environ.get("TMPDIR", TEMPORARY_DIR)
    try:
        if options.fleet.data_dir:
            return RunDir(os.path.join(options.fleet.data_dir, "run"))
        sweep_temporary(temporary)
        return RunDir(*temporary_run_dir(temporary, pid=os.getpid()))
    except OSError as error:
        log.write("WRN", f"No readiness records: {error}")
        return None
