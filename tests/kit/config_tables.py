"""The tables in `spec/config`, and the files that their rows name."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

FOLDER = Path(__file__).resolve().parents[2] / "spec" / "config"
RELOADS = "reload"
TABLES = tuple(sorted(path.stem for path in FOLDER.glob("*.txt") if path.stem != RELOADS))
FILE = "node.conf"

_SIGNS = {"⏎": "\n", "␍": "\r", "␉": "\t", "␀": "\0"}
_PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row. `outcome` is `valid` or the report. `agrees`: nats-server says the same; `placed`: at the same place."""

    written: str
    text: str
    outcome: str
    agrees: bool
    placed: bool

    @property
    def valid(self) -> bool:
        return self.outcome == "valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadRow:
    """A reload: two configurations, and the lines of the log, or why it was refused."""

    written: str
    old: str
    new: str
    lines: tuple[str, ...]
    refused: str


def reload_rows() -> list[ReloadRow]:
    """The rows of the table of reloads."""
    return [_reload_row(line) for line in _lines(RELOADS)]


def _reload_row(line: str) -> ReloadRow:
    configurations, _, outcome = line.partition(" ==> ")
    old, new = (_decode("" if cell == "empty" else cell) for cell in configurations.split(" >> "))
    _, refused, reason = outcome.rpartition("refused: ")
    lines = () if refused or outcome == "nothing" else tuple(outcome.split("⏎"))
    return ReloadRow(
        written=line, old=old, new=new, lines=lines, refused=reason.replace("FILE:", f"{FILE}:") if refused else ""
    )


def rows(table: str) -> list[Row]:
    """The rows of a table, without its comments."""
    return [_row(line) for line in _lines(table)]


def _lines(table: str) -> list[str]:
    lines = (FOLDER / f"{table}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("# ")]


def _row(line: str) -> Row:
    for arrow, agrees, placed in ((" ==> ", True, True), (" =~> ", True, False), (" =!> ", False, False)):
        text, found, outcome = line.rpartition(arrow)
        if found:
            return Row(
                written=line,
                text=_decode(text),
                outcome=_decode(outcome).replace("FILE:", f"{FILE}:"),
                agrees=agrees,
                placed=placed,
            )
    raise ValueError(f"wanted `text ==> outcome`, got {line!r}")


def _decode(cell: str) -> str:
    for sign, char in _SIGNS.items():
        cell = cell.replace(sign, char)
    return cell


@cache
def tls_files() -> dict[str, bytes]:
    """Certificates and keys of several kinds under the names used in `tls.txt`, and files that are none."""
    keys: dict[str, _PrivateKey] = {
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ec2": ec.generate_private_key(ec.SECP256R1()),
        "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ed": ed25519.Ed25519PrivateKey.generate(),
    }
    files = {
        "junk.pem": b"hello\n",
        "empty.pem": b"",
        "badb64.pem": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    }
    for name, key in keys.items():
        files[f"{name}.crt"] = _certificate(name, key)
        files[f"{name}.key"] = key_pem(key)
    return files


def key_pem(key: _PrivateKey, form: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8) -> bytes:
    """A private key as PEM."""
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _certificate(name: str, key: _PrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)
