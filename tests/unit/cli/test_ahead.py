"""Which command lines are worth forking a role ahead for."""

import pytest

from services.cli.ahead import expects_node


@pytest.mark.parametrize("words", [[], ["-p", "-1"], ["-c", "n.conf", "-DV"], ["--name=t"]])
def test_a_node_is_expected(words: list[str]) -> None:
    assert expects_node(words)


@pytest.mark.parametrize(
    "words", [["-v"], ["--version"], ["help"], ["-t", "-c", "x"], ["-sl=quit=1"], ["--signal", "ldm"]]
)
def test_an_answer_is_expected(words: list[str]) -> None:
    assert not expects_node(words)
