"""One process of a role, from the fork to its burial."""

import pytest

from services.supervisor.role_process import describe_end


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (9, "was killed by SIGKILL"),
        (139, "was killed by SIGSEGV"),
        (3 << 8, "exited with code 3"),
        (0, "exited with code 0"),
    ],
)
def test_the_end_of_a_process_is_told_in_words(status: int, text: str) -> None:
    assert describe_end(status) == text
