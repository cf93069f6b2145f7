"""A look at a file of some seconds says what is odd about it, and how much it has seen."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.preprocessing import oddities as module
from napari_stemnmf.preprocessing.oddities import oddities, take_sample
from napari_stemnmf.simulation.sample import sample


def scan(shape=(6, 8, 32, 32), **steps) -> np.ndarray:
    y, x = np.indices(shape[2:])
    disk = np.hypot(y - shape[2] / 2, x - shape[3] / 2) < 4
    return np.random.default_rng(0).poisson(2 + 200 * disk, shape).astype(np.uint16)


def dataset(data: np.ndarray, **axes) -> Dataset:
    return Dataset.from_array(data, scan_step=2.0, q_step=0.1, **axes)


def test_nothing_is_said_of_a_good_scan() -> None:
    assert oddities(sample().dataset) == ()
    assert oddities(dataset(scan())) == ()


def test_a_scale_that_is_not_in_the_file_is_named() -> None:
    (line,) = oddities(Dataset.from_array(scan(), q_step=0.1))
    assert line == "The scan step is not in the file: 1 px is assumed."
    (line,) = oddities(Dataset.from_array(scan()))
    assert line == "The scan step and the size of a detector pixel are not in the file: 1 px is assumed."


def test_steps_that_are_not_square_and_line_scans_are_named() -> None:
    given = dataset(scan())
    y, x, q_y, q_x = given.axes
    found = oddities(replace(given, axes=(y, replace(x, scale=3.0), q_y, q_x)))
    assert found == ("Steps of the scan are not square: 2 nm (y) x 3 nm (x).",)
    found = oddities(dataset(scan((1, 30, 32, 32))))
    assert found == ("This is a line scan, of 1 x 30 positions: a grain is a stretch of it.",)


def test_odd_patterns_and_values_are_counted() -> None:
    data = scan().astype(np.float32)
    data[2, 3] = np.nan
    data[4, 4] = 0
    data[0, 0] = 500
    data[5, :, 0, 0] = -1
    found = " ".join(oddities(dataset(data)))
    assert "3 of 48 patterns are odd (1 not finite, 1 empty, 1 evenly bright)" in found
    assert "2.1 % of the values are NaN or infinite" in found
    assert "0.016 % of the values are negative" in found


def test_an_offset_of_the_camera_is_named() -> None:
    offset = np.random.default_rng(1).normal(1000.0, 3.0, (6, 8, 32, 32)).round()
    (line,) = oddities(dataset((scan() + offset).astype(np.uint16)))
    assert line.startswith("The counts stand on an offset of about 100")


@pytest.mark.parametrize(("value", "says"), [(np.nan, "Every value is NaN"), (0.0, "No value is above 0")])
def test_a_file_without_counts_is_named(value: float, says: str) -> None:
    (line,) = oddities(dataset(np.full((4, 4, 16, 16), value, np.float32)))
    assert line.startswith(says)


@pytest.mark.parametrize(("bad", "seen"), [((1,), 1), ((0, 1), 0)])
def test_parts_that_cannot_be_read_are_named(bad: tuple[int, ...], seen: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(block_info=None):
        if block_info[None]["chunk-location"][0] in bad:
            raise OSError("it ends here")
        return scan((3, 8, 32, 32))

    data = da.map_blocks(read, chunks=((3, 3), (8,), (32,), (32,)), dtype=np.uint16, meta=np.empty((0,) * 4, np.uint16))
    monkeypatch.setattr(module, "blocks", lambda _: [module.Block(3 * i, 3 * i + 3, 0, 8) for i in range(2)])
    told = [
        f"The probe positions of rows {3 * i} to {3 * i + 2}, columns 0 to 7 cannot be read: it ends here." for i in bad
    ]
    if seen:
        told.append("This is of a sample: 24 of 48 patterns were looked at.")
    assert list(oddities(replace(dataset(scan()), data=data))) == told


def test_of_a_large_scan_a_sample_is_read_and_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WHOLE_BYTES", 0)
    monkeypatch.setattr(module, "MOST_BYTES", 20_000)
    data = da.from_array(scan((20, 8, 32, 32)), chunks=(1, 8, -1, -1))
    given = Dataset.from_array(data, scan_step=1.0, q_step=1.0)
    monkeypatch.setattr(module, "blocks", lambda _: [module.Block(i, i + 1, 0, 8) for i in range(20)])
    found = take_sample(given)
    assert found.number == 16
    assert not found.whole
    assert oddities(given) == ("This is of a sample: 16 of 160 patterns were looked at.",)
