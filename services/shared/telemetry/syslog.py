"""Frames of the syslog protocol, local and remote (operations 5.1). Pure: sockets are the log writer's.

Local: facility daemon, the traditional time stamp, what a socket such as /dev/log expects. Remote: facility kernel (0)
and an RFC 3339 stamp with the host's name, which is what nats-server puts on the wire. Control characters in a text
are escaped, so that one line stays one record over TCP.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal
from urllib.parse import urlsplit

from services.shared.records.record import record
from services.shared.telemetry.log import Level, one_line

LOCAL_PATHS: Final = ("/dev/log", "/var/run/syslog", "/var/run/log")
_FACILITY_DAEMON: Final = 3 << 3
_SEVERITIES: Final[dict[Level, int]] = {"INF": 5, "DBG": 7, "WRN": 4, "ERR": 3, "FTL": 2, "TRC": 5}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class SyslogUrlError(ValueError):
    """A remote syslog URL that names no transport we know."""


@record
class SyslogTarget:
    """Where remote syslog goes: a network (`udp`, `tcp`) with host and port, or a Unix socket's path."""

    network: Literal["udp", "tcp", "unix", "unixgram"]
    host: str = ""
    port: int = 514
    path: str = ""


def parse_target(url: str) -> SyslogTarget:
    """The target of a `remote_syslog` URL such as `udp://localhost:514` or `unix:///dev/log`.

    Raises SyslogUrlError with nats-server's text.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 514
    except ValueError as error:
        raise SyslogUrlError(str(error)) from error
    match parts.scheme:
        case "udp" | "tcp" as network:
            return SyslogTarget(network=network, host=host, port=port)
        case "unix" | "unixgram" as network:
            return SyslogTarget(network=network, path=parts.path)
        case other:
            raise SyslogUrlError(f'invalid network type: "{other}"')


def local_frame(*, level: Level, text: str, fields: Sequence[int], ident: str, pid: int) -> bytes:
    """`<PRI>Nov 24 09:02:45 ident[pid]: text` for the local daemon."""
    _, month, day, hour, minute, second = fields[:6]
    stamp = f"{_MONTHS[month - 1]} {day:2} {hour:02}:{minute:02}:{second:02}"
    priority = _FACILITY_DAEMON | _SEVERITIES[level]
    return f"<{priority}>{stamp} {ident}[{pid}]: {one_line(text)}\n".encode(errors="backslashreplace")


def remote_frame(*, level: Level, text: str, utc: Sequence[int], host: str, ident: str, pid: int) -> bytes:
    """`<PRI>RFC3339 host ident[pid]: text` for another machine; `utc` is the broken-down time in UTC."""
    year, month, day, hour, minute, second = utc[:6]
    stamp = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
    line = f"<{_SEVERITIES[level]}>{stamp} {host} {ident}[{pid}]: {one_line(text)}\n"
    return line.encode(errors="backslashreplace")
