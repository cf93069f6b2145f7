"""The preset default: grains from tracked Bragg spots, from the scan to the table, and what they hold to."""

import h5py
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.clustering.grouping import Groups
from napari_stemnmf.grains.scoring import score
from napari_stemnmf.simulation.sample import sample


@pytest.fixture(scope="module")
def made():
    return sample()


@pytest.fixture(scope="module")
def analysis(made):
    return stem.analyse(made.dataset, workers=1)


def test_the_default_gives_one_set_of_grains_and_nearly_all_of_them(made, analysis):
    assert list(analysis.grains) == ["vdf"]
    assert score(analysis.grains["vdf"], made.masks).f1_iou50 > 0.9


def test_each_grain_says_how_likely_it_is_to_be_right(analysis):
    grains, table = analysis.grains["vdf"], analysis.tables["vdf"]
    assert ((grains.confidence > 0) & (grains.confidence <= 1)).all()
    np.testing.assert_allclose(table["confidence"], grains.confidence, rtol=1e-6)
    assert len(table["reason"]) == len(grains)


def test_groups_of_spots_come_back_from_a_file(analysis, tmp_path):
    analysis.save(tmp_path / "a.stemnmf.h5")
    again = stem.Analysis.load(tmp_path / "a.stemnmf.h5")
    groups = again.models["vdf"]
    assert isinstance(groups, Groups)
    np.testing.assert_array_equal(groups.group, analysis.models["vdf"].group)
    np.testing.assert_array_equal(groups.maps, analysis.models["vdf"].maps)
    np.testing.assert_array_equal(again.grains["vdf"].confidence, analysis.grains["vdf"].confidence)
    assert again.grains["vdf"].reasons == analysis.grains["vdf"].reasons
    assert all(again.is_current(path) for path in ("features/vdf", "models/vdf", "grains/vdf", "tables/vdf"))


def test_the_number_of_workers_changes_no_bit(made, analysis):
    other = stem.analyse(made.dataset, workers=3)
    np.testing.assert_array_equal(other.features["vdf"].values.data, analysis.features["vdf"].values.data)
    np.testing.assert_array_equal(other.grains["vdf"].masks, analysis.grains["vdf"].masks)
    np.testing.assert_array_equal(other.grains["vdf"].confidence, analysis.grains["vdf"].confidence)


def test_what_is_found_twice_side_by_side_is_found_as_in_one(made, analysis):
    """Two scans of the same specimen side by side hold its grains twice, but for those at the seam."""
    data = np.asarray(made.dataset.data)
    twice = stem.analyse(stem.Dataset.from_array(np.concatenate([data, data], axis=1)), workers=1)
    columns = data.shape[1]
    for masks in (twice.grains["vdf"].masks[:, :, :columns], twice.grains["vdf"].masks[:, :, columns:]):
        inside = masks[masks.any(axis=(1, 2))]
        assert abs(len(inside) - len(analysis.grains["vdf"])) <= 4
        assert score(stem.Grains.from_masks(inside), made.masks).f1_iou50 > 0.85


def test_patterns_without_any_spot_give_no_grain_and_say_why():
    noise = np.random.default_rng(0).poisson(5.0, (12, 12, 48, 48)).astype(np.uint16)
    y, x = np.mgrid[:48, :48] - 23.5
    noise += (np.hypot(y, x) < 3).astype(np.uint16) * 400
    found = stem.analyse(stem.Dataset.from_array(noise), workers=1)
    assert not len(found.grains.get("vdf", ()))
    assert any("VDF" in sentence for sentence in found.warnings)


def test_presets_name_their_representations():
    assert stem.Recipe.preset("default").features == ("vdf",)
    assert stem.Recipe.preset("paper").features == stem.Recipe.preset("nmf").features == ("aa", "rv", "bd")


def test_a_result_of_groups_is_told_from_one_of_nmf_in_the_file(analysis, tmp_path):
    analysis.save(tmp_path / "a.stemnmf.h5")
    with h5py.File(tmp_path / "a.stemnmf.h5") as file:
        assert file["models/vdf"].attrs["kind"] == "groups"


def test_the_direct_beam_of_pooled_patterns_is_pooled(made):
    """Brightness and double diffraction are told over the beam: pooled dark fields are as much brighter as it is."""
    plain, pooled = (
        stem.analyse(
            made.dataset,
            stem.Recipe.preset("default").replaced({"vdf.featurize.pooling": sigma}),
            until="featurize",
            workers=1,
        ).features["vdf"]
        for sigma in (0.0, 1.0)
    )
    brighter = pooled.details["beam"] / plain.details["beam"]
    assert brighter == pytest.approx(4 * np.pi, rel=0.02)
    assert pooled.values.max() / pooled.details["beam"] == pytest.approx(
        plain.values.max() / plain.details["beam"], rel=0.5
    )


@pytest.mark.parametrize("kind", ["no number", "forty times as bright", "empty", "saturated"])
def test_one_odd_pattern_in_a_grain_costs_its_position_alone(made, analysis, kind):
    """Such a pattern outshone, or put out, each dark field that it was in, and its grain was lost."""
    grains = analysis.grains["vdf"]
    largest = grains.masks[int(grains.areas.argmax())]
    y, x = (int(part[len(part) // 2]) for part in np.nonzero(largest))
    data = np.asarray(made.dataset.data).astype(np.float32)
    data[y, x] = {
        "no number": np.nan, "forty times as bright": 40 * data[y, x], "empty": 0, "saturated": 65535
    }[kind]  # fmt: skip
    data = data if kind == "no number" else data.astype(np.uint32)
    found = stem.analyse(stem.Dataset.from_array(data), workers=1)
    assert found.left_out is not None
    assert found.left_out[y, x]
    again = found.grains["vdf"].masks
    assert len(again) == len(grains)
    expected = largest.copy()
    expected[y, x] = False
    best = max((mask & expected).sum() / (mask | expected).sum() for mask in again)
    assert best > 0.97
    assert not again[:, y, x].any()
