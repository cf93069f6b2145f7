"""Dark fields of spots, and their noise."""

import numpy as np
import pytest

from napari_stemnmf.features.dark_fields import Apertures, DarkFields, standard_errors

SPOT, RADIUS = (20.0, 30.0), 3.0


def scan(patterns: int = 200) -> np.ndarray:
    """Patterns of one disk on an even ground: counts (p, q_y, q_x)."""
    rows, columns = np.mgrid[:48, :64]
    disk = np.clip(RADIUS + 0.5 - np.hypot(rows - SPOT[0], columns - SPOT[1]), 0, 1)
    return np.random.default_rng(5).poisson(2.0 + 10.0 * disk, (patterns, 48, 64)).astype(np.float32)


def where(patterns: int = 200) -> Apertures:
    """One aperture a pattern, on the disk."""
    ones = np.ones(patterns, np.float32)
    return Apertures(np.arange(patterns + 1), np.zeros(patterns, np.int32), SPOT[0] * ones, SPOT[1] * ones)


@pytest.mark.parametrize("factor", [1.0, 0.01, 50.0])
def test_noise_follows_the_unit_of_the_data(factor: float) -> None:
    """Standard errors are the scatter that intensities have, in any unit."""
    kernel = DarkFields(where(), RADIUS)
    found = kernel(scan() * np.float32(factor), np.arange(200)).ragged
    errors = standard_errors(found)
    assert np.median(errors) == pytest.approx(found["intensity"].std(), rel=0.25)
    assert found["intensity"].mean() == pytest.approx(factor * 10 * np.pi * RADIUS**2, rel=0.15)


def test_values_between_counts_have_a_gain_too() -> None:
    """Where an offset or an interpolation leaves no steps."""
    rough = scan() * 7.3 + np.random.default_rng(6).normal(0, 0.4, (200, 48, 64))
    found = DarkFields(where(), RADIUS)(rough.astype(np.float32), np.arange(200)).ragged
    assert np.median(standard_errors(found)) == pytest.approx(found["intensity"].std(), rel=0.35)
