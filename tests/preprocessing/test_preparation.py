"""Crop, dark reference, hot pixels and binning: what later stages see, and what the survey says of it."""

import numpy as np
import pytest

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import DataError, ReadError
from napari_stemnmf.preprocessing.preparation import binned, prepare, prepared_axes
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.stage_settings import PreprocessSettings

AS_IT_IS = PreprocessSettings(hot_pixels="off")

CROP = PreprocessSettings(scan_y=(1, 4), scan_x=(2, 6), q_y=(3, 17), q_x=(4, 19))


def counts(dataset) -> np.ndarray:
    return dataset.data.compute(scheduler="synchronous")


def scan(array=None, **options) -> Dataset:
    array = np.random.default_rng(0).poisson(40, (5, 7, 20, 22)).astype(np.uint16) if array is None else array
    return Dataset.from_array(array, scan_step=2.0, q_step=0.1, **options)


def prepared(dataset, settings):
    return prepare(dataset, take_survey(dataset, settings).hot_pixels, settings)


def test_nothing_to_do_gives_the_dataset_itself():
    dataset = scan()
    assert prepared(dataset, PreprocessSettings()) is dataset


def test_a_crop_keeps_what_was_asked_for_and_moves_the_offsets():
    dataset = scan()
    part = prepared(dataset, CROP)
    np.testing.assert_array_equal(counts(part), counts(dataset)[1:4, 2:6, 3:17, 4:19])
    assert [a.offset for a in part.axes] == pytest.approx([2.0, 4.0, 0.3, 0.4])
    assert (part.name, part.source, part.metadata) == (dataset.name, dataset.source, dataset.metadata)


@pytest.mark.parametrize("name", ["scan_y", "scan_x", "q_y", "q_x"])
def test_a_crop_outside_the_data_is_refused(name):
    settings = PreprocessSettings(**{name: (2, 30)})
    with pytest.raises(DataError, match=f"preprocess.{name} keeps 2 to 30"):
        take_survey(scan(), settings)
    with pytest.raises(DataError, match=name):
        prepared_axes(scan().axes, settings)


def test_binning_sums_squares_drops_what_is_left_and_scales_the_axes():
    dataset = scan()
    small = prepared(dataset, PreprocessSettings(bin=3))
    data = counts(dataset).astype(int)
    assert small.shape == (5, 7, 6, 7)
    expected = data[..., :18, :21].reshape(5, 7, 6, 3, 7, 3).sum(axis=(3, 5))
    np.testing.assert_array_equal(counts(small), expected)
    assert [a.scale for a in small.axes] == pytest.approx([2.0, 2.0, 0.3, 0.3])
    assert [a.offset for a in small.axes] == pytest.approx([0.0, 0.0, 0.1, 0.1])  # the middle of the first three


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.uint8, np.uint32),
        (np.uint16, np.uint32),
        (np.int8, np.int32),
        (np.int16, np.int32),
        (np.uint32, np.float64),
        (np.int32, np.float64),
        (np.float32, np.float32),
        (np.float64, np.float64),
        (bool, np.uint32),
    ],
)
def test_binned_counts_never_overflow(dtype, expected):
    top = 1 if dtype is bool else np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1e6
    block = np.full((2, 64, 64), top, dtype)
    total = binned(block, 64)
    assert total.dtype == expected
    np.testing.assert_array_equal(total, np.full((2, 1, 1), float(top) * 4096))
    small = prepared(scan(np.full((2, 2, 8, 8), top, dtype)), PreprocessSettings(bin=4, hot_pixels="off"))
    assert small.dtype == expected == counts(small).dtype


def test_binning_more_pixels_than_there_are_is_refused():
    with pytest.raises(DataError, match=r"preprocess.bin sums 21 pixels"):
        take_survey(scan(), PreprocessSettings(bin=21))


def test_a_binned_value_that_is_no_number_counts_as_none():
    block = np.ones((1, 4, 4), np.float32)
    block[0, 0, 0], block[0, 3, 3] = np.nan, np.inf
    np.testing.assert_array_equal(binned(block, 2), [[[3, 4], [4, 3]]])


