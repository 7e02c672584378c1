"""A reload changes as little as it can for those who are already in."""

from __future__ import annotations

from typing import Any

import pytest

from services.router.admission.decision import ConnectionFacts, decide_admission
from services.router.admission.directory import ConnectionType, Directory, Listener, compile_directory
from services.router.admission.hello import Hello
from services.router.admission.recheck import Close, Keep, Outcome, ReplacePermissions, recheck
from services.router.admission.verdict import Admitted, CheckPassword
from services.shared.config.options import (
    AccountLimits,
    AccountOptions,
    AuthorizationOptions,
    Options,
    ProxiesOptions,
    UserOptions,
    WebsocketOptions,
)
from services.shared.identity.permissions import Permissions, SubjectPermission
from services.shared.wire.close_reasons import CloseReason

HASH = "$2a$04$vFxE8hTXyvBZQyNcbSZrXelhVaDh6c.qsEe0KVBvjDq4mn2m9hJcO"
NKEY = "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK"
DENY = Permissions(subscribe=SubjectPermission(deny=("a.b",)))
SILENT_CLOSE = Close(err_text=None, close_reason=CloseReason.CLIENT_CLOSED)
NOTHING: dict[str, Any] = {}


def compiled(**options: Any) -> Directory:
    return compile_directory(Options(**options), synthetic_secret="a1B2c3D4")


def users(*entries: UserOptions, **options: Any) -> dict[str, Any]:
    return {"authorization": AuthorizationOptions(users=entries), **options}


def single(user: str, password: str) -> dict[str, Any]:
    return {"authorization": AuthorizationOptions(user=user, password=password)}


def token(text: str) -> dict[str, Any]:
    return {"authorization": AuthorizationOptions(token=text)}


def reloaded(before: dict[str, Any], after: dict[str, Any], **said: Any) -> Outcome:
    facts = ConnectionFacts(
        listener=Listener.CLIENT, connection_type=ConnectionType.STANDARD, nonce=b"", remote_ip="127.0.0.1"
    )
    verdict = decide_admission(hello=Hello(**said), facts=facts, directory=compiled(**before))
    if isinstance(verdict, CheckPassword):
        assert isinstance(verdict.then, Admitted)
        verdict = verdict.then
    assert isinstance(verdict, Admitted)
    return recheck(verdict, compiled(**after))


def violation(who: str) -> Close:
    return Close(
        err_text="Authorization Violation",
        close_reason=CloseReason.AUTHENTICATION_FAILURE,
        log_text=f"authentication error{who}",
    )


A = UserOptions(user="a", password="p")
B = UserOptions(user="b", password="p")
AS_A = {"user": "a", "password": "p"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (NOTHING, {}),
        (NOTHING, {"user": "whoever"}),
        (users(A), AS_A),
        (users(UserOptions(user="a", password=HASH)), AS_A),
        (single("a", "p"), AS_A),
        (token("t"), {"auth_token": "t"}),
        (users(A, no_auth_user="a"), {}),
        (users(UserOptions(nkey=NKEY), no_auth_user=NKEY), {}),
        ({"accounts": (AccountOptions(name="$SYS"),)}, {}),
    ],
)
def test_who_is_still_there_stays_untouched(options: dict[str, Any], said: dict[str, Any]) -> None:
    assert reloaded(options, options, **said) == Keep()
    assert reloaded(options, {**options, "max_connections": 9}, **said) == Keep()


def test_changed_rights_are_replaced_in_place() -> None:
    outcome = reloaded(users(A), users(UserOptions(user="a", password="p", permissions=DENY)), **AS_A)
    assert isinstance(outcome, ReplacePermissions)
    assert outcome.admitted.permissions == DENY
    assert outcome.admitted.identity.user_id == "a"


def test_changed_limits_are_replaced_in_place() -> None:
    outcome = reloaded(NOTHING, {"max_payload_bytes": 9})
    assert isinstance(outcome, ReplacePermissions)
    assert outcome.admitted.limits.max_payload_bytes == 9

    def account(limits: AccountLimits) -> dict[str, Any]:
        return {"accounts": (AccountOptions(name="A", users=(A,), limits=limits),)}

    outcome = reloaded(account(AccountLimits()), account(AccountLimits(max_subscriptions=1)), **AS_A)
    assert isinstance(outcome, ReplacePermissions)
    assert outcome.admitted.limits.max_subscriptions == 1


