"""Which features of a server a test of an outside suite needs, told from how the test starts its servers.

Stages follow `docs/client-suites.md`. A test belongs to the highest stage that any of its server starts needs. The lists
`nats_c.txt` and `nats_py.txt` hold one `STAGE NAME` a line; tests that start no server are not in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

# In rising order; what comes first needs least.
STAGES = {
    "1": "core protocol, flags, readiness, lame duck",
    "2": "users, tokens, permissions, accounts",
    "3": "TLS",
    "4": "nkeys",
    "4jwt": "operator mode: JWTs, resolvers",
    "5": "websocket",
    "6": "routes",
    "7": "JetStream, leafnodes and everything later",
}
# Stage, what its flags look like, what its configuration looks like.
SIGNS: Sequence[tuple[str, str, str]] = (
    ("7", r"-(js|jetstream|sd(=.*)?|store_dir)", r"\b(jetstream|leafnodes?|leaf|gateway|mqtt)\b"),
    ("6", r"-(cluster(_listen|_name)?|routes)(=.*)?", r"\b(cluster|routes)\b"),
    ("5", r"", r"\b(websocket|ws)\b"),
    ("4jwt", r"", r"\b(operators?|resolver\w*|trusted(_keys)?)\b"),
    ("4", r"", r"\bnkeys?\b"),
    ("3", r"-tls\w*(=.*)?", r"\b(tls|verify\w*)\b"),
    ("2", r"-(user|pass|auth)(=.*)?", r"\b(authorization|accounts|users|token|no_auth_user|system_account)\b"),
)
COMMENT = re.compile(r"(#|//).*")


def stage_of_start(arguments: Sequence[str], config: str) -> str:
    """The stage that one server start needs: its flags, and the text of its configuration file (includes resolved)."""
    plain = "\n".join(COMMENT.sub("", line) for line in config.splitlines()).lower()
    for stage, flag, words in SIGNS:
        if flag and any(re.fullmatch(f"-?{flag}", argument.lower()) for argument in arguments):
            return stage
        if re.search(words, plain):
            return stage
    return "1"


def highest_stage(stages: Sequence[str]) -> str:
    """The stage of a test, from those of its starts."""
    order = list(STAGES)
    return max(stages, key=order.index)


def read_list(path: Path) -> dict[str, str]:
    """Test name to stage."""
    tests: dict[str, str] = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            stage, _, name = line.partition(" ")
            if stage not in STAGES:
                raise ValueError(f"{path}: wanted a stage of {list(STAGES)}, found {line!r}")
            tests[name] = stage
    return tests


def format_list(tests: dict[str, str], *, about: str) -> str:
    """The text of a list, by stage and then by name."""
    order = list(STAGES)
    rows = sorted(tests.items(), key=lambda item: (order.index(item[1]), item[0]))
    return f"# {about}\n" + "".join(f"{stage} {name}\n" for name, stage in rows)
