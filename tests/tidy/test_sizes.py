"""Files stay small: past the first number a warning asks to look again, past the second the run fails."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from tests.tidy.repository import forbid, paths, text, without_rust_tests

PY_PACKAGE_LINES_MAX = 2_000


def lines_of(path: str) -> int:
    """The lines of a file, those of the tests inside a Rust file left out."""
    source = text(path)
    return (without_rust_tests(source) if path.endswith(".rs") else source).count("\n")


def check(rule: str, files: Iterable[str], *, look_again: int, most: int) -> None:
    """Warns and forbids by number of lines."""
    sizes = {path: lines_of(path) for path in files}
    for path, lines in sizes.items():
        if look_again < lines <= most:
            warnings.warn(f"{path} has {lines} lines; {look_again} are a sign of a missing concept", stacklevel=2)
    forbid(rule, {path: f"has {lines} lines, at most {most}" for path, lines in sizes.items() if lines > most})


def is_test(path: str) -> bool:
    """Whether a Rust file is nothing but tests, benchmarks or examples."""
    return path.endswith("/tests.rs") or any(f"/{folder}/" in path for folder in ("tests", "benches", "examples"))


def test_python_modules_are_small() -> None:
    modules = [path for path in paths("services", "bench", "spec", suffix=".py") if not path.endswith("/app.py")]
    check("size", modules, look_again=400, most=600)


def test_composition_roots_only_wire() -> None:
    check("size", paths("services", suffix="/app.py"), look_again=200, most=250)


def test_python_test_modules_are_small() -> None:
    check("size", paths("tests", suffix=".py"), look_again=700, most=1_000)


def test_rust_files_are_small() -> None:
    sources = [path for path in paths("engine", "bench", suffix=".rs") if not is_test(path)]
    check("size", sources, look_again=700, most=1_000)


def test_rust_test_files_are_small() -> None:
    check("size", [path for path in paths("engine", suffix=".rs") if is_test(path)], look_again=700, most=1_000)


def test_the_bindings_stay_thin() -> None:
    total = sum(text(path).count("\n") for path in paths("engine/py", suffix=".rs"))
    assert total <= PY_PACKAGE_LINES_MAX, f"engine/py has {total} lines, at most {PY_PACKAGE_LINES_MAX}"
