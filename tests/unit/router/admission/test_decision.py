"""Who gets in, as whom, and what peer and log read when somebody does not.

Each case was first played against the reference server.
"""

from __future__ import annotations

import base64
from typing import Any

import bcrypt
import pytest

from services.router.admission.decision import (
    ConnectionFacts,
    decide_admission,
    decide_without_connect,
    refuse_for_room,
)
from services.router.admission.directory import ConnectionType, Directory, Listener, compile_directory
from services.router.admission.hello import Hello
from services.router.admission.verdict import Admitted, CheckPassword, Refused, Verdict
from services.shared.config.options import (
    AccountLimits,
    AccountOptions,
    AuthorizationOptions,
    Options,
    ProxiesOptions,
    TlsOptions,
    UserOptions,
    WebsocketOptions,
)
from services.shared.identity import nkeys
from services.shared.identity.certificates import PeerCertificate
from services.shared.identity.distinguished_names import parse_name
from services.shared.identity.nkeys import KeyKind
from services.shared.identity.passwords import matches_bcrypt
from services.shared.identity.permissions import Permissions, SubjectPermission
from services.shared.wire.close_reasons import CloseReason

SEED = nkeys.generate(KeyKind.USER, entropy=bytes(range(32)))
NKEY = nkeys.public_key(SEED)
OTHER_PROXY = nkeys.public_key(nkeys.generate(KeyKind.ACCOUNT, entropy=bytes(range(1, 33))))
NONCE = b"sJhy2Ohtc3T10-0"
HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
MAPPING = TlsOptions(verify=True, verify_and_map=True)
CAROL = PeerCertificate(
    name=parse_name("O=zeta,CN=carol"),
    subject="CN=carol,O=zeta",
    mapped_subject="CN=carol,O=zeta",
    subject_with_domain="CN=carol,O=zeta",
)


def compiled(**options: Any) -> Directory:
    return compile_directory(Options(**options), synthetic_secret="a1B2c3D4")


def with_users(*users: UserOptions, **options: Any) -> Directory:
    return compiled(authorization=AuthorizationOptions(users=users), **options)


def facts(listener: Listener = Listener.CLIENT, **fields: Any) -> ConnectionFacts:
    kind = ConnectionType.STANDARD if listener is Listener.CLIENT else ConnectionType.WEBSOCKET
    return ConnectionFacts(
        **({"listener": listener, "connection_type": kind, "nonce": NONCE, "remote_ip": "127.0.0.1"} | fields)
    )


def decide(
    directory: Directory, *, listener: Listener = Listener.CLIENT, certificate: Any = None, **said: Any
) -> Verdict:
    return decide_admission(
        hello=Hello(**said),
        facts=facts(listener, certificate=certificate, tls=certificate is not None),
        directory=directory,
    )


def admitted(verdict: Verdict) -> Admitted:
    assert isinstance(verdict, Admitted), verdict
    return verdict


def refused(verdict: Verdict) -> Refused:
    assert isinstance(verdict, Refused), verdict
    return verdict


def signed(message: bytes = NONCE) -> str:
    return base64.urlsafe_b64encode(nkeys.sign(SEED, message)).rstrip(b"=").decode()


# --- Nothing asked for ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "user_id", "label"),
    [
        ({}, "", ""),
        ({"user": "a", "password": "b"}, "a", "user:a"),
        ({"auth_token": "t"}, "[REDACTED]", "token"),
        ({"nkey": "K", "user": "a"}, "K", "nkey:K"),
        ({"jwt": "j"}, "", ""),
    ],
)
def test_where_nothing_is_asked_for_credentials_are_shown_but_not_judged(
    said: dict[str, Any], user_id: str, label: str
) -> None:
    verdict = admitted(decide(compiled(), **said))
    assert (verdict.account.name, verdict.permissions) == ("$G", None)
    assert (verdict.identity.user_id, verdict.identity.label) == (user_id, label)
    assert admitted(decide_without_connect(facts=facts(), directory=compiled())).account.name == "$G"


def test_an_account_may_not_be_asked_for() -> None:
    for said in ({"account": "X"}, {"new_account": True}):
        verdict = refused(decide(compiled(), user="a", **said))
        assert verdict.err_text == "Authorization Violation"
        assert verdict.log_text == 'authentication error - User "a"'


