"""tif and MRC stacks."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError, ScanShapeError


def counts(*shape: int, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(0).poisson(5, shape).astype(dtype)


def write_mrc(path: Path, data: np.ndarray, *, mode: int = 6, tells: int | None = None, extended: bytes = b"") -> None:
    header = bytearray(1024)
    header[:16] = struct.pack("<4i", data.shape[2], data.shape[1], tells or data.shape[0], mode)
    header[92:96] = struct.pack("<i", len(extended))
    header[208:216] = b"MAP DD\0\0"
    path.write_bytes(bytes(header) + extended + data.tobytes())


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"byteorder": ">"}, {"bigtiff": True}])
def test_a_tif_of_four_axes_is_a_scan(tmp_path: Path, options: dict):
    data = counts(3, 4, 16, 20)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="minisblack", **options)
    dataset = stem.open(tmp_path / "a.tif")
    assert dataset.dtype == np.dtype("u2")
    np.testing.assert_array_equal(dataset.data.compute(), data)
    np.testing.assert_array_equal(dataset.data[1:, ::2].compute(), data[1:, ::2])


def test_pages_are_a_stack(tmp_path: Path):
    data = counts(12, 16, 20)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for page in data:
            tif.write(page, compression="zlib", photometric="minisblack")
    with pytest.raises(ScanShapeError, match="stack of 12 patterns of 16 x 20"):
        stem.open(tmp_path / "a.tif")
    dataset = stem.open(tmp_path / "a.tif", scan_shape=(3, 4))
    np.testing.assert_array_equal(dataset.data.compute(), data.reshape(3, 4, 16, 20))


def test_colours_are_no_patterns(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", counts(40, 50, 3, dtype="u1"), photometric="rgb")
    with pytest.raises(ReadError, match="3 values each"):
        stem.open(tmp_path / "a.tif")


def test_a_truncated_tif_is_told(tmp_path: Path):
    tifffile.imwrite(tmp_path / "a.tif", counts(3, 4, 16, 20), photometric="minisblack")
    content = (tmp_path / "a.tif").read_bytes()
    for size in (4, 100, 1000, 7680):
        (tmp_path / "cut.tif").write_bytes(content[:size])
        with pytest.raises(ReadError):
            stem.open(tmp_path / "cut.tif").data.compute()


def test_the_pixel_size_of_imagej_is_taken(tmp_path: Path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        counts(3, 4, 16, 20),
        imagej=True,
        resolution=(4, 4),
        metadata={"unit": "nm^-1", "axes": "TZYX"},
    )
    q = stem.open(tmp_path / "a.tif").axes[2]
    assert (q.scale, q.unit, q.assumed) == (0.25, "1/nm", False)


@pytest.mark.parametrize(("mode", "dtype"), [(0, "u1"), (1, "i2"), (2, "f4"), (6, "u2")])
def test_mrc_modes(tmp_path: Path, mode: int, dtype: str):
    data = counts(12, 6, 8, dtype=dtype)
    write_mrc(tmp_path / "a.mrc", data, mode=mode, extended=b"x" * 128)
    dataset = stem.open(tmp_path / "a.mrc", scan_shape=(3, 4))
    assert dataset.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(dataset.data.compute(), data.reshape(3, 4, 6, 8))


def test_the_info_of_a_direct_electron_movie_tells_its_scan(tmp_path: Path):
    write_mrc(tmp_path / "20260101_00001_movie.mrc", counts(12, 6, 8))
    lines = {
        "Scan - Enable": "Enable", "Scan - Type": "Raster", "Scan - ROI Enable": "Enable", "Scan - Size X": "99",
        "Scan - Size Y": "99", "Scan - ROI Size X": "4", "Scan - ROI Size Y": "3", "Diffraction Pixel Size X": "-1",
        "Specimen Pixel Size X (nanometers)": "1.5", "Specimen Pixel Size Y (nanometers)": "2.5",
    }  # fmt: skip
    text = "\n".join(f"{key:<60} = {value}" for key, value in lines.items())
    (tmp_path / "20260101_00001_info.txt").write_text(text)
    dataset = stem.open(tmp_path / "20260101_00001_movie.mrc")
    assert dataset.scan_shape == (3, 4)
    assert [axis.scale for axis in dataset.axes] == [2.5, 1.5, 1.0, 1.0]
    assert [axis.assumed for axis in dataset.axes] == [False, False, True, True]


def test_an_mrc_header_that_tells_of_more_than_there_is_is_not_believed(tmp_path: Path):
    write_mrc(tmp_path / "a.seq.dark.mrc", counts(1, 64, 64, dtype="f4"), mode=2, tells=32766)
    with pytest.raises(ReadError, match="32766 images of 64 x 64, but holds 1; it is truncated, or the dark or gain"):
        stem.open(tmp_path / "a.seq.dark.mrc")


@pytest.mark.parametrize("content", [b"short", bytes(1024), b"\xff" * 2048])
def test_what_is_no_mrc_is_told(tmp_path: Path, content: bytes):
    (tmp_path / "a.mrc").write_bytes(content)
    with pytest.raises(ReadError, match="no MRC file"):
        stem.open(tmp_path / "a.mrc")


def test_imagej_s_pixel_sizes_of_y_and_x_are_kept_apart(tmp_path: Path):
    data = np.ones((2, 3, 8, 8), "u2")
    tifffile.imwrite(
        tmp_path / "a.tif", data, imagej=True, resolution=(4.0, 5.0), metadata={"axes": "TZYX", "unit": "nm^-1"}
    )
    assert [axis.scale for axis in stem.open(tmp_path / "a.tif").axes[2:]] == [pytest.approx(0.2), pytest.approx(0.25)]
