"""HDF5 files of many conventions, written here."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError, ScanShapeError


def counts(*shape: int, dtype: str = "u2", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).poisson(5, shape).astype(dtype)


def steps(dataset: stem.Dataset) -> list[tuple[float, str]]:
    return [(axis.scale, axis.unit) for axis in dataset.axes]


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u8", "f4", "f8", ">u2", ">f4"])
def test_counts_come_as_they_are_in_native_byte_order(tmp_path: Path, dtype: str):
    data = counts(4, 5, 6, 7, dtype=dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan"] = data
    dataset = stem.open(tmp_path / "a.h5")
    assert dataset.dtype == np.dtype(dtype).newbyteorder("=")
    block = dataset.data.compute()
    assert block.dtype.isnative
    np.testing.assert_array_equal(block, data)


@pytest.mark.parametrize(("dtype", "given"), [("f2", "f4"), ("?", "u1")])
def test_types_that_kernels_cannot_take_are_widened(tmp_path: Path, dtype: str, given: str):
    data = counts(3, 3, 8, 8, dtype=dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan"] = data
    dataset = stem.open(tmp_path / "a.h5")
    assert dataset.dtype == np.dtype(given)
    np.testing.assert_array_equal(dataset.data.compute(), data.astype(given))


@pytest.mark.parametrize("chunks", [(3, 4, 16, 16), (1, 1, 16, 16), (2, 3, 5, 7), (12, 13, 4, 4), None])
@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
def test_any_chunking_and_compression_gives_whole_patterns(tmp_path: Path, chunks, compression):
    data = counts(12, 13, 16, 16)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset(
            "d", data=data, chunks=chunks, compression=compression if chunks else None, shuffle=bool(chunks)
        )
    dataset = stem.open(tmp_path / "a.h5")
    assert dataset.data.numblocks[2:] == (1, 1)
    np.testing.assert_array_equal(dataset.data.compute(), data)
    np.testing.assert_array_equal(dataset.data[1:11:3, ::-2].compute(), data[1:11:3, ::-2])
    np.testing.assert_array_equal(dataset.data[-1, 3, 2:9].compute(), data[-1, 3, 2:9])


def test_blocks_hold_whole_chunks_of_the_file_along_the_scan(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", (64, 60, 252, 252), "u2", chunks=(8, 8, 63, 126), compression="gzip")
        file["d"][0, 0] = 1
    rows, columns = stem.open(tmp_path / "a.h5").data.chunks[:2]
    assert set(rows) == {8}
    assert set(columns[:-1]) == {16}


def test_py4dstem_calibration_is_taken_from_its_own_group(tmp_path: Path):
    with h5py.File(tmp_path / "p.h5", "w") as file:
        cube = file.create_group("root/datacube")
        cube.attrs.update(emd_group_type="array", python_class="DataCube")
        cube["data"] = counts(3, 4, 8, 8)
        for i in range(4):
            cube[f"dim{i}"] = np.array([0.0, 1.0])
            cube[f"dim{i}"].attrs.update(name="xx", units="pixels")
        cali = file.create_group("root/metadatabundle/calibration")
        cali["Q_pixel_size"], cali["Q_pixel_units"] = 0.02, "A^-1"
        cali["R_pixel_size"], cali["R_pixel_units"] = 5.0, "A"
    dataset = stem.open(tmp_path / "p.h5")
    assert steps(dataset) == [(0.5, "nm")] * 2 + [(0.2, "1/nm")] * 2
    assert not any(axis.assumed for axis in dataset.axes)


def test_uncalibrated_axes_are_pixels_and_said_to_be_assumed(tmp_path: Path):
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["data"] = counts(3, 4, 8, 8)
    axes = stem.open(tmp_path / "p.h5").axes
    assert all(axis.assumed and axis.unit == "px" and axis.scale == 1 for axis in axes)


def test_nexus_axes_and_default_signal(tmp_path: Path):
    with h5py.File(tmp_path / "n.nxs", "w") as file:
        data = file.create_group("entry/data")
        data.attrs.update(NX_class="NXdata", signal="counts", axes=["y", "x", "ky", "kx"])
        data["counts"] = counts(3, 4, 8, 8)
        data["background"] = counts(3, 4, 8, 8, seed=1)
        for name, size, unit in (("y", 3, "um"), ("x", 4, "um"), ("ky", 8, "mrad"), ("kx", 8, "mrad")):
            data[name] = np.arange(size) * 0.25
            data[name].attrs["units"] = unit
    dataset = stem.open(tmp_path / "n.nxs")
    assert dataset.metadata["dataset"] == "/entry/data/counts"
    assert steps(dataset) == [(250.0, "nm")] * 2 + [(0.25, "mrad")] * 2


def test_dimension_scales_of_hdf5_calibrate(tmp_path: Path):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["d"] = counts(3, 4, 8, 8)
        for i, (size, unit) in enumerate(((3, "nm"), (4, "nm"), (8, "1/nm"), (8, "1/nm"))):
            file[f"axis{i}"] = np.arange(size) * 0.5
            file[f"axis{i}"].attrs["units"] = unit
            file[f"axis{i}"].make_scale()
            file["d"].dims[i].attach_scale(file[f"axis{i}"])
    assert steps(stem.open(tmp_path / "s.h5")) == [(0.5, "nm")] * 2 + [(0.5, "1/nm")] * 2


@pytest.mark.parametrize("names", [("kx", "ky", "x", "y"), ("ky", "kx", "y", "x")])
def test_a_file_with_the_detector_first_is_turned(tmp_path: Path, names: tuple[str, ...]):
    data = counts(3, 4, 6, 8)
    size = {"y": 3, "x": 4, "ky": 6, "kx": 8}
    axes = {"y": 0, "x": 1, "ky": 2, "kx": 3}
    with h5py.File(tmp_path / "t.emd", "w") as file:
        group = file.create_group("signals/a")
        group["data"] = data.transpose([axes[name] for name in names])
        for i, name in enumerate(names):
            group[f"dim{i + 1}"] = np.arange(size[name]) * 0.5
            group[f"dim{i + 1}"].attrs.update(name=name, units="[1_/_Å]" if "k" in name else "[n_m]")
    dataset = stem.open(tmp_path / "t.emd")
    assert steps(dataset) == [(0.5, "nm")] * 2 + [(5.0, "1/nm")] * 2
    np.testing.assert_array_equal(dataset.data.compute(), data)
    np.testing.assert_array_equal(dataset.data[1:, 2].compute(), data[1:, 2])


def test_py4dstem_order_is_kept_although_it_calls_the_rows_x(tmp_path: Path):
    data = counts(3, 4, 6, 8)
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file["g/data"] = data
        for i, name in enumerate(("Rx", "Ry", "Qx", "Qy")):
            file[f"g/dim{i}"] = np.array([0.0, 1.0])
            file[f"g/dim{i}"].attrs.update(name=name, units="nm" if "R" in name else "A^-1")
    np.testing.assert_array_equal(stem.open(tmp_path / "t.h5").data.compute(), data)


def test_a_velox_stack_counts_its_frames_along_the_last_axis(tmp_path: Path):
    data = counts(12, 16, 20)
    text = {"BinaryResult": {"PixelSize": {"width": "2e8", "height": "2e8"}, "PixelUnitX": "1/m", "PixelUnitY": "1/m"}}
    with h5py.File(tmp_path / "v.emd", "w") as file:
        file["Data/Image/abc/Data"] = data
        encoded = np.frombuffer(json.dumps(text).encode() + b"\0", np.uint8)
        file["Data/Image/abc/Metadata"] = np.repeat(encoded[:, np.newaxis], 20, axis=1)
    with pytest.raises(ScanShapeError, match="stack of 20 patterns of 12 x 16"):
        stem.open(tmp_path / "v.emd")
    dataset = stem.open(tmp_path / "v.emd", scan_shape=(4, 5))
    np.testing.assert_array_equal(dataset.data.compute(), np.moveaxis(data, 2, 0).reshape(4, 5, 12, 16))
    assert steps(dataset)[2:] == [(0.2, "1/nm")] * 2


class TestSeveralDatasets:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        with h5py.File(tmp_path / "several.h5", "w") as file:
            file["a/data"] = counts(3, 4, 8, 8, seed=1)
            file["b/data"] = counts(3, 4, 8, 8, seed=2)
            file["stack"] = counts(12, 8, 8, seed=3)
        return tmp_path / "several.h5"

    def test_none_is_taken_where_none_is_clearly_meant(self, file: Path):
        with pytest.raises(ReadError, match=r"several scans: /a/data \(3 x 4 x 8 x 8\), /b/data.*several.h5::a/data"):
            stem.open(file)

    def test_one_is_named_in_the_path_or_beside_it(self, file: Path):
        with h5py.File(file) as opened:
            truth = opened["b/data"][()]
        for dataset in (stem.open(f"{file}::b/data"), stem.open(file, dataset="/b/data"), stem.open(f"{file}::/b")):
            np.testing.assert_array_equal(dataset.data.compute(), truth)
            assert dataset.source == f"{file}::b/data"

    def test_a_name_that_is_not_there_lists_what_is(self, file: Path):
        with pytest.raises(ReadError, match=r"no dataset 'c/data'; it holds /a/data \(3 x 4 x 8 x 8\)"):
            stem.open(f"{file}::c/data")

    def test_a_stack_can_be_named(self, file: Path):
        assert stem.open(f"{file}::stack", scan_shape=(3, 4)).shape == (3, 4, 8, 8)

    def test_the_much_larger_one_is_clear(self, file: Path):
        with h5py.File(file, "a") as opened:
            opened["c/data"] = counts(6, 8, 16, 16)
        assert stem.open(file).shape == (6, 8, 16, 16)


class TestLinks:
    def write(self, path: Path, name: str = "data") -> np.ndarray:
        path.parent.mkdir(exist_ok=True)
        data = counts(3, 4, 8, 8)
        with h5py.File(path, "w") as file:
            file[name] = data
        return data

    def test_external_links_within_the_folder_are_followed(self, tmp_path: Path):
        data = self.write(tmp_path / "raw" / "target.h5")
        with h5py.File(tmp_path / "master.h5", "w") as file:
            file["x/linked"] = h5py.ExternalLink("raw/target.h5", "/data")
        np.testing.assert_array_equal(stem.open(tmp_path / "master.h5").data.compute(), data)

    @pytest.mark.parametrize("absolute", [False, True])
    def test_external_links_out_of_the_folder_are_refused(self, tmp_path: Path, absolute: bool):
        self.write(tmp_path / "secret.h5")
        (tmp_path / "here").mkdir()
        target = str(tmp_path / "secret.h5") if absolute else "../secret.h5"
        with h5py.File(tmp_path / "here" / "master.h5", "w") as file:
            file["linked"] = h5py.ExternalLink(target, "/data")
        for name in ("master.h5", "master.h5::linked"):
            with pytest.raises(ReadError, match="outside its own folder, which is not followed"):
                stem.open(f"{tmp_path}/here/{name}")

    def test_a_link_in_the_folder_that_leads_out_of_it_is_refused(self, tmp_path: Path):
        self.write(tmp_path / "secret.h5")
        (tmp_path / "here").mkdir()
        (tmp_path / "here" / "innocent.h5").symlink_to(tmp_path / "secret.h5")
        with h5py.File(tmp_path / "here" / "master.h5", "w") as file:
            file["linked"] = h5py.ExternalLink("innocent.h5", "/data")
        with pytest.raises(ReadError, match="outside its own folder"):
            stem.open(tmp_path / "here" / "master.h5")

    def test_virtual_datasets_are_read_within_the_folder_and_refused_out_of_it(self, tmp_path: Path):
        data = self.write(tmp_path / "here" / "part.h5")
        self.write(tmp_path / "secret.h5")
        for name, source in (("good", "part.h5"), ("bad", str(tmp_path / "secret.h5"))):
            layout = h5py.VirtualLayout((3, 4, 8, 8), "u2")
            layout[...] = h5py.VirtualSource(source, "data", (3, 4, 8, 8))
            with h5py.File(tmp_path / "here" / f"{name}.h5", "w") as file:
                file.create_virtual_dataset("scan", layout)
        np.testing.assert_array_equal(stem.open(tmp_path / "here" / "good.h5").data.compute(), data)
        with pytest.raises(ReadError, match="outside its own folder"):
            stem.open(tmp_path / "here" / "bad.h5")

    def test_raw_data_outside_of_hdf5_is_refused(self, tmp_path: Path):
        (tmp_path / "raw.bin").write_bytes(bytes(3 * 4 * 8 * 8 * 2))
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("d", (3, 4, 8, 8), "u2", external=[("raw.bin", 0, h5py.h5f.UNLIMITED)])
        with pytest.raises(ReadError, match="outside of the file"):
            stem.open(tmp_path / "a.h5")

    def test_links_that_go_in_circles_end(self, tmp_path: Path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["x"] = h5py.SoftLink("/y")
            file["y"] = h5py.SoftLink("/x")
            file["loop"] = file["/"]
        with pytest.raises(ReadError, match="circles"):
            stem.open(f"{tmp_path}/a.h5::x")
        with pytest.raises(ReadError, match="no array"):
            stem.open(tmp_path / "a.h5")

    def test_a_soft_link_can_be_named(self, tmp_path: Path):
        data = self.write(tmp_path / "a.h5", "deep/down/data")
        with h5py.File(tmp_path / "a.h5", "a") as file:
            file["shortcut"] = h5py.SoftLink("/deep/down")
        np.testing.assert_array_equal(stem.open(f"{tmp_path}/a.h5::shortcut/data").data.compute(), data)


class TestDectris:
    def write(self, folder: Path, frames: int = 12, scan: tuple[int, int] | None = (3, 4)) -> np.ndarray:
        data = counts(frames, 16, 16, dtype="u4")
        with h5py.File(folder / "run_master.h5", "w") as master:
            for i, part in enumerate(np.array_split(data, 3), 1):
                name = f"run_data_{i:06d}.h5"
                with h5py.File(folder / name, "w") as file:
                    file.create_dataset("entry/data/data", data=part, chunks=(1, 16, 16), compression="gzip")
                master[f"entry/data/data_{i:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
        if scan:
            with h5py.File(folder / "run.h5", "w") as file:
                group = file.create_group("STEM Metadata")
                group.attrs.update(NumPixelsY=[scan[0]], NumPixelsX=[scan[1]])
                group.attrs["Pixel Size"] = [0.25]
        return data

    def test_the_data_files_follow_each_other(self, tmp_path: Path):
        data = self.write(tmp_path)
        dataset = stem.open(tmp_path / "run_master.h5")
        np.testing.assert_array_equal(dataset.data.compute(), data.reshape(3, 4, 16, 16))
        np.testing.assert_array_equal(dataset.data[1:, ::3].compute(), data.reshape(3, 4, 16, 16)[1:, ::3])
        assert steps(dataset)[:2] == [(0.25, "nm")] * 2

    def test_without_a_scan_shape_it_asks(self, tmp_path: Path):
        self.write(tmp_path, scan=None)
        with pytest.raises(ScanShapeError, match="12 patterns"):
            stem.open(tmp_path / "run_master.h5")
        assert stem.open(tmp_path / "run_master.h5", scan_shape=(2, 6)).scan_shape == (2, 6)

    def test_a_missing_data_file_is_named(self, tmp_path: Path):
        self.write(tmp_path)
        (tmp_path / "run_data_000002.h5").unlink()
        with pytest.raises(ReadError, match=r"links to run_data_000002.h5, which is not there"):
            stem.open(tmp_path / "run_master.h5")


def test_another_scan_shape_is_taken_where_it_fits(tmp_path: Path):
    data = counts(1, 12, 8, 8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = data
    dataset = stem.open(tmp_path / "a.h5", scan_shape=(3, 4))
    np.testing.assert_array_equal(dataset.data.compute(), data.reshape(3, 4, 8, 8))
    with pytest.raises(ScanShapeError, match=r"3 x 5 needs 15 patterns, but a.h5 has 12"):
        stem.open(tmp_path / "a.h5", scan_shape=(3, 5))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"d": np.ones((2, 3, 4, 5, 6), "u2")}, "array of 5 axes"),
        ({"d": np.ones((9, 8, 3), "f4")}, "map of 9 x 8 positions with 3 values"),
        ({"d": np.ones((4, 5, 900), "f4")}, "spectra"),
        ({"d": np.ones((4, 5, 6, 7), "c8")}, "no intensities"),
        ({"d": np.ones((0, 5, 6, 7), "u2")}, "empty array"),
        ({"d": np.ones(4, "u2")}, "array of 1 axis"),
        ({}, "no array"),
    ],
)
def test_a_file_without_a_scan_says_what_it_holds(tmp_path: Path, content: dict, words: str):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in content.items():
            file[name] = value
    with pytest.raises(ReadError, match=words):
        stem.open(tmp_path / "a.h5")


def test_space_that_was_never_written_is_no_scan(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("d", (10, 10, 64, 64), "u2", chunks=True)
    with pytest.raises(ReadError, match="nothing was ever written"):
        stem.open(tmp_path / "a.h5")


def test_no_handle_stays_open(tmp_path: Path):
    path, data = tmp_path / "a.h5", counts(3, 4, 8, 8)
    with h5py.File(path, "w") as file:
        file["d"] = data
    dataset = stem.open(path)
    dataset.data.compute()
    with h5py.File(path, "a") as file:  # HDF5 itself refuses this while somebody reads
        file["d"][0, 0] = 7
    np.testing.assert_array_equal(dataset.pattern(0, 0), 7)
    path.unlink()
    with pytest.raises(ReadError, match="not there"):
        dataset.pattern(0, 0)


def test_a_dataset_travels_to_another_process(tmp_path: Path):
    data = counts(3, 4, 8, 8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = data
    dataset = stem.open(tmp_path / "a.h5")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset.data)).compute(), data)
    assert len(pickle.dumps(dataset.data)) < 10_000


def test_a_damaged_chunk_is_told_when_it_is_read(tmp_path: Path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("d", data=counts(3, 4, 32, 32), chunks=(1, 1, 32, 32), compression="gzip", fletcher32=True)
        where = file["d"].id.get_chunk_info(5)
    content = bytearray(path.read_bytes())
    content[where.byte_offset + 10 : where.byte_offset + 60] = bytes(50)
    path.write_bytes(content)
    dataset = stem.open(path)
    dataset.pattern(0, 0)
    with pytest.raises(ReadError, match="damaged"):
        dataset.data.compute(scheduler="synchronous")


@pytest.mark.parametrize("shuffle", [False, True])
def test_gzip_chunks_are_unpacked_as_hdf5_does_it(tmp_path: Path, shuffle: bool):
    data = counts(7, 9, 10, 11, dtype=">u4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        d = file.create_dataset(
            "d", (7, 9, 10, 11), ">u4", chunks=(3, 2, 4, 11), compression="gzip", shuffle=shuffle, fillvalue=3
        )
        d[:5] = data[:5]  # the last chunks are never written
        file.flush()
        d.id.write_direct_chunk((0, 0, 0, 0), data[:3, :2, :4].tobytes(), filter_mask=0b11 if shuffle else 0b1)
    with h5py.File(tmp_path / "a.h5") as file:
        truth = file["d"][()]
    dataset = stem.open(tmp_path / "a.h5").without_gaps()
    np.testing.assert_array_equal(dataset.data.compute(), truth)
    np.testing.assert_array_equal(dataset.data[2:6, 3:8, 5, 2:].compute(), truth[2:6, 3:8, 5, 2:])


@pytest.mark.parametrize("even", [True, False])
def test_hspy_axes_given_as_coordinates(tmp_path: Path, even: bool) -> None:
    with h5py.File(tmp_path / "vector.hspy", "w") as file:
        group = file.create_group("Experiments/scan")
        group["data"] = np.ones((4, 5, 16, 18), np.uint16)
        for i, (unit, step, size) in enumerate((("nm", 2.0, 4), ("nm", 2.0, 5), ("1/nm", 0.1, 16), ("1/nm", 0.1, 18))):
            axis = group.create_group(f"axis-{i}")
            axis.attrs.update({"_type": "DataAxis", "name": ["y", "x", "ky", "kx"][i], "units": unit, "size": size})
            axis["axis"] = 1.0 + step * np.arange(size) ** (1.0 if even else 1.5)
    axes = stem.open(tmp_path / "vector.hspy").axes
    if even:
        assert [(axis.scale, axis.unit) for axis in axes[:2]] == [(2.0, "nm")] * 2
        assert [axis.scale for axis in axes[2:]] == pytest.approx([0.1, 0.1])
        assert axes[0].offset == 1.0
    else:
        assert all(axis.assumed for axis in axes)
