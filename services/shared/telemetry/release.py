"""What this program calls itself: the NATS release it is compatible with, and its own version.

Clients and tools gate features on the NATS release, so INFO, `/varz` and `-v` name that one; our own version is a
field beside it. Pure constants: finding the own git commit is a look at the disk and lives in `services.supervisor`.
"""

from __future__ import annotations

from typing import Final

COMPATIBLE_RELEASE: Final = "2.15.1"
"""The NATS release whose behaviour we promise."""

PRODUCT: Final = "natsfleet"
PRODUCT_VERSION: Final = "0.1.0"
"""Our own version; the distribution's metadata says the same (checked by a test)."""

SERVER_PROGRAM: Final = "nats-server"
"""The name under which tools look for a running server: process name, prefix of messages, of the ports file."""

VERSION_LINE: Final = f"nats-server: v{COMPATIBLE_RELEASE}"
"""What `-v` prints; scripts of the clients compare it as a whole."""
