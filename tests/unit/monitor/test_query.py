"""Parameters of monitoring URLs, down to the words that refuse them."""

from __future__ import annotations

import pytest

from services.monitor import query
from services.monitor.query import QueryError


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_booleans_are_true_in_six_spellings(text: str) -> None:
    assert query.read_bool({"auth": text}, "auth")


@pytest.mark.parametrize("text", ["", "0", "f", "F", "FALSE", "false", "False"])
def test_booleans_are_false_in_seven_spellings(text: str) -> None:
    assert not query.read_bool({"auth": text}, "auth")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"subs": "foo"}, "Error decoding boolean for 'subs': strconv.ParseBool: parsing \"foo\": invalid syntax"),
        ({"auth": "tRUE"}, "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"tRUE\": invalid syntax"),
        ({"offset": "a"}, "Error decoding int for 'offset': strconv.Atoi: parsing \"a\": invalid syntax"),
        (
            {"limit": "9" * 20},
            f"Error decoding int for 'limit': strconv.Atoi: parsing \"{'9' * 20}\": value out of range",
        ),
        ({"limit": "٣"}, "Error decoding int for 'limit': strconv.Atoi: parsing \"٣\": invalid syntax"),
        ({"cid": "-1"}, "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax"),
        ({"state": "foo"}, "Error decoding state for foo"),
        (
            {"auth": "x", "subs": "y"},
            "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"x\": invalid syntax",
        ),
    ],
)
def test_parameters_that_cannot_be_read_are_refused_in_known_words(given: dict[str, str], text: str) -> None:
    with pytest.raises(QueryError) as error:
        query.connz(given)
    assert str(error.value) == text


@pytest.mark.parametrize(("state", "number"), [("", 0), ("OPEN", 0), ("closed", 1), ("any", 2), ("All", 2)])
def test_states_have_numbers(state: str, number: int) -> None:
    assert query.read_state({"state": state}) == number


def test_subscriptions_are_listed_with_details_on_request() -> None:
    assert query.read_subscriptions({"subs": "DETAIL"}) == {"subscriptions": True, "subscriptions_detail": True}
    assert query.read_subscriptions({"subs": "1"}) == {"subscriptions": True}


def test_a_whole_query_of_connections_is_read() -> None:
    given = {"sort": "subs", "cid": "+1"[1:], "limit": "+3", "offset": "-2", "acc": "A", "user": "u", "unknown": "?"}
    options = query.connz(given)
    assert (options["sort"], options["cid"], options["limit"], options["offset"]) == ("subs", 1, 3, -2)
    assert (options["acc"], options["user"], options["auth"]) == ("A", "u", False)
