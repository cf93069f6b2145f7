"""The whole way with a distorted scan: prepared, disks found, calibrated, described; stopped, resumed, saved, drawn."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf import cli, pipeline
from napari_stemnmf.errors import AnalysisError, DataError
from napari_stemnmf.export.calibration import summary, text
from napari_stemnmf.figures.calibration import calibration_figure
from napari_stemnmf.study.distorted import distorted


@pytest.fixture(scope="module")
def scan():
    return distorted(scan_shape=(16, 16), detector=126, dose=1e5, ellipse_ratio=1.02, ellipse_angle=30.0, seed=3)


@pytest.fixture(scope="module")
def stopped():
    return distorted(scan_shape=(16, 16), detector=126, dose=1e5, beam_stop=True, hot_pixels=5, seed=4)


@pytest.fixture(scope="module")
def analysis(scan):
    return stem.analyse(scan.dataset, until="calibrate")


def rms(found, truth):
    return float(np.sqrt(((found - truth) ** 2).sum(axis=-1).mean()))


def test_distorted_scan_is_calibrated_by_itself(analysis, scan):
    found = summary(analysis)
    assert rms(analysis.calibration.origin, scan.center) < 0.1
    np.testing.assert_allclose(found["descan_px"], scan.descan, atol=0.2)
    assert abs(found["ellipse_ratio"] - scan.ellipse_ratio) < 0.002
    assert abs((found["ellipse_angle_deg"] - scan.ellipse_angle + 90) % 180 - 90) < 2
    assert abs(found["probe_radius_px"] - scan.probe_radius) < 0.4
    assert {tuple(p) for p in found["hot_pixels"]} == {tuple(p) for p in scan.hot_pixels.tolist()}
    assert found["masked_fraction"] == 0


def test_beam_stop_is_found_and_the_centre_behind_it(stopped):
    analysis = stem.analyse(stopped.dataset, until="calibrate")
    assert analysis.calibration.origin_method == "friedel"
    assert rms(analysis.calibration.origin, stopped.center) < 0.25
    mask = analysis.calibration.geometry.mask
    assert mask is not None
    assert mask[~stopped.mask].mean() < 0.02


def test_three_reads_are_enough_before_the_grains(scan):
    stages = []
    recipe = stem.Recipe.preset("nmf", ["aa", "rv", "bd"])
    stem.analyse(scan.dataset, recipe, until="featurize", progress=lambda p: stages.append(p.stage))
    assert list(dict.fromkeys(stages)) == ["Survey", "Disks", "Features"]


def test_features_of_a_distorted_scan_are_those_of_the_plain_one(scan, analysis):
    recipe = stem.Recipe.preset("paper", ["aa", "bd"])
    plain = stem.analyse(scan.plain, recipe, until="featurize")
    rings = plain.features["aa"].details["rings"]
    same = recipe.replaced({"aa.featurize.rings": rings})
    found = stem.analyse(scan.dataset, same, until="featurize").features["aa"]
    r = np.corrcoef(found.values.ravel(), plain.features["aa"].values.ravel())[0, 1]
    assert r >= 0.98


def test_changed_settings_of_calibration_recompute_only_what_depends_on_them(scan, analysis):
    def stages_of(changes):
        seen = []
        recipe = analysis.recipe.replaced(changes)
        stem.analyse(
            scan.dataset, recipe, analysis=analysis, until="calibrate", progress=lambda p: seen.append(p.stage)
        )
        return set(seen)

    assert stages_of({"ellipse.ratio": 1.03, "ellipse.angle": 10.0}) == set()
    assert stages_of({"disks.min_snr": 8.0}) == {"Disks"}
    assert stages_of({"preprocess.bin": 2}) == {"Survey", "Disks"}


def test_what_is_set_overrules_what_is_measured(scan):
    recipe = stem.Recipe().replaced(
        {"ellipse.ratio": 1.04, "ellipse.angle": 70.0, "center.q_y": 60.0, "pixel_size.d_spacing": 0.2359}
    )
    geometry = stem.analyse(scan.dataset, recipe, until="calibrate").calibration.geometry
    assert (geometry.ellipse_ratio, geometry.ellipse_angle) == (1.04, 70.0)
    assert geometry.q_y == pytest.approx(60.0, abs=1e-3)


def test_crop_and_binning_go_with_all_results(scan):
    recipe = stem.Recipe.preset("nmf", ["aa"]).replaced(
        {"preprocess.scan_y": (2, 14), "preprocess.bin": 2, "*.clustering.seeds": 1, "*.clustering.components": 15}
    )
    analysis = stem.analyse(scan.dataset, recipe)
    assert analysis.survey.mean.shape == (63, 63)
    assert analysis.grains["aa"].scan_shape == (12, 16)
    scan_y, _, q_y, _ = analysis.axes
    raw = scan.dataset.axes
    assert scan_y.size == 12
    assert scan_y.offset == pytest.approx(raw[0].offset + 2 * raw[0].scale)
    assert q_y.scale == pytest.approx(2 * raw[2].scale)
    assert pipeline.prepared(analysis, scan.dataset).shape == (12, 16, 63, 63)


def test_given_mask_is_kept_saved_and_honoured(scan, tmp_path):
    mask = np.ones((126, 126), bool)
    mask[:40, 60:] = False
    path = tmp_path / "a.stemnmf.h5"
    analysis = stem.analyse(scan.dataset, mask=mask, until="calibrate", path=path)
    assert not analysis.calibration.geometry.mask[:40, 60:].any()
    y, x = np.rint(analysis.peaks.q_y).astype(int), np.rint(analysis.peaks.q_x).astype(int)
    assert mask[y, x].all()
    back = stem.Analysis.load(path)
    np.testing.assert_array_equal(back.mask, mask)
    assert pipeline.stale(back) == pipeline.stale(analysis)
    with pytest.raises(DataError, match="126"):
        stem.analyse(scan.dataset, mask=mask[:-1], until="survey")


def test_calibration_and_disks_come_back_from_the_file(analysis, tmp_path):
    analysis.save(tmp_path / "a.stemnmf.h5")
    back = stem.Analysis.load(tmp_path / "a.stemnmf.h5")
    assert summary(back) == summary(analysis)
    assert text(back) == text(analysis)
    assert back.axes == analysis.axes
    for name in ("offsets", "q_y", "q_x", "height", "snr", "central"):
        np.testing.assert_array_equal(getattr(back.peaks, name), getattr(analysis.peaks, name))
    assert back.calibration.geometry == analysis.calibration.geometry


def test_calibrate_prints_one_json_object_and_draws(scan, tmp_path, capsys):
    np.save(tmp_path / "scan.npy", scan.dataset.data.compute())
    out = tmp_path / "out"
    assert cli.main(["calibrate", str(tmp_path / "scan.npy"), "--json", "--out", str(out)]) == 0
    found = json.loads(capsys.readouterr().out)
    names = "center_q_y center_q_x descan_px ellipse_ratio ellipse_angle_deg q_pixel_size q_unit probe_radius_px"
    assert {*names.split(), "hot_pixels", "masked_fraction"} <= set(found)
    assert np.shape(found["descan_px"]) == (2, 2)
    assert {p.name for p in out.iterdir()} == {"analysis.stemnmf.h5", "calibration.png", "calibration.pdf"}
    assert cli.main(["calibrate", str(tmp_path / "scan.npy"), "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "a/b 1.0" in said.out
    assert "Survey" not in said.err  # everything was there


def test_numbers_of_the_command_line_are_explained(analysis):
    from pathlib import Path

    page = (Path(__file__).parents[1] / "docs" / "calibration.md").read_text(encoding="utf-8")
    assert [name for name in summary(analysis) if f"`{name}`" not in page] == []


def test_figure_shows_every_panel_and_cuts_nothing_off(analysis, scan):
    data = pipeline.prepared(analysis, scan.dataset)
    for dataset in (None, data):
        figure = calibration_figure(analysis, dataset)
        figure.draw_without_rendering()
        panels = [ax for ax in figure.axes if ax.get_title()]
        assert len(panels) == 8
        assert all(ax.has_data() and ax.get_xlabel() and ax.get_ylabel() for ax in panels)
        titles = [ax.title.get_window_extent() for ax in panels]
        assert all(figure.bbox.x0 <= t.x0 and t.x1 <= figure.bbox.x1 and t.y1 <= figure.bbox.y1 for t in titles)
        assert not any(a.overlaps(b) for i, a in enumerate(titles) for b in titles[:i])


def test_nothing_is_drawn_or_told_before_calibration(scan):
    empty = pipeline.start(scan.dataset, stem.Recipe())
    for show in (summary, text, calibration_figure):
        with pytest.raises(AnalysisError, match="calibrate"):
            show(empty)


def odd(kind):
    """A scan with patterns that hold nothing, one disk, too much, or no numbers."""
    made = distorted(scan_shape=(8, 8), detector=126, dose=1e5, seed=5)
    data = made.dataset.data.compute().astype(np.float32)
    grid = np.hypot(*(np.indices((126, 126)) - 62.5))
    if kind == "zero":
        data[2, 3] = 0
    elif kind == "one disk":
        data[2, 3] = 400.0 * (grid < 2.7)
    elif kind == "saturated":
        data[2] = np.minimum(data[2], 30)
    elif kind == "nan":
        data[2, 3] = np.nan
        data[4, 4, 10, 10] = np.inf
    elif kind == "no disk":
        data[2, 3] = np.random.default_rng(0).poisson(5.0, (126, 126))
    return stem.Dataset.from_array(data)


@pytest.mark.parametrize("kind", ["zero", "one disk", "saturated", "nan", "no disk"])
def test_odd_patterns_go_through_every_step(kind):
    recipe = stem.Recipe.preset("nmf", ["aa", "rv", "bd"]).replaced(
        {"*.clustering.seeds": 1, "*.clustering.components": 8}
    )
    analysis = stem.analyse(odd(kind), recipe)
    assert np.isfinite(analysis.calibration.origin).all()
    kept = np.ones(64, bool) if analysis.left_out is None else ~analysis.left_out.ravel()
    assert kept.sum() >= (56 if kind == "saturated" else 63)
    for name in recipe.features:
        values = analysis.features[name].values
        assert np.isfinite(values[kept].sum())
        assert np.isfinite(analysis.models[name].W).all()
        assert name in analysis.tables
    counted = {"zero": "1 empty", "nan": "NaN or infinite", "no disk": "1 evenly bright"}
    if kind in counted:
        assert any(counted[kind] in warning for warning in analysis.warnings)


def test_scan_that_does_not_allow_a_feature_keeps_the_others(scan):
    rng = np.random.default_rng(1)
    noise = stem.Dataset.from_array(rng.poisson(20.0, (6, 6, 64, 64)).astype(np.uint16))
    recipe = stem.Recipe.preset("nmf", ["rv", "bd"]).replaced(
        {
            "*.clustering.seeds": 1,
            "*.clustering.components": 4,
            "center.q_y": 31.5,
            "center.q_x": 31.5,
            "center.probe_radius": 3.0,
        }
    )
    analysis = stem.analyse(noise, recipe)
    assert set(analysis.features) == {"rv"}
    assert set(analysis.failed) == {"bd"}
    assert any("BD was left out" in warning for warning in analysis.warnings)
    assert pipeline.stale(analysis) == {}
    seen = []
    stem.analyse(noise, recipe, analysis=analysis, progress=lambda p: seen.append(p.stage))
    assert seen == []
    alone = stem.analyse(noise, replace(recipe, features=("bd",)))
    assert set(alone.failed) == {"bd"}
    assert not alone.grains
