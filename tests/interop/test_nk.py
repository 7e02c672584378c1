"""Keys made by the `nk` tool: the server takes what it signs, and the `nats` tool logs in with them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server
from tests.kit.tools import Tool, wait_for_interest

CONFIG = "authorization {{ users: [ {{ nkey: {public} }}, {{ user: probe, password: p }} ] }}"


@pytest.fixture
def nk(tmp_path: Path) -> Tool:
    return Tool("nk", home=tmp_path)


async def make_key(nk: Tool, kind: str = "user") -> tuple[str, str]:
    """A fresh seed and its public key."""
    finished = await nk.run("-gen", kind, "-pubout")
    seed, public = finished.out.split()
    return seed, public


async def sign(nk: Tool, seed: str, nonce: str) -> str:
    """What the tool signs the nonce with."""
    (nk.home / "nonce").write_text(nonce)
    (nk.home / "seed").write_text(seed)
    return (await nk.run("-sign", "nonce", "-inkey", "seed")).out.strip()


async def test_generated_keys_have_their_letters(nk: Tool) -> None:
    for kind, letter in (("user", "U"), ("account", "A"), ("server", "N"), ("operator", "O"), ("cluster", "C")):
        seed, public = await make_key(nk, kind)
        assert re.fullmatch(f"S{letter}[A-Z2-7]{{56}}", seed)
        assert re.fullmatch(f"{letter}[A-Z2-7]{{55}}", public)


async def test_server_accepts_a_nonce_signed_by_nk(nk: Tool, shared_server: StartServer, dial: Dial) -> None:
    seed, public = await make_key(nk)
    c: RawClient = await dial(shared_server(CONFIG.format(public=public)))
    await c.connect(nkey=public, sig=await sign(nk, seed, c.info["nonce"]))


async def test_server_refuses_a_nonce_signed_with_another_key(nk: Tool, shared_server: StartServer, dial: Dial) -> None:
    _, public = await make_key(nk)
    other_seed, other_public = await make_key(nk)
    server = shared_server(CONFIG.format(public=public))
    for claimed in (public, other_public):
        c: RawClient = await dial(server)
        await c.send_connect(nkey=claimed, sig=await sign(nk, other_seed, c.info["nonce"]))
        await c.expect_err_and_close("Authorization Violation")


async def test_nats_tool_logs_in_with_a_seed_file(nk: Tool, shared_server: StartServer, tmp_path: Path) -> None:
    seed, public = await make_key(nk)
    other_seed, _ = await make_key(nk)
    (tmp_path / "good.nk").write_text(seed)
    (tmp_path / "other.nk").write_text(other_seed)
    server = shared_server(CONFIG.format(public=public))
    good, other = nats(server, tmp_path, "good.nk"), nats(server, tmp_path, "other.nk")
    async with good.running("reply", "nk.service.>", "answer to {{Request}}"):
        await wait_for_interest(server, "nk.service.probe", user="probe", **{"pass": "p"})
        assert (await good.run("request", "nk.service.x", "question", "--raw")).out.strip() == "answer to question"
    assert "Authorization Violation" in (await other.run("pub", "any", "thing", fails=True)).text


def nats(server: Server, home: Path, key_file: str) -> Tool:
    """The `nats` tool with a seed file."""
    url = f"127.0.0.1:{server.client_port}"
    return Tool("nats", home=home, before=["--server", url, "--no-context", "--nkey", str(home / key_file)])
