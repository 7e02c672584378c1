"""INFO, byte for byte as the reference server sent it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from services.router.admission.info import InfoTemplate, ServerInfo, encode_string
from services.shared.records.record import replace

PLAIN = ServerInfo(
    server_id="NC45",
    server_name="S1",
    version="2.15.1",
    git_commit="b2fd3ef",
    go="go1.27.2",
    host="127.0.0.1",
    port=15222,
    max_payload_bytes=1_048_576,
    api_level=5,
    xkey="XBRZ",
)
HEAD = (
    b'INFO {"server_id":"NC45","server_name":"S1","version":"2.15.1","proto":1,"git_commit":"b2fd3ef","go":"go1.27.2",'
    b'"host":"127.0.0.1","port":15222,"headers":true,'
)
LAST = b'"api_lvl":5,"xkey":"XBRZ"} \r\n'


def test_the_first_info_of_a_plain_server() -> None:
    line = InfoTemplate(PLAIN).first(client_id=5, client_ip="127.0.0.1")
    assert line == HEAD + b'"max_payload":1048576,"client_id":5,"client_ip":"127.0.0.1",' + LAST


def test_a_nonce_follows_the_address_and_an_unknown_address_is_left_out() -> None:
    template = InfoTemplate(replace(PLAIN, auth_advertised=True, auth_required=True))
    line = template.first(client_id=5, client_ip="::1", nonce=b"sJhy2Ohtc3T10-0")
    expected = b'"auth_required":true,"max_payload":1048576,"client_id":5,"client_ip":"::1","nonce":"sJhy2Ohtc3T10-0",'
    assert line == HEAD + expected + LAST
    assert b"client_ip" not in template.first(client_id=5, client_ip="", nonce=b"x")


def test_connect_info_tells_what_the_connection_is_bound_to() -> None:
    template = InfoTemplate(replace(PLAIN, auth_advertised=False, auth_required=True))
    assert b"auth_required" not in template.first(client_id=9, client_ip="127.0.0.1")
    line = template.connect_info(
        client_id=9, client_ip="127.0.0.1", max_payload_bytes=10, account="$G", is_system=False
    )
    expected = (
        b'"auth_required":true,"max_payload":10,"client_id":9,"client_ip":"127.0.0.1","connect_info":true,'
        b'"remote_account":"$G",'
    )
    assert line == HEAD + expected + LAST
    system = template.connect_info(client_id=9, client_ip="", max_payload_bytes=10, account="$SYS", is_system=True)
    assert b'"remote_account":"$SYS","acc_is_sys":true,"api_lvl"' in system


def test_cluster_urls_and_lame_duck_in_order() -> None:
    template = InfoTemplate(replace(PLAIN, cluster="C", connect_urls=("a.example:99", "b.example:46373")))
    line = template.update(client_id=9, client_ip="127.0.0.1", max_payload_bytes=1_048_576)
    members = (
        b'"max_payload":1048576,"client_id":9,"client_ip":"127.0.0.1","cluster":"C",'
        b'"connect_urls":["a.example:99","b.example:46373"],'
    )
    assert line == HEAD + members + LAST
    leaving = template.update(client_id=9, client_ip="127.0.0.1", max_payload_bytes=1_048_576, lame_duck=True)
    assert leaving == HEAD + members + b'"ldm":true,' + LAST
    alone = InfoTemplate(PLAIN).update(client_id=5, client_ip="127.0.0.1", max_payload_bytes=1_048_576, lame_duck=True)
    assert alone.endswith(b'"client_ip":"127.0.0.1","ldm":true,' + LAST)


def test_tls_members_and_missing_headers() -> None:
    line = InfoTemplate(replace(PLAIN, headers=False, tls_verify=True, tls_available=True)).first(
        client_id=5, client_ip="127.0.0.1"
    )
    assert b'"headers":false,"tls_verify":true,"tls_available":true,"max_payload"' in line
    line = InfoTemplate(replace(PLAIN, tls_required=True, tls_verify=True)).first(client_id=5, client_ip="")
    assert b'"headers":true,"tls_required":true,"tls_verify":true,"max_payload"' in line


def test_jetstream_and_domain() -> None:
    line = InfoTemplate(replace(PLAIN, jetstream=True, domain="hub", cluster="C")).first(client_id=5, client_ip="")
    assert b'"max_payload":1048576,"jetstream":true,"client_id":5,"cluster":"C","domain":"hub","api_lvl":5' in line


def test_strings_are_escaped_like_the_reference() -> None:
    assert encode_string("a<b>&c\u2028é") == b'"a\\u003cb\\u003e\\u0026c\\u2028\xc3\xa9"'
    assert encode_string('"\\\n\x01') == b'"\\"\\\\\\n\\u0001"'


@given(st.text())
def test_any_name_stays_one_line_of_json(name: str) -> None:
    line = InfoTemplate(replace(PLAIN, server_name=name)).first(client_id=1, client_ip="::1")
    assert line.count(b"\n") == 1 and line.endswith(b"} \r\n")
    assert json.loads(line[5:])["server_name"] == name
