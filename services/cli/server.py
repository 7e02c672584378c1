"""`natsfleet server` and its relatives: from flags to a running node, or to a text and an exit code.

Nothing of the engine is loaded here, and nothing of the supervisor unless a node is to run: `-v`, `-t` and `--signal`
are used by scripts that expect them to be instant.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, assert_never

from services.cli.flags import CheckFile, Run, SendSignal, Stop, check, failure, parse_command_line
from services.shared.config.errors import ConfigError
from services.shared.config.options import Options
from services.shared.config.overrides import FlagOverrides
from services.shared.records.record import field, record, replace
from services.shared.runtime.spawn import ForkedRole
from services.supervisor.reload import Reload, Reloaded, ReloadError


def _unchanged(options: Options) -> Options:
    return options


@record
class Start:
    """How `natsfleet` was called. `program` names the executable in file names, `argv` is all of its arguments.

    `adjust` changes the options that flags and file give, now and at every reload; `only` runs a single role; `ahead`
    has roles that were forked already and wait for their plans.
    """

    program: str
    argv: Sequence[str]
    environ: Mapping[str, str]
    adjust: Callable[[Options], Options] = _unchanged
    only: str = ""
    ahead: Mapping[str, ForkedRole] = field(default_factory=dict)

    def adjusting(self, adjust: Callable[[Options], Options]) -> Start:
        """The same start with adjusted options."""
        return replace(self, adjust=adjust)


def run_server(arguments: Sequence[str], start: Start) -> int:
    """Does what nats-server's flags say; the exit code of the process."""
    command = parse_command_line(arguments)
    match command:
        case Stop():
            return _show(command)
        case SendSignal():
            return _signal(command.request)
        case CheckFile():
            return _show(check(command.path, environ=start.environ, read_file=read_file))
        case Run():
            return _run(command.flags, start)
        case _:
            assert_never(command)


def read_file(path: str) -> bytes:
    """The bytes of a file. Raises OSError."""
    with open(path, "rb") as file:
        return file.read()


def _show(stop: Stop) -> int:
    print(stop.stderr, end="", file=sys.stderr)
    print(stop.stdout, end="")
    return stop.code


def _signal(request: str) -> int:
    from services.cli.signal_command import SignalCommandError, send_signal

    try:
        send_signal(request)
    except SignalCommandError as error:
        return _show(failure(str(error)))
    return 0


def _run(flags: FlagOverrides, start: Start) -> int:
    from services.shared.config.load import load_options

    try:
        loaded = load_options(flags=flags, environ=start.environ, read_file=read_file)
        options = start.adjust(loaded.options)
        _validate_start(options)
    except ConfigError as error:
        return _show(failure(str(error)))
    for warning in loaded.warnings:
        print(warning, file=sys.stderr)
    _run_node(options, make_reload(flags, start), start)


def _validate_start(options: Options) -> None:
    """Raises ValidationError, but for what nats-server finds out while it starts: that is told in the log."""
    from services.shared.config.validation import validate_options
    from services.supervisor.plan import PlanError, plan_node

    try:
        plan_node(options)
    except PlanError:
        return
    validate_options(options)


def make_reload(flags: FlagOverrides, start: Start) -> Reload:
    """How a node started with these flags reads its configuration again (operations 4.2)."""

    def read_again(before: Options) -> Reloaded:
        from services.shared.config.diff import Refused, compare
        from services.shared.config.load import reload_options
        from services.shared.config.validation import validate_options

        try:
            loaded = reload_options(flags=flags, environ=start.environ, read_file=read_file)
            options = start.adjust(loaded.options)
            validate_options(options)
        except ConfigError as error:
            raise ReloadError(str(error)) from error
        outcome = compare(old=before, new=options)
        if isinstance(outcome, Refused):
            raise ReloadError(outcome.reason)
        return Reloaded(options=outcome.options, lines=outcome.lines)

    return read_again


def _run_node(options: Options, read_again: Reload, start: Start) -> NoReturn:
    from services.cli.redaction import redact_arguments
    from services.shared.runtime.process_end import end_process
    from services.shared.runtime.process_name import read_arguments, set_arguments
    from services.supervisor.app import Launch, run_node
    from services.supervisor.roles import ROLES

    visible = read_arguments()
    redacted = redact_arguments(visible)
    if redacted != visible:
        set_arguments(redacted)
    launch = Launch(
        options=options,
        read_again=read_again,
        program=start.program,
        argv=tuple(redact_arguments(start.argv)),
        roles=tuple(role for role in ROLES if not start.only or role.name == start.only),
        ahead=start.ahead,
    )
    end_process(run_node(launch))  # a node leaves nothing to tidy up, and whoever waits for its end waits 4 ms less
