"""What a round asks of the generator and how it reads its answer."""

from pathlib import Path

import pytest

from bench.cases import all_cases, select
from bench.certificate import CertificateFiles, write_certificate
from bench.rounds import QUICK, Comparison, RoundFailed, read_result
from bench.servers import Launch, Node


def comparison(certificate: CertificateFiles | None = None) -> Comparison:
    launch = Launch(label="ours", command=("server",), folder=Path("folder"), certificate=certificate)
    return Comparison(generator=Path("generator"), ours=launch, theirs=launch, pace=QUICK)


def command(name: str, certificate: CertificateFiles | None = None) -> list[str]:
    case = select([name], all_cases())[0]
    return comparison(certificate).generator_command(case, ["127.0.0.1:1"], [7, 8])


def test_a_flow_is_timed_and_told_the_servers_processes() -> None:
    assert " ".join(command("queue-1x8-128")) == (
        "generator flow --shape queue --subscribers 8 --size 128 --addr 127.0.0.1:1 --server-pids 7,8 "
        "--transport tcp --seconds 0.8 --warmup 0.2"
    )


def test_a_cluster_is_loaded_from_its_first_server_to_its_last() -> None:
    case = select(["route-request-1x1-16"], all_cases())[0]
    asked = comparison().generator_command(case, ["127.0.0.1:1", "127.0.0.1:2"], [7])
    assert " ".join(asked).startswith(
        "generator request --connections 1 --size 16 --addr 127.0.0.1:1 --far-addr 127.0.0.1:2 --server-pids 7 "
    )


def test_a_server_of_a_cluster_dials_those_before_it() -> None:
    assert "--routes" not in Node(number=0, port=5, dials=()).flags()
    assert " ".join(Node(number=2, port=5, dials=(3, 4)).flags()) == (
        "--cluster_name bench --cluster nats://127.0.0.1:5 --server_name n2 "
        "--routes nats://127.0.0.1:3,nats://127.0.0.1:4"
    )


def test_idle_connections_are_counted_not_timed() -> None:
    assert "--seconds" not in command("idle-5000")
    assert "--warmup" not in command("storm")


def test_tls_trusts_the_certificate(tmp_path: Path) -> None:
    files = write_certificate(tmp_path)
    asked = command("tls-pubsub-1x1-128", files)
    assert asked[asked.index("--ca") + 1] == str(files.certificate)
    assert "--ca" not in command("ws-pubsub-1x1-128", files)
    assert files.key.stat().st_mode & 0o077 == 0


def test_an_error_of_the_generator_fails_the_round_with_what_was_lost() -> None:
    with pytest.raises(RoundFailed, match="no progress") as caught:
        read_result('{"error": "no progress: 1 of 4 messages delivered", "lost": 3}', "")
    assert caught.value.lost == 3


def test_no_result_is_a_failure_that_shows_what_was_printed() -> None:
    with pytest.raises(RoundFailed, match="unknown kind"):
        read_result("", "unknown kind")


def test_a_result_is_read_as_it_is() -> None:
    assert read_result('{"messages": 3}\n', "") == {"messages": 3}
