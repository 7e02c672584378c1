"""The example configurations are what an operator could start with: `-t` takes each of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.certificates import CertificateAuthority
from tests.kit.servers import find_real_server, server_environment

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = sorted((ROOT / "deploy" / "configs").glob("*.conf"))
CHECK_S = 30.0


def check(program: list[str], config: Path, authority: CertificateAuthority) -> subprocess.CompletedProcess[str]:
    """Runs `-t` with everything in the environment that the examples take from it."""
    certificate = authority.issue_server()
    environment = server_environment() | {
        "TLS_CERT": str(certificate.cert_file), "TLS_KEY": str(certificate.key_file), "TLS_CA": str(authority.ca_file),
        "BILLING_PASSWORD": "b", "WATCH_PASSWORD": "w", "PAGE_PASSWORD": "p", "BACKEND_PASSWORD": "q", "NATS_TOKEN": "t",
    }  # fmt: skip
    return subprocess.run(
        [*program, "-t", "-c", str(config)], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=CHECK_S
    )


def test_there_are_examples() -> None:
    assert CONFIGS


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_example_is_valid(config: Path, authority: CertificateAuthority) -> None:
    done = check([sys.executable, "-m", "services.cli.main", "server"], config, authority)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_only_our_own_block_is_strange_to_nats_server(config: Path, authority: CertificateAuthority) -> None:
    done = check([find_real_server()], config, authority)
    own = "\nfleet {" in config.read_text()
    assert (done.returncode, 'unknown field "fleet"' in done.stderr) == (int(own), own), done.stderr


def test_image_is_built_from_files_that_exist_and_are_sent() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [line.split()[1:-1] for line in dockerfile.splitlines() if line.startswith("COPY ")]
    for source in (word for words in copies for word in words):
        assert (ROOT / source).exists(), f"the image copies {source}, which does not exist"
        assert any(source == entry or source.startswith(f"{entry}/") for entry in sent), f".dockerignore hides {source}"


def test_service_and_compose_name_files_that_exist() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    assert "dockerfile: deploy/Dockerfile" in compose
    assert os.access(ROOT / "deploy" / "systemd" / "natsfleet.service", os.R_OK)
