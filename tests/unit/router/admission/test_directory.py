"""Options become a directory, or the sentence that says why not."""

from __future__ import annotations

from typing import Any

import pytest

from services.router.admission.directory import ConnectionType, Directory, Listener, UserKind, compile_directory
from services.router.admission.errors import DirectoryError
from services.shared.config.options import (
    AccountLimits,
    AccountOptions,
    AuthorizationOptions,
    Options,
    TlsOptions,
    UserOptions,
    WebsocketOptions,
)

SECOND_NS = 1_000_000_000
NKEY = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"
HASH = "$2a$04$vFxE8hTXyvBZQyNcbSZrXelhVaDh6c.qsEe0KVBvjDq4mn2m9hJcO"
MAPPING = TlsOptions(verify=True, verify_and_map=True)


def compiled(**options: Any) -> Directory:
    return compile_directory(Options(**options), synthetic_secret="a1B2c3D4")


def users(*names: str, **fields: Any) -> AuthorizationOptions:
    return AuthorizationOptions(users=tuple(UserOptions(user=name, **fields) for name in names))


def account(name: str, *names: str, **fields: Any) -> AccountOptions:
    return AccountOptions(name=name, users=tuple(UserOptions(user=user) for user in names), **fields)


def test_without_options_everybody_may_connect() -> None:
    directory = compiled()
    policy = directory.listeners[Listener.CLIENT]
    assert not policy.auth_required and not policy.auth_advertised
    assert policy.auth_timeout_ns is None
    assert not directory.nonce_required
    assert set(directory.accounts) == {"$G", "$SYS"}
    assert directory.system_account == "$SYS"
    assert Listener.WEBSOCKET not in directory.listeners


def test_users_of_the_authorization_block_belong_to_the_global_account() -> None:
    directory = compiled(authorization=users("a"), accounts=(account("A", "b"),))
    assert (directory.users["a"].account, directory.users["b"].account) == ("$G", "A")


def test_account_limits_are_kept() -> None:
    limits = AccountLimits(max_connections=1, max_subscriptions=2, max_payload_bytes=3)
    found = compiled(accounts=(account("A", limits=limits),)).accounts["A"]
    assert (found.max_connections, found.max_subscriptions, found.max_payload_bytes) == (1, 2, 3)


@pytest.mark.parametrize(
    ("options", "system"),
    [
        ({}, "$SYS"),
        ({"no_system_account": True}, None),
        ({"no_system_account": True, "accounts": (account("$SYS", "s"),)}, "$SYS"),
        ({"accounts": (account("S"), account("B")), "system_account": "S"}, "S"),
        ({"no_system_account": True, "accounts": (account("S"),), "system_account": "S"}, "S"),
        ({"system_account": "$G"}, "$G"),
    ],
)
def test_the_system_account(options: dict[str, Any], system: str | None) -> None:
    directory = compiled(**options)
    assert directory.system_account == system
    assert [name for name, found in directory.accounts.items() if found.is_system] == ([system] if system else [])


@pytest.mark.parametrize(
    ("options", "invented"),
    [
        ({"accounts": (account("$SYS", "s"),)}, True),
        ({"accounts": (account("$SYS"),)}, True),
        ({"accounts": (account("S"),), "system_account": "S"}, True),
        ({"accounts": (account("S"),), "system_account": "S", "no_system_account": True}, True),
        ({"accounts": (account("S"),)}, False),
        ({"accounts": (account("S"), account("B")), "system_account": "S"}, False),
        ({"accounts": (account("$SYS"),), "authorization": AuthorizationOptions(defined=True)}, False),
        ({"accounts": (account("$SYS"),), "authorization": AuthorizationOptions(timeout_ns=SECOND_NS)}, False),
        ({"accounts": (account("$SYS"),), "authorization": users("a")}, False),
        ({"accounts": (account("$SYS", "s"),), "no_auth_user": "s"}, False),
        ({}, False),
    ],
)
def test_a_user_is_invented_beside_nothing_but_a_system_account(options: dict[str, Any], invented: bool) -> None:
    directory = compiled(**options)
    policy = directory.listeners[Listener.CLIENT]
    assert ("nats-a1B2c3D4" in directory.users) == invented
    if invented:
        assert policy.no_auth_user == "nats-a1B2c3D4"
        assert policy.auth_required and policy.auth_advertised
        assert directory.users["nats-a1B2c3D4"].account == "$G"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"system_account": "X"}, "error resolving system account: account missing"),
        ({"system_account": "$SYS"}, "error resolving system account: account missing"),
        ({"accounts": (account("$G"),)}, '"$G" is a Reserved Account'),
        ({"no_auth_user": "q"}, 'no_auth_user: "q" present, but users/nkeys are not defined'),
        (
            {"no_auth_user": "q", "accounts": (account("A", "b"),)},
            'no_auth_user: "q" not present as user or nkey in authorization block or account configuration',
        ),
        (
            {"websocket": WebsocketOptions(no_auth_user="q"), "authorization": users("a")},
            'no_auth_user: "q" not present as user or nkey in authorization block or account configuration',
        ),
        (
            {"websocket": WebsocketOptions(user="w"), "authorization": users("a")},
            "websocket authentication username not compatible with presence of users/nkeys",
        ),
        (
            {"websocket": WebsocketOptions(token="w"), "authorization": users("a")},
            "websocket authentication token not compatible with presence of users/nkeys",
        ),
        (
            {"websocket": WebsocketOptions(jwt_cookie="zz")},
            'trusted operators or trusted keys configuration is required for JWT authentication via cookie "zz"',
        ),
        ({"authorization": AuthorizationOptions(user="a", token="t")}, "Cannot have a user/pass and token"),
        ({"authorization": users("a", "a")}, 'Duplicate user "a" detected'),
        ({"authorization": users("a"), "accounts": (account("A", "a"),)}, 'Duplicate user "a" detected'),
        (
            {"authorization": AuthorizationOptions(users=(UserOptions(nkey=NKEY), UserOptions(nkey=NKEY)))},
            f'Duplicate nkey "{NKEY}" detected',
        ),
        ({"authorization": users("a", connection_types=("FOO", "MQTT"))}, 'invalid connection types ["FOO"]'),
    ],
)
def test_contradictions_are_refused_with_the_known_text(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DirectoryError) as caught:
        compiled(**options)
    assert str(caught.value) == text


