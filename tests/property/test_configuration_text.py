"""Configuration text of any kind: read, or refused with a place, never anything else."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.shared.config.digest import config_digest
from services.shared.config.errors import ConfigError
from services.shared.config.parser import ConfigMap, Value, parse

WORDS = [
    "a", "listen", ":", "=", "{", "}", "[", "]", ",", "\n", " ", '"', "'", "(", ")", "#", "//", "$a", "$", "include",
    "1", "1k", "-1", "true", "1.5", "2024-01-02T03:04:05Z", "\\x41", "\t", "\x00", "é", "\udc80",
]  # fmt: skip
KEY = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
PLAIN = st.text(st.characters(codec="utf-8", categories=["L"]), max_size=8)
TREE = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | PLAIN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEY, inner, max_size=4),
    max_leaves=12,
)


def no_file(path: str) -> Any:
    """There is no file system here."""
    raise FileNotFoundError(2, "no such file", path)


def read(text: str) -> ConfigMap:
    """The map that a text stands for."""
    return parse(text, file="test.conf", environ={"a": "1"}, read_file=no_file)


def plain(value: Any) -> Any:
    """Values without their places."""
    data = value.data if isinstance(value, Value) else value
    if isinstance(data, dict):
        return {key: plain(member) for key, member in data.items()}
    return [plain(member) for member in data] if isinstance(data, list) else data


@given(st.lists(st.sampled_from(WORDS), max_size=30).map("".join))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        read(text)
    except ConfigError as error:
        assert str(error)


@given(st.dictionaries(KEY, TREE, max_size=5))
def test_indented_json_is_configuration(tree: dict[str, Any]) -> None:
    """Indented, because a number right before a bracket is not a number for nats-server."""
    assert plain(read(json.dumps(tree, ensure_ascii=False, indent=1))) == tree


@given(st.dictionaries(KEY, st.integers(0, 999), min_size=1, max_size=5))
def test_digest_does_not_see_order_and_layout(tree: dict[str, int]) -> None:
    spread = "\n".join(f"'{key}' = {value}  # said differently" for key, value in reversed(tree.items()))
    assert config_digest(read(json.dumps(tree))) == config_digest(read(spread))
