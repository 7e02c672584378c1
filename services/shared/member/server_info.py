"""The `server` block of system messages (reference: security 8.2). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.shared.config.options import Options
from services.shared.member.cluster_face import shown_cluster
from services.shared.records.record import record
from services.shared.runtime.role_plan import Identity
from services.shared.telemetry.release import COMPATIBLE_RELEASE
from services.shared.wire.times import rfc3339

FEATURE_FLAGS: Final[Mapping[str, bool]] = {
    "js_ack_fc_v2": False,
    "js_api_reply_v2": False,
    "js_raft_delete_range": True,
    "js_snapshot_sources": False,
}


@record
class ServerInfo:
    """What a server says of itself. `cluster` and `domain` are empty where there is none; `flags` see 8.2."""

    name: str
    host: str
    id: str
    cluster: str = ""
    domain: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, str]
    jetstream: bool = False
    flags: int = 0

    def block(self, *, seq: int, now_ns: int) -> dict[str, Any]:
        """The block of message number `seq`."""
        block: dict[str, Any] = {"name": self.name, "host": self.host, "id": self.id}
        if self.cluster:
            block["cluster"] = self.cluster
        if self.domain:
            block["domain"] = self.domain
        block["ver"] = COMPATIBLE_RELEASE
        if self.tags:
            block["tags"] = list(self.tags)
        if self.metadata:
            block["metadata"] = dict(self.metadata)
        block["feature_flags"] = dict(FEATURE_FLAGS)
        return block | {"jetstream": self.jetstream, "flags": self.flags, "seq": seq, "time": rfc3339(now_ns)}


def server_info(options: Options, identity: Identity) -> ServerInfo:
    """What the options and the identity make of a server."""
    cluster = shown_cluster(options)
    return ServerInfo(
        name=identity.server_name or identity.server_id,
        host=options.host,
        id=identity.server_id,
        cluster=cluster.name if cluster is not None else "",
        tags=options.server_tags,
        metadata=options.server_metadata,
    )
