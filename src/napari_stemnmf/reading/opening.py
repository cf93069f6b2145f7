"""Opening any file as a `Dataset`, its format recognised by its content.

Importing this module is quick (no Dask, h5py, Zarr, RosettaSciIO), because napari asks `can_open` of every file that is
dropped on it.
"""

from __future__ import annotations

import math
import operator
import os
import stat
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import ReadError, ScanShapeError, StemNMFError
from napari_stemnmf.files.writing import FILE_SUFFIX
from napari_stemnmf.reading.blocks import reading
from napari_stemnmf.scan_shape import check_drop
from napari_stemnmf.texts import is_plain, shown
from napari_stemnmf.units import notes_of

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
NPY_MAGIC = b"\x93NUMPY"
ZIP_MAGIC = b"PK\x03\x04"
TIF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
VENDORS = ("mib", "blo", "dm3", "dm4", "xml", "tvips", "ser", "emi", "prz")
KNOWN = "HDF5 (py4DSTEM, EMD, hspy...), npy, npz, Zarr, tif, mrc, mib, blo, dm3, dm4, EMPAD xml, tvips, ser and emi"
_HINTS = {
    ".seq": "is a StreamPix movie, which cannot be read; convert it to HDF5, npy or mrc with its own software",
    ".hdr": "is the header of a .mib file; open that",
    ".raw": "is raw data without a description; open the .xml file beside it",
    ".zip": "is a zip archive without arrays; unpack it and open the file with the scan",
    ".png": "is a 2-D picture, not a scan",
    ".jpg": "is a 2-D picture, not a scan",
}


def open(
    path: str | os.PathLike[str],
    *,
    dataset: str | None = None,
    scan_shape: tuple[int, int] | None = None,
    drop: str | int = "last",
) -> Dataset:
    """Open a 4D-STEM scan; nothing but its description is read.

    Parameters
    ----------
    path : str or path
        The file, or the folder where a format is a folder (Zarr, zspy). ``"FILE::dataset"`` names one of several
        datasets in a file.
    dataset : str, optional
        The name of the dataset, if it is not given in the path.
    scan_shape : tuple of int, optional
        Rows and columns of the scan, for a file that is a mere stack of patterns; or another shape than the file gives.
    drop : str or int
        Which patterns are left out where a recording has more of them than the scan has positions: the ``"last"``, as
        when the camera ran on; the ``"first"``, as when it started too early; or that many of the first, and then the
        last. What was left out is told in the dataset's notes.

    Returns
    -------
    Dataset
        Lazy, with axes (scan_y, scan_x, q_y, q_x), whole patterns per chunk, native byte order and normalised units.

    Raises
    ------
    ReadError
        If it cannot be read as a scan: one sentence saying what it is and what would work.
    ScanShapeError
        If it is a stack of patterns and its scan shape is not known, or the given one does not fit.

    Examples
    --------
    >>> import napari_stemnmf as stem
    >>> dataset = stem.open("film.h5::data")  # doctest: +SKIP
    """
    file, named = split(path)
    shape = _scan_shape(scan_shape)
    check_drop(drop)
    name = dataset if dataset is not None else named
    if name is not None and not is_plain(name):
        raise ReadError(f"{shown(file.name)} holds no dataset {name!r:.80}: no dataset can have such a name.")
    with reading(file):
        kind = sniff(file)
        from napari_stemnmf.reading.beside import check_beside, files_of

        check_beside(file, kind)
    scan = _open(file, kind, name, shape, drop)
    with reading(file):
        return replace(scan, files=files_of(file, kind, scan))


def _open(file: Path, kind: str, dataset: str | None, shape: tuple[int, int] | None, drop: Any) -> Dataset:
    """The scan in a file of that kind."""
    if kind == "hdf5":
        from napari_stemnmf.reading.hdf5 import open_hdf5_scan

        return open_hdf5_scan(file, dataset=dataset, scan_shape=shape, drop=drop)
    if kind in ("npy", "npz"):
        from napari_stemnmf.reading.npy import open_npy, open_npz

        return (open_npy if kind == "npy" else open_npz)(file, dataset=dataset, scan_shape=shape, drop=drop)
    if kind == "zarr":
        from napari_stemnmf.reading.zarr import open_store

        return open_store(file, dataset=dataset, scan_shape=shape, drop=drop)
    if kind in ("tif", "mrc"):
        from napari_stemnmf.reading.image_stacks import open_mrc, open_tif

        return (open_tif if kind == "tif" else open_mrc)(file, dataset=dataset, scan_shape=shape, drop=drop)
    from napari_stemnmf.reading.rosetta import open_rosetta

    return open_rosetta(file, kind, dataset=dataset, scan_shape=shape, drop=drop)


def can_open(path: str | os.PathLike[str]) -> bool:
    """Whether `open` would try a file or folder: a quick check that imports as little as possible.

    A stack without a scan shape, as an npy or tif file may be, is left to napari's own readers, as are plain images.
    """
    try:
        file, _ = split(path)
        kind = sniff(file)
        if kind == "npy":
            from napari_stemnmf.reading.npy import npy_header

            with file.open("rb") as stream:
                header = npy_header(stream, file.name)
            return len(header.shape) >= 4 and math.prod(header.shape[:-2]) != 1 and header.dtype.kind in "uifb"
        if kind == "npz":
            with zipfile.ZipFile(file) as archive:
                return any(name.endswith(".npy") for name in archive.namelist())
        if kind == "xml":
            return b"<raw_file" in file.read_bytes()
        if kind == "tif":
            from napari_stemnmf.reading.candidates import may_be_meant
            from napari_stemnmf.reading.image_stacks import tif_candidates

            return any(c.role == "scan" and may_be_meant(c, None) for c in tif_candidates(file))
        return True
    except (StemNMFError, OSError):
        return False
    except Exception:  # whatever a damaged file does to a parser
        return False


