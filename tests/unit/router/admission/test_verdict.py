"""How connections are called in the log."""

from __future__ import annotations

import pytest

from services.router.admission.verdict import client_label, smallest


@pytest.mark.parametrize(
    ("version", "lang", "name", "label"),
    [
        ("", "", "", ""),
        ("", "py", "", "py"),
        ("1", "py", "nm", "v1:py:nm"),
        ("1", "", 'n"m', 'v1:n"m'),
    ],
)
def test_a_client_is_called_by_version_language_and_name(version: str, lang: str, name: str, label: str) -> None:
    assert client_label(version, lang, name) == label


def test_the_smallest_limit_ignores_those_that_are_none() -> None:
    assert smallest(-1, -1) == -1
    assert smallest(-1, 5) == 5
    assert smallest(7, 0) == 0
