"""A node with the real router under the real supervisor, for tests that break it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.supervised import SupervisedNode, supervised

ROUTER = {
    "name": "router",
    "module": "services.router.app",
    "comm": "nf-router",
    "listeners": ["nats"],
    "essential": True,
}


class RouterNode:
    """The node as the raw client sees it."""

    def __init__(self, node: SupervisedNode) -> None:
        self.node = node

    @property
    def client_port(self) -> int:
        """The port for clients, which never changes while the node lives."""
        record = self.node.record("supervisor")
        assert record is not None, self.node.log
        return record.ports["nats"]


@contextmanager
def router_node(folder: Path, **options: Any) -> Iterator[RouterNode]:
    """A node that serves, and is certainly gone afterwards."""
    with supervised(folder, roles=[ROUTER], **options) as node:
        node.wait_ready()
        yield RouterNode(node)
