"""What two servers agree on, for every pair of modes (reference: wire protocol 2.8)."""

from __future__ import annotations

import pytest

from services.shared.member.compression import UnknownCompressionError, answer, choose

PACKED = ("s2_auto", "s2_uncompressed", "s2_fast", "s2_better", "s2_best")


@pytest.mark.parametrize("local", ["off", "not supported", "accept", *PACKED])
@pytest.mark.parametrize("remote", ["", "not supported", "off"])
def test_nothing_is_compressed_where_the_other_side_does_not_want_it(local: str, remote: str) -> None:
    assert choose(local, remote) == ""


@pytest.mark.parametrize("local", ["off", "not supported"])
@pytest.mark.parametrize("remote", ["accept", "zstd", *PACKED])
def test_nothing_is_compressed_where_we_do_not_want_it(local: str, remote: str) -> None:
    assert choose(local, remote) == ""


def test_two_that_only_accept_leave_it() -> None:
    assert choose("accept", "accept") == ""


@pytest.mark.parametrize("local", PACKED)
@pytest.mark.parametrize("remote", ["accept", *PACKED])
def test_each_side_tries_as_hard_as_it_is_configured_to(local: str, remote: str) -> None:
    assert choose(local, remote) == local


@pytest.mark.parametrize("remote", PACKED)
def test_who_accepts_does_as_the_other_side(remote: str) -> None:
    assert choose("accept", remote) == ("s2_fast" if remote == "s2_auto" else remote)
    assert choose("accept", remote.upper()) == choose("accept", remote)


@pytest.mark.parametrize("local", ["accept", *PACKED])
def test_what_is_no_mode_is_refused(local: str) -> None:
    with pytest.raises(UnknownCompressionError, match='"zstd"'):
        choose(local, "zstd")


def test_what_is_said_where_nothing_is_compressed_tells_why() -> None:
    assert answer("s2_fast", local="accept", remote="s2_fast") == "s2_fast"
    assert answer("", local="accept", remote="accept") == "off"
    assert answer("", local="off", remote="s2_fast") == "off"
    assert answer("", local="accept", remote="") == "not supported"
    assert answer("", local="accept", remote="not supported") == "not supported"
    assert answer("", local="not supported", remote="accept") == "not supported"
