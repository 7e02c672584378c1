"""Flags of nats-server for features that natsfleet does not have yet. They are parsed and then refused.

Apart from `unsupported`, which needs the tables of the configuration file: a start without a file loads only this.
A feature that arrives deletes its rows in both.
"""

from __future__ import annotations

from typing import Final

UNSUPPORTED_FLAGS: Final = {
    "jetstream": "streams and consumers are not served",
    "profile": "there is no profiling port",
}
"""By name of the flag: why it is refused. Given empty, zero or false it asks for nothing and is accepted."""
