"""What the parser takes, what it refuses, and with which words it does so."""

from __future__ import annotations

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.servers import Server

CONTROL_LINE_MAX = 4096


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


@pytest.fixture
def small_payload_server(shared_server: StartServer) -> Server:
    return shared_server("max_payload: 100")


async def test_verbs_are_case_insensitive(server: Server, dial: Dial) -> None:
    """Checklist 7."""
    c = await dial(server)
    await c.send(b'connect {"verbose":false,"headers":true}\r\nsub lower 1\r\nPub lower 2\r\nhi\r\n')
    await c.send(b"hPuB lower 12 12\r\nNATS/1.0\r\n\r\n\r\nuNsUb 1\r\npInG\r\n")
    await c.expect(b"MSG lower 1 2\r\nhi\r\nHMSG lower 1 12 12\r\nNATS/1.0\r\n\r\n\r\nPONG\r\n")


async def test_bare_lf_ends_control_lines(server: Server, login: Dial) -> None:
    """Checklist 8."""
    c = await login(server)
    await c.send(b"SUB lf 1\nPUB lf 2\nhi\r\nPING\n")
    await c.expect(b"MSG lf 1 2\r\nhi\r\nPONG\r\n")


async def test_payload_needs_crlf(server: Server, login: Dial) -> None:
    """Checklist 8."""
    c = await login(server)
    await c.send(b"PUB lf.payload 2\nhi\nPING\r\n")
    await c.expect_err_and_close("Unknown Protocol Operation")


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_any_chunking_is_reassembled(server: Server, dial: Dial, size: int) -> None:
    """Checklist 9."""
    c = await dial(server)
    wire = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB pieces.> q 1\r\nSUB in 2\r\n'
    wire += b"PUB pieces.a in 5\r\nhe\r\no\r\nHPUB pieces.b in 12 14\r\nNATS/1.0\r\n\r\nhi\r\nUNSUB 1\r\n"
    wire += b"PUB pieces.c in 0\r\n\r\nPING\r\n"
    await c.send_pieces(wire, size=size)
    await c.expect(b"MSG pieces.a 1 in 5\r\nhe\r\no\r\n")
    await c.expect(b"HMSG pieces.b 1 in 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
    await c.expect(b"HMSG in 2 40 40\r\nNATS/1.0 503\r\nNats-Subject: pieces.c\r\n\r\n\r\nPONG\r\n")


async def test_many_messages_in_one_segment_are_all_served(server: Server, login: Dial) -> None:
    """Checklist 9."""
    c = await login(server)
    await c.subscribe("burst")
    await c.send(b"PUB burst 1\r\nx\r\n" * 3000)
    await c.expect(b"MSG burst 1 1\r\nx\r\n" * 3000)


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/1.1\r\n", b"X\r\n", b"PUBX a 0\r\n", b"SUBS a 1\r\n", b"MSG a 1 0\r\n\r\n", b"RS+ $G a\r\n",
     b"LS+ a\r\n", b"A+ a\r\n", b"UNSUB\r\n", b"PUB\r\n", b"SUB\r\n", b"HPUB\r\n", b"\x00\r\n", b"PIN\r\n"],
)  # fmt: skip
async def test_unknown_verb_is_an_error_and_closes(server: Server, login: Dial, line: bytes) -> None:
    """Checklist 10."""
    c = await login(server)
    await c.send(line)
    await c.expect_err_and_close("Unknown Protocol Operation")


async def test_bytes_after_ping_and_pong_are_skipped(server: Server, login: Dial) -> None:
    """Checklist 10."""
    c = await login(server)
    await c.send(b"PINGxxx\r\nPONG anything\r\n+OK whatever\r\nPING \r\n")
    await c.expect(b"PONG\r\nPONG\r\n")


@pytest.mark.parametrize(
    "line",
    [b"PUB foo\r\n", b"PUB a b c 1\r\n", b"SUB foo\r\n", b"SUB a b c d\r\n", b"UNSUB 1 2 3\r\n",
     b"HPUB a 12\r\n", b"HPUB a b c 12 12\r\n"],
)  # fmt: skip
async def test_wrong_argument_count_closes_without_an_error(server: Server, login: Dial, line: bytes) -> None:
    """Checklist 11."""
    c = await login(server, headers=True)
    await c.send(line)
    await c.expect_closed()


@pytest.mark.parametrize("size", [b"-1", b"1234567890", b"0000000001", b"1x", b"+1", b"0x1", b"1.0"])
async def test_bad_size_closes_without_an_error(server: Server, login: Dial, size: bytes) -> None:
    """Checklist 12."""
    c = await login(server)
    await c.send(b"PUB foo " + size + b"\r\n")
    await c.expect_closed()


