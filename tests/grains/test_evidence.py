"""Which regions of NMF are grains, and why there are none."""

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.grains.evidence import Tally, why_none
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.recurrence import Disks
from napari_stemnmf.grains.refinement import least_size, refine
from napari_stemnmf.representation_settings import RefinementSettings
from napari_stemnmf.simulation.sample import sample
from napari_stemnmf.simulation.simple import KINDS, SimpleScan, simple_scan

SETTINGS = RefinementSettings(min_coherence=0.5)


def few_seeds(preset: str, **more) -> stem.Recipe:
    return stem.Recipe.preset(preset).replaced({"*.clustering.seeds": 2, **more})


def run(made: SimpleScan, preset: str = "nmf", **how):
    return stem.analyse(made.dataset, few_seeds(preset), workers=1, **how)


def no_disks(shape=(10, 10)) -> Disks:
    return Disks(np.zeros((0, 2)), np.zeros(0, int), np.zeros(0, np.float32), 2.0, shape)


@pytest.mark.parametrize("preset", ["paper", "nmf"])
@pytest.mark.parametrize("kind", KINDS)
def test_each_representation_finds_the_right_number_of_grains_or_says_why_none(kind, preset):
    made = simple_scan(kind, seed=31, dose=3e4)
    found = run(made, preset, until="refine")
    for feature, grains in found.grains.items():
        assert len(grains) == KINDS[kind], (feature, grains.note)
        assert grains.note
        assert any(f"{feature.upper()}: {grains.note}" == warning for warning in found.warnings)
    assert {*found.grains, *found.failed} == {"aa", "rv", "bd"}


def test_a_film_of_many_grains_is_left_to_nmf():
    analysis = stem.analyse(sample((24, 28), (64, 64), seed=3).dataset, few_seeds("nmf"), until="refine", workers=1)
    for feature, grains in analysis.grains.items():
        plain = refine(analysis.models[feature].maps, analysis.recipe.chain(feature).refinement)
        np.testing.assert_array_equal(grains.masks, plain.masks)
        np.testing.assert_array_equal(grains.weights, plain.weights)
        np.testing.assert_array_equal(grains.component, plain.component)
        assert grains.note == ""


def test_a_scan_of_one_position_and_one_of_equal_patterns_run_to_the_end():
    crystal = simple_scan("uniform", (4, 4), seed=2)
    one = np.asarray(crystal.dataset.data[:1, :1])
    for scan, count in ((one, {0, 1}), (np.tile(one, (6, 6, 1, 1)), {1})):
        found = stem.analyse(Dataset.from_array(scan), few_seeds("nmf"), workers=1)
        for feature, grains in found.grains.items():
            assert len(grains) in count, feature
            assert grains.note
            assert len(found.tables[feature]) == len(grains)


def test_stability_of_a_large_crystal_is_one_as_every_seed_has_it():
    found = run(simple_scan("crystal", seed=32, dose=3e4))
    for table in found.tables.values():
        assert table["stability"].tolist() == [1.0]
        assert table["component"].tolist() == [-1]


def test_the_note_is_kept_in_the_file(tmp_path):
    found = run(simple_scan("half", (12, 12), seed=33), until="refine")
    found.save(tmp_path / "half.h5")
    assert stem.Analysis.load(tmp_path / "half.h5").grains["bd"].note == found.grains["bd"].note != ""
    assert Grains.from_masks(np.zeros((0, 3, 3), bool)).note == ""


def test_representations_that_differ_are_told():
    found = run(simple_scan("half", (12, 12), seed=33), until="refine")
    bare = Grains.from_masks(np.zeros((0, 12, 12), bool))
    from dataclasses import replace

    assert not any("differ" in warning for warning in found.warnings)
    differing = replace(found, grains={**found.grains, "aa": bare})
    assert "The representations differ: RV finds 1, BD finds 1, AA no grain." in differing.warnings


def test_without_a_single_bragg_disk_all_regions_of_the_paper_are_left_out():
    found = run(simple_scan("amorphous", (24, 24), seed=34, dose=1e5), "paper", until="refine")
    assert len(refine(found.models["rv"].maps, found.recipe.rv.refinement)) > 0
    assert len(found.grains["rv"]) == 0
    assert "as in a vacuum or an amorphous film" in found.grains["rv"].note


# ---- the words


@pytest.mark.parametrize(
    ("tally", "shape", "words"),
    [
        (Tally(maps=12, noise=12), (20, 20), "12 of 12 component maps are noise (coherence under min_coherence = 0.5)"),
        (Tally(maps=1, noise=1), (20, 20), "1 of 1 component map is noise"),
        (Tally(maps=2, even=2), (20, 20), "2 of 2 component maps are even over the scan"),
        (
            Tally(maps=2, small=3, largest=7),
            (20, 20),
            "3 regions are under min_size = 25 positions (the largest has 7)",
        ),
        (Tally(maps=2, small=1, largest=4), (2, 2), "(the largest has 4, the scan has 4)"),
        (Tally(maps=2, small=1, largest=4), (1, 90), "under 6 (of min_size, on a line) positions (the largest has 4)"),
        (Tally(), (20, 20), "there are no components"),
        (Tally(maps=1), (20, 20), "no region is left"),
    ],
)
def test_the_reason_is_made_of_what_was_counted(tally, shape, words):
    sentence = why_none(tally, SETTINGS, shape)
    assert words in sentence
    assert sentence.startswith("No grains: ")
    assert sentence.endswith(".")


def test_the_reason_tells_of_disks():
    assert "no Bragg disk beside the direct beam" in why_none(Tally(maps=3), SETTINGS, (10, 10), no_disks())
    random = np.random.default_rng(0)
    speckle = no_disks()._replace(q=random.uniform(-30, 30, (300, 2)), at=np.sort(random.integers(0, 100, 300)))
    speckle = speckle._replace(height=np.ones(300, np.float32))
    assert "no Bragg disk that neighbours share" in why_none(Tally(maps=3), SETTINGS, (10, 10), speckle)
    at = np.repeat(np.arange(50), 2)
    crystal = no_disks()._replace(q=np.tile([[9.0, 0], [-9, 0]], (50, 1)), at=at, height=np.ones(100, np.float32))
    sentence = why_none(Tally(maps=3, disordered=2), SETTINGS, (10, 10), crystal)
    assert "2 regions hold no Bragg disk that the patterns share" in sentence


def test_on_a_line_the_smallest_grain_is_as_long_as_it_is_wide_elsewhere():
    settings = RefinementSettings(min_size=25)
    assert least_size(settings, (40, 40)) == 25
    assert least_size(settings, (1, 120)) == least_size(settings, (120, 1)) == 6
    assert least_size(RefinementSettings(min_size=1), (1, 9)) == 1
    values = np.zeros((1, 1, 120))
    values[0, 0, 10:20] = values[0, 0, 50:53] = 1.0
    assert [int(mask.sum()) for mask in refine(values, settings).masks] == [10]


def test_a_scan_without_diffraction_ends_with_reasons_not_with_an_error():
    made = simple_scan("vacuum", (6, 6), seed=1)
    found = stem.analyse(made.dataset, few_seeds("nmf", features=("bd",)), workers=1)
    assert "as in a vacuum" in found.failed["bd"]
    assert pipeline.stale(found) == {}
