"""Files that `benchmarks/fuzz.py` begins from, one of each kind, and what reads each of them to a digest."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import tifffile
import zarr

import napari_stemnmf as stem
from napari_stemnmf.errors import ScanShapeError, StemNMFError
from napari_stemnmf.reading.masks import load_detector_image, load_masks
from napari_stemnmf.reading.opening import summary

SHAPE = (4, 5, 16, 18)
VENDORS = (".blo", ".mib", ".dm3", ".dm4", ".ser", ".tvips", ".emd", ".prz")
"""Endings of recordings to look for in the shared data."""


class Seed(NamedTuple):
    """A file to begin from: what it is called, its path, and what reads it to a digest."""

    name: str
    path: Path
    read: Callable[[Path], str]


# ---- files to begin from


def counts() -> np.ndarray:
    """(4, 5, 16, 18) counts, none of a pattern that is all zeros."""
    return np.random.default_rng(7).poisson(20.0, SHAPE).astype("u2")


def scans(folder: Path) -> list[Seed]:
    """One scan of each format that can be written here."""
    data, made = counts(), []

    def place(name: str) -> Path:
        made.append(folder / name)
        return made[-1]

    for name, options in {
        "plain.h5": {},
        "gzip.h5": {"chunks": (2, 5, 16, 18), "compression": "gzip", "shuffle": True},
        "checksum.h5": {"chunks": (1, 5, 16, 18), "fletcher32": True},
        "lzf.h5": {"chunks": (2, 2, 16, 18), "compression": "lzf"},
    }.items():
        with h5py.File(place(name), "w") as file:
            file.create_dataset("entry/data", data=data, **options)
            file["entry"].attrs["title"] = "a text of variable length"
            file["entry/data"].attrs["units"] = ["nm", "nm", "1/nm", "1/nm"]
    with h5py.File(place("latest.h5"), "w", libver="latest") as file:
        file.create_dataset("data", data=data, chunks=(1, 5, 16, 18), maxshape=(None, 5, 16, 18), compression="gzip")
    with h5py.File(place("axes.hspy"), "w") as file:
        group = file.create_group("Experiments/scan")
        group["data"] = data
        for i, size in enumerate(SHAPE):
            group.create_group(f"axis-{i}").attrs.update(
                {"name": "yxab"[i], "units": "nm", "scale": 0.5, "offset": 0.0, "size": size}
            )
    np.save(place("c.npy"), data)
    np.save(place("fortran.npy"), np.asfortranarray(data))
    np.savez(place("stored.npz"), scan=data)
    np.savez_compressed(place("packed.npz"), scan=data)
    for version in (2, 3):
        zarr.create_array(place(f"v{version}.zarr"), name="data", data=data, chunks=(2, 5, 16, 18), zarr_format=version)
    with zipfile.ZipFile(place("v2.zarr.zip"), "w") as archive:
        for file in sorted((folder / "v2.zarr").rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder / "v2.zarr").as_posix())
    tifffile.imwrite(place("plain.tif"), data.reshape(-1, 16, 18), metadata=None)
    tifffile.imwrite(place("packed.tif"), data.reshape(-1, 16, 18), compression="zlib", metadata=None)
    tifffile.imwrite(place("a.ome.tif"), data.reshape(-1, 16, 18), metadata={"axes": "ZYX"})
    head = np.zeros(256, "<i4")
    head[:4] = (18, 16, 20, 6)
    head[52] = int.from_bytes(b"MAP ", "little")
    place("a.mrc").write_bytes(head.tobytes() + data.tobytes())
    return [Seed(path.name, path, read_scan) for path in made]


def vendors() -> list[Path]:
    """Small recordings in formats of vendors, where the shared data is."""
    shared = os.environ.get("STEMNMF_SHARED")
    found = [] if shared is None else sorted(Path(shared, "readers").rglob("*"))
    small = [path for path in found if path.suffix in VENDORS and path.stat().st_size < 2**20]
    return [path for path in small if _opens(path)][:12]


def _opens(path: Path) -> bool:
    """Whether a recording opens alone, without files beside it."""
    with tempfile.TemporaryDirectory() as name:
        try:
            read_scan(Path(shutil.copy(path, name)))
        except StemNMFError:
            return False
    return True


def others(folder: Path) -> list[Seed]:
    """An analysis, a recipe, and truths and masks."""
    labels = np.arange(20).reshape(4, 5) % 4
    np.save(folder / "labels.npy", labels)
    np.savez_compressed(folder / "labels.npz", labels=labels)
    tifffile.imwrite(folder / "labels.tif", labels.astype("u1"), compression="zlib")
    with h5py.File(folder / "labels.h5", "w") as file:
        file.create_dataset("labels", data=labels, chunks=(2, 5), compression="gzip")
    image = np.random.default_rng(1).random((16, 18))
    np.save(folder / "dark.npy", image)
    (folder / "recipe.toml").write_text(stem.Recipe().to_toml(), encoding="utf-8")
    quick = {"features": ("vdf", "aa", "rv", "bd"), "*.clustering.seeds": 2, "*.clustering.components": 6}
    sample = stem.sample(scan_shape=(12, 12), detector_shape=(48, 48), seed=1)
    stem.analyse(sample.dataset, stem.Recipe().replaced(quick), path=folder / "a.stemnmf.h5", workers=1)
    found = [Seed(path.name, path, read_truth) for path in sorted(folder.glob("labels.*"))]
    found.append(Seed("dark.npy", folder / "dark.npy", read_dark))
    found.append(Seed("recipe.toml", folder / "recipe.toml", read_recipe))
    return [*found, *(Seed(name, folder / "a.stemnmf.h5", read_analysis) for name in ("analysis", "analysis by h5py"))]


# ---- reading


def digest(*parts: Any) -> str:
    """What tells data from other data."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return found.hexdigest()[:16]


