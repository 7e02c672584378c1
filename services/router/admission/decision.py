"""Who may connect, as what: the verdict on one CONNECT (reference: security 1.2 to 1.8, 1.12).

A pure function of what the client said, how it came in, and the directory. The order of the checks is the reference's,
because it decides which of several failures an operator reads about.
Absent on purpose: JWTs, auth callout (their configuration is refused until they are built).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.router.admission.directory import (
    GLOBAL_ACCOUNT,
    Account,
    ConnectionType,
    Directory,
    Listener,
    ListenerPolicy,
    User,
    UserKind,
)
from services.router.admission.hello import SILENT, Hello
from services.router.admission.proxies import Untrusted, signing_proxy
from services.router.admission.verdict import (
    ANONYMOUS,
    Admitted,
    CheckPassword,
    Identity,
    Limits,
    Refused,
    Verdict,
    claimed_identity,
    smallest,
)
from services.shared.identity.distinguished_names import DistinguishedName, same_relative_names
from services.shared.identity.nkeys import decode_signature, verify
from services.shared.identity.passwords import is_bcrypt, matches_plain
from services.shared.records.record import record, replace
from services.shared.wire import errors
from services.shared.wire.close_reasons import CloseReason
from services.shared.wire.quote import quote

if TYPE_CHECKING:
    from services.shared.identity.certificates import PeerCertificate

PROXY_NEEDED: Final = "proxy connection required"
"""What the log says, at debug level, about who came without a proxy and needs one."""

_PROTOCOLS: Final = (0, 1)


@record
class ConnectionFacts:
    """What is known of a connection besides what it says.

    `nonce` is the challenge of its INFO, empty when there was none. `remote_ip` is the address after a PROXY header.
    `certificate` is the verified certificate of the peer, None without TLS or without one. `proxy_key` is the key of the
    trusted proxy that an earlier CONNECT came through.
    """

    listener: Listener
    connection_type: ConnectionType
    nonce: bytes
    remote_ip: str
    certificate: PeerCertificate | None = None
    tls: bool = False
    proxy_key: str = ""


def decide_admission(*, hello: Hello, facts: ConnectionFacts, directory: Directory) -> Verdict:
    """The verdict on a CONNECT. A CheckPassword still has to be carried out; everything else is final.

    The account's limit of connections needs a live count: `refuse_for_room` comes after this.
    """
    trusted = directory.trusted_proxies
    if not trusted or not hello.proxy_sig:
        return _Case(hello=hello, facts=facts, directory=directory).decide()
    proxy = signing_proxy(hello.proxy_sig, nonce=facts.nonce, trusted=trusted)
    if isinstance(proxy, Untrusted):
        return refusal(claimed_identity(hello), reason=CloseReason.PROXY_NOT_TRUSTED, debug_texts=proxy.debug_texts)
    return _Case(hello=hello, facts=replace(facts, proxy_key=proxy), directory=directory).decide()


def decide_without_connect(*, facts: ConnectionFacts, directory: Directory) -> Verdict:
    """The verdict on a connection whose first operation is something else than CONNECT (reference: security 1.3).

    It counts as an empty CONNECT where nothing is asked for, or where a no_auth_user with a name may connect that way.
    """
    policy = directory.listeners[facts.listener]
    if policy.auth_required:
        user = directory.users.get(policy.no_auth_user)
        if user is None or user.proxy_required or not user.allows(facts.connection_type):
            return refusal(ANONYMOUS)
    return decide_admission(hello=SILENT, facts=facts, directory=directory)


def refuse_for_room(admitted: Admitted, *, connections: int) -> Refused | None:
    """The refusal when the account already has `connections` others and takes no more (reference: security 9.6)."""
    limit = admitted.account.max_connections
    if limit < 0 or connections < limit:
        return None
    return Refused(
        err_text=errors.MAXIMUM_ACCOUNT_ACTIVE_CONNECTIONS_EXCEEDED,
        close_reason=CloseReason.MAXIMUM_ACCOUNT_CONNECTIONS_EXCEEDED,
        log_text=errors.MAXIMUM_ACCOUNT_ACTIVE_CONNECTIONS_EXCEEDED,
        identity=admitted.identity,
        account=admitted.account,
        proxy_key=admitted.proxy_key,
        warning=admitted.warning,
    )


def refusal(
    identity: Identity, *, reason: CloseReason = CloseReason.AUTHENTICATION_FAILURE,
    debug_texts: tuple[str, ...] = (), proxy_key: str = "",
) -> Refused:  # fmt: skip
    """A failed authentication: the peer learns nothing but that."""
    return Refused(
        err_text=errors.AUTHORIZATION_VIOLATION,
        close_reason=reason,
        log_text=identity.refusal_text,
        identity=identity,
        debug_texts=debug_texts,
        proxy_key=proxy_key,
    )


def effective_limits(account: Account, directory: Directory) -> Limits:
    """The limits of a connection bound to `account`."""
    return Limits(
        max_payload_bytes=smallest(account.max_payload_bytes, directory.max_payload_bytes),
        max_subscriptions=smallest(account.max_subscriptions, directory.max_subscriptions),
    )


class _Case:
    """One CONNECT under judgement."""

    __slots__ = ("directory", "facts", "hello", "policy")

    def __init__(self, *, hello: Hello, facts: ConnectionFacts, directory: Directory) -> None:
        self.hello = hello
        self.facts = facts
        self.directory = directory
        self.policy: ListenerPolicy = directory.listeners[facts.listener]

    def decide(self) -> Verdict:
        if not self.policy.auth_required:
            return self.admit(None, identity=claimed_identity(self.hello))
        if self.directory.nkeys:
            nkey = self.hello.nkey or (self.policy.no_auth_user if self.has_no_credentials() else "")
            if nkey in self.directory.nkeys or self.hello.nkey:
                return self.judge_nkey(nkey)
        if self.directory.users:
            if self.policy.map_certificates:
                return self.judge_certificate()
            if self.has_no_credentials() and self.policy.no_auth_user in self.directory.users:
                user = self.directory.users[self.policy.no_auth_user]
                return self.judge_user(user, given=None)
            if self.hello.user:
                return self.judge_user(self.directory.users.get(self.hello.user), given=self.hello.password)
        return self.judge_single()

    def has_no_credentials(self) -> bool:
        return not (self.hello.user or self.hello.password or self.hello.auth_token)

    def judge_nkey(self, nkey: str) -> Verdict:
        user = self.directory.nkeys.get(nkey)
        identity = Identity(nkey=nkey)
        if user is None or not user.allows(self.facts.connection_type):
            return self.refuse(identity)
        if self.misses_proxy(user):
            return self.refuse_unproxied(identity)
        if nkey != self.policy.no_auth_user:
            debug = self.fault_of_signature(nkey)
            if debug:
                return self.refuse(identity, debug)
        return self.admit(user, identity=identity)

    def fault_of_signature(self, nkey: str) -> str:
        """What is wrong with the signature of the nonce, or nothing."""
        if not self.hello.sig:
            return "Signature missing"
        signature = decode_signature(self.hello.sig)
        if signature is None:
            return "Signature not valid base64"
        if not self.facts.nonce or not verify(nkey, message=self.facts.nonce, signature=signature):
            return "Signature not verified"
        return ""

    def judge_certificate(self) -> Verdict:
        user = _mapped_user(
            self.facts.certificate, directory=self.directory, connection_type=self.facts.connection_type
        )
        if user is None:
            return self.refuse(claimed_identity(self.hello), self.fault_of_certificate())
        warning = ""
        if self.hello.user:
            warning = f"User {quote(self.hello.user)} found in connect proto, but user required from cert"
        return _with_warning(self.judge_user(user, given=self.hello.password, by_certificate=True), warning)

    def fault_of_certificate(self) -> str:
        """Why the certificate maps to nobody."""
        if not self.facts.tls:
            return "User required in cert, no TLS connection state"
        if self.facts.certificate is None:
            return "User required in cert, no peer certificates found"
        if not self.facts.certificate.names_someone:
            return "User required in cert, none found"
        return f"User in cert [{quote(self.facts.certificate.mapped_subject)}], not found"

    def judge_user(self, user: User | None, *, given: str | None, by_certificate: bool = False) -> Verdict:
        """The verdict on a named user. `given` is None when the user is chosen by the configuration."""
        if user is None or not user.allows(self.facts.connection_type):
            return self.refuse(replace(claimed_identity(self.hello), user=user.name if user else self.hello.user))
        identity = replace(claimed_identity(self.hello), user=user.name)
        if self.misses_proxy(user):
            return self.refuse_unproxied(identity)
        if user.certificate_only and not by_certificate and user.name != self.policy.no_auth_user:
            return self.refuse(identity, f"User {quote(user.name)} requires a client certificate")
        if given is None:
            return self.admit(user, identity=identity)
        return self.check_secret(user, given=given, identity=identity)

    def judge_single(self) -> Verdict:
        single = self.policy.single
        identity = claimed_identity(self.hello)
        if self.misses_proxy(self.policy):
            return self.refuse_unproxied(identity)
        if single is None or (single.kind is UserKind.SINGLE and single.name != self.hello.user):
            return self.refuse(identity)
        given = self.hello.auth_token if single.kind is UserKind.TOKEN else self.hello.password
        return self.check_secret(single, given=given, identity=identity)

    def check_secret(self, user: User, *, given: str, identity: Identity) -> Verdict:
        admitted = self.admit(user, identity=identity)
        refused = self.refuse(identity)
        if is_bcrypt(user.secret):
            return CheckPassword(hash=user.secret, password=given, then=admitted, otherwise=refused)
        return admitted if matches_plain(stored=user.secret, given=given) else refused

    def misses_proxy(self, asks: User | ListenerPolicy) -> bool:
        return asks.proxy_required and not self.facts.proxy_key

    def refuse_unproxied(self, identity: Identity) -> Refused:
        return refusal(identity, reason=CloseReason.PROXY_REQUIRED, debug_texts=(PROXY_NEEDED,))

    def refuse(self, identity: Identity, debug: str = "") -> Refused:
        return refusal(identity, debug_texts=(debug,) if debug else (), proxy_key=self.facts.proxy_key)

    def admit(self, user: User | None, *, identity: Identity) -> Admitted | Refused:
        """Admits, unless the CONNECT asks for what no authentication can give."""
        if self.hello.account or self.hello.new_account:
            return self.refuse(identity)
        if self.hello.protocol not in _PROTOCOLS:
            return self.refuse_request(errors.INVALID_CLIENT_PROTOCOL, identity)
        if self.hello.no_responders and not (self.hello.headers and self.directory.headers_supported):
            return self.refuse_request(errors.NO_RESPONDERS_REQUIRES_HEADERS, identity)
        account = self.directory.accounts[user.account if user else GLOBAL_ACCOUNT]
        return Admitted(
            account=account,
            identity=identity,
            user=user,
            limits=effective_limits(account, self.directory),
            listener=self.facts.listener,
            connection_type=self.facts.connection_type,
            proxy_key=self.facts.proxy_key,
        )

    def refuse_request(self, text: str, identity: Identity) -> Refused:
        proxy_key = self.facts.proxy_key
        return Refused(
            err_text=text, close_reason=errors.CLOSES[text], log_text=text, identity=identity, proxy_key=proxy_key
        )


def _with_warning(verdict: Verdict, warning: str) -> Verdict:
    if not warning:
        return verdict
    if isinstance(verdict, CheckPassword):
        then = replace(verdict.then, warning=warning)
        return replace(verdict, then=then, otherwise=replace(verdict.otherwise, warning=warning))
    return replace(verdict, warning=warning)


def _mapped_user(
    certificate: PeerCertificate | None, *, directory: Directory, connection_type: ConnectionType
) -> User | None:
    """The user that a certificate maps to: the first candidate that is one and may connect that way (1.7)."""
    if certificate is None or not certificate.names_someone:
        return None

    def named(name: str) -> User | None:
        user = directory.users.get(name)
        return user if user is not None and user.allows(connection_type) else None

    for name in (*certificate.emails, *certificate.dns_names, *certificate.uris):
        user = named(name)
        if user is not None:
            return user
    if certificate.name is not None:
        allowed = [(name, user) for name, user in directory.names if user.allows(connection_type)]
        user = _user_of_name(certificate.name, allowed)
        if user is not None:
            return user
    return named(certificate.subject_with_domain) or named(certificate.mapped_subject)


def _user_of_name(wanted: DistinguishedName, users: list[tuple[DistinguishedName, User]]) -> User | None:
    for name, user in users:
        if name == wanted:
            return user
    for name, user in users:
        if same_relative_names(name, wanted):
            return user
    return None
