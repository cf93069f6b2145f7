"""What is missing of a scan is told with how much, refused when it is read, and left out where the recipe says so."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError
from napari_stemnmf.pipeline import run, start
from napari_stemnmf.preprocessing.odd_patterns import MISSING
from napari_stemnmf.reading.masks import load_masks
from napari_stemnmf.recipe import Recipe

SHAPE = (6, 7, 16, 18)


def counts() -> np.ndarray:
    y, x = np.indices(SHAPE[2:])
    spot = 400.0 * np.exp(-((y - 8.0) ** 2 + (x - 9.0) ** 2) / 8.0)
    return np.random.default_rng(3).poisson(spot + 2.0, SHAPE).astype("u2")


def chunked(path: Path, **options: object) -> Path:
    with h5py.File(path, "w") as file:
        scan = file.create_dataset("data", SHAPE, "u2", chunks=(2, 7, 16, 18), **options)
        scan[:4] = counts()[:4]
    return path


def in_zarr(path: Path, version: int, **options: object) -> Path:
    array = zarr.create_array(
        path, name="data", shape=SHAPE, chunks=(2, 7, 16, 18), dtype="u2", zarr_format=version, **options
    )
    array[:] = counts()
    lost = path / "data" / ("2.0.0.0" if version == 2 else "c/2/0/0/0")
    lost.unlink()
    return path


def virtual(path: Path, lost: bool = True) -> Path:
    data = counts()
    layout = h5py.VirtualLayout(SHAPE, "u2")
    for part, rows in enumerate((slice(0, 4), slice(4, 6))):
        with h5py.File(path.with_name(f"part{part}.h5"), "w") as file:
            file["data"] = data[rows]
        layout[rows] = h5py.VirtualSource(f"part{part}.h5", "data", data[rows].shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("data", layout)
    if lost:
        path.with_name("part1.h5").unlink()
    return path


def series(path: Path, lost: int | None = None, dataset: str = "/data", file_name: str = "p%b.h5") -> Path:
    data = counts()
    for row in range(len(data)):
        with h5py.File(path.with_name(f"p{row}.h5"), "w") as file:
            file["data"] = data[row]
    space = h5py.h5s.create_simple(SHAPE, (h5py.h5s.UNLIMITED, *SHAPE[1:]))
    space.select_hyperslab((0,) * 4, (h5py.h5s.UNLIMITED, 1, 1, 1), (1,) * 4, (1, *SHAPE[1:]))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_virtual(space, file_name.encode(), dataset.encode(), h5py.h5s.create_simple(SHAPE[1:]))
    whole = h5py.h5s.create_simple(SHAPE, (h5py.h5s.UNLIMITED, *SHAPE[1:]))
    with h5py.File(path, "w") as file:
        h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT16, whole, plist)
    if lost is not None:
        path.with_name(f"p{lost}.h5").unlink()
    return path


MAKERS = {
    "plain": lambda path: chunked(path / "a.h5"),
    "gzip": lambda path: chunked(path / "a.h5", compression="gzip", shuffle=True),
    "checksum": lambda path: chunked(path / "a.h5", fletcher32=True),
    "zarr 2": lambda path: in_zarr(path / "a.zarr", 2),
    "zarr 3": lambda path: in_zarr(path / "a.zarr", 3),
    "virtual": lambda path: virtual(path / "m.h5"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_missing_patterns_are_told_with_how_much_and_refused_when_read(tmp_path: Path, kind: str) -> None:
    dataset = stem.open(MAKERS[kind](tmp_path))
    assert dataset.gaps is not None
    assert np.flatnonzero(dataset.gaps.missing.all(axis=1)).tolist() == [4, 5]
    assert dataset.gaps.missing.sum() == 14
    assert "14 of 42 patterns (33 %) are missing" in dataset.metadata["notes"]
    np.testing.assert_array_equal(dataset.pattern(3, 6), counts()[3, 6])
    with pytest.raises(ReadError, match="14 of 42 patterns"):
        dataset.pattern(5, 6)
    with pytest.raises(ReadError, match="14 of 42 patterns"):
        dataset.data.compute(scheduler="synchronous")


@pytest.mark.parametrize("kind", ["plain", "zarr 3", "virtual"])
def test_a_run_refuses_what_is_missing_unless_the_recipe_leaves_it_out(tmp_path: Path, kind: str) -> None:
    dataset = stem.open(MAKERS[kind](tmp_path))
    with pytest.raises(ReadError, match=r"preprocess\.missing"):
        run(start(dataset, Recipe()), dataset, "survey")
    recipe = Recipe().replaced({"preprocess.missing": "leave out"})
    survey = run(start(dataset, recipe), dataset, "survey").survey
    np.testing.assert_array_equal(survey.odd == MISSING, dataset.gaps.missing)
    np.testing.assert_array_equal(survey.left_out, dataset.gaps.missing)
    np.testing.assert_allclose(survey.mean, counts()[:4].mean(axis=(0, 1)), rtol=1e-5)
    assert (survey.pattern_sum[4:] == 0).all()
    assert any("14 missing" in note for note in survey.notes("rows", None))
    dark = run(start(dataset, Recipe().replaced({"preprocess.missing": "zeros"})), dataset, "survey").survey
    assert not (dark.odd == MISSING).any()
    np.testing.assert_allclose(dark.pattern_sum[:4], counts()[:4].sum(axis=(2, 3)), rtol=1e-5)
    assert (dark.pattern_sum[4:] == 0).all()


def test_scan_with_missing_patterns_can_be_looked_at(tmp_path: Path) -> None:
    """napari opens it, with zeros in their place, and tells of them."""
    from napari_stemnmf.plugin.layers.result_layers import patterns
    from napari_stemnmf.plugin.session import Session
    from napari_stemnmf.streaming.virtual_images import quick_image

    dataset = stem.open(chunked(tmp_path / "a.h5"))
    image = quick_image(dataset)
    assert (image[4:] == 0).all()
    assert (image[:4] > 0).all()
    data, meta, _ = patterns(Session(dataset))
    assert not np.asarray(data[5, 6]).any()
    assert "14 of 42 patterns" in meta["metadata"]["notes"]


def test_missing_patterns_follow_crops_and_turned_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        scan = file.create_dataset("data", SHAPE, "u2", chunks=(1, 1, 16, 18))
        scan[:] = counts()
    with h5py.File(path, "r+") as file:
        del file["data"]
        scan = file.create_dataset("data", SHAPE, "u2", chunks=(1, 1, 16, 18))
        for y, x in np.ndindex(SHAPE[:2]):
            if (y, x) != (1, 0):
                scan[y, x] = counts()[y, x]
    dataset = stem.open(path)
    recipe = Recipe().replaced({"preprocess.missing": "leave out", "preprocess.scan_order": "winding"})
    survey = run(start(dataset, recipe), dataset, "survey").survey
    assert np.argwhere(survey.odd == MISSING).tolist() == [[1, 6]]
    recipe = Recipe().replaced({"preprocess.missing": "leave out", "preprocess.scan_y": (1, 6)})
    survey = run(start(dataset, recipe), dataset, "survey").survey
    assert np.argwhere(survey.odd == MISSING).tolist() == [[0, 0]]
    inside = Recipe().replaced({"preprocess.scan_y": (2, 6)})
    assert run(start(dataset, inside), dataset, "survey").survey.left_out is None


def test_a_whole_virtual_dataset_is_what_its_sources_are(tmp_path: Path) -> None:
    dataset = stem.open(virtual(tmp_path / "m.h5", lost=False))
    assert dataset.gaps is None
    np.testing.assert_array_equal(dataset.data.compute(), counts())
    np.testing.assert_array_equal(dataset.data[1:6:2, 5, ::3].compute(), counts()[1:6:2, 5, ::3])


def test_a_series_of_files_is_read_and_one_that_is_missing_is_told(tmp_path: Path) -> None:
    dataset = stem.open(series(tmp_path / "m.h5"))
    np.testing.assert_array_equal(dataset.data.compute(), counts())
    tmp_path.joinpath("p2.h5").rename(tmp_path / "elsewhere")
    dataset = stem.open(tmp_path / "m.h5")
    assert dataset.scan_shape == SHAPE[:2]
    assert np.flatnonzero(dataset.gaps.missing.all(axis=1)).tolist() == [2]
    np.testing.assert_array_equal(dataset.pattern(3, 0), counts()[3, 0])


@pytest.mark.parametrize("lost", [0, 5])
def test_the_first_and_the_last_file_of_a_series_are_missed(tmp_path: Path, lost: int) -> None:
    dataset = stem.open(series(tmp_path / "m.h5", lost))
    assert dataset.scan_shape == SHAPE[:2]
    assert np.flatnonzero(dataset.gaps.missing.all(axis=1)).tolist() == [lost]


def test_virtual_datasets_of_strided_and_of_single_patterns_are_read(tmp_path: Path) -> None:
    data = counts()
    layout = h5py.VirtualLayout(SHAPE, "u2")
    for part in range(2):
        with h5py.File(tmp_path / f"odd{part}.h5", "w") as file:
            file.create_dataset("data", data=data[part::2], chunks=(1, 1, 16, 18), compression="gzip")
        layout[part::2] = h5py.VirtualSource(f"odd{part}.h5", "data", data[part::2].shape)
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    np.testing.assert_array_equal(stem.open(tmp_path / "m.h5").data.compute(), data)


def test_a_source_that_was_not_written_to_its_end_is_missing_in_the_whole(tmp_path: Path) -> None:
    path = virtual(tmp_path / "m.h5", lost=False)
    with h5py.File(tmp_path / "part1.h5", "w") as file:
        file.create_dataset("data", (2, 7, 16, 18), "u2", chunks=(1, 7, 16, 18))[0] = counts()[4]
    dataset = stem.open(path)
    assert np.flatnonzero(dataset.gaps.missing.all(axis=1)).tolist() == [5]


def test_a_source_that_is_missing_is_not_taken_from_the_working_folder(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "scan").mkdir()
    (tmp_path / "work").mkdir()
    path = virtual(tmp_path / "scan" / "m.h5", lost=False)
    (tmp_path / "scan" / "part1.h5").rename(tmp_path / "work" / "part1.h5")
    monkeypatch.chdir(tmp_path / "work")
    assert stem.open(path).gaps.missing[4:].all()


def test_pixels_that_no_source_gives_are_no_missing_patterns(tmp_path: Path) -> None:
    """Modules of a detector with a gap between them."""
    data = counts()
    layout = h5py.VirtualLayout((6, 7, 16, 20), "u2")
    with h5py.File(tmp_path / "module.h5", "w") as file:
        file["data"] = data
    source = h5py.VirtualSource("module.h5", "data", SHAPE)
    layout[..., :9] = source[..., :9]
    layout[..., 11:] = source[..., 9:]
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.create_virtual_dataset("data", layout)
    dataset = stem.open(tmp_path / "m.h5")
    assert dataset.gaps is None
    np.testing.assert_array_equal(dataset.pattern(2, 3)[:, 11:], data[2, 3, :, 9:])


def test_part_of_a_recording_in_the_middle_is_named(tmp_path: Path) -> None:
    from napari_stemnmf.reading.beside import tvips_parts

    for number in (0, 1, 3):
        (tmp_path / f"scan_{number:03d}.tvips").write_bytes(b"x")
    with pytest.raises(ReadError, match=r"recording in 4 parts, of which 1 is missing \(_002\)"):
        tvips_parts(tmp_path / "scan_000.tvips")


def test_mask_that_was_not_written_to_its_end_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "truth.h5", "w") as file:
        file.create_dataset("labels", (6, 7), "i4", chunks=(3, 7))[:3] = 1
    with pytest.raises(ReadError, match="not written to its end"):
        load_masks(tmp_path / "truth.h5")


PACKINGS = {
    "plain": {},
    "gzip": {"compression": "gzip"},
    "checksum": {"fletcher32": True},
    "both": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"compression": "lzf"},
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_chunk_that_the_file_tells_of_but_does_not_lead_to_is_no_pattern_of_zeros(tmp_path: Path, packing: str) -> None:
    """A damaged key of the index: the list of chunks is whole, and the library finds none at that place."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        scan = file.create_dataset("data", data=counts(), chunks=(2, 7, 16, 18), **PACKINGS[packing])
        place = scan.id.get_chunk_info(1).byte_offset
    np.testing.assert_array_equal(stem.open(path).data.compute(scheduler="synchronous"), counts())
    data = bytearray(path.read_bytes())
    child = data.index(place.to_bytes(8, "little"))  # the key stands before it; its last number is of no axis
    data[child - 7] = 7
    path.write_bytes(data)
    dataset = stem.open(path)
    np.testing.assert_array_equal(dataset.pattern(5, 6), counts()[5, 6])
    with pytest.raises(ReadError, match="not where the file says"):
        dataset.data.compute(scheduler="synchronous")


