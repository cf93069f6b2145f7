"""npy and npz files."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError, ScanShapeError


class Bomb:
    """Unpickling this would write a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def counts(*shape: int, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(0).poisson(5, shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<i4", ">f4", "f8", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_is_read_as_it_is(tmp_path: Path, dtype: str, order: str):
    data = np.asarray(counts(5, 7, 6, 8, dtype=dtype), order=order)
    np.save(tmp_path / "a.npy", data)
    dataset = stem.open(tmp_path / "a.npy")
    np.testing.assert_array_equal(dataset.data.compute(), data)
    np.testing.assert_array_equal(dataset.data[1:4:2, ::-3, 2:, 5].compute(), data[1:4:2, ::-3, 2:, 5])
    np.testing.assert_array_equal(dataset.pattern(4, 6), data[4, 6])
    assert dataset.dtype.isnative


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_takes_the_scan_among_its_arrays(tmp_path: Path, save, order: str):
    data = np.asarray(counts(5, 7, 6, 8), order=order)
    save(tmp_path / "a.npz", labels=np.zeros((5, 7), int), data=data, note=np.array("text"))
    dataset = stem.open(tmp_path / "a.npz")
    np.testing.assert_array_equal(dataset.data.compute(), data)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(dataset.data)).compute(), data)
    assert dataset.source == str(tmp_path / "a.npz")


def test_a_compressed_npz_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "unpacked").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "unpacked"))
    np.savez_compressed(tmp_path / "a.npz", data=counts(5, 7, 6, 8))
    dataset = stem.open(tmp_path / "a.npz")
    assert not list((tmp_path / "unpacked").iterdir())  # nothing is unpacked to look at a file
    dataset.data.compute()
    dataset.pattern(1, 1)
    assert len(list((tmp_path / "unpacked").iterdir())) == 1
    del dataset
    assert not list((tmp_path / "unpacked").iterdir())


def test_a_stack_takes_its_scan_shape(tmp_path: Path):
    data = counts(12, 8, 8)
    np.save(tmp_path / "a.npy", data)
    with pytest.raises(ScanShapeError, match=r"stack of 12 patterns of 8 x 8.*scan_shape=\(3, 4\)"):
        stem.open(tmp_path / "a.npy")
    np.testing.assert_array_equal(
        stem.open(tmp_path / "a.npy", scan_shape=(4, 3)).data.compute(), data.reshape(4, 3, 8, 8)
    )


def test_one_of_several_arrays_is_named(tmp_path: Path):
    data = counts(5, 7, 6, 8)
    np.savez(tmp_path / "a.npz", first=data, second=data + 1)
    with pytest.raises(ReadError, match=r"several scans: first .*, second"):
        stem.open(tmp_path / "a.npz")
    np.testing.assert_array_equal(stem.open(f"{tmp_path}/a.npz::second").data.compute(), data + 1)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_nothing_is_unpickled(tmp_path: Path, ending: str):
    bomb = np.empty((2, 2, 2, 2), object)
    bomb[...] = Bomb(tmp_path / "exploded")
    if ending == "npy":
        np.save(tmp_path / "a.npy", bomb, allow_pickle=True)
    else:
        np.savez(tmp_path / "a.npz", data=bomb)
    with pytest.raises(ReadError):
        stem.open(tmp_path / f"a.{ending}")
    assert not (tmp_path / "exploded").exists()


def test_a_truncated_file_is_told(tmp_path: Path):
    np.save(tmp_path / "a.npy", counts(5, 7, 6, 8))
    content = (tmp_path / "a.npy").read_bytes()
    for size in (3, 9, 60, 128, 200, len(content) - 1):
        (tmp_path / "cut.npy").write_bytes(content[:size])
        with pytest.raises(ReadError, match=r"truncated|damaged|whatever its name says"):
            stem.open(tmp_path / "cut.npy")


def test_a_file_that_shrinks_after_it_was_opened_is_told(tmp_path: Path):
    np.save(tmp_path / "a.npy", counts(5, 7, 6, 8))
    dataset = stem.open(tmp_path / "a.npy")
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-10])
    with pytest.raises(ReadError, match="ends before its last pattern"):
        dataset.pattern(4, 6)


def test_a_zip_of_other_things_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ReadError, match="unpack it"):
        stem.open(tmp_path / "a.zip")


def test_blocks_are_about_sixteen_mebibytes(tmp_path: Path):
    array = np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.uint16, (40, 100, 252, 252))
    del array
    chunks = stem.open(tmp_path / "a.npy").data.chunksize
    assert chunks == (1, 100, 252, 252)


def test_the_header_of_empads_raw_frames_is_cut(tmp_path: Path) -> None:
    frames = np.arange(2 * 3 * 130 * 128, dtype=np.float32).reshape(2, 3, 130, 128)
    np.save(tmp_path / "raw.npy", frames)
    found = stem.open(tmp_path / "raw.npy")
    np.testing.assert_array_equal(found.data.compute(), frames[:, :, :128])
    assert "EMPAD" in found.metadata["notes"]
    np.save(tmp_path / "whole.npy", frames.astype(np.uint16))
    assert stem.open(tmp_path / "whole.npy").detector_shape == (130, 128)