@pytest.mark.parametrize(
    ("before", "after", "said", "who"),
    [
        (users(A), users(UserOptions(user="a", password="q")), AS_A, ' - User "a"'),
        (users(A), users(UserOptions(user="a", password="p", connection_types=("MQTT",))), AS_A, ' - User "a"'),
        (single("a", "p"), single("a", "q"), AS_A, ' - User "a"'),
        (token("t"), token("u"), {"auth_token": "t"}, ' - Token "[REDACTED]"'),
        (token("t"), users(A), {"auth_token": "t"}, ' - Token "[REDACTED]"'),
        (token("t"), single("a", "p"), {"auth_token": "t"}, ' - Token "[REDACTED]"'),
        (NOTHING, single("a", "p"), {}, ""),
        (NOTHING, users(A), {}, ""),
        (NOTHING, token("t"), {"auth_token": "x"}, ' - Token "[REDACTED]"'),
        (NOTHING, users(A), {"user": "a"}, ' - User "a"'),
        (users(A, no_auth_user="a"), users(UserOptions(user="a", password="q"), no_auth_user="a"), {}, ' - User "a"'),
    ],
)
def test_a_changed_credential_closes_with_a_violation(
    before: dict[str, Any], after: dict[str, Any], said: dict[str, Any], who: str
) -> None:
    assert reloaded(before, after, **said) == violation(who)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (users(A, B), users(B), AS_A),
        (users(A), NOTHING, AS_A),
        (users(A), {"accounts": (AccountOptions(name="X", users=(A,)),)}, AS_A),
        (single("a", "p"), single("z", "p"), AS_A),
        (single("a", "p"), NOTHING, AS_A),
        (NOTHING, users(A), {"user": "z"}),
        (users(A, B, no_auth_user="a"), users(B), {}),
        (users(UserOptions(nkey=NKEY), no_auth_user=NKEY), users(A), {}),
        (
            {"accounts": (AccountOptions(name="$SYS"),)},
            {"accounts": (AccountOptions(name="$SYS"), AccountOptions(name="A", users=(A,)))},
            {},
        ),
    ],
)
def test_who_is_gone_or_moved_is_closed_without_a_word(
    before: dict[str, Any], after: dict[str, Any], said: dict[str, Any]
) -> None:
    assert reloaded(before, after, **said) == SILENT_CLOSE


def test_a_token_stays_when_nothing_is_asked_for_any_more() -> None:
    outcome = reloaded(token("t"), NOTHING, auth_token="t")
    assert isinstance(outcome, ReplacePermissions)
    assert outcome.admitted.user is None


def test_a_single_user_stays_when_it_becomes_one_of_many() -> None:
    for before, after in ((single("a", "p"), users(A)), (users(A), single("a", "p"))):
        assert isinstance(reloaded(before, after, **AS_A), ReplacePermissions)


def test_an_anonymous_connection_becomes_the_user_that_stands_in() -> None:
    outcome = reloaded(NOTHING, {"accounts": (AccountOptions(name="$SYS", users=(UserOptions(user="s"),)),)})
    assert isinstance(outcome, ReplacePermissions)
    assert outcome.admitted.identity.user_id == "nats-a1B2c3D4"
    elsewhere = {"accounts": (AccountOptions(name="X", users=(A,)),), "no_auth_user": "a"}
    assert reloaded(NOTHING, elsewhere) == violation("")


def test_a_proxy_that_is_required_now_closes() -> None:
    required = users(UserOptions(user="a", password="p", proxy_required=True))
    outcome = reloaded(users(A), required, **AS_A)
    assert isinstance(outcome, Close) and outcome.close_reason is CloseReason.PROXY_REQUIRED
    block = {"authorization": AuthorizationOptions(token="t", proxy_required=True)}
    outcome = reloaded(token("t"), block, auth_token="t")
    assert isinstance(outcome, Close) and outcome.close_reason is CloseReason.PROXY_REQUIRED


def test_a_proxy_that_is_not_trusted_any_more_takes_its_connections_along() -> None:
    proxies = {"proxies": ProxiesOptions(trusted=(NKEY,))}
    before = compiled(**users(A), **proxies)
    facts = ConnectionFacts(
        listener=Listener.CLIENT, connection_type=ConnectionType.STANDARD, nonce=b"", remote_ip="127.0.0.1",
        proxy_key=NKEY,
    )  # fmt: skip
    admitted = decide_admission(hello=Hello(**AS_A), facts=facts, directory=before)
    assert isinstance(admitted, Admitted)
    required = users(UserOptions(user="a", password="p", proxy_required=True))
    assert isinstance(recheck(admitted, compiled(**required, **proxies)), ReplacePermissions)
    for after in (compiled(**users(A)), compiled(**users(UserOptions(user="z")), proxies=ProxiesOptions())):
        outcome = recheck(admitted, after)
        assert isinstance(outcome, Close)
        assert (outcome.err_text, outcome.close_reason) == ("Authorization Violation", CloseReason.PROXY_NOT_TRUSTED)


def test_a_listener_that_is_gone_takes_its_connections_along() -> None:
    facts = ConnectionFacts(
        listener=Listener.WEBSOCKET, connection_type=ConnectionType.WEBSOCKET, nonce=b"", remote_ip="127.0.0.1"
    )
    before = decide_admission(hello=Hello(), facts=facts, directory=compiled(websocket=WebsocketOptions(port=1)))
    assert isinstance(before, Admitted)
    assert recheck(before, compiled()) == SILENT_CLOSE