def test_connection_types_count_in_any_case() -> None:
    found = compiled(authorization=users("a", connection_types=("standard", "Mqtt"))).users["a"]
    assert found.allows(ConnectionType.STANDARD) and found.allows(ConnectionType.MQTT)
    assert not found.allows(ConnectionType.WEBSOCKET)
    assert compiled(authorization=users("a")).users["a"].allows(ConnectionType.LEAFNODE)


def test_a_nonce_is_needed_for_nkeys_alone() -> None:
    assert compiled(authorization=AuthorizationOptions(users=(UserOptions(nkey=NKEY),))).nonce_required
    assert not compiled(authorization=users("a")).nonce_required
    assert not compiled(authorization=AuthorizationOptions(token="t")).nonce_required


def test_a_no_auth_user_hides_that_authentication_is_required() -> None:
    policy = compiled(authorization=users("a"), no_auth_user="a").listeners[Listener.CLIENT]
    assert policy.auth_required and not policy.auth_advertised


def test_websocket_connections_are_always_told() -> None:
    directory = compiled(authorization=users("a"), no_auth_user="a", websocket=WebsocketOptions(port=1))
    policy = directory.listeners[Listener.WEBSOCKET]
    assert policy.auth_advertised and policy.no_auth_user == "a"


def test_a_websocket_override_leaves_the_main_listener_alone() -> None:
    directory = compiled(websocket=WebsocketOptions(port=1, user="w", password="w"))
    assert not directory.auth_required
    policy = directory.listeners[Listener.WEBSOCKET]
    assert policy.auth_required and policy.single is not None and policy.single.name == "w"


def test_a_websocket_override_hides_the_single_user_of_the_main_listener() -> None:
    main = AuthorizationOptions(user="m", password="m")
    directory = compiled(authorization=main, websocket=WebsocketOptions(port=1, token="w"))
    single = directory.listeners[Listener.WEBSOCKET].single
    assert single is not None and single.kind is UserKind.TOKEN


def test_a_token_goes_before_a_user_in_a_websocket_block() -> None:
    single = compiled(websocket=WebsocketOptions(user="w", token="t")).listeners[Listener.WEBSOCKET].single
    assert single is not None and single.kind is UserKind.TOKEN


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({}, 2),
        ({"tls": TlsOptions()}, 3),
        ({"tls": TlsOptions(timeout_ns=5 * SECOND_NS)}, 6),
    ],
)
def test_the_default_time_for_connect(options: dict[str, Any], seconds: int) -> None:
    policy = compiled(authorization=users("a"), **options).listeners[Listener.CLIENT]
    assert policy.auth_timeout_ns == seconds * SECOND_NS


def test_a_configured_time_for_connect_wins_and_zero_means_the_default() -> None:
    for given_ns, wanted_ns in ((SECOND_NS, SECOND_NS), (0, 2 * SECOND_NS)):
        block = AuthorizationOptions(token="t", timeout_ns=given_ns)
        directory = compiled(authorization=block, websocket=WebsocketOptions(auth_timeout_ns=7))
        assert directory.listeners[Listener.CLIENT].auth_timeout_ns == wanted_ns
        assert directory.listeners[Listener.WEBSOCKET].auth_timeout_ns == 7


@pytest.mark.parametrize(
    ("options", "plaintext"),
    [
        ({"authorization": users("a", password="b")}, True),
        ({"authorization": users("a")}, True),
        ({"authorization": users("a", password=HASH)}, False),
        ({"authorization": users("CN=a"), "tls": MAPPING}, False),
        ({"authorization": users("a", connection_types=("MQTT",)), "tls": MAPPING}, True),
        ({"authorization": AuthorizationOptions(user="a", password="b")}, True),
        ({"authorization": AuthorizationOptions(user="a", password=HASH)}, False),
        ({"authorization": AuthorizationOptions(user="a")}, False),
        ({"authorization": AuthorizationOptions(password="b")}, True),
        ({"authorization": AuthorizationOptions(token="t")}, False),
        ({"accounts": (account("$SYS"),)}, False),
        ({"authorization": AuthorizationOptions(users=(UserOptions(nkey=NKEY),))}, False),
        ({"websocket": WebsocketOptions(user="w", password="w")}, False),
    ],
)
def test_plaintext_passwords_are_noticed(options: dict[str, Any], plaintext: bool) -> None:
    assert compiled(**options).plaintext_passwords is plaintext


def test_secrets_do_not_show() -> None:
    directory = compiled(authorization=users("a", password="s3cret"))
    assert "s3cret" not in repr(directory)


def test_a_password_without_a_user_asks_for_nothing() -> None:
    assert not compiled(authorization=AuthorizationOptions(password="b")).auth_required
