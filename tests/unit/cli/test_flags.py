"""nats-server's command line; more lines are compared with the real server in `tests/interop`."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.flags import FLAGS, CheckFile, Run, SendSignal, Stop, check, parse_command_line
from services.cli.usage import USAGE, tls_help
from services.shared.config.overrides import FlagOverrides
from services.shared.config.unsupported_flags import UNSUPPORTED_FLAGS
from tests.kit.config_files import reader


def _run(line: str) -> FlagOverrides:
    parsed = parse_command_line(line.split())
    assert isinstance(parsed, Run), parsed
    return parsed.flags


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("", FlagOverrides()),
        ("-a h -p -1", FlagOverrides(host="h", port=-1)),
        ("--addr=h --port=0x10", FlagOverrides(host="h", port=16)),
        ("-net h -p 010", FlagOverrides(host="h", port=8)),
        ("-n x", FlagOverrides(server_name="x")),
        ("--server_name x --name y", FlagOverrides(server_name="y")),
        ("-P f -m 1 -ms 2", FlagOverrides(pid_file="f", http_port=1, https_port=2)),
        ("-c f -l g", FlagOverrides(config_file="f", log_file="g")),
        ("-D -V", FlagOverrides(debug=True, trace=True)),
        ("-D=false -T=0", FlagOverrides(debug=False, logtime=False)),
        ("-DV", FlagOverrides(debug=True, trace=True)),
        ("-VV", FlagOverrides(trace=True, trace_verbose=True)),
        ("--DVV", FlagOverrides(debug=True, trace=True, trace_verbose=True)),
        ("-s -r udp://h:1", FlagOverrides(syslog=True, remote_syslog="udp://h:1")),
        ("--log_size_limit 5 --max_traced_msg_len 6", FlagOverrides(log_size_limit=5, max_traced_msg_len=6)),
        ("--user a --pass b --auth c", FlagOverrides(user="a", password="b", token="c")),
        ("-sd=DIR", FlagOverrides(store_dir="DIR")),
        (
            "--tls --tlscert a --tlskey b --tlscacert c --tlsverify",
            FlagOverrides(tls=True, tls_cert="a", tls_key="b", tls_ca_cert="c", tls_verify=True),
        ),
        ("--user=", FlagOverrides(user="")),
        ("-p 5 --", FlagOverrides(port=5)),
        ("-js=false --profile 0", FlagOverrides()),
        (
            "--cluster nats://h:1 --cluster_name C --cluster_advertise a:2 --no_advertise --connect_retries 3 -routes nats://b:4",
            FlagOverrides(
                cluster="nats://h:1",
                cluster_name="C",
                cluster_advertise="a:2",
                no_advertise=True,
                connect_retries=3,
                routes="nats://b:4",
            ),
        ),
        ("--cluster_listen nats://h:1", FlagOverrides(cluster="nats://h:1")),
        ("-v=false -h=false -t=false", FlagOverrides()),
    ],
)
def test_flags_are_read(line: str, flags: FlagOverrides) -> None:
    assert _run(line) == flags


def test_a_value_may_look_like_a_flag() -> None:
    assert _run("--user -p") == FlagOverrides(user="-p")


@pytest.mark.parametrize("line", ["-v", "--version", "version", "-p 5 VERSION", "-t -v", "-v foo"])
def test_the_version_is_printed_as_scripts_expect_it(line: str) -> None:
    assert parse_command_line(line.split()) == Stop(stdout="nats-server: v2.15.1\n")


@pytest.mark.parametrize("line", ["-h", "--help", "help", "-D help"])
def test_help_is_printed(line: str) -> None:
    assert parse_command_line(line.split()) == Stop(stdout=USAGE)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("-zzz", "flag provided but not defined: -zzz"),
        ("-p abc", 'invalid value "abc" for flag -p: parse error'),
        ("-p 99999999999999999999", 'invalid value "99999999999999999999" for flag -p: value out of range'),
        ("-D=maybe", 'invalid boolean value "maybe" for -D: parse error'),
        ("--port", "flag needs an argument: -port"),
        ("---p 5", "bad flag syntax: ---p"),
    ],
)
def test_a_broken_command_line_gets_the_usage_and_exit_code_0(line: str, complaint: str) -> None:
    assert parse_command_line(line.split()) == Stop(stdout=USAGE, stderr=f"{complaint}\n", code=0)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("foo", 'unrecognized command: "foo"'),
        ("-D true", 'unrecognized command: "true"'),
        ("-t", "must specify [-c, --config] option to check configuration file syntax"),
        ("-js", 'flag "-jetstream" is not supported yet: streams and consumers are not served'),
        ("-c f -t --jetstream", 'flag "-jetstream" is not supported yet: streams and consumers are not served'),
        ("--profile 5", 'flag "-profile" is not supported yet: there is no profiling port'),
    ],
)
def test_refusals_go_to_stderr_with_exit_code_1(line: str, complaint: str) -> None:
    assert parse_command_line(line.split()) == Stop(stderr=f"nats-server: {complaint}\n", code=1)


def test_signals_come_before_everything_but_help() -> None:
    assert parse_command_line(["-sl", "ldm=12*", "-c", "f", "-js"]) == SendSignal(request="ldm=12*")
    assert parse_command_line(["--signal=reload", "-v"]) == Stop(stdout="nats-server: v2.15.1\n")


class TestCheck:
    def test_t_asks_to_check_the_file(self) -> None:
        assert parse_command_line(["-t", "-c", "f", "-p", "5"]) == CheckFile(path="f")

    def test_a_valid_file_is_named_with_its_digest(self) -> None:
        stop = check("f.conf", environ={}, read_file=reader({"f.conf": "port: 4222"}))
        digest = "sha256:797533ebd0dfba7d34a0f9337ecf147e442871f48ddfd07ed751575a5737267e"
        assert stop == Stop(stderr=f"nats-server: configuration file f.conf is valid ({digest})\n")

    def test_problems_are_listed_and_followed_by_an_empty_line(self) -> None:
        stop = check("f.conf", environ={}, read_file=reader({"f.conf": "a: 1, b: 2"}))
        assert stop.stderr == 'nats-server: f.conf:1:0: unknown field "a"\nf.conf:1:6: unknown field "b"\n\n'
        assert stop.code == 1

    def test_contradictions_between_options_are_not_its_matter(self) -> None:
        assert check("f", environ={}, read_file=reader({"f": "max_payload: 2, max_pending: 1"})).code == 0


def test_the_usage_lists_every_flag_and_no_other() -> None:
    listed: set[str] = set()
    for line in USAGE.splitlines():
        if match := re.match(r"\s+(-\S.*?)(?:  |$)", line):
            listed |= {name.lstrip("-") for name in re.findall(r"(?<!\S)--?[A-Za-z_]+", match[1])}
    assert listed == set(FLAGS)


def test_every_refused_flag_exists() -> None:
    assert set(UNSUPPORTED_FLAGS) <= {target for flag in FLAGS.values() for target in flag.targets}


def test_help_on_tls_names_what_the_block_accepts() -> None:
    text = tls_help()
    assert "TLS_AES_128_GCM_SHA256\n" in text and "TLS_RSA_WITH_RC4_128_SHA *\n" in text and "X25519MLKEM768" in text


WORDS = st.one_of(
    st.text(max_size=8), st.sampled_from([f"-{name}" for name in FLAGS] + ["--", "-p=", "5", "-D=", "-c=f", "---"])
)


@given(st.lists(WORDS, max_size=6))
def test_any_command_line_gets_an_answer(words: list[str]) -> None:
    assert isinstance(parse_command_line(words), Stop | SendSignal | CheckFile | Run)
