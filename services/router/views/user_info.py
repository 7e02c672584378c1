"""Who a connection is and what it may do, as it is told itself (reference: security 8.4, User info). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.router.admission.directory import Directory, Listener, User, UserKind
from services.shared.identity.permissions import Permissions, SubjectPermission


def user_info(note: Mapping[str, Any], directory: Directory) -> dict[str, Any]:
    """The data about a connection with this note; permissions are listed only where there are any."""
    account = note.get("account", "")
    shown: dict[str, Any] = {"user": note.get("user", ""), "account": account, "account_name": account}
    user = _user(note, directory)
    if user is not None and user.permissions is not None:
        shown["permissions"] = _permissions(user.permissions)
    return shown


def _user(note: Mapping[str, Any], directory: Directory) -> User | None:
    match note.get("kind", ""):
        case UserKind.PASSWORD.value:
            return directory.users.get(note.get("username", ""))
        case UserKind.NKEY.value:
            return directory.nkeys.get(note.get("username", ""))
        case UserKind.SINGLE.value | UserKind.TOKEN.value:
            return directory.listeners[Listener(note["listener"])].single
        case _:
            return None


def _permissions(permissions: Permissions) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "publish": _subjects(permissions.publish),
        "subscribe": _subjects(permissions.subscribe),
    }
    if permissions.responses is not None:
        shown["responses"] = {"max": permissions.responses.max_msgs, "ttl": permissions.responses.expires_ns}
    return shown


def _subjects(side: SubjectPermission | None) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if side is not None and side.allow:
        shown["allow"] = list(side.allow)
    if side is not None and side.deny:
        shown["deny"] = list(side.deny)
    return shown
