"""Settings of the process that are changed while something runs."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from typing import Any

from napari_stemnmf.plugin.jobs.tasks import SWITCH_SECONDS, GuiPriority


class Knot:
    """Garbage that only a collection finds."""

    def __init__(self, said: list[int]) -> None:
        self.own = self
        weakref.finalize(self, lambda: said.append(threading.get_ident()))


def test_settings_are_changed_by_the_first_and_restored_by_the_last(qtbot: Any) -> None:
    before, frozen = sys.getswitchinterval(), gc.get_freeze_count()
    priority = GuiPriority()
    for _ in range(2):
        priority.begin()
        priority.begin()
        priority.end()
        assert abs(sys.getswitchinterval() - SWITCH_SECONDS) < 1e-6
        assert gc.get_freeze_count() > frozen
        assert not gc.isenabled()
        priority.end()
        assert sys.getswitchinterval() == before
        assert gc.get_freeze_count() <= frozen
        assert gc.isenabled()


def test_meanwhile_garbage_is_collected_in_the_window_s_thread_only(qtbot: Any) -> None:
    deleted_in: list[int] = []
    priority = GuiPriority()
    priority.begin()
    try:
        thread = threading.Thread(target=lambda: [Knot(deleted_in) for _ in range(3000)])
        thread.start()
        thread.join()
        assert deleted_in == []
        qtbot.waitUntil(lambda: len(deleted_in) > 0, timeout=5000)
    finally:
        priority.end()
    assert set(deleted_in) == {threading.get_ident()}
