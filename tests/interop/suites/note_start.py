"""Notes one server start in the file that `SUITE_STARTS` names. Run by the shim."""

from __future__ import annotations

import json
import os
import sys

from tests.interop.suites.shim import config_text


def main() -> None:
    """Appends one JSON line: the flags and the configuration."""
    arguments = sys.argv[1:]
    with open(os.environ["SUITE_STARTS"], "a") as starts:
        starts.write(json.dumps({"arguments": arguments, "config": config_text(arguments)}) + "\n")


if __name__ == "__main__":
    main()
