"""Credentials from cookies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.router.websocket.cookies import NO_CREDENTIALS, CookieCredentials, cookie_credentials
from services.shared.config.options import WebsocketOptions

OPTIONS = WebsocketOptions(jwt_cookie="j", user_cookie="u", pass_cookie="p", token_cookie="t")


def test_configured_cookies_are_picked_out() -> None:
    found = cookie_credentials(OPTIONS, ["j=e.y.J; other=1", "u=alice;p=secret; t=token"])
    assert found == CookieCredentials(jwt="e.y.J", user="alice", password="secret", token="token")


def test_without_configured_names_nothing_is_read() -> None:
    assert cookie_credentials(WebsocketOptions(), ["j=1; =x"]) is NO_CREDENTIALS
    assert cookie_credentials(WebsocketOptions(user_cookie="u"), ["p=x; =y"]) == NO_CREDENTIALS


def test_names_are_case_sensitive_and_the_last_of_two_counts() -> None:
    assert cookie_credentials(OPTIONS, ["U=x; u=bob"]).user == "bob"
    assert cookie_credentials(OPTIONS, ["u=alice; u=bob"]).user == "bob"


def test_values_lose_their_quotes_and_keep_everything_else() -> None:
    assert cookie_credentials(OPTIONS, ['u="alice"; p=a=b,c d%41']) == CookieCredentials(
        user="alice", password="a=b,c d%41"
    )


def test_a_damaged_pair_is_passed_over() -> None:
    assert cookie_credentials(OPTIONS, ['u=a"b; p=c\\d; t=\xe9; j=ok; ;; =']) == CookieCredentials(jwt="ok")


def test_secrets_do_not_show_in_logs() -> None:
    assert "secret" not in repr(cookie_credentials(OPTIONS, ["p=secret; j=secret; t=secret"]))


@given(st.lists(st.text()))
def test_odd_lines_never_raise(lines: list[str]) -> None:
    cookie_credentials(OPTIONS, lines)
