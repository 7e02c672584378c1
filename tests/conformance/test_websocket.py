"""NATS inside websocket frames: framing, fragmentation, compression, close codes, and the listener's own settings."""

from __future__ import annotations

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server
from tests.kit.wsclient import Opcode, WebSocketStream, deflate, encode_frame

CONFIG = 'websocket { listen: "127.0.0.1:-1", no_tls: true, compression: true }'
SMALL = """
max_payload: 1024
websocket { listen: "127.0.0.1:-1", no_tls: true, compression: true }
"""
IMPATIENT = """
authorization { user: u, password: p }
websocket { listen: "127.0.0.1:-1", no_tls: true, authorization { user: w, password: wp, timeout: 0.3 } }
"""
WITH_USERS = """
accounts {
  A { users: [ { user: a, password: pa }, { user: standard, password: p, allowed_connection_types: ["STANDARD"] } ] }
  B { users: [ { user: b, password: pb, allowed_connection_types: ["websocket"] } ] }
}
websocket {
  listen: "127.0.0.1:-1", no_tls: true, no_auth_user: b
  user_cookie: "nats_user", pass_cookie: "nats_pass"
}
"""


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server(CONFIG)


@pytest.fixture
async def ws(server: Server, dial_websocket: Dial) -> RawClient:
    """A websocket client that has said CONNECT."""
    client: RawClient = await dial_websocket(server)
    return await client.connect()


def frames_of(client: RawClient) -> WebSocketStream:
    stream = client.stream
    assert isinstance(stream, WebSocketStream)
    return stream


async def test_output_frames_are_binary_and_unmasked(ws: RawClient) -> None:
    """Checklist 135."""
    await ws.subscribe("ws.out")
    await ws.send(b"PUB ws.out 2\r\nhi\r\n")
    await ws.expect(b"MSG ws.out 1 2\r\nhi\r\n")
    frames = frames_of(ws).data_frames
    assert frames
    assert {(frame.opcode, frame.fin, frame.rsv1) for frame in frames} == {(Opcode.BINARY, True, False)}


async def test_unmasked_input_closes_with_a_protocol_error(ws: RawClient) -> None:
    """Checklist 135."""
    await frames_of(ws).send_bytes(encode_frame(Opcode.BINARY, b"PING\r\n", mask=None))
    await expect_refusal(ws)


async def test_unmasked_input_is_served_when_no_masking_was_agreed(server: Server, dial_websocket: Dial) -> None:
    """Checklist 135."""
    c = await dial_websocket(server, masking=False)
    await c.connect()
    await frames_of(c).send_bytes(encode_frame(Opcode.BINARY, b"PING\r\n"))
    while item := await c.next_item():  # an error may or may not be seen before the end
        assert item.startswith(b"-ERR"), item


async def expect_refusal(client: RawClient) -> None:
    """The connection must end; a close frame is best effort, and says 1002 if it comes."""
    await client.expect_closed()
    payload = frames_of(client).close_payload
    assert payload is None or payload[:2] == b"\x03\xea", payload


@pytest.mark.parametrize("opcode", [Opcode.TEXT, Opcode.BINARY])
async def test_fragments_form_one_message(ws: RawClient, opcode: Opcode) -> None:
    """Checklist 136."""
    await ws.subscribe("ws.parts")
    stream = frames_of(ws)
    await stream.send_frame(opcode, b"PUB ws.pa", fin=False)
    await stream.send_frame(Opcode.CONTINUATION, b"rts 5\r\nhe", fin=False)
    await stream.send_frame(Opcode.PING, b"between")
    await stream.send_frame(Opcode.CONTINUATION, b"", fin=False)
    await stream.send_frame(Opcode.CONTINUATION, b"llo\r\n")
    await stream.expect_frame(Opcode.PONG, b"between")
    await ws.expect(b"MSG ws.parts 1 5\r\nhello\r\n")


async def test_one_protocol_line_may_span_messages_and_one_message_hold_many(ws: RawClient) -> None:
    """Checklist 136."""
    stream = frames_of(ws)
    await stream.send_frame(Opcode.BINARY, b"SUB ws.sp")
    await stream.send_frame(Opcode.TEXT, b"an 1\r\nPUB ws.span 1\r\na\r\nPUB ws.span 1\r")
    await stream.send_frame(Opcode.BINARY, b"\nb\r\nPING\r\n")
    await ws.expect(b"MSG ws.span 1 1\r\na\r\nMSG ws.span 1 1\r\nb\r\nPONG\r\n")


