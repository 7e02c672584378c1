"""A cluster under strain for as long as you like: servers are killed, clients come and go, and everything is audited.

    .venv/bin/python -m bench.soak --minutes 30 --ours 2 --real 2 [--seed N] [--logs FOLDER]

After each strike it waits until all routes are there, then compares what servers believe of each other's interest with
what clients asked for, and who hears what with who should. Ends with 1 at the first thing that is wrong, with the seed
and what had happened; the servers' logs are then in FOLDER.
"""

from __future__ import annotations

import argparse
import random
import sys
import traceback
from pathlib import Path

import trio

from tests.cluster.soaking.soak import Plan, soak


def main() -> int:
    """Runs the command and returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="A cluster under strain, audited.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--ours", type=int, default=2, help="servers of this project")
    parser.add_argument("--real", type=int, default=2, help="servers that are nats-server")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--logs", type=Path, default=Path("bench/results/soak"), help="folder for logs after a failure")
    options = parser.parse_args()
    plan = Plan(
        seed=options.seed, seconds=options.minutes * 60, ours=options.ours, real=options.real, logs=options.logs
    )
    print(f"seed {plan.seed}, {plan.ours} of ours and {plan.real} real servers", flush=True)
    try:
        outcome = trio.run(lambda: soak(plan, say=lambda text: print(text, flush=True)))
    except Exception:
        traceback.print_exc()
        return 1
    print(outcome)
    return 0


if __name__ == "__main__":
    sys.exit(main())
