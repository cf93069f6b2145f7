"""Pictures of a scan for the Calibrate step, and the live preview of disks, without a window."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_stemnmf import pipeline
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.calibration.geometry import Geometry
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.docks.calibrate.model import PICTURES, CalibratePicture, CalibratePictures, lines_over
from napari_stemnmf.plugin.patterns.scan_patterns import PictureRequest
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.study.distorted import Distorted


@pytest.fixture(scope="module")
def surveyed(distorted_scan: Distorted) -> Analysis:
    return pipeline.run(pipeline.start(distorted_scan.dataset, Recipe.preset("nmf")), distorted_scan.dataset, "survey")


@pytest.fixture(scope="module")
def calibrated(distorted_scan: Distorted, surveyed: Analysis) -> Analysis:
    return pipeline.run(surveyed, distorted_scan.dataset, "calibrate")


def request(
    scan: Distorted, analysis: Analysis | None, changes: dict[str, Any] | None = None, **more: Any
) -> PictureRequest:
    recipe = (analysis.recipe if analysis is not None else Recipe.preset("nmf")).replaced(changes or {})
    return PictureRequest(scan.dataset, analysis, recipe, **more)


def test_before_a_survey_single_patterns_show_and_the_rest_says_what_to_do(distorted_scan: Distorted) -> None:
    preview = CalibratePictures()
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
        shown = CalibratePictures()(request(distorted_scan, surveyed, picture=picture))
        assert shown.image is getattr(surveyed.survey, picture)
        assert {"centre", "disks"} <= set(shown.lines)


def test_the_disks_of_a_pattern_are_those_that_a_run_finds(distorted_scan: Distorted, calibrated: Analysis) -> None:
    assert calibrated.peaks is not None
    shown = CalibratePictures()(request(distorted_scan, calibrated, picture="position", position=(2, 3)))
    assert shown.disks is not None
    rows = calibrated.peaks.of(2 * calibrated.peaks.scan_shape[1] + 3)
    np.testing.assert_allclose(np.sort(shown.disks[0]), np.sort(calibrated.peaks.q_y[rows]), atol=1e-3)


def test_a_setting_of_the_disks_shows_at_once(distorted_scan: Distorted, surveyed: Analysis) -> None:
    preview = CalibratePictures()
    shown = [
        preview(request(distorted_scan, surveyed, {"disks.min_snr": snr}, picture="position", position=(2, 3)))
        for snr in (3.0, 20.0)
    ]
    many, few = ([] if each.disks is None else each.disks[3] for each in shown)
    assert len(few) < len(many)
    assert min(few) >= 20.0
    assert shown[0].image is shown[1].image  # read once


def test_the_preview_takes_at_most_50_ms(distorted_scan: Distorted, surveyed: Analysis) -> None:
    preview = CalibratePictures()
    seconds = [
        preview(request(distorted_scan, surveyed, {"disks.min_snr": 3.0 + i}, picture="position")).seconds
        for i in range(8)
    ]
    assert min(seconds) <= 0.05


def test_a_centre_set_by_hand_moves_the_overlays_before_any_run(
    distorted_scan: Distorted, calibrated: Analysis
) -> None:
    changes = {"center.q_y": 60.0, "center.q_x": 66.0, "center.probe_radius": 4.0}
    shown = CalibratePictures()(request(distorted_scan, calibrated, changes))
    assert shown.geometry is not None
    assert (shown.geometry.q_y, shown.geometry.q_x, shown.geometry.probe_radius) == (60.0, 66.0, 4.0)


def test_a_probe_that_cannot_be_found_is_said_beside_the_pattern(distorted_scan: Distorted, surveyed: Analysis) -> None:
    shown = CalibratePictures()(request(distorted_scan, surveyed, {"center.q_y": 500.0}))
    assert "center.q_y is 500" in shown.note
    assert shown.image is not None


def test_an_ellipse_set_by_hand_shows_before_any_run(distorted_scan: Distorted, calibrated: Analysis) -> None:
    shown = CalibratePictures()(request(distorted_scan, calibrated, {"ellipse.ratio": 1.1, "ellipse.angle": 20.0}))
    assert shown.geometry is not None
    assert (shown.geometry.ellipse_ratio, shown.geometry.ellipse_angle) == (1.1, 20.0)


def test_a_drawn_mask_shows_before_any_run(distorted_scan: Distorted, surveyed: Analysis) -> None:
    keep = np.ones(distorted_scan.dataset.detector_shape, bool)
    keep[100:110, 20:40] = False
    preview = CalibratePictures()
    assert preview(request(distorted_scan, surveyed)).mask is None
    masked = pipeline.with_mask(surveyed, keep)
    shown = preview(request(distorted_scan, masked, {"beam_stop.margin": 0.0}))
    assert np.array_equal(shown.mask, keep)
    grown = preview(request(distorted_scan, masked, {"beam_stop.margin": 3.0}))
    assert (~grown.mask).sum() > (~keep).sum()  # type: ignore[operator]


def test_each_pattern_has_its_own_centre(distorted_scan: Distorted, calibrated: Analysis) -> None:
    assert calibrated.calibration is not None
    for position in ((0, 0), (7, 2)):
        shown = CalibratePictures()(request(distorted_scan, calibrated, picture="position", position=position))
        assert shown.geometry is not None
        assert (shown.geometry.q_y, shown.geometry.q_x) == pytest.approx(calibrated.calibration.origin[position])


def test_bragg_vectors_are_mapped_raw_and_calibrated(distorted_scan: Distorted, calibrated: Analysis) -> None:
    preview = CalibratePictures()
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
        shown = CalibratePictures()(request(distorted_scan, calibrated, picture=picture))
        points = shown.lines["aa"][~np.isnan(shown.lines["aa"][:, 0])]
        assert shown.geometry is not None
        radius = shown.geometry.to_polar(*points.T)[0]
        rings = features["aa"].details["rings"]
        assert (radius.min(), radius.max()) == pytest.approx((min(rings), max(rings)), abs=1e-3)


def test_what_is_cached_can_be_dropped(distorted_scan: Distorted, surveyed: Analysis) -> None:
    preview = CalibratePictures()
    first = preview(request(distorted_scan, surveyed, picture="position")).image
    preview.forget()
    assert preview(request(distorted_scan, surveyed, picture="position")).image is not first


def test_without_the_scan_what_was_found_still_shows(calibrated: Analysis) -> None:
    lost = PictureRequest(None, calibrated, calibrated.recipe, "mean")
    assert CalibratePictures()(lost).disks is not None
    with pytest.raises(StemNMFError, match="open its file"):
        CalibratePictures()(replace(lost, picture="position"))


def test_what_cannot_be_drawn_is_left_out() -> None:
    geometry = Geometry((64, 80), 30.5, 41.0, 3.0)
    drawn = lines_over(geometry, Recipe(), cell_rings=(), fitted=[np.nan], hot_pixels=np.empty((0, 2)))
    assert set(drawn) == {"centre", "rv"}
    recipe = Recipe().replaced({"rv.featurize.r_min": 200.0})
    drawn = lines_over(geometry, recipe, cell_rings=(8.0, 14.0), fitted=[12.0], hot_pixels=np.array([[3.0, 4.0]]))
    assert set(drawn) == {"centre", "aa", "ellipse", "hot"}


def test_the_central_disk_stays_round_where_the_detector_is_stretched() -> None:
    geometry = Geometry((64, 80), 30.5, 41.0, 3.0, ellipse_ratio=1.21, ellipse_angle=0.0)
    points = lines_over(geometry, Recipe(), cell_rings=(), fitted=(), hot_pixels=np.empty((0, 2)))["centre"]
    away = np.hypot(*(points[~np.isnan(points[:, 0])] - [30.5, 41.0]).T)
    assert away.max() == pytest.approx(3.0)


def test_the_preview_says_how_weak_its_weakest_disk_is() -> None:
    found = np.zeros(2), np.zeros(2), np.array([9.0, 2.5]), np.array([40.0, 5.25])
    assert CalibratePicture(disks=found, seconds=0.004).summary() == (
        "2 disks, SNR 5.2 to 40\nleast height 2.5 counts; looked for in 4 ms"
    )
    assert CalibratePicture(disks=(np.empty(0),) * 4, seconds=0.004).summary() == "No disk\nlooked for in 4 ms"