def test_the_dark_reference_is_subtracted_without_wrapping(tmp_path):
    dataset = scan()
    dark = np.linspace(0, 80, 440).reshape(20, 22).astype(np.float32)
    np.save(tmp_path / "dark.npy", dark)
    settings = PreprocessSettings(dark=str(tmp_path / "dark.npy"), hot_pixels="off")
    fixed = prepared(dataset, settings)
    assert fixed.dtype == np.float32
    np.testing.assert_allclose(counts(fixed), counts(dataset).astype(np.float32) - dark)
    assert counts(fixed).min() < 0
    seen = take_survey(dataset, settings)
    np.testing.assert_allclose(seen.mean, np.maximum(counts(fixed), 0).mean(axis=(0, 1)), rtol=1e-5)
    assert seen.negative == 0  # of the data as it is


def test_a_dark_reference_is_of_the_whole_detector_and_cropped_with_it(tmp_path):
    import tifffile

    dataset = scan()
    stack = np.random.default_rng(1).uniform(0, 9, (5, 20, 22)).astype(np.float32)
    tifffile.imwrite(tmp_path / "dark.tif", stack)
    settings = PreprocessSettings(q_y=(3, 17), q_x=(4, 18), bin=2, dark=str(tmp_path / "dark.tif"), hot_pixels="off")
    expected = (counts(dataset) - stack.mean(axis=0))[..., 3:17, 4:18].reshape(5, 7, 7, 2, 7, 2).sum(axis=(3, 5))
    np.testing.assert_allclose(counts(prepared(dataset, settings)), expected, rtol=1e-5)


def test_a_dark_reference_that_does_not_fit_is_refused(tmp_path):
    np.save(tmp_path / "dark.npy", np.zeros((20, 20)))
    with pytest.raises(DataError, match=r"dark.npy holds 20 x 20, but the detector has 20 x 22"):
        take_survey(scan(), PreprocessSettings(dark=str(tmp_path / "dark.npy")))
    with pytest.raises(ReadError, match=r"no file .*none.npy"):
        take_survey(scan(), PreprocessSettings(dark=str(tmp_path / "none.npy")))


def with_hot_pixels() -> tuple[Dataset, set[tuple[int, int]]]:
    array = np.random.default_rng(2).poisson(30, (9, 8, 24, 26)).astype(np.uint16)
    hot = {(5, 6), (5, 7), (0, 25), (23, 3)}
    for y, x in hot:
        array[:, :, y, x] += 500
    return scan(array), hot


@pytest.mark.parametrize("crop", [{}, {"q_y": (3, 24), "q_x": (2, 26), "scan_y": (2, 9)}])
def test_hot_pixels_are_named_as_on_the_files_detector_and_repaired_in_the_crop(crop):
    dataset, hot = with_hot_pixels()
    settings = PreprocessSettings(**crop)
    seen = take_survey(dataset, settings)
    y0, x0 = crop.get("q_y", (0,))[0], crop.get("q_x", (0,))[0]
    kept = {(y, x) for y, x in hot if y >= y0 and x >= x0}
    assert {tuple(p) for p in seen.hot_pixels.tolist()} == kept
    fixed, raw = counts(prepare(dataset, seen.hot_pixels, settings)), counts(dataset)
    assert fixed.dtype == np.uint16
    assert fixed.max() < 100
    same = np.ones(raw.shape[2:], bool)
    same[tuple(np.array(sorted(hot)).T)] = False
    rows, columns = (slice(*crop.get(n, (None,))) for n in ("q_y", "q_x"))
    first = crop.get("scan_y", (0,))[0]
    np.testing.assert_array_equal(
        fixed[..., same[rows, columns]], raw[first:, :, rows, columns][..., same[rows, columns]]
    )


