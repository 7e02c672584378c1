"""The checklist itself: every line that has to be tested has a test that says so."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import REAL_ONLY

HERE = Path(__file__).parent
CLIENT_LINES = range(1, 70)
ROUTE_LINES = {*range(70, 88), 92, *range(96, 100)}
WEBSOCKET_LINES = range(134, 144)


def lines_with_a_test() -> set[int]:
    """The checklist numbers that docstrings of this folder name."""
    lines: set[int] = set()
    for path in HERE.glob("test_*.py"):
        for numbers in re.findall(r'"""Checklist ([\d, ]+)\."""', path.read_text()):
            lines |= {int(number) for number in numbers.split(",")}
    return lines


def test_every_line_about_what_is_there_has_a_test() -> None:
    missing = {*CLIENT_LINES, *ROUTE_LINES, *WEBSOCKET_LINES} - lines_with_a_test()
    assert not missing, f"no test names these lines of the checklist: {sorted(missing)}"


def test_every_exemption_names_an_existing_test() -> None:
    paths = (*HERE.glob("test_*.py"), *HERE.parent.glob("golden/test_*.py"))
    sources = "".join(path.read_text() for path in paths)
    for name in REAL_ONLY:
        assert f"def {name}(" in sources, f"the table of exemptions names {name}, which does not exist"
