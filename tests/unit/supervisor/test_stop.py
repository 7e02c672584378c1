"""In which order roles stop, and when they are killed."""

from services.supervisor.roles import RoleSpec
from services.supervisor.stop import Ask, Kill, Shutdown


def shutdown(**stages: int) -> Shutdown:
    return Shutdown(
        {
            name: RoleSpec(name=name, module="m", comm="c", stop_stage=at, stop_grace_ns=100)
            for name, at in stages.items()
        }
    )


def test_roles_of_one_stage_are_asked_together_and_once() -> None:
    both = shutdown(router=0, monitor=0)
    running = frozenset({"router", "monitor"})
    assert both.step(running, now_ns=0) == [Ask(role="monitor", grace_ns=100), Ask(role="router", grace_ns=100)]
    assert both.step(running, now_ns=50) == []


def test_a_later_stage_waits_until_the_earlier_is_gone() -> None:
    staged = shutdown(store=0, router=1)
    assert staged.step(frozenset({"store", "router"}), now_ns=0) == [Ask(role="store", grace_ns=100)]
    assert staged.step(frozenset({"store", "router"}), now_ns=50) == []
    assert staged.step(frozenset({"router"}), now_ns=60) == [Ask(role="router", grace_ns=100)]


def test_a_role_past_its_deadline_is_killed_once() -> None:
    one = shutdown(router=0)
    running = frozenset({"router"})
    one.step(running, now_ns=0)
    assert one.next_deadline_ns(running) == 100
    assert one.step(running, now_ns=99) == []
    assert one.step(running, now_ns=100) == [Kill(role="router")]
    assert one.step(running, now_ns=101) == []
    assert one.next_deadline_ns(running) is None


def test_hurrying_kills_every_stage_without_asking() -> None:
    staged = shutdown(store=0, router=1)
    running = frozenset({"store", "router"})
    staged.step(running, now_ns=0)
    staged.hurry()
    assert staged.step(running, now_ns=1) == [Kill(role="router"), Kill(role="store")]


def test_nothing_is_left_to_do_when_no_role_runs() -> None:
    assert shutdown(router=0).step(frozenset(), now_ns=0) == []
