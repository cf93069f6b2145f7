"""Analyses to draw, and what holds for every figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.analysis import Analysis, Input
from napari_stemnmf.dataset import Axis
from napari_stemnmf.features.features import Features
from napari_stemnmf.figures.style import SMALLEST_FONT
from napari_stemnmf.grains.measurement import measure
from napari_stemnmf.study.distorted import distorted

QUICK = {"*.clustering.seeds": 2, "*.clustering.components": 20, "*.refinement.min_size": 6}


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
    analysis = stem.analyse(scan.dataset, stem.Recipe.preset("nmf").replaced(QUICK))
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


@pytest.fixture
def uncluttered() -> Callable[[Figure], None]:
    """Checks that all text of a figure is at least 6 pt, inside the figure, and not over another text."""

    def check(figure: Figure) -> None:
        figure.draw_without_rendering()
        unseen = _labels_of_ticks_outside(figure)
        texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible() and id(t) not in unseen]
        assert min(t.get_fontsize() for t in texts) >= SMALLEST_FONT
        seen: list[tuple[str, Bbox]] = []
        for text in texts:
            box = text.get_window_extent()
            assert box.x0 >= -0.5, text
            assert box.y0 >= -0.5, text
            assert box.x1 <= figure.bbox.x1 + 0.5, text
            assert box.y1 <= figure.bbox.y1 + 0.5, text
            inner = Bbox([(box.x0 + 1, box.y0 + 1), (box.x1 - 1, box.y1 - 1)])
            over = [other for other, there in seen if inner.overlaps(there)]
            assert not over, f"{text.get_text()!r} is written over {over}"
            seen.append((text.get_text(), inner))

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


@pytest.fixture(scope="session")
def by_hand() -> Callable[..., Analysis]:
    """Makes an analysis, without a run, of a scan of any shape with a number of grains for each representation."""

    def make(
        shape: tuple[int, int],
        counts: Mapping[str, int],
        *,
        failed: Mapping[str, str] | None = None,
        step: float | None = 0.5,
    ) -> Analysis:
        scale: dict[str, Any] = {} if step is None else {"scale": step, "unit": "nm", "assumed": False}
        axes = tuple(Axis(n, s, **scale) for n, s in zip(("scan_y", "scan_x"), shape, strict=True))
        axes += (Axis("q_y", 32), Axis("q_x", 32))
        values = np.random.default_rng(1).random((shape[0] * shape[1], 4)).astype(np.float32)
        analysis = Analysis(
            stem.Recipe.preset("nmf"), Input("by hand", "", (*shape, 32, 32), "<u2", axes, ""), failed=failed or {}
        )
        for seed, (feature, count) in enumerate(counts.items()):
            grains = stem.Grains.from_masks(_disks(count, shape, seed))
            table = measure(grains, axes).assign(dissimilarity=np.linspace(1, 20, count))
            analysis.features[feature] = Features(feature, values, {}, (), shape)
            analysis.grains[feature] = grains
            analysis.tables[feature] = table
        return analysis

    return make


def _disks(count: int, shape: tuple[int, int], seed: int) -> np.ndarray:
    """(count, scan_y, scan_x) masks of disks that overlap."""
    random = np.random.default_rng(seed)
    y, x = np.ogrid[: shape[0], : shape[1]]
    masks = np.zeros((count, *shape), bool)
    for mask in masks:
        middle, radius = random.uniform(0, shape), random.uniform(0.12, 0.25) * min(shape)
        mask[:] = np.hypot(y - middle[0], x - middle[1]) <= max(radius, 1.0)
    return masks
