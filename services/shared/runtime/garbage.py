"""Python's search for cyclic garbage: off while a process loads its modules, since nearly all that they make stays."""

from __future__ import annotations

import gc


def hold_off() -> None:
    """No search from now on. For a time in which much is made and little thrown away."""
    gc.disable()


def resume() -> None:
    """Searches again, but not among what is there already."""
    gc.freeze()
    gc.enable()
