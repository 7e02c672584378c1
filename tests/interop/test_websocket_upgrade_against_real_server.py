"""The same request bytes to the real nats-server and to UpgradeMachine; status line, header fields and body must agree.

Where we differ on purpose, `DIFFERENCES` says how. Field order, `Date`, and `Connection` of refusals (we always close)
are not compared.
"""

from __future__ import annotations

import datetime
import json
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.router.websocket.upgrade import Accepted, NeedMore, UpgradeMachine, UpgradeRules, upgrade_rules
from services.shared.config.options import WebsocketOptions

DEADLINE_S = 10.0
POLL_S = 0.01
FIELDS = {
    "Host": "h",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}


def request(line: str = "GET / HTTP/1.1", **changes: str | list[str] | None) -> bytes:
    """A request; `X_Y="v"` sets a field, a list repeats it, None removes it."""
    fields = {**FIELDS, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [line]
    for name, value in fields.items():
        values = value if isinstance(value, list) else [value]
        lines += [f"{name}: {one}" for one in values if one is not None]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP response without what may differ; `line` is None when the connection was dropped without one."""

    line: str | None
    fields: tuple[str, ...] = ()
    body: str = field(default="")

    @classmethod
    def of(cls, response: bytes) -> Answer:
        if not response:
            return cls(line=None)
        head, _, body = response.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        if " 101 " in line:
            return cls(line=line, fields=tuple(sorted(fields)))
        fields = [one for one in fields if not one.startswith(("Date: ", "Connection: "))]
        return cls(line=line, fields=tuple(sorted(fields)), body=body.decode("latin-1"))

    def coarse(self) -> str | None:
        """The status code alone: Go's HTTP library, not nats-server, words the answers to what is not HTTP."""
        return self.line.split()[1] if self.line else None


class RealServer:
    """A nats-server with a WebSocket listener."""

    def __init__(self, folder: Path, config: str, *, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        (folder / "server.conf").write_text('listen: "127.0.0.1:-1"\n' + config)
        command = [find_real_server(), "-c", str(folder / "server.conf"), "--ports_file_dir", str(folder)]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        self._folder = folder
        self._port: int | None = None

    def port(self) -> int:
        deadline = time.monotonic() + DEADLINE_S
        while self._port is None:
            for ports_file in self._folder.glob("*.ports"):
                text = ports_file.read_text()
                if text.endswith("}"):
                    self._port = int(json.loads(text)["websocket"][0].rpartition(":")[2])
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError("the real server did not start:\n" + (self._folder / "log").read_text())
            time.sleep(POLL_S)
        return self._port

    def answer(self, data: bytes) -> Answer:
        with socket.create_connection(("127.0.0.1", self.port()), timeout=DEADLINE_S) as plain:
            if self._tls is None:
                return Answer.of(self._exchange(plain, data))
            with self._tls.wrap_socket(plain, server_hostname="localhost") as secured:
                return Answer.of(self._exchange(secured, data))

    def _exchange(self, connection: socket.socket, data: bytes) -> bytes:
        connection.sendall(data)
        response = b""
        while not self._is_complete(response, head_request=data.startswith(b"HEAD ")):
            try:
                more = connection.recv(65_536)
            except ConnectionResetError:
                break
            if not more:
                break
            response += more
        return response

    @staticmethod
    def _is_complete(response: bytes, *, head_request: bool) -> bool:
        head, separator, body = response.partition(b"\r\n\r\n")
        if not separator:
            return False
        if b" 101 " in head.partition(b"\r\n")[0] or head_request:
            return True
        for one in head.split(b"\r\n"):
            name, _, value = one.partition(b": ")
            if name == b"Content-Length":
                return len(body) >= int(value)
        return False


def find_real_server() -> str:
    beside = Path(sys.executable).with_name("nats-server")
    found = shutil.which("nats-server") or (str(beside) if beside.exists() else None)
    assert found is not None, "wanted a nats-server binary on PATH or beside the interpreter"
    return found


@contextmanager
def real_server(folder: Path, config: str, *, tls: ssl.SSLContext | None = None) -> Iterator[RealServer]:
    server = RealServer(folder, config, tls=tls)
    try:
        server.port()
        yield server
    finally:
        server.process.terminate()
        server.process.wait(DEADLINE_S)


def our_response(rules: UpgradeRules, data: bytes) -> bytes:
    outcome = UpgradeMachine(rules).receive(data)
    assert not isinstance(outcome, NeedMore)
    return outcome.response


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A real server and our rules for the same configuration."""

    real: RealServer
    rules: UpgradeRules

    def check(self, data: bytes) -> None:
        assert Answer.of(our_response(self.rules, data)) == self.real.answer(data)

    def check_status(self, data: bytes) -> None:
        assert Answer.of(our_response(self.rules, data)).coarse() == self.real.answer(data).coarse()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    config = """
websocket {
  listen: "127.0.0.1:-1"
  no_tls: true
  compression: true
  headers {
    X-Foo: bar
    "x-lower": "b c"
  }
}
"""
    headers = {"X-Foo": "bar", "x-lower": "b c"}
    rules = upgrade_rules(WebsocketOptions(no_tls=True, compression=True, headers=headers), tls=False)
    with real_server(tmp_path_factory.mktemp("plain"), config) as real:
        yield Pair(real=real, rules=rules)


@pytest.fixture(scope="module")
def everything_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("everything")
    config = f"""
server_name: x
jetstream {{ store_dir: "{folder}" }}
mqtt {{ listen: "127.0.0.1:-1" }}
leafnodes {{ listen: "127.0.0.1:-1" }}
websocket {{
  listen: "127.0.0.1:-1"
  no_tls: true
}}
"""
    rules = upgrade_rules(WebsocketOptions(no_tls=True), tls=False, leafnodes=True, mqtt=True)
    with real_server(folder, config) as real:
        yield Pair(real=real, rules=rules)


@pytest.fixture(scope="module")
def same_origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    config = 'websocket {\n listen: "127.0.0.1:-1"\n no_tls: true\n same_origin: true\n}\n'
    rules = upgrade_rules(WebsocketOptions(no_tls=True, same_origin=True), tls=False)
    with real_server(tmp_path_factory.mktemp("same"), config) as real:
        yield Pair(real=real, rules=rules)


LISTED = ("http://a.com", "http://b.com:8080", "https://C.com", "http://[::1]:90", "http://b.com")


@pytest.fixture(scope="module", params=[False, True], ids=["listed", "listed-and-same"])
def listed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    both: bool = request.param
    config = f"""
websocket {{
  listen: "127.0.0.1:-1"
  no_tls: true
  same_origin: {str(both).lower()}
  allowed_origins: {json.dumps(LISTED)}
}}
"""
    rules = upgrade_rules(WebsocketOptions(no_tls=True, same_origin=both, allowed_origins=LISTED), tls=False)
    with real_server(tmp_path_factory.mktemp("listed"), config) as real:
        yield Pair(real=real, rules=rules)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("secured")
    write_certificate(folder)
    config = f"""
websocket {{
  listen: "127.0.0.1:-1"
  same_origin: true
  tls {{
    cert_file: "{folder}/cert.pem"
    key_file: "{folder}/key.pem"
  }}
}}
"""
    rules = upgrade_rules(WebsocketOptions(same_origin=True), tls=True)
    trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    with real_server(folder, config, tls=trust) as real:
        yield Pair(real=real, rules=rules)


def write_certificate(folder: Path) -> None:
    """A self-signed certificate for localhost."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


@pytest.mark.real
@pytest.mark.parametrize(
    "data",
    [
        request(),
        request("GET /any/path?x=/mqtt HTTP/1.1"),
        request("GET http://other/foo HTTP/1.1"),
        request("GET / HTTP/1.0"),
        request("GET / HTTP/1.2"),
        request().replace(b"\r\n", b"\n"),
        request(Upgrade="foo, WebSocket"),
        request(Upgrade=["x", "websocket"]),
        request(Connection="keep-alive, upgrade"),
        request(Connection=["keep-alive", "Upgrade"]),
        request(Sec_WebSocket_Version="12, 13"),
        request(Sec_WebSocket_Version=["12", "13"]),
        request(Sec_WebSocket_Key=" dGhlIHNhbXBsZSBub25jZQ== "),
        request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZR=="),
        request(Sec_WebSocket_Key=[FIELDS["Sec-WebSocket-Key"], "x"]),
        request(Sec_WebSocket_Extensions="permessage-deflate"),
        request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"),
        request(Sec_WebSocket_Extensions="foo, Permessage-Deflate;server_no_context_takeover"),
        request(Sec_WebSocket_Extensions=["foo", " permessage-deflate "]),
        request(Sec_WebSocket_Extensions="permessage-deflatex"),
        request(Nats_No_Masking="true", Sec_WebSocket_Extensions="permessage-deflate"),
        request(Nats_No_Masking="True"),
        request(Nats_No_Masking="false, true"),
        request(Nats_No_Masking=["true", "false"]),
        request(Sec_WebSocket_Protocol="nats"),
        request(Content_Length="0"),
        request(Expect="100-continue"),
        request(X_Foo="a\r\n b"),
        request(X_Foo="\xe9"),
        request(Origin="http://anything"),
        request(Cookie="a=b", X_Forwarded_For="1.2.3.4", User_Agent="Mozilla/5.0"),
    ],
)
def test_accepted_upgrades_get_the_same_answer(plain: Pair, data: bytes) -> None:
    plain.check(data)
    assert isinstance(UpgradeMachine(plain.rules).receive(data), Accepted)


@pytest.mark.real
@pytest.mark.parametrize(
    "data",
    [
        request("POST / HTTP/1.1"),
        request("POST / HTTP/1.1", Content_Length="3") + b"abc",
        request("HEAD / HTTP/1.1"),
        request("get / HTTP/1.1"),
        request("POST / HTTP/1.1", Upgrade=None),
        request(Host=""),
        request(Upgrade=None),
        request(Upgrade="foo"),
        request(Upgrade="websocket/13"),
        request(Connection=None),
        request(Connection="close"),
        request(Sec_WebSocket_Key=None),
        request(Sec_WebSocket_Key=""),
        request(Sec_WebSocket_Key="abc"),
        request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZQ"),
        request(Sec_WebSocket_Key="YWFhYWFhYWFhYWFhYWFh"),
        request(Sec_WebSocket_Key="YWFhYWFhYWFhYWFhYWFhYWE="),
        request(Sec_WebSocket_Key="_____________________w=="),
        request(Sec_WebSocket_Key="dGhlIHNhbXBs ZSBub25jZQ=="),
        request(Sec_WebSocket_Version=None),
        request(Sec_WebSocket_Version="12"),
        request(Sec_WebSocket_Version="013"),
        request("GET /mqtt HTTP/1.1"),
        request("GET /x/mqtt?y HTTP/1.1", Sec_WebSocket_Protocol="mqtt"),
        request("POST /mqtt HTTP/1.1", Upgrade=None),
        request(Upgrade=None) + b"early",
        request() + b"early",
        request(Content_Length="3") + b"abc",
        request(Transfer_Encoding="chunked") + b"0\r\n\r\n",
    ],
)
def test_refused_upgrades_get_the_same_answer(plain: Pair, data: bytes) -> None:
    plain.check(data)


@pytest.mark.real
@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"\r\n\r\n",
        b"CONNECT {}\r\n",
        b"GET /\r\n\r\n",
        b"\r\n" + request(),
        request("GET / HTTP/2.0"),
        request("GET / HTTP/0.9"),
        request("GET / HTTP/1.x"),
        request("GET / http/1.1"),
        request("GET  / HTTP/1.1"),
        request("GET\t/ HTTP/1.1"),
        request("G(T / HTTP/1.1"),
        request("GET * HTTP/1.1"),
        request("GET foo HTTP/1.1"),
        request("GET /%zz HTTP/1.1"),
        request("GET /a\x01b HTTP/1.1"),
        request(Host=None),
        request("GET http://h/ HTTP/1.1", Host=None),
        request(Host=["h", "h"]),
        request(Host="h h"),
        request(Host="a/b"),
        request(Host="a@b"),
        request(X_Foo="a\x01b"),
        request(X_Foo="a\0b"),
        request(Transfer_Encoding="gzip"),
        request(Content_Length="x"),
        request()[:-2] + b"foo bar\r\n\r\n",
        request()[:-2] + b"fo o: bar\r\n\r\n",
        request()[:-2] + b"foo : bar\r\n\r\n",
        request()[:-2] + b": bar\r\n\r\n",
        request(X_Foo="a" * 1_100_000),
    ],
)
def test_what_is_not_http_gets_the_same_status(plain: Pair, data: bytes) -> None:
    plain.check_status(data)


