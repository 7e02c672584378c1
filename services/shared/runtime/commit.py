"""The git commit this program runs from, when it runs from a checkout; read from .git, without starting git."""

from __future__ import annotations

import os
from typing import Final

_ROOT: Final = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
_FILE_BYTES_MAX: Final = 1024 * 1024
_SHORT: Final = 7


def own_commit(root: str = _ROOT) -> str:
    """The first seven digits of the commit checked out at `root`; empty outside a checkout."""
    try:
        folder = _git_folder(root)
        head = _read(os.path.join(folder, "HEAD")).strip()
        reference = head.removeprefix("ref: ")
        commit = head if reference == head else _resolve(folder, reference)
    except (OSError, UnicodeDecodeError):
        return ""
    return commit[:_SHORT] if len(commit) >= _SHORT and commit.isalnum() else ""


def _git_folder(root: str) -> str:
    folder = os.path.join(root, ".git")
    if os.path.isdir(folder):
        return folder
    return os.path.join(root, _read(folder).strip().removeprefix("gitdir: "))  # a linked worktree


def _resolve(folder: str, reference: str) -> str:
    shared = folder
    try:
        shared = os.path.join(folder, _read(os.path.join(folder, "commondir")).strip())
    except FileNotFoundError:
        pass
    try:
        return _read(os.path.join(shared, reference)).strip()
    except FileNotFoundError:
        packed = _read(os.path.join(shared, "packed-refs"))
    for line in packed.splitlines():
        commit, _, name = line.partition(" ")
        if name == reference:
            return commit
    return ""


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read(_FILE_BYTES_MAX)
