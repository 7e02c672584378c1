"""`compression` between servers: a mode, true or false, or a map (reference: operations 2.2, wire protocol 2.8).

As with nats-server the mode is only held against those that exist when everything was read (`check_compression`).
"""

from __future__ import annotations

from typing import Final

from services.shared.config.assembly import assemble
from services.shared.config.errors import ValidationError
from services.shared.config.options import DEFAULT_RTT_THRESHOLDS_NS, CompressionOptions
from services.shared.config.reading import Entry, go_type, list_of, read_block, string, string_of, table
from services.shared.config.units import DurationError, format_duration, parse_duration_ns
from services.shared.wire.quote import quote

_THRESHOLDS_MAX: Final = 4
_SPELLINGS: Final = {
    "off": "off",
    "disabled": "off",
    "false": "off",
    "not supported": "not supported",
    "not_supported": "not supported",
    "accept": "accept",
    "s2_auto": "s2_auto",
    "auto": "s2_auto",
    "s2_fast": "s2_fast",
    "fast": "s2_fast",
    "s2_better": "s2_better",
    "better": "s2_better",
    "s2_best": "s2_best",
    "best": "s2_best",
}
_ON: Final = ("on", "enabled", "true")


def compression(entry: Entry, *, default: str, on: str) -> CompressionOptions:
    """The value with the mode's proper name; one that does not exist stays for `check_compression`.

    `default` is the mode where none is named, `on` the one that "on" stands for.
    """
    data = entry.value.data
    if isinstance(data, bool | str):
        written = data if isinstance(data, str) else "true" if data else "false"
        return CompressionOptions(mode=_mode(written, default=default, on=on))
    if not isinstance(data, dict):
        raise entry.problem(f'field "{entry.key}" should be a boolean or a structure, got {go_type(data)}')
    fields = {"mode": ""} | read_block(data, _RULES, entry.reading)
    fields["mode"] = _mode(str(fields["mode"]), default=default, on=on)
    return assemble(CompressionOptions(mode=default), fields)


def check_compression(options: CompressionOptions) -> None:
    """Raises ValidationError for a mode that does not exist, and for thresholds that `s2_auto` cannot follow."""
    if options.mode not in _SPELLINGS.values():
        raise ValidationError(f"unsupported compression mode {quote(options.mode)}")
    if options.mode != "s2_auto":
        return
    thresholds = options.rtt_thresholds_ns
    shown = f"[{' '.join(format_duration(threshold) for threshold in thresholds)}]"
    highest = 0
    for threshold in thresholds:
        if 0 < threshold < highest:
            raise ValidationError(f"RTT threshold values {shown} should be in ascending order")
        highest = max(highest, threshold)
    if len(thresholds) > _THRESHOLDS_MAX:
        raise ValidationError(
            f'compression mode "s2_auto" should have no more than {_THRESHOLDS_MAX} RTT thresholds: {shown}'
        )
    if not highest:
        raise ValidationError('compression mode "s2_auto" requires at least one RTT threshold')


def _mode(written: str, *, default: str, on: str) -> str:
    lower = written.lower()
    if not lower:
        return default
    return on if lower in _ON else _SPELLINGS.get(lower, written)


def _thresholds(entry: Entry) -> tuple[int, ...]:
    """Nanoseconds, zeros at the end left out: they would leave out an effort that nothing follows."""
    try:
        thresholds = [max(0, parse_duration_ns(string_of(element))) for element in list_of(entry.value)]
    except DurationError as error:
        raise entry.problem(str(error)) from None
    if not thresholds:
        return DEFAULT_RTT_THRESHOLDS_NS
    while len(thresholds) > 1 and thresholds[-1] == 0:
        thresholds.pop()
    return tuple(thresholds)


_RULES: Final = table(
    ("mode", "mode", string),
    ("rtt_thresholds thresholds rtts rtt", "rtt_thresholds_ns", _thresholds),
)
