"""The control channel: records arrive whole, in order, and never block either end."""

import os
import socket
from types import MappingProxyType

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from services.shared.config.options import Options
from services.shared.runtime.control import (
    LOG_PENDING_BYTES_MAX,
    ChannelClosed,
    ControlChannel,
    LinesDropped,
    LogLine,
    Ready,
    Reload,
    Stop,
    ToRole,
    ToSupervisor,
)
from services.shared.runtime.control_loop import Order, run_control
from services.shared.runtime.role_plan import Identity


def channels() -> tuple[ControlChannel, ControlChannel]:
    ours, theirs = socket.socketpair()
    return ControlChannel(ours.detach()), ControlChannel(theirs.detach())


def receive_all(channel: ControlChannel) -> list[ToRole | ToSupervisor]:
    received: list[ToRole | ToSupervisor] = []
    while batch := channel.receive():
        received += batch
    return received


def test_records_arrive_whole_and_in_order() -> None:
    near, far = channels()
    reload = Reload(options=Options(server_metadata=MappingProxyType({"a": "b"})), loaded_at_ns=5)
    sent: list[ToRole | ToSupervisor] = [reload, Stop(grace_ns=1), Ready(ports={"nats": 1})]
    for record in sent:
        near.send(record)
    assert receive_all(far) == sent


@given(st.lists(st.integers(min_value=1, max_value=400_000), max_size=6))
def test_records_larger_than_the_socket_wait_for_room(sizes: list[int]) -> None:
    near, far = channels()
    received: list[ToRole | ToSupervisor] = []
    for size in sizes:
        near.send(LogLine(level="INF", text="x" * size))
        near.flush()
    while len(received) < len(sizes):
        received += far.receive()
        near.flush()
    assert [len(record.text) for record in received if isinstance(record, LogLine)] == sizes
    near.close()
    far.close()


def test_log_lines_are_dropped_and_counted_when_nobody_reads() -> None:
    near, far = channels()
    sent = 0
    while not near._dropped:
        near.send_log("INF", "x" * 10_000)
        sent += 1
    assert sent * 10_000 < LOG_PENDING_BYTES_MAX * 3
    near.send_log("INF", "dropped too")
    near.send(Ready())  # is never dropped
    received: list[ToRole | ToSupervisor] = []
    while near.has_pending:
        received += far.receive()
        near.flush()
    received += receive_all(far)
    assert received[-2:] == [Ready(), LinesDropped(count=2)]


def test_the_end_of_the_other_side_is_an_error_to_read_and_none_to_write() -> None:
    near, far = channels()
    far.close()
    near.send(Ready())
    with pytest.raises(ChannelClosed):
        receive_all(near)


def test_an_oversized_frame_closes_the_channel() -> None:
    near, far = channels()
    os.write(near.fd, b"\xff\xff\xff\xff")
    with pytest.raises(ChannelClosed):
        far.receive()


def test_an_identity_does_not_show_its_seeds() -> None:
    assert "secret" not in repr(Identity(server_id="N", server_name="n", xkey="X", seed="secret", xkey_seed="secret"))


async def test_orders_are_handed_over_until_the_supervisor_is_gone() -> None:
    near, far = channels()
    orders: list[Order] = []

    async def take(order: Order) -> None:
        orders.append(order)

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_control, far, take)
            near.send(Stop(grace_ns=1))
            await trio.testing.wait_all_tasks_blocked()
            near.close()
    assert orders == [Stop(grace_ns=1)]


async def test_lines_that_found_no_room_are_sent_when_there_is() -> None:
    near, far = channels()

    async def ignore(order: Order) -> None:
        raise AssertionError(order)

    received: list[ToRole | ToSupervisor] = []
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_control, far, ignore)
            for _ in range(50):
                far.send_log("INF", "x" * 10_000)
            assert far.has_pending
            while len(received) < 50:
                await trio.lowlevel.wait_readable(near.fd)
                received += near.receive()
            near.close()
