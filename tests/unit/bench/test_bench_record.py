"""The history file, and the prerequisites that are found or named."""

import json
import os
from pathlib import Path

from bench import history
from bench.prerequisites import is_older


def test_a_run_is_one_line_that_says_where_and_when(tmp_path: Path) -> None:
    path = tmp_path / "history.ndjson"
    for commit in ("aaa", "bbb+"):
        line = history.entry(
            [{"case": "storm"}],
            commit=commit,
            date="2026-01-01T00:00:00+00:00",
            machine={"cpu": "x", "cores": 2},
            nats_server="2.15.1",
            rounds=5,
        )
        history.append(path, line)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["commit"] for line in lines] == ["aaa", "bbb+"]
    assert lines[0].keys() == {"commit", "date", "machine", "nats_server", "rounds", "rows"}
    assert lines[0]["rows"] == [{"case": "storm"}]


def test_the_processor_is_read_from_cpuinfo() -> None:
    assert history.cpu_model("processor\t: 0\nmodel name\t: Some CPU: fast\n") == "Some CPU: fast"
    assert history.cpu_model("") == "unknown"


def test_a_product_is_rebuilt_when_missing_or_older_than_a_source(tmp_path: Path) -> None:
    product, source = tmp_path / "product", tmp_path / "source"
    source.write_text("")
    assert is_older(product, [source])
    product.write_text("")
    os.utime(source, ns=(10**9, 10**9))
    os.utime(product, ns=(2 * 10**9, 2 * 10**9))
    assert not is_older(product, [source])
    os.utime(source, ns=(3 * 10**9, 3 * 10**9))
    assert is_older(product, [source])
