"""The monitoring port of a whole node: roles that restart, reloads, HTTPS, base paths, many clients at once."""

from __future__ import annotations

import json
import os
import signal
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.kit.certificates import CertificateAuthority
from tests.kit.eventually import eventually
from tests.kit.monitoring import get
from tests.kit.rawclient import open_connection, raw_client
from tests.kit.servers import Server, ServerKind, running_server

OURS = ServerKind.OURS
CLIENTS = 1_200


def role_pid(server: Server, role: str) -> int:
    """The process of a role; fails when it does not run."""
    for pid in server.descendants():
        if Path(f"/proc/{pid}/comm").read_text().strip() == f"nf-{role}":
            return pid
    raise AssertionError(f"no {role} among the processes of the node")


async def has_other_process(server: Server, role: str, *, than: int) -> bool:
    try:
        return role_pid(server, role) != than
    except (AssertionError, FileNotFoundError):
        return False


async def say(server: Server, data: bytes) -> bytes:
    """Sends something to the monitoring port and returns what comes back until the end, however it ends."""
    answer = b""
    stream = await open_connection(server, port=server.monitor_port)
    with trio.fail_after(15), suppress(trio.BrokenResourceError):
        await stream.send_all(data)
        await stream.send_eof()
        while more := await stream.receive_some():
            answer += more
    return answer


async def test_a_fresh_node_answers_at_once() -> None:
    async with running_server(OURS, monitoring=True) as server:
        page = await get(server, "/varz")
        assert page.status == 200
        assert page.json()["port"] == server.client_port
        assert page.json()["http_req_stats"] == {"/varz": 1}


async def test_without_a_monitoring_port_there_is_no_monitor() -> None:
    async with running_server(OURS) as server:
        with pytest.raises(AssertionError):
            role_pid(server, "monitor")


async def test_requests_are_counted_by_page() -> None:
    async with running_server(OURS, monitoring=True) as server:
        for path in ("/", "/connz", "/connz?subs=x", "/subscriptionsz", "/subsz", "/nope", "/varz", "/healthz"):
            await get(server, path)
        counted = (await get(server, "/varz")).json()["http_req_stats"]
        assert counted == {"/": 1, "/connz": 2, "/healthz": 1, "/subsz": 2, "/varz": 2}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_every_method_is_served_like_get(method: str) -> None:
    async with running_server(OURS, monitoring=True) as server:
        page = await get(server, "/healthz", method=method)
        assert (page.status, page.text) == (200, '{"status":"ok"}')


async def test_head_has_no_body() -> None:
    async with running_server(OURS, monitoring=True) as server:
        page = await get(server, "/varz", method="HEAD")
        assert (page.status, page.text) == (200, "")


async def test_doubled_slashes_lead_to_the_page() -> None:
    async with running_server(OURS, monitoring=True) as server:
        page = await get(server, "//varz?a=b")
        assert (page.status, page.headers["location"]) == (307, "/varz?a=b")


async def test_a_callback_gets_a_script() -> None:
    async with running_server(OURS, monitoring=True) as server:
        page = await get(server, "/connz?callback=show")
        assert page.headers["content-type"] == "application/javascript"
        assert json.loads(page.text.removeprefix("show(").removesuffix(")"))["total"] == 0


async def test_pages_live_under_the_base_path() -> None:
    async with running_server(OURS, config='http_base_path: "mon/"\n', monitoring=True) as server:
        statuses = {path: (await get(server, path)).status for path in ("/mon", "/mon/varz", "/mon/", "/varz", "/")}
        assert statuses == {"/mon": 200, "/mon/varz": 200, "/mon/": 404, "/varz": 404, "/": 404}
        assert (await get(server, "/mon/varz")).json()["http_base_path"] == "mon/"