@pytest.mark.parametrize(
    "options", [{}, {"bin": 2}, {"bin": 5}, {"q_y": (1, 20), "scan_x": (2, 8)}, {"q_x": (3, 26), "bin": 3}]
)
def test_the_survey_is_that_of_the_prepared_patterns(options):
    dataset, _ = with_hot_pixels()
    settings = PreprocessSettings(**options)
    seen = take_survey(dataset, settings)
    assert len(seen.hot_pixels) > 0
    expected = take_survey(prepare(dataset, seen.hot_pixels, settings), AS_IT_IS)
    assert seen.axes == expected.axes == prepared_axes(dataset.axes, settings)
    cells = np.zeros(expected.mean.shape, bool)  # what holds no hot pixel is exact
    corner = [getattr(settings, name)[0] if getattr(settings, name) else 0 for name in ("q_y", "q_x")]
    for y, x in (seen.hot_pixels - corner) // settings.bin:
        cells[y : y + 1, x : x + 1] = True
    np.testing.assert_array_equal(seen.mean[~cells], expected.mean[~cells])
    np.testing.assert_array_equal(seen.maximum[~cells], expected.maximum[~cells])
    np.testing.assert_allclose(seen.mean, expected.mean, rtol=0.1)
    np.testing.assert_allclose(seen.maximum, expected.maximum, rtol=0.4)
    np.testing.assert_allclose(seen.pattern_sum, expected.pattern_sum, rtol=0.01)


@pytest.mark.parametrize("options", [{}, {"bin": 4}, {"q_y": (2, 13), "bin": 2}, {"dark": "dark.npy", "bin": 2}])
def test_without_hot_pixels_the_survey_is_exact(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("dark.npy", np.random.default_rng(3).uniform(20, 60, (20, 22)))
    dataset, settings = scan(), PreprocessSettings(hot_pixels="off", **options)
    seen = take_survey(dataset, settings)
    expected = take_survey(prepare(dataset, seen.hot_pixels, settings), AS_IT_IS)
    np.testing.assert_array_equal(seen.mean, expected.mean)
    np.testing.assert_array_equal(seen.maximum, expected.maximum)
    np.testing.assert_array_equal(seen.pattern_sum, expected.pattern_sum)


def test_first_look_and_patterns_do_not_depend_on_chunks_or_threads():
    dataset, _ = with_hot_pixels()
    cut = Dataset(dataset.data.rechunk((2, 3, -1, -1)), dataset.axes)
    settings = PreprocessSettings(bin=2)
    first, second = take_survey(dataset, settings, workers=1), take_survey(cut, settings, workers=4)
    np.testing.assert_array_equal(first.hot_pixels, second.hot_pixels)
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.maximum, second.maximum)
    np.testing.assert_array_equal(
        counts(prepare(dataset, first.hot_pixels, settings)), counts(prepare(cut, first.hot_pixels, settings))
    )


def test_prepared_chunks_hold_whole_patterns():
    dataset, _ = with_hot_pixels()
    settings = PreprocessSettings(q_y=(1, 23), bin=2)
    data = prepared(Dataset(dataset.data.rechunk((2, 3, -1, -1)), dataset.axes), settings).data
    assert data.numblocks[2:] == (1, 1)
    assert data.chunks[:2] == ((2, 2, 2, 2, 1), (3, 3, 2))
    assert data[3, 4].compute(scheduler="synchronous").shape == (11, 13)


def test_preparing_changes_nothing_that_was_passed_in():
    dataset, _ = with_hot_pixels()
    before = counts(dataset).copy()
    settings = PreprocessSettings(bin=2)
    seen = take_survey(dataset, settings)
    mean = seen.mean.copy()
    first, second = (counts(prepare(dataset, seen.hot_pixels, settings)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(counts(dataset), before)
    np.testing.assert_array_equal(seen.mean, mean)


def test_saturated_scans_go_through():
    dataset = scan(np.full((2, 2, 12, 12), 65535, np.uint16))
    seen = take_survey(dataset, PreprocessSettings(bin=2))
    assert len(seen.hot_pixels) == 0
    np.testing.assert_array_equal(seen.mean, np.full((6, 6), 4.0 * 65535, np.float32))


def test_odd_values_are_counted_and_taken_as_none():
    array = np.ones((3, 3, 10, 10), np.float32)
    array[0, 0, 2, 2], array[1, 1, 3, 3], array[2, 2, 4, 4] = np.nan, np.inf, -5
    seen = take_survey(scan(array), PreprocessSettings(bin=2))
    assert (seen.not_finite, seen.negative) == (2, 1)
    assert np.isfinite(seen.mean).all()


def test_a_preparation_travels_to_another_process():
    import pickle

    dataset, _ = with_hot_pixels()
    settings = PreprocessSettings(bin=2)
    data = prepared(dataset, settings).data
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(data)).compute(scheduler="synchronous"), data.compute())
