"""Where a scan jumps, its parts are scans of their own."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_array
from tracked_scan import disc, scan_of

from napari_stemnmf.features.features import Features
from napari_stemnmf.grains.scan_blur import scan_blur
from napari_stemnmf.grains.seams import Borders, borders

SEEDS = range(4)
SIZE = 44


def field(seed: int, blur: float = 2.0) -> tuple[Features, list[np.ndarray]]:
    """A film that its edges cut, and its grains."""
    chance = np.random.default_rng(seed)
    truth = [disc((SIZE, SIZE), *chance.uniform(0, SIZE, 2), chance.uniform(6, 11)) for _ in range(14)]
    return scan_of(truth, blur, seed=seed)[0], truth


def mosaic(blur: float = 2.0) -> tuple[Features, list[np.ndarray]]:
    """Four films side by side."""
    parts = [field(seed, blur) for seed in SEEDS]
    place = np.arange(4 * SIZE * SIZE).reshape(2, SIZE, 2, SIZE)
    values, sigma, seen, truth = [], [], [], []
    shape = 2 * SIZE, 2 * SIZE
    for n, (part, grains) in enumerate(parts):
        at = place[n // 2, :, n % 2].ravel()
        for rows, kept in (
            (csr_array(part.values.T), values),
            (part.along("sigma"), sigma),
            (part.along("detected"), seen),
        ):
            kept += [(at[rows.indices[a:b]], rows.data[a:b]) for a, b in pairwise(rows.indptr)]
        for grain in grains:
            whole = np.zeros(shape, bool)
            whole.ravel()[at] = grain.ravel()
            truth.append(whole)
    ends = np.cumsum([0, *(len(at) for at, _ in values)])
    at = np.concatenate([a for a, _ in values])
    fields, errors, found = (
        csr_array((np.concatenate([v for _, v in rows]), at, ends), shape=(len(values), 4 * SIZE * SIZE)).T.tocsr()
        for rows in (values, sigma, seen)
    )
    details = parts[0][0].details | {"sigma": errors.data, "detected": found.data}
    columns = {k: np.concatenate([p.columns[k] for p, _ in parts]) for k in parts[0][0].columns}
    return Features("vdf", fields, columns, (), shape, details), truth


def seams_of(features: Features) -> Borders:
    return borders(csr_array(features.values), features.details["sigma"], features.scan_shape)


@pytest.mark.parametrize("blur", [0.0, 2.0])
def test_the_seams_of_a_mosaic_are_found(blur: float) -> None:
    assert seams_of(mosaic(blur)[0]) == Borders((0, SIZE, 2 * SIZE), (0, SIZE, 2 * SIZE))


@pytest.mark.parametrize("blur", [0.0, 1.0, 2.0])
def test_a_scan_without_seams_has_none(blur: float) -> None:
    for seed in SEEDS:
        assert seams_of(field(seed, blur)[0]) == Borders.of((SIZE, SIZE))


def test_the_blur_of_a_mosaic_is_that_of_its_parts() -> None:
    features, _ = mosaic()
    fields, sigma = csr_array(features.values.T), features.along("sigma")
    assert scan_blur(fields, sigma, seams_of(features)) == pytest.approx(2.0, rel=0.15)


def test_seams_are_told() -> None:
    assert str(Borders((0, 5, 9), (0, 7))) == "The scan jumps between rows 4 and 5."
    assert "rows 4 and 5 and between columns 2 and 3" in str(Borders((0, 5, 9), (0, 3, 7)))
    assert str(Borders.of((5, 5))) == ""


def test_a_scan_of_a_line_has_no_seams() -> None:
    nothing = csr_array((40, 0), dtype=np.float32)
    assert borders(nothing, np.zeros(0, np.float32), (1, 40)) == Borders.of((1, 40))
    light = csr_array(np.full((40, 2), 100, np.float32))
    for shape in ((1, 40), (40, 1)):
        assert borders(light, np.ones(80, np.float32), shape) == Borders.of(shape)


def test_a_grain_that_begins_in_the_dark_is_no_seam() -> None:
    """Two wide grains with straight sides, the first of which starts along a whole row."""
    fields = np.zeros((2, 20, 20), np.float32)
    fields[0, 2:12, 1:19] = 1000
    fields[1, 8:17, 3:20] = 900
    light = csr_array(fields.reshape(2, -1).T)
    assert borders(light, np.full(light.nnz, 10, np.float32), (20, 20)) == Borders.of((20, 20))
