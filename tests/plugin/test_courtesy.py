"""Settings of the process that are changed while something runs."""

from __future__ import annotations

import gc
import sys

from napari_stemnmf.plugin.courtesy import SWITCH_SECONDS, Courtesy


def test_settings_are_changed_by_the_first_and_restored_by_the_last() -> None:
    before, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    courtesy = Courtesy()
    for _ in range(2):
        courtesy.begin()
        courtesy.begin()
        courtesy.end()
        assert abs(sys.getswitchinterval() - SWITCH_SECONDS) < 1e-6
        assert gc.get_freeze_count() > frozen
        courtesy.end()
        assert sys.getswitchinterval() == before
        assert gc.get_freeze_count() <= frozen
