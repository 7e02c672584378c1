"""`natsfleet server` and its relatives: from a command line to a running node, or to a text and an exit code.

Nothing of the engine is loaded here, and nothing of the supervisor unless a node is to run: `-v`, `-t` and `--signal`
are used by scripts that expect them to be instant.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import assert_never

from services.cli.command_line import CommandLine, RunNode, SendSignal, ShowText
from services.shared.config.options import Options
from services.shared.telemetry.release import SERVER_PROGRAM
from services.supervisor.reload import Reloaded


def carry_out(command: CommandLine, *, program: str, argv: Sequence[str], only: str = "") -> int:
    """Does what the command line says; the exit code. `only` runs a single role of the node."""
    match command:
        case ShowText():
            print(command.text, end="", file=sys.stderr if command.is_error else sys.stdout)
            return command.exit_code
        case SendSignal():
            return _signal(command.value)
        case RunNode():
            for warning in command.warnings:
                print(warning, file=sys.stderr)
            return _run_node(command, program=program, argv=argv, only=only)
        case _:
            assert_never(command)


def adjusted(command: CommandLine, adjust: Callable[[Options], Options]) -> CommandLine:
    """The same command line for a node whose options are adjusted, now and after every reload.

    A reload compares what was written with what is written, so the options before the adjustment are kept beside.
    """
    if not isinstance(command, RunNode):
        return command
    written = command.options
    offered = adjust(written), written

    def read_and_adjust(before: Options) -> Reloaded:
        nonlocal written, offered
        if before == offered[0]:
            written = offered[1]  # the last reload was taken
        reloaded = command.read_again(written)
        offered = adjust(reloaded.options), reloaded.options
        return replace(reloaded, options=offered[0])

    return replace(command, options=offered[0], read_again=read_and_adjust)


def _signal(value: str) -> int:
    from services.cli.signal_command import SignalCommandError, send_signal

    try:
        send_signal(value)
    except SignalCommandError as error:
        print(f"{SERVER_PROGRAM}: {error}", file=sys.stderr)
        return 1
    return 0


def _run_node(command: RunNode, *, program: str, argv: Sequence[str], only: str) -> int:
    from services.cli.redaction import redact_arguments
    from services.shared.runtime.process_name import read_arguments, set_arguments
    from services.supervisor.app import Launch, run_node
    from services.supervisor.plan import ROLES

    visible = read_arguments()
    redacted = redact_arguments(visible)
    if redacted != visible:
        set_arguments(redacted)
    launch = Launch(
        options=command.options,
        read_again=command.read_again,
        program=program,
        argv=tuple(redact_arguments(argv)),
        roles=tuple(role for role in ROLES if not only or role.name == only),
    )
    return run_node(launch)
