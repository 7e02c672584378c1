"""What import contracts (`.importlinter`) cannot say: the world outside, the native module, dead modules."""

from __future__ import annotations

import ast
import re
from typing import Final

from tests.tidy.repository import forbid, imports, module_name, paths, text, tree

WORLD: Final = frozenset(
    {"trio", "anyio", "asyncio", "socket", "ssl", "select", "selectors", "threading", "multiprocessing", "concurrent",
     "subprocess", "random", "secrets", "uuid", "time"}
)  # fmt: skip
"""Modules that wait, draw lots or read the clock."""

ATTRIBUTES: Final = frozenset(
    {"os.environ", "os.getenv", "os.urandom", "os.getrandom", "os.fork", "os.system", "os.popen", "datetime.now",
     "datetime.utcnow", "datetime.today", "date.today"}
)  # fmt: skip
"""The same, hidden in modules that are otherwise harmless."""

MAY_TOUCH_THE_WORLD: Final = re.compile(
    r"services/(shared/runtime/.*|cli/.*|.*/?(app|__main__|[a-z0-9_]+_loop)\.py)", re.ASCII
)


def _world(path: str) -> list[str]:
    touched = [f"{name} (line {line})" for name, line in imports(path) if name.split(".")[0] in WORLD]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            touched += [f"{name} (line {node.lineno})"] if name in ATTRIBUTES else []
    return touched


def test_only_loops_and_the_runtime_touch_the_world() -> None:
    deciding = [path for path in paths("services", suffix=".py") if not MAY_TOUCH_THE_WORLD.fullmatch(path)]
    touched = {path: _world(path) for path in deciding}
    forbid("world", {path: "touches " + ", ".join(names) for path, names in touched.items() if names})


def test_only_the_engine_package_imports_the_native_module() -> None:
    users = {
        path: "imports _native; services.shared.engine is its only door"
        for path in paths("services", "bench", suffix=".py")
        if not path.startswith("services/shared/engine/")
        and any("_native" in name.split(".") for name, _ in imports(path))
    }
    forbid("native", users)


def test_nothing_of_the_product_imports_tests_or_the_benchmark() -> None:
    forbid("outside", {
        path: f"imports {name} (line {line})"
        for path in paths("services", suffix=".py")
        for name, line in imports(path)
        if name.split(".")[0] in ("tests", "bench", "spec")
    })  # fmt: skip


def test_no_module_is_dead() -> None:
    modules = paths("services", suffix=".py")
    imported = {name for path in modules for name, _ in imports(path)}
    named = "".join(text(path) for path in [*modules, "pyproject.toml"])
    dead = {
        path: "is imported by nobody in services"
        for path in modules
        if not path.endswith("__init__.py")
        and module_name(path) not in imported
        and not re.search(rf'"{re.escape(module_name(path))}[":]', named)
    }
    forbid("dead", dead)


def test_nothing_lives_directly_among_the_shared_libraries() -> None:
    direct = [path for path in paths("services/shared", suffix=".py") if path.count("/") == 2]
    assert direct == ["services/shared/__init__.py"]


def test_records_are_not_made_by_dataclasses() -> None:
    """Each class costs a start 0.3 ms that way, and `dataclasses.replace` knows nothing of the others."""
    forbid("records", {
        path: f"imports {name} (line {line}); services.shared.records.record has the same names"
        for path in paths("services", suffix=".py")
        if path != "services/shared/records/record.py"
        for name, line in imports(path)
        if name.split(".")[0] == "dataclasses"
    })  # fmt: skip
