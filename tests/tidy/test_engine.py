"""What is absent from the engine's core on purpose. That unsafe blocks say why they are sound is clippy's business."""

from __future__ import annotations

import re
from typing import Final

from tests.tidy.repository import forbid, paths, text, without_rust_tests

TEST_MODULES: Final = {f"engine/core/src/{name}.rs" for name in re.findall(
    r"#\[cfg\(test\)\]\nmod (\w+);", text("engine/core/src/lib.rs"))}  # fmt: skip
CORE: Final = [
    path
    for path in paths("engine/core/src", suffix=".rs")
    if not path.endswith("/tests.rs") and path not in TEST_MODULES
]
SIMULATION: Final = [path for path in paths("engine/sim/src", suffix=".rs") if not path.endswith("/main.rs")]
"""What a seed decides. Its command line (`main.rs`) may look at the clock and at its arguments."""
WORLD: Final = re.compile(
    r"\bstd::(?:net|thread|fs|env|process|os)\b|\b(?:Instant|SystemTime)::now\b|\bthread_rng\b|\bpyo3\b|\blibc::"
)
PANICS: Final = re.compile(r"\.(?:unwrap|expect)\(|\b(?:panic|unreachable)!\(")


def code(path: str) -> str:
    """The source without tests and comments."""
    return re.sub(r"//[^\n]*", "", without_rust_tests(text(path)))


def found(pattern: re.Pattern[str], files: list[str]) -> dict[str, str]:
    """What matches in the code of each file."""
    matches = {path: sorted({match[0] for match in pattern.finditer(code(path))}) for path in files}
    return {path: ", ".join(what) for path, what in matches.items() if what}


def test_core_and_simulation_forbid_unsafe_code() -> None:
    for path in ("engine/core/src/lib.rs", "engine/sim/src/lib.rs"):
        assert "#![forbid(unsafe_code)]" in text(path), path


def test_core_and_simulation_touch_neither_clock_nor_threads_nor_sockets() -> None:
    forbid("core-world", found(WORLD, [*CORE, *SIMULATION]))


def test_core_cannot_panic_by_a_shortcut() -> None:
    forbid("core-panics", found(PANICS, CORE))
