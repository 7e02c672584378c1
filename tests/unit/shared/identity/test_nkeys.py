"""Nkeys are exact: what others wrote is read, and nothing that is damaged passes."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.identity import nkeys
from services.shared.identity.errors import NkeyError
from services.shared.identity.nkeys import KeyKind

RAW = bytes(range(32))
VECTORS = {
    KeyKind.USER: (
        "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y",
        "UAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RLKK",
    ),
    KeyKind.ACCOUNT: (
        "SAAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYMHI",
        "AAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QPZV",
    ),
    KeyKind.OPERATOR: (
        "SOAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H2AJA",
        "OAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZVT",
    ),
    KeyKind.SERVER: (
        "SNAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H2D5U",
        "NAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3RSWB",
    ),
    KeyKind.CLUSTER: (
        "SCAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4HYO7Q",
        "CAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3R53J",
    ),
    KeyKind.CURVE: (
        "SXAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H74KM",
        "XCHUBRNNW2HSKYSK4WZBJ2TWPJXMSTMCTU6XWXQ22G5G6PRBHAUF76G7",
    ),
}
SIGNED = b"abcdefghijklmno"
SIGNATURE = "BFqgAdhpmdT7AcI_hxTszAUiqdm5bBqbwMALxRCGOBYMSx9jTHq7RISqFue3wTE53jdrCFSiYMMcaXDUnZp1Bg"
USER_SEED, USER = VECTORS[KeyKind.USER]

kinds = st.sampled_from(KeyKind)
raw_keys = st.binary(min_size=32, max_size=32)


@pytest.mark.parametrize("kind", VECTORS)
def test_known_seeds_have_their_known_public_keys(kind: KeyKind) -> None:
    seed, public = VECTORS[kind]
    assert nkeys.generate(kind, entropy=RAW) == seed
    assert nkeys.public_key(seed) == public
    assert nkeys.decode_seed(seed).raw == RAW
    assert nkeys.decode_public(public).kind is kind
    assert public[0] == kind.letter == seed[1]


def test_a_known_signature_is_made_and_verified() -> None:
    signature = nkeys.sign(USER_SEED, SIGNED)
    assert base64.urlsafe_b64encode(signature).rstrip(b"=").decode() == SIGNATURE
    assert nkeys.verify(USER, message=SIGNED, signature=signature)


def test_a_signature_proves_one_message_of_one_key() -> None:
    signature = nkeys.sign(USER_SEED, SIGNED)
    other = nkeys.public_key(nkeys.generate(KeyKind.USER, entropy=bytes(32)))
    assert not nkeys.verify(USER, message=SIGNED + b"!", signature=signature)
    assert not nkeys.verify(other, message=SIGNED, signature=signature)
    assert not nkeys.verify(USER, message=SIGNED, signature=signature[:-1])
    assert not nkeys.verify(USER[:-1] + "A", message=SIGNED, signature=signature)
    assert not nkeys.verify(VECTORS[KeyKind.CURVE][1], message=SIGNED, signature=signature)


def test_curve_keys_cannot_sign() -> None:
    with pytest.raises(NkeyError, match="curve"):
        nkeys.sign(VECTORS[KeyKind.CURVE][0], SIGNED)


def test_a_mistyped_seed_is_noticed() -> None:
    wrong = USER_SEED[:20] + ("A" if USER_SEED[20] != "A" else "B") + USER_SEED[21:]
    for use in (nkeys.decode_seed, nkeys.public_key, lambda seed: nkeys.sign(seed, b"")):
        with pytest.raises(NkeyError, match="checksum"):
            use(wrong)


def test_errors_never_repeat_a_seed() -> None:
    with pytest.raises(NkeyError) as caught:
        nkeys.decode_seed(USER_SEED[:-1])
    assert USER_SEED[:10] not in str(caught.value)
    assert USER_SEED not in repr(nkeys.decode_seed(USER_SEED))
    assert repr(RAW) not in repr(nkeys.decode_seed(USER_SEED))


def test_a_key_of_another_kind_is_refused() -> None:
    assert nkeys.is_public(USER, KeyKind.USER)
    assert not nkeys.is_public(USER, KeyKind.ACCOUNT)
    with pytest.raises(NkeyError, match="wanted a public account nkey, found one for user"):
        nkeys.decode_public(USER, KeyKind.ACCOUNT)
    with pytest.raises(NkeyError, match="wanted the seed of a server nkey"):
        nkeys.decode_seed(USER_SEED, KeyKind.SERVER)


@pytest.mark.parametrize("text", ["", "U", USER.lower(), USER + "A", USER[:-1], USER_SEED, " " + USER[1:], "é" * 56])
def test_what_is_no_public_key_is_refused(text: str) -> None:
    assert not nkeys.is_public(text)


@pytest.mark.parametrize("text", ["", "S", USER_SEED.lower(), USER_SEED + "=", USER, USER + "AA"])
def test_what_is_no_seed_is_refused(text: str) -> None:
    with pytest.raises(NkeyError):
        nkeys.decode_seed(text)


@given(kinds, raw_keys)
def test_keys_and_seeds_round_trip(kind: KeyKind, raw: bytes) -> None:
    public = nkeys.encode_public(nkeys.PublicKey(kind=kind, raw=raw))
    assert nkeys.decode_public(public) == nkeys.PublicKey(kind=kind, raw=raw)
    seed = nkeys.generate(kind, entropy=raw)
    assert nkeys.decode_seed(seed) == nkeys.Seed(kind=kind, raw=raw)
    assert (len(public), len(seed)) == (nkeys.PUBLIC_CHARS, nkeys.SEED_CHARS)


@given(kinds, raw_keys, st.integers(0, 55), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"))
def test_one_wrong_character_is_always_noticed(kind: KeyKind, raw: bytes, place: int, char: str) -> None:
    public = nkeys.encode_public(nkeys.PublicKey(kind=kind, raw=raw))
    assert nkeys.is_public(public[:place] + char + public[place + 1 :]) == (public[place] == char)


@given(st.text(max_size=70))
def test_any_text_is_read_or_refused_but_nothing_else(text: str) -> None:
    nkeys.is_public(text)
    nkeys.decode_signature(text)
    assert not nkeys.verify(text, message=b"", signature=bytes(64)) or nkeys.is_public(text)


@given(st.binary(min_size=64, max_size=64))
def test_signatures_come_as_raw_url_or_padded_standard_base64(signature: bytes) -> None:
    url, standard = base64.urlsafe_b64encode(signature).decode(), base64.b64encode(signature).decode()
    assert nkeys.decode_signature(url.rstrip("=")) == signature
    assert nkeys.decode_signature(standard) == signature
    if "-" in url or "_" in url:
        assert nkeys.decode_signature(url) is None
        assert nkeys.decode_signature(standard.rstrip("=")) is None


def test_entropy_of_another_length_is_refused() -> None:
    with pytest.raises(NkeyError, match="32 bytes, found 31"):
        nkeys.generate(KeyKind.SERVER, entropy=bytes(31))
