"""Checks that a certificate file and a key file belong together, without a TLS library.

`-t` must say what is wrong with the files a configuration names, in nats-server's words. So the PEM blocks are decoded
and just enough DER is walked to compare the public halves. Trust, dates and signatures are the TLS library's matter
when the listener opens. A key whose public half is not written down (some EC keys) is taken as matching.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_PEM_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?\n")
_PEM_HEADER = re.compile(r"[^\n]*:[^\n]*\n")

_SEQUENCE: Final = 0x30
_INTEGER: Final = 0x02
_BIT_STRING: Final = 0x03
_OCTET_STRING: Final = 0x04
_OBJECT_ID: Final = 0x06
_CONTEXT_0: Final = 0xA0
_CONTEXT_1: Final = 0xA1

_ALGORITHMS: Final = {
    bytes.fromhex("2a864886f70d010101"): "RSA",
    bytes.fromhex("2a8648ce3d0201"): "EC",
    bytes.fromhex("2b6570"): "Ed25519",
}


class KeyPairError(Exception):
    """Why a certificate or key cannot be used, in Go's words."""


class _PublicHalf(NamedTuple):
    """The algorithm of a key and its public part; None when a private key does not tell."""

    algorithm: str
    material: bytes | None


def check_key_pair(*, certificate_pem: bytes, key_pem: bytes) -> None:
    """Raises KeyPairError unless both are readable and belong together."""
    certificates = _blocks_of(certificate_pem)
    chain = [der for kind, der in certificates if kind == "CERTIFICATE"]
    if not chain:
        raise KeyPairError(_no_certificate([kind for kind, _ in certificates]))
    key = _find_key(_blocks_of(key_pem))
    publics = [_certificate_public_half(der) for der in chain]
    private = _private_public_half(key)
    if publics[0].algorithm != private.algorithm:
        raise KeyPairError("tls: private key type does not match public key type")
    if private.material is not None and private.material != publics[0].material:
        raise KeyPairError("tls: private key does not match public key")


def holds_certificate(pem: bytes) -> bool:
    """True when at least one certificate can be read from a bundle."""
    for kind, der in _blocks_of(pem):
        if kind == "CERTIFICATE":
            try:
                _certificate_public_half(der)
            except KeyPairError:
                continue
            return True
    return False


def _no_certificate(skipped: list[str]) -> str:
    if not skipped:
        return "tls: failed to find any PEM data in certificate input"
    if len(skipped) == 1 and skipped[0].endswith("PRIVATE KEY"):
        return (
            "tls: failed to find certificate PEM data in certificate input, but did find a private key; "
            "PEM inputs may have been switched"
        )
    return (
        'tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following '
        f"types: [{' '.join(skipped)}]"
    )


def _find_key(blocks: list[tuple[str, bytes]]) -> bytes:
    for kind, der in blocks:
        if kind == "PRIVATE KEY" or kind.endswith(" PRIVATE KEY"):
            return der
    skipped = [kind for kind, _ in blocks]
    if not skipped:
        raise KeyPairError("tls: failed to find any PEM data in key input")
    if skipped == ["CERTIFICATE"]:
        raise KeyPairError("tls: found a certificate rather than a key in the PEM for the private key")
    raise KeyPairError(
        'tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the '
        f"following types: [{' '.join(skipped)}]"
    )


def _blocks_of(pem: bytes) -> list[tuple[str, bytes]]:
    """The PEM blocks of a file; what is not base64 is skipped, as Go does."""
    from binascii import Error, a2b_base64  # Built in; only files with TLS come here.

    blocks: list[tuple[str, bytes]] = []
    text = pem.decode("latin-1")
    at = 0
    while (match := _PEM_BEGIN.search(text, at)) is not None:
        end = text.find(f"-----END {match[1]}-----", match.end())
        if end < 0:
            break
        body, at = text[match.end() : end], end
        while (header := _PEM_HEADER.match(body)) is not None:
            body = body[header.end() :]
        try:
            blocks.append((match[1], a2b_base64("".join(body.split()), strict_mode=True)))
        except Error:
            continue
    return blocks


# DER, only as deep as needed.


