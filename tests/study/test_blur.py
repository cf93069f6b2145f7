"""The source's blur, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_stemnmf.study.blur import blurred_rows


@pytest.mark.parametrize("shape", [(20, 13), (3, 30), (9, 1), (1, 1)])
def test_rows_are_blurred_as_the_whole_scan_mirrored_at_its_edges(shape):
    scan = np.random.default_rng(0).random((*shape, 4, 5), dtype=np.float32)
    rows = list(blurred_rows(iter(scan), shape, 2.0))
    assert all(row.dtype == np.float32 for row in rows)
    whole = gaussian_filter(scan, (2.0, 2.0, 0, 0), mode="mirror", truncate=4.0)
    np.testing.assert_allclose(np.stack(rows), whole, atol=1e-6)


def test_no_more_rows_are_taken_than_the_blur_reaches():
    taken = []
    scan = np.ones((40, 3, 2, 2), np.float32)
    rows = blurred_rows((taken.append(i) or row for i, row in enumerate(scan)), (40, 3), 2.0)
    next(rows)
    assert len(taken) == 9  # itself and four standard deviations
    next(rows)
    assert len(taken) == 10


def test_a_point_source_blurs_nothing():
    scan = np.random.default_rng(0).random((4, 3, 2, 2), dtype=np.float32)
    np.testing.assert_array_equal(np.stack(list(blurred_rows(iter(scan), (4, 3), 0.0))), scan)
