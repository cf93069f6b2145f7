"""Pictures of a scan for the Calibrate step, and the live preview of disks, without a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_stemnmf import pipeline
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.plugin.patterns.preview import PICTURES, SCALES, Preview, Request, limits, scaled
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.study.distorted import Distorted


@pytest.fixture(scope="module")
def surveyed(distorted_scan: Distorted) -> Analysis:
    return pipeline.run(
        pipeline.start(distorted_scan.dataset, Recipe.preset("default")), distorted_scan.dataset, "survey"
    )


@pytest.fixture(scope="module")
def calibrated(distorted_scan: Distorted, surveyed: Analysis) -> Analysis:
    return pipeline.run(surveyed, distorted_scan.dataset, "calibrate")


def request(scan: Distorted, analysis: Analysis | None, changes: dict[str, Any] | None = None, **more: Any) -> Request:
    recipe = (analysis.recipe if analysis is not None else Recipe.preset("default")).replaced(changes or {})
    return Request(scan.dataset, analysis, recipe, **more)


def test_before_a_survey_single_patterns_show_and_the_rest_says_what_to_do(distorted_scan: Distorted) -> None:
    preview = Preview()
    shown = preview(request(distorted_scan, None, picture="position", position=(2, 3)))
    assert np.array_equal(shown.image, distorted_scan.dataset.pattern(2, 3))
    assert shown.disks is None
    for picture in set(PICTURES) - {"position"}:
        shown = preview(request(distorted_scan, None, picture=picture))
        assert shown.image is None
        assert "Calibrate all" in shown.note


def test_mean_and_maximum_are_the_survey_s(distorted_scan: Distorted, surveyed: Analysis) -> None:
    assert surveyed.survey is not None
    for picture in ("mean", "maximum"):
        shown = Preview()(request(distorted_scan, surveyed, picture=picture, number=7))
        assert shown.image is getattr(surveyed.survey, picture)
        assert shown.number == 7
        assert {"centre", "disks"} <= set(shown.lines)


def test_the_disks_of_a_pattern_are_those_that_a_run_finds(distorted_scan: Distorted, calibrated: Analysis) -> None:
    assert calibrated.peaks is not None
    shown = Preview()(request(distorted_scan, calibrated, picture="position", position=(2, 3)))
    assert shown.disks is not None
    rows = calibrated.peaks.of(2 * calibrated.peaks.scan_shape[1] + 3)
    np.testing.assert_allclose(np.sort(shown.disks[0]), np.sort(calibrated.peaks.q_y[rows]), atol=1e-3)


def test_a_setting_of_the_disks_shows_at_once(distorted_scan: Distorted, surveyed: Analysis) -> None:
    preview = Preview()
    shown = [
        preview(request(distorted_scan, surveyed, {"disks.min_snr": snr}, picture="position", position=(2, 3)))
        for snr in (3.0, 20.0)
    ]
    many, few = ([] if each.disks is None else each.disks[3] for each in shown)
    assert len(few) < len(many)
    assert min(few) >= 20.0
    assert shown[0].image is shown[1].image  # read once


def test_the_preview_takes_at_most_50_ms(distorted_scan: Distorted, surveyed: Analysis) -> None:
    preview = Preview()
    seconds = [
        preview(request(distorted_scan, surveyed, {"disks.min_snr": 3.0 + i}, picture="position")).seconds
        for i in range(8)
    ]
    assert min(seconds) <= 0.05


def test_a_centre_set_by_hand_moves_the_overlays_before_any_run(
    distorted_scan: Distorted, calibrated: Analysis
) -> None:
    changes = {"center.q_y": 60.0, "center.q_x": 66.0, "center.probe_radius": 4.0}
    shown = Preview()(request(distorted_scan, calibrated, changes))
    assert shown.geometry is not None
    assert (shown.geometry.q_y, shown.geometry.q_x, shown.geometry.probe_radius) == (60.0, 66.0, 4.0)


def test_a_probe_that_cannot_be_found_is_said_beside_the_pattern(distorted_scan: Distorted, surveyed: Analysis) -> None:
    shown = Preview()(request(distorted_scan, surveyed, {"center.q_y": 500.0}))
    assert "center.q_y is 500" in shown.note
    assert shown.image is not None


def test_an_ellipse_set_by_hand_shows_before_any_run(distorted_scan: Distorted, calibrated: Analysis) -> None:
    shown = Preview()(request(distorted_scan, calibrated, {"ellipse.ratio": 1.1, "ellipse.angle": 20.0}))
    assert shown.geometry is not None
    assert (shown.geometry.ellipse_ratio, shown.geometry.ellipse_angle) == (1.1, 20.0)


def test_a_drawn_mask_shows_before_any_run(distorted_scan: Distorted, surveyed: Analysis) -> None:
    keep = np.ones(distorted_scan.dataset.detector_shape, bool)
    keep[100:110, 20:40] = False
    preview = Preview()
    assert preview(request(distorted_scan, surveyed)).mask is None
    masked = pipeline.with_mask(surveyed, keep)
    shown = preview(request(distorted_scan, masked, {"beam_stop.margin": 0.0}))
    assert np.array_equal(shown.mask, keep)
    grown = preview(request(distorted_scan, masked, {"beam_stop.margin": 3.0}))
    assert (~grown.mask).sum() > (~keep).sum()  # type: ignore[operator]


def test_each_pattern_has_its_own_centre(distorted_scan: Distorted, calibrated: Analysis) -> None:
    assert calibrated.calibration is not None
    for position in ((0, 0), (7, 2)):
        shown = Preview()(request(distorted_scan, calibrated, picture="position", position=position))
        assert shown.geometry is not None
        assert (shown.geometry.q_y, shown.geometry.q_x) == pytest.approx(calibrated.calibration.origin[position])


def test_bragg_vectors_are_mapped_raw_and_calibrated(distorted_scan: Distorted, calibrated: Analysis) -> None:
    preview = Preview()
    raw, fine = (preview(request(distorted_scan, calibrated, picture=name)) for name in ("raw map", "calibrated map"))
    for shown in (raw, fine):
        assert shown.image is not None
        assert shown.image.shape == distorted_scan.dataset.detector_shape
    assert fine.geometry is not None
    assert fine.geometry.ellipse_ratio == 1.0
    assert fine.image.max() > raw.image.max()  # type: ignore[union-attr]  # descan no longer smears the central disk
    assert preview(request(distorted_scan, calibrated, picture="raw map")).image is raw.image


def test_the_cells_are_those_that_featurize_takes(distorted_scan: Distorted, calibrated: Analysis) -> None:
    features = pipeline.run(calibrated, distorted_scan.dataset, "featurize", features=["aa"]).features
    for picture in ("mean", "position", "calibrated map"):
        shown = Preview()(request(distorted_scan, calibrated, picture=picture))
        points = shown.lines["aa"][~np.isnan(shown.lines["aa"][:, 0])]
        assert shown.geometry is not None
        radius = shown.geometry.to_polar(*points.T)[0]
        rings = features["aa"].details["rings"]
        assert (radius.min(), radius.max()) == pytest.approx((min(rings), max(rings)), abs=1e-3)


def test_what_is_remembered_can_be_let_go(distorted_scan: Distorted, surveyed: Analysis) -> None:
    preview = Preview()
    first = preview(request(distorted_scan, surveyed, picture="position")).image
    preview.forget()
    assert preview(request(distorted_scan, surveyed, picture="position")).image is not first


def test_without_the_scan_what_was_found_still_shows(calibrated: Analysis) -> None:
    lost = Request(None, calibrated, calibrated.recipe, "mean")
    assert Preview()(lost).disks is not None
    assert "open its file" in Preview()(replace(lost, picture="position")).note


@pytest.mark.parametrize("scale", SCALES)
def test_no_value_upsets_the_eye(scale: str) -> None:
    odd = np.array([[np.nan, np.inf, -np.inf], [-3.0, 0.0, 1e9]])
    shown = scaled(odd, scale)
    assert np.isfinite(shown).all()
    assert shown[1, 2] == shown.max() > 0
    for image in (shown, np.zeros((3, 3)), np.empty((0, 0))):
        low, high = limits(image)
        assert low < high


def test_weak_disks_are_brighter_on_a_root_and_a_log_scale() -> None:
    pattern = np.full((20, 20), 1.0)
    pattern[5, 5], pattern[10, 10] = 100.0, 10_000.0
    shares = [float(scaled(pattern, scale)[5, 5] / scaled(pattern, scale).max()) for scale in ("linear", "sqrt", "log")]
    assert shares == sorted(shares)
