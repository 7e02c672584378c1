"""What can be wrong with an identity.

IdentityError
├── NkeyError           a key or seed that is not one
├── NameSyntaxError     a text that is not a distinguished name
└── CertificateError    a peer certificate that cannot be read
"""

from __future__ import annotations


class IdentityError(ValueError):
    """An identity cannot be used as it was given."""


class NkeyError(IdentityError):
    """A text is not the nkey it should be. The message never repeats a seed."""


class NameSyntaxError(IdentityError):
    """A text is not a distinguished name in RFC 4514 form."""


class CertificateError(IdentityError):
    """A peer certificate cannot be read."""