@pytest.mark.parametrize("packing", PACKINGS)
def test_pattern_of_zeros_that_was_written_is_read(tmp_path: Path, packing: str) -> None:
    data = counts()
    data[2:4] = 0
    data[5, 3] = 0
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("data", data=data, chunks=(2, 3, 16, 10), **PACKINGS[packing])
    dataset = stem.open(tmp_path / "a.h5")
    assert dataset.gaps is None
    np.testing.assert_array_equal(dataset.data.compute(scheduler="synchronous"), data)
    np.testing.assert_array_equal(dataset.data[1:6:2, 2:6, 3].compute(scheduler="synchronous"), data[1:6:2, 2:6, 3])


def test_changed_bit_under_a_checksum_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        scan = file.create_dataset("data", data=counts(), chunks=(2, 7, 16, 18), fletcher32=True)
        place = scan.id.get_chunk_info(1).byte_offset
    data = bytearray(path.read_bytes())
    data[place + 100] ^= 4
    path.write_bytes(data)
    with pytest.raises(ReadError, match="does not have the sum"):
        stem.open(path).pattern(2, 0)


def test_many_small_chunks_are_found_in_a_time_that_grows_with_their_number(tmp_path: Path) -> None:
    """Not with its square: the library's own description of a chunk goes through all that come before it."""
    from time import process_time

    spent = []
    for side in (48, 144):
        with h5py.File(tmp_path / f"{side}.h5", "w") as file:
            file.create_dataset("data", data=np.ones((side, side, 8, 8), "u1"), chunks=(1, 1, 8, 8), compression="gzip")
        data = stem.open(tmp_path / f"{side}.h5").data
        began = process_time()
        assert data.compute(scheduler="synchronous").sum() == side * side * 64
        spent.append(process_time() - began)
    assert spent[1] < 9 * 3 * spent[0]


