"""What the flags say about the cluster, over what the file says."""

from __future__ import annotations

import pytest

from services.shared.config.errors import ValidationError
from services.shared.config.options import ClusterOptions, Options
from services.shared.config.overrides import FlagOverrides, apply_flags

FILE = Options(
    cluster=ClusterOptions(name="C", host="10.0.0.1", port=6222, user="u", password="p", routes=("nats://a:1",))
)


def cluster(options: Options, **flags: object) -> ClusterOptions:
    given = apply_flags(options, FlagOverrides(**flags)).cluster  # type: ignore[arg-type]
    assert given is not None
    return given


def test_a_url_replaces_address_and_credentials() -> None:
    """Reference: operations 3.2: absent credentials clear those of the file."""
    given = cluster(FILE, cluster="nats://127.0.0.1:-1")
    assert given == ClusterOptions(name="C", host="127.0.0.1", port=-1, routes=("nats://a:1",))
    given = cluster(FILE, cluster="nats://x:y%21@h:7222")
    assert (given.host, given.port, given.user, given.password) == ("h", 7222, "x", "y!")


def test_routes_replace_the_list() -> None:
    assert cluster(FILE, routes="nats://b:2, nats://c:3").routes == ("nats://b:2", "nats://c:3")


def test_an_empty_url_takes_the_cluster_away() -> None:
    assert cluster(FILE, cluster="").port == 0


def test_the_other_flags_set_their_fields() -> None:
    given = cluster(
        Options(), cluster="nats://h:1", cluster_name="N", cluster_advertise="a:2", no_advertise=True, connect_retries=3
    )
    assert given == ClusterOptions(name="N", host="h", port=1, advertise="a:2", no_advertise=True, connect_retries=3)


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        ({"cluster": "nats://u@h:1"}, "expected cluster password to be set"),
        ({"cluster": "nats://h"}, "error parsing cluster URL: wanted a port after the host"),
        ({"routes": "nats://u:secret@h:x"}, 'error parsing route url ["nats://h:x"]'),
    ],
)
def test_what_cannot_be_is_refused(flags: dict[str, str], text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        apply_flags(Options(), FlagOverrides(**flags))
    assert str(refused.value) == text