def test_what_a_client_cannot_have_is_refused_after_authentication() -> None:
    directory = with_users(UserOptions(user="a", password="a"))
    protocol = refused(decide(directory, user="a", password="a", protocol=3))
    assert (protocol.err_text, protocol.close_reason) == (
        "invalid client protocol",
        CloseReason.BAD_CLIENT_PROTOCOL_VERSION,
    )
    assert refused(decide(directory, user="a", password="a", protocol=-1)).err_text == "invalid client protocol"
    assert refused(decide(directory, user="a", password="x", protocol=3)).err_text == "Authorization Violation"
    headers = refused(decide(directory, user="a", password="a", no_responders=True))
    assert headers.err_text == "no responders requires headers support"
    assert headers.close_reason is CloseReason.NO_RESPONDERS_REQUIRES_HEADERS


def test_headers_need_both_sides() -> None:
    said = {"no_responders": True, "headers": True}
    admitted(decide(compiled(), **said))
    assert (
        refused(decide(compiled(no_header_support=True), **said)).err_text == "no responders requires headers support"
    )


# --- One user, or a token -------------------------------------------------------------------------------------------


def test_a_single_user_needs_name_and_password() -> None:
    directory = compiled(authorization=AuthorizationOptions(user="a", password="b"))
    assert admitted(decide(directory, user="a", password="b")).identity.user_id == "a"
    for said in (
        {"user": "a"},
        {"user": "a", "password": "x"},
        {"user": "x", "password": "b"},
        {"auth_token": "b"},
        {},
    ):
        assert refused(decide(directory, **said)).close_reason is CloseReason.AUTHENTICATION_FAILURE


def test_a_token_is_taken_as_a_token_only() -> None:
    directory = compiled(authorization=AuthorizationOptions(token="tok"))
    assert admitted(decide(directory, auth_token="tok")).identity.user_id == "[REDACTED]"
    assert admitted(decide(directory, auth_token="tok", user="x")).identity.user_id == "x"
    assert refused(decide(directory, user="tok")).log_text == 'authentication error - User "tok"'
    assert refused(decide(directory, password="tok")).log_text == "authentication error"
    assert refused(decide(directory, auth_token="no")).log_text == 'authentication error - Token "[REDACTED]"'


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (AuthorizationOptions(user="a", password=HASH), {"user": "a", "password": "secret"}),
        (AuthorizationOptions(token=HASH), {"auth_token": "secret"}),
        (AuthorizationOptions(users=(UserOptions(user="a", password=HASH),)), {"user": "a", "password": "secret"}),
    ],
)
def test_a_hashed_secret_is_left_to_be_checked(block: AuthorizationOptions, said: dict[str, str]) -> None:
    verdict = decide(compiled(authorization=block), **said)
    assert isinstance(verdict, CheckPassword)
    assert matches_bcrypt(stored=verdict.hash, given=verdict.password)
    assert isinstance(verdict.then, Admitted)
    assert verdict.otherwise.err_text == "Authorization Violation"
    assert "secret" not in repr(verdict) and HASH not in repr(verdict)


def test_a_hashed_secret_does_not_excuse_a_bad_request() -> None:
    verdict = decide(compiled(authorization=AuthorizationOptions(token=HASH)), auth_token="secret", protocol=9)
    assert isinstance(verdict, CheckPassword)
    assert isinstance(verdict.then, Refused) and verdict.then.err_text == "invalid client protocol"


# --- Users ----------------------------------------------------------------------------------------------------------


def test_users_come_with_account_permissions_and_the_smallest_limits() -> None:
    permissions = Permissions(publish=SubjectPermission(deny=("x",)))
    account = AccountOptions(
        name="A",
        users=(UserOptions(user="a", password="a", permissions=permissions),),
        limits=AccountLimits(max_payload_bytes=10, max_subscriptions=9),
    )
    verdict = admitted(decide(compiled(accounts=(account,), max_subscriptions=5), user="a", password="a"))
    assert verdict.account.name == "A"
    assert verdict.permissions == permissions
    assert (verdict.limits.max_payload_bytes, verdict.limits.max_subscriptions) == (10, 5)
    unlimited = admitted(decide(compiled()))
    assert (unlimited.limits.max_payload_bytes, unlimited.limits.max_subscriptions) == (1_048_576, -1)


