"""The page at the root of the monitoring port: links to everything else. Pure."""

from __future__ import annotations

from html import escape
from typing import Final

from services.shared.telemetry.release import COMPATIBLE_RELEASE, PRODUCT, PRODUCT_VERSION

_LINKS: Final = (
    ("varz", "General"),
    ("jsz", "JetStream"),
    ("connz", "Connections"),
    ("accountz", "Accounts"),
    ("accstatz", "Account statistics"),
    ("subsz", "Subscriptions"),
    ("routez", "Routes"),
    ("leafz", "Leafnodes"),
    ("gatewayz", "Gateways"),
    ("healthz", "Health"),
)
_STYLE: Final = (
    "body{font-family:system-ui,sans-serif;margin:2em}a{display:block;padding:.2em 0;color:#334}small{color:#889}"
)


def root_page(*, server_name: str, prefix: str) -> bytes:
    """The page; `prefix` is the last element of the base path, since links are relative to the page."""
    links = "\n".join(f'<a href="./{prefix}{path}">{title}<small> /{path}</small></a>' for path, title in _LINKS)
    versions = f"{PRODUCT} {PRODUCT_VERSION}, compatible with nats-server {COMPATIBLE_RELEASE}"
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{escape(server_name)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n<h1>{escape(server_name)}</h1>\n<p>{versions}</p>\n{links}\n"
        '<a href="https://docs.nats.io/running-a-nats-service/nats_admin/monitoring">Help</a>\n</body>\n</html>\n'
    ).encode()
