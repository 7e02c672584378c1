"""The order of INFO and TLS handshake (wire protocol 1.16), as transcripts of steps."""

from __future__ import annotations

import pytest

from services.router.admission.tls_mode import TLS_AT_ONCE, Progress, Step, TlsMode, next_step, tls_mode
from services.shared.config.options import TlsOptions
from services.shared.records.record import replace

HELLO = b"\x16\x03\x01"


def steps(mode: TlsMode, *, hello: bytes = b"", choice: bytes = b"") -> list[Step]:
    """Every step until the end, for a client that sends `hello` before INFO and `choice` after it."""
    progress, taken = Progress(), []
    while not taken or taken[-1] not in (Step.SHAKE_HANDS, Step.STAY_CLEAR):
        step = next_step(mode, progress)
        assert step not in taken, "a step repeats"
        taken.append(step)
        match step:
            case Step.GREET:
                progress = replace(progress, greeted=True)
            case Step.AWAIT_HELLO:
                progress = replace(progress, waited_for_hello=True, received=hello)
            case Step.AWAIT_CHOICE:
                progress = replace(progress, waited_for_choice=True, received=choice)
            case Step.UNWRAP:
                progress = replace(progress, unwrapped=True, received=b"")
            case _:
                pass
    return taken


def test_info_comes_first_by_default() -> None:
    mode = tls_mode(TlsOptions(), allow_non_tls=False, proxied=False)
    assert steps(mode) == [Step.GREET, Step.SHAKE_HANDS]


def test_handshake_first_sends_nothing_before_tls() -> None:
    for clear_allowed in (False, True):
        mode = tls_mode(TlsOptions(handshake_first_delay_ns=0), allow_non_tls=clear_allowed, proxied=False)
        assert steps(mode) == [Step.SHAKE_HANDS]
    assert steps(TLS_AT_ONCE) == [Step.SHAKE_HANDS]


def test_auto_waits_for_a_client_that_begins() -> None:
    mode = tls_mode(TlsOptions(handshake_first_delay_ns=50_000_000), allow_non_tls=False, proxied=False)
    assert steps(mode, hello=HELLO) == [Step.AWAIT_HELLO, Step.SHAKE_HANDS]
    assert steps(mode, hello=b"CONNECT {}") == [Step.AWAIT_HELLO, Step.SHAKE_HANDS]


def test_auto_falls_back_to_info() -> None:
    mode = tls_mode(TlsOptions(handshake_first_delay_ns=50_000_000), allow_non_tls=False, proxied=False)
    assert steps(mode) == [Step.AWAIT_HELLO, Step.GREET, Step.SHAKE_HANDS]


@pytest.mark.parametrize(
    ("choice", "end"),
    [(HELLO, Step.SHAKE_HANDS), (b"CONNECT {}\r\n", Step.STAY_CLEAR), (b"", Step.STAY_CLEAR)],
)
def test_first_byte_chooses_where_both_are_allowed(choice: bytes, end: Step) -> None:
    mode = tls_mode(TlsOptions(), allow_non_tls=True, proxied=False)
    assert steps(mode, choice=choice) == [Step.GREET, Step.AWAIT_CHOICE, end]


def test_auto_and_non_tls_clients_go_together() -> None:
    mode = tls_mode(TlsOptions(handshake_first_delay_ns=1), allow_non_tls=True, proxied=False)
    assert steps(mode, choice=b"PING") == [Step.AWAIT_HELLO, Step.GREET, Step.AWAIT_CHOICE, Step.STAY_CLEAR]
    assert steps(mode, hello=HELLO) == [Step.AWAIT_HELLO, Step.SHAKE_HANDS]


def test_a_proxy_header_precedes_what_the_client_says() -> None:
    plain = tls_mode(TlsOptions(), allow_non_tls=True, proxied=True)
    assert steps(plain, choice=b"PING") == [Step.GREET, Step.UNWRAP, Step.AWAIT_CHOICE, Step.STAY_CLEAR]
    first = tls_mode(TlsOptions(handshake_first_delay_ns=0), allow_non_tls=False, proxied=True)
    assert steps(first) == [Step.UNWRAP, Step.SHAKE_HANDS]


def test_a_proxy_header_before_info_counts_as_a_client_that_begins() -> None:
    mode = tls_mode(TlsOptions(handshake_first_delay_ns=1), allow_non_tls=True, proxied=True)
    assert steps(mode, hello=b"PROXY UNKNOWN\r\n") == [Step.AWAIT_HELLO, Step.UNWRAP, Step.SHAKE_HANDS]
    assert steps(mode) == [Step.AWAIT_HELLO, Step.GREET, Step.UNWRAP, Step.AWAIT_CHOICE, Step.STAY_CLEAR]
