"""Tests run, all of them, and wait for conditions instead of sleeping."""

from __future__ import annotations

import ast
import re
from typing import Final

from tests.tidy.repository import forbid, paths, text, tree

NOT_RUN: Final = frozenset({"skip", "skipif", "xfail", "importorskip"})
PYTHON_TESTS: Final = paths("tests", suffix=".py")
RUST_SOURCES: Final = paths("engine", "bench", suffix=".rs")


def _uses(path: str, names: frozenset[str], *, of: frozenset[str]) -> list[str]:
    return [
        f"{ast.unparse(node)} (line {node.lineno})"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value).split(".")[0] in of
    ]


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    python = {path: _uses(path, NOT_RUN, of=frozenset({"pytest", "unittest"})) for path in PYTHON_TESTS}
    rust = {path: re.findall(r"#\[ignore[^\]]*\]", text(path)) for path in RUST_SOURCES}
    forbid("skipped", {path: ", ".join(uses) for path, uses in {**python, **rust}.items() if uses})


def test_no_test_sleeps() -> None:
    python = {
        path: _uses(path, frozenset({"sleep"}), of=frozenset({"time", "trio", "asyncio"})) for path in PYTHON_TESTS
    }
    rust = {path: re.findall(r"thread::sleep\([^\n]*", text(path)) for path in paths("engine", suffix=".rs")}
    forbid("sleep", {path: ", ".join(uses) for path, uses in {**python, **rust}.items() if uses})
