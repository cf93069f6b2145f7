"""The beam stop: found where there is one and nowhere else; masks that are given go through crop and bin."""

import numpy as np
import pytest
from scipy import ndimage

from napari_stemnmf.errors import DataError, ReadError
from napari_stemnmf.preprocessing.beam_stop import detector_mask, find_beam_stop
from napari_stemnmf.preprocessing.survey import Survey, take_survey
from napari_stemnmf.reading.opening import open as open_scan
from napari_stemnmf.stage_settings import BeamStopSettings, PreprocessSettings
from napari_stemnmf.study.distorted import distorted
from napari_stemnmf.study.simulate import simulate

AUTO, OFF = BeamStopSettings(), BeamStopSettings(find="off", margin=0.0)
PLAIN = PreprocessSettings()


def looked_at(mean) -> Survey:
    mean = np.asarray(mean, np.float32)
    return Survey(mean, mean, np.zeros((1, 1)))


def halo(shape=(120, 120), middle=(60, 60)) -> np.ndarray:
    """A diffuse mean pattern with a ring of disks and the direct beam."""
    y, x = np.indices(shape)
    pattern = 2 + 50 * np.exp(-np.hypot(y - middle[0], x - middle[1]) / 18)
    for angle in np.arange(0, 2 * np.pi, np.pi / 4):
        pattern[np.hypot(y - middle[0] - 30 * np.sin(angle), x - middle[1] - 30 * np.cos(angle)) < 4] += 60
    pattern[np.hypot(y - middle[0], x - middle[1]) < 4] += 5000
    return np.random.default_rng(0).poisson(pattern * 50) / 50


@pytest.mark.parametrize(
    ("detector", "dose", "seed"),
    [(126, 1e4, 0), (126, 1e5, 1), (126, 1e6, 2), (252, 1e4, 3), (252, 1e6, 0), (432, 1e4, 0), (432, 1e6, 1)],
)
def test_the_shadow_is_masked_and_little_else(detector, dose, seed):
    scan = distorted((12, 12), detector, dose=dose, beam_stop=True, seed=seed)
    keep = detector_mask(take_survey(scan.dataset, PLAIN), AUTO, PLAIN, (detector, detector))
    assert (~keep[~scan.mask]).mean() > 0.98
    beyond = ndimage.distance_transform_edt(scan.mask) > AUTO.margin
    assert (~keep & beyond).sum() < 0.02 * scan.mask.sum()


@pytest.mark.parametrize(("detector", "dose"), [(126, 1e4), (126, 1e6), (252, 1e5), (432, 1e4), (432, 1e6)])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_scan_without_a_stop_has_no_mask(detector, dose, seed):
    scan = distorted((6, 6), detector, dose=dose, seed=seed)
    assert detector_mask(take_survey(scan.dataset, PLAIN), AUTO, PLAIN, (detector, detector)) is None


def test_dark_corners_about_a_round_aperture_are_no_stop():
    pattern = halo()
    y, x = np.indices(pattern.shape)
    outside = np.hypot(y - 60, x - 60) > 55
    pattern[outside] = 0.01
    assert find_beam_stop(pattern) is None
    bar = (np.abs(x - 60) < 9) & (y < 70)
    pattern[bar] *= 0.005
    keep = find_beam_stop(pattern)
    assert (~keep[bar & ~outside]).mean() > 0.8  # where it meets the dark rim, a stop has no outline
    assert not (~keep & ~bar & ~outside).sum() > 0.02 * keep.size


@pytest.mark.parametrize("seed", [0, 2, 3, 4])
def test_a_stop_whose_far_end_lies_where_hardly_any_light_falls_is_found(seed):
    chance = np.random.default_rng(seed)
    y, x = np.indices((126, 126))
    away = np.hypot(y - 63, x - 63)
    pattern = 0.5 * np.exp(-away / 7.5) + 1e-5
    for radius, azimuth in zip(chance.choice([21.0, 34.0, 55.0], 40), chance.uniform(0, 2 * np.pi, 40), strict=True):
        place = 63 + radius * np.array([np.sin(azimuth), np.cos(azimuth)])
        pattern[np.hypot(y - place[0], x - place[1]) < 2.7] += chance.uniform(0.05, 2.0)
    shadow = (np.abs(y - 63) < 9) & (x < 81)
    pattern[shadow] = 0.0
    keep = find_beam_stop(chance.poisson(pattern * 1600) / 1600)
    assert keep is not None
    assert (~keep[shadow & (away < 40)]).mean() > 0.98
    assert (~keep & ~shadow).sum() < 0.05 * keep.size


