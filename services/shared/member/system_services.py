"""Answers requests of the system account: which endpoint is meant, for whom, in which envelope (reference: security 8).

Promise: every request has at most one answer, also one that cannot be read. Invariants: endpoints are pure functions of
their options, and numbered answers count up. Deliberately absent: subscriptions and sending, which are the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from services.shared.member.request_options import FILTERS, OptionsError, concerns, read_options
from services.shared.member.server_info import ServerInfo
from services.shared.records.record import field, record
from services.shared.wire.json_text import compact

PING: Final = "$SYS.REQ.SERVER.PING"
BAD_REQUEST: Final = 400
FAILED: Final = 500


class EndpointError(Exception):
    """An endpoint refuses; the text is the description of the error."""


@record
class Asker:
    """Who asks: by which connection, for which account (where the subject names one), and whether as a role of this node."""

    cid: int = 0
    account: str = ""
    is_trusted: bool = False


ANYBODY: Final = Asker()


@record
class Request:
    """One request, read."""

    options: Mapping[str, Any]
    asker: Asker = ANYBODY


DONE: Final = object()
"""The data of an answer that says no more than that it was done."""

Answer: TypeAlias = Callable[[Request], Any]
"""The data of an answer; None for silence. Raises EndpointError."""


@record(kw_only=False)
class Endpoint:
    """One thing that can be asked for.

    `members` are its options beside the filters, with their Go types; `kind` is what error texts call them. `wrapper`
    is the name of the data beside the `server` block, empty where the data stands alone. Without `reads_body` there are
    no options, whatever the request says; with `needs_body` a request that cannot be read is not answered at all.
    """

    answer: Answer
    kind: str = "EventFilterOptions"
    members: Mapping[str, str] = field(default_factory=dict)
    wrapper: str = "data"
    reads_body: bool = True
    needs_body: bool = False


def server_subjects(server_id: str, name: str) -> tuple[str, str]:
    """The subjects of an endpoint: all servers, this server."""
    return f"{PING}.{name}", f"$SYS.REQ.SERVER.{server_id}.{name}"


class SystemServices:
    """Answers for one server. `wall_ns` reads the wall clock, `next_message` numbers what the server says of itself."""

    __slots__ = ("_next_message", "_wall_ns", "info")

    def __init__(self, info: ServerInfo, *, wall_ns: Callable[[], int], next_message: Callable[[], int]) -> None:
        self.info = info
        self._wall_ns = wall_ns
        self._next_message = next_message

    def answer(self, endpoint: Endpoint, body: bytes, asker: Asker = ANYBODY) -> bytes | None:
        """The answer to a request, or None when it is for somebody else."""
        if not endpoint.wrapper:
            bare = endpoint.answer(Request(options={}, asker=asker))
            return None if bare is None else compact(bare)
        try:
            options = self._read(endpoint, body)
        except OptionsError as error:
            if endpoint.needs_body:
                return None
            return compact({"server": self.block(), "error": _error(BAD_REQUEST, str(error))})
        info = self.info
        if not concerns(
            options, name=info.name, cluster=info.cluster, host=info.host, tags=info.tags, domain=info.domain
        ):
            return None
        try:
            data = endpoint.answer(Request(options=options, asker=asker))
        except EndpointError as error:
            members = {} if endpoint.needs_body else {"data": None}
            return compact({"server": self.block(), **members, "error": _error(FAILED, str(error))})
        if data is DONE:
            return compact({"server": self.block()})
        return None if data is None else compact({"server": self.block(), endpoint.wrapper: data})

    def _read(self, endpoint: Endpoint, body: bytes) -> dict[str, Any]:
        if not endpoint.reads_body:
            return {}
        if endpoint.needs_body and not body:
            raise OptionsError("an empty request, options wanted")
        return read_options(body, kind=endpoint.kind, members={**FILTERS, **endpoint.members})

    def block(self) -> dict[str, Any]:
        """The block about this server in its next message."""
        return self.info.block(seq=self._next_message(), now_ns=self._wall_ns())


def _error(code: int, description: str) -> dict[str, Any]:
    return {"code": code, "description": description}
