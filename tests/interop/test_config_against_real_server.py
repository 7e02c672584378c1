"""The tables in `spec/config` are what the real server says about these texts under `-t`, and our digests are its own.

Every row agrees, or is marked as deliberate; a row that stops being different is reported as well. Where a new release
of nats-server differs, a test here fails and shows the row.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.cli.flags import CheckFile, Run, SendSignal, Stop, check, failure, parse_command_line
from services.shared.config.errors import ConfigError
from services.shared.config.load import load_options
from tests.kit.config_tables import FILE, TABLES, Row, rows, tls_files
from tests.kit.servers import find_real_server

pytestmark = pytest.mark.real

AT_ONCE = 2
DEADLINE_S = 60
_PLACE = re.compile(r"^[\w./]+:\d+:\d+: ")
# What nats-server adds after it has recovered from its own panic.
_NOISE = "runtime error: invalid memory address or nil pointer dereference"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the TLS files that rows name."""
    folder = tmp_path_factory.mktemp("config")
    for name, content in tls_files().items():
        (folder / name).write_bytes(content)
    return folder


def _run(arguments: list[str], *, folder: Path, environ: Mapping[str, str] | None = None) -> tuple[str, str, int]:
    command = [find_real_server(), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, timeout=DEADLINE_S, encoding="utf-8", check=False
    )
    return done.stdout, done.stderr, done.returncode


def _verdict(text: str, *, folder: Path, number: int, environ: Mapping[str, str] | None = None) -> str:
    """`valid DIGEST` or the report of the real server, in a file of its own."""
    file = f"row{number}.conf"
    (folder / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    _, stderr, code = _run(["-t", "-c", file], folder=folder, environ=environ)
    report = stderr.removeprefix("nats-server: ").rstrip("\n").replace(file, FILE)
    return f"valid {report.rpartition('(')[2].rstrip(')')}" if code == 0 else report


def _our_verdict(text: str, *, files: Mapping[str, bytes], environ: Mapping[str, str] | None = None) -> str:
    def read_file(path: str) -> bytes:
        if path == FILE:
            return text.encode("utf-8", "surrogateescape")
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return files[path]

    stop = check(FILE, environ=environ or {}, read_file=read_file)
    report = stop.stderr.removeprefix("nats-server: ").rstrip("\n")
    return f"valid {report.rpartition('(')[2].rstrip(')')}" if stop.code == 0 else report


def _lines(report: str, *, placed: bool) -> list[str]:
    lines = [line for line in report.split("\n") if _NOISE not in line]
    return sorted(lines if placed else [_PLACE.sub("", line) for line in lines])


def _agrees(row: Row, real: str) -> bool:
    """The same lines, at the same places where nats-server names one. It stops at the first wrong type of a block."""
    if row.valid or real.startswith("valid"):
        return row.valid == real.startswith("valid")
    placed = row.placed and all(_PLACE.match(line) for line in real.split("\n")) == bool(_PLACE.match(row.outcome))
    ours, theirs = _lines(row.outcome, placed=placed), _lines(real, placed=placed)
    return ours == theirs or (len(ours) > len(theirs) and set(theirs) <= set(ours))


@pytest.mark.parametrize("table", TABLES)
def test_the_real_server_says_what_the_table_says(table: str, folder: Path) -> None:
    listed = rows(table)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        numbered = list(enumerate(listed))
        verdicts = list(pool.map(lambda pair: _verdict(pair[1].text, folder=folder, number=pair[0]), numbered))
    surprises = [
        f"{row.written}\n    nats-server: {real!r}"
        for row, real in zip(listed, verdicts, strict=True)
        if _agrees(row, real) is not row.agrees
    ]
    assert not surprises, "\n".join(surprises)


@pytest.mark.parametrize("table", TABLES)
def test_digests_are_those_of_the_real_server(table: str, folder: Path) -> None:
    accepted = [row for row in rows(table) if row.valid and row.agrees]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        numbered = list(enumerate(accepted))
        real = list(pool.map(lambda pair: _verdict(pair[1].text, folder=folder, number=pair[0]), numbered))
    assert [_our_verdict(row.text, files=tls_files()) for row in accepted] == real


@pytest.mark.parametrize(
    "text",
    [
        'server_name: "a<b>&c"',
        'server_name: "\\x01\\x08\\x0c\\x7f\\n\\t\\r\u2028é\\xff"',
        'server_name: "\\xc3\\xa9\udcff"',
        'server_metadata {"😀": "\ufffd", "b\\tc": "", a: "x", A: "y", "Zé": "z"}',
        "server_tags: []\nserver_metadata {}",
        # A key that a variable names is no unknown field, and the last `port` wins.
        "x: 1.0\ny: -2.50\nz: 0.0000001\nu: 123456789012345678901234.5\nv: 100000000000000000000.5\nw: 0.000001\n"
        "port: $x\nport: $y\nport: $z\nport: $u\nport: $v\nport: $w\nport: 4222",
        "d: 2020-01-01T10:10:10Z\nl: [1, 2 , {c: 1k, b: [true, off]}, -5GiB]\nport: $d\nport: $l\nport: 4222",
    ],
)
def test_every_kind_of_value_enters_the_digest_as_in_the_real_server(text: str, folder: Path) -> None:
    real = _verdict(text, folder=folder, number=0)
    assert real.startswith("valid")
    assert _our_verdict(text, files={}) == real


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        ("port: $E", {"E": "4222"}),
        ("port: $E", {"E": "$F", "F": "5k"}),
        ("debug: $E", {"E": "true"}),
        ("host: $E", {"E": "'a b'"}),
        ("host: $E", {"E": "a b"}),
        ("port: $E", {"E": ""}),
        ("host: $E", {"E": "a;b=5"}),
        ("authorization: $E", {"E": "{user: a, password: b}"}),
        ("port: $E", {"E": "$E"}),
        ("port: $E", {"E": "$F", "F": "$E"}),
        ("port: $E", {}),
    ],
)
def test_variables_from_the_environment_mean_the_same(text: str, environ: dict[str, str], folder: Path) -> None:
    assert _our_verdict(text, files={}, environ=environ) == _verdict(text, folder=folder, number=0, environ=environ)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("include 'x.conf'\nport: $p", {"x.conf": "p: 5"}),
        ("p: 5\ninclude 'x.conf'", {"x.conf": "port: $p"}),
        ("include x.conf", {"x.conf": "port: 1\nfoo: 2"}),
        ("include x.conf", {"x.conf": "port: 1 x"}),
        ("include x.conf", {"x.conf": "port"}),
        ("include x.conf", {"x.conf": "port: 99999999999999999999"}),
        ("include d/x.conf", {"d/x.conf": "include y.conf", "d/y.conf": "bad: 1"}),
        ("include /d/x.conf", {"d/x.conf": "port: 1"}),
        ("include ./d/../d/x.conf", {"d/x.conf": "port: a"}),
        ("include x.conf\nport: 2", {"x.conf": "port: 1"}),
        ("port: 2\ninclude x.conf", {"x.conf": "port: 1"}),
        ("include 'x.conf', port: 5", {"x.conf": "port: 1"}),
        ("include x.conf # comment", {"x.conf": "port: 1"}),
        ("{include x.conf}", {"x.conf": "port: 1"}),
        ("authorization {include x.conf}", {"x.conf": "user: a, password: b"}),
        ("accounts: {A: {users: [{user: a, include x.conf }]}}", {"x.conf": "password: b"}),
        ("include x.conf", {"x.conf": ""}),
        ("include x.conf", {"x.conf": "include nope.conf"}),
        ("include 'x.conf'port: 5", {"x.conf": "port: 1"}),
    ],
)
def test_includes_mean_the_same(text: str, files: dict[str, str], tmp_path: Path) -> None:
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    encoded = {name: content.encode() for name, content in files.items()}
    assert _our_verdict(text, files=encoded) == _verdict(text, folder=tmp_path, number=0)