@pytest.mark.parametrize("size", [1, 3])
async def test_frames_are_read_from_any_chunking(ws: RawClient, size: int) -> None:
    """Checklist 136."""
    stream = frames_of(ws)
    wire = encode_frame(Opcode.BINARY, b"SUB ws.chunks 1\r\n") + encode_frame(
        Opcode.BINARY, b"PUB ws.chunks 300\r\n" + b"x" * 300 + b"\r\n"
    )
    for start in range(0, len(wire), size):
        await stream.send_bytes(wire[start : start + size])
    await ws.expect(b"MSG ws.chunks 1 300\r\n" + b"x" * 300 + b"\r\n")


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 1048576])
async def test_every_frame_length_is_served(ws: RawClient, size: int) -> None:
    """Checklist 136."""
    await ws.subscribe("ws.sizes")
    body = b"z" * size
    await ws.send(b"PUB ws.sizes %d\r\n%b\r\n" % (size, body))
    await ws.expect(b"MSG ws.sizes 1 %d\r\n%b\r\n" % (size, body))


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff" * 62])
async def test_ping_is_answered_with_its_payload(ws: RawClient, payload: bytes) -> None:
    """Checklist 137."""
    await frames_of(ws).send_frame(Opcode.PING, payload)
    await frames_of(ws).expect_frame(Opcode.PONG, payload)
    await frames_of(ws).send_frame(Opcode.PONG, payload)
    await ws.ping_pong()


@pytest.mark.parametrize(("code", "text"), [(1000, "bye"), (1001, ""), (3000, "mine"), (4999, "x" * 100)])
async def test_close_is_echoed_with_code_and_text(ws: RawClient, code: int, text: str) -> None:
    """Checklist 138."""
    await frames_of(ws).send_frame(Opcode.CLOSE, code.to_bytes(2, "big") + text.encode())
    await frames_of(ws).expect_close(code, text)


async def test_empty_close_is_answered_with_an_empty_close(ws: RawClient) -> None:
    """Checklist 138."""
    await frames_of(ws).send_frame(Opcode.CLOSE)
    await frames_of(ws).expect_close(None)


@pytest.mark.parametrize("body", [b"\x03", b"\x03\xec", b"\x03\xed", b"\x03\xf7", b"\x00\x01", b"\x13\x88"])
async def test_impossible_close_is_refused(ws: RawClient, body: bytes) -> None:
    """Checklist 138."""
    await frames_of(ws).send_frame(Opcode.CLOSE, body)
    await expect_refusal(ws)


async def test_max_payload_is_an_error_frame_then_close_1009(shared_server: StartServer, dial_websocket: Dial) -> None:
    """Checklist 139."""
    c = await dial_websocket(shared_server(SMALL))
    await c.connect()
    await c.send(b"PUB ws.big 1025\r\n")
    await c.expect_err("Maximum Payload Violation")
    await frames_of(c).expect_close(1009, "Maximum Message Payload Exceeded")


async def test_authorization_violation_closes_with_1008(shared_server: StartServer, dial_websocket: Dial) -> None:
    """Checklist 139."""
    c = await dial_websocket(shared_server(IMPATIENT))
    await c.send_connect(user="w", **{"pass": "wrong"})
    await c.expect_err("Authorization Violation")
    await frames_of(c).expect_close(1008, "Authentication Failure")


async def test_compressed_traffic_works_in_both_directions(server: Server, dial_websocket: Dial) -> None:
    """Checklist 140."""
    c = await dial_websocket(server, compressed=True)
    await c.connect()
    await c.subscribe("ws.deflate")
    body = b"compress me " * 1000
    await c.send(b"PUB ws.deflate %d\r\n%b\r\n" % (len(body), body))
    await c.expect(b"MSG ws.deflate 1 %d\r\n%b\r\n" % (len(body), body))
    await c.send(b"PUB ws.deflate 1\r\nx\r\n")
    await c.expect(b"MSG ws.deflate 1 1\r\nx\r\n")
    frames = frames_of(c).data_frames
    large = [frame for frame in frames if frame.rsv1]
    assert large and all(len(frame.payload) < 1000 for frame in large)
    assert any(not frame.rsv1 for frame in frames), "small messages are not compressed"


async def test_compressed_fragments_form_one_message(server: Server, dial_websocket: Dial) -> None:
    """Checklist 140."""
    c = await dial_websocket(server, compressed=True)
    await c.connect()
    await c.subscribe("ws.deflate.parts")
    data = deflate(b"PUB ws.deflate.parts 500\r\n" + b"y" * 500 + b"\r\n")
    await frames_of(c).send_frame(Opcode.BINARY, data[:10], fin=False, rsv=4)
    await frames_of(c).send_frame(Opcode.CONTINUATION, data[10:])
    await c.expect(b"MSG ws.deflate.parts 1 500\r\n" + b"y" * 500 + b"\r\n")


async def test_uncompressed_input_is_fine_when_compression_was_agreed(server: Server, dial_websocket: Dial) -> None:
    """Checklist 140."""
    c = await dial_websocket(server, compressed=True)
    await frames_of(c).send_frame(Opcode.TEXT, b'CONNECT {"verbose":false}\r\nPING\r\n')
    await c.expect(b"PONG\r\n")


