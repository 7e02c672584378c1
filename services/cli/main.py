"""The `natsfleet` command. Every subcommand loads only what it needs, and nothing before it can be interrupted quietly.

`natsfleet server` takes nats-server's flags and behaves like it, so that a script named `nats-server` which runs it can
stand in for the real one; a copy or link of this command named `nats-server` does so without the word `server`.
"""

from __future__ import annotations

import os
import sys

ROLES = ("router", "monitor")
USAGE = """\
Usage: natsfleet COMMAND [FLAGS]

  up [FLAGS]        run a node: clients on 4222, monitoring on 8222, data in ./data
  server [FLAGS]    run a node exactly as nats-server would with these flags
  router [FLAGS]    run only the router of a node, as in a container of its own
  monitor [FLAGS]   run only the monitor of a node
  status [DIR ...]  say which roles serve, by the readiness records in DIR (default ./data); exit code 0 if all do
  version           print the versions

FLAGS are nats-server's; `natsfleet server --help` lists them.
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line and returns the exit code of the process."""
    import signal

    # Until a node takes signals over, an interrupt just ends the process; a traceback would say nothing.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    from services.shared.telemetry.release import COMPATIBLE_RELEASE, PRODUCT, PRODUCT_VERSION, SERVER_PROGRAM

    program = os.path.basename(sys.argv[0])
    words = list(sys.argv[1:] if arguments is None else arguments)
    if program == SERVER_PROGRAM:
        words.insert(0, "server")
    command, flags = (words[0], words[1:]) if words else ("", [])
    match command:
        case "server":
            return _run(flags, program=SERVER_PROGRAM, role="")
        case "up":
            return _run(flags, program=PRODUCT, role="", with_defaults=True)
        case role if role in ROLES:
            return _run(flags, program=PRODUCT, role=role)
        case "status":
            from services.cli.status import print_status

            return print_status(flags, temporary=os.environ.get("TMPDIR", "/tmp"))
        case "version" | "--version" | "-v":
            print(f"{PRODUCT} {PRODUCT_VERSION}, compatible with {SERVER_PROGRAM} {COMPATIBLE_RELEASE}")
            return 0
        case "help" | "--help" | "-h":
            print(USAGE, end="")
            return 0
        case _:
            print(f"{PRODUCT}: {f'unknown command {command!r}' if command else 'no command given'}", file=sys.stderr)
            print(USAGE, end="", file=sys.stderr)
            return 1


def _run(flags: list[str], *, program: str, role: str, with_defaults: bool = False) -> int:
    import signal

    # Until the supervisor takes signals over, being told to stop just ends a process that serves nobody yet.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)

    from services.cli.ahead import expects_node, fork_ahead
    from services.shared.runtime import garbage

    garbage.hold_off()
    # Before anything else is imported: every millisecond here is one later for the first client.
    ahead = fork_ahead(role or "router") if expects_node(flags) else {}

    from services.cli.server import Start, run_server

    start = Start(program=program, argv=sys.argv, environ=os.environ, only=role, ahead=ahead)
    if with_defaults:
        from services.supervisor.plan import options_for_up

        start = start.adjusting(options_for_up)
    return run_server(flags, start)


def _leave(_number: int, _frame: object) -> None:
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
