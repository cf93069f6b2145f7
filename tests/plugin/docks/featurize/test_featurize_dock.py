"""The preview of Featurize shows what Run takes; bounds are dragged in its profile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.plugin.docks.featurize.model import (
    FeaturePicture,
    FeaturePictures,
    FeatureRequest,
    sample_positions,
)


@pytest.fixture(scope="module")
def scan(scan_file: Path) -> stem.Dataset:
    return stem.open(scan_file)


def request(scan: stem.Dataset, analysis: stem.Analysis | None, feature: str, **more: Any) -> FeatureRequest:
    recipe = more.pop("recipe", None) or (stem.Recipe() if analysis is None else analysis.recipe)
    return FeatureRequest(scan, analysis, recipe, feature=feature, position=(7, 9), **more)


def test_the_preview_shows_what_run_takes(scan: stem.Dataset, analysis: stem.Analysis) -> None:
    preview = FeaturePictures()
    aa = preview(request(scan, analysis, "aa", picture="maximum"))
    assert aa.feature == "aa"
    assert aa.rings == analysis.features["aa"].details["rings"]
    assert f"{analysis.features['aa'].values.shape[1]} columns" in aa.summary
    assert len(aa.peaks) == len(aa.rings) - 1
    assert all(low <= peak <= high for low, peak, high in zip(aa.rings, aa.peaks[:, 0], aa.rings[1:], strict=False))
    cells = aa.lines["cells"][:, :2]
    assert np.isnan(cells[:, 0]).sum() == analysis.features["aa"].values.shape[1]  # an outline for every column

    rv = preview(request(scan, analysis, "rv", picture="position"))
    here = next(curve for curve in rv.curves if curve.strong)
    assert np.array_equal(here.value, analysis.features["rv"].values[7 * 24 + 9])
    assert rv.span == (analysis.features["rv"].details["radii"][0], analysis.features["rv"].details["radii"][-1])

    bd = preview(request(scan, analysis, "bd", picture="calibrated map"))
    details = analysis.features["bd"].details
    assert bd.span is not None
    assert bd.span[0] == details["r_min"]
    assert f"{details['grid'][0]} × {details['grid'][1]} bins of {details['bin']:g} px" in bd.summary
    assert len(bd.lines["bins"]) == 3 * (sum(details["grid"]) + 2)
    strict = analysis.recipe.replaced({"bd.featurize.min_snr": 40.0})
    here = preview(request(scan, analysis, "bd", picture="position", recipe=strict))
    loose = preview(request(scan, analysis, "bd", picture="position"))
    assert len(here.lines["disks"]) < len(loose.lines["disks"])
    assert len(here.lines["left out"]) > len(loose.lines["left out"])


def test_the_preview_of_vdf_says_that_a_run_may_pool(scan: stem.Dataset, tracked: stem.Analysis) -> None:
    for sigma, says in ((0.0, False), (1.0, True)):
        recipe = tracked.recipe.replaced({"vdf.featurize.pooling": sigma})
        shown = FeaturePictures()(request(scan, tracked, "vdf", picture="maximum", recipe=recipe))
        assert ("may pool" in shown.summary) == says


def test_the_preview_of_vdf_shows_the_tracks_that_run_follows(scan: stem.Dataset, tracked: stem.Analysis) -> None:
    preview, columns = FeaturePictures(), tracked.features["vdf"].columns
    for picture in ("maximum", "calibrated map"):
        shown = preview(request(scan, tracked, "vdf", picture=picture))
        assert np.isnan(shown.lines["disks"][:, 0]).sum() == len(columns["radius"])
        assert f"{len(columns['radius'])} tracks" in shown.summary
    around = shown.lines["disks"].reshape(len(columns["radius"]), -1, 2)[:, :-2]
    centre = around.mean(axis=1) - [shown.geometry.q_y, shown.geometry.q_x]
    assert np.allclose(np.hypot(*centre.T), columns["radius"], atol=1e-3)
    taken, every = (curve.value for curve in shown.curves)
    assert 0 < taken.sum() < every.sum()

    here = preview(request(scan, tracked, "vdf", picture="position"))
    disks = np.count_nonzero(tracked.peaks.pattern == 7 * 24 + 9)
    circles = sum(np.isnan(here.lines[name][:, 0]).sum() for name in ("disks", "left out"))
    assert circles == disks
    longer = tracked.recipe.replaced({"vdf.featurize.min_length": 400})
    nothing = preview(request(scan, tracked, "vdf", picture="maximum", recipe=longer))
    assert "No spot is followed" in nothing.summary


def test_settings_that_cannot_be_are_said_and_the_pattern_stays(scan: stem.Dataset, analysis: stem.Analysis) -> None:
    preview = FeaturePictures()
    off = analysis.recipe.replaced({"rv.featurize.r_min": 30.0, "rv.featurize.r_max": 12.0})
    picture = preview(request(scan, analysis, "rv", picture="maximum", recipe=off))
    assert picture.image is not None
    assert "has no radius between" in picture.note
    wide = analysis.recipe.replaced({"aa.featurize.rings": (5.0, 45.0)})  # beyond the detector of 64 px
    picture = preview(request(scan, analysis, "aa", picture="maximum", recipe=wide))
    assert "left out" in picture.summary
    results_only = replace(request(scan, analysis, "aa", picture="position"), dataset=None)
    with pytest.raises(StemNMFError, match="not open"):
        preview(results_only)
    assert preview(replace(results_only, picture="maximum")).rings


def test_without_a_survey_a_coarse_sample_may_stand_in(scan: stem.Dataset, analysis: stem.Analysis) -> None:
    preview = FeaturePictures()
    nothing = preview(request(scan, None, "aa", picture="maximum"))
    assert nothing.image is None
    assert "First look" in nothing.note
    for feature in ("aa", "rv", "bd"):
        coarse = preview(request(scan, None, feature, picture="maximum", coarse=True))
        assert coarse.image is not None
        assert "coarse sample" in coarse.note
        assert coarse.summary
    surveyed = pipeline.run(pipeline.start(scan, analysis.recipe), scan, "survey")
    assert "Calibrate all" in preview(request(scan, surveyed, "bd", picture="calibrated map")).note
    found = preview(request(scan, surveyed, "rv", picture="position"))
    assert found.span is not None
    assert found.note == ""


def test_a_coarse_sample_touches_few_chunks() -> None:
    import dask.array as da

    small = stem.Dataset.from_array(da.zeros((5, 200, 8, 8), dtype=np.uint16, chunks=(1, 200, 8, 8)))
    rows, columns = sample_positions(small)
    assert (len(rows), len(columns)) == (5, 12)
    large = stem.Dataset.from_array(da.zeros((512, 512, 512, 512), dtype=np.uint16, chunks=(16, 16, 512, 512)))
    rows, columns = sample_positions(large)  # chunks of 134 MB, patterns of 0.5 MB
    assert len(rows) * len(columns) <= 4
    assert (np.diff(rows) > 0).all()


def test_bounds_are_dragged_and_the_probe_is_followed(
    viewer: Any, qtbot: Any, scan_file: Path, analysis: stem.Analysis, step: Callable[..., Any]
) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    dock = step("Featurize")
    session, panel = dock.session, dock.panel

    def shown(until: Callable[[FeaturePicture], object]) -> FeaturePicture:
        qtbot.waitUntil(lambda: not dock._preview.busy and bool(until(panel.shown)), timeout=20_000)
        return panel.shown

    shown(lambda picture: "First look" in picture.note)
    assert not panel.sample.isHidden()
    panel.sample.click()
    assert "coarse sample" in shown(lambda picture: picture.rings).note
    assert panel.sample.isHidden()
    session.set_recipe(analysis.recipe)
    session.set_analysis(analysis)
    rings = shown(lambda picture: picture.rings and not picture.note).rings
    assert "Featurize: nothing to do" in dock.cost.value

    line = panel.profile.bounds[1]
    line.setPos(rings[1] + 2.1)
    line.sigPositionChangeFinished.emit(line)
    assert session.recipe.aa.featurize.rings == tuple(sorted((rings[0], rings[1] + 2.0, *rings[2:])))
    assert "Stale" in dock.status.value
    assert "s, " in dock.cost.value
    moved = shown(lambda picture: picture.rings != rings)
    assert moved.rings == session.recipe.aa.featurize.rings

    dock.feature.value = "rv"
    before = shown(lambda picture: picture.feature == "rv" and picture.curves)
    assert before.span is not None
    panel.profile.region.setRegion((before.span[0] + 3, before.span[1]))
    assert session.recipe.rv.featurize.r_min == before.span[0] + 3
    assert session.recipe.rv.featurize.r_max is None  # was not dragged
    session.move_probe(3, 4)
    after = shown(lambda picture: picture.curves and "3, 4" in picture.curves[0].title)
    assert (panel.row.value(), panel.column.value()) == (3, 4)
    assert after.span != before.span
    panel.row.setValue(5)
    assert session.position == (5, 4)
