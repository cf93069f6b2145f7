"""What a file unpacks to is bounded by what it declares: small files that would fill the memory are refused."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import json
import lzma
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import h5py
import numcodecs
import numpy as np
import pytest
import tifffile
import zarr

import napari_stemnmf as stem
from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading import masks
from napari_stemnmf.reading.masks import as_masks, load_masks

SHAPE = (6, 7, 32, 32)
DECLARED = 6 * 7 * 32 * 32 * 2
BOMB = 64 * 2**20
PACKERS = {
    "gzip": lambda data: gzip.compress(data, 9),
    "zlib": lambda data: zlib.compress(data, 9),
    "bz2": bz2.compress,
    "lzma": lzma.compress,
    "zstd": lambda data: bytes(numcodecs.Zstd().encode(data)),
    "lz4": lambda data: bytes(numcodecs.LZ4().encode(data)),
    "blosc": lambda data: bytes(numcodecs.Blosc().encode(data)),
}


def read(path: Path, **options: object) -> np.ndarray:
    return stem.open(path, **options).pattern(0, 0)


def refused(path: Path, **options: object) -> None:
    """Opening and reading is an error, and takes no more memory than some blocks."""
    tracemalloc.start()
    with pytest.raises(ReadError, match="damaged"):
        read(path, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BOMB // 2


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("size", [DECLARED + 2, BOMB])
def test_zarr_chunk_that_unpacks_to_more_is_refused(tmp_path: Path, packing: str, size: int) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr", name="data", shape=SHAPE, chunks=SHAPE, dtype="u2", zarr_format=2, compressors=None
    )
    array[:] = 3
    described = tmp_path / "a.zarr" / "data" / ".zarray"
    described.write_text(json.dumps(json.loads(described.read_text()) | {"compressor": {"id": packing}}))
    chunk = tmp_path / "a.zarr" / "data" / "0.0.0.0"
    chunk.write_bytes(PACKERS[packing](np.full(DECLARED // 2, 3, "u2").tobytes()))
    assert (stem.open(tmp_path / "a.zarr").pattern(5, 6) == 3).all()
    chunk.write_bytes(PACKERS[packing](bytes(size)))
    refused(tmp_path / "a.zarr")


@pytest.mark.parametrize("codec", [zarr.codecs.GzipCodec(), zarr.codecs.ZstdCodec(), zarr.codecs.BloscCodec(), None])
@pytest.mark.parametrize("dtype", ["u2", ">u2", "f4", "bool"])
def test_zarr_3_is_unpacked_as_its_library_does(tmp_path: Path, codec: object, dtype: str) -> None:
    data = np.random.default_rng(1).integers(0, 2, SHAPE).astype(dtype)
    array = zarr.create_array(
        tmp_path / "a.zarr", name="data", shape=SHAPE, chunks=(4, 3, 32, 20), dtype=dtype, compressors=codec
    )
    array[:] = data
    read = stem.open(tmp_path / "a.zarr").data
    np.testing.assert_array_equal(read[1:6, ::-2, 3:30].compute(), data[1:6, ::-2, 3:30])
    (tmp_path / "a.zarr" / "data" / "c" / "0" / "0" / "0" / "0").write_bytes(b"nothing of the kind")
    with pytest.raises(ReadError):
        read[0, 0].compute()


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("size", [DECLARED + 4096, BOMB])
def test_hdf5_chunk_that_unpacks_to_more_is_refused(tmp_path: Path, checksum: bool, size: int) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", SHAPE, "u2", chunks=SHAPE, compression="gzip", fletcher32=checksum)
        packed = zlib.compress(bytes(size), 9)
        if checksum:
            packed = bytes(numcodecs.Fletcher32().encode(packed))
        data.id.write_direct_chunk((0,) * 4, packed)
    refused(tmp_path / "a.h5")


@pytest.mark.parametrize("name", ["LZ4", "Bitshuffle", "Blosc"])
def test_chunk_of_a_further_filter_that_says_it_unpacks_to_more_is_refused(tmp_path: Path, name: str) -> None:
    hdf5plugin = pytest.importorskip("hdf5plugin")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", data=np.ones(SHAPE, "u2"), chunks=SHAPE, **getattr(hdf5plugin, name)())
        mask, packed = data.id.read_direct_chunk((0,) * 4)
        packed = bytearray(packed)
        if name == "Blosc":
            packed[4:8] = (2**31 - 1).to_bytes(4, "little")
        else:
            packed[0:8] = (2**40).to_bytes(8, "big")
        data.id.write_direct_chunk((0,) * 4, bytes(packed), mask)
    refused(tmp_path / "a.h5")


@pytest.mark.parametrize("predictor", [None, 2])
def test_tif_page_that_unpacks_to_more_is_refused(tmp_path: Path, predictor: int | None) -> None:
    data = np.random.default_rng(2).integers(0, 9, (6, 32, 32)).astype("u2")
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for page in data:
            tif.write(page, compression="zlib", predictor=predictor, contiguous=False, metadata=None)
    np.testing.assert_array_equal(stem.open(tmp_path / "a.tif", scan_shape=(2, 3)).data.compute()[1, 2], data[5])
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        tag = tif.pages[0].tags["StripByteCounts"]
        where, kind = tag.valueoffset, tag.dtype.name
    content = bytearray((tmp_path / "a.tif").read_bytes())
    bomb = zlib.compress(bytes(16 * 2**20), 9)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        offset = tif.pages[0].tags["StripOffsets"]
    content[offset.valueoffset : offset.valueoffset + 4] = len(content).to_bytes(4, "little")
    width = 2 if kind == "SHORT" else 4
    content[where : where + width] = min(len(bomb), 2 ** (8 * width) - 1).to_bytes(width, "little")
    (tmp_path / "a.tif").write_bytes(content + bomb)
    refused(tmp_path / "a.tif", scan_shape=(2, 3))


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def test_npz_member_that_holds_more_than_its_header_says_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scan.npy", npy(np.ones(SHAPE, "u2")) + bytes(BOMB))
    refused(tmp_path / "a.npz")


def test_npz_member_that_declares_more_than_zip_can_pack_is_refused(tmp_path: Path) -> None:
    head = npy(np.ones(SHAPE, "u2"))[:128].replace(b"(6, 7, 32, 32)", b"(60000, 70000, 32, 32)"[:14].ljust(14))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scan.npy", head)
    with pytest.raises(ReadError):
        stem.open(tmp_path / "a.npz")


def test_declared_space_of_any_size_is_not_gone_through(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("data", (2**20, 2**20, 64, 64), "u2", chunks=(1, 1, 64, 64))
        data[0, 0] = 1
    with pytest.raises(ReadError, match="hardly any"):
        stem.open(tmp_path / "a.h5")


def test_labels_that_need_more_memory_than_there_is_are_told(tmp_path: Path, monkeypatch) -> None:
    labels = (np.arange(300 * 300) % 100).reshape(300, 300)
    np.save(tmp_path / "t.npy", labels)
    assert len(load_masks(tmp_path / "t.npy")) == 99
    monkeypatch.setattr(masks, "available", lambda: 10 * 2**20)
    with pytest.raises(ReadError, match=r"99 labels in 300 x 300 pixels: .* GiB"):
        load_masks(tmp_path / "t.npy")
    with pytest.raises(ReadError, match="GiB"):
        as_masks(np.ones((99, 300, 300), bool))


def test_very_many_arrays_are_listed_in_short(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i in range(1500):
            file[f"d{i}"] = np.zeros((4, 4), "u1")
    with pytest.raises(ReadError) as caught:
        load_masks(tmp_path / "a.h5")
    assert len(str(caught.value)) < 600


def test_what_libraries_say_of_a_file_does_not_reach_the_terminal(tmp_path: Path, capfd) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((2, 32, 32), "u2"), metadata=None, photometric="minisblack")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    start = int.from_bytes(content[4:8], "little") + 2
    content[start + 24 : start + 26] = (65000).to_bytes(2, "little")  # a tag of no kind
    content[start + 26 : start + 28] = (99).to_bytes(2, "little")
    (tmp_path / "a.tif").write_bytes(content)
    with contextlib.suppress(ReadError):
        read(tmp_path / "a.tif", scan_shape=(1, 2))
    assert capfd.readouterr().err == ""


def test_virtual_datasets_of_virtual_datasets_do_not_multiply_for_ever(tmp_path: Path) -> None:
    shape = (12, 4, 8, 8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["level0"] = np.ones(shape, "u2")
        for level in range(1, 8):
            layout = h5py.VirtualLayout(shape, "u2")
            for row in range(12):
                layout[row] = h5py.VirtualSource(".", f"level{level - 1}", shape)[row]
            file.create_virtual_dataset(f"level{level}", layout)
    assert (stem.open(tmp_path / "a.h5::level2").pattern(11, 3) == 1).all()
    with pytest.raises(ReadError, match="too many"):
        stem.open(tmp_path / "a.h5::level7")
