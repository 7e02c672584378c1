"""Secrets of the command line do not stay visible."""

from services.cli.redaction import redact_arguments


def test_secrets_disappear_in_every_form() -> None:
    argv = ["natsfleet", "server", "--user", "u", "-pass=p", "--auth=t=1", "-p", "4222"]
    assert redact_arguments(argv) == [
        "natsfleet", "server", "--user", "[REDACTED]", "-pass=[REDACTED]", "--auth=[REDACTED]", "-p", "4222",
    ]  # fmt: skip


def test_credentials_in_urls_disappear() -> None:
    argv = ["--cluster", "nats://u:p@h:1", "--routes=nats://a:b@h:1/x,nats://h:2"]
    assert redact_arguments(argv) == [
        "--cluster", "nats://_REDACTED_@h:1", "--routes=nats://_REDACTED_@h:1/x,nats://h:2",
    ]  # fmt: skip


def test_a_secret_flag_without_a_value_is_kept() -> None:
    assert redact_arguments(["--pass"]) == ["--pass"]
