"""Nkeys: Ed25519 keys as text with a type and a checksum (reference: security 2).

Every text that enters is checked in full: alphabet, length, checksum, type. The `nkeys` package signs; it does not
check the checksum of a seed and cannot verify with a public key alone, so both happen here. Randomness is an argument.
Absent on purpose: sealed messages of curve keys, and private (`P`) keys, which nothing on the wire carries.
"""

from __future__ import annotations

import base64
import binascii
from enum import IntEnum
from typing import Final, Protocol

from services.shared.identity.errors import NkeyError
from services.shared.records.record import field, record

RAW_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
PUBLIC_CHARS: Final = 56
SEED_CHARS: Final = 58

_SEED_PREFIX: Final = 0x90
_ALPHABET: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
_WORD: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_URL: Final = _WORD | {"-", "_"}
_STANDARD: Final = _WORD | {"+", "/"}


class KeyKind(IntEnum):
    """What a key is for; the value is the prefix byte of its public form."""

    ACCOUNT = 0x00
    CLUSTER = 0x10
    SERVER = 0x68
    OPERATOR = 0x70
    USER = 0xA0
    CURVE = 0xB8

    @property
    def letter(self) -> str:
        """The first character of every public key of this kind."""
        return base64.b32encode(bytes((self, 0, 0, 0, 0))).decode()[0]


@record
class PublicKey:
    """A public key taken apart."""

    kind: KeyKind
    raw: bytes


@record
class Seed:
    """A seed taken apart. Its secret half stays out of `repr`."""

    kind: KeyKind
    raw: bytes = field(repr=False)


def encode_public(key: PublicKey) -> str:
    """The 56 characters of a public key."""
    return _encode(bytes((key.kind,)) + _checked_raw(key.raw))


def encode_seed(seed: Seed) -> str:
    """The 58 characters of a seed."""
    header = bytes((_SEED_PREFIX | seed.kind >> 5, (seed.kind & 31) << 3))
    return _encode(header + _checked_raw(seed.raw))


def generate(kind: KeyKind, *, entropy: bytes) -> str:
    """A new seed from 32 bytes that nobody else can know."""
    return encode_seed(Seed(kind=kind, raw=entropy))


def decode_public(text: str, kind: KeyKind | None = None) -> PublicKey:
    """Takes a public key apart; raises NkeyError unless it is whole and, where given, of that `kind`."""
    body = _decode(text, chars=PUBLIC_CHARS, what="public nkey")
    found = _kind(body[0])
    if kind is not None and found is not kind:
        raise NkeyError(f"wanted a public {kind.name.lower()} nkey, found one for {found.name.lower()}")
    return PublicKey(kind=found, raw=body[1:])


def decode_seed(text: str, kind: KeyKind | None = None) -> Seed:
    """Takes a seed apart; raises NkeyError unless it is whole and, where given, of that `kind`."""
    body = _decode(text, chars=SEED_CHARS, what="nkey seed")
    if body[0] & 0xF8 != _SEED_PREFIX or body[1] & 0x07:
        raise NkeyError("an nkey seed starts with S and the letter of its kind")
    found = _kind((body[0] & 0x07) << 5 | body[1] >> 3)
    if kind is not None and found is not kind:
        raise NkeyError(f"wanted the seed of a {kind.name.lower()} nkey, found one for {found.name.lower()}")
    return Seed(kind=found, raw=body[2:])


def is_public(text: str, kind: KeyKind | None = None) -> bool:
    """True when `text` is a whole public key, of that `kind` where given."""
    try:
        decode_public(text, kind)
    except NkeyError:
        return False
    return True


def public_key(seed: str) -> str:
    """The public key that belongs to a seed; raises NkeyError for anything else."""
    # Imported here: it loads a native library that most processes never need. The layers above cost another 2 ms.
    from nacl.bindings import crypto_scalarmult_base, crypto_sign_seed_keypair

    parts = decode_seed(seed)
    raw = crypto_scalarmult_base(parts.raw) if parts.kind is KeyKind.CURVE else crypto_sign_seed_keypair(parts.raw)[0]
    return encode_public(PublicKey(kind=parts.kind, raw=raw))


def sign(seed: str, message: bytes) -> bytes:
    """The 64 bytes of an Ed25519 signature; raises NkeyError for a seed that cannot sign."""
    if decode_seed(seed).kind is KeyKind.CURVE:
        raise NkeyError("curve keys cannot sign")
    return _key_pair(seed).sign(message)


def verify(public_key: str, *, message: bytes, signature: bytes) -> bool:
    """True when `signature` over `message` was made by the owner of `public_key`.

    A key that is not whole, a curve key, or a signature of another length is simply not a proof: False.
    """
    try:
        key = decode_public(public_key)
    except NkeyError:
        return False
    if key.kind is KeyKind.CURVE or len(signature) != SIGNATURE_BYTES:
        return False
    # Imported here: it loads a native library that most processes never need.
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    try:
        VerifyKey(key.raw).verify(message, signature)
    except BadSignatureError:
        return False
    return True


def decode_signature(text: str) -> bytes | None:
    """The bytes of a signature as CONNECT carries it, or None.

    Unpadded base64url, else padded standard base64; the two other combinations are refused (reference: security 1.6).
    """
    raw = decode_raw_url(text)
    if raw is not None:
        return raw
    unpadded = text.rstrip("=")
    if len(text) % 4 or len(text) - len(unpadded) > 2 or not _STANDARD.issuperset(unpadded):
        return None
    return base64.b64decode(text)


def decode_raw_url(text: str) -> bytes | None:
    """The bytes of unpadded base64url, or None."""
    if len(text) % 4 == 1 or not _URL.issuperset(text):
        return None
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _key_pair(seed: str) -> _KeyPair:
    # Imported here: it loads a native library that most processes never need.
    import nkeys  # type: ignore[import-untyped]

    pair: _KeyPair = nkeys.from_seed(seed.encode())
    return pair


class _KeyPair(Protocol):
    """What this module uses of the `nkeys` package, which has no types of its own."""

    def sign(self, message: bytes) -> bytes: ...


def _encode(body: bytes) -> str:
    # crc_hqx is CRC-16/XMODEM.
    checksum = binascii.crc_hqx(body, 0).to_bytes(2, "little")
    return base64.b32encode(body + checksum).decode().rstrip("=")


def _decode(text: str, *, chars: int, what: str) -> bytes:
    if len(text) != chars or not _ALPHABET.issuperset(text):
        raise NkeyError(f"a {what} is {chars} characters from A to Z and 2 to 7")
    raw = base64.b32decode(text + "=" * (-chars % 8))
    body, checksum = raw[:-2], raw[-2:]
    if binascii.crc_hqx(body, 0) != int.from_bytes(checksum, "little"):
        raise NkeyError(f"the checksum of a {what} does not match: mistyped or cut")
    return body


def _kind(prefix: int) -> KeyKind:
    try:
        return KeyKind(prefix)
    except ValueError:
        raise NkeyError(f"no kind of nkey has the prefix 0x{prefix:02x}") from None


def _checked_raw(raw: bytes) -> bytes:
    if len(raw) != RAW_BYTES:
        raise NkeyError(f"an nkey holds {RAW_BYTES} bytes, found {len(raw)}")
    return raw
