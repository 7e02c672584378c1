"""Flags over the file, at start and on a reload."""

from __future__ import annotations

import pytest

from services.shared.config.errors import FileError, OptionErrors, ParseError, ValidationError
from services.shared.config.load import check_file, load_options, reload_options
from services.shared.config.options import Options, TlsCertificate
from services.shared.config.overrides import KEPT_ON_RELOAD, FlagOverrides, flags_after_start
from services.shared.records.record import fields
from tests.kit.config_files import FILE, load, reader
from tests.kit.config_tables import tls_files


def _flags(**given: object) -> FlagOverrides:
    return FlagOverrides(config_file=FILE, **given)  # type: ignore[arg-type]


def test_without_a_file_the_defaults_and_the_flags_count() -> None:
    loaded = load_options(flags=FlagOverrides(port=-1), environ={}, read_file=reader({}))
    assert loaded.options.port == -1
    assert loaded.options.config_file == loaded.options.config_digest == ""
    assert load_options(flags=FlagOverrides(), environ={}, read_file=reader({})).options == Options()


def test_a_given_flag_beats_the_file_even_when_it_says_no() -> None:
    loaded = load("debug: true, port: 1, host: h, log_file: f", flags=_flags(debug=False, port=2, log_file="g"))
    assert (loaded.options.log.debug, loaded.options.port, loaded.options.host) == (False, 2, "h")
    assert loaded.options.log.log_file == "g"


def test_a_port_of_zero_is_the_default_port() -> None:
    assert load("port: 1", flags=_flags(port=0)).options.port == 4222


def test_flags_of_users_are_laid_over_the_block() -> None:
    options = load("authorization {user: a, password: b, timeout: 5}", flags=_flags(password="c")).options
    assert (options.authorization.user, options.authorization.password) == ("a", "c")
    assert options.authorization.timeout_ns == 5_000_000_000


class TestTlsFlags:
    def test_they_replace_the_block(self) -> None:
        flags = _flags(tls_cert="ec.crt", tls_key="ec.key", tls_ca_cert="ec2.crt", tls_verify=True)
        options = load(
            "tls {cert_file: rsa.crt, key_file: rsa.key, timeout: 9}", flags=flags, files=tls_files()
        ).options
        assert options.tls is not None and options.tls_from_flags
        assert options.tls.certificates == (TlsCertificate(cert_file="ec.crt", key_file="ec.key"),)
        assert (options.tls.ca_file, options.tls.verify) == ("ec2.crt", True)
        assert options.tls.files_digest

    def test_tls_can_be_switched_off(self) -> None:
        options = load("tls {cert_file: ec.crt, key_file: ec.key}", flags=_flags(tls=False), files=tls_files()).options
        assert options.tls is None and not options.tls_from_flags

    @pytest.mark.parametrize(
        ("flags", "reason"),
        [
            (FlagOverrides(tls=True), "TLS Server certificate must be present and valid"),
            (FlagOverrides(tls_verify=True), "TLS Server certificate must be present and valid"),
            (FlagOverrides(tls_cert="ec.crt"), "TLS Server private key must be present and valid"),
            (
                FlagOverrides(tls_cert="x", tls_key="y"),
                "error parsing X509 certificate/key pair: open x: no such file or directory",
            ),
        ],
    )
    def test_they_must_make_sense(self, flags: FlagOverrides, reason: str) -> None:
        with pytest.raises(ValidationError) as refusal:
            load_options(flags=flags, environ={}, read_file=reader({}))
        assert str(refusal.value) == reason


class TestReload:
    def test_only_the_lasting_flags_survive(self) -> None:
        flags = _flags(port=1, debug=True, server_name="x", https_port=5, tls=True, tls_cert="a", log_size_limit=5)
        kept = flags_after_start(flags)
        assert kept == _flags(port=1, debug=True)

    def test_a_kept_flag_wins_over_the_new_file(self) -> None:
        flags = _flags(debug=False, server_name="x")
        options = reload_options(flags=flags, environ={}, read_file=reader({FILE: "debug: true"})).options
        assert (options.log.debug, options.server_name) == (False, "")

    def test_a_node_without_a_file_cannot_reload(self) -> None:
        with pytest.raises(FileError) as refusal:
            reload_options(flags=FlagOverrides(), environ={}, read_file=reader({}))
        assert str(refusal.value) == "can only reload config when a file is provided using -c or --config"

    def test_every_kept_flag_exists(self) -> None:
        assert {item.name for item in fields(FlagOverrides)} >= KEPT_ON_RELOAD


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileError) as refusal:
        check_file("nope.conf", environ={}, read_file=reader({}))
    assert str(refusal.value) == "open nope.conf: no such file or directory"


def test_checking_a_file_refuses_warnings_too() -> None:
    assert check_file(FILE, environ={}, read_file=reader({FILE: "port: 4222"})).startswith("sha256:797533eb")
    with pytest.raises(OptionErrors):
        check_file(FILE, environ={}, read_file=reader({FILE: "ping_interval: 5"}))
    with pytest.raises(ParseError):
        check_file(FILE, environ={}, read_file=reader({FILE: "port: [1"}))
