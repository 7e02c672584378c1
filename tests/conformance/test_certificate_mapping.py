"""Client certificates as identities: verify_and_map, pinned certificates, and what TLS refuses.

Numbers are those of the security checklist (reference: security, section 11).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit.certificates import Certificate, CertificateAuthority
from tests.kit.rawclient import RawClient, open_connection
from tests.kit.servers import Server, ServerKind, refused_start

USERS = """
accounts {
  MAIL { users: [ { user: "mail@example.com" } ] }
  HOST { users: [ { user: "host.example.com" } ] }
  SPIFFE { users: [ { user: "spiffe://example.com/service" } ] }
  NAME { users: [ { user: "CN=carol,O=zeta" } ] }
  PARTS { users: [ { user: "CN=dave,OU=people,DC=example,DC=com" } ] }
  GUARDED { users: [ { user: "guarded.example.com", password: secret } ] }
}
"""
TlsServer = Callable[..., Server]


@pytest.fixture(scope="module")
def server_certificate(authority: CertificateAuthority) -> Certificate:
    return authority.issue_server("mapping-server")


@pytest.fixture
def tls_server(
    shared_server: StartServer, server_certificate: Certificate, authority: CertificateAuthority
) -> TlsServer:
    """`tls_server(block_lines, top=...)`: a server with a `tls` block."""

    def start(block: str = "", *, top: str = "") -> Server:
        return shared_server(f"""
            {top}
            tls {{
              cert_file: "{server_certificate.cert_file}"
              key_file: "{server_certificate.key_file}"
              ca_file: "{authority.ca_file}"
              {block}
            }}""")

    return start


@pytest.fixture
def mapping_server(tls_server: TlsServer) -> Server:
    return tls_server("verify_and_map: true", top=USERS)


async def account_of(
    server: Server, dial: Dial, authority: CertificateAuthority, certificate: Certificate, **options: str
) -> str:
    """The account that a client with this certificate is bound to."""
    client: RawClient = await dial(server, tls=authority.client_context(certificate))
    await client.connect(protocol=1, **options)
    account: str = client.info["remote_account"]
    return account


async def test_email_name_is_a_user(mapping_server: Server, dial: Dial, authority: CertificateAuthority) -> None:
    """Security checklist 33."""
    certificate = authority.issue("mail", email=("mail@example.com",), dns=("host.example.com",))
    assert await account_of(mapping_server, dial, authority, certificate) == "MAIL"


async def test_dns_name_is_a_user(mapping_server: Server, dial: Dial, authority: CertificateAuthority) -> None:
    """Security checklist 34."""
    certificate = authority.issue("host", dns=("unknown.example.com", "host.example.com"))
    assert await account_of(mapping_server, dial, authority, certificate) == "HOST"


async def test_uri_name_is_a_user(mapping_server: Server, dial: Dial, authority: CertificateAuthority) -> None:
    """Security checklist 35."""
    certificate = authority.issue("spiffe", uri=("spiffe://example.com/service",))
    assert await account_of(mapping_server, dial, authority, certificate) == "SPIFFE"


@pytest.mark.parametrize("subject", [(("CN", "carol"), ("O", "zeta")), (("O", "zeta"), ("CN", "carol"))], ids=str)
async def test_distinguished_name_is_a_user_in_any_order(
    mapping_server: Server, dial: Dial, authority: CertificateAuthority, subject: tuple[tuple[str, str], ...]
) -> None:
    """Security checklist 36, 37."""
    certificate = authority.issue("name", subject=subject)
    assert await account_of(mapping_server, dial, authority, certificate) == "NAME"


async def test_distinguished_name_with_domain_components_is_a_user(
    mapping_server: Server, dial: Dial, authority: CertificateAuthority
) -> None:
    """Security checklist 38."""
    subject = (("DC", "com"), ("DC", "example"), ("OU", "people"), ("CN", "dave"))
    certificate = authority.issue("parts", subject=subject)
    assert await account_of(mapping_server, dial, authority, certificate) == "PARTS"


async def test_unmatched_email_falls_through_to_dns(
    mapping_server: Server, dial: Dial, authority: CertificateAuthority
) -> None:
    """Security checklist 39."""
    certificate = authority.issue("fall", email=("nobody@example.com",), dns=("host.example.com",))
    assert await account_of(mapping_server, dial, authority, certificate) == "HOST"


async def test_user_of_connect_is_ignored_and_the_certificate_counts(
    mapping_server: Server, dial: Dial, authority: CertificateAuthority
) -> None:
    """Security checklist 34."""
    certificate = authority.issue("ignored", dns=("host.example.com",))
    assert await account_of(mapping_server, dial, authority, certificate, user="mail@example.com") == "HOST"


@pytest.mark.parametrize(
    ("name", "password", "allowed"),
    [
        ("host.example.com", "anything", False),
        ("guarded.example.com", "secret", True),
        ("guarded.example.com", "wrong", False),
        ("guarded.example.com", "", False),
    ],
)
async def test_password_of_the_mapped_user_is_still_compared(
    mapping_server: Server, dial: Dial, authority: CertificateAuthority, name: str, password: str, allowed: bool
) -> None:
    """Security checklist 34."""
    c = await dial(mapping_server, tls=authority.client_context(authority.issue("compared", dns=(name,))))
    options = {"pass": password} if password else {}
    if allowed:
        await c.connect(**options)
    else:
        await c.send_connect(**options)
        await c.expect_err_and_close("Authorization Violation")


async def test_certificate_of_no_user_is_refused(
    mapping_server: Server, dial: Dial, authority: CertificateAuthority
) -> None:
    """Security checklist 40."""
    certificate = authority.issue("stranger", subject=(("CN", "stranger"),), dns=("stranger.example.com",))
    c = await dial(mapping_server, tls=authority.client_context(certificate))
    await c.send_connect(verbose=False)
    await c.expect_err_and_close("Authorization Violation")


async def test_missing_certificate_fails_the_handshake(
    mapping_server: Server, dial: Dial, authority: CertificateAuthority
) -> None:
    """Security checklist 41."""
    c = await dial(mapping_server)
    assert c.info["tls_verify"] is True
    with pytest.raises(trio.BrokenResourceError):
        await c.start_tls(authority.client_context(maximum=ssl.TLSVersion.TLSv1_2))


async def test_certificate_of_another_authority_is_refused(
    mapping_server: Server, dial: Dial, authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Security checklist 41."""
    foreign = CertificateAuthority(tmp_path_factory.mktemp("foreign"), name="foreign authority")
    certificate = foreign.issue("foreign", dns=("host.example.com",))
    c = await dial(mapping_server, tls=authority.client_context(certificate))
    await c.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
    await c.expect_closed()


