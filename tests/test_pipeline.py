"""The whole way from a scan to grains: right, repeatable, resumable, and stopped when asked."""

from __future__ import annotations

import threading
from dataclasses import replace

import h5py
import numpy as np
import pytest
from scipy.sparse import issparse

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.errors import AnalysisError, Cancelled
from napari_stemnmf.figures.overview import overview
from napari_stemnmf.grains.editing import Edit

QUICK = {"*.clustering.seeds": 3, "*.clustering.components": 30}


@pytest.fixture(scope="module")
def sample():
    return stem.sample(scan_shape=(32, 32), detector_shape=(64, 64), seed=1)


@pytest.fixture(scope="module")
def recipe():
    return stem.Recipe.preset("nmf").replaced(QUICK)


@pytest.fixture(scope="module")
def analysis(sample, recipe):
    return stem.analyse(sample.dataset, recipe)


def stages_run(dataset, recipe, **kwargs):
    """The result, and the names of the stages that reported work."""
    seen = []
    result = stem.analyse(dataset, recipe, progress=lambda p: seen.append(p.stage), **kwargs)
    return result, set(seen)


def assert_same(found, expected):
    """Equal to the last bit, dense or sparse."""
    np.testing.assert_array_equal(*(a.toarray() if issparse(a) else a for a in (found, expected)))


def test_analysis_holds_everything_for_each_feature(analysis, sample):
    n = sample.dataset.n_patterns
    for name in ("aa", "rv", "bd"):
        values = analysis.features[name].values
        assert values.dtype == np.float32
        assert values.shape[0] == n
        model, grains = analysis.models[name], analysis.grains[name]
        assert model.W.shape == (n, model.k)
        assert model.H.shape[0] == model.k
        assert len(model.seeds) == 3
        assert grains.masks.shape == grains.weights.shape == (len(grains), 32, 32)
        assert grains.masks.dtype == bool
        assert grains.weights.dtype == np.float32
        assert np.all((grains.weights > 0) <= grains.masks)
        assert len(analysis.tables[name]) == len(grains) > 0
        assert analysis.patterns[name].patterns.shape == (len(grains), 64, 64)


def test_grains_of_the_sample_are_found(analysis, sample):
    scores = stem.score(analysis.grains["aa"], sample.masks).as_dict()
    assert scores["precision_A"] > 0.85
    assert scores["FNR_A"] < 0.25
    assert scores["f1_iou50"] > 0.6


def test_result_does_not_depend_on_the_number_of_threads(sample, recipe, analysis):
    other = stem.analyse(sample.dataset, recipe, workers=1)
    for name in ("aa", "rv", "bd"):
        assert_same(other.features[name].values, analysis.features[name].values)
        np.testing.assert_array_equal(other.models[name].W, analysis.models[name].W)
        np.testing.assert_array_equal(other.grains[name].masks, analysis.grains[name].masks)
        np.testing.assert_array_equal(other.patterns[name].patterns, analysis.patterns[name].patterns)
        assert other.tables[name].equals(analysis.tables[name])


def test_saved_analysis_comes_back_with_all_results(analysis, tmp_path):
    analysis.save(tmp_path / "a.stemnmf.h5")
    back = stem.Analysis.load(tmp_path / "a.stemnmf.h5")
    assert back.recipe == analysis.recipe
    assert back.input == analysis.input
    assert back.keys == analysis.keys
    assert pipeline.stale(back) == {}
    np.testing.assert_array_equal(back.survey.maximum, analysis.survey.maximum)
    for name in ("aa", "rv", "bd"):
        assert_same(back.features[name].values, analysis.features[name].values)
        np.testing.assert_array_equal(back.models[name].H, analysis.models[name].H)
        assert [s.cycles for s in back.models[name].seeds] == [s.cycles for s in analysis.models[name].seeds]
        np.testing.assert_array_equal(back.grains[name].weights, analysis.grains[name].weights)
        assert back.tables[name].equals(analysis.tables[name])


def test_run_times_of_all_stages_are_kept(analysis, tmp_path):
    shared = {"survey", "probe", "peaks", "calibration"}
    each = {f"{s}/{f}" for s in ("features", "models", "grains", "tables") for f in analysis.grains}
    assert set(analysis.times) == shared | each
    assert all(took.wall > 0 and took.cpu >= 0 for took in analysis.times.values())
    analysis.save(tmp_path / "a.stemnmf.h5")
    assert stem.Analysis.load(tmp_path / "a.stemnmf.h5").times == analysis.times


