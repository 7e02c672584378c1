"""What a user may publish and subscribe to, as plain values (reference: security 9.1).

Only the shape lives here. The check itself happens once per message and therefore in the engine
(`engine/core/src/permit`), which compiles these lists.
"""

from __future__ import annotations

from typing import Final

from services.shared.records.record import record

RESPONSES_MAX_DEFAULT: Final = 1
RESPONSES_EXPIRES_NS_DEFAULT: Final = 120_000_000_000
UNLIMITED: Final = -1


@record
class SubjectPermission:
    """One direction: `allow` of None means everything; `deny` is taken away from it.

    Entries are subjects with wildcards; subscribe entries may be `"subject queue"`.
    """

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()


@record
class ResponsePermission:
    """Replies that a user may publish to subjects it was asked on. Negative values mean unlimited."""

    max_msgs: int = RESPONSES_MAX_DEFAULT
    expires_ns: int = RESPONSES_EXPIRES_NS_DEFAULT


@record
class Permissions:
    """Everything a user may do on subjects; None in a direction means no restriction there."""

    publish: SubjectPermission | None = None
    subscribe: SubjectPermission | None = None
    responses: ResponsePermission | None = None