def test_users_are_refused_for_name_password_or_way_in() -> None:
    directory = with_users(
        UserOptions(user="a", password="a"),
        UserOptions(user="w", password="w", connection_types=("WEBSOCKET",)),
        UserOptions(user="open"),
    )
    admitted(decide(directory, user="a", password="a"))
    admitted(decide(directory, user="open"))
    for said, who in (
        ({"user": "a", "password": "x"}, ' - User "a"'),
        ({"user": "z"}, ' - User "z"'),
        ({"user": "w", "password": "w"}, ' - User "w"'),
        ({"user": "open", "password": "x"}, ' - User "open"'),
        ({"user": 'q"\n'}, ' - User "q\\"\\n"'),
        ({"auth_token": "t"}, ' - Token "[REDACTED]"'),
        ({"nkey": NKEY}, f' - Nkey "{NKEY}"'),
        ({}, ""),
    ):
        verdict = refused(decide(directory, **said))
        assert verdict.err_text == "Authorization Violation"
        assert verdict.log_text == "authentication error" + who


def test_without_connect_only_a_no_auth_user_gets_in() -> None:
    closed = with_users(UserOptions(user="a", password="a"))
    verdict = refused(decide_without_connect(facts=facts(), directory=closed))
    assert (verdict.err_text, verdict.log_text) == ("Authorization Violation", "authentication error")
    opened = with_users(UserOptions(user="a", password="a"), no_auth_user="a")
    assert admitted(decide_without_connect(facts=facts(), directory=opened)).identity.user_id == "a"


def test_a_no_auth_user_stands_in_for_silence_alone() -> None:
    directory = with_users(UserOptions(user="a", password=HASH), UserOptions(user="b", password="b"), no_auth_user="a")
    assert admitted(decide(directory)).identity.label == "user:a"
    assert admitted(decide(directory, nkey="x")).identity.user_id == "x"
    for said in ({"password": "x"}, {"auth_token": "x"}, {"user": "b"}, {"user": "b", "password": "x"}):
        refused(decide(directory, **said))


def test_a_no_auth_user_counts_only_for_its_ways_in() -> None:
    user = UserOptions(user="a", password="a", connection_types=("WEBSOCKET",))
    directory = with_users(user, no_auth_user="a", websocket=WebsocketOptions(port=1, no_tls=True))
    assert refused(decide(directory)).log_text == 'authentication error - User "a"'
    assert refused(decide_without_connect(facts=facts(), directory=directory)).log_text == "authentication error"
    admitted(decide(directory, listener=Listener.WEBSOCKET))
    admitted(decide_without_connect(facts=facts(Listener.WEBSOCKET), directory=directory))


def test_each_listener_has_its_own_no_auth_user() -> None:
    directory = with_users(
        UserOptions(user="a"), UserOptions(user="b"), no_auth_user="b", websocket=WebsocketOptions(no_auth_user="a")
    )
    assert admitted(decide(directory)).identity.user_id == "b"
    assert admitted(decide(directory, listener=Listener.WEBSOCKET)).identity.user_id == "a"


def test_the_invented_user_takes_anonymous_clients_to_the_global_account() -> None:
    directory = compiled(accounts=(AccountOptions(name="$SYS", users=(UserOptions(user="s"),)),))
    anonymous = admitted(decide(directory))
    assert (anonymous.account.name, anonymous.identity.user_id) == ("$G", "nats-a1B2c3D4")
    system = admitted(decide(directory, user="s"))
    assert system.account.is_system
    refused(decide(directory, user="other"))


def test_a_websocket_override_replaces_the_single_user() -> None:
    directory = compiled(
        authorization=AuthorizationOptions(user="m", password="m"), websocket=WebsocketOptions(user="w", password="w")
    )
    admitted(decide(directory, user="m", password="m"))
    refused(decide(directory, user="w", password="w"))
    refused(decide(directory, listener=Listener.WEBSOCKET, user="m", password="m"))
    admitted(decide(directory, listener=Listener.WEBSOCKET, user="w", password="w"))


# --- Nkeys ----------------------------------------------------------------------------------------------------------


