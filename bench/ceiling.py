"""What the generator itself can do: its own loads against its own sink, a server without logic."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Mapping, Sequence

from bench.cases import Case
from bench.rounds import Comparison, RoundFailed, run_generator
from bench.rows import figures
from bench.servers import HOST
from bench.table import quantity

# The sink serves publishers and fan-out only.
CASES = ("pub-1-128", "pubsub-1x1-16", "pubsub-1x1-128", "pubsub-1x1-65536", "fanout-1x16-128", "fanout-1x64-1024")
HEADER = f"{'case':<22}{'median':>10}{'lowest':>10}{'highest':>10}{'generator':>12}{'sink':>12}{'others':>12}"
_SERVED = ("pub-", "pubsub-", "fanout-")
_SINK_SECONDS = 60
_RUN_SECONDS_MAX = 30.0


def measure(comparison: Comparison, case: Case) -> Mapping[str, float]:
    """The figures of one round of a case, the sink in the place of the server. Raises RoundFailed."""
    if not case.name.startswith(_SERVED):
        raise RoundFailed(f"the sink has no subjects and cannot serve {case.name}, only {', '.join(_SERVED)}...")
    size = case.load[case.load.index("--size") + 1]
    command = [str(comparison.generator), "sink", "--size", size, "--seconds", str(_SINK_SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sink:
        try:
            if sink.stdout is None or not (line := sink.stdout.readline()):
                raise RoundFailed("the sink did not start")
            address = f"{HOST}:{json.loads(line)['port']}"
            result = run_generator(comparison.generator_command(case, [address], [sink.pid]), _RUN_SECONDS_MAX)
        finally:
            sink.kill()
    return figures(result)


def format_line(case: Case, rounds: Sequence[Mapping[str, float]]) -> str:
    """Median, lowest and highest rate, and the cores that generator, sink and strangers used."""
    rates = [one["per_second"] for one in rounds]
    columns = [quantity(pick(rates)) for pick in (statistics.median, min, max)]
    busy = [statistics.median(one[name] for one in rounds) for name in ("generator_busy", "server_busy", "others_busy")]
    return (
        f"{case.name:<22}"
        + "".join(f"{column:>10}" for column in columns)
        + "".join(f"{cores:>7.2f} core" for cores in busy)
    )
