"""What a certificate says about its owner, spelled the way the reference server spelled the same certificates."""

from __future__ import annotations

import datetime
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID as Oid

from services.shared.identity.certificates import PeerCertificate, read_certificate
from services.shared.identity.distinguished_names import parse_name
from services.shared.identity.errors import CertificateError

KEY = ec.generate_private_key(ec.SECP256R1())
Rdn = tuple[tuple[x509.ObjectIdentifier, str], ...]


def der(*rdns: Rdn, names: tuple[x509.GeneralName, ...] = ()) -> bytes:
    """A certificate with this subject, in encoded order, and these alternative names."""
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    subject = x509.Name(
        [x509.RelativeDistinguishedName([x509.NameAttribute(oid, value) for oid, value in rdn]) for rdn in rdns]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([x509.NameAttribute(Oid.COMMON_NAME, "ca")]))
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


def read(*rdns: Rdn, names: tuple[x509.GeneralName, ...] = ()) -> PeerCertificate:
    return read_certificate(der(*rdns, names=names))


def test_alternative_names_keep_their_order() -> None:
    certificate = read(
        names=(
            x509.RFC822Name("m@x.y"),
            x509.DNSName("d.x"),
            x509.UniformResourceIdentifier("spiffe://h/p"),
            x509.RFC822Name("m2@x.y"),
        )
    )
    assert certificate.emails == ("m@x.y", "m2@x.y")
    assert certificate.dns_names == ("d.x",)
    assert certificate.uris == ("spiffe://h/p",)
    assert certificate.subject == ""
    assert certificate.names_someone


def test_a_certificate_without_any_name_is_nobody() -> None:
    assert not read().names_someone


def test_the_subject_is_printed_backwards_and_escaped() -> None:
    certificate = read(
        ((Oid.COUNTRY_NAME, "US"),), ((Oid.ORGANIZATION_NAME, "zeta, inc"),), ((Oid.COMMON_NAME, ' #x"<é> '),)
    )
    assert certificate.subject == certificate.mapped_subject == 'CN=\\ #x\\"\\<é\\>\\ ,O=zeta\\, inc,C=US'


def test_printing_regroups_the_subject_as_go_does() -> None:
    certificate = read(
        ((Oid.SERIAL_NUMBER, "7"),),
        ((Oid.COMMON_NAME, "one"),),
        ((Oid.COMMON_NAME, "two"),),
        ((Oid.STREET_ADDRESS, "s"),),
        ((Oid.POSTAL_CODE, "1"),),
        ((Oid.LOCALITY_NAME, "L"),),
        ((Oid.STATE_OR_PROVINCE_NAME, "ST"),),
        ((Oid.USER_ID, "uid1"),),
    )
    assert certificate.mapped_subject == "SERIALNUMBER=7,CN=two,POSTALCODE=1,STREET=s,L=L,ST=ST"
    assert certificate.subject == certificate.mapped_subject + ",0.9.2342.19200300.100.1.1=uid1"
    assert certificate.name is None, "an attribute that names are not compared by"


def test_values_of_one_type_are_printed_together() -> None:
    certificate = read(
        ((Oid.COMMON_NAME, "Jim"), (Oid.ORGANIZATION_NAME, "o")),
        ((Oid.ORGANIZATIONAL_UNIT_NAME, "b"),),
        ((Oid.ORGANIZATIONAL_UNIT_NAME, "a"),),
    )
    assert certificate.mapped_subject == "CN=Jim,OU=b+OU=a,O=o"
    assert certificate.name == parse_name("OU=a,OU=b,CN=Jim+O=o")


def test_domain_components_follow_in_encoded_order() -> None:
    certificate = read(
        ((Oid.DOMAIN_COMPONENT, "com"),),
        ((Oid.DOMAIN_COMPONENT, "example"),),
        ((Oid.ORGANIZATIONAL_UNIT_NAME, "Users"),),
        ((Oid.COMMON_NAME, "Bob"),),
    )
    assert certificate.subject_with_domain == "CN=Bob,OU=Users,DC=com,DC=example"
    assert certificate.mapped_subject == "CN=Bob,OU=Users"
    assert certificate.name == parse_name("CN=Bob,OU=Users,DC=example,DC=com")


def test_digests_are_those_of_the_key_and_of_the_certificate() -> None:
    encoded = der(((Oid.COMMON_NAME, "a"),))
    key = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    certificate = read_certificate(encoded)
    assert certificate.cert_sha256 == hashlib.sha256(encoded).hexdigest()
    assert certificate.spki_sha256 == hashlib.sha256(key).hexdigest()
    assert certificate.is_pinned([certificate.spki_sha256.upper()])
    assert not certificate.is_pinned(["0" * 64])


@pytest.mark.parametrize("encoded", [b"", b"x", der(((Oid.COMMON_NAME, "a"),))[:-1]])
def test_what_is_no_certificate_is_refused(encoded: bytes) -> None:
    with pytest.raises(CertificateError, match="cannot read the peer certificate"):
        read_certificate(encoded)
