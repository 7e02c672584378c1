"""The list of exemptions is well formed."""

from __future__ import annotations

import datetime

from tests.tidy.repository import ROOT, exemptions


def test_every_exemption_has_a_file_a_date_and_a_reason() -> None:
    for entry in exemptions():
        assert (ROOT / entry.path).exists(), f"{entry.path} does not exist"
        assert type(entry.since) is datetime.date, f"{entry.path}: wanted a date, found {entry.since!r}"
        assert len(entry.reason.split()) >= 4, f"{entry.path}: the reason {entry.reason!r} says nothing"


def test_no_exemption_is_listed_twice() -> None:
    keys = [(entry.rule, entry.path) for entry in exemptions()]
    assert len(set(keys)) == len(keys)
