"""What a server tells its clients of the cluster it is in."""

from __future__ import annotations

from typing import Final

from services.shared.config.options import ClusterOptions, Options
from services.shared.records.record import record


@record
class Face:
    """`urls` are those of the other servers, None before the first was heard of.

    `leaving`: our own are not told any more.
    """

    name: str
    urls: tuple[str, ...] | None = None
    ws_urls: tuple[str, ...] | None = None
    leaving: bool = False


STANDALONE: Final = Face(name="")
"""What clients are told of a cluster where there is none."""


def shown_cluster(options: Options) -> ClusterOptions | None:
    """The cluster that the configuration asks for; not the one that a node makes for its own routers."""
    cluster = options.cluster
    return cluster if cluster is not None and cluster.port != 0 and not cluster.hidden else None
