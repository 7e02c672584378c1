"""Links that roles make to the router."""

from __future__ import annotations

import os
import socket

import pytest

from services.shared.runtime.link_passing import make_rendezvous, send_link, take_links


def test_a_link_that_was_passed_connects_both_sides() -> None:
    to, making = make_rendezvous()
    with socket.socket(fileno=to) as door, send_link(making) as ours:
        (taken,) = take_links(door)
        with socket.socket(fileno=taken) as theirs:
            theirs.setblocking(True)
            ours.send(b"hello")
            assert theirs.recv(5) == b"hello"
    os.close(making)


def test_links_wait_for_a_router_that_is_not_there_yet() -> None:
    to, making = make_rendezvous()
    links = [send_link(making) for _ in range(3)]
    with socket.socket(fileno=to) as door:
        taken = take_links(door)
        assert len(taken) == 3
        assert take_links(door) == []
    for fd in taken:
        os.close(fd)
    for link in links:
        link.close()
    os.close(making)


def test_nobody_who_takes_links_is_an_error() -> None:
    to, making = make_rendezvous()
    os.close(to)
    with pytest.raises(OSError):
        send_link(making)
    os.close(making)


def test_links_that_nobody_takes_do_not_pile_up() -> None:
    to, making = make_rendezvous()
    links: list[socket.socket] = []
    with pytest.raises(BlockingIOError):
        for _ in range(10_000):
            links.append(send_link(making))
    for link in links:
        link.close()
    os.close(making)
    os.close(to)
