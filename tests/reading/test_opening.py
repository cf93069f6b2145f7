"""The door: formats told by content, messages for people, nothing heavy imported."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError, ScanShapeError, StemNMFError
from napari_stemnmf.reading.blocks import reading
from napari_stemnmf.reading.opening import can_open, split, summary

SCAN = np.random.default_rng(0).poisson(5, (3, 4, 8, 8)).astype("u2")


def test_the_content_and_not_the_ending_tells_the_format(tmp_path: Path):
    with h5py.File(tmp_path / "hdf5.npy", "w") as file:
        file["d"] = SCAN
    with (tmp_path / "npy.mib").open("wb") as file:
        np.save(file, SCAN)
    with (tmp_path / "npz").open("wb") as file:
        np.savez(file, SCAN)
    with h5py.File(tmp_path / "user.block", "w", userblock_size=512) as file:
        file["d"] = SCAN
    for name in ("hdf5.npy", "npy.mib", "npz", "user.block"):
        np.testing.assert_array_equal(stem.open(tmp_path / name).data.compute(), SCAN)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.h5", b"", r"empty.h5 is empty \(0 bytes\)"),
        ("text.txt", b"hello", "no format that is known here; what can be opened: HDF5"),
        ("fake.h5", b"hello", "is no h5 file, whatever its name says"),
        ("fake.tif", b"hello", "is no tif file"),
        ("a.seq", b"\xed\xfe\0\0Norpix", "StreamPix movie"),
        ("a.raw", bytes(100), "open the .xml file"),
        ("a.stemnmf.h5", b"\x89HDF\r\n\x1a\n", "is an analysis, not a scan"),
        ("photo.png", b"\x89PNG", "2-D picture"),
    ],
)
def test_what_cannot_be_read_gets_one_sentence(tmp_path: Path, name: str, content: bytes, words: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ReadError, match=words):
        stem.open(tmp_path / name)
    assert not can_open(tmp_path / name)


def test_a_missing_file_and_a_plain_folder_are_told(tmp_path: Path):
    with pytest.raises(ReadError, match="There is no file"):
        stem.open(tmp_path / "nothing.h5")
    np.save(tmp_path / "scan.npy", SCAN)
    with pytest.raises(ReadError, match=r"without a Zarr store in it; open one of its files, such as scan.npy"):
        stem.open(tmp_path)


def test_a_name_with_colons_is_a_name_where_such_a_file_is(tmp_path: Path):
    np.save(tmp_path / "a::b.npy", SCAN)
    assert stem.open(tmp_path / "a::b.npy").shape == SCAN.shape
    assert split(f"{tmp_path}/c.h5::deep/data") == (tmp_path / "c.h5", "deep/data")


@pytest.mark.parametrize("scan_shape", [(0, 4), (3,), "3x4", (2.5, "a"), (-3, -4), (1.5, 8), (float("inf"), 2)])
def test_a_scan_shape_that_is_none_is_told(tmp_path: Path, scan_shape):
    np.save(tmp_path / "a.npy", SCAN)
    with pytest.raises(ScanShapeError, match="two whole numbers"):
        stem.open(tmp_path / "a.npy", scan_shape=scan_shape)


def test_napari_is_told_what_can_be_opened_and_leaves_images_alone(tmp_path: Path):
    np.save(tmp_path / "scan.npy", SCAN)
    np.save(tmp_path / "image.npy", SCAN[0, 0])
    np.save(tmp_path / "stack.npy", SCAN[0])
    np.savez(tmp_path / "scan.npz", SCAN)
    tifffile.imwrite(tmp_path / "scan.tif", SCAN, photometric="minisblack")
    tifffile.imwrite(tmp_path / "image.tif", SCAN[0, 0])
    zarr.create_array(tmp_path / "scan.zarr", data=SCAN)
    (tmp_path / "folder").mkdir()
    names = ["scan.npy", "image.npy", "stack.npy", "scan.npz", "scan.tif", "image.tif", "scan.zarr", "folder", "none"]
    assert [name for name in names if can_open(tmp_path / name)] == ["scan.npy", "scan.npz", "scan.tif", "scan.zarr"]
    assert can_open(str(tmp_path / "scan.npy"))


def test_asking_imports_no_reader(tmp_path: Path):
    np.save(tmp_path / "a.npy", SCAN)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = SCAN
    zarr.create_array(tmp_path / "a.zarr", data=SCAN)
    code = (
        "import sys; from napari_stemnmf.reading.opening import can_open\n"
        "assert all(can_open(p) for p in sys.argv[1:])\n"
        "heavy = {'dask', 'h5py', 'zarr', 'rsciio', 'tifffile', 'napari', 'scipy', 'numba', 'pandas'}\n"
        "print(sorted(heavy & {name.split('.')[0] for name in sys.modules}))"
    )
    files = [str(tmp_path / name) for name in ("a.npy", "a.h5", "a.zarr")]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_description_says_what_is_assumed(tmp_path: Path):
    with h5py.File(tmp_path / "film.h5", "w") as file:
        file["data"] = SCAN
        file["data"].attrs.update(Q_pixel_size_invA=0.02, center_px=[4.0, 4.0])
        file.attrs["energy_eV"] = 300e3
    text = summary(stem.open(tmp_path / "film.h5"))
    assert "3 x 4 probe positions, 8 x 8 detector pixels" in text
    assert "uint16, 1.5 KiB" in text
    assert "scan_y    3 x 1 px (assumed: the file gives no scale)" in text
    assert "q_y       8 x 0.2 1/nm, from -0.8" in text
    assert "beam energy keV 300.0" in text
    assert str(tmp_path / "film.h5") in text


def test_names_for_titles_are_without_endings(tmp_path: Path):
    for file, name in (("ag1.hdf5.npy", "ag1"), ("scan_0.5.npy", "scan_0.5"), ("a.b c.npy", "a")):
        np.save(tmp_path / file, SCAN)
        assert stem.open(tmp_path / file).name == name or file == "a.b c.npy"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=st.sampled_from(["h5", "npy", "npz", "tif", "zarr"]))
def test_damage_anywhere_raises_our_errors_only(tmp_path: Path, data: st.DataObject, kind: str):
    path = tmp_path / f"a.{kind}"
    if kind == "h5":
        with h5py.File(path, "w") as file:
            group = file.create_group("root/cube")
            group.create_dataset("data", data=SCAN, chunks=(1, 2, 8, 8), compression="gzip")
            group["dim0"], group["dim1"] = [0.0, 1.0], [0.0, 1.0]
            group.attrs["axes"] = ["a", "b", "c", "d"]
    elif kind == "npy":
        np.save(path, SCAN)
    elif kind == "npz":
        np.savez_compressed(path, data=SCAN)
    elif kind == "tif":
        tifffile.imwrite(path, SCAN, photometric="minisblack", compression="zlib")
    else:
        zarr.create_array(path, data=SCAN, overwrite=True)
    target = path / "zarr.json" if kind == "zarr" else path
    content = bytearray(target.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 4000) - 1))] = data.draw(st.integers(0, 255))
    target.write_bytes(content[: data.draw(st.one_of(st.none(), st.integers(1, len(content))))])
    can_open(path)
    with contextlib.suppress(StemNMFError):
        dataset = stem.open(path)
        if dataset.nbytes < 1e8:
            dataset.data.compute(scheduler="synchronous")


def test_a_single_picture_with_axes_too_many_is_no_scan(tmp_path: Path):
    np.save(tmp_path / "survey.npy", np.ones((1, 1, 512, 512), "f4"))
    with pytest.raises(ReadError, match=r"a single picture of 512 x 512 pixels, not a scan; .*scan_shape=\(1, 1\)"):
        stem.open(tmp_path / "survey.npy")
    assert stem.open(tmp_path / "survey.npy", scan_shape=(1, 1)).shape == (1, 1, 512, 512)
    with h5py.File(tmp_path / "both.h5", "w") as file:
        file["survey"], file["scan"] = np.ones((1, 1, 512, 512), "f4"), SCAN
    assert stem.open(tmp_path / "both.h5").shape == SCAN.shape


def test_rows_of_colour_pictures_are_no_patterns(tmp_path: Path):
    np.save(tmp_path / "photos.npy", np.ones((2, 80, 90, 3), "u1"))
    with pytest.raises(ReadError, match="colour pictures"):
        stem.open(tmp_path / "photos.npy")


@pytest.mark.parametrize(("name", "unit"), [("potential", ""), ("images", "Å"), ("images", "nm")])
def test_images_of_the_specimen_are_no_stack_of_patterns(tmp_path: Path, name: str, unit: str):
    stack = SCAN.reshape(12, 8, 8)
    with h5py.File(tmp_path / "a.hspy", "w") as file:
        group = file.create_group("Experiments/a")
        group["potential" if name == "potential" else "data"] = stack
        for i in range(3 if unit else 0):
            group.create_group(f"axis-{i}").attrs.update({"scale": 0.2, "units": unit, "name": "zyx"[i]})
    with pytest.raises(ReadError, match=r"12 images of 8 x 8 pixels in real space .*a potential or a series of images"):
        stem.open(tmp_path / "a.hspy")
    assert stem.open(tmp_path / "a.hspy", scan_shape=(3, 4)).shape == (3, 4, 8, 8)


def test_a_detector_in_pixels_that_comes_first_is_turned_by_the_unit_of_the_scan(tmp_path: Path):
    with h5py.File(tmp_path / "a.hspy", "w") as file:
        group = file.create_group("Experiments/a")
        group["data"] = SCAN.transpose(2, 3, 0, 1)
        for i, unit in enumerate(("", "", "nm", "nm")):
            group.create_group(f"axis-{i}").attrs.update({"scale": 0.5, "units": unit, "name": ""})
    dataset = stem.open(tmp_path / "a.hspy")
    np.testing.assert_array_equal(dataset.data.compute(), SCAN)
    assert [axis.unit for axis in dataset.axes] == ["nm", "nm", "px", "px"]


def test_the_summary_tells_what_is_odd(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.ones((14, 8, 8), "u1"))
    assert "a: a.npy holds 14 patterns, 2 more" in summary(stem.open(tmp_path / "a.npy", scan_shape=(3, 4)))


def test_an_error_of_our_own_is_not_called_damage(tmp_path: Path):
    with pytest.raises(KeyError), reading(tmp_path):
        raise KeyError("x")


def test_a_picture_with_axes_too_many_is_left_to_others(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.ones((1, 1, 64, 64), "u1"))
    tifffile.imwrite(tmp_path / "a.tif", np.ones((1, 1, 64, 64), "u1"), metadata={"axes": "TZYX"})
    assert not can_open(tmp_path / "a.npy")
    assert not can_open(tmp_path / "a.tif")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.h5")
    for path in (tmp_path / "pipe.h5", "/dev/zero"):
        with pytest.raises(ReadError, match="is no file but a pipe, socket or device"):
            stem.open(path)
        assert not can_open(path)
    with pytest.raises(ReadError, match=r"^/ is a folder"):
        stem.open("/")


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 100_000])
def test_a_dataset_of_a_name_that_none_can_have_is_not_there(tmp_path: Path, name: str):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["d"] = SCAN
    with pytest.raises(ReadError, match="holds no dataset") as caught:
        stem.open(tmp_path / "a.h5", dataset=name)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("drop", ["middle", -1, 1.5, True, None])
def test_patterns_to_drop_that_are_none_are_told_of_any_file(tmp_path: Path, drop: object):
    np.save(tmp_path / "a.npy", SCAN)
    with pytest.raises(ScanShapeError, match="Patterns to drop"):
        stem.open(tmp_path / "a.npy", drop=drop)
