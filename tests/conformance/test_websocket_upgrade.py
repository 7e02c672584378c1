"""The HTTP upgrade of the websocket listener: what is answered with 101, and what with which refusal."""

from __future__ import annotations

import base64

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.certificates import CertificateAuthority
from tests.kit.rawclient import open_connection, open_tls
from tests.kit.servers import Server, ServerKind, refused_start
from tests.kit.wsclient import DEFLATE_OFFER, HttpResponse, UpgradeRequest, send_upgrade

PLAIN = """
websocket { listen: "127.0.0.1:-1", no_tls: true, compression: true, headers: { X-Extra: "one", X-More: "two" } }
"""
UNCOMPRESSED = 'websocket { listen: "127.0.0.1:-1", no_tls: true }'
ORIGINS = """
websocket {
  listen: "127.0.0.1:-1", no_tls: true, allowed_origins: ["http://good.example:8080", "https://safe.example"]
}
"""
SAME_ORIGIN = 'websocket { listen: "127.0.0.1:-1", no_tls: true, same_origin: true }'
BOTH_ORIGINS = """
websocket { listen: "127.0.0.1:-1", no_tls: true, same_origin: true, allowed_origins: ["http://good.example:8080"] }
"""


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server(PLAIN)


async def upgrade(server: Server, request: UpgradeRequest) -> HttpResponse:
    """The response to one request on a fresh connection."""
    async with await open_connection(server, port=server.websocket_port) as stream:
        response, _ = await send_upgrade(stream, request)
        return response


async def test_valid_request_is_answered_with_101(server: Server) -> None:
    """Checklist 134."""
    request = UpgradeRequest()
    response = await upgrade(server, request)
    assert response.status == 101
    assert response.headers["upgrade"].lower() == "websocket"
    assert response.headers["connection"].lower() == "upgrade"
    assert response.headers["sec-websocket-accept"] == request.wanted_accept()
    assert (response.headers["x-extra"], response.headers["x-more"]) == ("one", "two")
    assert "sec-websocket-extensions" not in response.headers
    assert "nats-no-masking" not in response.headers


@pytest.mark.parametrize("path", ["/", "/any/path", "/nats?x=1"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "keep-alive, Upgrade", "Upgrade": "WebSocket"},
        {"Connection": "upgrade", "User-Agent": "Mozilla/5.0"},
        {"Origin": "http://elsewhere.example"},
        {"Sec-WebSocket-Protocol": "nats"},
    ],
)
async def test_request_may_vary_in_what_does_not_matter(server: Server, path: str, headers: dict[str, str]) -> None:
    """Checklist 134."""
    request = UpgradeRequest(path=path, headers=headers)
    response = await upgrade(server, request)
    assert response.status == 101
    assert response.headers["sec-websocket-accept"] == request.wanted_accept()


@pytest.mark.parametrize(
    "headers",
    [
        {"Upgrade": None},
        {"Upgrade": "h2c"},
        {"Connection": None},
        {"Connection": "keep-alive"},
        {"Sec-WebSocket-Key": None},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": base64.b64encode(b"x" * 15).decode()},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Version": "8"},
    ],
    ids=str,
)
async def test_request_with_a_wrong_header_is_answered_with_400(server: Server, headers: dict[str, str]) -> None:
    """Checklist 134."""
    response = await upgrade(server, UpgradeRequest(headers=headers))
    assert response.status == 400
    assert response.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS"])
async def test_other_methods_are_answered_with_405(server: Server, method: str) -> None:
    """Checklist 134."""
    assert (await upgrade(server, UpgradeRequest(method=method))).status == 405


async def test_mqtt_path_without_mqtt_is_answered_with_404(server: Server) -> None:
    """Checklist 134."""
    assert (await upgrade(server, UpgradeRequest(path="/mqtt"))).status == 404


async def test_bytes_before_the_response_drop_the_connection(server: Server) -> None:
    """Checklist 134."""
    async with await open_connection(server, port=server.websocket_port) as stream:
        await stream.send_all(UpgradeRequest().encode() + b"\x81\x80\x00\x00\x00\x00")
        assert b"101 Switching" not in await stream.receive_some(4096)