async def test_pages_come_over_https_without_a_client_certificate(authority: CertificateAuthority) -> None:
    served = authority.issue_server()
    config = f"""
        https: "127.0.0.1:-1"
        tls {{
          cert_file: "{served.cert_file}", key_file: "{served.key_file}", ca_file: "{authority.ca_file}", verify: true
        }}
    """
    async with running_server(OURS, config=config) as server:
        context = ssl.create_default_context(cafile=str(authority.ca_file))
        context.check_hostname = False
        page = await get(server, "/varz", tls=context)
        assert page.status == 200
        assert page.json()["tls_cert_not_after"].endswith("Z")
        refusal = await say(server, b"GET /varz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert refusal == b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
        for nonsense in (b"\x00\x01\x02\x03\x04", b"\x16\x03\x01\x00\x05hello", b"x", b""):
            await say(server, nonsense)
        assert (await get(server, "/healthz", tls=context)).status == 200


async def test_a_new_certificate_is_served_after_a_reload(authority: CertificateAuthority) -> None:
    first, second = authority.issue_server("monitor-first"), authority.issue_server("monitor-second")
    certificate = (first.cert_file.read_text(), first.key_file.read_text())
    config = 'https: "127.0.0.1:-1"\ntls { cert_file: "$FOLDER/cert.pem", key_file: "$FOLDER/key.pem" }\n'
    files = dict(zip(("cert.pem", "key.pem"), certificate, strict=True))
    async with running_server(OURS, config=config, files=files) as server:

        async def served() -> str:
            address = ("127.0.0.1", server.monitor_port)
            return await trio.to_thread.run_sync(ssl.get_server_certificate, address)

        assert await served() == first.cert_file.read_text()
        (server.folder / "cert.pem").write_text(second.cert_file.read_text())
        (server.folder / "key.pem").write_text(second.key_file.read_text())
        server.signal(signal.SIGHUP)

        async def is_replaced() -> bool:
            return await served() == second.cert_file.read_text()

        await eventually(is_replaced)


async def test_a_router_that_was_killed_is_shown_again() -> None:
    async with running_server(OURS, monitoring=True) as server:
        assert (await get(server, "/healthz")).status == 200
        monitor, router = role_pid(server, "monitor"), role_pid(server, "router")
        os.kill(router, signal.SIGKILL)
        await eventually(lambda: has_other_process(server, "router", than=router))
        assert (await get(server, "/varz")).status == 200
        assert role_pid(server, "monitor") == monitor


async def test_a_monitor_that_was_killed_does_not_touch_clients() -> None:
    async with running_server(OURS, monitoring=True) as server, raw_client(server) as client:
        await client.connect(name="stays")
        await get(server, "/varz")
        monitor = role_pid(server, "monitor")
        os.kill(monitor, signal.SIGKILL)
        await eventually(lambda: has_other_process(server, "monitor", than=monitor))
        connections = (await get(server, "/connz")).json()["connections"]
        assert [connection["name"] for connection in connections] == ["stays"]
        await client.ping_pong()


async def test_the_monitor_is_no_client() -> None:
    async with running_server(OURS, monitoring=True) as server:
        for _ in range(3):
            await get(server, "/connz?state=all")
        shown = (await get(server, "/varz")).json()
        figures = ("connections", "total_connections", "in_msgs", "out_msgs", "in_bytes", "out_bytes")
        assert {figure: shown[figure] for figure in figures} == dict.fromkeys(figures, 0)
        assert (await get(server, "/accstatz")).json()["account_statz"] == []


@pytest.mark.parametrize("system", ["no_system_account: true", "accounts { A {}, S {} }\nsystem_account: S"])
async def test_monitoring_needs_no_particular_system_account(system: str) -> None:
    async with running_server(OURS, config=system + "\n", monitoring=True) as server:
        assert (await get(server, "/varz")).json().get("system_account", "") in ("", "S")
        assert "" not in (await get(server, "/accountz")).json()["accounts"]


async def test_a_reload_is_shown() -> None:
    async with running_server(OURS, config="max_payload: 1000\n", monitoring=True) as server:
        before = (await get(server, "/varz")).json()
        assert before["config_load_time"] == before["start"]
        server.write_config("max_payload: 2000\n")
        server.signal(signal.SIGHUP)

        async def varz_after() -> Any:
            page = (await get(server, "/varz")).json()
            return page if page["max_payload"] == 2000 else None

        after = await eventually(varz_after)
        assert after["config_load_time"] > after["start"] == before["start"]
        assert after["config_digest"] != before["config_digest"]


async def test_many_connections_are_shown_page_by_page_while_messages_flow() -> None:
    async with running_server(OURS, monitoring=True) as server, trio.open_nursery() as nursery:
        streams = [await open_connection(server) for _ in range(CLIENTS)]
        for stream in streams:
            await stream.send_all(b"CONNECT {}\r\nSUB a.b 1\r\nSUB c.d 2\r\nPING\r\n")

        async def are_all_there() -> bool:
            return bool((await get(server, "/subsz")).json()["num_subscriptions"] >= 2 * CLIENTS)

        await eventually(are_all_there)
        pages = [(await get(server, f"/connz?subs=1&limit=500&offset={offset}")).json() for offset in (0, 500, 1000)]
        assert [page["num_connections"] for page in pages] == [500, 500, 200]
        seen = {connection["cid"] for page in pages for connection in page["connections"]}
        assert len(seen) == CLIENTS
        assert all(connection["subscriptions_list"] == ["a.b", "c.d"] for connection in pages[2]["connections"])
        nursery.cancel_scope.cancel()


async def test_many_ask_at_the_same_time() -> None:
    async with running_server(OURS, monitoring=True) as server, trio.open_nursery() as nursery:

        async def ask() -> None:
            assert (await get(server, "/varz")).status == 200

        for _ in range(50):
            nursery.start_soon(ask)


async def test_hostile_requests_leave_the_node_as_it_is() -> None:
    async with running_server(OURS, monitoring=True) as server:
        router, monitor = role_pid(server, "router"), role_pid(server, "monitor")
        for data in (b"\x00" * 1000, b"GET /" + b"a" * 100_000, b"GET /varz HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"):
            await say(server, data)
        queries = (
            "/connz?user=" + "x" * 10_000,
            "/connz?acc=%00%ff",
            "/subsz?test=%F0%9F%98%80&subs=1",
            "/accountz?acc=*",
        )
        for path in queries:
            assert (await get(server, path)).status in (200, 400)
        assert (role_pid(server, "router"), role_pid(server, "monitor")) == (router, monitor)
        assert (await get(server, "/healthz")).status == 200
