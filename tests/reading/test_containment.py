"""No file outside the scan's folder is read, whatever a file says: scans, analyses, masks, darks and truths."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

import napari_stemnmf as stem
from napari_stemnmf.errors import AnalysisError, ReadError, StemNMFError
from napari_stemnmf.reading.containment import beside
from napari_stemnmf.reading.masks import load_detector_image, load_masks

SECRET = 2748
SHAPE = (3, 4, 8, 8)
Maker = Callable[[h5py.File, Path, str], None]


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """The folder of a scan, and a secret beside it."""
    folder = tmp_path / "scan"
    folder.mkdir()
    secret = tmp_path / "secret"
    secret.mkdir()
    with h5py.File(secret / "s.h5", "w") as file:
        file["data"] = np.full(SHAPE, SECRET, "u2")
        file["image"] = np.full(SHAPE[2:], SECRET, "u2")
        file["labels"] = np.full(SHAPE[:2], 7, "i4")
    np.full(SHAPE, SECRET, "u2").tofile(secret / "s.raw")
    return folder, secret


def external_storage(file: h5py.File, secret: Path, name: str) -> None:
    shape = {"data": SHAPE, "image": SHAPE[2:], "labels": SHAPE[:2]}[name]
    kind = "i4" if name == "labels" else "u2"
    size = int(np.prod(shape)) * np.dtype(kind).itemsize
    file.create_dataset(name, shape, kind, external=[(str(secret / "s.raw"), 0, size)])


def external_link(file: h5py.File, secret: Path, name: str) -> None:
    file[name] = h5py.ExternalLink(str(secret / "s.h5"), name)


def upward_link(file: h5py.File, secret: Path, name: str) -> None:
    file[name] = h5py.ExternalLink("../secret/s.h5", name)


def soft_to_external(file: h5py.File, secret: Path, name: str) -> None:
    file["elsewhere"] = h5py.ExternalLink(str(secret / "s.h5"), "/")
    file[name] = h5py.SoftLink(f"/elsewhere/{name}")


def virtual(file: h5py.File, secret: Path, name: str) -> None:
    with h5py.File(secret / "s.h5") as other:
        shape, dtype = other[name].shape, other[name].dtype
    layout = h5py.VirtualLayout(shape, dtype)
    layout[...] = h5py.VirtualSource("../secret/s.h5", name, shape)
    file.create_virtual_dataset(name, layout)


def symlink(file: h5py.File, secret: Path, name: str) -> None:
    beside = Path(file.filename).with_name("near.h5")
    beside.symlink_to(secret / "s.h5")
    file[name] = h5py.ExternalLink("near.h5", name)


def series(file: h5py.File, secret: Path, name: str) -> None:
    """A numbered series whose file of number 0 is a link."""
    Path(file.filename).with_name("p0.h5").symlink_to(secret / "s.h5")
    _series(file, "p%b.h5", name, secret)


def series_in_series(file: h5py.File, secret: Path, name: str) -> None:
    """A numbered series whose dataset has its raw data elsewhere."""
    with h5py.File(Path(file.filename).with_name("p0.h5"), "w") as part:
        external_storage(part, secret, name)
    _series(file, "p%b.h5", name, secret)


def series_above(file: h5py.File, secret: Path, name: str) -> None:
    (secret / "s0.h5").write_bytes((secret / "s.h5").read_bytes())
    _series(file, "../secret/s%b.h5", name, secret)


def series_of_folders(file: h5py.File, secret: Path, name: str) -> None:
    Path(file.filename).with_name("run0").symlink_to(secret)
    _series(file, "run%b/s.h5", name, secret)


def _series(file: h5py.File, pattern: str, name: str, secret: Path) -> None:
    with h5py.File(secret / "s.h5") as other:
        shape, dtype = other[name].shape, other[name].dtype
    whole = h5py.h5s.create_simple(shape, (h5py.h5s.UNLIMITED, *shape[1:]))
    space = whole.copy()
    ones = (1,) * len(shape)
    space.select_hyperslab((0,) * len(shape), (h5py.h5s.UNLIMITED, *ones[1:]), shape, shape)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_virtual(space, pattern.encode(), name.encode(), h5py.h5s.create_simple(shape))
    kind = h5py.h5t.py_create(dtype)
    h5py.h5d.create(file.id, name.encode(), kind, whole, plist)


WAYS: list[Maker] = [
    external_storage, external_link, upward_link, soft_to_external, virtual, symlink, series, series_in_series,
    series_above, series_of_folders,
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_scan_of_hdf5_is_not_read_from_elsewhere(places: tuple[Path, Path], way: Maker) -> None:
    folder, secret = places
    with h5py.File(folder / "a.h5", "w") as file:
        way(file, secret, "data")
    for name in ("a.h5", "a.h5::data"):
        with pytest.raises(ReadError, match=r"not followed|outside"):
            stem.open(folder / name).pattern(0, 0)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_masks_darks_and_truths_are_not_read_from_elsewhere(places: tuple[Path, Path], way: Maker) -> None:
    folder, secret = places
    with h5py.File(folder / "truth.h5", "w") as file:
        way(file, secret, "labels")
    with pytest.raises(ReadError):
        load_masks(folder / "truth.h5")
    for file in folder.iterdir():
        file.unlink()
    with h5py.File(folder / "dark.h5", "w") as file:
        way(file, secret, "image")
    with pytest.raises(StemNMFError):
        load_detector_image(folder / "dark.h5", SHAPE[2:])


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_analysis_is_not_read_from_elsewhere(places: tuple[Path, Path], saved: Path, way: Maker) -> None:
    folder, secret = places
    path = folder / "a.stemnmf.h5"
    path.write_bytes(saved.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["survey/mean"]
        way(file, secret, "image")
        if "image" in file and file.get("image", getlink=True).__class__ is h5py.HardLink:
            file.move("image", "survey/mean")
        else:
            file["survey/mean"] = file.get("image", getlink=True)
    with pytest.raises(AnalysisError, match=r"link|another file"):
        stem.Analysis.load(path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small analysis with a survey."""
    from napari_stemnmf.pipeline import run, start

    dataset = stem.sample(scan_shape=(8, 8), detector_shape=(32, 32), seed=1).dataset
    path = tmp_path_factory.mktemp("saved") / "a.stemnmf.h5"
    run(start(dataset, stem.Recipe()), dataset, "survey").save(path)
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("what", ["array", "chunk", "description", "group"])
def test_zarr_store_with_a_link_out_of_it_is_refused(places: tuple[Path, Path], version: int, what: str) -> None:
    folder, secret = places
    for store, fill in ((secret / "s.zarr", SECRET), (folder / "a.zarr", 1)):
        root = zarr.open_group(store, mode="w", zarr_format=version)
        array = root.create_group("g").create_array("data", shape=SHAPE, chunks=SHAPE, dtype="u2")
        array[:] = fill
    chunk = {2: "g/data/0.0.0.0", 3: "g/data/c/0/0/0/0"}[version]
    described = {2: "g/data/.zarray", 3: "g/data/zarr.json"}[version]
    part = {"array": "g/data", "chunk": chunk, "description": described, "group": "g"}[what]
    place = folder / "a.zarr" / part
    place.rename(folder / "aside")
    place.symlink_to(secret / "s.zarr" / part)
    with pytest.raises(ReadError, match="outside its own folder"):
        stem.open(folder / "a.zarr").pattern(0, 0)


