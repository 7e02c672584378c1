"""Applies another configuration to the connections that are already there (reference: operations 4.2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from services.router.admission.decision import effective_limits
from services.router.admission.desk import Desk, Rules
from services.router.admission.directory import ConnectionType, Directory, Listener, User, UserKind
from services.router.admission.recheck import Close, Keep, ReplacePermissions, recheck
from services.router.admission.verdict import Admitted, Identity
from services.router.newcomers import note_prefix, recall, renamed
from services.router.rib.accounts import AccountNumbers
from services.router.rib.imports import NOTHING, install_imports
from services.router.rib.limits import payload_limit, subscription_limit
from services.router.rib.permits import PermitBook
from services.shared.engine.forwarding import ConnectionView, Forwarding, Permit, compile_permit
from services.shared.telemetry.log import Logger
from services.shared.wire import errors
from services.shared.wire.close_reasons import CloseReason


class Reloader:
    """One reload. `pick` chooses so many of the connections, as `random.sample` does."""

    __slots__ = ("_before", "_desk", "_engine", "_log", "_numbers", "_permits", "_pick")

    def __init__(
        self, *, engine: Forwarding, desk: Desk, numbers: AccountNumbers,
        pick: Callable[[Sequence[ConnectionView], int], Sequence[ConnectionView]], log: Logger,
    ) -> None:  # fmt: skip
        self._pick = pick
        self._engine = engine
        self._desk = desk
        self._numbers = numbers
        self._log = log
        self._before = desk.rules
        self._permits: PermitBook[Permit] = PermitBook(compile_permit)

    def apply(self, rules: Rules) -> None:
        """Puts the rules in force, for those who come and those who are there."""
        before = self._before = self._desk.rules
        for name in rules.directory.accounts:
            self._engine.install_account(self._numbers.number(name), rules.mappings.get(name))
        self._desk.replace_rules(rules, self._permits)
        views = [view for view in self._engine.connections() if view.about]
        staying = [view for view in views if self._recheck(view, before=before.directory, after=rules.directory)]
        # After the connections: what an import may share of them is known by then.
        install_imports(
            self._engine, self._numbers, server_name=rules.server_name, before=before.imports, after=rules.imports
        )
        self._close_surplus(staying, rules.max_connections)

    def _recheck(self, view: ConnectionView, *, before: Directory, after: Directory) -> bool:
        """Applies the new rules to one connection; false when it had to go."""
        note = json.loads(view.about)
        admitted = _admitted(note, before)
        if admitted is None:
            self._engine.close(view.cid, CloseReason.CLIENT_CLOSED)
            return False
        outcome = recheck(admitted, after)
        match outcome:
            case Keep():
                self._tell_services(view.cid, note, admitted)
                return True
            case ReplacePermissions(admitted=new):
                self._tell_services(view.cid, note, new)
                self._replace(view.cid, note, new)
                return True
            case Close(err_text=text, close_reason=reason, log_text=log_text, debug_text=debug_text):
                if debug_text:
                    self._log.debug(f"{note_prefix(view.cid, note)} - {debug_text}")
                if log_text:
                    self._log.error(f"{note_prefix(view.cid, note)} - {log_text}")
                self._engine.close(view.cid, reason, text)
                return False
            case _:
                assert_never(outcome)

    def _tell_services(self, cid: int, note: dict[str, Any], admitted: Admitted) -> None:
        """Imports may share now who asks, or not any more."""
        name = admitted.account.name
        shared = [rules.imports.get(name, NOTHING).shares for rules in (self._before, self._desk.rules)]
        if any(shared):
            self._engine.set_client_info(cid, self._desk.rules.client_info(recall(cid, note), admitted))

    def _replace(self, cid: int, note: dict[str, Any], admitted: Admitted) -> None:
        self._engine.set_limits(
            cid,
            payload_max=payload_limit(admitted.limits.max_payload_bytes),
            subs_max=subscription_limit(admitted.limits.max_subscriptions),
        )
        self._engine.set_about(cid, renamed(note, admitted))
        for lost in self._engine.set_permit(cid, self._permits.permit(admitted.permissions)):
            user = note.get("user", "")
            self._log.info(f'{note_prefix(cid, note)} - Removed sub {lost} for User "{user}" - not authorized')

    def _close_surplus(self, views: list[ConnectionView], allowed: int) -> None:
        surplus = len(views) - allowed
        if surplus <= 0:
            return
        for view in self._pick(views, surplus):
            self._engine.close(view.cid, CloseReason.MAXIMUM_CONNECTIONS_EXCEEDED, errors.MAXIMUM_CONNECTIONS_EXCEEDED)
        self._log.info(f"Closed {surplus} connections to fall within max_connections")


def _admitted(note: dict[str, Any], directory: Directory) -> Admitted | None:
    """How a connection was admitted, from its note and the directory that was in force; None if that is lost."""
    account = directory.accounts.get(note["account"])
    if account is None:
        return None
    listener = Listener(note["listener"])
    user: User | None = None
    user_kind = note.get("kind", "")
    if user_kind:
        user = _find_user(UserKind(user_kind), note.get("username", ""), directory, listener)
        if user is None:
            return None
    kind, _, name = note.get("identity", "").partition(":")
    identity = Identity(nkey=name if kind == "nkey" else "", user=name if kind == "user" else "", token=kind == "token")
    return Admitted(
        account=account,
        identity=identity,
        user=user,
        limits=effective_limits(account, directory),
        listener=listener,
        connection_type=ConnectionType(note["type"]),
        proxy_key=note.get("proxy", ""),
    )


def _find_user(kind: UserKind, name: str, directory: Directory, listener: Listener) -> User | None:
    match kind:
        case UserKind.PASSWORD:
            return directory.users.get(name)
        case UserKind.NKEY:
            return directory.nkeys.get(name)
        case UserKind.SINGLE | UserKind.TOKEN:
            return directory.listeners[listener].single
        case _:
            assert_never(kind)
