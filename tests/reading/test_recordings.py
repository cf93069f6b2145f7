"""Recordings with more or fewer patterns than the scan has positions, from files of several kinds."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

import napari_stemnmf as stem
from napari_stemnmf.analysis import Input
from napari_stemnmf.errors import ReadError, ScanShapeError
from napari_stemnmf.reading.finding import find_scan

STACK = np.random.default_rng(0).poisson(5, (14, 8, 9)).astype("u2")


def write(path: Path, stack: np.ndarray = STACK) -> Path:
    if path.suffix == ".npy":
        np.save(path, stack)
    elif path.suffix == ".npz":
        np.savez_compressed(path, stack=stack)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, stack, photometric="minisblack", compression="zlib")
    elif path.suffix == ".zarr":
        zarr.open_group(path, mode="w").create_array("stack", data=stack)
    else:
        with h5py.File(path, "w") as file:
            file["stack"] = stack
    return path


def write_mib(path: Path, frames: int, per_line: int | None = None) -> np.ndarray:
    """Merlin patterns, each filled with its number; the .hdr counts them all, the clock tells the lines."""
    with path.open("wb") as out:
        for i in range(frames):
            time = f"2024-07-02 13:46:{44 + i * 0.001 + (i // (per_line or frames)) * 0.01:09.6f}"
            head = f"MQ1,{i + 1:06d},00384,01,0016,0016,U16,   1x1,01,{time},0.001000,0,0,0,1.2E+1,5.11E+2,"
            head += "0.0E+0," * 6 + "3RX,023,511," + "000," * 20 + "511,511,MQ1A," + time.replace(" ", "T")
            head += "000Z,1000000ns,12,"
            out.write(head.encode().ljust(384, b"\0") + np.full((16, 16), i, ">u2").tobytes())
    if per_line:
        path.with_suffix(".hdr").write_text(
            f"HDR,\t\nFrames in Acquisition (Number):\t{frames}\nFrames per Trigger (Number):\t{per_line}\nEnd\t"
        )
    return np.broadcast_to(np.arange(frames, dtype="u2")[:, None, None], (frames, 16, 16))


@pytest.mark.parametrize("kind", ["npy", "npz", "tif", "zarr", "h5"])
@pytest.mark.parametrize(("drop", "first"), [("last", 0), ("first", 2), (1, 1)])
def test_patterns_beyond_the_scan_are_left_out_and_told(tmp_path: Path, kind: str, drop: str | int, first: int):
    dataset = stem.open(write(tmp_path / f"a.{kind}"), scan_shape=(3, 4), drop=drop)
    np.testing.assert_array_equal(dataset.data.compute(), STACK[first : first + 12].reshape(3, 4, 8, 9))
    np.testing.assert_array_equal(dataset.data[1, ::2].compute(), STACK[first + 4 : first + 8 : 2])
    assert f"a.{kind} holds 14 patterns, 2 more than a scan of 3 x 4" in dataset.metadata["notes"]
    record = Input.of(dataset)
    again = find_scan(record)
    assert again is not None
    assert again.fingerprint() == dataset.fingerprint()


def test_fewer_patterns_than_positions_are_told_with_a_way_on(tmp_path: Path):
    path = write(tmp_path / "a.npy")
    with pytest.raises(ScanShapeError, match=r"4 x 4 needs 16 patterns, but a.npy has 14; scan_shape=\(3, 4\) takes"):
        stem.open(path, scan_shape=(4, 4))
    with pytest.raises(ScanShapeError, match=r"stack of 14 patterns of 8 x 9; give its scan shape"):
        stem.open(path)


@pytest.mark.parametrize("shape", [(1, 14), (14, 1)])
def test_a_recording_that_comes_as_one_line_is_folded(tmp_path: Path, shape: tuple[int, int]):
    path = write(tmp_path / "a.npy", STACK.reshape(*shape, 8, 9))
    dataset = stem.open(path, scan_shape=(3, 4), drop="first")
    np.testing.assert_array_equal(dataset.data.compute(), STACK[2:].reshape(3, 4, 8, 9))


def test_rows_of_a_scan_can_be_left_out_and_not_torn_apart(tmp_path: Path):
    path = write(tmp_path / "a.npy", STACK[:12].reshape(3, 4, 8, 9))
    np.testing.assert_array_equal(stem.open(path, scan_shape=(2, 4)).data.compute(), STACK[:8].reshape(2, 4, 8, 9))
    with pytest.raises(ScanShapeError, match="3 x 4 positions, whose rows a scan shape of 3 x 3 would tear apart"):
        stem.open(path, scan_shape=(3, 3))


class TestMib:
    @pytest.fixture(autouse=True)
    def _needs(self):
        pytest.importorskip("rsciio")

    @pytest.mark.parametrize("given", [None, (3, 4)])
    @pytest.mark.parametrize(("drop", "first"), [("last", 0), ("first", 2)])
    def test_a_camera_that_ran_on(self, tmp_path: Path, given: tuple[int, int] | None, drop: str, first: int):
        data = write_mib(tmp_path / "a.mib", 14, 4)
        dataset = stem.open(tmp_path / "a.mib", scan_shape=given, drop=drop)
        np.testing.assert_array_equal(dataset.data.compute(), data[first : first + 12].reshape(3, 4, 16, 16))
        assert f"14 patterns, 2 more than a scan of 3 x 4 has positions: the {drop} 2" in dataset.metadata["notes"]
        again = find_scan(Input.of(dataset))
        assert again is not None
        np.testing.assert_array_equal(again.data.compute(), dataset.data.compute())

    def test_a_line_scan_has_its_shape_given(self, tmp_path: Path):
        data = write_mib(tmp_path / "a.mib", 14)
        dataset = stem.open(tmp_path / "a.mib", scan_shape=(1, 14))
        np.testing.assert_array_equal(dataset.data.compute(), data[None])

    def test_a_whole_scan_is_not_spoken_of(self, tmp_path: Path):
        write_mib(tmp_path / "a.mib", 12, 4)
        assert "notes" not in stem.open(tmp_path / "a.mib").metadata

    def test_a_truncated_file_proposes_whole_rows(self, tmp_path: Path):
        write_mib(tmp_path / "a.mib", 12, 4)
        header = tmp_path / "a.hdr"
        header.write_text(header.read_text().replace("\t12", "\t16"))
        with pytest.raises(ReadError, match=r"12 whole patterns, of 16 .* as in scan_shape=\(3, 4\)"):
            stem.open(tmp_path / "a.mib")


def test_a_dectris_master_with_patterns_beyond_its_scan(tmp_path: Path):
    for frames in (14, 11):
        master = tmp_path / f"{frames}_master.h5"
        with h5py.File(tmp_path / f"{frames}_data.h5", "w") as file:
            file["entry/data/data"] = STACK[:frames]
        with h5py.File(master, "w") as file:
            group = file.create_group("entry/data")
            group.attrs["scan_shape"] = (3, 4)
            group["data_000001"] = h5py.ExternalLink(f"{frames}_data.h5", "/entry/data/data")
    dataset = stem.open(tmp_path / "14_master.h5")
    np.testing.assert_array_equal(dataset.data.compute(), STACK[:12].reshape(3, 4, 8, 9))
    assert "the last 2 were dropped" in dataset.metadata["notes"]
    with pytest.raises(ScanShapeError, match=r"needs 12 patterns, but 11_master.h5 has 11; scan_shape=\(2, 4\)"):
        stem.open(tmp_path / "11_master.h5")
