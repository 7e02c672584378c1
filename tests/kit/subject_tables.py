"""The tables in `spec/subjects`, which the engine's tests read as well (`engine/core/src/vectors.rs`)."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "spec" / "subjects"


def table_rows(name: str, *, cells: int) -> list[tuple[str, ...]]:
    """The cells of each row, without comments; a row with another number of cells is an error."""
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    rows = [tuple(cell.strip() for cell in line.split("|")) for line in lines if line.strip() and line[0] != "#"]
    for row in rows:
        assert len(row) == cells, f"{name}: wanted {cells} cells, got {row}"
    return rows


def cell_items(cell: str) -> list[str]:
    """The comma-separated items of a cell."""
    return [item.strip() for item in cell.split(",") if item.strip()]
