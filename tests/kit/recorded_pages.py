"""The recorded monitoring pages of the real server, in `tests/golden/monitoring`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "monitoring"


def recorded_page(name: str) -> Any:
    """A page read as JSON."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
