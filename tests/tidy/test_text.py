"""What must not be written anywhere, and what has to be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from typing import Final

from tests.tidy.repository import ROOT, files, forbid, paths, text, tree

WRITTEN: Final = (".py", ".pyi", ".rs", ".toml", ".md", ".txt", ".conf", ".service", ".yml", ".lock")
UNFINISHED: Final = re.compile(
    r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b|NotImplemented" r"Error|\b(?:todo|unimplemented)!"
)
MACHINE: Final = re.compile(r"(?<![\w.~*-])/(?:work|root|home)/|/tm" r"p/v/")
REGISTRY: Final = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|crates\.io/(?:api|index)|index\.crates\.io|static\.crates\.io|proxy\.golang\.org)\b"
)


def written() -> list[str]:
    """Every text file of the repository."""
    without_suffix = [path for path in files() if "." not in path.rpartition("/")[2]]
    return [path for path in files() if path.endswith(WRITTEN)] + without_suffix


def found(pattern: re.Pattern[str]) -> dict[str, str]:
    """The first place in each file that matches."""
    places = {}
    for path in written():
        match = pattern.search(text(path))
        if match is not None:
            line = text(path).count("\n", 0, match.start()) + 1
            places[path] = f"line {line}: {match[0]!r}"
    return places


def test_nothing_is_left_unfinished() -> None:
    forbid("unfinished", found(UNFINISHED))


def test_no_path_of_a_certain_machine() -> None:
    forbid("machine", found(MACHINE))


def test_no_host_of_a_package_registry() -> None:
    forbid("registry", found(REGISTRY))


def test_every_text_file_ends_with_one_newline() -> None:
    forbid("newline", {
        path: "wanted one newline at the end"
        for path in written()
        # The corpus of the fuzz targets is input, byte for byte.
        if not path.startswith("engine/fuzz/corpus/")
        if text(path) and (not text(path).endswith("\n") or text(path).endswith("\n\n"))
    })  # fmt: skip


def test_every_module_says_what_it_is() -> None:
    """Public classes and functions are ruff's business (rules D1)."""
    silent = [path for path in paths("services", "bench", "spec", "tests", suffix=".py")
              if text(path) and not ast.get_docstring(tree(path))]  # fmt: skip
    rust = [path for path in paths("engine", "bench", suffix=".rs") if not text(path).startswith("//! ")]
    forbid("module-doc", dict.fromkeys([*silent, *rust], "has no description at its top"))


def test_generated_files_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, "spec/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_fact_in_spec_is_used() -> None:
    """By its name, or because a test reads its whole folder."""
    sources = [*paths("services", "tests", "bench", "spec", suffix=".py"), *paths("engine", suffix=".rs")]
    everything = "".join(text(path) for path in sources)
    unused = {}
    for path in files():
        folder, _, name = path.rpartition("/")
        if not path.startswith("spec/") or path.endswith(".py"):
            continue
        stem = name.partition(".")[0]
        reads_folder = re.search(rf'"{folder.removeprefix("spec/")}"|{re.escape(folder)}\b', everything)
        if not re.search(rf'["/]{re.escape(stem)}(?:\.\w+)?"', everything) and not (
            folder.count("/") and reads_folder and "glob(" in everything
        ):
            unused[path] = "is read by nobody"
    forbid("spec", unused)