def test_analysis_of_format_1_opens_and_is_computed_anew_by_a_run(analysis, sample, tmp_path):
    path = tmp_path / "a.stemnmf.h5"
    analysis.save(path)
    with h5py.File(path, "r+") as file:  # as version 0.1 wrote it: the calibration was a geometry
        file.attrs["format_version"] = 1
        file.copy("calibration/geometry", "geometry")
        for name in ("calibration", "probe", "peaks", "survey/axes", "survey/hot_pixels"):
            del file[name]
        file.move("geometry", "calibration")
        file["keys"].attrs["survey"] = "of version 0.1"
    old = stem.Analysis.load(path)
    assert old.axes == analysis.input.axes
    assert old.calibration is None
    overview(old, "aa").draw_without_rendering()
    assert "stale" in pipeline.stale(old).values()
    again = stem.analyse(sample.dataset, old.recipe.replaced({"features": "rv"}), analysis=old)
    assert pipeline.stale(again) == {}


def test_finished_run_is_not_computed_again(sample, recipe, tmp_path):
    path = tmp_path / "a.stemnmf.h5"
    stem.analyse(sample.dataset, recipe, path=path)
    written = path.stat().st_mtime_ns
    _, stages = stages_run(sample.dataset, recipe, path=path)
    assert stages == set()
    assert path.stat().st_mtime_ns == written


def test_changed_setting_recomputes_only_what_depends_on_it(sample, recipe, analysis):
    changed = recipe.replaced({"aa.refinement.min_size": 12})
    result, stages = stages_run(sample.dataset, changed, analysis=analysis)
    assert stages == {"Refine AA"}  # which looks at the other seeds; no pattern is new to Measure
    assert result.models["aa"] is analysis.models["aa"]
    assert result.tables["rv"] is analysis.tables["rv"]
    _, stages = stages_run(sample.dataset, recipe.replaced({"rv.clustering.merge_threshold": 0.6}), analysis=analysis)
    assert stages == {"Cluster RV", "Refine RV", "Measure"}


def test_killed_run_goes_on_from_the_last_stage(sample, recipe, tmp_path):
    path = tmp_path / "a.stemnmf.h5"

    class Killed(BaseException):
        pass

    def die_in_clustering(progress):
        if progress.stage == "Cluster RV":
            raise Killed

    with pytest.raises(Killed):
        stem.analyse(sample.dataset, recipe, path=path, progress=die_in_clustering)
    assert set(stem.Analysis.load(path).features) == {"aa", "rv", "bd"}
    result, stages = stages_run(sample.dataset, recipe, path=path)
    assert not stages & {"Survey", "Features"}
    assert pipeline.stale(result) == {}


def test_cancelled_run_keeps_the_finished_seeds_and_goes_on_later(sample, recipe, tmp_path):
    path = tmp_path / "a.stemnmf.h5"
    cancel = threading.Event()

    def stop_after_the_first_seed(progress):
        if progress.stage == "Cluster AA" and progress.done >= 1:
            cancel.set()

    many = recipe.replaced({"*.clustering.seeds": 12, "features": "aa"})
    with pytest.raises(Cancelled) as stop:
        stem.analyse(sample.dataset, many, path=path, progress=stop_after_the_first_seed, cancel=cancel, workers=1)
    kept = stop.value.analysis
    assert {s.status for s in kept.models["aa"].seeds} == {"done", "cancelled"}
    assert pipeline.stale(kept)["models/aa"] == "stale"
    assert stem.Analysis.load(path).models["aa"].k == kept.models["aa"].k
    result = stem.analyse(sample.dataset, many, path=path)
    assert {s.status for s in result.models["aa"].seeds} == {"done"}
    assert pipeline.stale(result) == {}


def test_analysis_of_other_data_is_not_overwritten(sample, recipe, analysis, tmp_path):
    path = tmp_path / "a.stemnmf.h5"
    analysis.save(path)
    other = replace(sample.dataset, data=sample.dataset.data[::-1])
    with pytest.raises(AnalysisError, match="other data"):
        stem.analyse(other, recipe, path=path)


def test_file_that_is_no_analysis_is_neither_read_nor_overwritten(analysis, tmp_path):
    path = tmp_path / "thesis.h5"
    path.write_text("ten years of work")
    with pytest.raises(AnalysisError, match="not a napari-stemnmf analysis"):
        stem.Analysis.load(path)
    with pytest.raises(AnalysisError, match="choose another name"):
        analysis.save(path)
    assert path.read_text() == "ten years of work"


