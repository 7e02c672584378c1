"""What a user may publish and subscribe to, as written in a file (reference: operations 2.6, security 9.1)."""

from __future__ import annotations

from typing import Final

from services.shared.config.assembly import assemble
from services.shared.config.errors import OptionProblem
from services.shared.config.parser import Value
from services.shared.config.reading import Entry, go_type, integer, read_block, show, table
from services.shared.config.units import DurationError, parse_duration_ns
from services.shared.identity.permissions import (
    RESPONSES_EXPIRES_NS_DEFAULT,
    RESPONSES_MAX_DEFAULT,
    Permissions,
    ResponsePermission,
    SubjectPermission,
)
from services.shared.subjects.tokens import is_valid_subject
from services.shared.wire.quote import quote


def permissions(entry: Entry) -> Permissions:
    """A `permissions` block. An absent direction, or an empty one, allows everything."""
    if not isinstance(entry.value.data, dict):
        raise entry.problem(f"Expected permissions to be a map/struct, got {show(entry.value.data)}")
    fields = read_block(entry.value.data, _RULES, entry.reading, unknown=_unknown)
    return assemble(Permissions(), fields)


def _unknown(entry: Entry) -> None:
    if not entry.value.referenced:
        raise entry.problem(f"Unknown field {quote(entry.key)} parsing permissions")


def _publish(entry: Entry) -> SubjectPermission | None:
    return _direction(entry, queues=False)


def _subscribe(entry: Entry) -> SubjectPermission | None:
    return _direction(entry, queues=True)


def _direction(entry: Entry, *, queues: bool) -> SubjectPermission | None:
    data = entry.value.data
    if not isinstance(data, dict):
        return SubjectPermission(allow=_subjects(entry.value, queues=queues))
    lists: dict[str, tuple[str, ...]] = {}
    for key, value in data.items():
        name = key.lower()
        if name not in ("allow", "deny"):
            if value.referenced:
                continue
            raise OptionProblem(
                f"Unknown field name {quote(key)} parsing subject permissions, only 'allow' or 'deny' are permitted",
                at=value.at,
            )
        lists[name] = _subjects(value, queues=queues)
    if not lists:
        return None
    return SubjectPermission(allow=lists.get("allow"), deny=lists.get("deny", ()))


def _subjects(value: Value, *, queues: bool) -> tuple[str, ...]:
    """The subjects of a list or of a single string, each `subject` or, where queues are allowed, `subject queue`."""
    match value.data:
        case str():
            return (_subject(value.data, value, queues=queues),)
        case list():
            return tuple(_element(element, value, queues=queues) for element in value.data)
    raise OptionProblem(
        f"Expected subject permissions to be a subject, or array of subjects, got {go_type(value.data)}", at=value.at
    )


def _element(element: Value, array: Value, *, queues: bool) -> str:
    if not isinstance(element.data, str):
        raise OptionProblem("Subject in permissions array cannot be cast to string", at=element.at)
    return _subject(element.data, array, queues=queues)


def _subject(text: str, value: Value, *, queues: bool) -> str:
    if is_valid_subject(text):
        return text
    parts = text.split()
    if not queues or len(parts) != 2:
        raise OptionProblem(f"subject {quote(text)} is not a valid subject", at=value.at)
    if not is_valid_subject(parts[0]):
        raise OptionProblem(f"subject {quote(parts[0])} is not a valid subject", at=value.at)
    return " ".join(parts)


def _responses(entry: Entry) -> ResponsePermission | None:
    data = entry.value.data
    if isinstance(data, bool):
        return ResponsePermission() if data else None
    if not isinstance(data, dict):
        raise entry.problem("error parsing response permissions, expected a boolean or a map")
    fields = read_block(data, _RESPONSE_RULES, entry.reading, unknown=_unknown)
    return assemble(ResponsePermission(), fields)


def _max_msgs(entry: Entry) -> int:
    # Zero is "not said", as in nats-server.
    return integer(entry) or RESPONSES_MAX_DEFAULT


def _expires(entry: Entry) -> int:
    if not isinstance(entry.value.data, str):
        raise entry.problem("error parsing expires, not a duration string")
    try:
        return parse_duration_ns(entry.value.data) or RESPONSES_EXPIRES_NS_DEFAULT
    except DurationError as error:
        raise entry.problem(f"error parsing expires: {error}") from None


_RULES: Final = table(
    ("publish pub import", "publish", _publish),
    ("subscribe sub export", "subscribe", _subscribe),
    ("allow_responses publish_allow_responses", "responses", _responses),
)
_RESPONSE_RULES: Final = table(
    ("max max_msgs max_messages max_responses", "max_msgs", _max_msgs),
    ("expires expiration ttl", "expires_ns", _expires),
)
