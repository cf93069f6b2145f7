"""The geometry of virtual detectors, beside plain comparisons of each pixel."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from napari_stemnmf.dataset import Axis
from napari_stemnmf.errors import DataError
from napari_stemnmf.streaming.virtual_detectors import (
    Annulus,
    Detector,
    Disk,
    Mask,
    Point,
    Polygon,
    Rectangle,
    Sector,
    from_dict,
    runs,
)

SHAPE = (30, 40)
AXES = (Axis("q_y", 30, 0.1, "1/nm"), Axis("q_x", 40, 0.1, "1/nm"))
DRAWN = np.zeros(SHAPE, bool)
DRAWN[3:6, 4:9] = DRAWN[10, 38:] = True
ALL: list[Detector] = [
    Point(11.6, 20.4),
    Disk(12.3, 20.5, 5.0),
    Annulus(12.3, 20.5, 4.0, 9.0),
    Sector(12.3, 20.5, 4.0, 9.0, 30.0, 120.0),
    Sector(12.3, 20.5, 4.0, 9.0, -40.0, 25.0),
    Rectangle(12.0, 20.0, 6.0, 9.0),
    Polygon.through([(1.7, 2.6), (1.7, 30.2), (25.3, 11.1)]),
    Mask.of(DRAWN),
]


def inside(detector: Detector, y: int, x: int) -> bool:
    """Whether a pixel lies inside, written out."""
    r = math.hypot(y - detector.q_y, x - detector.q_x)
    if isinstance(detector, Sector):
        angle = math.degrees(math.atan2(y - detector.q_y, x - detector.q_x))
        turns = [angle + 360.0 * k for k in (-1, 0, 1, 2)]
        return detector.inner <= r < detector.outer and any(detector.start <= a < detector.stop for a in turns)
    if isinstance(detector, Annulus):
        return detector.inner <= r < detector.outer
    if isinstance(detector, Disk):
        return r <= detector.radius
    if isinstance(detector, Rectangle):
        return abs(y - detector.q_y) <= detector.height / 2 and abs(x - detector.q_x) <= detector.width / 2
    if isinstance(detector, Point):
        return (y, x) == (round(detector.q_y), round(detector.q_x))
    if isinstance(detector, Mask):
        return bool(DRAWN[y, x])
    (ay, ax), (by, bx), (cy, cx) = detector.corners  # type: ignore[attr-defined]
    sides = [
        (by - ay) * (x - ax) - (bx - ax) * (y - ay),
        (cy - by) * (x - bx) - (cx - bx) * (y - by),
        (ay - cy) * (x - cx) - (ax - cx) * (y - cy),
    ]
    return min(sides) > 0 or max(sides) < 0


@pytest.mark.parametrize("detector", ALL, ids=lambda d: d.kind)
def test_a_detector_sums_the_pixels_whose_centres_lie_inside(detector: Detector) -> None:
    expected = np.array([[inside(detector, y, x) for x in range(SHAPE[1])] for y in range(SHAPE[0])])
    np.testing.assert_array_equal(detector.mask(SHAPE), expected)
    assert from_dict(json.loads(json.dumps(detector.to_dict()))) == detector
    assert detector.kind in detector.describe(AXES)
    there = detector.moved(detector.q_y + 2.0, detector.q_x - 3.0)
    covered = np.argwhere(detector.mask(SHAPE)) + np.array([2, -3])
    kept = covered[(covered >= 0).all(axis=1) & (covered < SHAPE).all(axis=1)]
    np.testing.assert_array_equal(np.argwhere(there.mask(SHAPE)), kept)
    start, stop = runs(detector.mask(SHAPE))
    flat = np.concatenate([np.arange(a, b) for a, b in zip(start, stop, strict=True)])
    np.testing.assert_array_equal(flat, np.flatnonzero(detector.mask(SHAPE)))
    assert (start // SHAPE[1] == (stop - 1) // SHAPE[1]).all()


def test_angles_turn_from_q_x_towards_q_y_and_a_whole_turn_is_an_annulus() -> None:
    quarter = Sector(15.0, 20.0, 0.0, 10.0, 0.0, 90.0).mask(SHAPE)
    assert quarter[18, 23]
    assert not quarter[12, 23]
    whole = Sector(15.0, 20.0, 3.0, 10.0, 10.0, 370.0)
    np.testing.assert_array_equal(whole.mask(SHAPE), Annulus(15.0, 20.0, 3.0, 10.0).mask(SHAPE))


def test_what_is_no_detector_is_said_in_a_sentence() -> None:
    with pytest.raises(DataError, match="no virtual detector of kind 'star'"):
        from_dict({"kind": "star"})
    with pytest.raises(DataError, match="not complete"):
        from_dict({"kind": "disk", "q_y": 1.0, "q_x": 1.0})
    with pytest.raises(DataError, match="draw it again"):
        Mask.of(DRAWN).mask((8, 8))
    with pytest.raises(DataError, match="three corners"):
        Polygon.through([(0, 0), (1, 1)])
    with pytest.raises(DataError, match="covers no pixel"):
        Mask.of(np.zeros((3, 3), bool))
    assert "0.40 to 0.90 1/nm" in Annulus(1.0, 1.0, 4.0, 9.0).describe(AXES)
