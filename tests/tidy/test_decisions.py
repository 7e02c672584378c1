"""Decision records are numbered without a gap and say what they decide, since when, and how to go back."""

from __future__ import annotations

import datetime
import re
from typing import Final

import pytest

from tests.tidy.repository import files, paths, text

RECORDS: Final = paths("docs/adr", suffix=".md")
HEADER: Final = re.compile(
    r"# (?P<number>\d{4}|NNNN): \S.*\n\nStatus: (?P<status>.+)\nDate: (?P<date>\d{4}-\d\d-\d\d)\n\n", re.ASCII
)
STATUS: Final = re.compile(r"accepted|proposed|rejected|superseded by \d{4}", re.ASCII)
SECTIONS: Final = ["Context", "Decision", "Consequences", "Way back"]


@pytest.mark.parametrize("path", RECORDS)
def test_record_has_a_valid_header_and_all_sections(path: str) -> None:
    header = HEADER.match(text(path))
    assert header is not None, f"{path}: wanted '# NNNN: title', 'Status:' and 'Date:', found {text(path)[:80]!r}"
    number = path.rpartition("/")[2][:4]
    assert header["number"] == ("NNNN" if number == "0000" else number)
    assert STATUS.fullmatch(header["status"]), f"{path}: no such status: {header['status']}"
    assert datetime.date.fromisoformat(header["date"])
    assert re.findall(r"^## (.+)$", text(path), re.MULTILINE) == SECTIONS


def test_numbers_follow_each_other() -> None:
    numbers = [int(path.rpartition("/")[2][:4]) for path in RECORDS]
    assert numbers == list(range(len(RECORDS)))


def test_every_record_that_is_cited_exists() -> None:
    known = {path.rpartition("/")[2][:4] for path in RECORDS}
    cited = {number for path in files() if path.endswith((".py", ".rs", ".md", ".conf", ".toml"))
             for number in re.findall(r"\bADR-(\d{4})\b", text(path))}  # fmt: skip
    assert cited <= known, f"no such record: {sorted(cited - known)}"
