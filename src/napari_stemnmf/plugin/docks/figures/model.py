"""Figures of the catalogue, drawn and written in threads. No Qt, no napari here; matplotlib is imported late."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_stemnmf.errors import StemNMFError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Dataset

logger = logging.getLogger(__name__)
DPI = 160
"""Pixels per inch of a preview."""


@dataclass(frozen=True, eq=False)
class Order:
    """What is to be drawn.

    Attributes
    ----------
    number : int
        To tell the newest from those before.
    name : str
        Of the figure in the catalogue.
    analyses : dict of str to Analysis
        By the names that the figure gives them.
    truths : dict of str to array or path
        True grains, by the same names: a label image or stack of masks, or a file that holds one.
    datasets : dict of str to Dataset
        The scans that are at hand.
    feature : str
        Empty for a figure of all.
    """

    number: int
    name: str
    analyses: dict[str, Analysis]
    truths: dict[str, np.ndarray | Path] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    feature: str = ""


class Drawn(NamedTuple):
    """A figure, and its preview as a PNG; or a sentence on why there is none."""

    number: int
    figure: Figure | None
    png: bytes
    error: str = ""


class SaveOrder(NamedTuple):
    """A figure, and the path without a suffix that it goes to."""

    figure: Figure
    stem: Path


def draw(order: Order) -> Drawn:
    """Draw a figure; every error becomes a sentence, for the window waits for an answer."""
    from napari_stemnmf.figures import catalogue

    try:
        truths = {name: _masks(truth, name) for name, truth in order.truths.items()}
        figure = catalogue.draw(order.name, order.analyses, truths, order.datasets, order.feature or None)
        return Drawn(order.number, figure, preview(figure))
    except StemNMFError as error:
        return Drawn(order.number, None, b"", str(error))
    except Exception as error:
        logger.exception("The figure '%s' failed.", order.name)
        return Drawn(order.number, None, b"", f"The figure '{order.name}' failed: {type(error).__name__}: {error}.")


def preview(figure: Figure) -> bytes:
    """A figure as a PNG for the screen, as it is written for print."""
    from napari_stemnmf.figures.style import in_style

    target = io.BytesIO()
    in_style(figure.savefig)(target, format="png", dpi=DPI)
    return target.getvalue()


def save(order: SaveOrder) -> tuple[list[Path], str]:
    """Write a figure as PDF and PNG; the files, or a sentence on why there are none."""
    from napari_stemnmf.figures import style

    try:
        return style.save(order.figure, order.stem), ""
    except StemNMFError as error:
        return [], str(error)


def _masks(truth: np.ndarray | Path, name: str) -> np.ndarray:
    from napari_stemnmf.reading.masks import as_masks, load_masks

    return load_masks(truth) if isinstance(truth, Path) else as_masks(truth, f"The truth of '{name}'")
