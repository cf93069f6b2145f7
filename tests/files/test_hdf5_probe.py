"""Files on which the HDF5 library crashes or never ends are refused, and cost the process nothing."""

from __future__ import annotations

import os
import struct
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import AnalysisError, ReadError
from napari_stemnmf.files import hdf5_probe
from napari_stemnmf.reading.masks import load_masks


def looping(path: Path, shape: tuple[int, ...] = (3, 4, 8, 8)) -> Path:
    """A file whose texts are kept in a page that was zeroed."""
    with h5py.File(path, "w") as file:
        file["data"] = np.ones(shape, "u2")
        file["data"].attrs["units"] = "a text of variable length"
    data = bytearray(path.read_bytes())
    at = data.find(b"GCOL")
    size = struct.unpack("<Q", data[at + 8 : at + 16])[0]
    data[at + 16 : at + size] = bytes(size - 16)
    path.write_bytes(data)
    return path


def empty_chunk(path: Path, shape: tuple[int, ...] = (3, 4, 8, 8)) -> Path:
    """A file whose chunk has a checksum and no bytes."""
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=np.ones(shape, "u2"), chunks=shape, fletcher32=True)
        info = file["data"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    size = struct.pack("<I", info.size)
    at = -1
    while (at := data.find(size, at + 1)) >= 0:
        if data[at + 4 : at + 8] == b"\0\0\0\0" and struct.pack("<Q", info.byte_offset) in data[at : at + 64]:
            data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("make", [looping, empty_chunk])
def test_file_that_the_library_does_not_survive_is_refused_in_time(tmp_path: Path, make) -> None:
    began = time.perf_counter()
    with pytest.raises(ReadError, match="damaged"):
        stem.open(make(tmp_path / "a.h5")).pattern(0, 0)
    with pytest.raises(ReadError, match="damaged"):
        load_masks(make(tmp_path / "truth.h5", (3, 4)))
    assert time.perf_counter() - began < 60


def test_analysis_that_the_library_does_not_survive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError):
        stem.Analysis.load(looping(tmp_path / "a.stemnmf.h5"))


def test_linked_file_is_tried_out_as_well(tmp_path: Path) -> None:
    looping(tmp_path / "part.h5")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = h5py.ExternalLink("part.h5", "data")
    with pytest.raises(ReadError, match=r"part\.h5 is damaged"):
        stem.open(tmp_path / "a.h5")


def test_file_is_tried_out_once_and_again_when_it_was_written_to(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.ones((3, 4, 8, 8), "u2")
    tried, real = [], hdf5_probe._forked
    monkeypatch.setattr(hdf5_probe, "_forked", lambda *paths: tried.extend(paths) or real(*paths))
    stem.open(path).data.compute()
    stem.open(path).pattern(0, 0)
    assert tried == [str(path)]
    looping(path)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ReadError, match="does not come to an end"):
        stem.open(path)


def test_sound_files_pass_where_no_process_can_be_copied(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.ones((3, 4, 8, 8), "u2")
    assert hdf5_probe._spawned(str(tmp_path / "a.h5")) == ""


def test_file_of_very_many_objects_is_no_loop(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i in range(3000):
            file[f"d{i}"] = np.zeros((4, 4), "u1")
        file["scan"] = np.ones((3, 4, 8, 8), "u2")
    assert stem.open(tmp_path / "a.h5").shape == (3, 4, 8, 8)
