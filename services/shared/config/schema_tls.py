"""The `tls` block (reference: operations 2.8, security 10).

Certificates, keys and CA files are read and checked here, since `-t` must report what is wrong with them. The resulting
`TlsOptions` still names paths: a listener loads them again, so that a reload picks up renewed certificates.
"""

from __future__ import annotations

import re
from typing import Final

from services.shared.config.assembly import Fields, assemble
from services.shared.config.errors import OptionProblem, describe_os_error
from services.shared.config.includes import ReadFile
from services.shared.config.key_pairs import KeyPairError, check_key_pair, holds_certificate
from services.shared.config.options import TlsCertificate, TlsOptions
from services.shared.config.reading import (
    Entry,
    go_type,
    last_position,
    list_of,
    map_of,
    read_block,
    seconds_or_duration,
    show,
    string_of,
    table,
)
from services.shared.config.units import MILLISECOND, DurationError, parse_duration_ns
from services.shared.config.unsupported import is_switched_off, refuse_unsupported
from services.shared.records.record import replace
from services.shared.wire.quote import quote

_FALLBACK_DELAY_NS: Final = 50 * MILLISECOND
_MIN_VERSIONS: Final = ("1.2", "1.3")
_OLD_VERSIONS: Final = ("1.0", "1.1")
_FINGERPRINT = re.compile(r"[0-9a-fA-F]{64}")

CIPHER_SUITES: Final = frozenset(
    (
        "TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    )
)
INSECURE_CIPHER_SUITES: Final = frozenset(
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
        "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
        "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
        "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA",
        "TLS_RSA_WITH_AES_128_CBC_SHA256",
        "TLS_RSA_WITH_AES_128_GCM_SHA256",
        "TLS_RSA_WITH_AES_256_CBC_SHA",
        "TLS_RSA_WITH_AES_256_GCM_SHA384",
        "TLS_RSA_WITH_RC4_128_SHA",
    )
)
CURVES: Final = frozenset(
    ("X25519", "CurveP256", "CurveP384", "CurveP521", "X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024")
)


class TlsFileError(Exception):
    """A file that a `tls` block names cannot be used; the text says which and why."""


def tls(entry: Entry, *, between_servers: bool = False) -> TlsOptions:
    """A `tls` block of a listener, its files checked. `between_servers`: it is that of a cluster or gateway."""
    rules = _RULES | _SERVER_RULES if between_servers else _RULES
    fields = read_block(map_of(entry.value), rules, entry.reading, unknown=_unknown)
    options, fault = _build(fields)
    if fault is not None:
        raise entry.problem(fault)
    try:
        return check_tls_files(options, read_file=entry.reading.read_file)
    except TlsFileError as error:
        raise entry.problem(str(error)) from None


def _build(fields: Fields) -> tuple[TlsOptions, str | None]:
    """The options, and what is wrong with their combination."""
    certificates = fields.pop("certificates", ())
    cert_file, key_file = fields.pop("cert_file", ""), fields.pop("key_file", "")
    insecure_allowed = fields.pop("allow_insecure_cipher_suites", False)
    options = assemble(TlsOptions(), fields)
    if isinstance(certificates, tuple) and certificates:
        if cert_file:
            return options, "error parsing tls config, cannot combine 'cert_file' option with 'certs' option"
        options = assemble(options, {"certificates": certificates})
    elif cert_file or key_file:
        if not key_file:
            return options, "missing 'key_file' in TLS configuration"
        if not cert_file:
            return options, "missing 'cert_file' in TLS configuration"
        pair = TlsCertificate(cert_file=str(cert_file), key_file=str(key_file))
        options = assemble(options, {"certificates": (pair,)})
    insecure = [suite for suite in options.cipher_suites if suite in INSECURE_CIPHER_SUITES]
    if insecure and not insecure_allowed:
        return options, (
            "insecure cipher suites configured without 'allow_insecure_cipher_suites' option set: "
            f"{', '.join(insecure)}"
        )
    return options, None


def check_tls_files(options: TlsOptions, *, read_file: ReadFile) -> TlsOptions:
    """The options with the digest of their files. Raises TlsFileError; also for options given as flags."""
    contents: list[bytes] = []
    count = len(options.certificates)
    for number, pair in enumerate(options.certificates, start=1):
        try:
            certificate, key = _read(pair.cert_file, read_file), _read(pair.key_file, read_file)
            check_key_pair(certificate_pem=certificate, key_pem=key)
        except (TlsFileError, KeyPairError) as error:
            which = f" {number}/{count}" if options.certificates_listed else ""
            raise TlsFileError(f"error parsing X509 certificate/key pair{which}: {error}") from None
        contents += (certificate, key)
    if options.ca_file:
        bundle = _read(options.ca_file, read_file)
        if not holds_certificate(bundle):
            raise TlsFileError("failed to parse root ca certificate")
        contents.append(bundle)
    return replace(options, files_digest=_digest(contents))


def _read(path: str, read_file: ReadFile) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise TlsFileError(describe_os_error(error, path)) from None


def _digest(contents: list[bytes]) -> str:
    from hashlib import sha256  # Loads OpenSSL; only configurations with TLS pay for it.

    return sha256(b"".join(sha256(content).digest() for content in contents)).hexdigest() if contents else ""


# Conversions.


def _unknown(entry: Entry) -> None:
    refuse_unsupported("tls", entry)
    if not is_switched_off("tls", entry) and not entry.value.referenced:
        raise entry.problem(f"error parsing tls config, unknown field {quote(entry.key)}")


def _file(entry: Entry) -> str:
    if isinstance(entry.value.data, str):
        return entry.value.data
    raise entry.problem(f"error parsing tls config, expected '{entry.key.lower()}' to be filename")


