"""Certificates and keys that belong together, in every form that keys are written in."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from services.shared.config.key_pairs import KeyPairError, check_key_pair, holds_certificate
from tests.kit.config_tables import key_pem, tls_files

FILES = tls_files()


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed"])
def test_a_pair_is_accepted(kind: str) -> None:
    check_key_pair(certificate_pem=FILES[f"{kind}.crt"], key_pem=FILES[f"{kind}.key"])


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_key_in_its_traditional_form_is_accepted(kind: str) -> None:
    key = serialization.load_pem_private_key(FILES[f"{kind}.key"], None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    check_key_pair(certificate_pem=FILES[f"{kind}.crt"], key_pem=key_pem(key, PrivateFormat.TraditionalOpenSSL))


def test_the_first_certificate_of_a_chain_counts() -> None:
    check_key_pair(certificate_pem=FILES["ec.crt"] + FILES["rsa.crt"], key_pem=FILES["ec.key"])
    with pytest.raises(KeyPairError, match="private key type does not match"):
        check_key_pair(certificate_pem=FILES["rsa.crt"] + FILES["ec.crt"], key_pem=FILES["ec.key"])


def test_what_stands_around_the_blocks_does_not_count() -> None:
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    certificate = b"subject=CN\n" + FILES["ec.crt"].replace(b"\n", b"\r\n") + b"\ntrailer"
    check_key_pair(certificate_pem=certificate, key_pem=parameters + FILES["ec.key"])


def test_an_encrypted_key_is_refused() -> None:
    key = serialization.load_pem_private_key(FILES["ec.key"], None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    with pytest.raises(KeyPairError, match="tls: failed to parse private key"):
        check_key_pair(certificate_pem=FILES["ec.crt"], key_pem=encrypted)


def test_a_bundle_needs_one_readable_certificate() -> None:
    assert holds_certificate(FILES["badb64.pem"] + FILES["ec.crt"])
    assert not holds_certificate(FILES["badb64.pem"])
    assert not holds_certificate(FILES["ec.key"])
    assert not holds_certificate(b"")


@given(st.binary(max_size=200), st.sampled_from(["CERTIFICATE", "PRIVATE KEY", "X"]))
def test_damaged_files_are_refused_and_nothing_else(noise: bytes, kind: str) -> None:
    import base64

    pem = f"-----BEGIN {kind}-----\n".encode() + base64.b64encode(noise) + f"\n-----END {kind}-----\n".encode() + noise
    for certificate, key in ((pem, FILES["ec.key"]), (FILES["ec.crt"], pem)):
        with pytest.raises(KeyPairError):
            check_key_pair(certificate_pem=certificate, key_pem=key)


@given(st.data())
def test_flipped_bits_never_raise_anything_else(data: st.DataObject) -> None:
    import base64

    name = data.draw(st.sampled_from(["ec.crt", "rsa.crt", "ed.crt", "ec.key", "rsa.key", "ed.key"]))
    head, *body, tail = FILES[name].decode().strip().split("\n")
    der = bytearray(base64.b64decode("".join(body)))
    der[data.draw(st.integers(0, len(der) - 1))] ^= data.draw(st.integers(1, 255))
    pem = f"{head}\n{base64.b64encode(der).decode()}\n{tail}\n".encode()
    pair = name.partition(".")[0]
    try:
        if name.endswith("crt"):
            check_key_pair(certificate_pem=pem, key_pem=FILES[f"{pair}.key"])
        else:
            check_key_pair(certificate_pem=FILES[f"{pair}.crt"], key_pem=pem)
    except KeyPairError:
        pass
