"""When cyclic garbage is searched for."""

from __future__ import annotations

import gc

from services.shared.runtime import garbage


def test_the_search_goes_on_but_not_among_what_was_there_before() -> None:
    frozen_before = gc.get_freeze_count()
    try:
        garbage.hold_off()
        assert not gc.isenabled()
        garbage.resume()
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen_before
    finally:
        gc.unfreeze()
        gc.enable()