def test_an_nkey_is_proved_by_its_signature_of_the_nonce() -> None:
    directory = with_users(UserOptions(nkey=NKEY), UserOptions(user="a", password="a"))
    verdict = admitted(decide(directory, nkey=NKEY, sig=signed()))
    assert (verdict.identity.user_id, verdict.identity.label) == (NKEY, f"nkey:{NKEY}")
    admitted(decide(directory, user="a", password="a"))
    for sig, debug in (
        ("", "Signature missing"),
        ("***", "Signature not valid base64"),
        (signed(b"other"), "Signature not verified"),
        ("AAAA", "Signature not verified"),
    ):
        verdict_ = refused(decide(directory, nkey=NKEY, sig=sig))
        assert verdict_.debug_texts == (debug,)
        assert verdict_.log_text == f'authentication error - Nkey "{NKEY}"'


def test_an_nkey_that_fails_does_not_fall_back_to_a_password() -> None:
    directory = with_users(UserOptions(nkey=NKEY), UserOptions(user="a", password="a"))
    assert (
        refused(decide(directory, nkey="UFOO", user="a", password="a")).log_text == 'authentication error - Nkey "UFOO"'
    )
    refused(decide(directory, nkey=NKEY, sig="x", user="a", password="a"))


def test_no_nonce_means_nothing_can_be_proved() -> None:
    directory = with_users(UserOptions(nkey=NKEY))
    verdict = decide_admission(hello=Hello(nkey=NKEY, sig=signed(b"")), facts=facts(nonce=b""), directory=directory)
    assert refused(verdict).debug_texts == ("Signature not verified",)


def test_an_nkey_as_no_auth_user_needs_no_signature_but_a_connect() -> None:
    directory = with_users(UserOptions(nkey=NKEY), UserOptions(user="b", password="b"), no_auth_user=NKEY)
    for said in ({}, {"nkey": NKEY}, {"nkey": NKEY, "sig": "zz"}):
        assert admitted(decide(directory, **said)).identity.user_id == NKEY
    refused(decide_without_connect(facts=facts(), directory=directory))


def test_an_nkey_is_limited_to_its_ways_in() -> None:
    directory = with_users(UserOptions(nkey=NKEY, connection_types=("MQTT",)))
    refused(decide(directory, nkey=NKEY, sig=signed()))


# --- Certificates ---------------------------------------------------------------------------------------------------


def test_candidates_of_a_certificate_are_tried_in_order() -> None:
    names = ("m2@x.y", "d.x", "spiffe://h/p", "CN=bob,DC=x", "CN=bob")
    certificate = PeerCertificate(
        emails=("m@x.y", "m2@x.y"),
        dns_names=("d.x",),
        uris=("spiffe://h/p",),
        subject="CN=bob",
        mapped_subject="CN=bob",
        subject_with_domain="CN=bob,DC=x",
    )
    for index, name in enumerate(names):
        directory = with_users(*(UserOptions(user=user) for user in names[index:]), tls=MAPPING)
        assert admitted(decide(directory, certificate=certificate)).identity.user_id == name


def test_a_distinguished_name_matches_exactly_before_it_matches_in_any_order() -> None:
    reordered, exact = UserOptions(user="CN=carol, O=zeta"), UserOptions(user="o=zeta,cn=carol")
    both = with_users(reordered, exact, tls=MAPPING)
    assert admitted(decide(both, certificate=CAROL)).identity.user_id == "o=zeta,cn=carol"
    one = with_users(reordered, tls=MAPPING)
    assert admitted(decide(one, certificate=CAROL)).identity.user_id == "CN=carol, O=zeta"


def test_a_mapped_user_must_be_allowed_that_way_in() -> None:
    for name in ("CN=carol,O=zeta", "CN=carol, O=zeta"):
        refused(decide(with_users(UserOptions(user=name, connection_types=("MQTT",)), tls=MAPPING), certificate=CAROL))


