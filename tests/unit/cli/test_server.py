"""A parsed command line is carried out: text, signal, or a node with adjusted options."""

from dataclasses import replace

import pytest
from services.cli.command_line import RunNode, SendSignal, ShowText

from services.cli.server import adjusted, carry_out
from services.shared.config.options import Options
from services.supervisor.plan import options_for_up
from services.supervisor.reload import Reloaded


def test_a_text_goes_where_it_belongs(capsys: pytest.CaptureFixture[str]) -> None:
    assert carry_out(ShowText(text="out\n"), program="p", argv=()) == 0
    assert carry_out(ShowText(text="err\n", exit_code=1, is_error=True), program="p", argv=()) == 1
    assert capsys.readouterr() == ("out\n", "err\n")


def test_a_failed_signal_is_told_and_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert carry_out(SendSignal(value="reload=abc"), program="p", argv=()) == 1
    assert capsys.readouterr().err == "nats-server: invalid pid: abc\n"


def test_adjusted_options_are_compared_as_they_were_written() -> None:
    compared: list[Options] = []

    def read_again(before: Options) -> Reloaded:
        compared.append(before)
        return Reloaded(options=replace(before, ping_max=before.ping_max + 1), lines=())

    command = adjusted(RunNode(options=Options(ping_max=0), read_again=read_again), options_for_up)
    assert isinstance(command, RunNode)
    assert command.options.http_port == 8222
    first = command.read_again(command.options).options
    assert (first.http_port, first.ping_max) == (8222, 1)
    command.read_again(first)
    command.read_again(first)  # as after a reload that failed later on
    assert [(options.http_port, options.ping_max) for options in compared] == [(0, 0), (0, 1), (0, 1)]


def test_a_text_is_not_adjusted() -> None:
    assert adjusted(ShowText(text="x"), options_for_up) == ShowText(text="x")
