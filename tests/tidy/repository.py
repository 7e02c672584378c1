"""The source tree as the tidy tests see it, and the exemptions from its rules.

A rule collects what offends against it, by path, and hands that to `forbid`. An offender passes when
`exemptions.toml` lists it under the rule, with a date and a reason; an entry that exempts nothing fails, so the list only
ever holds what is still true.
"""

from __future__ import annotations

import ast
import datetime
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
EXEMPTIONS: Final = Path(__file__).with_name("exemptions.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """One entry: this path may break this rule."""

    rule: str
    path: str
    since: datetime.date
    reason: str


@cache
def exemptions() -> tuple[Exemption, ...]:
    """All entries of `exemptions.toml`."""
    return tuple(Exemption(**row) for row in tomllib.loads(EXEMPTIONS.read_text(encoding="utf-8"))["exemption"])


def forbid(rule: str, offenders: Mapping[str, str]) -> None:
    """Fails for each path in `offenders` (path to what is wrong) that is not exempted, and for idle exemptions."""
    exempted = {entry.path for entry in exemptions() if entry.rule == rule}
    wrong = [f"{path}: {what}" for path, what in sorted(offenders.items()) if path not in exempted]
    idle = [f"{path}: no longer breaks the rule {rule!r}; remove it from {EXEMPTIONS.name}"
            for path in sorted(exempted - offenders.keys())]  # fmt: skip
    assert not wrong and not idle, "\n" + "\n".join(wrong + idle)


@cache
def files() -> tuple[str, ...]:
    """Every file that belongs to the repository, tracked or about to be, as a path from its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return tuple(sorted(path for path in set(listed.stdout.split("\0")) if path and (ROOT / path).is_file()))


def paths(*folders: str, suffix: str) -> list[str]:
    """The files below these folders whose name ends in `suffix`."""
    return [path for path in files() if path.endswith(suffix) and path.startswith(tuple(f"{f}/" for f in folders))]


@cache
def text(path: str) -> str:
    """What a file holds; bytes that are not UTF-8 become replacement characters."""
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


@cache
def tree(path: str) -> ast.Module:
    """A Python file, parsed."""
    return ast.parse(text(path), filename=path)


def imports(path: str) -> Iterator[tuple[str, int]]:
    """The modules that a Python file imports anywhere, each with its line: `a.b` for `from a import b`, too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def module_name(path: str) -> str:
    """`services/router/app.py` as `services.router.app`, a package's `__init__.py` as the package."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def without_rust_tests(source: str) -> str:
    """Rust source up to its `#[cfg(test)]` module."""
    return source.partition("\n#[cfg(test)]\nmod ")[0]
