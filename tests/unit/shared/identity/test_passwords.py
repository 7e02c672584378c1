"""Stored secrets, plain and hashed."""

from __future__ import annotations

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.identity.passwords import is_bcrypt, matches_bcrypt, matches_plain

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


@pytest.mark.parametrize("mark", ["2a", "2b", "2x", "2y"])
def test_every_mark_of_bcrypt_is_recognised_and_checked(mark: str) -> None:
    stored = f"${mark}${HASH[4:]}"
    assert is_bcrypt(stored)
    assert matches_bcrypt(stored=stored, given="secret")
    assert not matches_bcrypt(stored=stored, given="Secret")
    assert not matches_bcrypt(stored=stored, given=stored)


@pytest.mark.parametrize(
    "stored", ["", "secret", "$2a$", "$2c$04$abc", "2a$04$abc", "$2a$4$abc", "$2a$0x$abc", "$2a$04"]
)
def test_other_secrets_are_plain(stored: str) -> None:
    assert not is_bcrypt(stored)


def test_a_damaged_hash_matches_nothing() -> None:
    for stored in ("$2a$04$", "$2a$99$" + HASH[7:], HASH[:-1], HASH + "x", "$2a$04$" + "*" * 53):
        assert is_bcrypt(stored)
        assert not matches_bcrypt(stored=stored, given="secret")


def test_only_the_first_72_bytes_of_a_password_count() -> None:
    stored = bcrypt.hashpw(b"a" * 72, bcrypt.gensalt(4)).decode()
    assert matches_bcrypt(stored=stored, given="a" * 80)
    assert not matches_bcrypt(stored=stored, given="a" * 71)


@given(st.text(), st.text())
def test_plain_secrets_match_when_they_are_the_same(stored: str, other: str) -> None:
    assert matches_plain(stored=stored, given=stored)
    assert matches_plain(stored=stored, given=other) == (stored == other)
