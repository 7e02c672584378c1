"""Each dependency has a line in docs/dependencies.md that says why, and nothing else has one."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from tests.tidy.repository import paths, text


def python_dependencies() -> set[str]:
    """What pyproject.toml asks for, build and test tools included."""
    manifest = tomllib.loads(text("pyproject.toml"))
    project = manifest["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"], *manifest["build-system"]["requires"]]
    return {_name(requirement) for requirement in wanted}


def rust_dependencies() -> set[str]:
    """What the crates of the workspace ask for, other than each other."""
    names: set[str] = set()
    for path in paths("engine", "bench", suffix="Cargo.toml"):
        manifest: dict[str, Any] = tomllib.loads(text(path))
        tables = [manifest, manifest.get("workspace", {}), *manifest.get("target", {}).values()]
        for table in tables:
            for kind in ("dependencies", "dev-dependencies", "build-dependencies"):
                names |= {name for name in table.get(kind, {}) if not name.startswith("natsfleet-")}
    return names


def documented(heading: str) -> set[str]:
    """The names in the tables below a heading of docs/dependencies.md."""
    section = text("docs/dependencies.md").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \| \S.{15,}", section, re.MULTILINE)
    assert len(set(rows)) == len(rows), f"{heading}: a dependency is listed twice"
    return set(rows)


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement)[0]


def test_every_python_dependency_has_a_reason() -> None:
    assert documented("Python") == python_dependencies()


def test_every_rust_dependency_has_a_reason() -> None:
    assert documented("Rust") == rust_dependencies()


def test_every_python_dependency_is_pinned_in_the_lock() -> None:
    locked = [line for line in text("requirements.lock").splitlines() if line and not line.startswith("#")]
    loose = [line for line in locked if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!+]*", line)]
    assert not loose, f"not pinned: {loose}"
    names = {_name(line).lower().replace("_", "-") for line in locked}
    assert {name.lower().replace("_", "-") for name in python_dependencies()} <= names
