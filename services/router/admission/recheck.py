"""What a reload means for a connection that is already there (reference: operations 4.2, security 5.1).

The table, for the credential that a connection was admitted with:

    still there, nothing changed                      keep
    still there, rights or limits changed             replace them in place
    password, key, token or connection type changed   `Authorization Violation`, close
    gone, or moved to another account                 close without a word
    its proxy is not trusted any more                 `Authorization Violation`, whatever else has changed
    none was needed, and now one is                   `Authorization Violation`, unless a no_auth_user stands in

What a client sent as proof is not kept, so a stored secret that reads differently counts as changed even if it is the
hash of the same password. Absent on purpose: which connections go when a limit on their number is lowered; that needs
the connections.
"""

from __future__ import annotations

from typing import TypeAlias

from services.router.admission.decision import PROXY_NEEDED, effective_limits
from services.router.admission.directory import (
    GLOBAL_ACCOUNT,
    Directory,
    ListenerPolicy,
    User,
    UserKind,
)
from services.router.admission.verdict import Admitted, Identity
from services.shared.records.record import record, replace
from services.shared.wire import errors
from services.shared.wire.close_reasons import CloseReason


@record
class Keep:
    """Nothing changes for the connection."""


@record
class ReplacePermissions:
    """The connection stays, with the permissions and limits of `admitted` from now on."""

    admitted: Admitted


@record
class Close:
    """The connection is closed; `err_text` of None says nothing to the peer, an empty text nothing to the log."""

    err_text: str | None
    close_reason: CloseReason
    log_text: str = ""
    debug_text: str = ""


Outcome: TypeAlias = Keep | ReplacePermissions | Close

_SILENTLY = Close(err_text=None, close_reason=CloseReason.CLIENT_CLOSED)


def recheck(before: Admitted, after: Directory) -> Outcome:
    """What becomes of a connection under the new directory."""
    policy = after.listeners.get(before.listener)
    if policy is None:
        return _SILENTLY
    if before.proxy_key and before.proxy_key not in after.trusted_proxies:
        return _violation(before, reason=CloseReason.PROXY_NOT_TRUSTED)
    user = before.user
    if user is None:
        return _recheck_anonymous(before, after=after, policy=policy)
    match user.kind:
        case UserKind.TOKEN:
            return _recheck_token(before, user=user, after=after, policy=policy)
        case UserKind.NKEY:
            found = after.nkeys.get(user.name)
        case UserKind.PASSWORD | UserKind.SINGLE:
            found = after.users.get(user.name) or _single_named(user.name, policy)
    if found is None or found.account != user.account:
        return _SILENTLY
    if found.secret != user.secret or not found.allows(before.connection_type):
        return _violation(before)
    return _keep_user(before, user=user, found=found, after=after)


def _recheck_anonymous(before: Admitted, *, after: Directory, policy: ListenerPolicy) -> Outcome:
    if not policy.auth_required:
        return _rebind(before, user=None, after=after)
    claimed = before.identity.nkey or before.identity.user
    if claimed:
        # It named somebody when nobody asked, and whatever proof it sent then is gone.
        known = claimed in after.users or claimed in after.nkeys
        return _violation(before) if known else _SILENTLY
    stand_in = after.users.get(policy.no_auth_user) or after.nkeys.get(policy.no_auth_user)
    if stand_in is None or before.identity.token or not stand_in.allows(before.connection_type):
        return _violation(before)
    if stand_in.account != GLOBAL_ACCOUNT or (stand_in.proxy_required and not before.proxy_key):
        return _violation(before)
    return _rebind(before, user=stand_in, after=after)


def _recheck_token(before: Admitted, *, user: User, after: Directory, policy: ListenerPolicy) -> Outcome:
    if not policy.auth_required:
        return _rebind(before, user=None, after=after)
    single = policy.single
    if single is None or single.kind is not UserKind.TOKEN or single.secret != user.secret:
        return _violation(before)
    return _keep_user(before, user=user, found=single, after=after)


def _keep_user(before: Admitted, *, user: User, found: User, after: Directory) -> Outcome:
    if found.proxy_required and not before.proxy_key:
        return replace(_violation(before, reason=CloseReason.PROXY_REQUIRED), debug_text=PROXY_NEEDED)
    return _rebind(before, user=found, after=after)


def _single_named(name: str, policy: ListenerPolicy) -> User | None:
    single = policy.single
    return single if single is not None and single.kind is UserKind.SINGLE and single.name == name else None


def _rebind(before: Admitted, *, user: User | None, after: Directory) -> Outcome:
    account = after.accounts[user.account if user else GLOBAL_ACCOUNT]
    identity = before.identity
    if before.user is None and user is not None:
        identity = Identity(nkey=user.name) if user.kind is UserKind.NKEY else Identity(user=user.name)
    limits = effective_limits(account, after)
    admitted = replace(before, account=account, identity=identity, user=user, limits=limits)
    return Keep() if admitted == before else ReplacePermissions(admitted=admitted)


def _violation(before: Admitted, *, reason: CloseReason = CloseReason.AUTHENTICATION_FAILURE) -> Close:
    return Close(err_text=errors.AUTHORIZATION_VIOLATION, close_reason=reason, log_text=before.identity.refusal_text)
