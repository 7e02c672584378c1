"""How options of a file arrive in `Options`; what is refused is in the tables of `spec/config`."""

from __future__ import annotations

from typing import Any

import pytest

from services.shared.config.errors import OptionErrors
from services.shared.config.options import (
    SECOND_NS,
    AccountLimits,
    AccountOptions,
    FleetOptions,
    LogOptions,
    MappingDestination,
    Options,
    SubjectMapping,
    TlsCertificate,
)
from services.shared.identity.permissions import Permissions, ResponsePermission, SubjectPermission
from services.shared.records.record import replace
from tests.kit.config_files import FILE, load, options
from tests.kit.config_tables import tls_files

NKEY = "UCAAJSNYYYK5Z7XIDVEK43JNOU6BDHNLNU4HOJTEMBEDGGK65FTUGK5V"


def _with_tls(block: str) -> Options:
    return load(block, files=tls_files()).options


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        ("port: -1", {"port": -1}),
        ("port: 0", {"port": 4222}),
        ('listen: "127.0.0.1:1"', {"host": "127.0.0.1", "port": 1}),
        ("listen: 1", {"port": 1}),
        ('listen: ":1"', {"port": 1}),
        ('net: "::1"', {"host": "::1"}),
        ("Server_Name: x, client_advertise: 'h:1'", {"server_name": "x", "client_advertise": "h:1"}),
        ('server_tags: ["A b", " c ", "", a, A]', {"server_tags": ("a b", "c", "a")}),
        ("server_metadata {a: b, C: d}", {"server_metadata": {"a": "b", "C": "d"}}),
        ("pidfile: p, ports_file_dir: d", {"pid_file": "p", "ports_file_dir": "d"}),
        ('http: "h:-1"', {"http_host": "h", "http_port": -1}),
        ("https: 1, http_base_path: x", {"https_port": 1, "http_base_path": "x"}),
        ("monitor_port: 5", {"http_port": 5}),
        (
            "max_conn: 5, max_subs: 6, max_sub_tokens: 7",
            {"max_connections": 5, "max_subscriptions": 6, "max_sub_tokens": 7},
        ),
        ("max_connections: 0", {"max_connections": 0}),
        ("max_connections: -1", {"max_connections": 0}),
        ("max_control_line: 1kb, max_payload: 2MB", {"max_control_line_bytes": 1024, "max_payload_bytes": 2**21}),
        ("max_pending: 0, max_closed_clients: 5", {"max_closed_clients": 5}),
        ('ping_interval: "1m", ping_max: 3', {"ping_interval_ns": 60 * SECOND_NS, "ping_max": 3}),
        ("write_deadline: 2s, write_timeout: close", {"write_deadline_ns": 2 * SECOND_NS, "write_timeout": "close"}),
        ('lame_duck_duration: "30s"', {"lame_duck_duration_ns": 30 * SECOND_NS}),
        ("lame_duck_grace_period: 3s", {"lame_duck_grace_ns": 3 * SECOND_NS}),
        ("lame_duck_grace_period: 0s", {}),
        (
            "connect_error_reports: 1, reconnect_error_reports: 2",
            {"connect_error_reports": 1, "reconnect_error_reports": 2},
        ),
        ("no_fast_producer_stall: true, proxy_protocol: on", {"no_fast_producer_stall": True, "proxy_protocol": True}),
        ("no_sublist_cache: yes, no_header_support: true", {"no_sublist_cache": True, "no_header_support": True}),
        ("disable_sublist_cache: true", {"no_sublist_cache": True}),
        ("system: A, no_sys_acc: true", {"system_account": "A", "no_system_account": True}),
        (
            "no_auth_user: a, allow_non_tls: true, storedir: d",
            {"no_auth_user": "a", "allow_non_tls": True, "store_dir": "d"},
        ),
        ("jetstream: disabled, ocsp: false, prof_port: 0", {}),
        (
            "fleet {pending_bytes_max: 1KB, engine_threads: 3, data_dir: d}",
            {"fleet": FleetOptions(pending_bytes_max=1024, engine_threads=3, data_dir="d")},
        ),
        ("v: 5, port: $v", {"port": 5}),
    ],
)
def test_top_level_options(text: str, changed: dict[str, Any]) -> None:
    read = options(text)
    assert replace(read, config_file="", config_digest="") == replace(Options(), **changed)


