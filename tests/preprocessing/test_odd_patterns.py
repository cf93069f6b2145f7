"""Patterns that are none of the specimen are found whatever their kind, and none of the specimen is taken for one."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.analysis import Analysis
from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.scoring import score
from napari_stemnmf.preprocessing.odd_patterns import REASONS, sentence
from napari_stemnmf.preprocessing.survey import Survey, take_survey
from napari_stemnmf.recipe import Recipe
from napari_stemnmf.stage_settings import PreprocessSettings

ROWS, COLUMNS, SIZE, RADIUS = 18, 20, 48, 2.2


def disks(angle: float | None, strength: float = 0.35, middle: float = 1.0) -> np.ndarray:
    """Expected pattern, as shares of the direct beam: with disks of a square lattice turned by an angle, or without."""
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    out = middle * np.clip(RADIUS + 0.5 - np.hypot(y, x), 0, 1) + 0.02 * np.exp(-np.hypot(y, x) / 17)
    if angle is not None:
        a, b = 12 * np.cos(np.radians(angle)), 12 * np.sin(np.radians(angle))
        for h, k in np.ndindex(3, 3):
            if (h, k) != (1, 1):
                h, k = h - 1, k - 1
                distance = np.hypot(y - h * a - k * b, x + h * b - k * a)
                out += strength * np.clip(RADIUS + 0.5 - distance, 0, 1)
    return out


def masks() -> np.ndarray:
    y, x = np.indices((ROWS, COLUMNS))
    return np.stack([np.hypot(y - 5, x - 6) < 4.5, np.hypot(y - 12, x - 13) < 4.5])


def scan(electrons: float = 2e4, seed: int = 0) -> np.ndarray:
    """Two grains on a support film, as counts."""
    expected = np.broadcast_to(disks(None), (ROWS, COLUMNS, SIZE, SIZE)).copy()
    for mask, angle in zip(masks(), (5, 38), strict=True):
        expected[mask] = disks(angle)
    expected *= electrons / expected.sum(axis=(2, 3)).mean()
    return np.random.default_rng(seed).poisson(expected).astype(np.uint16)


def survey(data: np.ndarray, chunks: tuple[int, int] | None = None, **settings: object) -> Survey:
    array = data if chunks is None else da.from_array(data, chunks=(*chunks, -1, -1))
    return take_survey(Dataset.from_array(array), PreprocessSettings(**settings), workers=1)  # type: ignore[arg-type]


def at(*positions: tuple[int, int]) -> np.ndarray:
    odd = np.zeros((ROWS, COLUMNS), bool)
    for position in positions:
        odd[position] = True
    return odd


def column(*columns: int) -> np.ndarray:
    odd = np.zeros((ROWS, COLUMNS), bool)
    odd[:, list(columns)] = True
    return odd


SOME = ((0, 0), (3, 7), (9, 9), (17, 19))


def evenly(level: float):
    def spoil(data: np.ndarray) -> np.ndarray:
        for position in SOME:
            data[position] = np.random.default_rng(1).poisson(level, (SIZE, SIZE))
        return data

    return spoil


def value(value: float):
    def spoil(data: np.ndarray) -> np.ndarray:
        data = data.astype(np.float32) if value != value else data
        data[tuple(np.transpose(SOME))] = value
        return data

    return spoil


def times(where: object, factor: float):
    def spoil(data: np.ndarray) -> np.ndarray:
        data = data.astype(np.float64)
        data[where] *= factor  # type: ignore[index]
        return np.minimum(data, 65535).astype(np.uint16)

    return spoil


def moved(data: np.ndarray) -> np.ndarray:
    data[:, -1] = np.roll(data[:, -1], (9, 6), (1, 2))
    return data


ODD = {
    "evenly bright, a little": (evenly(30), at(*SOME), "evenly bright"),
    "evenly bright": (evenly(900), at(*SOME), "evenly bright"),
    "one value throughout": (value(400), at(*SOME), "evenly bright"),
    "saturated": (value(65535), at(*SOME), "saturated"),
    "empty": (value(0), at(*SOME), "empty"),
    "not finite": (value(np.nan), at(*SOME), "not finite"),
    "ten times as bright, alone": (times((4, 4), 10), at((4, 4)), "unlike all neighbours"),
    "blank but for noise": (times((4, 4), 0.005), at((4, 4)), "unlike all neighbours"),
    "first column ten times as bright": (times(np.s_[:, 0], 10), column(0), "flyback"),
    "last column ten times as bright": (times(np.s_[:, -1], 10), column(-1), "flyback"),
    "two columns five times as bright": (times(np.s_[:, -2:], 5), column(-1, -2), "flyback"),
    "last column of zeros": (times(np.s_[:, -1], 0), column(-1), "empty"),
    "last column ten times as dark": (times(np.s_[:, -1], 0.1), column(-1), "flyback"),
    "last column moved over the detector": (moved, column(-1), "flyback"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_patterns_are_found_with_their_reason_and_are_in_no_sum(kind: str) -> None:
    spoil, odd, reason = ODD[kind]
    data = spoil(scan())
    found = survey(data)
    np.testing.assert_array_equal(found.odd > 0, odd)
    assert {REASONS[code] for code in np.unique(found.odd) if code} == {reason}
    good = np.nan_to_num(data)[~odd]
    np.testing.assert_array_equal(found.maximum, good.max(axis=0).astype(np.float32))
    np.testing.assert_allclose(found.mean, good.mean(axis=0), rtol=1e-6)
    assert f"{odd.sum()} of {ROWS * COLUMNS} patterns" in sentence(found.odd)
    assert f"{odd.sum()} {reason}" in sentence(found.odd)


def test_one_in_twenty_patterns_may_be_bad() -> None:
    data, rng = scan(), np.random.default_rng(3)
    bad = np.zeros(ROWS * COLUMNS, bool)
    bad[rng.choice(bad.size, bad.size // 20, replace=False)] = True
    bad = bad.reshape(ROWS, COLUMNS)
    data[bad] = rng.poisson(700, (int(bad.sum()), SIZE, SIZE))
    np.testing.assert_array_equal(survey(data).odd > 0, bad)


def test_what_is_odd_depends_neither_on_blocks_nor_on_workers() -> None:
    data = times(np.s_[:, -1], 10)(evenly(900)(scan()))
    found = [survey(data), survey(data, (1, 1)), survey(data, (3, 20))]
    array = Dataset.from_array(da.from_array(data, chunks=(2, 10, -1, -1)))
    found.append(take_survey(array, PreprocessSettings(), workers=4))
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].odd, other.odd)
        np.testing.assert_array_equal(found[0].maximum, other.maximum)
        np.testing.assert_array_equal(found[0].mean, other.mean)


def sparse(data: np.ndarray) -> np.ndarray:
    return np.random.default_rng(5).binomial(data, 0.01).astype(np.uint16)


def beam_stop(data: np.ndarray) -> np.ndarray:
    """Vacuum behind a beam stop, nearly without counts, and a grain of four positions far brighter than all of it."""
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    dark = np.where(np.hypot(y, x) < 6, 0.0, 1.0)
    rng = np.random.default_rng(6)
    data = rng.poisson(0.02, data.shape).astype(np.uint16)
    data[8:10, 8:10] = rng.poisson(800 * disks(20) * dark, (2, 2, SIZE, SIZE))
    return data


def interface(data: np.ndarray) -> np.ndarray:
    """Vacuum beside a thick film, whose edge runs along the scan."""
    data[:, :5] = np.random.default_rng(7).poisson(1000 * disks(None), (ROWS, 5, SIZE, SIZE))
    data[:, 5:] //= 6
    return data


def thick(data: np.ndarray) -> np.ndarray:
    """A grain without a direct beam, all in diffuse scattering."""
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    diffuse = 40 * np.exp(-np.hypot(y, x) / 17)
    data[masks()[0]] = np.random.default_rng(8).poisson(diffuse, (int(masks()[0].sum()), SIZE, SIZE))
    return data


def uneven_current(data: np.ndarray) -> np.ndarray:
    return (data * np.linspace(0.4, 3.0, COLUMNS)[:, None, None]).astype(np.uint16)


def descan(data: np.ndarray) -> np.ndarray:
    for c in range(COLUMNS):
        data[:, c] = np.roll(data[:, c], round(c * 8 / COLUMNS) - 4, axis=2)
    return data


def large_disk(data: np.ndarray) -> np.ndarray:
    y, x = np.indices((SIZE, SIZE)) - (SIZE - 1) / 2
    inside = np.hypot(y, x) < 0.42 * SIZE
    return np.random.default_rng(9).poisson(30.0 * inside, data.shape).astype(np.uint16)


GOOD = {
    "as it is": lambda data: data,
    "few electrons": sparse,
    "a pedestal": lambda data: data + np.random.default_rng(4).poisson(1000, data.shape).astype(np.uint16),
    "vacuum behind a beam stop": beam_stop,
    "an interface": interface,
    "a thick grain": thick,
    "uneven beam current": uneven_current,
    "descan": descan,
    "a large bright-field disk": large_disk,
}


@pytest.mark.parametrize("kind", GOOD)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_good_pattern_is_odd(kind: str, seed: int) -> None:
    assert not survey(GOOD[kind](scan(seed=seed))).odd.any()


def test_settings_keep_odd_patterns_or_name_the_flyback() -> None:
    data = evenly(900)(scan())
    assert not survey(data, odd_patterns="off").odd.any()
    np.testing.assert_array_equal(survey(data, odd_patterns="off").maximum, data.max(axis=(0, 1)).astype(np.float32))
    np.testing.assert_array_equal(survey(scan(), flyback_columns=(0, 2)).odd > 0, column(-1, -2))
    np.testing.assert_array_equal(survey(scan(), flyback_rows=(1, 0)).odd[0] > 0, True)
    known = times(np.s_[:, -1], 10)(scan())
    assert not survey(known, flyback_columns=(0, 0)).odd.any()


def test_a_scan_without_counts_is_told_what_it_is() -> None:
    with pytest.raises(DataError, match="every value is NaN"):
        survey(np.full((4, 4, 16, 16), np.nan, np.float32))
    with pytest.raises(DataError, match="no value is above 0"):
        survey(np.zeros((4, 4, 16, 16), np.uint16))


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.preset("nmf").replaced({"*.clustering.seeds": 2, "*.refinement.min_size": 10})


@pytest.fixture(scope="module")
def spoilt(recipe: Recipe) -> Analysis:
    data = evenly(900)(scan())
    data[5, 6] = 65535  # in the middle of a grain
    return stem.analyse(Dataset.from_array(data), recipe, workers=1)


def test_a_run_is_as_good_with_odd_patterns_as_without(recipe: Recipe, spoilt: Analysis) -> None:
    clean = stem.analyse(Dataset.from_array(scan()), recipe, workers=1)
    assert not any("odd" in warning for warning in clean.warnings)
    for name in ("aa", "bd"):  # RV finds one of the two grains or both, by the starts
        wanted, found = (score(each.grains[name], masks()).as_dict()["mean_iou"] for each in (clean, spoilt))
        assert found > wanted - 0.05


def test_odd_patterns_are_in_no_grain_and_in_no_number_of_one(spoilt: Analysis) -> None:
    odd = at(*SOME, (5, 6))
    assert spoilt.left_out is not None
    np.testing.assert_array_equal(spoilt.left_out, odd)
    assert spoilt.peaks is not None
    assert not spoilt.peaks.counts[odd.ravel()].any()
    assert np.isnan(spoilt.peaks.central[odd.ravel()]).all()
    for name in ("aa", "rv"):
        assert np.isnan(spoilt.features[name].values[odd.ravel()]).all()
    for name, grains in spoilt.grains.items():
        assert not grains.masks[:, odd].any()
        assert np.nanmax(spoilt.patterns[name].patterns) < 5000  # of 65535, nothing
    assert sum("5 of 360 patterns are odd (1 saturated, 4 evenly bright)" in line for line in spoilt.warnings) == 1


def test_a_grain_that_is_painted_over_an_odd_pattern_has_nothing_of_it(spoilt: Analysis) -> None:
    from napari_stemnmf.grains.grains import Grains
    from napari_stemnmf.grains.patterns import grain_patterns

    data = scan()
    data[5, 6] = 65535
    painted = {"aa": Grains.from_masks(masks())}
    with_it, without = (
        grain_patterns(Dataset.from_array(data), painted, left_out=left_out, workers=1)["aa"]
        for left_out in (None, at((5, 6)))
    )
    assert with_it.patterns[0].min() > 900 > without.patterns[0].max()
    np.testing.assert_array_equal(with_it.patterns[1], without.patterns[1])


def test_what_was_set_aside_is_saved(spoilt: Analysis, tmp_path) -> None:
    spoilt.save(tmp_path / "a.stemnmf.h5")
    back = Analysis.load(tmp_path / "a.stemnmf.h5")
    assert back.survey is not None
    assert spoilt.survey is not None
    np.testing.assert_array_equal(back.survey.odd, spoilt.survey.odd)
    assert back.warnings == spoilt.warnings
    assert back.is_current("tables/aa")


def polycrystal(seed: int, electrons: float = 2e4) -> tuple[np.ndarray, np.random.Generator]:
    """Forty grains without a vacuum, as counts."""
    rng = np.random.default_rng(seed)
    seeds, angles = rng.uniform(0, 1, (40, 2)) * (ROWS, COLUMNS), rng.uniform(0, 90, 40)
    y, x = np.indices((ROWS, COLUMNS))
    nearest = np.argmin([np.hypot(y - a, x - b) for a, b in seeds], axis=0)
    expected = np.array([disks(angle) for angle in angles])[nearest]
    return rng.poisson(expected * electrons / expected.sum(axis=(2, 3)).mean()).astype(np.uint16), rng


@pytest.mark.parametrize("seed", [3, 4])
def test_columns_of_a_moving_beam_are_flyback(seed: int) -> None:
    data, rng = polycrystal(seed)
    assert not survey(data).odd.any()
    for y, x in np.ndindex(ROWS, 2):
        passed = data[y, rng.integers(0, COLUMNS, 5)]
        data[y, -1 - x] = rng.poisson(np.einsum("k,kij->ij", rng.dirichlet(np.ones(5)), passed))
    np.testing.assert_array_equal(survey(data).odd > 0, column(-1, -2))
    np.testing.assert_array_equal(survey(data.transpose(1, 0, 2, 3)).odd > 0, column(-1, -2).T)
    assert not survey(data, flyback_columns=(0, 0)).odd.any()


def test_dead_pixels_and_flyback_cost_one_more_read(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_stemnmf.preprocessing import survey as module

    reads, run_pass = [], module.run_pass
    monkeypatch.setattr(module, "run_pass", lambda *args, **options: reads.append(1) or run_pass(*args, **options))
    data = scan()
    assert not survey(data).odd.any()
    assert len(reads) == 1
    clean = survey(times(np.s_[:, -1], 0.05)(scan()))
    reads.clear()
    data = times(np.s_[:, -1], 0.05)(data)
    data[..., 30:32, 5:9] = 65535
    found = survey(data)
    assert len(reads) == 2
    np.testing.assert_array_equal(found.odd, clean.odd)
    np.testing.assert_array_equal(found.mean[:30], clean.mean[:30])
    assert found.odd[:, -1].all()