async def test_garbage_is_not_answered_with_101(server: Server) -> None:
    """Checklist 134."""
    async with await open_connection(server, port=server.websocket_port) as stream:
        await stream.send_all(b'CONNECT {"verbose":false}\r\n\r\n')
        assert b"101 Switching" not in await stream.receive_some(4096)


@pytest.mark.parametrize(
    "offer",
    [DEFLATE_OFFER, "permessage-deflate", "x-other, permessage-deflate; client_max_window_bits"],
)
async def test_compression_is_agreed_with_both_no_context_flags(server: Server, offer: str) -> None:
    """Checklist 140."""
    response = await upgrade(server, UpgradeRequest(headers={"Sec-WebSocket-Extensions": offer}))
    assert response.status == 101
    assert response.headers["sec-websocket-extensions"] == DEFLATE_OFFER


async def test_compression_is_not_agreed_unless_configured(shared_server: StartServer) -> None:
    """Checklist 140."""
    request = UpgradeRequest(headers={"Sec-WebSocket-Extensions": DEFLATE_OFFER})
    response = await upgrade(shared_server(UNCOMPRESSED), request)
    assert response.status == 101
    assert "sec-websocket-extensions" not in response.headers


async def test_no_masking_is_agreed_when_asked_for(server: Server) -> None:
    """Checklist 135."""
    response = await upgrade(server, UpgradeRequest(headers={"Nats-No-Masking": "true"}))
    assert response.headers["nats-no-masking"] == "true"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 101),
        ("http://good.example:8080", 101),
        ("http://GOOD.example:8080", 101),
        ("https://safe.example", 101),
        ("https://safe.example:443", 101),
        ("http://good.example", 403),
        ("https://good.example:8080", 403),
        ("http://safe.example", 403),
        ("http://evil.example", 403),
    ],
)
async def test_allowed_origins_are_the_only_ones(shared_server: StartServer, origin: str | None, status: int) -> None:
    """Checklist 142."""
    assert (await upgrade(shared_server(ORIGINS), UpgradeRequest(headers={"Origin": origin}))).status == status


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("site.example:8080", None, 101),
        ("site.example:8080", "http://site.example:8080", 101),
        ("site.example:8080", "http://SITE.example:8080", 101),
        ("site.example", "http://site.example", 101),
        ("site.example", "http://site.example:80", 101),
        ("site.example:8080", "http://site.example", 403),
        ("site.example:8080", "http://other.example:8080", 403),
        ("site.example:8080", "https://site.example:8080", 403),
    ],
)
async def test_same_origin_compares_scheme_host_and_port(
    shared_server: StartServer, host: str, origin: str | None, status: int
) -> None:
    """Checklist 142."""
    request = UpgradeRequest(headers={"Host": host, "Origin": origin})
    assert (await upgrade(shared_server(SAME_ORIGIN), request)).status == status


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("good.example:8080", "http://good.example:8080", 101),
        ("other.example:8080", "http://good.example:8080", 403),
        ("other.example:8080", "http://other.example:8080", 403),
    ],
)
async def test_both_origin_rules_must_pass(shared_server: StartServer, host: str, origin: str, status: int) -> None:
    """Checklist 142."""
    request = UpgradeRequest(headers={"Host": host, "Origin": origin})
    assert (await upgrade(shared_server(BOTH_ORIGINS), request)).status == status


async def test_tls_listener_upgrades_inside_tls(
    shared_server: StartServer, authority: CertificateAuthority, dial_websocket: Dial
) -> None:
    """Checklist 134."""
    certificate = authority.issue_server("websocket-server")
    server = shared_server(f"""websocket {{
        listen: "127.0.0.1:-1"
        tls {{ cert_file: "{certificate.cert_file}", key_file: "{certificate.key_file}" }}
    }}""")
    stream = await open_tls(await open_connection(server, port=server.websocket_port), authority.client_context())
    response, _ = await send_upgrade(stream, UpgradeRequest())
    assert response.status == 101
    await stream.aclose()
    c = await dial_websocket(server, tls=authority.client_context())
    assert c.info["tls_required"] is True
    await c.connect()


def test_listener_without_tls_must_say_so(server_kind: ServerKind) -> None:
    """Checklist 134."""
    code, printed = refused_start(server_kind, config='websocket { listen: "127.0.0.1:-1" }')
    assert code == 1
    assert "websocket requires TLS configuration" in printed
