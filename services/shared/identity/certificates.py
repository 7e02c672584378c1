"""A peer's certificate as the identities it claims (reference: security 1.7, operations 6.3).

The TLS layer has verified the certificate by then; here it is only read. Subjects are spelled as Go spells them,
because user names in configurations, monitoring output and logs were written against that spelling.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

from services.shared.identity.distinguished_names import ATTRIBUTE_TYPES, DistinguishedName
from services.shared.identity.errors import CertificateError
from services.shared.records.record import record

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

Attribute: TypeAlias = tuple[str, str | bytes]
"""An attribute of a subject: dotted object identifier and value."""

_DOMAIN_COMPONENT: Final = "0.9.2342.19200300.100.1.25"
_NAMED: Final = {oid: name for oid, name in ATTRIBUTE_TYPES.items() if oid != _DOMAIN_COMPONENT}
_ORDER: Final = (
    "2.5.4.6",
    "2.5.4.10",
    "2.5.4.11",
    "2.5.4.8",
    "2.5.4.7",
    "2.5.4.9",
    "2.5.4.17",
    "2.5.4.3",
    "2.5.4.5",
)
"""The order in which Go puts a parsed subject together again, before it prints it backwards."""
_SINGLE: Final = frozenset({"2.5.4.3", "2.5.4.5"})


@record
class PeerCertificate:
    """What a certificate says about its owner.

    Candidates for certificate mapping, in the order they are tried: `emails`, `dns_names`, `uris`, `name`,
    `subject_with_domain`, `mapped_subject`. `subject` and the two digests (lower-case hexadecimal) are for monitoring
    and pinned certificates.
    """

    emails: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    name: DistinguishedName | None = None
    subject_with_domain: str = ""
    mapped_subject: str = ""
    subject: str = ""
    spki_sha256: str = ""
    cert_sha256: str = ""

    @property
    def names_someone(self) -> bool:
        """False for a certificate without subject and alternative names: it can be nobody."""
        return bool(self.emails or self.dns_names or self.uris or self.subject)

    def is_pinned(self, pins: Iterable[str]) -> bool:
        """True when the key is one of `pins`: SHA-256 digests of public keys in hexadecimal."""
        return self.spki_sha256 in (pin.lower() for pin in pins)


def read_certificate(der: bytes) -> PeerCertificate:
    """Reads the peer's (first) certificate in DER form; raises CertificateError when it cannot be read."""
    # Imported here: a large library that only listeners with client certificates need.
    from hashlib import sha256  # loads OpenSSL

    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        certificate = x509.load_der_x509_certificate(der)
        subject = [[(a.oid.dotted_string, a.value) for a in rdn] for rdn in certificate.subject.rdns]
        emails, dns_names, uris = _alternative_names(certificate)
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (
        ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
    ) as error:  # fmt: skip
        raise CertificateError(f"cannot read the peer certificate: {error}") from error
    mapped = _print(_regrouped(subject))
    return PeerCertificate(
        emails=emails,
        dns_names=dns_names,
        uris=uris,
        name=_comparable(subject),
        subject_with_domain=mapped + "".join(f",DC={value}" for value in _domain(subject)),
        mapped_subject=mapped,
        subject=_print(_others(subject) + _regrouped(subject)),
        spki_sha256=sha256(key).hexdigest(),
        cert_sha256=sha256(der).hexdigest(),
    )


def _alternative_names(certificate: Certificate) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), (), ()
    return (
        tuple(names.get_values_for_type(x509.RFC822Name)),
        tuple(names.get_values_for_type(x509.DNSName)),
        tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
    )


def _comparable(subject: list[list[Attribute]]) -> DistinguishedName | None:
    names = []
    for rdn in reversed(subject):
        pairs = [(ATTRIBUTE_TYPES.get(oid), value) for oid, value in rdn]
        if any(kind is None or not isinstance(value, str) for kind, value in pairs):
            return None
        names.append(frozenset((str(kind), str(value)) for kind, value in pairs))
    return tuple(names)


def _domain(subject: list[list[Attribute]]) -> list[str]:
    return [str(value) for rdn in subject for oid, value in rdn if oid == _DOMAIN_COMPONENT]


def _others(subject: list[list[Attribute]]) -> list[list[Attribute]]:
    return [[(oid, value)] for rdn in subject for oid, value in rdn if oid not in _NAMED]


def _regrouped(subject: list[list[Attribute]]) -> list[list[Attribute]]:
    values: dict[str, list[Attribute]] = {}
    for rdn in subject:
        for oid, value in rdn:
            if isinstance(value, str):
                values.setdefault(oid, []).append((oid, value))
    groups = []
    for oid in _ORDER:
        found = values.get(oid, [])
        if oid in _SINGLE:
            found = [attribute for attribute in found[-1:] if attribute[1]]
        if found:
            groups.append(found)
    return groups


def _print(groups: list[list[Attribute]]) -> str:
    return ",".join("+".join(map(_attribute_text, group)) for group in reversed(groups))


def _attribute_text(attribute: Attribute) -> str:
    oid, value = attribute
    text = _escape(value) if isinstance(value, str) else f"#{value.hex()}"
    return f"{_NAMED.get(oid, oid)}={text}"


def _escape(value: str) -> str:
    escaped = []
    for index, char in enumerate(value):
        edge_space = char == " " and index in (0, len(value) - 1)
        if char in ',+"\\<>;' or edge_space or (char == "#" and index == 0):
            escaped.append("\\")
        escaped.append(char)
    return "".join(escaped)
