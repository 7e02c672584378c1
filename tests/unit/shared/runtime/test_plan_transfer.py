"""Giving a role its plan and its sockets over the control channel."""

import os
import socket

import pytest

from services.shared.config.options import Options, WebsocketOptions
from services.shared.records.record import replace
from services.shared.runtime.control import ChannelClosed, ControlChannel, Stop
from services.shared.runtime.plan_transfer import receive_plan, send_plan
from services.shared.runtime.role_plan import Identity, RolePlan

PLAN = RolePlan(
    role="router",
    options=Options(websocket=WebsocketOptions(port=1)),
    identity=Identity(server_id="N", server_name="n", xkey="X", seed="s"),
    sockets={},
    node_pid=1,
    started_ns=2,
)


def ends() -> tuple[ControlChannel, int]:
    near, far = socket.socketpair()
    return ControlChannel(near.detach()), far.detach()


def test_a_plan_arrives_with_sockets_that_work() -> None:
    near, far = ends()
    with socket.create_server(("127.0.0.1", 0)) as nats, socket.create_server(("127.0.0.1", 0)) as websocket:
        send_plan(near, replace(PLAN, sockets={"nats": nats.fileno(), "websocket": websocket.fileno()}))
        near.send(Stop(grace_ns=1))
        plan = receive_plan(far)
        wanted = {"nats": nats.getsockname(), "websocket": websocket.getsockname()}
        assert {name: socket.socket(fileno=fd).getsockname() for name, fd in plan.sockets.items()} == wanted
        assert not set(plan.sockets.values()) & {nats.fileno(), websocket.fileno()}
    assert plan == replace(PLAN, sockets=plan.sockets, control=far)
    assert ControlChannel(far).receive() == [Stop(grace_ns=1)]


def test_a_plan_without_sockets_arrives_too() -> None:
    near, far = ends()
    send_plan(near, PLAN)
    assert receive_plan(far) == replace(PLAN, control=far)


def test_a_plan_larger_than_the_socket_waits_for_room() -> None:
    near, far = ends()
    large = replace(PLAN, argv=("x" * 3_000_000,))
    send_plan(near, large)
    assert near.has_pending
    child = os.fork()
    if child == 0:
        os._exit(0 if receive_plan(far) == replace(large, control=far) else 1)
    os.close(far)
    while near.has_pending:
        near.flush()
    assert os.waitpid(child, 0)[1] == 0


def test_a_supervisor_that_goes_leaves_no_plan() -> None:
    near, far = ends()
    near.close()
    with pytest.raises(ChannelClosed):
        receive_plan(far)


def test_a_role_that_is_gone_is_not_an_error() -> None:
    near, far = ends()
    os.close(far)
    send_plan(near, PLAN)
