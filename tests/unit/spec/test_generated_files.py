"""Both languages carry what `spec/errors.toml` says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from services.shared.wire import errors
from services.shared.wire.close_reasons import CloseReason

ROOT = Path(__file__).resolve().parents[3]


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("spec_generate", ROOT / "spec/generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_generated_files_are_up_to_date() -> None:
    assert _generator().stale() == [], "run: python spec/generate.py"


def test_texts_close_with_the_reason_that_monitoring_shows() -> None:
    assert errors.CLOSES[errors.AUTHORIZATION_VIOLATION] is CloseReason.AUTHENTICATION_FAILURE
    assert errors.CLOSES[errors.UNKNOWN_PROTOCOL_OPERATION].text == "Protocol Violation"
    assert errors.INVALID_SUBJECT not in errors.CLOSES


def test_codes_are_stable_and_round_trip() -> None:
    assert CloseReason.CLIENT_CLOSED == 1
    assert CloseReason.PROXY_REQUIRED == 37
    assert [CloseReason(code).value for code in range(1, len(CloseReason) + 1)] == list(range(1, 38))


def test_every_reason_has_a_status_that_a_websocket_close_may_carry() -> None:
    assert {reason.ws_status for reason in CloseReason} == {1000, 1001, 1002, 1008, 1009, 1011, 1015}
    assert CloseReason.MAXIMUM_MESSAGE_PAYLOAD_EXCEEDED.ws_status == 1009


def test_subscription_violations_are_put_together_from_parts() -> None:
    text = errors.permissions_violation_for_subscription("a.b") + errors.violation_using_queue("q")
    assert text + errors.violation_sid(b"7") == (
        'Permissions Violation for Subscription to "a.b" using queue "q" (sid "7")'
    )