async def test_payload_longer_than_announced_is_an_error(server: Server, login: Dial) -> None:
    """Checklist 13."""
    c = await login(server)
    await c.send(b"PUB foo 2\r\nhello\r\n")
    await c.expect_err_and_close("Unknown Protocol Operation")


async def test_payload_shorter_than_announced_is_an_error(server: Server, login: Dial) -> None:
    """Checklist 13."""
    c = await login(server)
    await c.send(b"PUB foo 4\r\nhi\r\nPING\r\n")
    await c.expect_err_and_close("Unknown Protocol Operation")


async def test_control_line_over_the_limit_is_an_error(server: Server, login: Dial) -> None:
    """Checklist 14."""
    c = await login(server)
    await c.send(b"SUB " + b"a" * (CONTROL_LINE_MAX - 1) + b" 1\r\n")
    await c.expect_err_and_close("maximum control line exceeded")


async def test_control_line_without_an_end_is_an_error_at_the_limit(server: Server, login: Dial) -> None:
    """Checklist 14."""
    c = await login(server)
    await c.send(b"SUB " + b"a" * (CONTROL_LINE_MAX + 1))
    await c.expect_err_and_close("maximum control line exceeded")


async def test_control_line_at_the_limit_is_fine(server: Server, login: Dial) -> None:
    """Checklist 14."""
    c = await login(server)
    subject = b"a" * (CONTROL_LINE_MAX - 2)
    await c.send(b"SUB " + subject + b" 1\r\nPUB " + subject + b" 0\r\n\r\n")
    await c.expect(b"MSG " + subject + b" 1 0\r\n\r\n")


async def test_connect_over_the_control_line_limit_is_an_error(server: Server, dial: Dial) -> None:
    """Checklist 14."""
    c = await dial(server)
    await c.send(b'CONNECT {"name":"' + b"a" * CONTROL_LINE_MAX + b'"}\r\n')
    await c.expect_err_and_close("maximum control line exceeded")


async def test_size_over_max_payload_closes_before_the_body(server: Server, login: Dial) -> None:
    """Checklist 15."""
    c = await login(server)
    await c.send(b"PUB foo 1048577\r\n")
    await c.expect_err_and_close("Maximum Payload Violation")


async def test_size_at_max_payload_is_fine(server: Server, login: Dial) -> None:
    """Checklist 15."""
    c = await login(server)
    body = bytes(range(256)) * 4096
    await c.send(b"SUB big 1\r\nPUB big 1048576\r\n" + body + b"\r\n")
    await c.expect(b"MSG big 1 1048576\r\n" + body + b"\r\n")


async def test_header_bytes_count_against_max_payload(small_payload_server: Server, login: Dial) -> None:
    """Checklist 15."""
    c = await login(small_payload_server, headers=True)
    assert c.info["max_payload"] == 100
    await c.send(b"HPUB foo 12 100\r\nNATS/1.0\r\n\r\n" + b"x" * 88 + b"\r\n")
    await c.ping_pong()
    await c.send(b"HPUB foo 12 101\r\n")
    await c.expect_err_and_close("Maximum Payload Violation")


async def test_size_text_is_forwarded_verbatim(server: Server, login: Dial) -> None:
    """Checklist 43."""
    c = await login(server)
    await c.subscribe("zeros")
    await c.send(b"PUB zeros 00000002\r\nhi\r\n")
    await c.expect(b"MSG zeros 1 00000002\r\nhi\r\n")


async def test_spaces_and_tabs_between_arguments_are_fine(server: Server, login: Dial) -> None:
    """Checklist 69."""
    c = await login(server)
    await c.send(b"SUB  \t spaced \t q  1 \t\r\nPUB\tspaced\t\treply   2  \r\nhi\r\nUNSUB   1   5 \r\nPING\r\n")
    await c.expect(b"MSG spaced 1 reply 2\r\nhi\r\nPONG\r\n")


@pytest.mark.parametrize("line", [b"\r\n", b"\n", b" PING\r\n", b"\tPING\r\n"])
async def test_blank_line_and_leading_space_are_unknown_verbs(server: Server, login: Dial, line: bytes) -> None:
    """Checklist 69."""
    c = await login(server)
    await c.send(line)
    await c.expect_err_and_close("Unknown Protocol Operation")


async def test_error_of_a_client_closes_and_valid_info_is_ignored(server: Server, login: Dial) -> None:
    """Checklist 10."""
    c = await login(server)
    await c.send(b'INFO {"anything":1}\r\n')
    await c.ping_pong()
    await c.send(b"-ERR 'I give up'\r\n")
    await c.expect_closed()


async def test_info_of_a_client_that_is_not_json_closes(server: Server, login: Dial) -> None:
    """Checklist 10."""
    c = await login(server)
    await c.send(b"INFO nonsense\r\n")
    await c.expect_closed()
