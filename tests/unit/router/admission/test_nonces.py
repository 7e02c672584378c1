"""The challenge of INFO."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.admission.nonces import NONCE_CHARS, NONCE_ENTROPY_BYTES, encode_nonce


@given(st.binary(min_size=NONCE_ENTROPY_BYTES, max_size=NONCE_ENTROPY_BYTES))
def test_a_nonce_is_fifteen_characters_that_fit_into_json(entropy: bytes) -> None:
    nonce = encode_nonce(entropy)
    assert len(nonce) == NONCE_CHARS
    assert nonce.replace(b"-", b"").replace(b"_", b"").isalnum()


def test_other_amounts_of_entropy_are_refused() -> None:
    with pytest.raises(ValueError, match="11 bytes, found 10"):
        encode_nonce(bytes(10))