COMMAND_LINES = [
    "-zzz", "--zzz=5", "-p abc", "-p=abc", "-p", "--port", "-D=maybe", "-D true", "foo", "version", "help", "VERSION",
    "-v", "--version", "-version=false -t", "-h", "--help", "-t", "-t -c", "-t -c nope.conf", "-t -c good.conf",
    "-t -c warn.conf", "-t -c bad.conf", "-c nope.conf", "---p 5", "-=5", "--=5", "-", "-- foo",
    "-p 99999999999999999999", "-p 0x10000000000000000", "-p 1_0 -t", "-p 0b11 -t", "-p 010 -t", "-p 08 -t",
    "--log_size_limit abc", "--log_size_limit 99999999999999999999", "--tls", "--tls --tlscert x",
    "--tlscert x --tlskey y", "--tlscert x", "--tlsverify", "--tls=false --tlscert x -t", "--tlscacert x", "-sl",
    "-t -c good.conf -p 5", "-c good.conf foo", "-t foo", "foo -t", "-v foo", "foo -v", "-t -c good.conf -zzz",
    "-t -c good.conf --tls", "-t -c warn.conf -p 5", "--no_advertise maybe", "--connect_retries x", "-DV=maybe -t",
    "-h=false -t", "-c good.conf -c bad.conf -t", "-h -zzz", "-p 5 version", "version foo", "help version", "-a",
    "-D -V -p",
]  # fmt: skip


def _our_end(arguments: list[str], folder: Path) -> tuple[str, str, int]:
    def read_file(path: str) -> bytes:
        return (folder / path).read_bytes()

    match parse_command_line(arguments):
        case Stop() as stop:
            pass
        case CheckFile(path=path):
            stop = check(path, environ={}, read_file=read_file)
        case Run(flags=flags):
            try:
                load_options(flags=flags, environ={}, read_file=read_file)
            except ConfigError as error:
                stop = failure(str(error))
            else:
                pytest.fail(f"{arguments} would run")
        case SendSignal():
            pytest.fail(f"{arguments} would send a signal")
    return stop.stdout, stop.stderr, stop.code


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_command_lines_end_the_same_way(line: str, folder: Path) -> None:
    (folder / "good.conf").write_text("port: -1\nhost: 127.0.0.1\n", encoding="utf-8")
    (folder / "warn.conf").write_text("port: -1\nhost: 127.0.0.1\nping_interval: 5\n", encoding="utf-8")
    (folder / "bad.conf").write_text("port: -1\nfoo: 1\n", encoding="utf-8")
    ours = _our_end(line.split(), folder)
    real = _run(line.split(), folder=folder)
    assert ours[1:] == real[1:]
    # The help is in our own words, and both print it or neither.
    assert ("Usage: nats-server" in ours[0]) == ("Usage: nats-server" in real[0])
    if "Usage" not in real[0]:
        assert ours[0] == real[0]