def test_a_shadow_that_hides_no_middle_is_no_beam_stop():
    pattern = halo()
    pattern[:50, 90:] *= 0.005
    assert find_beam_stop(pattern) is None


@pytest.mark.parametrize("fill", [0.0, 1.0, 65535.0, np.nan])
def test_patterns_with_nothing_in_them_have_no_stop(fill):
    assert find_beam_stop(np.full((64, 64), fill)) is None
    assert find_beam_stop(np.full((4, 4), fill)) is None


def test_the_dark_between_disks_without_any_background_is_no_stop(tmp_path):
    path = simulate("ag2", tmp_path / "film.h5", scan=48, detector=126)
    mean = np.asarray(open_scan(path).data.mean(axis=(0, 1), dtype="f4"))
    assert find_beam_stop(mean) is None


def test_noise_is_no_stop():
    generator = np.random.default_rng(0)
    for rate in (0.01, 0.3, 20):
        assert find_beam_stop(generator.poisson(rate, (128, 128)) / 4) is None


def test_looking_for_a_stop_changes_nothing():
    pattern = halo()
    before = pattern.copy()
    find_beam_stop(pattern)
    np.testing.assert_array_equal(pattern, before)


def test_a_given_mask_goes_through_crop_and_bin_and_its_margin_is_grown():
    mask = np.ones((40, 50), bool)
    mask[20, 30] = False
    preprocess = PreprocessSettings(q_y=(4, 37), q_x=(2, 50), bin=2)
    keep = detector_mask(looked_at(np.ones((16, 24))), OFF, preprocess, (40, 50), mask)
    assert np.argwhere(~keep).tolist() == [[8, 14]]
    grown = detector_mask(looked_at(np.ones((16, 24))), BeamStopSettings(margin=2.0), preprocess, (40, 50), mask)
    y, x = np.indices((16, 24))
    np.testing.assert_array_equal(grown, np.hypot(y - 8, x - 14) > 2)


def test_masks_from_file_and_hand_and_the_stop_that_was_found_all_hold(tmp_path):
    scan = distorted((8, 8), beam_stop=True, dose=1e6)
    seen = take_survey(scan.dataset, PLAIN)
    drawn, stored = np.ones((126, 126), bool), np.ones((126, 126), np.uint8)
    drawn[100:110, 5:10], stored[3, 110:120] = False, 0
    np.save(tmp_path / "mask.npy", stored)
    settings = BeamStopSettings(mask=str(tmp_path / "mask.npy"))
    keep = detector_mask(seen, settings, PLAIN, (126, 126), drawn)
    assert not keep[~drawn].any()
    assert not keep[stored == 0].any()
    assert (~keep[~scan.mask]).mean() > 0.98
    assert detector_mask(seen, OFF, PLAIN, (126, 126), np.ones((126, 126), bool)) is None


def test_masks_that_do_not_fit_or_keep_nothing_are_refused(tmp_path):
    seen = looked_at(np.ones((40, 50)))
    with pytest.raises(DataError, match="mask is of 50 x 40 pixels, but the detector has 40 x 50"):
        detector_mask(seen, OFF, PLAIN, (40, 50), np.ones((50, 40), bool))
    with pytest.raises(DataError, match="keeps no pixel"):
        detector_mask(seen, OFF, PLAIN, (40, 50), np.zeros((40, 50), bool))
    np.save(tmp_path / "mask.npy", np.ones((9, 9), bool))
    with pytest.raises(DataError, match="holds 9 x 9"):
        detector_mask(seen, BeamStopSettings(mask=str(tmp_path / "mask.npy")), PLAIN, (40, 50))
    with pytest.raises(ReadError, match="no file"):
        detector_mask(seen, BeamStopSettings(mask=str(tmp_path / "none.png")), PLAIN, (40, 50))


