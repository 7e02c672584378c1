"""A command in a world of its own: private network, process ids and /etc/hosts, all gone when it ends.

The suites use fixed ports and leave servers behind when a test fails; inside, that harms nobody. `localhost` names both
127.0.0.1 and ::1 there, as some tests expect. Needs Linux namespaces (util-linux and iproute2) and root.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
SETUP = 'ip link set lo up && mount --bind "$0" /etc/hosts && exec "$@"'


def isolated(command: Sequence[str], *, folder: Path) -> list[str]:
    """The command line that runs `command` isolated; `folder` holds the hosts file."""
    missing = [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]
    if missing:
        raise SystemExit(f"wanted {missing}. Debian/Ubuntu: apt-get install util-linux iproute2")
    hosts = folder / "hosts"
    if not hosts.exists():
        hosts.write_text(HOSTS)
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    return ["unshare", *user, *namespaces, "--", "sh", "-c", SETUP, str(hosts), *command]
