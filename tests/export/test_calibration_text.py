"""Calibration in words."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_stemnmf.calibration.geometry import Calibration, Geometry
from napari_stemnmf.disks.detection import Peaks
from napari_stemnmf.export.calibration import findings

GEOMETRY = Geometry((64, 64), 31.25, 32.5, 3.0, ellipse_ratio=1.0203, ellipse_angle=30.4)


def peaks(counts: list[int]) -> Peaks:
    offsets = np.concatenate([[0], np.cumsum(counts)])
    row = np.ones(offsets[-1], np.float32)
    central = np.full((4, 2), np.nan, np.float32)
    return Peaks(offsets, row, row, row, row, central, (2, 2), (64, 64))


def calibration(**changes: Any) -> Calibration:
    origin = np.full((2, 2, 2), (GEOMETRY.q_y, GEOMETRY.q_x), np.float32)
    return replace(Calibration(GEOMETRY, origin, np.full_like(origin, np.nan)), **changes)


def rows(**parts: Any) -> dict[str, str]:
    known: dict[str, Any] = {"probe": None, "peaks": None, "calibration": None}
    hot = parts.pop("hot_pixels", np.empty((0, 2)))
    return dict(findings(SimpleNamespace(survey=SimpleNamespace(hot_pixels=hot), **(known | parts))))  # type: ignore[arg-type]


def test_nothing_is_said_of_what_was_not_looked_for() -> None:
    assert findings(None) == []
    assert rows(hot_pixels=np.array([[1, 2], [3, 4]])) == {"hot pixels": "2 repaired"}


def test_disks_are_counted_and_empty_patterns_named() -> None:
    assert rows(peaks=peaks([3, 5, 5, 7]))["disks"] == "5 a pattern (median), 20 in all; no pattern without"
    assert rows(peaks=peaks([3, 0, 5, 7]))["disks"].endswith("1 of 4 patterns without")


def test_the_mask_is_a_share_of_the_detector() -> None:
    mask = np.ones((64, 64), bool)
    mask[:16] = False
    probe = SimpleNamespace(mask=mask, radius=2.667, source="synthetic", hidden=True)
    found = rows(probe=probe)
    assert found["mask"] == "25.0% of the detector"
    assert found["probe"] == "radius 2.67 px, from a synthetic disk; the central disk is hidden"


def test_descan_is_told_by_the_scan_s_directions() -> None:
    origin = np.empty((3, 3, 2), np.float32)
    y, x = np.indices((3, 3))
    origin[..., 0], origin[..., 1] = 30 + 2.0 * y - 1.0 * x, 32 + 0.75 * y + 3.0 * x
    found = rows(calibration=Calibration(GEOMETRY, origin, origin, "central", "plane", 0.043))
    assert found["descan"] == "+4.00, +1.50 px down the scan; -2.00, +6.00 px along its rows (q_y, q_x)"
    assert found["origin"] == "residual 0.043 px about the plane; from the central disk, in 100% of the patterns"


def test_one_centre_for_all_needs_no_residual() -> None:
    found = rows(calibration=calibration())
    assert found["centre"] == "31.25, 32.50 px (q_y, q_x; mean)"
    assert (found["descan"], found["origin"]) == ("none", "one for all patterns")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "none that is significant: taken as round"),
        ({"ellipse_method": "off"}, "off: taken as round"),
        ({"ellipse_method": "set"}, "a/b 1.0203, a at 30.4°; set by hand"),
        (
            {"ellipse_method": "disks", "ellipse_error": 0.0008, "ellipse_residual": 0.051, "ellipse_radius": 23.44},
            "a/b 1.0203 ± 0.0008, a at 30.4°, residual 0.051 px; from a ring of Bragg disks of 23.4 px",
        ),
    ],
)
def test_the_ellipse_comes_with_its_error(changes: dict[str, Any], said: str) -> None:
    assert rows(calibration=calibration(**changes))["ellipse"] == said


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "not known; a ring of known d-spacing would tell"),
        ({"pixel_size": 0.2, "pixel_unit": "1/nm", "pixel_method": "file"}, "0.2 1/nm, from the file"),
        (
            {"pixel_size": 0.20031, "pixel_unit": "1/nm", "pixel_method": "d-spacing", "pixel_radius": 21.123},
            "0.20031 1/nm, from the ring of 21.12 px",
        ),
    ],
)
def test_the_pixel_size_says_where_it_comes_from(changes: dict[str, Any], said: str) -> None:
    assert rows(calibration=calibration(**changes))["pixel size"] == said