@pytest.mark.parametrize(
    "name",
    [
        "films/ag1_small.h5",
        "films/ag3_small.h5",
        "readers/written_by_rsciio/semireal_12x16x56x56.hspy",
        "readers/emd/Si100_4D.emd",
        "readers/emd/py4DSTEM_size2x3x4x5.h5",
        "real/pixstem_fpd_file_2x2x256x256.hdf5",
        "real/steel_NBED_subset_2x2x256x256.hspy",
        "semireal/aamirmalik_orient4d_scan_32.npz",
    ],
)
def test_no_shared_scan_has_a_stop(shared, name):
    if not (shared / name).exists():
        pytest.skip(f"{name} is not there")
    dataset = open_scan(shared / name)
    rows, columns = (min(n, 20) for n in dataset.scan_shape)
    part = PreprocessSettings(scan_y=(0, rows), scan_x=(0, columns))
    assert detector_mask(take_survey(dataset, part), AUTO, part, dataset.detector_shape) is None


def film(seed: int, *, beam: float = 1.0, radius: float = 2.2, ground: float = 0.02, off: float = 0.0) -> np.ndarray:
    """Expected mean pattern, (96, 96) counts, of a few grains of square lattices; the beam lies `off` the middle."""
    generator = np.random.default_rng(seed)
    middle = 47.5 + off * generator.uniform(-48, 48, 2)
    y, x = np.indices((96, 96))
    pattern = ground * np.exp(-np.hypot(y - middle[0], x - middle[1]) / 34)
    spots = [(middle, beam)]
    for angle in generator.uniform(0, np.pi / 2, 3):
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        for place in np.argwhere(np.ones((17, 17))) - 8:
            if place.any():
                spots.append((middle + 12 * turn @ place, 0.15 * np.exp(-(np.hypot(*place) - 1) / 1.6)))
    for at, height in spots:
        pattern += height * np.clip(radius + 0.5 - np.hypot(y - at[0], x - at[1]), 0, 1)
    return 2e4 * pattern / pattern.sum()


def counted(expected: np.ndarray, patterns: int = 400, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(expected * patterns) / patterns


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "options",
    [
        {"beam": 0.05},
        {"beam": 0.0, "radius": 1.1, "ground": 0.002},
        {"radius": 0.4, "ground": 0.0},
        {"radius": 1.1, "ground": 0.002},
        {"off": 0.6},
        {"radius": 5.0, "ground": 0.001},
    ],
    ids=str,
)
def test_a_weak_or_shifted_beam_and_sharp_spots_are_no_stop(options, seed):
    assert find_beam_stop(counted(film(seed, **options))) is None


@pytest.mark.parametrize("seed", range(3))
def test_a_dark_ring_is_no_stop(seed):
    y, x = np.indices((96, 96))
    away = np.hypot(y - 47.5, x - 47.5)
    for inner, outer in ((3, 8), (3, 14), (10, 20)):
        assert find_beam_stop(counted(np.where((away > inner) & (away < outer), 0.01, 1) * film(seed))) is None


@pytest.mark.parametrize("shape", ["bar", "round end", "disk", "disk on an arm"])
@pytest.mark.parametrize("passes", [0.0, 0.01])
@pytest.mark.parametrize("seed", range(3))
def test_stops_of_all_shapes_are_found(shape, passes, seed):
    y, x = np.indices((96, 96)) - 47.5
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    along, across = y * np.sin(angle) + x * np.cos(angle), y * np.cos(angle) - x * np.sin(angle)
    stop = {
        "bar": (np.abs(across) < 6) & (along > -7),
        "round end": ((np.abs(across) < 6) & (along > 0)) | (np.hypot(y, x) < 6),
        "disk": np.hypot(y, x) < 8,
        "disk on an arm": (np.hypot(y, x) < 8) | ((np.abs(across) < 3) & (along > 0)),
    }[shape]
    beam = 1.0 if passes == 0.0 else 0.3
    keep = find_beam_stop(counted(film(seed, beam=beam, ground=0.05) * np.where(stop, passes, 1.0), 2000))
    assert keep is not None
    core = ndimage.binary_erosion(stop, iterations=1, border_value=1)
    assert (~keep[core]).mean() > (0.6 if shape == "disk on an arm" else 0.95)  # thin arms are found in part
    assert not (~keep & (ndimage.distance_transform_edt(~stop) > 4)).sum() > 0.1 * stop.sum()


