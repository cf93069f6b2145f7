"""The disks of a grain are reflections of its own crystal, whoever found the grain."""

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import DataError
from napari_stemnmf.orientation.disks import GrainDisks, grain_disks
from napari_stemnmf.simulation import diffraction
from napari_stemnmf.simulation.sample import Sample, sample

ENERGY, NEAR, EXCITED = 300e3, 0.02, 0.05
"""eV; 1/Å between a disk and its reflection, and to the Ewald sphere."""


@pytest.fixture(scope="module")
def made() -> Sample:
    return sample()


def share_on_its_lattice(disks: GrainDisks, rotation: np.ndarray) -> float:
    """Share of the intensity of some disks that lies where a silver crystal so turned diffracts."""
    g = diffraction.reflections(diffraction.fcc("Ag"), 1.4).g @ rotation.T
    g = g[np.abs(diffraction.excitation_error(g, diffraction.wavelength(ENERGY))) < EXCITED]
    q = np.stack([disks.q_x, disks.q_y], axis=1) / 10
    away = np.hypot(*np.moveaxis(q[:, None] - g[None, :, :2], -1, 0)).min(axis=1)
    return float(disks.intensity[away < NEAR].sum() / disks.intensity.sum())


@pytest.mark.parametrize("feature", ["vdf", "aa"])
def test_disks_of_overlapping_grains_are_each_one_s_own(made: Sample, feature: str) -> None:
    """Of grains of tracked spots, and of others, whose disks come from the patterns that they lie on."""
    recipe = stem.Recipe.preset("default" if feature == "vdf" else "nmf", features=[feature])
    analysis = stem.analyse(made.dataset, recipe, workers=1)
    grains, disks = analysis.grains[feature], grain_disks(analysis, feature)
    shares = []
    for mask, grain in zip(grains.masks, grains.ids.tolist(), strict=True):
        overlap = (made.masks & mask).sum(axis=(1, 2)) / (made.masks | mask).sum(axis=(1, 2))
        if overlap.max() > 0.5:
            shares.append(share_on_its_lattice(disks.of(grain), made.orientations[overlap.argmax()]))
    assert len(shares) >= 0.8 * len(made.masks)
    assert min(shares) > 0.75
    assert np.mean(shares) > 0.95


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(DataError, match="a table of 2 disks"):
        GrainDisks(np.zeros(2, np.int64), *(np.zeros(3, np.float32),) * 4)
