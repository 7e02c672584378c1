"""Which servers a certificate vouches for, in place of user and password (`verify_and_map` and
`verify_cert_and_check_known_urls` of a cluster). Pure.
"""

from __future__ import annotations

from services.shared.identity.certificates import PeerCertificate
from services.shared.identity.distinguished_names import parse_name, same_relative_names
from services.shared.identity.errors import NameSyntaxError
from services.shared.records.record import record


@record
class Vouching:
    """A server may join whose certificate names `user`, or has one of `hosts` among its DNS names.

    Empty ones let nobody in.
    """

    user: str = ""
    hosts: tuple[str, ...] = ()

    def vouches(self, certificate: PeerCertificate) -> bool:
        """Whether the server that showed this certificate may join."""
        if any(_names(dns_name, host) for dns_name in certificate.dns_names for host in self.hosts):
            return True
        if not self.user or not certificate.names_someone:
            return False
        candidates = (
            *certificate.emails, *certificate.dns_names, *certificate.uris,
            certificate.subject_with_domain, certificate.mapped_subject,
        )  # fmt: skip
        return self.user in candidates or _is_subject(self.user, certificate)


def _names(dns_name: str, host: str) -> bool:
    """Whether a name of a certificate is that of a host; its first label may be `*`."""
    labels, wanted = dns_name.lower().split("."), host.lower().split(".")
    if len(labels) != len(wanted):
        return False
    return labels == wanted or (labels[0] == "*" and labels[1:] == wanted[1:])


def _is_subject(user: str, certificate: PeerCertificate) -> bool:
    if certificate.name is None:
        return False
    try:
        name = parse_name(user)
    except NameSyntaxError:
        return False
    return name == certificate.name or same_relative_names(name, certificate.name)
