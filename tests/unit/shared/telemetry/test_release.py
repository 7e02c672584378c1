"""What the program calls itself."""

import tomllib
from pathlib import Path

from services.shared.telemetry.release import PRODUCT, PRODUCT_VERSION, VERSION_LINE

PROJECT = Path(__file__).resolve().parents[4] / "pyproject.toml"


def test_the_version_is_the_distributions() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    assert (project["name"], project["version"]) == (PRODUCT, PRODUCT_VERSION)


def test_the_version_line_is_the_compatible_servers() -> None:
    assert VERSION_LINE == "nats-server: v2.15.1"
