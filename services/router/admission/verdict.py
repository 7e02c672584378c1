"""What admission says: in, out, or first check this password.

The values carry everything that the waiting half, the log and monitoring need. Only a CheckPassword, which is short
lived, holds what the client sent as proof.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from services.router.admission.directory import Account, ConnectionType, Listener, User
from services.router.admission.hello import Hello
from services.shared.identity.permissions import UNLIMITED, Permissions
from services.shared.records.record import field, record
from services.shared.wire.close_reasons import CloseReason
from services.shared.wire.quote import quote

REDACTED: Final = "[REDACTED]"


@record
class Identity:
    """Who a connection is or claims to be, for people: nkey before user name before token (reference: security 1.5)."""

    nkey: str = ""
    user: str = ""
    token: bool = False

    @property
    def user_id(self) -> str:
        """`authorized_user` of monitoring and `user` of events; a token is not shown."""
        return self.nkey or self.user or (REDACTED if self.token else "")

    @property
    def label(self) -> str:
        """The part behind the account in a connection's log prefix, or nothing (reference: operations 5.1)."""
        if self.nkey:
            return f"nkey:{self.nkey}"
        if self.user:
            return f"user:{self.user}"
        return "token" if self.token else ""

    @property
    def refusal_text(self) -> str:
        """The log text of a failed authentication (reference: security 1.12)."""
        if self.nkey:
            return f"authentication error - Nkey {quote(self.nkey)}"
        if self.user:
            return f"authentication error - User {quote(self.user)}"
        return f'authentication error - Token "{REDACTED}"' if self.token else "authentication error"


ANONYMOUS: Final = Identity()


@record
class Limits:
    """The limits of one connection, the smallest of user, account and server; -1 is unlimited."""

    max_payload_bytes: int = UNLIMITED
    max_subscriptions: int = UNLIMITED


@record
class Admitted:
    """The connection may go on in this account, as this user.

    `user` is None where nothing was asked for. `proxy_key` is the trusted key of the proxy before it, or empty. `warning`,
    if any, goes to the log as it is, without the connection's prefix.
    """

    account: Account
    identity: Identity
    user: User | None
    limits: Limits
    listener: Listener
    connection_type: ConnectionType
    proxy_key: str = ""
    warning: str = ""

    @property
    def permissions(self) -> Permissions | None:
        """What the connection may do on subjects; None is everything."""
        return None if self.user is None else self.user.permissions


@record
class Refused:
    """The connection is closed: `err_text` goes to the peer (None: nothing), the other texts to the log.

    `account` is set when the user was known but the account had no room. `proxy_key` is the trusted key of the proxy before
    it, or empty.
    """

    err_text: str | None
    close_reason: CloseReason
    log_text: str
    identity: Identity = ANONYMOUS
    account: Account | None = None
    debug_texts: tuple[str, ...] = ()
    proxy_key: str = ""
    warning: str = ""


@record
class CheckPassword:
    """A bcrypt hash must be checked, which takes time: `then` if it matches, `otherwise` if not.

    `hash` and `password` are the arguments of `passwords.matches_bcrypt`.
    """

    hash: str = field(repr=False)
    password: str = field(repr=False)
    then: Admitted | Refused
    otherwise: Refused


Verdict: TypeAlias = Admitted | Refused | CheckPassword


def claimed_identity(hello: Hello) -> Identity:
    """Who a CONNECT claims to be."""
    return Identity(nkey=hello.nkey, user=hello.user, token=bool(hello.auth_token))


def client_label(version: str, lang: str, name: str) -> str:
    """What a client calls itself in its log prefix: version, language and name (reference: operations 5.1)."""
    return ":".join(part for part in (f"v{version}" if version else "", lang, name) if part)


def smallest(*limits: int) -> int:
    """The smallest of some limits where -1 is unlimited."""
    return min((limit for limit in limits if limit != UNLIMITED), default=UNLIMITED)
