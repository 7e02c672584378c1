"""The table of the monitoring port: which path asks for what, and how its parameters are read (reference: operations 6).

`counted` is the name under which `http_req_stats` counts requests, the same for both spellings of a path.
"""

from __future__ import annotations

from typing import Final

from services.monitor import query
from services.shared.records.record import record

SERVER: Final = "$SYS.REQ.SERVER.{id}."


@record(kw_only=False)
class Endpoint:
    """One path. `subject` is what the router is asked, with `{id}` for the id of the server."""

    path: str
    subject: str
    read: query.Read
    counted: str


ENDPOINTS: Final = (
    Endpoint("/varz", f"{SERVER}VARZ", query.nothing, "/varz"),
    Endpoint("/connz", f"{SERVER}CONNZ", query.connz, "/connz"),
    Endpoint("/subsz", f"{SERVER}SUBSZ", query.subsz, "/subsz"),
    Endpoint("/subscriptionsz", f"{SERVER}SUBSZ", query.subsz, "/subsz"),
    Endpoint("/routez", f"{SERVER}ROUTEZ", query.routez, "/routez"),
    Endpoint("/gatewayz", f"{SERVER}GATEWAYZ", query.gatewayz, "/gatewayz"),
    Endpoint("/leafz", f"{SERVER}LEAFZ", query.leafz, "/leafz"),
    Endpoint("/accountz", f"{SERVER}ACCOUNTZ", query.accountz, "/accountz"),
    Endpoint("/accstatz", "$SYS.REQ.ACCOUNT.PING.STATZ", query.accstatz, "/accstatz"),
    Endpoint("/jsz", f"{SERVER}JSZ", query.jsz, "/jsz"),
    Endpoint("/healthz", f"{SERVER}HEALTHZ", query.healthz, "/healthz"),
)
HEALTH: Final = "/healthz"
ROOT: Final = "/"


def base_path(configured: str) -> str:
    """`http_base_path` as the prefix of all paths: cleaned, with a slash in front; empty for none."""
    return clean_path(configured).removesuffix("/") if configured else ""


def clean_path(path: str) -> str:
    """The path without empty, `.` and `..` elements, absolute; a slash at the end stays."""
    kept: list[str] = []
    for element in path.split("/"):
        if element == "..":
            del kept[-1:]
        elif element not in ("", "."):
            kept.append(element)
    cleaned = "/" + "/".join(kept)
    return cleaned + "/" if kept and path.endswith("/") else cleaned
