"""What the documentation says can be done, can be done."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(program: str) -> set[str]:
    """The first word after `program` in every shell block of every page."""
    blocks = [body for page in PAGES for kind, body in BLOCK.findall(page.read_text()) if kind == "sh"]
    return set(re.findall(rf"^(?:\S+/)?{re.escape(program)} +([a-z][\w-]*)", "".join(blocks), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_named_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert commands("make")
    assert commands("make") <= targets


def test_named_stages_exist() -> None:
    stages = re.search(r"^STAGES=\((.*)\)$", (ROOT / ".ci" / "stages").read_text(), re.MULTILINE)
    assert stages is not None
    assert f"stages: {stages[1]}" in (ROOT / "CONTRIBUTING.md").read_text()


def test_named_commands_of_natsfleet_exist() -> None:
    usage = subprocess.run(
        [sys.executable, "-m", "services.cli.main", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    known = set(re.findall(r"^  ([a-z]+) ", usage, re.MULTILINE))
    assert commands("natsfleet") <= known
    assert {"server", "status"} <= commands("natsfleet")


def test_named_paths_exist() -> None:
    """Paths in back quotes that start in a folder of the repository, patterns and placeholders left out."""
    folders = "services|engine|tests|spec|docs|bench|deploy"
    for page in PAGES:
        for path in re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text()):
            if "NNNN" in path or path.endswith("spec/wire/name.txt"):
                continue
            assert (ROOT / path).exists(), f"{page.name} names {path}"


def test_python_blocks_are_python() -> None:
    for page in PAGES:
        for kind, body in BLOCK.findall(page.read_text()):
            if kind == "python":
                compile(body, str(page), "exec")
