"""Patterns scaled for the eye, and the reading of a point."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.plugin.patterns.scan_patterns import SCALES, limits, point_reading, scaled


def test_a_point_is_read_in_pixels_and_in_nanometres() -> None:
    assert point_reading(3.2, 4.0, 17.0, None, 0.2, "1/nm") == "q_y 3, q_x 4: 17\n"
    assert point_reading(3.2, 4.0, 17.0, 21.2, 0.2, "1/nm").endswith("r 21.2 px = 4.24 1/nm, d 0.236 nm")
    assert point_reading(3.2, 4.0, 17.0, 21.2, 1.0, "px").endswith("r 21.2 px")


@pytest.mark.parametrize("scale", SCALES)
def test_no_value_upsets_the_eye(scale: str) -> None:
    odd = np.array([[np.nan, np.inf, -np.inf], [-3.0, 0.0, 1e9]])
    shown = scaled(odd, scale)
    assert np.isfinite(shown).all()
    assert shown[1, 2] == shown.max() > 0
    for image in (shown, np.zeros((3, 3)), np.empty((0, 0))):
        low, high = limits(image)
        assert low < high


def test_weak_disks_are_brighter_on_a_sqrt_and_a_log_scale() -> None:
    pattern = np.full((20, 20), 1.0)
    pattern[5, 5], pattern[10, 10] = 100.0, 10_000.0
    shares = [float(scaled(pattern, scale)[5, 5] / scaled(pattern, scale).max()) for scale in ("linear", "sqrt", "log")]
    assert shares == sorted(shares)