def test_a_user_in_connect_is_ignored_with_a_warning() -> None:
    directory = with_users(UserOptions(user="CN=carol,O=zeta"), UserOptions(user="pw", password="p"), tls=MAPPING)
    warning = 'User "pw" found in connect proto, but user required from cert'
    verdict = admitted(decide(directory, certificate=CAROL, user="pw"))
    assert (verdict.identity.user_id, verdict.warning) == ("CN=carol,O=zeta", warning)
    with_password = refused(decide(directory, certificate=CAROL, user="pw", password="p"))
    assert with_password.warning == warning
    assert with_password.log_text == 'authentication error - User "CN=carol,O=zeta"'
    assert admitted(decide(directory, certificate=CAROL)).warning == ""


def test_a_mapped_user_with_a_hash_still_has_to_prove_the_password() -> None:
    directory = with_users(UserOptions(user="CN=carol,O=zeta", password=HASH), tls=MAPPING)
    verdict = decide(directory, certificate=CAROL, user="x", password="secret")
    assert isinstance(verdict, CheckPassword)
    assert verdict.then.warning == verdict.otherwise.warning != ""


def test_a_certificate_that_maps_to_nobody_is_refused() -> None:
    directory = with_users(UserOptions(user="a", password="a"), tls=MAPPING)
    verdict = refused(decide(directory, certificate=CAROL, user="a", password="a"))
    assert verdict.log_text == 'authentication error - User "a"'
    assert verdict.debug_texts == ('User in cert ["CN=carol,O=zeta"], not found',)
    for certificate, tls, debug in (
        (None, False, "User required in cert, no TLS connection state"),
        (None, True, "User required in cert, no peer certificates found"),
        (PeerCertificate(), True, "User required in cert, none found"),
    ):
        verdict = refused(
            decide_admission(hello=Hello(), facts=facts(certificate=certificate, tls=tls), directory=directory)
        )
        assert verdict.debug_texts == (debug,)


def test_a_user_without_password_that_a_certificate_could_be_needs_one() -> None:
    directory = with_users(
        UserOptions(user="a"),
        UserOptions(user="b", connection_types=("STANDARD",)),
        UserOptions(user="d", connection_types=("STANDARD", "WEBSOCKET")),
        websocket=WebsocketOptions(port=1, tls=MAPPING),
    )
    for user in ("a", "d"):
        assert refused(decide(directory, user=user)).debug_texts == (f'User "{user}" requires a client certificate',)
    admitted(decide(directory, user="b"))


def test_a_no_auth_user_needs_no_certificate_where_none_is_mapped() -> None:
    directory = with_users(
        UserOptions(user="a"),
        UserOptions(user="d"),
        tls=MAPPING,
        no_auth_user="a",
        websocket=WebsocketOptions(port=1, no_tls=True),
    )
    for said in ({}, {"user": "a"}):
        admitted(decide(directory, listener=Listener.WEBSOCKET, **said))
    refused(decide(directory, listener=Listener.WEBSOCKET, user="d"))
    refused(decide(directory, certificate=CAROL))


# --- Proxies --------------------------------------------------------------------------------------------------------


def test_a_required_proxy_is_asked_for_before_any_proof() -> None:
    directory = with_users(
        UserOptions(user="a", password="p", proxy_required=True),
        UserOptions(nkey=NKEY, proxy_required=True),
        UserOptions(user="b", password="b", proxy_required=True, connection_types=("MQTT",)),
    )
    for said in ({"user": "a", "password": "p"}, {"user": "a", "password": "x"}, {"nkey": NKEY, "sig": "x"}):
        verdict = refused(decide(directory, **said))
        assert verdict.close_reason is CloseReason.PROXY_REQUIRED
        assert (verdict.err_text, verdict.debug_texts) == ("Authorization Violation", ("proxy connection required",))
    for said in ({"user": "b", "password": "b"}, {"user": "zzz"}):
        assert refused(decide(directory, **said)).close_reason is CloseReason.AUTHENTICATION_FAILURE


def test_a_required_proxy_of_the_block_counts_where_no_user_is_named() -> None:
    for block in (
        AuthorizationOptions(user="a", password="p", proxy_required=True),
        AuthorizationOptions(token="t", proxy_required=True),
        AuthorizationOptions(users=(UserOptions(user="a"),), proxy_required=True),
    ):
        assert refused(decide(compiled(authorization=block))).close_reason is CloseReason.PROXY_REQUIRED
    named = compiled(authorization=AuthorizationOptions(users=(UserOptions(user="a"),), proxy_required=True))
    admitted(decide(named, user="a"))


