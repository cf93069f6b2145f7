"""Image stacks that need no vendor's reader: tif (by tifffile) and MRC.

MRC is read here because its headers can be wrong: the references of Celeritas ``.seq`` movies announce 32,766 images
and hold one, and the scan of a Direct Electron movie is described in a text file beside it.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading.blocks import Blocks, Frames, RawFrames, ScanOfFrames, reading
from napari_stemnmf.reading.candidates import Candidate, believed, choose, open_candidate, times
from napari_stemnmf.reading.tif_pages import check_chain, open_pages, page_array
from napari_stemnmf.units import Scaling

MRC_MODES = {0: "u1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_MOVIE = re.compile(r"^(?P<prefix>\d{8}_\d+)(_.+)?_movie\.mrc$", re.IGNORECASE)


@dataclass(frozen=True)
class TifPages(Frames):
    """Patterns in the pages of a tif, which may be compressed."""

    path: Path
    count: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype
    series: int | None = 0  # None: every page is a series of its own

    def read_frames(self, frames: range) -> np.ndarray:
        """Patterns (len(frames), q_y, q_x)."""
        with open_pages(self.path) as tif:
            pages = tif.pages if self.series is None else tif.series[self.series].pages
            out = np.empty((len(frames), *self.frame_shape), self.dtype)
            for i, number in enumerate(frames):
                page = page_array(pages[number] if number < len(pages) else None, self.path, number)
                if page.shape != tuple(self.frame_shape):
                    raise ReadError(f"{self.path.name} is damaged: pattern {number} is of another shape.")
                out[i] = page
            return out


def open_tif(
    path: Path, *, dataset: str | None = None, scan_shape: tuple[int, int] | None = None, drop: str | int = "last"
) -> Dataset:
    """A tif file as a scan: four axes, or a stack of pages; arguments and errors are those of `opening.open`."""
    with reading(path, " as tif"):
        candidate = choose(tif_candidates(path), path.name, dataset, scan_shape)
        return open_candidate(
            candidate, path, source=str(path), scan_shape=scan_shape, drop=drop, metadata={"format": "tif"}
        )


def tif_candidates(path: Path) -> list[Candidate]:
    """The series of images in a tif file."""
    check_chain(path)
    with open_pages(path) as tif:
        kinds = {(series.shape, series.dtype, len(series.pages)) for series in tif.series}
        if len(tif.series) > 1 and len(kinds) == 1 and len(tif.series[0].shape) == 2 and len(tif.series[0].pages) == 1:
            return [_pages(path, tif)]
        return [_series(path, tif, i) for i in range(len(tif.series))]


def open_mrc(
    path: Path, *, dataset: str | None = None, scan_shape: tuple[int, int] | None = None, drop: str | int = "last"
) -> Dataset:
    """An MRC stack as a scan, as `opening.open`; a Direct Electron ``_info.txt`` beside it gives its scan shape."""
    with reading(path, " as MRC"):
        with open(path, "rb") as file:
            head = file.read(1024)
        frames = mrc_frames(path, head)
        info = _direct_electron(path)
        shape = _info_scan(info)
        q = [Scaling(_positive(info, f"Diffraction Pixel Size {a}"), "1/nm") for a in "YX"]
        r = [Scaling(_positive(info, f"Specimen Pixel Size {a} (nanometers)"), "nm") for a in "YX"]
        candidate = Candidate(
            "stack",
            (frames.count, *frames.frame_shape),
            frames.dtype,
            lambda order: frames,
            scalings=(None, *q),
            scan_shape=believed(shape, frames.count),
            scan_scalings=(r[0], r[1]),
            patterns=frames.count > 1,
        )
        candidate = choose([candidate], path.name, dataset, scan_shape)
        return open_candidate(
            candidate, path, source=str(path), scan_shape=scan_shape, drop=drop, metadata={"format": "MRC"}
        )


def _series(path: Path, tif: object, index: int) -> Candidate:
    series = tif.series[index]  # type: ignore[attr-defined]
    shape, dtype = tuple(int(n) for n in series.shape), np.dtype(series.dtype).newbyteorder(tif.byteorder)  # type: ignore[attr-defined]
    count, frame = math.prod(shape[:-2]), shape[-2:]
    if len(shape) >= 2 and series.dataoffset is not None and series.dataoffset > 0:
        if series.dataoffset + series.nbytes > path.stat().st_size:
            raise ReadError(f"{path.name} is truncated: it ends before the last of its {count} images.")
        frames: Frames = RawFrames(path, int(series.dataoffset), count, frame, dtype)
    else:
        whole_pages = len(series.pages) == count and tuple(series.keyframe.shape) == frame
        frames = TifPages(path, count if whole_pages else 0, frame, dtype.newbyteorder("="), index)

    def blocks(order: tuple[int, ...]) -> Blocks | Frames:
        if frames.count != count:
            raise ReadError(f"{path.name} holds colour images or volumes, not patterns; save it as a stack of pages.")
        return frames if len(order) == 3 else ScanOfFrames(frames, tuple(shape[axis] for axis in order[:2]))

    def load() -> np.ndarray:
        pages = TifPages(path, count, frame, dtype.newbyteorder("="), index)
        if frames.count == count:
            return (frames if isinstance(frames, RawFrames) else pages).read_frames(range(count)).reshape(shape)
        with open_pages(path) as tif:
            return np.asarray(tif.series[index].asarray(maxworkers=1))

    q = [_imagej_step(tif, axis) for axis in "YX"]
    scalings = (*[None] * (len(shape) - 2), *q) if len(shape) >= 2 else ()
    return Candidate(series.name or f"series {index}", shape, dtype, blocks, scalings=scalings, load=load)


def _pages(path: Path, tif: object) -> Candidate:
    """Pages of one shape that were written one by one."""
    count, first = len(tif.series), tif.series[0]  # type: ignore[attr-defined]
    frames = TifPages(path, count, tuple(first.shape), np.dtype(first.dtype).newbyteorder("="), None)
    shape = (count, *first.shape)
    return Candidate("pages", shape, frames.dtype, lambda order: frames, load=lambda: frames.read_frames(range(count)))


def _imagej_step(tif: object, axis: str) -> Scaling | None:
    """The pixel size along ``Y`` or ``X`` that ImageJ wrote."""
    unit = (getattr(tif, "imagej_metadata", None) or {}).get("unit")
    tag = tif.pages[0].tags.get(f"{axis}Resolution")  # type: ignore[attr-defined]
    if not unit or tag is None or not tag.value[0]:
        return None
    return Scaling(tag.value[1] / tag.value[0], str(unit))


def mrc_frames(path: Path, head: bytes) -> RawFrames:
    """Layout of an MRC file from its header, checked against its size."""
    if len(head) < 1024:
        raise ReadError(f"{path.name} is no MRC file: it is shorter than the format's header.")
    end = ">" if head[212:214] == b"\x11\x11" else "<"
    columns, rows, count, mode = struct.unpack(f"{end}4i", head[:16])
    extended = struct.unpack(f"{end}i", head[92:96])[0]
    if mode not in MRC_MODES or min(columns, rows, count) < 1 or extended < 0:
        raise ReadError(f"{path.name} is no MRC file that can be read: its header is damaged (mode {mode}).")
    stamp, flags = struct.unpack(f"{end}2i", head[152:160])
    signed = stamp == 1146047817 and flags & 1  # IMOD marks signed bytes; counts have no sign
    dtype = np.dtype(end + ("i1" if mode == 0 and signed else MRC_MODES[mode]))
    room = path.stat().st_size - 1024 - extended
    there = max(0, room) // (columns * rows * dtype.itemsize)
    if there < count:
        raise ReadError(
            f"{path.name} has a header that tells of {count} images of {times((rows, columns))}, but holds {there}; "
            "it is truncated, or the dark or gain reference of a movie."
        )
    return RawFrames(path, 1024 + extended, count, (rows, columns), dtype)


def _direct_electron(path: Path) -> dict[str, str]:
    """The entries of the ``_info.txt`` beside a Direct Electron movie."""
    match = _MOVIE.match(path.name)
    names = [re.sub(r"_movie\.mrc$", "_info.txt", path.name, flags=re.IGNORECASE)]
    names += [f"{match['prefix']}_info.txt"] if match else []
    for name in names:
        file = path.with_name(name)
        if name != path.name and file.is_file():
            lines = (line.split("=", 1) for line in file.read_text("utf-8", "replace").splitlines() if "=" in line)
            return {key.strip(): value.strip() for key, value in lines}
    return {}


def _info_scan(info: dict[str, str]) -> tuple[int, int] | None:
    """Rows and columns of a raster scan."""
    if info.get("Scan - Enable") != "Enable" or info.get("Scan - Type", "Raster") != "Raster":
        return None
    part = "Scan - ROI Size" if info.get("Scan - ROI Enable") == "Enable" else "Scan - Size"
    rows, columns = _positive(info, f"{part} Y"), _positive(info, f"{part} X")
    return (int(rows), int(columns)) if rows and columns else None


def _positive(info: dict[str, str], key: str) -> float | None:
    try:
        value = float(info.get(key, ""))
    except ValueError:
        return None
    return value if value > 0 else None