def test_truncated_analysis_is_refused_with_a_sentence(analysis, tmp_path):
    path = tmp_path / "a.stemnmf.h5"
    analysis.save(path)
    whole = path.read_bytes()
    for share in (0.1, 0.5, 0.99):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(AnalysisError, match=r"damaged|not a napari-stemnmf"):
            stem.Analysis.load(path)


def test_other_seed_can_be_chosen_and_makes_the_grains_stale(analysis):
    model = analysis.models["aa"]
    seed = next(s.seed for s in model.seeds if s.seed != model.seed)
    chosen = pipeline.choose_seed(analysis, "aa", seed)
    assert chosen.models["aa"].seed == seed
    assert set(pipeline.stale(chosen)) == {"grains/aa", "tables/aa"}
    again = pipeline.run(chosen, None, "refine")
    assert "grains/aa" not in pipeline.stale(again)


def test_grains_edited_by_hand_make_stale_what_was_measured_and_come_back(analysis, tmp_path):
    first, second, *_ = (int(i) for i in analysis.grains["aa"].ids)
    said = pipeline.edit(analysis, "aa", Edit("accept", (first,)), Edit("comment", (second,), "twin"))
    assert pipeline.stale(said) == {}
    assert said.grains["aa"] is analysis.grains["aa"]
    edited = pipeline.edit(said, "aa", Edit("merge", (first, second)))
    assert pipeline.stale(edited) == {"tables/aa": "stale"}
    assert len(edited.grains["aa"]) == len(analysis.grains["aa"]) - 1
    edited.save(tmp_path / "a.stemnmf.h5")
    back = stem.Analysis.load(tmp_path / "a.stemnmf.h5")
    assert pipeline.run(back, None, "refine") is back  # the edits are not computed away
    np.testing.assert_array_equal(back.grains["aa"].masks, edited.grains["aa"].masks)
    narrow = pipeline.with_recipe(back, back.recipe.replaced({"features": "rv"}))
    assert (set(narrow.grains), set(narrow.reviews)) == ({"aa", "rv"}, {"aa"})  # what was done by hand stays
    assert pipeline.with_recipe(narrow, back.recipe).is_current("grains/aa")
    undone = pipeline.undo(back, "aa")
    assert pipeline.stale(undone) == {}
    assert undone.reviews["aa"].verdicts().loc[first, "verdict"] == "accepted"
    assert pipeline.redo(undone, "aa").keys == edited.keys
    anew = pipeline.run(
        pipeline.with_recipe(back, back.recipe.replaced({"aa.refinement.min_size": 12})), None, "refine"
    )
    assert anew.reviews == {}
    with pytest.raises(AnalysisError, match="nothing to undo"):
        pipeline.undo(analysis, "aa")


def test_measuring_after_an_edit_gives_what_measuring_all_gives(analysis, sample, tmp_path):
    first, second, third, *_ = (int(i) for i in analysis.grains["aa"].ids)
    assert not pipeline.changed(analysis, "aa").any()
    stable = analysis.tables["aa"]["stability"]
    assert stable.between(0, 1).all()
    edited = pipeline.edit(analysis, "aa", Edit("merge", (first, second)), Edit("accept", (third,)))
    stale = pipeline.changed(edited, "aa")
    assert stale[edited.grains["aa"].ids == first].all()
    assert not stale.all()
    edited.save(tmp_path / "a.stemnmf.h5")
    quick = pipeline.run(stem.Analysis.load(tmp_path / "a.stemnmf.h5"), sample.dataset, "measure")
    whole = pipeline.run(replace(edited, patterns={}), sample.dataset, "measure")
    assert quick.tables["aa"].equals(whole.tables["aa"])
    np.testing.assert_array_equal(quick.patterns["aa"].single, whole.patterns["aa"].single)
    assert not pipeline.changed(quick, "aa").any()
    np.testing.assert_array_equal(
        pipeline.changed(pipeline.undo(pipeline.undo(quick, "aa"), "aa"), "aa"),
        np.isin(analysis.grains["aa"].ids, [first, second, *quick.grains["aa"].ids[stale]]),
    )


def test_step_without_what_it_needs_says_which_step_comes_first(sample, recipe):
    empty = pipeline.start(sample.dataset, recipe)
    with pytest.raises(AnalysisError, match="featurize"):
        pipeline.run(empty, None, "cluster")
    with pytest.raises(AnalysisError, match="refine"):
        pipeline.run(empty, sample.dataset, "measure")
