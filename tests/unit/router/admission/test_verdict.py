"""How connections are called in the log."""

from __future__ import annotations

import pytest

from services.router.admission.hello import Hello
from services.router.admission.verdict import client_label, smallest


@pytest.mark.parametrize(
    ("hello", "label"),
    [
        (Hello(), ""),
        (Hello(lang="py"), "py"),
        (Hello(version="1", lang="py", name="nm"), "v1:py:nm"),
        (Hello(version="1", name='n"m'), 'v1:n"m'),
    ],
)
def test_a_client_is_called_by_version_language_and_name(hello: Hello, label: str) -> None:
    assert client_label(hello) == label


def test_the_smallest_limit_ignores_those_that_are_none() -> None:
    assert smallest(-1, -1) == -1
    assert smallest(-1, 5) == 5
    assert smallest(7, 0) == 0