def test_chunk_that_becomes_a_link_after_opening_is_refused(places: tuple[Path, Path]) -> None:
    folder, secret = places
    array = zarr.create_array(folder / "a.zarr", name="data", shape=SHAPE, chunks=SHAPE, dtype="u2")
    array[:] = 1
    dataset = stem.open(folder / "a.zarr")
    chunk = folder / "a.zarr" / "data" / "c" / "0" / "0" / "0" / "0"
    chunk.rename(secret / "chunk")
    chunk.symlink_to(secret / "chunk")
    with pytest.raises(ReadError, match="outside its own folder"):
        dataset.pattern(0, 0)


def test_links_within_a_zarr_store_are_followed(places: tuple[Path, Path]) -> None:
    folder, _ = places
    zarr.create_array(folder / "a.zarr", name="data", shape=SHAPE, chunks=SHAPE, dtype="u2")[:] = 5
    (folder / "a.zarr" / "data").rename(folder / "a.zarr" / "kept")
    (folder / "a.zarr" / "data").symlink_to("kept")
    (folder / "b.zarr").symlink_to(folder / "a.zarr")
    assert (stem.open(folder / "b.zarr::kept").pattern(0, 0) == 5).all()


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="8" SizeY="8" SizeZ="12" '
    'SizeC="1" SizeT="1"><TiffData FirstZ="0" IFD="0" PlaneCount="12"><UUID FileName="{0}">urn:uuid:2</UUID>'
    "</TiffData></Pixels></Image></OME>"
)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("name", ["../secret/s.tif", "{secret}/s.tif", "near.tif"])
def test_ome_tif_does_not_read_the_files_that_it_names(
    places: tuple[Path, Path], name: str, compression: str | None
) -> None:
    folder, secret = places
    tifffile.imwrite(secret / "s.tif", np.full((12, 8, 8), SECRET, "u2"), compression=compression)
    (folder / "near.tif").symlink_to(secret / "s.tif")
    tifffile.imwrite(
        folder / "a.ome.tif", np.ones((12, 8, 8), "u2"), compression=compression, metadata=None,
        description=OME.format(name.format(secret=secret)),
    )  # fmt: skip
    for read in (
        lambda: stem.open(folder / "a.ome.tif", scan_shape=(3, 4)).pattern(0, 0),
        lambda: load_detector_image(folder / "a.ome.tif", (8, 8), stacks=True),
        lambda: load_masks(folder / "a.ome.tif"),
    ):
        with pytest.raises(ReadError, match="not followed"):
            read()


def test_ome_tif_of_one_file_opens_also_under_another_name(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", np.arange(768, dtype="u2").reshape(12, 8, 8), metadata={"axes": "ZYX"})
    (tmp_path / "a.ome.tif").rename(tmp_path / "b.ome.tif")
    assert stem.open(tmp_path / "b.ome.tif", scan_shape=(3, 4)).pattern(0, 1)[0, 0] == 64


def test_header_beside_a_recording_that_is_a_link_is_refused(places: tuple[Path, Path]) -> None:
    folder, secret = places
    (secret / "s.hdr").write_text("HDR,")
    (folder / "a.mib").write_bytes(b"MQ1,000001,00384,01,0256,0256,U16" + b" " * 400)
    (folder / "a.hdr").symlink_to(secret / "s.hdr")
    with pytest.raises(ReadError, match="outside its own folder"):
        stem.open(folder / "a.mib")


def test_folder_of_links_to_scans_may_be_opened(places: tuple[Path, Path]) -> None:
    """A user's own links are followed: what they lead to is the scan, and its folder the one that is kept to."""
    folder, secret = places
    (folder / "mine.h5").symlink_to(secret / "s.h5")
    assert stem.open(folder / "mine.h5").pattern(0, 0)[0, 0] == SECRET


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "..\\x", "\0", "loop"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "scan"
    folder.mkdir()
    (tmp_path / "x").write_text("x")
    os.symlink("loop", folder / "loop")
    with pytest.raises(ReadError):
        beside(name, folder / "a.h5")
