"""Figures of the catalogue, drawn and written in threads. No Qt, no napari here; matplotlib is imported late."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.texts import why

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Dataset

logger = logging.getLogger(__name__)
NOT_DRAWN = "the results do not allow it; the log says more"
DPI = 160
"""Pixels per inch of a preview."""


@dataclass(frozen=True, eq=False)
class FigureRequest:
    """What is to be drawn; the names in `analyses`, `truths` and `datasets` are those that the figure shows."""

    name: str  # of the figure in the catalogue
    analyses: dict[str, Analysis]
    truths: dict[str, np.ndarray | Path] = field(default_factory=dict)  # label image or stack of masks, or their file
    datasets: dict[str, Dataset] = field(default_factory=dict)  # the scans that are available
    feature: str = ""  # empty for a figure of all

    def is_same(self, other: FigureRequest | None) -> bool:
        """Whether the other asks for the same figure of the very same objects."""
        if other is None or (self.name, self.feature) != (other.name, other.feature):
            return False
        pairs = ((getattr(self, key), getattr(other, key)) for key in ("analyses", "truths", "datasets"))
        return all(list(a) == list(b) and all(a[key] is b[key] for key in a) for a, b in pairs)


class Drawn(NamedTuple):
    """A figure, and its preview as a PNG."""

    figure: Figure
    png: bytes


def draw(request: FigureRequest) -> Drawn:
    """Draw a figure.

    Raises
    ------
    StemNMFError
        If it cannot be drawn, for whatever reason.
    """
    from napari_stemnmf.figures import catalogue

    try:
        truths = {name: _masks(truth, name) for name, truth in request.truths.items()}
        figure = catalogue.draw(request.name, request.analyses, truths, request.datasets, request.feature or None)
        return Drawn(figure, preview(figure))
    except StemNMFError:
        raise
    except Exception as error:
        logger.exception("The figure '%s' failed.", request.name)
        raise StemNMFError(f"The figure '{request.name}' cannot be drawn: {why(error, NOT_DRAWN)}.") from error


def preview(figure: Figure) -> bytes:
    """A figure as a PNG for the screen, as it is written for print."""
    from napari_stemnmf.figures.style import in_style

    target = io.BytesIO()
    in_style(figure.savefig)(target, format="png", dpi=DPI)
    return target.getvalue()


def _masks(truth: np.ndarray | Path, name: str) -> np.ndarray:
    from napari_stemnmf.reading.masks import as_masks, load_masks

    return load_masks(truth) if isinstance(truth, Path) else as_masks(truth, f"The truth of '{name}'")
