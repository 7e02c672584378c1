"""Every name that nats-server accepts is read or refused with a sentence, and none is both."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

import pytest

from services.shared.config import (
    schema,
    schema_accounts,
    schema_authorization,
    schema_cluster,
    schema_mappings,
    schema_permissions,
    schema_tls,
    schema_websocket,
)
from services.shared.config.errors import OptionErrors
from services.shared.config.reading import Rule
from services.shared.config.unsupported import UNSUPPORTED
from tests.kit.config_files import load
from tests.kit.config_tables import FOLDER

NAMES = {block: names.split() for block, names in tomllib.loads((FOLDER / "names.toml").read_text()).items()}
READ: dict[str, Mapping[str, Rule]] = {
    "top level": schema._RULES,
    "authorization": schema_authorization._RULES,
    "user": schema_authorization._USER_RULES,
    "permissions": schema_permissions._RULES,
    "responses": schema_permissions._RESPONSE_RULES,
    "account": schema_accounts._RULES,
    "limits": schema_accounts._LIMIT_RULES,
    "destination": schema_mappings._RULES,
    "tls": schema_tls._RULES,
    "cluster": schema_cluster._RULES,
    "cluster authorization": schema_cluster._AUTHORIZATION_RULES,
    "websocket": schema_websocket._RULES,
    "websocket authorization": schema_websocket._AUTHORIZATION_RULES,
}
OWN = {"fleet"}


@pytest.mark.parametrize("block", NAMES)
def test_the_tables_know_these_names_and_no_others(block: str) -> None:
    refused = set(UNSUPPORTED.get(block, ()))
    assert not refused & set(READ[block])
    assert refused | set(READ[block]) == set(NAMES[block]) | (OWN if block == "top level" else set())


@pytest.mark.parametrize("name", sorted(UNSUPPORTED["top level"]))
def test_a_refusal_names_the_option_and_its_place(name: str) -> None:
    with pytest.raises(OptionErrors, match=rf'^node.conf:2:1: option "{name}" is not supported yet: \w.*\n$'):
        load(f"port: -1\n{name.title()}: {{x: 1}}" if name == "jetstream" else f"port: -1\n{name.title()}: x1")
