"""When a role is started again, and when the node gives up."""

from services.supervisor.restarts import (
    DELAY_NS_MAX,
    FAILED_STARTS_MAX,
    STABLE_NS,
    GiveUp,
    History,
    RestartAt,
    decide_restart,
    delay_ns,
)

NOW = 1_000_000_000_000


def test_the_first_restart_is_immediate() -> None:
    decision = decide_restart(History(), ready_since_ns=NOW - 5, now_ns=NOW)
    assert decision == RestartAt(at_ns=NOW, history=History(deaths=1))


def test_delays_double_up_to_a_bound() -> None:
    assert [delay_ns(deaths) // 1_000_000 for deaths in range(1, 11)] == [
        0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000,
    ]  # fmt: skip
    assert delay_ns(1_000_000) == DELAY_NS_MAX


def test_a_role_that_was_ready_for_long_starts_with_a_clean_record() -> None:
    decision = decide_restart(History(deaths=7), ready_since_ns=NOW - STABLE_NS, now_ns=NOW)
    assert decision == RestartAt(at_ns=NOW, history=History(deaths=1))


def test_a_role_that_never_gets_ready_is_given_up() -> None:
    history = History()
    for _ in range(FAILED_STARTS_MAX - 1):
        decision = decide_restart(history, ready_since_ns=None, now_ns=NOW)
        assert isinstance(decision, RestartAt)
        history = decision.history
    assert decide_restart(history, ready_since_ns=None, now_ns=NOW) == GiveUp(failed_starts=FAILED_STARTS_MAX)


def test_getting_ready_once_forgives_failed_starts_but_not_the_pace() -> None:
    decision = decide_restart(History(deaths=4, failed_starts=4), ready_since_ns=NOW - 1, now_ns=NOW)
    assert decision == RestartAt(at_ns=NOW + delay_ns(5), history=History(deaths=5))


def test_a_role_that_gets_ready_each_time_is_restarted_for_ever() -> None:
    history = History()
    for _ in range(100):
        decision = decide_restart(history, ready_since_ns=NOW - 1, now_ns=NOW)
        assert isinstance(decision, RestartAt)
        history = decision.history
