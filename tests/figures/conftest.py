"""Analyses to draw, and what holds for every figure."""

from __future__ import annotations

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.figures.style import SMALLEST_FONT
from napari_stemnmf.simulation.distorted import distorted

QUICK = {"*.clustering.seeds": 2, "*.clustering.components": 20, "*.separation.min_size": 6}


@pytest.fixture(scope="session")
def drawn_sample():
    """A small sample scan, its analysis, and its truth."""
    sample = stem.sample(scan_shape=(24, 24), detector_shape=(64, 64))
    recipe = stem.Recipe.preset("paper").replaced(QUICK)
    return stem.analyse(sample.dataset, recipe), sample


@pytest.fixture(scope="session")
def drawn_wire():
    """A narrow scan with beam stop, descan and ellipse, and its analysis."""
    scan = distorted((24, 8), 128, beam_stop=True, hot_pixels=3, seed=4)
    analysis = stem.analyse(scan.dataset, stem.Recipe.preset("default").replaced(QUICK))
    return analysis, pipeline.prepared(analysis, scan.dataset)


@pytest.fixture
def readable():
    """Checks a figure at its printed size: no font below 6 pt, nothing cut off, no title over another."""

    def check(figure: Figure, width_mm: float) -> None:
        figure.draw_without_rendering()
        assert figure.get_figwidth() * 25.4 == pytest.approx(width_mm)
        sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text().strip()]
        assert min(sizes) >= SMALLEST_FONT
        drawn = figure.get_tightbbox()  # inches
        assert drawn.x0 >= -0.01
        assert drawn.y0 >= -0.01
        assert drawn.x1 <= figure.get_figwidth() + 0.01
        assert drawn.y1 <= figure.get_figheight() + 0.01
        titles = [ax.title.get_window_extent() for ax in figure.axes if ax.get_title()]
        assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])

    return check


def _labels_of_ticks_outside(figure: Figure) -> set[int]:
    """Labels of ticks that matplotlib keeps but does not draw: those beyond the ends of an axis."""
    unseen = set()
    for ax in figure.findobj(Axes):
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * (high - low)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not low - slack <= tick.get_loc() <= high + slack or not axis.get_visible() or not ax.axison:
                    unseen |= {id(tick.label1), id(tick.label2)}
    return unseen
