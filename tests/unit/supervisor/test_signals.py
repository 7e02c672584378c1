"""What each signal means."""

import signal

import pytest

from services.supervisor.signals import HANDLED, HURRY_AFTER_NS, Meaning, Phase, decide_meaning, trapped_line

TABLE = {
    signal.SIGINT: (Meaning.STOP, Meaning.STOP, Meaning.HURRY),
    signal.SIGTERM: (Meaning.STOP, Meaning.IGNORE, Meaning.IGNORE),
    signal.SIGHUP: (Meaning.RELOAD, Meaning.RELOAD, Meaning.IGNORE),
    signal.SIGUSR1: (Meaning.REOPEN_LOG, Meaning.REOPEN_LOG, Meaning.REOPEN_LOG),
    signal.SIGUSR2: (Meaning.LAME_DUCK, Meaning.IGNORE, Meaning.IGNORE),
    signal.SIGQUIT: (Meaning.DUMP_AND_QUIT, Meaning.DUMP_AND_QUIT, Meaning.DUMP_AND_QUIT),
    signal.SIGCHLD: (Meaning.REAP, Meaning.REAP, Meaning.REAP),
}


@pytest.mark.parametrize("signum", HANDLED)
def test_each_signal_means_what_the_table_says(signum: signal.Signals) -> None:
    phases = (Phase.SERVING, Phase.LAME_DUCK, Phase.STOPPING)
    assert tuple(decide_meaning(int(signum), phase, in_phase_ns=HURRY_AFTER_NS) for phase in phases) == TABLE[signum]


def test_an_interrupt_that_arrives_twice_at_once_hurries_nobody() -> None:
    assert decide_meaning(signal.SIGINT, Phase.STOPPING, in_phase_ns=HURRY_AFTER_NS - 1) is Meaning.IGNORE


def test_an_unknown_signal_means_nothing() -> None:
    assert decide_meaning(signal.SIGWINCH, Phase.SERVING, in_phase_ns=0) is Meaning.IGNORE


def test_signals_are_logged_by_their_known_names() -> None:
    assert trapped_line(signal.SIGUSR2) == 'Trapped "user defined signal 2" signal'
    assert trapped_line(signal.SIGCHLD) is None
