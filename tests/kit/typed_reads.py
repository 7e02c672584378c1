"""Which attributes of which classes the modules of a package read, as the type checker sees it.

Names alone would not do: `port` and `user` are read everywhere, of everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from mypy import build, nodes, types
from mypy.modulefinder import BuildSource
from mypy.options import Options

REFERENCES = {"info", "node", "type", "setter"}
"""Members of a syntax tree's node that lead away from the tree."""


def reads_of(package: Path) -> Mapping[tuple[str, str], set[str]]:
    """The modules that read an attribute, by the full name of the class and the name of the attribute."""
    sources = [BuildSource(str(path), _module(path, package.parent), None) for path in sorted(package.rglob("*.py"))]
    options = Options()
    options.incremental = False
    options.export_types = options.preserve_asts = True
    options.ignore_missing_imports = options.ignore_errors = True
    options.python_executable = None
    result = build.build(sources, options)
    reads: dict[tuple[str, str], set[str]] = defaultdict(set)
    for source in sources:
        for member in _members(result.files[source.module]):
            for owner in _classes(result.types.get(member.expr)):
                reads[owner, member.name].add(source.module)
    return reads


def _module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _classes(read: types.Type | None) -> Iterator[str]:
    match types.get_proper_type(read):
        case types.UnionType(items=items):
            for item in items:
                yield from _classes(item)
        case types.Instance() as instance:
            yield instance.type.fullname


def _members(tree: nodes.MypyFile) -> Iterator[nodes.MemberExpr]:
    """Every `owner.attribute` that is read. Walks by hand: the checker's own visitors cannot be derived from."""
    seen: set[int] = set()
    waiting: list[object] = list(tree.defs)
    while waiting:
        node = waiting.pop()
        if isinstance(node, list | tuple):
            waiting += node
        if not isinstance(node, nodes.Node) or isinstance(node, nodes.Var | nodes.TypeInfo | nodes.MypyFile):
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, nodes.MemberExpr):
            yield node
        waiting += [getattr(node, name) for name in _child_names(type(node)) if hasattr(node, name)]


def _child_names(kind: type) -> list[str]:
    return [
        name
        for name in dir(kind)
        if not name.startswith("_")
        and name not in REFERENCES
        and type(getattr(kind, name)).__name__ == "getset_descriptor"
    ]