def summary(dataset: Dataset) -> str:
    """A dataset in lines for people: shape, type, size, axes with units, source, metadata.

    Parameters
    ----------
    dataset : Dataset
        Any dataset; nothing is read.
    """
    rows, columns, q_y, q_x = dataset.shape
    of_file, all_notes = dataset.metadata.get("notes", ""), notes_of(dataset.axes, dataset.metadata)
    lines = [
        ": ".join(filter(None, (dataset.name, " ".join(of_file.splitlines())))),
        f"  shape     {rows} x {columns} probe positions, {q_y} x {q_x} detector pixels",
        f"  type      {dataset.dtype.name}, {_size(dataset.nbytes)} uncompressed",
    ]
    for axis in dataset.axes:
        offset = f", from {axis.offset:g}" if axis.offset else ""
        assumed = " (assumed: the file gives no scale)" if axis.assumed else ""
        lines.append(f"  {axis.name:<9} {axis.size} x {axis.scale:g} {axis.unit}{offset}{assumed}")
    if dataset.source:
        lines.append(f"  source    {shown(dataset.source)}")
    lines += [f"  {key.replace('_', ' '):<9} {value}" for key, value in dataset.metadata.items() if key != "notes"]
    lines += [f"  note      {note}" for note in all_notes if note not in of_file.splitlines()]
    return "\n".join(lines)


def split(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """``"FILE::dataset"`` as (file, dataset); a file whose name has ``::`` in it is taken as it is."""
    text = os.fspath(path)
    if "::" in text and not os.path.exists(text):
        file, _, dataset = text.partition("::")
        return Path(file).expanduser(), dataset.strip() or None
    return Path(text).expanduser(), None


def sniff(path: Path) -> str:
    """The kind of a file: ``hdf5``, ``npy``, ``npz``, ``zarr``, ``tif``, ``mrc``, or a vendor's ending.

    A ReadError if it is not there, empty, a folder without a Zarr store, or in no format that is known.
    """
    suffix = path.suffix.lower()
    if path.is_dir():
        return _folder(path)
    if not path.exists():
        raise ReadError(f"There is no file {path}.")
    if path.name.lower().endswith(FILE_SUFFIX):
        raise ReadError(f"{path.name} is an analysis, not a scan; load it with Analysis.load, or drop it on napari.")
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise ReadError(f"{shown(path)} is no file but a pipe, socket or device; save what it gives to a file first.")
    if found.st_size == 0:
        raise ReadError(f"{path.name} is empty (0 bytes).")
    with path.open("rb") as file:
        head = file.read(1024)
        if head.startswith(HDF5_MAGIC) or _has_user_block(file):
            return "hdf5"
    if head.startswith(NPY_MAGIC):
        return "npy"
    if head.startswith(ZIP_MAGIC):
        return _zip(path, suffix)
    if head.startswith(TIF_MAGICS):
        return "tif"
    if head.startswith(b"MQ1,"):
        return "mib"
    if suffix == ".mrc" or head[208:212] == b"MAP ":
        return "mrc"
    if suffix in (".h5", ".hdf5", ".hspy", ".emd", ".nxs", ".de5", ".npy", ".npz", ".tif", ".tiff"):
        raise ReadError(f"{path.name} is no {suffix[1:]} file, whatever its name says, or its beginning is damaged.")
    if suffix == ".xml" and b"<" not in head:
        raise ReadError(f"{path.name} is no XML file, whatever its name says.")
    if suffix[1:] in VENDORS:
        return suffix[1:]
    hint = _HINTS.get(suffix, f"is in no format that is known here; what can be opened: {KNOWN}")
    raise ReadError(f"{path.name} {hint}.")


def _folder(path: Path) -> str:
    from napari_stemnmf.reading.zarr import is_store

    if is_store(path):
        return "zarr"
    scans = sorted(p.name for p in path.iterdir() if p.suffix.lower()[1:] in (*VENDORS, "h5", "hspy", "npy", "mrc"))
    inside = f"open one of its files, such as {scans[0]}" if scans else "open the file that holds the scan"
    raise ReadError(f"{path.name or path} is a folder without a Zarr store in it; {inside}.")


def _zip(path: Path, suffix: str) -> str:
    from napari_stemnmf.reading.zarr import is_store

    if suffix == ".prz":
        return "prz"
    return "zarr" if is_store(path) else "npz"


def _has_user_block(file: Any) -> bool:
    """Whether an HDF5 file begins further on, at 512, 1024, 2048... bytes, as the format allows."""
    for power in range(9, 16):
        file.seek(2**power)
        if file.read(8) == HDF5_MAGIC:
            return True
    return False


def _scan_shape(scan_shape: Any) -> tuple[int, int] | None:
    if scan_shape is None:
        return None
    try:
        rows, columns = (operator.index(n) for n in scan_shape)
    except (TypeError, ValueError):
        rows = columns = 0
    if rows < 1 or columns < 1:
        raise ScanShapeError(f"A scan shape is two whole numbers from 1 up, (rows, columns), not {scan_shape!r}.")
    return rows, columns


def _size(nbytes: int) -> str:
    power = max(0, min((nbytes.bit_length() - 1) // 10, 3))
    return f"{nbytes / 1024**power:.{min(power, 1)}f} {('bytes', 'KiB', 'MiB', 'GiB')[power]}"
