"""Zarr stores of both formats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError


def counts(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).poisson(5, shape).astype("u2")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("consolidated", [False, True])
def test_both_formats_open_consolidated_or_not(tmp_path: Path, zarr_format: int, consolidated: bool):
    data = counts(9, 10, 16, 16)
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    root.create_array("deep/scan", data=data, chunks=(4, 4, 8, 16))
    root.create_array("image", data=data[:, :, 0, 0])
    if consolidated:
        zarr.consolidate_metadata(tmp_path / "a.zarr")
    dataset = stem.open(tmp_path / "a.zarr")
    assert dataset.data.numblocks[2:] == (1, 1)
    np.testing.assert_array_equal(dataset.data.compute(), data)
    np.testing.assert_array_equal(dataset.data[2:8:3, ::-1, 4].compute(), data[2:8:3, ::-1, 4])


def test_a_store_that_is_one_array_opens(tmp_path: Path):
    data = counts(3, 4, 8, 8)
    zarr.create_array(tmp_path / "a.zarr", data=data)
    dataset = stem.open(tmp_path / "a.zarr")
    np.testing.assert_array_equal(dataset.data.compute(), data)
    assert dataset.name == "a"


def test_a_store_in_a_zip_file_opens(tmp_path: Path):
    data = counts(3, 4, 8, 8)
    zarr.open_group(tmp_path / "a.zarr", mode="w").create_array("scan", data=data)
    shutil.make_archive(str(tmp_path / "a.zarr"), "zip", tmp_path / "a.zarr")
    np.testing.assert_array_equal(stem.open(tmp_path / "a.zarr.zip").data.compute(), data)


def test_zspy_axes_calibrate(tmp_path: Path):
    root = zarr.open_group(tmp_path / "a.zspy", mode="w", zarr_format=2)
    signal = root.create_group("Experiments/scan")
    signal.create_array("data", data=counts(3, 4, 8, 8))
    for i, (name, unit) in enumerate((("y", "µm"), ("x", "µm"), ("ky", "$A^{-1}$"), ("kx", "$A^{-1}$"))):
        axis = signal.create_group(f"axis-{i}")
        axis.attrs.update({"name": name, "scale": 0.5, "offset": -1.0, "units": unit, "navigate": i < 2})
    axes = stem.open(tmp_path / "a.zspy").axes
    assert [(a.scale, a.unit, a.offset) for a in axes] == [(500.0, "nm", -1000.0)] * 2 + [(5.0, "1/nm", -10.0)] * 2


def test_a_codec_that_unpickles_is_refused(tmp_path: Path):
    array = zarr.create_array(tmp_path / "a.zarr", shape=(3, 4, 8, 8), dtype="u2", zarr_format=2, compressors=None)
    array[...] = counts(3, 4, 8, 8)
    meta = json.loads((tmp_path / "a.zarr/.zarray").read_text())
    meta["filters"] = [{"id": "pickle", "protocol": 5}]
    (tmp_path / "a.zarr/.zarray").write_text(json.dumps(meta))
    with pytest.raises(ReadError):
        stem.open(tmp_path / "a.zarr").data.compute()


@pytest.mark.parametrize("content", ["", "{", '{"zarr_format": 7}', '{"zarr_format": 3, "node_type": "array"}'])
def test_damaged_metadata_is_told(tmp_path: Path, content: str):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/zarr.json").write_text(content)
    with pytest.raises(ReadError):
        stem.open(tmp_path / "a.zarr")


def test_a_truncated_chunk_is_told_when_it_is_read(tmp_path: Path):
    zarr.create_array(tmp_path / "a.zarr", data=counts(3, 4, 8, 8), chunks=(1, 4, 8, 8))
    chunk = next(f for f in (tmp_path / "a.zarr").rglob("2/0/0/0"))
    chunk.write_bytes(chunk.read_bytes()[:20])
    dataset = stem.open(tmp_path / "a.zarr")
    dataset.pattern(0, 0)
    with pytest.raises(ReadError, match="damaged"):
        dataset.pattern(2, 0)
