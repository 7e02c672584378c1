"""No option is accepted and then ignored: whatever a file or a flag can set is read by a part that acts on it.

Showing an option does not count as acting on it. What is in order for another reason stands in a table here, with the
reason; a row that is not needed any more fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from services.cli.flags import FLAGS, Run, parse_command_line
from services.shared.config import options
from services.shared.config.errors import ValidationError
from services.shared.config.options import Options
from services.shared.config.overrides import FlagOverrides, apply_flags
from services.shared.config.unsupported import UNSUPPORTED
from services.shared.config.unsupported_flags import UNSUPPORTED_FLAGS
from services.shared.records.record import fields
from tests.kit.typed_reads import reads_of

SERVICES = Path(__file__).resolve().parents[4] / "services"
NOT_ACTING = ("services.shared.config", "services.router.views", "services.supervisor.banner")
"""Who reads options only to check or to show them."""

USED_WHILE_READING = {
    "AccountOptions.stream_exports": "say who may import; an import that is not admitted is refused",
    "StreamExport.subject": "the same",
    "StreamExport.accounts": "the same",
    "StreamExport.account_token_position": "the same",
    "ServiceExport.subject": "the same",
    "ServiceExport.accounts": "the same",
    "ServiceExport.account_token_position": "the same",
    "AuthorizationOptions.permissions": "filled into the users that have none of their own",
    "TlsOptions.certificates_listed": "words the complaint about a certificate",
    "TlsOptions.files_digest": "makes renewed certificates a difference on reload",
    "Options.tls_from_flags": "refuses a reload",
    "Options.config_file": "where a reload reads again",
    "Options.config_digest": "identifies the file; set by no option",
}
"""Fields that the configuration itself uses up."""

WITHOUT_OBJECT = {
    "AccountLimits.max_leafnodes": "leafnodes",
    "AccountOptions.nkey": "operator",
    "Options.store_dir": "jetstream",
}
"""Fields that say something about a part that is refused as a whole, by the option that would ask for it. Without that
option nats-server does nothing about them either. Once the part is there, it has to read them."""


@cache
def unread() -> frozenset[str]:
    """The fields of all records of options that no acting module reads."""
    reads = reads_of(SERVICES)
    return frozenset(
        f"{record.__name__}.{field.name}"
        for record in records()
        for field in fields(record)
        if all(
            module.startswith(NOT_ACTING)
            for module in reads.get((f"{record.__module__}.{record.__name__}", field.name), ())
        )
    )


def records() -> Iterator[type]:
    """The records of options."""
    for value in vars(options).values():
        if isinstance(value, type) and value.__module__ == options.__name__:
            yield value


def test_every_option_is_read_by_a_part_that_acts_on_it() -> None:
    assert unread() == USED_WHILE_READING.keys() | WITHOUT_OBJECT.keys()


def test_a_part_that_is_refused_is_still_refused() -> None:
    assert set(WITHOUT_OBJECT.values()) <= set(UNSUPPORTED["top level"])


def example(name: str) -> list[str]:
    """The flag with a value that is not the default."""
    if FLAGS[name].convert("1", name) is True:
        return [f"-{name}={str(name not in ('T', 'logtime')).lower()}"]
    return [f"-{name}", "7"]


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_every_flag_has_an_effect(name: str) -> None:
    answer = parse_command_line(example(name))
    if answer != Run(flags=FlagOverrides()):
        assert not isinstance(answer, Run) or changes_options(answer.flags)
        return
    raise AssertionError(f"-{name} is accepted and ignored")


@pytest.mark.parametrize("name", sorted(UNSUPPORTED_FLAGS))
def test_a_flag_of_a_missing_feature_is_refused(name: str) -> None:
    answer = parse_command_line(example(name))
    assert not isinstance(answer, Run)
    assert f'flag "-{name}" is not supported yet: ' in getattr(answer, "stderr", "")


def changes_options(flags: FlagOverrides) -> bool:
    """Whether the options differ, or cannot be made of these flags alone."""
    try:
        return bool(flags.config_file) or apply_flags(Options(), flags) != Options()
    except ValidationError:
        return True
