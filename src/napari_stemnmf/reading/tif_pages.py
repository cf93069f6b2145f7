"""Pages of tif files, by tifffile: of one file only, and no page that is more than its shape has room for.

Metadata of OME, Micro-Manager and NDTiff name further files, which tifffile would open wherever they are, by absolute
paths too. A page is packed in segments, each of which may unpack to any size; what is wrong in a file tifffile tells
the log, tag by tag.
"""

from __future__ import annotations

import contextlib
import logging
import math
import struct
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.errors import ReadError
from napari_stemnmf.files.hdf5_chunks import inflated

_DEFLATE = (8, 32946)
_NO_PREDICTOR, _DIFFERENCES = 1, 2
MOST_RATIO = 1100
"""Deflate packs no better than 1 to 1032; other packings of counts hardly do."""
SLACK = 2**16
"""Bytes that packing may add to what cannot be packed, beside a quarter of it."""


@contextlib.contextmanager
def quiet(*names: str) -> Iterator[None]:
    """Keep the log messages of libraries about a file off the user's terminal; errors are raised all the same."""
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def open_pages(path: Path) -> Iterator[Any]:
    """A tif file for reading, without those that its metadata names; a ReadError if part of its patterns lies there."""
    import tifffile

    with quiet("tifffile"), tifffile.TiffFile(path, _multifile=False, is_ndtiff=False, is_mmstack=False) as tif:
        if tif.is_ome:
            _check_parts(path, tif.ome_metadata or "")
        yield tif


def check_chain(path: Path) -> None:
    """A ReadError for a tif whose pages lead back to each other, so that they have no end, or beyond its end."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        end, big = ("<" if head[:2] == b"II" else ">"), head[2:4] in (b"+\0", b"\0+")
        count, entry, link = ("Q", 20, "Q") if big else ("H", 12, "I")
        wide = struct.calcsize(count)
        at = struct.unpack(end + link, head[8:16] if big else head[4:8])[0]
        seen: set[int] = set()
        while at:
            if at > size - wide:
                raise ReadError(f"{path.name} is truncated: it ends after {len(seen)} of its pages.")
            if at in seen:
                raise ReadError(f"{path.name} is damaged: its pages lead in circles.")
            seen.add(at)
            file.seek(at)
            file.seek(at + wide + entry * struct.unpack(end + count, file.read(wide))[0])
            following = file.read(struct.calcsize(link))
            at = struct.unpack(end + link, following)[0] if len(following) == struct.calcsize(link) else 0


def page_array(page: Any, path: Path, number: int) -> np.ndarray:
    """The image of a page; a ReadError where it was never written, or unpacks to more than its shape."""
    counts = () if page is None else page.databytecounts
    if not counts or 0 in counts or 0 in page.dataoffsets:
        raise ReadError(f"{path.name} holds no data for pattern {number}: it was never written, or is damaged.")
    if page.compression == 1:
        return np.asarray(page.asarray(maxworkers=1))
    keyframe = page.keyframe
    segment = math.prod(keyframe.chunks) * keyframe.dtype.itemsize
    if max(counts) > segment + segment // 4 + SLACK or keyframe.nbytes > MOST_RATIO * (sum(counts) + SLACK):
        raise ReadError(f"{path.name} is damaged: pattern {number} is packed in {sum(counts)} bytes, as it cannot be.")
    if keyframe.compression not in _DEFLATE or not _is_plain(keyframe):
        return np.asarray(page.asarray(maxworkers=1))
    return _of_strips(page, segment, path, number)


def _is_plain(page: Any) -> bool:
    """Whether a page is rows of whole numbers or reals, one a pixel, strip after strip."""
    return (
        not page.is_tiled
        and page.samplesperpixel == 1
        and page.fillorder == 1
        and page.dtype is not None
        and page.dtype.kind in "iuf"
        and page.bitspersample == 8 * page.dtype.itemsize
        and (page.predictor == _NO_PREDICTOR or (page.predictor == _DIFFERENCES and page.dtype.kind in "iu"))
        and len(page.shape) == 2
    )


def _of_strips(page: Any, segment: int, path: Path, number: int) -> np.ndarray:
    keyframe, parts = page.keyframe, []
    file = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        file.seek(offset)
        try:
            parts.append(inflated(file.read(count), segment))
        except (ValueError, zlib.error) as error:
            reason = str(error) if isinstance(error, ValueError) else "cannot be unpacked"
            raise ReadError(f"{path.name} is damaged: pattern {number} {reason}.") from error
    data = b"".join(parts)
    if len(data) < keyframe.nbytes:
        raise ReadError(f"{path.name} is damaged: pattern {number} ends too early.")
    dtype = keyframe.dtype.newbyteorder(page.parent.byteorder)
    image = np.frombuffer(data, dtype, math.prod(keyframe.shape)).reshape(keyframe.shape)
    if keyframe.predictor == _DIFFERENCES:
        image = np.cumsum(image, axis=-1, dtype=keyframe.dtype.newbyteorder("="))
    return image.astype(keyframe.dtype.newbyteorder("="), copy=False)


def _check_parts(path: Path, described: str) -> None:
    """A ReadError for an OME file of which other files hold a part; a file that was renamed is no other one."""
    try:
        root = ET.fromstring(described)
    except ET.ParseError:
        return  # its pages are read as they are
    own, others = root.get("UUID"), {}
    for element in root.iter():
        if element.tag.rpartition("}")[2] == "UUID":
            others[element.text] = element.get("FileName") or ""
    others.pop(own, None)
    names = {name for name in others.values() if name.lower() != path.name.lower()}
    renamed = own is None and len(others) == 1
    if names and not renamed:
        raise ReadError(
            f"{path.name} names other files that hold some of its patterns ({', '.join(sorted(names)[:3])}), which are "
            "not followed; save all of them in one file."
        )
    there = [name for name in names if name and (path.parent / name.replace("\\", "/")).is_file()]
    if there:
        raise ReadError(f"{path.name} keeps its patterns in {there[0]}, which is not followed; open that file.")
