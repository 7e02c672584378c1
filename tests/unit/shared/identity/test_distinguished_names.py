"""Names in RFC 4514 form and when two of them are the same person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.identity.distinguished_names import parse_name, same_relative_names
from services.shared.identity.errors import NameSyntaxError


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("CN=carol,O=zeta", "cn=carol,o=zeta"),
        ("CN=carol,O=zeta", " CN = carol , O = zeta "),
        ("CN=Jim+O=o,OU=b", "O=o+CN=Jim,OU=b"),
        ("2.5.4.3=carol", "CN=carol"),
        (r"CN=a\,b", r"CN=a\2cb"),
        (r"CN=\ a\ ", r"CN=\20a\20"),
        ("CN=é", r"CN=\c3\a9"),
        ("CN=hi", "CN=#0c026869"),
        ("CN=a=b", r"CN=a\=b"),
        ("CN=", "CN= "),
    ],
)
def test_spelling_does_not_matter(text: str, same: str) -> None:
    assert parse_name(text) == parse_name(same)


def test_order_and_values_matter_for_the_exact_comparison() -> None:
    assert parse_name("CN=carol,O=zeta") != parse_name("O=zeta,CN=carol")
    assert parse_name("CN=carol") != parse_name("CN=Carol")
    assert parse_name("CN=a+O=b") != parse_name("CN=a,O=b")


def test_relative_names_are_compared_in_any_order() -> None:
    assert same_relative_names(parse_name("CN=carol,O=zeta"), parse_name("O=zeta,CN=carol"))
    assert not same_relative_names(parse_name("CN=carol,O=zeta"), parse_name("CN=carol"))
    assert not same_relative_names(parse_name("CN=carol"), parse_name("CN=dave"))


@pytest.mark.parametrize(
    "text", ["carol", "CN", "=x", "CN=a,b", "CN=a+", "C N=a", r"CN=\zz", "CN=a\\", "CN=#zz", "CN=#0c05"]
)
def test_other_texts_are_no_names(text: str) -> None:
    with pytest.raises(NameSyntaxError):
        parse_name(text)


@given(st.text())
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        parse_name(text.replace("\ud800", ""))
    except NameSyntaxError:
        pass


def _escaped(value: str) -> str:
    return "".join(f"\\{byte:02x}" for byte in value.encode())


@given(st.lists(st.tuples(st.sampled_from(["CN", "O", "OU"]), st.text(max_size=5)), min_size=1, max_size=4))
def test_escaped_values_come_back_whole(pairs: list[tuple[str, str]]) -> None:
    text = ",".join(f"{kind}={_escaped(value)}" for kind, value in pairs)
    assert parse_name(text) == tuple(frozenset({pair}) for pair in pairs)