def read_scan(path: Path) -> str:
    """All of a scan; a stack as it is meant."""
    try:
        dataset = stem.open(path)
    except ScanShapeError:
        dataset = stem.open(path, scan_shape=SHAPE[:2])
    data = dataset.data.compute(scheduler="synchronous") if dataset.nbytes < 2**26 else dataset.pattern(0, 0)
    summary(dataset)
    empty = int((np.asarray(data).reshape(-1, *dataset.detector_shape) == 0).all(axis=(1, 2)).sum())
    told = bool(dataset.metadata.get("notes"))
    return f"{dataset.shape} {empty} {'told' if told else ''} {digest(dataset.dtype.str, data)}"


def read_truth(path: Path) -> str:
    return digest(load_masks(path))


def read_dark(path: Path) -> str:
    return digest(load_detector_image(path, SHAPE[2:]))


def read_recipe(path: Path) -> str:
    recipe = stem.Recipe.load(path)
    assert stem.Recipe.from_toml(recipe.to_toml()) == recipe
    return recipe.to_toml()


def read_analysis(path: Path) -> str:
    """An analysis, and what is made of it without the scan: notes, maps, tables, grains and patterns again."""
    from napari_stemnmf import pipeline, stages
    from napari_stemnmf.export.tables import table_of

    analysis = stem.Analysis.load(path)
    parts: list[Any] = [analysis.warnings, analysis.axes, repr(analysis)]
    for feature, grains in analysis.grains.items():
        model = analysis.models.get(feature)
        parts += [grains.masks, grains.weights] + ([] if model is None else [model.maps])
        if feature in analysis.tables:
            parts.append(table_of(analysis, feature).to_csv())
    for name in ("calibrate", "cluster", "refine"):
        stage = stages.named(name)
        for done in pipeline.advance(analysis, None, [stage], workers=1) if analysis.peaks is not None else ():
            parts.append(done.stage.name)
    again = analysis.recipe.replaced({"bd.refinement.min_size": 2, "vdf.refinement.min_size": 2})
    for done in pipeline.advance(pipeline.with_recipe(analysis, again), None, [stages.named("refine")], workers=1):
        parts.append(len(done.analysis.grains))
    if "bd" in analysis.features:
        from napari_stemnmf.clustering.scaling import scale

        parts.append(scale(analysis.features["bd"].values, analysis.recipe.bd.scaling).values.shape)
    return digest(*parts)
