"""Every row of the tables in `spec/config` comes out as written there."""

from __future__ import annotations

import pytest

from services.shared.config.diff import Accepted, Refused, compare
from services.shared.config.errors import ConfigError
from services.shared.config.load import check_file, load_options, reload_options
from services.shared.config.options import Options
from services.shared.config.overrides import FlagOverrides
from services.shared.config.validation import validate_options
from tests.kit.config_files import reader
from tests.kit.config_tables import FILE, TABLES, ReloadRow, Row, reload_rows, rows, tls_files

ALWAYS_LOGGED = ("Reloaded: authorization users", "Reloaded: accounts")


def _outcome(row: Row) -> str:
    try:
        check_file(FILE, environ={}, read_file=reader({FILE: row.text, **tls_files()}))
    except ConfigError as error:
        return str(error).rstrip("\n")
    return "valid"


@pytest.mark.parametrize("table", TABLES)
def test_configurations_come_out_as_the_table_says(table: str) -> None:
    surprises = [f"{row.written}\n    got {out!r}" for row in rows(table) if (out := _outcome(row)) != row.outcome]
    assert not surprises, "\n".join(surprises)


def _next_options(row: ReloadRow, *, first: bool) -> Options:
    text = f'listen: "127.0.0.1:-1"\n{row.old if first else row.new}'
    read_file = reader({FILE: text, **tls_files()})
    load = load_options if first else reload_options
    options = load(flags=FlagOverrides(config_file=FILE), environ={}, read_file=read_file).options
    validate_options(options)
    return options


def _reload(row: ReloadRow) -> tuple[tuple[str, ...], str]:
    old = _next_options(row, first=True)
    try:
        new = _next_options(row, first=False)
    except ConfigError as error:
        return (), str(error).rstrip("\n")
    match compare(old=old, new=new):
        case Refused(reason=reason):
            return (), reason
        case Accepted(lines=lines):
            assert lines[-1] == f"Reloaded server configuration ({new.config_digest})"
            return tuple(line for line in lines[:-1] if line not in ALWAYS_LOGGED), ""


def test_reloads_come_out_as_the_table_says() -> None:
    surprises = [
        f"{row.written}\n    got {out}" for row in reload_rows() if (out := _reload(row)) != (row.lines, row.refused)
    ]
    assert not surprises, "\n".join(surprises)