def _boolean(entry: Entry) -> bool:
    if isinstance(entry.value.data, bool):
        return entry.value.data
    raise entry.problem(f"error parsing tls config, expected '{entry.key.lower()}' to be a boolean")


def _verify_and_map(entry: Entry) -> dict[str, object]:
    mapped = _boolean(entry)
    return {"verify_and_map": mapped, "verify": True} if mapped else {"verify_and_map": False}


def _known_urls(entry: Entry) -> dict[str, object]:
    raise entry.problem("verify_cert_and_check_known_urls not supported in this context")


def _timeout(entry: Entry) -> int:
    return seconds_or_duration(entry, what="tls")


def _cipher_suites(entry: Entry) -> tuple[str, ...]:
    return _names(entry, known=CIPHER_SUITES | INSECURE_CIPHER_SUITES, complaint="unrecognized cipher")


def _curves(entry: Entry) -> tuple[str, ...]:
    return _names(entry, known=CURVES, complaint="unrecognized curve preference")


def _names(entry: Entry, *, known: frozenset[str], complaint: str) -> tuple[str, ...]:
    elements = list_of(entry.value)
    if not elements:
        raise entry.problem(f"error parsing tls config, '{entry.key.lower()}' cannot be empty")
    for element in elements:
        if string_of(element) not in known:
            raise OptionProblem(f"{complaint} {element.data}", at=element.at)
    return tuple(string_of(element) for element in elements)


def _min_version(entry: Entry) -> str:
    data = entry.value.data
    if not isinstance(data, str):
        raise entry.problem(f"error parsing tls config: 'min_version' wrong type: {show(data)}")
    if data in _OLD_VERSIONS:
        raise entry.problem(f"error parsing tls config: unsupported TLS version: TLS {data}")
    if data not in _MIN_VERSIONS:
        raise entry.problem(f"error parsing tls config: unknown version: {data}")
    return data


def _rate_limit(entry: Entry) -> int:
    data = entry.value.data
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    raise entry.problem("error parsing tls config, 'connection_rate_limit' wrong type")


def _pinned_certs(entry: Entry) -> tuple[str, ...]:
    meaning = "hex-encoded sha256 of DER encoded SubjectPublicKeyInfo"
    if not isinstance(entry.value.data, list):
        raise entry.problem(f"error parsing tls config, expected 'pinned_certs' to be a list of {meaning}")
    pins: list[str] = []
    for element in entry.value.data:
        pin = string_of(element).lower()
        if not _FINGERPRINT.fullmatch(pin):
            raise OptionProblem(
                f"error parsing tls config, 'pinned_certs' key {pin} does not look like {meaning}", at=element.at
            )
        pins.append(pin)
    return tuple(pins)


def _handshake_first(entry: Entry) -> int | None:
    """The delay before INFO goes out anyway: None = INFO first, 0 = never."""
    data = entry.value.data
    if isinstance(data, bool):
        return 0 if data else None
    if not isinstance(data, str):
        raise entry.problem(f'field "{entry.key.lower()}" should be a boolean or a string, got {go_type(data)}')
    match data.strip().lower():
        case "true" | "on":
            return 0
        case "false" | "off":
            return None
        case "auto" | "auto_fallback":
            return _FALLBACK_DELAY_NS
    try:
        # A delay of nothing, or less, is the same as waiting for ever in nats-server.
        return max(0, parse_duration_ns(data))
    except DurationError:
        raise entry.problem(f'field "{entry.key.lower()}"\'s value {quote(data)} is invalid') from None


def _certificates(entry: Entry) -> dict[str, object]:
    if not isinstance(entry.value.data, list):
        raise entry.problem(f"error parsing certificates config: unsupported type {go_type(entry.value.data)}")
    pairs: list[TlsCertificate] = []
    for element in entry.value.data:
        if not isinstance(element.data, dict):
            raise OptionProblem(
                f"error parsing certificates config: unsupported type {go_type(element.data)}", at=element.at
            )
        files: dict[str, str] = {}
        for key, value in element.data.items():
            if not isinstance(value.data, str):
                raise OptionProblem(
                    f"error parsing certificates config: unsupported type {go_type(value.data)}", at=value.at
                )
            if key not in ("cert_file", "key_file"):
                raise OptionProblem(f"error parsing tls certs config, unknown field {quote(key)}", at=value.at)
            files[key] = value.data
        if len(files) != 2:
            raise OptionProblem(
                "error parsing certificates config: both 'cert_file' and 'cert_key' options are required",
                at=last_position(element.data, element.at),
            )
        pairs.append(TlsCertificate(cert_file=files["cert_file"], key_file=files["key_file"]))
    return {"certificates": tuple(pairs), "certificates_listed": True}


_RULES: Final = table(
    ("cert_file", "cert_file", _file),
    ("key_file", "key_file", _file),
    ("certs certificates", "*", _certificates),
    ("ca_file", "ca_file", _file),
    ("verify", "verify", _boolean),
    ("verify_and_map", "*", _verify_and_map),
    ("verify_cert_and_check_known_urls", "*", _known_urls),
    ("insecure", "insecure", _boolean),
    ("timeout", "timeout_ns", _timeout),
    ("cipher_suites", "cipher_suites", _cipher_suites),
    ("allow_insecure_cipher_suites", "allow_insecure_cipher_suites", _boolean),
    ("curve_preferences", "curve_preferences", _curves),
    ("min_version", "min_version", _min_version),
    ("connection_rate_limit", "connection_rate_limit", _rate_limit),
    ("pinned_certs", "pinned_certs", _pinned_certs),
    ("handshake_first first immediate", "handshake_first_delay_ns", _handshake_first),
)
_SERVER_RULES: Final = table(("verify_cert_and_check_known_urls", "check_known_urls", _boolean))
