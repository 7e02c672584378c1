"""What a reload does with ports, secrets and the record of changes; its texts are in `spec/config/reload.txt`."""

from __future__ import annotations

from typing import Any

import pytest

from services.shared.config.diff import Accepted, Refused, compare
from services.shared.config.options import (
    ClusterOptions,
    CompressionOptions,
    FleetOptions,
    Options,
    TlsOptions,
    WebsocketOptions,
)
from services.shared.records.record import fields, replace
from tests.kit.config_files import options


def _accepted(old: Options, new: Options) -> Accepted:
    outcome = compare(old=old, new=new)
    assert isinstance(outcome, Accepted)
    return outcome


def _reason(old: Options, new: Options) -> str:
    outcome = compare(old=old, new=new)
    assert isinstance(outcome, Refused)
    return outcome.reason


def test_nothing_changed_is_accepted() -> None:
    outcome = _accepted(Options(config_digest="sha256:0"), Options(config_digest="sha256:0"))
    assert outcome.lines == (
        "Reloaded: authorization users",
        "Reloaded: accounts",
        "Reloaded server configuration (sha256:0)",
    )
    assert outcome.changed == frozenset()


def test_the_record_names_the_fields_that_changed() -> None:
    text = "debug: true, max_payload: 5, accounts {A {}}, mappings {a: b}, server_tags: x"
    outcome = _accepted(options("port: 4222"), options(text))
    assert outcome.changed == {"log", "max_payload_bytes", "accounts", "mappings", "server_tags"}


class TestFreePorts:
    def test_minus_one_keeps_the_ports_in_use(self) -> None:
        running = Options(port=40001, http_port=40002, websocket=WebsocketOptions(port=40003, no_tls=True))
        new = Options(port=-1, http_port=-1, websocket=WebsocketOptions(port=-1, no_tls=True))
        outcome = _accepted(running, new)
        assert (outcome.options.port, outcome.options.http_port) == (40001, 40002)
        assert outcome.options.websocket == running.websocket
        assert outcome.changed == frozenset()

    def test_another_port_is_refused(self) -> None:
        reason = _reason(Options(port=40001), Options(port=40002))
        assert reason == "config reload not supported for Port: old=40001, new=40002"

    def test_a_free_port_is_not_opened_for_a_listener_that_was_not_there(self) -> None:
        assert _reason(Options(), Options(http_port=-1)) == "config reload not supported for HTTPPort: old=0, new=-1"


def test_tls_from_flags_cannot_be_lost() -> None:
    old = Options(tls=TlsOptions(), tls_from_flags=True)
    assert _reason(old, Options()) == "config reload not supported for TLS: old=true, new=false"


def test_own_options_are_fixed() -> None:
    reason = _reason(Options(), Options(fleet=FleetOptions(data_dir="d")))
    assert reason == "config reload not supported for fleet data_dir: old=, new=d"


def test_renewed_certificates_are_taken_over() -> None:
    old = Options(tls=TlsOptions(files_digest="a"), websocket=WebsocketOptions(tls=TlsOptions(files_digest="a")))
    new = Options(tls=TlsOptions(files_digest="b"), websocket=WebsocketOptions(tls=TlsOptions(files_digest="b")))
    outcome = _accepted(old, new)
    assert "Reloaded: tls = enabled" in outcome.lines
    assert outcome.changed == {"tls", "websocket"}


@pytest.mark.parametrize("secret", ["password", "token"])
def test_no_text_shows_a_secret(secret: str) -> None:
    old = WebsocketOptions(port=1, no_tls=True)
    changed: dict[str, Any] = {secret: "hush"}
    reason = _reason(Options(websocket=old), Options(websocket=replace(old, **changed)))
    assert "hush" not in reason and "[REDACTED]" in reason


# Options whose change says nothing, or whose line is not their own; everything else is named in a line or a refusal.
SILENT = {"mappings", "store_dir", "config_file", "accounts"}


def _other(value: object) -> object:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
    return value


SIMPLE = [
    item.name
    for item in fields(Options)
    if item.name not in SILENT and isinstance(getattr(Options(), item.name), bool | int | str)
]


@pytest.mark.parametrize("name", SIMPLE)
def test_no_change_of_an_option_goes_unmentioned(name: str) -> None:
    old = Options()
    changed: dict[str, Any] = {name: _other(getattr(old, name))}
    new = replace(old, **changed)
    outcome = compare(old=old, new=new)
    assert isinstance(outcome, Refused) or outcome.lines != _accepted(old, old).lines


def test_a_cluster_cannot_change_and_the_reason_shows_no_credentials() -> None:
    old = Options(cluster=ClusterOptions(name="C", port=6222, user="r", password="s3cret"))
    assert old.cluster is not None
    new = replace(old, cluster=replace(old.cluster, password="other", routes=("nats://r:s3cret@h:1",)))
    assert _reason(old, new) == (
        "config reload not supported for Cluster: old=C 0.0.0.0:6222 with 0 routes, new=C 0.0.0.0:6222 with 1 routes"
    )


def test_the_number_of_routes_may_change() -> None:
    old = Options(cluster=ClusterOptions(name="C", port=6222))
    assert old.cluster is not None
    for new in (replace(old.cluster, pool_size=-1), replace(old.cluster, accounts=("X",))):
        assert "Reloaded: cluster" in _accepted(old, replace(old, cluster=new)).lines


def test_how_the_tls_of_a_cluster_is_done_may_change() -> None:
    old = Options(cluster=ClusterOptions(port=6222, tls=TlsOptions(files_digest="a")))
    assert old.cluster is not None
    outcome = _accepted(old, replace(old, cluster=replace(old.cluster, tls=TlsOptions(files_digest="b"))))
    assert "Reloaded: cluster" in outcome.lines and outcome.changed == {"cluster"}
    assert _reason(old, replace(old, cluster=replace(old.cluster, tls=None)))
    assert _reason(old, replace(old, cluster=replace(old.cluster, compression=CompressionOptions(mode="off"))))


def test_a_free_cluster_port_is_no_change() -> None:
    old = Options(cluster=ClusterOptions(name="C", port=40_123))
    _accepted(old, replace(old, cluster=ClusterOptions(name="C", port=-1)))
