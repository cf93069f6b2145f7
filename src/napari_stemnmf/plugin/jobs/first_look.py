"""The first images of a scan, made in a thread from when it is opened: the preview on the canvas sharpens by itself."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal as Told
from qtpy.QtCore import QObject, Signal

from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled, StemNMFError

if TYPE_CHECKING:
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.streaming.first_images import FirstImages

logger = logging.getLogger(__name__)
INNER = 2.5
"""Radii of the direct beam at which the dark field begins."""


class FirstLook(QObject):
    """Reads a scan once, from coarse to fine, and tells in the window's thread what there is so far.

    Attributes
    ----------
    images : FirstImages or None
        The latest.
    error : str
        Why it went no further; empty where nothing is wrong.
    changed : Signal
        There are better images, or it went no further.
    """

    _found = Signal(object)
    changed = Told()

    def __init__(self, dataset: Dataset, quick: np.ndarray, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.images: FirstImages | None = None
        self.error = ""
        self._given: tuple[Dataset, np.ndarray] | None = (dataset, quick)
        self._control = Control(stage="The first images")
        self._found.connect(self._on_found)
        self._thread = threading.Thread(target=self._run, name="napari-stemnmf first images", daemon=True)

    def start(self) -> FirstLook:
        """Begin."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Read no more; what there is stays."""
        self._control.cancel()

    @property
    def going(self) -> bool:
        """Whether better images are still to come."""
        return self._thread.is_alive() and not self._control.cancelled

    def _run(self) -> None:
        from napari_stemnmf.streaming.first_images import first_images

        given, self._given = self._given, None
        if given is None:
            return
        dataset, quick = given
        found: Any = ""
        try:
            for found in first_images(dataset, quick, _beside_the_beam(dataset), self._control.check):
                self._tell(found)
        except Cancelled:
            return
        except StemNMFError as error:
            self._tell(str(error))
        except Exception as error:
            logger.exception("The first images could not be made.")
            self._tell(f"The first images could not be made: {type(error).__name__}: {error}.")

    def _tell(self, found: Any) -> None:
        try:
            self._found.emit(found)
        except RuntimeError:  # the window was closed meanwhile
            self._control.cancel()

    def _on_found(self, found: Any) -> None:
        if self._control.cancelled:
            return
        if isinstance(found, str):
            self.error = found
        else:
            self.images = found
        self.changed.emit()


def _beside_the_beam(dataset: Dataset) -> np.ndarray | None:
    """(q_y, q_x) the ring about the direct beam, from well outside it to the detector's edge; None without a beam."""
    from napari_stemnmf.plugin.docks.explore.model import find_beam
    from napari_stemnmf.streaming.virtual_detectors import Annulus

    rows, columns = dataset.detector_shape
    beam = find_beam(dataset.without_gaps())
    if beam is None:
        return None
    y, x, radius = beam.q_y, beam.q_x, max(1.0, beam.radius)
    edge = max(4 * radius, min(y, x, rows - 1 - y, columns - 1 - x))
    mask = Annulus(y, x, INNER * radius, edge).mask((rows, columns))
    return mask if mask.any() else None
