"""The format of log lines, and that no text can forge one."""

from hypothesis import given
from hypothesis import strategies as st

from services.shared.telemetry.log import (
    LIMITED_PERIOD_NS,
    LIMITED_TEXTS_MAX,
    LINE_CHARS_MAX,
    Level,
    LineStyle,
    Logger,
    OncePerSecond,
    format_line,
    format_stamp,
)

STAMP = "2026/11/24 09:02:45.000042"


def line(text: str, *, level: Level = "INF", style: LineStyle = LineStyle(pid=7)) -> bytes:  # noqa: B008
    return format_line(level=level, text=text, stamp=STAMP, style=style)


def test_a_line_has_pid_time_level_and_text() -> None:
    assert format_stamp((2026, 11, 24, 9, 2, 45, 0, 0, 0), microsecond=42) == STAMP
    assert line("Server is ready") == b"[7] 2026/11/24 09:02:45.000042 [INF] Server is ready\n"


def test_a_line_without_time_has_no_gap() -> None:
    assert line("x", style=LineStyle(pid=7, logtime=False)) == b"[7] [INF] x\n"


def test_colours_wrap_the_level_only() -> None:
    assert (
        line("x", level="WRN", style=LineStyle(pid=7, logtime=False, colours=True)) == b"[7] [\x1b[0;93mWRN\x1b[0m] x\n"
    )


def test_a_text_cannot_forge_a_second_line() -> None:
    assert line("a\n[7] [INF] forged\r\x1b[2J\t").endswith(b"a\\n[7] [INF] forged\\r\\x1b[2J\t\n")


@given(st.text())
def test_every_text_stays_one_line(text: str) -> None:
    encoded = line(text)
    assert encoded.endswith(b"\n")
    assert len(encoded.decode().splitlines()) == 1


def test_a_long_text_is_cut() -> None:
    assert len(line("x" * (LINE_CHARS_MAX * 2))) < LINE_CHARS_MAX + 100


def test_a_text_passes_once_a_second() -> None:
    limit = OncePerSecond()
    assert [limit.allow("a", now_ns=at) for at in (0, 1, LIMITED_PERIOD_NS, LIMITED_PERIOD_NS + 1)] == [
        True, False, True, False,
    ]  # fmt: skip
    assert limit.allow("b", now_ns=1)


def test_the_memory_for_texts_is_bounded() -> None:
    limit = OncePerSecond()
    for number in range(LIMITED_TEXTS_MAX + 1):
        assert limit.allow(f"text {number}", now_ns=0)
    assert limit.allow("text 0", now_ns=0)
    assert not limit.allow(f"text {LIMITED_TEXTS_MAX}", now_ns=0)


def test_levels_that_are_off_are_not_emitted() -> None:
    emitted: list[tuple[str, str]] = []
    log = Logger(lambda level, text: emitted.append((level, text)), debug=True)
    log.debug("d")
    log.trace("t")
    log.warn_limited("w", now_ns=0)
    log.warn_limited("w", now_ns=1)
    log.fatal("f")
    assert emitted == [("DBG", "d"), ("WRN", "w"), ("FTL", "f")]
