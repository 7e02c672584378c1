"""What can go wrong before anybody is judged.

AdmissionError
├── MalformedHello      a CONNECT that cannot be read: the connection is closed without a word
└── DirectoryError      options that cannot be enforced together: the server does not start
"""

from __future__ import annotations


class AdmissionError(ValueError):
    """Admission cannot go on."""


class MalformedHello(AdmissionError):
    """A CONNECT that is no JSON object, or has a member of the wrong type. The message is for the log only."""


class DirectoryError(AdmissionError, ValueError):
    """Options contradict one another. The message is what the operator reads."""
