"""What steps of the analysis would reach if those before them were perfect (part of `benchmarks/accuracy.py`).

Each oracle is told a part of the truth: maps of grains, which spots are of which grain, or what grains look like. Where
one reaches more than the product, the losses lie in what it was told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array

import napari_stemnmf as stem
from napari_stemnmf.clustering.footprints import footprints
from napari_stemnmf.clustering.grouping import FAINT, SMALL, STRONG, USED, mean_maps
from napari_stemnmf.clustering.linkage import overlap_ratio
from napari_stemnmf.clustering.scaling import scale
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.grains.outlines import largest
from napari_stemnmf.grains.refinement import find_threshold
from napari_stemnmf.grains.tracked import outlined
from napari_stemnmf.simulation.film import SCAN_STEP
from napari_stemnmf.study.films import PROBE

LEVELS = np.arange(0.05, 0.96, 0.05)
"""Shares of its highest value at which a perfect map is cut."""
LEAST = 0.25
"""IoU of a track's footprint with a true grain, below which it is of none."""
ALONE = 5
"""Positions that tell what a grain looks like: where it is alone, else where it is the largest part."""
ROUNDS = 100
"""Of the non-negative least squares."""
SMOOTH = 1.0
"""Blur (sigma, positions) of a map before it is cut at Otsu's threshold, as in preset `nmf`."""


@dataclass(frozen=True, eq=False)
class Truth:
    """Where grains are (g, scan_y, scan_x), how thick [Å], and the blur of the source [positions]."""

    labels: np.ndarray
    thickness: np.ndarray
    blur: float

    @property
    def blurred(self) -> np.ndarray:
        """Thickness as probe and source see it."""
        sigma = float(np.hypot(self.blur, PROBE / SCAN_STEP))
        return np.stack([ndimage.gaussian_filter(t, sigma, mode="nearest") for t in self.thickness])


def perfect_maps(truth: Truth, analysis: Any, dataset: Dataset) -> np.ndarray:
    """True thickness, blurred, each cut at the level that suits its grain best."""
    found = []
    for values, true in zip(truth.blurred, truth.labels, strict=True):
        cuts = values > LEVELS[:, None, None] * values.max()
        iou = (cuts & true).sum(axis=(1, 2)) / (cuts | true).sum(axis=(1, 2))
        found.append(cuts[iou.argmax()])
    return np.stack(found)


def true_grouping(truth: Truth, analysis: Any, dataset: Dataset) -> np.ndarray:
    """Each track goes to the grain that its footprint fits best; outlines are the product's, and all are kept."""
    features, found = analysis.features["vdf"], analysis.models["vdf"]
    fields = csr_array(features.values.T)
    sigma, seen = features.along("sigma"), features.along("detected")
    seen.eliminate_zeros()
    prints = footprints(fields, sigma, seen, features.scan_shape)
    true = csr_array(truth.labels.reshape(len(truth.labels), -1).astype(np.float32))
    iou = overlap_ratio(prints.inside, true).toarray()
    usable = (iou.max(axis=1, initial=0) >= LEAST) & ~np.isin(found.fate, (SMALL, FAINT))
    _, number = np.unique(iou.argmax(axis=1)[usable], return_inverse=True)
    own = np.full(len(usable), -1)
    own[usable] = number
    maps = mean_maps(own, np.minimum(prints.snr, STRONG), prints.amplitude)
    fate = np.where(own >= 0, USED, found.fate)
    groups = replace(found, group=own, fate=fate, amplitude=maps)
    settings = replace(analysis.recipe.vdf.refinement, min_confidence=0.0)
    return np.asarray(outlined(groups, features, settings).masks)


def true_dictionary(name: str, truth: Truth, analysis: Any, dataset: Dataset) -> np.ndarray:
    """Non-negative least squares on what each grain looks like where it is alone; maps cut at Otsu's threshold."""
    recipe = stem.Recipe.preset("nmf", [name])
    features = stem.analyse(dataset, recipe, until="featurize", workers=1, analysis=analysis).features[name]
    values = scale(features.values, recipe.nmf_chain(name).scaling).values
    rows = np.stack([np.asarray(values[at].mean(axis=0)).ravel() for at in typical(truth)])
    maps = shares(values, rows.astype(np.float32))[: len(truth.labels)].reshape(truth.labels.shape)
    return np.stack([otsu(ndimage.gaussian_filter(m, SMOOTH)) for m in maps])


def typical(truth: Truth) -> list[np.ndarray]:
    """Positions that tell what each grain looks like, and last of all those of no grain, if there are any."""
    depth = truth.labels.sum(axis=0)
    blurred = truth.blurred
    part = blurred / np.maximum(blurred.sum(axis=0), 1e-6)
    found = []
    for true, own in zip(truth.labels, part, strict=True):
        alone = np.flatnonzero(true & (depth == 1))
        found.append(alone if len(alone) >= ALONE else np.argsort(-own, axis=None)[:ALONE])
    background = np.flatnonzero(depth == 0)
    return [*found, background] if len(background) else found


def shares(values: np.ndarray | csr_array, rows: np.ndarray) -> np.ndarray:
    """How much of each row (k, m) is in each pattern (n, m), (k, n): least squares, by coordinate descent."""
    product, known = rows @ rows.T, np.ascontiguousarray((values @ rows.T).T)
    found = np.zeros_like(known)
    for _ in range(ROUNDS):
        for j in range(len(rows)):
            step = (known[j] - product[j] @ found) / max(product[j, j], 1e-12)
            found[j] = np.maximum(found[j] + step, 0)
    return found


def otsu(values: np.ndarray) -> np.ndarray:
    """The largest region of a map above Otsu's threshold."""
    return largest(values > find_threshold(values, "otsu"))


ORACLES: dict[str, Callable[[Truth, Any, Dataset], np.ndarray]] = {
    "perfect maps": perfect_maps,
    "true grouping": true_grouping,
    "true dictionary AA": partial(true_dictionary, "aa"),
    "true dictionary BD": partial(true_dictionary, "bd"),
}
"""By name, from the truth, the analysis of the product and the scan: masks of grains."""