def sparse_store(path: Path, **options: object) -> tuple[Path, np.ndarray]:
    """Chunks of a quarter of a pattern, those without a count left out by the writer."""
    data = counts()
    data[:, :4, :8, :9] = 0
    zarr.create_array(path, name="data", data=data, chunks=(1, 1, 8, 9), **options)
    return path, data


@pytest.mark.parametrize("version", [2, 3])
def test_empty_parts_of_patterns_that_a_writer_left_out_are_zeros_and_told(tmp_path: Path, version: int) -> None:
    path, data = sparse_store(tmp_path / "a.zarr", zarr_format=version)
    dataset = stem.open(path)
    assert dataset.gaps is None
    np.testing.assert_array_equal(dataset.data.compute(scheduler="synchronous"), data)
    assert "24 of 42 patterns some chunks are not in the store" in dataset.metadata["notes"]
    assert "24 of 168 chunks" in dataset.metadata["notes"]


@pytest.mark.parametrize("location", ["start", "end"])
def test_patterns_that_a_shard_does_not_hold_are_missing(tmp_path: Path, location: str) -> None:
    path, data = tmp_path / "a.zarr", counts()
    data[3, 5] = 0  # no pattern is empty: what the writer leaves out stands for one that was lost
    data[1, 2, :8, :9] = 0
    array = zarr.create_array(
        path,
        name="data",
        shape=data.shape,
        dtype=data.dtype,
        chunks=(1, 1, 8, 9),
        shards={"shape": (2, 7, 16, 18), "index_location": location},
    )
    array[:] = data
    dataset = stem.open(path)
    assert np.argwhere(dataset.gaps.missing).tolist() == [[3, 5]]
    assert "1 of 42 patterns some chunks are not in the store" in dataset.metadata["notes"]
    np.testing.assert_array_equal(dataset.gaps.data.compute(scheduler="synchronous"), data)
    (path / "data/c/2/0/0/0").unlink()
    assert stem.open(path).gaps.missing.sum() == 15
    shard = path / "data/c/0/0/0/0"
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(ReadError, match="ends before its list of chunks"):
        stem.open(path)


def test_truth_whose_background_a_writer_left_out_is_whole(tmp_path: Path) -> None:
    labels = np.zeros((12, 14), np.int16)
    labels[2:5, 3:6], labels[3:6, 8:12] = 1, 2
    zarr.create_array(tmp_path / "a.zarr", name="labels", data=labels, chunks=(6, 7))
    masks = load_masks(tmp_path / "a.zarr")
    assert [int(mask.sum()) for mask in masks] == [9, 12]
