"""Names say what things are: no drawers for leftovers, and tests stand where their subject stands."""

from __future__ import annotations

import ast
import re
from pathlib import PurePosixPath
from typing import Final

from tests.tidy.repository import ROOT, forbid, paths, tree

LEFTOVERS: Final = frozenset(
    {"util", "utils", "utility", "utilities", "helper", "helpers", "common", "manager", "misc", "stuff"}
)


def test_no_module_is_a_drawer_for_leftovers() -> None:
    sources = [*paths("services", "tests", "bench", "spec", suffix=".py"), *paths("engine", "bench", suffix=".rs")]
    named = {path: LEFTOVERS & set(re.split(r"[/_.]", path)) for path in sources}
    forbid("names", {path: f"is called {', '.join(sorted(words))}" for path, words in named.items() if words})


def test_no_class_is_a_manager() -> None:
    classes = {
        path: [node.name for node in ast.walk(tree(path)) if isinstance(node, ast.ClassDef)]
        for path in paths("services", "bench", suffix=".py")
    }
    words = {path: [name for name in names if LEFTOVERS & set(_words(name))] for path, names in classes.items()}
    forbid("names", {path: f"has {', '.join(names)}" for path, names in words.items() if names})


def _words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*", name)]


def test_unit_tests_mirror_what_they_test() -> None:
    folders = {path: PurePosixPath(path).relative_to("tests/unit").parent for path in paths("tests/unit", suffix=".py")}
    forbid("mirror", {
        path: f"stands in {folder}, which is no folder of services or the repository"
        for path, folder in folders.items()
        if not (ROOT / "services" / folder).is_dir() and not (ROOT / folder).is_dir()
    })  # fmt: skip


def test_tests_are_named_as_behaviour() -> None:
    """A sentence needs three words beside `test`."""
    forbid("sentences", {
        path: f"has {node.name}"
        for path in paths("tests", suffix=".py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and node.name.count("_") < 3
    })  # fmt: skip