@pytest.mark.parametrize("value", [0.0, 65535.0])
def test_the_search_for_a_stop_leaves_masked_pixels_out(value):
    pattern, keep = counted(film(0)), np.ones((96, 96), bool)
    keep[30:34] = keep[:, 60:64] = False
    pattern[~keep] = value
    assert find_beam_stop(pattern, keep=keep) is None


def test_the_thin_arm_of_a_stop_is_masked() -> None:
    rng = np.random.default_rng(5)
    y, x = np.indices((128, 128)) - 63.5
    stop = (np.hypot(y, x) < 12) | ((np.abs(y) < 3) & (x > 0))
    light = 3.0 * np.exp(-np.hypot(y, x) / 40)
    found = find_beam_stop(rng.poisson(400 * light * ~stop) / 400)
    assert found is not None
    assert (~found)[stop].mean() > 0.9
    assert (~found)[~stop].mean() < 0.01


@pytest.mark.parametrize(
    ("height", "radius", "width", "direct"), [(400, 19, 2.5, 11), (1400, 24, 7.6, 290), (150, 17, 5, 9)]
)
def test_the_inside_of_an_amorphous_ring_is_no_beam_stop(
    height: float, radius: float, width: float, direct: float
) -> None:
    """py4DSTEM#646: a halo in vacuum, with the direct beam in its middle."""
    y, x = np.indices((96, 96)) - 48.2
    distance = np.hypot(y, x)
    mean = height * np.exp(-(((distance - radius) / width) ** 2)) + direct * (distance < 3) + 0.01
    assert find_beam_stop(np.random.default_rng(6).poisson(mean * 400) / 400) is None


@pytest.mark.parametrize(
    ("size", "radius", "width", "beam"), [(64, 12, 3.5, 0.03), (96, 20, 6, 0.2), (128, 30, 12, 0.01)]
)
def test_the_inside_of_two_rings_with_a_faint_beam_is_no_beam_stop(
    size: int, radius: float, width: float, beam: float
) -> None:
    y, x = np.indices((size, size)) - size / 2 + 0.8
    away = np.hypot(y, x)
    light = np.exp(-(((away - radius) / width) ** 2)) + 0.4 * np.exp(-(((away - 1.75 * radius) / (1.5 * width)) ** 2))
    mean = 50.0 * (light + beam * (away < 3) + 1e-4)
    assert find_beam_stop(np.random.default_rng(6).poisson(mean * 400) / 400) is None


@pytest.mark.parametrize("passes", [0.0, 0.02])
@pytest.mark.parametrize("seed", range(4))
def test_a_disk_on_an_arm_that_a_beam_shines_through_is_found(passes: float, seed: int) -> None:
    y, x = np.indices((96, 96)) - 47.5
    angle = np.random.default_rng(seed).uniform(0, 2 * np.pi)
    along, across = y * np.sin(angle) + x * np.cos(angle), y * np.cos(angle) - x * np.sin(angle)
    stop = (np.hypot(y, x) < 9) | ((np.abs(across) < 4) & (along > 0))
    keep = find_beam_stop(counted(film(seed, beam=0.5, ground=0.05) * np.where(stop, passes, 1.0), 2000))
    assert keep is not None
    assert (~keep[ndimage.binary_erosion(stop, border_value=1)]).mean() > 0.95
    assert (~keep & (ndimage.distance_transform_edt(~stop) > 4)).sum() < 0.1 * stop.sum()


@pytest.mark.parametrize("seed", range(3))
def test_the_dark_about_a_faint_beam_within_disks_on_nothing_is_no_stop(seed: int) -> None:
    """Disks of some grains close the first ring; between them, further out, it is as dark as within."""
    chance = np.random.default_rng(seed)
    y, x = np.indices((128, 128)) - 63.5
    mean = 0.02 * (np.hypot(y, x) < 4)
    for angle in chance.uniform(0, np.pi / 2, 4):
        for h, k in np.argwhere(np.ones((9, 9))) - 4:
            if h or k:
                at = 20 * (h * np.cos(angle) + k * np.sin(angle)), 20 * (k * np.cos(angle) - h * np.sin(angle))
                mean += 0.15 * np.exp(-(np.hypot(h, k) - 1) / 1.6) * (np.hypot(y - at[0], x - at[1]) < 5)
    assert find_beam_stop(chance.poisson(mean * 4e4) / 400) is None