@pytest.mark.parametrize(
    ("text", "log"),
    [
        ("debug: true, trace: true", LogOptions(debug=True, trace=True)),
        ("trace_verbose: true", LogOptions(trace=True, trace_verbose=True)),
        ("trace_headers: true", LogOptions(trace=True, trace_headers=True)),
        ("logtime: false, logtime_utc: true", LogOptions(logtime=False, logtime_utc=True)),
        (
            "logfile: f, log_size_limit: 1k, log_max_num: 3",
            LogOptions(log_file="f", log_size_limit_bytes=1000, log_max_num=3),
        ),
        ('syslog: true, remote_syslog: "udp://h:1"', LogOptions(syslog=True, remote_syslog="udp://h:1")),
        ("max_traced_msg_len: 10", LogOptions(max_traced_msg_len=10)),
    ],
)
def test_logging_options_arrive_in_their_record(text: str, log: LogOptions) -> None:
    assert options(text).log == log


class TestAuthorization:
    def test_a_single_user(self) -> None:
        read = options('authorization {username: a, pass: b, timeout: "1500ms"}').authorization
        assert (read.user, read.password, read.timeout_ns, read.defined) == ("a", "b", 1_500_000_000, True)

    def test_an_empty_block_is_not_no_block(self) -> None:
        assert options("authorization {}").authorization.defined
        assert not options("port: 1").authorization.defined

    @pytest.mark.parametrize(
        ("written", "timeout_ns"), [("3", 3 * SECOND_NS), ("0.5", SECOND_NS // 2), ('"2m"', 120 * SECOND_NS)]
    )
    def test_timeouts_are_seconds_or_durations(self, written: str, timeout_ns: int) -> None:
        text = f"authorization {{token: t, timeout: {written}}}"
        assert load(text).options.authorization.timeout_ns == timeout_ns

    def test_users_get_the_default_permissions_unless_they_have_their_own(self) -> None:
        text = """authorization {
            default_permissions {publish: d}
            users: [ {user: a, password: p}, {nkey: NKEY, permissions {pub: [x, y]}}, {user: c, permissions {}} ]
        }""".replace("NKEY", NKEY)
        users = options(text).authorization.users
        default = Permissions(publish=SubjectPermission(allow=("d",)))
        own = Permissions(publish=SubjectPermission(allow=("x", "y")))
        assert [(user.user, user.nkey, user.permissions) for user in users] == [
            ("a", "", default),
            ("", NKEY, own),
            ("c", "", Permissions()),
        ]

    @pytest.mark.parametrize(
        ("written", "permissions"),
        [
            ("pub: a", Permissions(publish=SubjectPermission(allow=("a",)))),
            (
                "import: [a], export: b",
                Permissions(publish=SubjectPermission(allow=("a",)), subscribe=SubjectPermission(allow=("b",))),
            ),
            ("sub {allow: a, deny: [b, c]}", Permissions(subscribe=SubjectPermission(allow=("a",), deny=("b", "c")))),
            ("sub {deny: a}", Permissions(subscribe=SubjectPermission(allow=None, deny=("a",)))),
            ("sub: {}", Permissions()),
            ("pub: []", Permissions(publish=SubjectPermission(allow=()))),
            ('sub: ["a  q.*", " b  > "]', Permissions(subscribe=SubjectPermission(allow=("a q.*", "b >")))),
            ("allow_responses: true", Permissions(responses=ResponsePermission())),
            ("allow_responses: false", Permissions()),
            (
                "allow_responses {max: 5, ttl: 1s}",
                Permissions(responses=ResponsePermission(max_msgs=5, expires_ns=SECOND_NS)),
            ),
            ("publish_allow_responses {max_responses: 0}", Permissions(responses=ResponsePermission())),
            (
                'allow_responses {max: -1, expires: "-1s"}',
                Permissions(responses=ResponsePermission(max_msgs=-1, expires_ns=-SECOND_NS)),
            ),
        ],
    )
    def test_permissions_of_a_user(self, written: str, permissions: Permissions) -> None:
        (user,) = options(f"authorization {{users: [{{user: a, permissions {{{written}}}}}]}}").authorization.users
        assert user.permissions == permissions

    def test_connection_types_are_upper_cased(self) -> None:
        (user,) = options("authorization {users: [{user: a, clients: [standard, Mqtt]}]}").authorization.users
        assert user.connection_types == ("STANDARD", "MQTT")

    def test_a_single_user_and_users_of_accounts_exclude_each_other(self) -> None:
        account, single = "accounts {A {users: [{user: b}]}}", "authorization {user: a, password: p}"
        with pytest.raises(OptionErrors, match=r"2:1: Can not have a single user/pass and a users array"):
            load(f"{account}\n{single}")
        with pytest.raises(OptionErrors, match=r"2:14: Can not have a single user/pass and accounts"):
            load(f"{single}\n{account}")
        with pytest.raises(OptionErrors, match=r"2:14: Can not have a token and accounts"):
            load(f"authorization {{token: t}}\n{account}")

    def test_secrets_stay_out_of_what_is_printed(self) -> None:
        text = "authorization {users: [{user: a, password: hush}]}\nwebsocket {port: 1, authorization {token: hush}}"
        assert "hush" not in repr(load(text).options)


class TestAccounts:
    def test_an_account_with_everything(self) -> None:
        text = """accounts {
            A {
                users: [{user: a, password: p}]
                default_permissions {sub: x}
                limits {max_conn: 1, max_subs: 2, max_payload: 1MB, max_leafs: 99999999999}
                mappings {s: d}
            }
            B {}
        }"""
        first, second = options(text).accounts
        assert first.limits == AccountLimits(
            max_connections=1, max_subscriptions=2, max_payload_bytes=2**20, max_leafnodes=2**31 - 1
        )
        assert first.users[0].permissions == Permissions(subscribe=SubjectPermission(allow=("x",)))
        assert first.mappings == (SubjectMapping(source="s", destinations=(MappingDestination(subject="d"),)),)
        assert second == AccountOptions(name="B")

    def test_an_array_names_empty_accounts(self) -> None:
        assert options("accounts: [A, B]").accounts == (AccountOptions(name="A"), AccountOptions(name="B"))

    def test_weighted_mappings_keep_their_order(self) -> None:
        text = """maps {
            "a.*": [{dest: "b.$1", weight: 30}, {destination: c, weight: "20%"}, {dest: d, weight: 100%, cluster: X}]
        }"""
        assert options(text).mappings == (
            SubjectMapping(
                source="a.*",
                destinations=(
                    MappingDestination(subject="b.$1", weight=30),
                    MappingDestination(subject="c", weight=20),
                    MappingDestination(subject="d", weight=100, cluster="X"),
                ),
            ),
        )


class TestTls:
    def test_a_block_is_read_whole(self) -> None:
        tls = _with_tls(
            'tls {cert_file: ec.crt, key_file: ec.key, ca_file: ec.crt, verify: true, timeout: 1.5, min_version: "1.3", '
            f'pinned_certs: ["{"A" * 64}"], connection_rate_limit: 5, cipher_suites: [TLS_AES_128_GCM_SHA256], '
            "curve_preferences: [X25519]}"
        ).tls
        assert tls is not None
        assert replace(tls, files_digest="") == replace(
            type(tls)(),
            certificates=(TlsCertificate(cert_file="ec.crt", key_file="ec.key"),),
            ca_file="ec.crt",
            verify=True,
            timeout_ns=SECOND_NS * 3 // 2,
            min_version="1.3",
            pinned_certs=("a" * 64,),
            connection_rate_limit=5,
            cipher_suites=("TLS_AES_128_GCM_SHA256",),
            curve_preferences=("X25519",),
        )

    def test_several_certificates_are_kept_in_order(self) -> None:
        tls = _with_tls(
            "tls {certs: [{cert_file: ec.crt, key_file: ec.key}, {cert_file: ed.crt, key_file: ed.key}]}"
        ).tls
        assert tls is not None and tls.certificates_listed
        assert [pair.cert_file for pair in tls.certificates] == ["ec.crt", "ed.crt"]

    def test_verify_and_map_verifies(self) -> None:
        tls = _with_tls("tls {cert_file: ec.crt, key_file: ec.key, verify_and_map: true}").tls
        assert tls is not None and tls.verify and tls.verify_and_map

    @pytest.mark.parametrize(
        ("written", "delay_ns"),
        [("true", 0), ('"on"', 0), ("false", None), ('"off"', None), ("auto", 50_000_000), ("auto_fallback", 50_000_000),
         ('"300ms"', 300_000_000), ('"0s"', 0), ('"-1s"', 0)],
    )  # fmt: skip
    def test_handshake_first_becomes_a_delay(self, written: str, delay_ns: int | None) -> None:
        tls = _with_tls(f"tls {{handshake_first: {written}}}").tls
        assert tls is not None and tls.handshake_first_delay_ns == delay_ns

    def test_the_digest_of_the_files_follows_their_content(self) -> None:
        text = "tls {cert_file: a.crt, key_file: a.key}"
        made = tls_files()

        def digest(name: str) -> str:
            files = {"a.crt": made[f"{name}.crt"], "a.key": made[f"{name}.key"]}
            tls = load(text, files=files).options.tls
            assert tls is not None
            return tls.files_digest

        assert digest("ec") == digest("ec") != digest("ec2")


def test_the_websocket_block() -> None:
    text = """ws {
        listen: "h:8080", advertise: "a:1", no_tls: true, same_origin: true, origin: "http://x", compress: true
        handshake_timeout: 3, no_auth_user: n, user_cookie: u, pass_cookie: p, token_cookie: t, jwt_cookie: j
        authentication {user: a, password: b, timeout: 2}, headers {X: y}, ping_interval: "5s"
    }"""
    websocket = options(text).websocket
    assert websocket is not None
    assert (websocket.host, websocket.port, websocket.advertise) == ("h", 8080, "a:1")
    assert (websocket.no_tls, websocket.same_origin, websocket.compression) == (True, True, True)
    assert websocket.allowed_origins == ("http://x",)
    assert websocket.handshake_timeout_ns == 3 * SECOND_NS
    assert (websocket.user_cookie, websocket.pass_cookie, websocket.token_cookie, websocket.jwt_cookie) == tuple("uptj")
    assert (websocket.user, websocket.password, websocket.auth_timeout_ns) == ("a", "b", 2 * SECOND_NS)
    assert (websocket.headers, websocket.ping_interval_ns, websocket.no_auth_user) == ({"X": "y"}, 5 * SECOND_NS, "n")


def test_all_problems_of_a_file_are_reported_together_warnings_first() -> None:
    text = (
        "foo: 1\nport: x\nping_interval: 5\nauthorization {user: 1, bar: 2\n"
        " users: [{user: 3, baz: 4}, {}, 5 ]}\ntls {qux: 1}"
    )
    with pytest.raises(OptionErrors) as refusal:
        load(text)
    assert str(refusal.value) == "".join(
        f"{FILE}:{line}\n"
        for line in (
            '3:1: invalid use of field "ping_interval": ping_interval should be converted to a duration',
            '1:0: unknown field "foo"',
            "2:1: interface conversion: interface {} is string, not int64",
            "4:16: interface conversion: interface {} is int64, not string",
            '4:25: unknown field "bar"',
            "5:11: interface conversion: interface {} is int64, not string",
            '5:20: unknown field "baz"',
            "5:31: User entry requires a user",
            "5:33: Expected user entry to be a map/struct, got 5",
            '6:6: error parsing tls config, unknown field "qux"',
        )
    )


def test_warnings_alone_do_not_stop_a_start() -> None:
    loaded = load("ping_interval: 5")
    assert loaded.options.ping_interval_ns == 5 * SECOND_NS
    assert loaded.warnings == (
        f'{FILE}:1:0: invalid use of field "ping_interval": ping_interval should be converted to a duration',
    )
    assert load("# nothing").warnings == (f"{FILE}: config has no values or is empty",)
