"""`compression` between servers: all spellings, and the thresholds of `s2_auto`."""

from __future__ import annotations

import pytest

from services.shared.config.options import DEFAULT_RTT_THRESHOLDS_NS, CompressionOptions
from tests.kit.config_files import load

MS = 1_000_000


def compression(text: str) -> CompressionOptions:
    cluster = load(f"cluster {{ {text} }}").options.cluster
    assert cluster is not None
    return cluster.compression


@pytest.mark.parametrize(
    ("written", "mode"),
    [
        ("off", "off"),
        ("disabled", "off"),
        ("false", "off"),
        ("not_supported", "not supported"),
        ('"not supported"', "not supported"),
        ("accept", "accept"),
        ('""', "accept"),
        ("{}", "accept"),
        ("on", "s2_fast"),
        ("enabled", "s2_fast"),
        ("true", "s2_fast"),
        ("FAST", "s2_fast"),
        ("s2_better", "s2_better"),
        ("better", "s2_better"),
        ("best", "s2_best"),
        ("S2_Auto", "s2_auto"),
        ("{ mode: best }", "s2_best"),
        ('{ rtt_thresholds: ["1ms"] }', "accept"),
        ("Unheard", "Unheard"),
    ],
)
def test_a_mode_has_many_spellings(written: str, mode: str) -> None:
    assert compression(f"compression: {written}").mode == mode


def test_without_a_word_a_server_accepts_compression() -> None:
    assert compression("name: C") == CompressionOptions(mode="accept", rtt_thresholds_ns=DEFAULT_RTT_THRESHOLDS_NS)


@pytest.mark.parametrize("name", ["rtt_thresholds", "thresholds", "rtts", "rtt"])
def test_thresholds_are_durations_and_zeros_at_their_end_say_nothing(name: str) -> None:
    options = compression(f'compression {{ mode: auto, {name}: ["-1s", "20ms", "0s", "1s", "0s"] }}')
    assert options.rtt_thresholds_ns == (0, 20 * MS, 0, 1000 * MS)


def test_an_empty_list_of_thresholds_is_the_usual_one() -> None:
    assert compression("compression { mode: auto, rtts: [] }").rtt_thresholds_ns == DEFAULT_RTT_THRESHOLDS_NS
