"""The commit is read from a checkout, a worktree, or is unknown."""

from pathlib import Path

from services.shared.runtime.commit import own_commit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_branch_is_followed_to_its_commit(tmp_path: Path) -> None:
    (tmp_path / ".git/refs/heads").mkdir(parents=True)
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git/refs/heads/main").write_text(COMMIT + "\n")
    assert own_commit(str(tmp_path)) == "0123456"


def test_packed_references_are_found(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / ".git/packed-refs").write_text(f"# pack-refs\n{'f' * 40} refs/heads/x\n{COMMIT} refs/heads/main\n")
    assert own_commit(str(tmp_path)) == "0123456"


def test_a_linked_worktree_is_followed(tmp_path: Path) -> None:
    (tmp_path / "git/worktrees/w").mkdir(parents=True)
    (tmp_path / "git/refs/heads").mkdir(parents=True)
    (tmp_path / "w").mkdir()
    (tmp_path / "w/.git").write_text(f"gitdir: {tmp_path}/git/worktrees/w\n")
    (tmp_path / "git/worktrees/w/HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / "git/worktrees/w/commondir").write_text("../..\n")
    (tmp_path / "git/refs/heads/main").write_text(COMMIT)
    assert own_commit(str(tmp_path / "w")) == "0123456"


def test_outside_a_checkout_there_is_no_commit(tmp_path: Path) -> None:
    assert own_commit(str(tmp_path)) == ""