def proxied(directory: Directory, *, by: str = SEED, nonce: bytes = NONCE, **said: Any) -> Verdict:
    signature = base64.urlsafe_b64encode(nkeys.sign(by, nonce)).rstrip(b"=").decode()
    return decide_admission(hello=Hello(proxy_sig=signature, **said), facts=facts(nonce=nonce), directory=directory)


def test_the_signature_of_a_trusted_proxy_is_all_that_a_required_proxy_asks_for() -> None:
    users = AuthorizationOptions(users=(UserOptions(user="a", password="p", proxy_required=True),))
    directory = compiled(authorization=users, proxies=ProxiesOptions(trusted=(OTHER_PROXY, NKEY)))
    assert admitted(proxied(directory, user="a", password="p")).proxy_key == NKEY
    wrong = refused(proxied(directory, user="a", password="x"))
    assert (wrong.close_reason, wrong.proxy_key) == (CloseReason.AUTHENTICATION_FAILURE, NKEY)
    hashed = compiled(
        authorization=AuthorizationOptions(user="a", password=HASH, proxy_required=True),
        proxies=ProxiesOptions(trusted=(NKEY,)),
    )
    check = proxied(hashed, user="a", password="secret")
    assert isinstance(check, CheckPassword)
    assert (admitted(check.then).proxy_key, check.otherwise.proxy_key) == (NKEY, NKEY)


def test_a_proxy_counts_on_for_later_connects() -> None:
    users = AuthorizationOptions(users=(UserOptions(user="a", password="p", proxy_required=True),))
    directory = compiled(authorization=users, proxies=ProxiesOptions(trusted=(NKEY,)))
    verdict = decide_admission(hello=Hello(user="a", password="p"), facts=facts(proxy_key=NKEY), directory=directory)
    assert admitted(verdict).proxy_key == NKEY


def test_a_signature_that_no_trusted_proxy_made_is_refused_before_all_else() -> None:
    for directory in (
        compiled(proxies=ProxiesOptions(trusted=(OTHER_PROXY,))),
        with_users(UserOptions(user="a", password="p"), proxies=ProxiesOptions(trusted=(OTHER_PROXY,))),
    ):
        verdict = refused(proxied(directory, user="a", password="p"))
        assert verdict.close_reason is CloseReason.PROXY_NOT_TRUSTED
        assert (verdict.err_text, verdict.debug_texts) == ("Authorization Violation", ("proxy is not trusted",))
        assert verdict.log_text == 'authentication error - User "a"'
        garbled = refused(decide(directory, proxy_sig="!!!"))
        assert garbled.debug_texts == ("Proxy signature not valid base64", "proxy is not trusted")


def test_who_was_given_no_nonce_has_no_proxy() -> None:
    directory = compiled(proxies=ProxiesOptions(trusted=(NKEY,)))
    assert refused(proxied(directory, nonce=b"")).close_reason is CloseReason.PROXY_NOT_TRUSTED


def test_without_trusted_proxies_a_signature_says_nothing() -> None:
    assert admitted(proxied(compiled())).proxy_key == ""
    required = compiled(authorization=AuthorizationOptions(token="t", proxy_required=True))
    assert refused(proxied(required, auth_token="t")).close_reason is CloseReason.PROXY_REQUIRED


# --- Room in the account --------------------------------------------------------------------------------------------


def test_an_account_takes_as_many_connections_as_it_may() -> None:
    def entering(limit: int) -> Admitted:
        limits = AccountLimits(max_connections=limit)
        accounts = (AccountOptions(name="A", users=(UserOptions(user="a"),), limits=limits),)
        return admitted(decide(compiled(accounts=accounts), user="a"))

    assert refuse_for_room(entering(-1), connections=1_000_000) is None
    assert refuse_for_room(entering(2), connections=1) is None
    verdict = refuse_for_room(entering(2), connections=2)
    assert verdict is not None
    assert verdict.err_text == verdict.log_text == "maximum account active connections exceeded"
    assert verdict.close_reason is CloseReason.MAXIMUM_ACCOUNT_CONNECTIONS_EXCEEDED
    assert verdict.account is not None and verdict.account.name == "A"
    assert refuse_for_room(entering(0), connections=0) is not None
