"""Lines over a pattern, without a window."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.plugin.patterns import scan_patterns as overlays
from napari_stemnmf.stage_settings import PreprocessSettings

ROUND = Geometry((64, 80), 30.5, 41.0, 3.0)
STRETCHED = Geometry((64, 80), 30.5, 41.0, 3.0, ellipse_ratio=1.21, ellipse_angle=0.0)


def lines(points: np.ndarray) -> int:
    """How many lines there are: each is closed by a gap."""
    return int(np.isnan(points[:, 0]).sum())


def test_a_circle_around_every_disk() -> None:
    points = overlays.circles(np.array([10.0, 20.0]), np.array([5.0, 50.0]), 3.0)
    first, second = (part[~np.isnan(part[:, 0])] for part in np.split(points, 2))
    assert lines(points) == 2
    np.testing.assert_allclose(np.hypot(*(first - [10, 5]).T), 3.0)
    np.testing.assert_allclose(np.hypot(*(second - [20, 50]).T), 3.0)


def test_no_disks_are_no_lines() -> None:
    assert overlays.circles(np.array([]), np.array([]), 3.0).shape == (0, 2)
    assert overlays.joined([]).shape == (0, 2)


def test_a_ring_of_one_radius_is_an_ellipse_on_the_detector() -> None:
    points = overlays.ring(STRETCHED, 20.0)
    assert np.ptp(points[:, 1]) == pytest.approx(2 * 20 * 1.1, abs=0.05)  # a lies along q_x
    assert np.ptp(points[:, 0]) == pytest.approx(2 * 20 / 1.1, abs=0.05)
    np.testing.assert_allclose(STRETCHED.to_polar(*points.T)[0], 20.0)


def test_cells_are_rings_and_spokes() -> None:
    points = overlays.cells(ROUND, (8.0, 14.0, 20.0), 30.0)
    assert lines(points) == 3 + 12
    radius = ROUND.to_polar(*points[~np.isnan(points[:, 0])].T)[0]
    assert radius.min() == pytest.approx(8.0)
    assert radius.max() == pytest.approx(20.0)


def test_hot_pixels_follow_crop_and_binning() -> None:
    settings = PreprocessSettings(q_y=(10, 50), q_x=(20, 60), bin=2)
    np.testing.assert_allclose(
        overlays.in_prepared_pixels(np.array([[10, 20], [11, 21]]), settings), [[-0.25] * 2, [0.25] * 2]
    )
    np.testing.assert_allclose(overlays.in_prepared_pixels(np.array([[3, 4]]), PreprocessSettings()), [[3, 4]])


def test_every_overlay_has_its_own_colour() -> None:
    assert len({overlay.colour for overlay in overlays.OVERLAYS.values()}) == len(overlays.OVERLAYS)