class _Malformed(Exception):
    """The bytes are not the structure they should be."""


def _read(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Tag, content and end of the element at `at`."""
    if at + 2 > len(data):
        raise _Malformed
    tag, length, start = data[at], data[at + 1], at + 2
    if length & 0x80:
        width = length & 0x7F
        if not 1 <= width <= 4 or start + width > len(data):
            raise _Malformed
        length = int.from_bytes(data[start : start + width], "big")
        start += width
    if start + length > len(data):
        raise _Malformed
    return tag, data[start : start + length], start + length


def _expect(data: bytes, at: int, wanted: int) -> tuple[bytes, int]:
    tag, content, end = _read(data, at)
    if tag != wanted:
        raise _Malformed
    return content, end


def _algorithm_of(identifier: bytes) -> str:
    oid, _ = _expect(identifier, 0, _OBJECT_ID)
    return _ALGORITHMS.get(oid, oid.hex())


def _certificate_public_half(der: bytes) -> _PublicHalf:
    try:
        certificate, _ = _expect(der, 0, _SEQUENCE)
        body, _ = _expect(certificate, 0, _SEQUENCE)
        tag, _, end = _read(body, 0)
        at = end if tag == _CONTEXT_0 else 0
        _, at = _expect(body, at, _INTEGER)
        for _ in ("signature", "issuer", "validity", "subject"):
            _, at = _expect(body, at, _SEQUENCE)
        key_info, _ = _expect(body, at, _SEQUENCE)
        identifier, at = _expect(key_info, 0, _SEQUENCE)
        bits, _ = _expect(key_info, at, _BIT_STRING)
        algorithm, material = _algorithm_of(identifier), bits[1:]
        if algorithm == "RSA":
            numbers, _ = _expect(material, 0, _SEQUENCE)
            material, _ = _expect(numbers, 0, _INTEGER)
        return _PublicHalf(algorithm, material)
    except _Malformed:
        raise KeyPairError("x509: malformed certificate") from None


def _private_public_half(der: bytes) -> _PublicHalf:
    """The public half of a key in PKCS #8, PKCS #1 or SEC 1 form."""
    for form in (_from_pkcs8, _from_pkcs1, _from_sec1):
        try:
            return form(der)
        except _Malformed:
            continue
    raise KeyPairError("tls: failed to parse private key")


def _from_pkcs8(der: bytes) -> _PublicHalf:
    body, _ = _expect(der, 0, _SEQUENCE)
    _, at = _expect(body, 0, _INTEGER)
    identifier, at = _expect(body, at, _SEQUENCE)
    inner, _ = _expect(body, at, _OCTET_STRING)
    algorithm = _algorithm_of(identifier)
    if algorithm == "RSA":
        return _from_pkcs1(inner)
    if algorithm == "EC":
        return _from_sec1(inner)
    if algorithm == "Ed25519":
        seed, _ = _expect(inner, 0, _OCTET_STRING)
        return _PublicHalf(algorithm, _ed25519_public(seed))
    return _PublicHalf(algorithm, None)


def _from_pkcs1(der: bytes) -> _PublicHalf:
    body, _ = _expect(der, 0, _SEQUENCE)
    _, at = _expect(body, 0, _INTEGER)
    modulus, at = _expect(body, at, _INTEGER)
    _expect(body, at, _INTEGER)
    return _PublicHalf("RSA", modulus)


def _from_sec1(der: bytes) -> _PublicHalf:
    body, _ = _expect(der, 0, _SEQUENCE)
    _, at = _expect(body, 0, _INTEGER)
    _, at = _expect(body, at, _OCTET_STRING)
    while at < len(body):
        tag, content, at = _read(body, at)
        if tag == _CONTEXT_1:
            bits, _ = _expect(content, 0, _BIT_STRING)
            return _PublicHalf("EC", bits[1:])
    return _PublicHalf("EC", None)


def _ed25519_public(seed: bytes) -> bytes | None:
    from nacl.bindings import crypto_sign_seed_keypair  # Loads libsodium; only for Ed25519 certificates.

    if len(seed) != 32:
        raise _Malformed
    public: bytes = crypto_sign_seed_keypair(seed)[0]
    return public