@pytest.mark.real
@pytest.mark.parametrize(
    "target",
    [
        "/leafnode",
        "/a/b/leafnode",
        "/leafnode?x=y",
        "http://a.com/leafnode",
        "/LeafNode",
        "/leafnode/",
        "/xleafnode",
        "/leaf%6eode",
        "/mqtt",
        "/a/mqtt",
        "/mqtt?x",
        "/mqtt/",
        "/xmqtt",
    ],
)
@pytest.mark.parametrize("no_masking", [None, "true"])
def test_paths_select_the_same_protocol(everything_on: Pair, target: str, no_masking: str | None) -> None:
    everything_on.check(request(f"GET {target} HTTP/1.1", Nats_No_Masking=no_masking))


@pytest.mark.real
def test_mqtt_is_confirmed_whatever_subprotocol_was_offered(everything_on: Pair) -> None:
    everything_on.check(request("GET /mqtt HTTP/1.1", Sec_WebSocket_Protocol="foo"))
    everything_on.check(request("POST /mqtt HTTP/1.1"))


ORIGINS = [
    "http://h",
    "http://h:80",
    "http://H",
    "https://h",
    "https://h:80",
    "http://h:81",
    "http://a.com",
    "http://A.com:80",
    "https://a.com",
    "https://a.com:80",
    "http://a.com:81",
    "http://b.com",
    "http://b.com:8080",
    "https://c.com",
    "https://c.com:443",
    "http://c.com:443",
    "http://[::1]:90",
    "http://[::1]",
    "http://a.com/path",
    "http://user@a.com",
    "HTTP://a.com",
    "ftp://a.com:80",
    "a.com",
    "//a.com",
    "/abs",
    "http://",
    "http://a.com:",
    "http://a.com:x",
    "http://a.com, http://b.com",
    "file://",
    "null",
    "",
]


