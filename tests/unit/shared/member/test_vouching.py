"""Which servers a certificate vouches for."""

from __future__ import annotations

import pytest

from services.shared.identity.certificates import PeerCertificate
from services.shared.identity.distinguished_names import parse_name
from services.shared.member.vouching import Vouching

HOSTS = Vouching(hosts=("n1.east.example", "10.0.0.1"))


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("n1.east.example", True),
        ("N1.East.Example", True),
        ("*.east.example", True),
        ("10.0.0.1", True),
        ("n2.east.example", False),
        ("east.example", False),
        ("*.n1.east.example", False),
        ("*.*.example", False),
        ("*", False),
        ("", False),
    ],
)
def test_a_name_of_the_certificate_is_one_of_the_hosts(name: str, fits: bool) -> None:
    assert HOSTS.vouches(PeerCertificate(dns_names=("other.example", name))) == fits


def test_only_dns_names_are_hosts() -> None:
    certificate = PeerCertificate(emails=("n1.east.example",), uris=("n1.east.example",), subject="CN=n1.east.example")
    assert not HOSTS.vouches(certificate)


@pytest.mark.parametrize(
    "certificate",
    [
        PeerCertificate(emails=("route@example",)),
        PeerCertificate(dns_names=("x", "route@example")),
        PeerCertificate(uris=("route@example",)),
        PeerCertificate(subject="x", mapped_subject="route@example"),
        PeerCertificate(subject="x", subject_with_domain="route@example"),
    ],
)
def test_the_user_is_whoever_the_certificate_names(certificate: PeerCertificate) -> None:
    assert Vouching(user="route@example").vouches(certificate)
    assert not Vouching(user="somebody").vouches(certificate)


def test_a_subject_is_compared_as_a_name() -> None:
    certificate = PeerCertificate(name=parse_name("CN=route,O=example"), subject="CN=route,O=example")
    assert Vouching(user="O=example, CN=route").vouches(certificate)
    assert not Vouching(user="CN=route").vouches(certificate)
    assert not Vouching(user="no name").vouches(certificate)


def test_nobody_to_name_lets_nobody_in() -> None:
    assert not Vouching().vouches(PeerCertificate(dns_names=("",), emails=("",)))