async def test_message_that_inflates_beyond_max_payload_closes(
    shared_server: StartServer, dial_websocket: Dial
) -> None:
    """Checklist 140: nothing of it is delivered. nats-server at times parses what it had inflated before it closes."""
    server = shared_server(SMALL)
    listener = await (await dial_websocket(server)).connect()
    await listener.subscribe("ws.bomb")
    c = await dial_websocket(server, compressed=True)
    await frames_of(c).send_frame(Opcode.BINARY, deflate(b"PUB ws.bomb 1\r\n" + b"0" * 1_000_000), rsv=4)
    answer = await c.next_item()
    if answer == b"-ERR 'Unknown Protocol Operation'\r\n":
        answer = await c.next_item()
    assert answer == b""
    await listener.send(b"PING\r\n")
    await listener.expect(b"PONG\r\n")


@pytest.mark.parametrize(
    ("opcode", "payload", "fin", "rsv"),
    [
        (Opcode.BINARY, b"PING\r\n", True, 4),
        (Opcode.BINARY, b"PING\r\n", True, 2),
        (Opcode.BINARY, b"PING\r\n", True, 1),
        (3, b"", True, 0),
        (11, b"", True, 0),
        (Opcode.CONTINUATION, b"PING\r\n", True, 0),
        (Opcode.PING, b"x" * 126, True, 0),
        (Opcode.PING, b"x", False, 0),
        (Opcode.CLOSE, b"\x03\xe8" + b"x" * 124, True, 0),
    ],
)
async def test_impossible_frame_closes(ws: RawClient, opcode: int, payload: bytes, fin: bool, rsv: int) -> None:
    """Checklist 140."""
    await frames_of(ws).send_frame(opcode, payload, fin=fin, rsv=rsv)
    await expect_refusal(ws)


async def test_new_message_inside_a_fragmented_one_closes(ws: RawClient) -> None:
    """Checklist 136."""
    await frames_of(ws).send_frame(Opcode.BINARY, b"PI", fin=False)
    await frames_of(ws).send_frame(Opcode.BINARY, b"NG\r\n")
    await expect_refusal(ws)


async def test_nats_parse_error_ends_without_a_close_frame(ws: RawClient) -> None:
    """Checklist 139."""
    await ws.send(b"NONSENSE\r\n")
    item = await ws.next_item()
    if item:  # the error is best effort: the connection may be gone before it is flushed
        assert item == b"-ERR 'Unknown Protocol Operation'\r\n"
        await ws.expect_closed()
    assert frames_of(ws).close_payload is None


async def test_info_names_the_websocket_listener(server: Server, dial_websocket: Dial) -> None:
    """Checklist 141."""
    c = await dial_websocket(server)
    assert c.info["host"] == "127.0.0.1"
    assert c.info["port"] == server.websocket_port != server.client_port
    assert "tls_required" not in c.info and "tls_available" not in c.info


async def test_websocket_and_tcp_clients_share_subjects(ws: RawClient, server: Server, login: Dial) -> None:
    """Checklist 141."""
    tcp = await login(server, headers=True)
    await ws.subscribe("ws.to")
    await tcp.subscribe("ws.from")
    await tcp.publish("ws.to", b"over tcp")
    await ws.expect(b"MSG ws.to 1 8\r\nover tcp\r\n")
    await ws.publish("ws.from", b"over ws")
    await tcp.expect(b"MSG ws.from 1 7\r\nover ws\r\n")


async def test_server_shutdown_closes_with_1001(
    server: Server, dial_websocket: Dial, shared_server: StartServer
) -> None:
    """Checklist 139."""
    own = shared_server(CONFIG, args=["-D"])
    c = await dial_websocket(own)
    await c.connect()
    own.signal(2)
    await frames_of(c).expect_close(1001, "Server Shutdown")


async def test_websocket_block_has_its_own_credentials_and_timeout(
    shared_server: StartServer, dial_websocket: Dial, login: Dial
) -> None:
    """Checklist 141."""
    server = shared_server(IMPATIENT)
    await login(server, user="u", **{"pass": "p"})
    c = await dial_websocket(server)
    await c.connect(user="w", **{"pass": "wp"})
    silent = await dial_websocket(server)
    await silent.expect_err("Authentication Timeout")
    await frames_of(silent).expect_close(1008, "Authentication Timeout")


async def test_no_auth_user_of_the_websocket_block_is_used(shared_server: StartServer, dial_websocket: Dial) -> None:
    """Checklist 141."""
    c = await dial_websocket(shared_server(WITH_USERS))
    await c.connect(protocol=1)
    assert c.info["remote_account"] == "B"


async def test_cookies_fill_missing_credentials(shared_server: StartServer, dial_websocket: Dial) -> None:
    """Checklist 141."""
    c = await dial_websocket(shared_server(WITH_USERS), headers={"Cookie": "nats_user=a; nats_pass=pa"})
    await c.connect(protocol=1)
    assert c.info["remote_account"] == "A"


async def test_connection_types_tell_tcp_from_websocket(
    shared_server: StartServer, dial_websocket: Dial, dial: Dial
) -> None:
    """Checklist 141."""
    server = shared_server(WITH_USERS)
    tcp = await dial(server)
    await tcp.send_connect(user="b", **{"pass": "pb"})
    await tcp.expect_err_and_close("Authorization Violation")
    ws = await dial_websocket(server)
    await ws.send_connect(user="standard", **{"pass": "p"})
    await ws.expect_err("Authorization Violation")