@pytest.mark.real
@pytest.mark.parametrize("origin", ORIGINS)
def test_listed_origins_are_judged_alike(listed: Pair, origin: str) -> None:
    listed.check(request(Origin=origin))
    listed.check(request(Origin=origin, Host="a.com"))
    listed.check(request(Sec_WebSocket_Origin=origin))
    listed.check(request(Sec_WebSocket_Origin="http://evil", Origin=origin))
    listed.check(request(Origin=[origin, "http://a.com"]))


@pytest.mark.real
@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("host", ["h", "H:80", "h:8080", "[::1]", "h:", "h:x", "h:443", "a.com"])
def test_same_origin_is_judged_alike(same_origin: Pair, host: str, origin: str) -> None:
    same_origin.check(request(Origin=origin, Host=host))


@pytest.mark.real
def test_the_absolute_form_names_the_host_for_both(same_origin: Pair) -> None:
    same_origin.check(request("GET http://a.com/ HTTP/1.1", Origin="http://a.com"))
    same_origin.check(request("GET http://a.com/ HTTP/1.1", Origin="http://h"))


@pytest.mark.real
@pytest.mark.parametrize("origin", ["https://h", "https://h:443", "http://h", "http://h:443", "https://h:8080"])
@pytest.mark.parametrize("host", ["h", "h:443", "h:80", "h:8080"])
def test_same_origin_over_tls_is_judged_alike(secured: Pair, host: str, origin: str) -> None:
    secured.check(request(Origin=origin, Host=host))


