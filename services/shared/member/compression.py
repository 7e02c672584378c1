"""Which compression two servers agree on (reference: wire protocol 2.8). Pure.

Each side says in INFO what it is configured for, or what it chose; whether there is compression is common to both, how hard
each side tries is its own affair. Routes and leaf nodes differ only in what they do without configuration.
"""

from __future__ import annotations

from typing import Final

from services.shared.wire.quote import quote

NOT_SUPPORTED: Final = "not supported"
OFF: Final = "off"
ACCEPT: Final = "accept"
AUTO: Final = "s2_auto"
FAST: Final = "s2_fast"
UNCOMPRESSED: Final = "s2_uncompressed"
BETTER: Final = "s2_better"
BEST: Final = "s2_best"

_NONE: Final = ("", NOT_SUPPORTED, OFF)
_PACKED: Final = (AUTO, UNCOMPRESSED, FAST, BETTER, BEST)


class UnknownCompressionError(ValueError):
    """A peer names a mode that is none; the text is the mode in quotes."""


def choose(local: str, remote: str) -> str:
    """The mode of our side, empty when nothing is compressed. `remote` is what the peer's INFO says, or empty.

    Raises UnknownCompressionError, unless nothing would be compressed whatever the peer said.
    """
    remote = remote.lower()
    if local in _NONE or remote in _NONE:
        return ""
    if remote == ACCEPT:
        return "" if local == ACCEPT else local
    if remote not in _PACKED:
        raise UnknownCompressionError(quote(remote))
    if local != ACCEPT:
        return local
    return FAST if remote == AUTO else remote


def answer(chosen: str, *, local: str, remote: str) -> str:
    """What INFO says once the mode was chosen, and monitoring where there is none."""
    return chosen or (NOT_SUPPORTED if NOT_SUPPORTED in (local, remote.lower()) or not remote else OFF)
