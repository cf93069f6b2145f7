"""EMPAD's XML: whether its raw file is there and whole, how the scan lies in it, and the steps of the scan.

RosettaSciIO reads the patterns. What it says of steps leaves the scan size out, a fraction of the field of view that
the user chooses (its pull request 495 gives the formula), and a line scan loses an axis; so both are read here.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.errors import ReadError
from napari_stemnmf.reading.containment import beside
from napari_stemnmf.units import Scaling

ROWS, FRAME = 128, (130, 128)
"""Rows of a pattern, and what lies in the raw file: with two rows of other data."""
RECORD = 130 * 128 * 4
"""Bytes of that."""
HEADER = "Patterns of 130 x 128 real numbers are raw frames of EMPAD: their last two rows, a header, were cut."


@dataclass(frozen=True)
class Empad:
    """What the XML of a recording says.

    Attributes
    ----------
    scan_shape : tuple of int or None
        Rows and columns; None for a series.
    step : Scaling or None
        Along both axes of the scan; None where RosettaSciIO's is as good.
    notes : str
        What is odd, a sentence.
    """

    scan_shape: tuple[int, int] | None
    step: Scaling | None
    notes: str = ""


def describe(path: Path) -> Empad:
    """What an XML file says of its recording; a ReadError if its raw file is elsewhere, missing, or of another size."""
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as error:
        raise ReadError(f"{path.name} is no valid XML ({error}); it seems truncated.") from error
    node = root.find("raw_file")
    name = node.get("filename") if node is not None else None
    if not name:
        raise ReadError(f"{path.name} is an XML file that describes no EMPAD scan; open the file with the patterns.")
    raw = beside(name, path, verb="needs")
    shape, count = _extent(root, path.name, name)
    size = raw.stat().st_size
    if size != count * RECORD:
        raise ReadError(
            f"{path.name} tells of {count} patterns, but {name} has room for {size / RECORD:.4g}; "
            "the two do not belong together, or the raw file is truncated."
        )
    return Empad(shape, *(_step(root, shape) if shape is not None else (None, "")))


def _extent(root: ET.Element, path: str, raw: str) -> tuple[tuple[int, int] | None, int]:
    """Rows and columns of the scan, None for a series; and the number of patterns."""
    series = root.findtext("scan_parameters/series_count")
    if series:
        return None, int(series)
    columns, rows = (root.findtext(f"pix_{axis}") for axis in "xy")
    named = re.match(r"scan_x(\d+)_y(\d+)", Path(raw).name)
    if not (rows and columns) and named:
        columns, rows = named.groups()
    if not (rows and columns):
        raise ReadError(f"{path} does not say how many patterns {raw} holds.")
    return (int(rows), int(columns)), int(rows) * int(columns)


def _step(root: ET.Element, shape: tuple[int, int]) -> tuple[Scaling | None, str]:
    """Step of the scan where it follows from the field of view, and what is odd about it.

    Since software 1.2 it is field / scale factor * scan size / positions along the larger side. Before, the file gives
    the field for each axis, as RosettaSciIO takes it.
    """
    field = _number(root, "iom_measurements/full_scan_field_of_view/x")
    factor = _number(root, "iom_measurements/full_scan_field_of_view/scale_factor")
    sizes = {  # of the scan before and in the acquisition, where they are of this shape
        str(node.get("mode")): size
        for node in root.findall("scan_parameters")
        if (size := _number(node, "scan_size")) is not None and 0 < size <= 1
    }
    if root.find("iom_measurements/optics.get_full_scan_field_of_view") is not None:
        size = sizes.get("acquire", 1.0)
        odd = f"The EMPAD's scan size is {size:g}, which its software's steps may leave out: check the scan's step."
        return None, odd if size < 1 else ""
    if field is None or factor is None or field <= 0 or factor <= 0:
        return None, ""
    fitting = {
        str(node.get("mode"))
        for node in root.findall("scan_parameters")
        if (_number(node, "scan_resolution_y"), _number(node, "scan_resolution_x")) == shape
    }
    mode = "search" if fitting == {"search"} else "acquire"
    size, other = sizes.get(mode, 1.0), sizes.get("search" if mode == "acquire" else "acquire")
    unsure = mode not in fitting or (len(fitting) > 1 and other not in (None, size))
    note = f"The scan's step is taken from the EMPAD's scan size {size:g} ({mode}); the file also gives {other:g}."
    return Scaling(field / factor * size / max(shape), "m"), note if unsure and other not in (None, size) else ""


def _number(node: ET.Element, path: str) -> float | None:
    try:
        return float(node.findtext(path, ""))
    except ValueError:
        return None


def without_header(data: Any) -> tuple[Any, str]:
    """A scan (scan_y, scan_x, q_y, q_x) without the header of EMPAD's raw frames, and a sentence where there is one."""
    raw = data.shape[2:] == FRAME and data.dtype == np.float32
    return (data[:, :, :ROWS], HEADER) if raw else (data, "")