DIFFERENCES = [
    # The real server says 101 and then closes when it takes no leafnodes; we say so in HTTP, as for MQTT.
    (request("GET /leafnode HTTP/1.1"), "101", "404"),
    # The real server agrees to compression but not to the window that was demanded; such a client then gives up.
    # We go on without compression.
    (request(Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=10"), "101", "101"),
    (request(Sec_WebSocket_Extensions="foo; permessage-deflate"), "101", "101"),
    # Ours holds at most 64 KiB for a stranger.
    (request(X_Foo="a" * 100_000), "101", "431"),
    # Paths are not cleaned by a redirect, and other methods are refused alike.
    (request("GET //h/x HTTP/1.1"), "307", "101"),
    (request("OPTIONS * HTTP/1.1"), "200", "405"),
    (request("CONNECT h:80 HTTP/1.1"), "404", "405"),
    # HTTP/2 without asking.
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400", "505"),
    # Bytes outside ASCII in a path.
    (request("GET /\xe9 HTTP/1.1"), "101", "400"),
]


@pytest.mark.real
@pytest.mark.parametrize(("data", "theirs", "ours"), DIFFERENCES)
def test_known_differences_are_still_so(plain: Pair, data: bytes, theirs: str, ours: str) -> None:
    real, own = plain.real.answer(data), Answer.of(our_response(plain.rules, data))
    assert (real.coarse(), own.coarse()) == (theirs, ours)
    assert real != own
