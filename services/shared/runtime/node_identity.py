"""Making the identity of a node: its server id and its curve key, fresh at every start.

A server id is a public Ed25519 key in the nkey text form (prefix N), an xkey a public X25519 key (prefix X).
"""

from __future__ import annotations

from services.shared.runtime.role_plan import Identity


def make_identity(*, server_name: str) -> Identity:
    """A fresh identity; a node without a name is called by its id."""
    # Loading the library takes 10 to 15 ms: the supervisor does it while the first role imports its own modules.
    from nacl.public import PrivateKey
    from nacl.signing import SigningKey

    signing = SigningKey.generate()
    curve = PrivateKey.generate()
    server_id = _encode(_PREFIX_SERVER, bytes(signing.verify_key))
    return Identity(
        server_id=server_id,
        server_name=server_name or server_id,
        xkey=_encode(_PREFIX_CURVE, bytes(curve.public_key)),
        seed=bytes(signing),
        xkey_seed=bytes(curve),
    )


_PREFIX_SERVER = 13 << 3
_PREFIX_CURVE = 23 << 3


def _encode(prefix: int, key: bytes) -> str:
    from base64 import b32encode
    from binascii import crc_hqx

    body = bytes([prefix]) + key
    return b32encode(body + crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")
