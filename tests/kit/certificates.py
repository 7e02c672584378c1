"""Throw-away certificates: one authority per object, server and client certificates with any names, as PEM files."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = datetime.timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """Where a certificate and its key lie, and the hash that `pinned_certs` wants."""

    cert_file: Path
    key_file: Path
    spki_sha256: str


def relative_name(name: str, value: str) -> x509.RelativeDistinguishedName:
    """One part of a distinguished name, by its short name: CN, O, OU, DC or C."""
    oid = {
        "CN": NameOID.COMMON_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "DC": NameOID.DOMAIN_COMPONENT,
        "C": NameOID.COUNTRY_NAME,
    }[name]
    return x509.RelativeDistinguishedName([x509.NameAttribute(oid, value)])


class CertificateAuthority:
    """An authority with its certificate in `folder`; issues certificates beside it."""

    def __init__(self, folder: Path, *, name: str = "natsfleet test authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.certificate = builder.sign(self._key, hashes.SHA256())
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        label: str,
        *,
        subject: Sequence[tuple[str, str]] = (),
        dns: Sequence[str] = (),
        ip: Sequence[str] = (),
        email: Sequence[str] = (),
        uri: Sequence[str] = (),
    ) -> Certificate:
        """A certificate for both server and client use. `subject` is in encoded order: (("O", "x"), ("CN", "y"))."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([relative_name(kind, value) for kind, value in subject])
        alternatives: list[x509.GeneralName] = [
            *(x509.RFC822Name(value) for value in email),
            *(x509.DNSName(value) for value in dns),
            *(x509.IPAddress(ipaddress.ip_address(value)) for value in ip),
            *(x509.UniformResourceIdentifier(value) for value in uri),
        ]
        builder = self._builder(name, key).add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        cert_file, key_file = self.folder / f"{label}.pem", self.folder / f"{label}.key"
        cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return Certificate(cert_file=cert_file, key_file=key_file, spki_sha256=hashlib.sha256(public).hexdigest())

    def issue_server(self, label: str = "server") -> Certificate:
        """A server certificate for localhost."""
        return self.issue(label, subject=(("CN", "localhost"),), dns=("localhost",), ip=("127.0.0.1", "::1"))

    def client_context(
        self, certificate: Certificate | None = None, *, maximum: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        """A context that trusts this authority and shows `certificate` if one is given."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if certificate is not None:
            context.load_cert_chain(certificate.cert_file, certificate.key_file)
        if maximum is not None:
            context.maximum_version = maximum
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - VALID)
            .not_valid_after(now + VALID)
        )