@pytest.mark.parametrize("upper", [False, True])
async def test_only_pinned_certificates_are_served(
    tls_server: TlsServer, dial: Dial, authority: CertificateAuthority, upper: bool
) -> None:
    """Security checklist 42."""
    pinned, other = authority.issue(f"pinned-{upper}"), authority.issue(f"unpinned-{upper}")
    pin = pinned.spki_sha256.upper() if upper else pinned.spki_sha256
    server = tls_server(f'verify: true, pinned_certs: ["{pin}"]')
    await (await dial(server, tls=authority.client_context(pinned))).connect()
    c = await dial(server, tls=authority.client_context(other))
    await c.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
    await c.expect_closed()


async def test_handshake_first_sends_no_byte_before_tls(
    tls_server: TlsServer, dial: Dial, authority: CertificateAuthority
) -> None:
    """Security checklist 43."""
    server = tls_server("handshake_first: true")
    silent = RawClient(await open_connection(server))
    assert await silent.receive_raw(within_s=0.3) == b""
    await silent.aclose()
    await (await dial(server, tls=authority.client_context(), tls_first=True)).connect()


async def test_handshake_first_auto_falls_back_to_an_info(
    tls_server: TlsServer, dial: Dial, authority: CertificateAuthority
) -> None:
    """Security checklist 44."""
    c = await dial(tls_server("handshake_first: auto"))
    assert c.info["tls_required"] is True
    await c.start_tls(authority.client_context())
    await c.connect()


async def test_allow_non_tls_serves_both_kinds(
    tls_server: TlsServer, dial: Dial, authority: CertificateAuthority
) -> None:
    """Security checklist 45."""
    server = tls_server(top="allow_non_tls: true")
    plain = await dial(server)
    assert plain.info["tls_available"] is True
    await plain.connect()
    await (await dial(server, tls=authority.client_context())).connect()


async def test_minimum_version_refuses_older_tls(
    tls_server: TlsServer, dial: Dial, authority: CertificateAuthority
) -> None:
    """Security checklist 46."""
    server = tls_server('min_version: "1.3"')
    await (await dial(server, tls=authority.client_context())).connect()
    c = await dial(server)
    with pytest.raises(trio.BrokenResourceError):
        await c.start_tls(authority.client_context(maximum=ssl.TLSVersion.TLSv1_2))


async def test_connection_rate_limit_refuses_the_excess(tls_server: TlsServer) -> None:
    """Security checklist 47."""
    server = tls_server("connection_rate_limit: 1")
    refusal = b"-ERR 'Connection throttling is active. Please try again later.'\r\n"

    async def is_throttled() -> bool:
        client = RawClient(await open_connection(server))
        try:
            await client.read_greeting()
            with trio.move_on_after(0.3):
                return await client.next_item() == refusal
            return False  # the server waits for our handshake
        finally:
            await client.aclose()

    seen = [await is_throttled() for _ in range(4)]
    assert True in seen, seen


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('cipher_suites: ["FOO"]', "unrecognized cipher FOO"),
        ('cipher_suites: ["TLS_RSA_WITH_AES_128_CBC_SHA"]', "insecure cipher suites configured"),
        ("cipher_suites: []", "'cipher_suites' cannot be empty"),
        ('curve_preferences: ["CurveP999"]', "unrecognized curve preference CurveP999"),
        ('min_version: "1.1"', "unsupported TLS version: TLS 1.1"),
        ("foo: 1", "unknown field"),
        ('handshake_first: "maybe"', "is invalid"),
    ],
)
def test_impossible_tls_block_stops_the_start(
    server_kind: ServerKind, server_certificate: Certificate, line: str, text: str
) -> None:
    """Security checklist 48."""
    config = f"""tls {{
        cert_file: "{server_certificate.cert_file}", key_file: "{server_certificate.key_file}", {line} }}"""
    code, printed = refused_start(server_kind, config=config)
    assert code == 1
    assert text in printed


async def test_client_that_never_starts_tls_is_closed_at_the_timeout(tls_server: TlsServer, dial: Dial) -> None:
    """Security checklist 49."""
    c = await dial(tls_server("timeout: 0.3"))
    await c.expect_closed()
