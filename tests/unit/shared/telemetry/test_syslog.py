"""Syslog frames, local and remote."""

import pytest

from services.shared.telemetry.syslog import SyslogTarget, SyslogUrlError, local_frame, parse_target, remote_frame

FIELDS = (2026, 11, 3, 9, 2, 5, 0, 0, 0)


def test_a_remote_frame_has_facility_zero_and_the_host() -> None:
    frame = remote_frame(level="INF", text="Starting nats-server", utc=FIELDS, host="vm", ident="nats-server", pid=9)
    assert frame == b"<5>2026-11-03T09:02:05Z vm nats-server[9]: Starting nats-server\n"


def test_a_local_frame_has_the_daemon_facility() -> None:
    frame = local_frame(level="ERR", text="a\nb", fields=FIELDS, ident="nats-server", pid=9)
    assert frame == b"<27>Nov  3 09:02:05 nats-server[9]: a\\nb\n"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("udp://h:1514", SyslogTarget(network="udp", host="h", port=1514)),
        ("tcp://[::1]", SyslogTarget(network="tcp", host="::1", port=514)),
        ("unix:///dev/log", SyslogTarget(network="unix", path="/dev/log")),
    ],
)
def test_urls_name_a_target(url: str, target: SyslogTarget) -> None:
    assert parse_target(url) == target


@pytest.mark.parametrize("url", ["foo://x", "nothing", "udp://h:port", "udp://[::1"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(SyslogUrlError):
        parse_target(url)
