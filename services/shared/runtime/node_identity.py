"""Making the identity of a node: its server id and its curve key, fresh at every start."""

from __future__ import annotations

import os

from services.shared.identity.nkeys import RAW_BYTES, KeyKind, generate, public_key
from services.shared.runtime.role_plan import Identity


def make_identity(*, server_name: str) -> Identity:
    """A fresh identity; a node without a name is called by its id. The first call loads a native library."""
    seed = generate(KeyKind.SERVER, entropy=os.urandom(RAW_BYTES))
    xkey_seed = generate(KeyKind.CURVE, entropy=os.urandom(RAW_BYTES))
    server_id = public_key(seed)
    return Identity(
        server_id=server_id,
        server_name=server_name or server_id,
        xkey=public_key(xkey_seed),
        seed=seed,
        xkey_seed=xkey_seed,
    )
