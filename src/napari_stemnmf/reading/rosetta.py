"""Vendors' formats through RosettaSciIO, which is GPL-3: optional, and imported only when such a file is opened.

Where it is known to trust a sidecar file, what it says is checked against the file itself.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.errors import ReadError, ScanShapeError
from napari_stemnmf.reading.beside import tvips_parts
from napari_stemnmf.reading.blocks import Blocks, Frames, ScanOfFrames, reading
from napari_stemnmf.reading.candidates import Candidate, open_chosen
from napari_stemnmf.reading.empad import Empad, describe
from napari_stemnmf.reading.recordings import CutOff, FilledUp, cut_off, tvips_end
from napari_stemnmf.reading.stored_arrays import StoredArray, array_blocks
from napari_stemnmf.reading.tif_pages import quiet
from napari_stemnmf.scan_shape import likely_scan_shape
from napari_stemnmf.units import Scaling

PLUGINS = {
    "mib": ("quantumdetector", "a Quantum Detectors MIB file"),
    "blo": ("blockfile", "a NanoMEGAS block file"),
    "dm3": ("digitalmicrograph", "a DigitalMicrograph file"),
    "dm4": ("digitalmicrograph", "a DigitalMicrograph file"),
    "xml": ("empad", "an EMPAD file"),
    "tvips": ("tvips", "a TVIPS stream"),
    "ser": ("tia", "a TIA series"),
    "emi": ("tia", "a TIA file"),
    "prz": ("pantarhei", "a Panta Rhei file"),
}
"""Ending: RosettaSciIO's module, and what to call such a file."""

ONLY_PATTERNS = ("mib", "blo", "xml", "tvips")
_MIB_ITEM = {"U08": 1, "U16": 2, "U32": 4, "U64": 8}


@dataclass(frozen=True)
class DaskArray(StoredArray):
    """A lazy array that another reader made; computed here, so that its errors become `ReadError`."""

    path: Path
    array: Any

    def read(self, index: tuple[Any, ...]) -> np.ndarray:
        """The part at an index, computed in this thread."""
        part = self.array[index]
        return np.asarray(part.compute(scheduler="synchronous") if hasattr(part, "compute") else part)


def open_rosetta(
    path: Path, kind: str, *, dataset: str | None, scan_shape: tuple[int, int] | None, drop: str | int
) -> Dataset:
    """A vendor's file of a `kind` in `PLUGINS` as a scan; other arguments and errors are those of `opening.open`."""
    module, what = plugin(path, kind)
    with reading(path, f" as {what.split(' ', 1)[1]}"):
        metadata: dict[str, Any] = {"format": what.split(" ", 1)[1].removesuffix(" file")}
        part = re.search(r"_(\d{3})\.tvips$", path.name) if kind == "tvips" else None
        if part and part[1] != "000":
            raise ReadError(f"{path.name} is part {int(part[1])} of a recording; open its part _000.tvips.")
        cut = cut_off(path, kind)
        if kind == "mib":
            signals, shape = _mib_signals(module, path, scan_shape)
        else:
            described = describe(path) if kind == "xml" else None
            options = {"only_valid_data": False} if kind == "ser" and cut else {}
            signals, shape = read_signals(module, path, options), None
            if kind == "ser":
                signals = with_emi(module, path, signals, options)
        found = [_candidate(path, i, signal, kind in ONLY_PATTERNS, shape) for i, signal in enumerate(signals)]
        if kind == "tvips":  # its pixel size is that of the camera's pixels, in nm, and no calibration of patterns
            found = [replace(candidate, scalings=()) for candidate in found]
        if cut is not None:
            found = [_of_cut_off(candidate, cut) for candidate in found]
        if kind == "xml" and described is not None:
            found = [_of_empad(candidate, described) for candidate in found]
        metadata |= _facts(signals)
        if part:
            metadata["parts"] = _parts(path, sum(candidate.shape[0] for candidate in found))
            metadata["notes"] = tvips_end(tvips_parts(path))
        try:
            scan = open_chosen(
                found, path, dataset=dataset, scan_shape=scan_shape, drop=drop, metadata=lambda _: metadata
            )
        except ScanShapeError as error:
            if not part:
                raise
            of = f"Its patterns are those of the parts that are there, {metadata['parts']}. {metadata['notes']}"
            raise ScanShapeError(f"{error} {of}".rstrip()) from error
        if scan.gaps is None:  # the last pattern is there, or the file is truncated
            scan.pattern(scan.shape[0] - 1, scan.shape[1] - 1)
        return scan


def plugin(path: Path, kind: str) -> tuple[Any, str]:
    """RosettaSciIO's module for a kind of file, and what to call such a file; `ReadError` if it is not installed."""
    name, what = PLUGINS[kind]
    try:
        return importlib.import_module(f"rsciio.{name}"), what
    except ImportError as error:
        raise ReadError(
            f"{path.name} is {what}, which is read by RosettaSciIO: pip install 'napari-stemnmf[formats]'"
            f"{'' if (error.name or 'rsciio').startswith('rsciio') else f' (the module {error.name} is missing)'}."
        ) from error


def _parts(path: Path, patterns: int) -> str:
    """The parts of a TVIPS recording that are there, as in "3 (_000 to _002, 6 patterns)"."""
    parts = tvips_parts(path)
    last = f" to _{len(parts) - 1:03d}" if len(parts) > 1 else ""
    return f"{len(parts)} (_000{last}, {patterns} patterns)"


def read_signals(module: Any, path: Path, options: dict[str, Any]) -> list[dict[str, Any]]:
    """All signals of a file, lazily where the plugin can, in whole patterns where it has the option."""
    parameters = inspect.signature(module.file_reader).parameters
    with warnings.catch_warnings(), quiet("rsciio", "tifffile"):
        warnings.simplefilter("ignore")
        try:
            signals = module.file_reader(str(path), lazy=True, **options)
        except NotImplementedError:
            return module.file_reader(str(path), **options)
        ndims = {signal["data"].ndim for signal in signals if _splits_patterns(signal["data"])}
        if len(ndims) == 1 and "chunks" in parameters:
            ndim = ndims.pop()
            chunks = ("auto",) * (ndim - 2) + (-1, -1)
            signals = module.file_reader(str(path), lazy=True, chunks=chunks, **options)
    return signals


def _mib_signals(
    module: Any, path: Path, scan_shape: tuple[int, int] | None
) -> tuple[list[dict[str, Any]], tuple[int, int] | None]:
    """The patterns of a MIB file, and the scan shape that it gives where they come as a stack.

    They do where a scan shape is given, and where the file holds more than its own scan shape has room for. A ReadError
    for a file that ends too early, unless a scan shape is given.
    """
    whole = mib_patterns(path, broken=scan_shape is not None)
    stack = {"navigation_shape": (whole,)}
    if scan_shape is not None:
        return read_signals(module, path, stack), None
    signals = read_signals(module, path, {})
    shape = tuple(int(n) for n in signals[0]["data"].shape[:-2])
    if math.prod(shape) >= whole or len(shape) > 2:
        return signals, None
    rows, columns = shape if len(shape) == 2 else (1, *shape)
    return read_signals(module, path, stack), (rows, columns)


def mib_patterns(path: Path, *, broken: bool = False) -> int:
    """How many whole patterns a MIB file holds; `ReadError` for one that ends too early, unless it may be `broken`."""
    with open(path, "rb") as file:
        fields = file.read(384).decode("latin1").split(",")
    try:
        record = int(fields[2]) + int(fields[4]) * int(fields[5]) * _MIB_ITEM[fields[6]]
    except (IndexError, ValueError, KeyError) as error:
        raise ReadError(f"{path.name} is no MIB file that can be read: its first header is damaged or raw.") from error
    whole, rest = divmod(path.stat().st_size, record)
    header = path.with_suffix(".hdr")
    text = header.read_text("latin1") if header.is_file() else ""
    stated = re.search(r"Frames in Acquisition \(Number\):\s*(\d+)", text)
    expected = int(stated[1]) if stated else 0
    cut = f", of {expected} that its .hdr tells of" if expected > whole else ""
    if (rest or cut) and not broken:
        line = re.search(r"Frames per Trigger \(Number\):\s*(\d+)", text)
        columns = int(line[1]) if line else 0
        likely = f"{whole // columns}, {columns}" if 1 < columns <= whole else likely_scan_shape(whole)
        raise ReadError(
            f"{path.name} is truncated: it holds {whole} whole patterns{cut}; "
            f"give its scan shape (rows, columns), as in scan_shape=({likely}), to open those that are there."
        )
    return whole


def with_emi(module: Any, path: Path, signals: list[dict[str, Any]], options: dict[str, Any]) -> list[dict[str, Any]]:
    """The signals of a lone ``.ser`` with the axes that its ``.emi`` gives: alone it has a wrong scale."""
    emi = path.with_name(re.sub(r"_\d+$", "", path.stem) + ".emi")
    if not emi.is_file():
        return signals
    try:
        described = read_signals(module, emi, options)
    except Exception:  # an .emi that cannot be read takes nothing from the .ser
        return signals
    out = []
    for signal in signals:
        same = [d for d in described if d["data"].shape == signal["data"].shape]
        out.append({**signal, "axes": same[0]["axes"]} if same else signal)
    return out


def _of_cut_off(candidate: Candidate, cut: CutOff) -> Candidate:
    """A recording that ends too early, as long as its header says, with what is missing of it."""
    shape = candidate.shape[:-2]
    if math.prod(shape) != cut.total:
        return candidate  # another signal of the file

    def blocks(order: tuple[int, ...]) -> Blocks | Frames:
        if cut.frames is None:
            return candidate.blocks(order)
        frames = FilledUp(cut.frames, cut.total)
        return ScanOfFrames(frames, shape) if len(shape) == 2 else frames

    return replace(candidate, blocks=blocks, gaps=lambda axes: cut.missing(shape))


def _of_empad(candidate: Candidate, described: Empad) -> Candidate:
    """A recording with the scan shape and the steps that its XML gives; a line scan comes with one axis too few."""
    step, shape = described.step, described.scan_shape
    metadata = {"notes": described.notes} if described.notes else None
    if candidate.role == "stack" and shape is not None and math.prod(shape) == candidate.shape[0]:
        steps = (step or candidate.scalings[0], step or candidate.scalings[0])
        return replace(candidate, scan_shape=shape, scan_scalings=steps, metadata=metadata)
    if candidate.role != "scan" or step is None:
        return replace(candidate, metadata=metadata)
    return replace(candidate, scalings=(step, step, *candidate.scalings[2:]), metadata=metadata)


def _candidate(
    path: Path, index: int, signal: dict[str, Any], patterns: bool, scan_shape: tuple[int, int] | None
) -> Candidate:
    array, axes = signal["data"], signal["axes"]
    shape, dtype = tuple(int(n) for n in array.shape), np.dtype(array.dtype).newbyteorder("=")
    title = (signal.get("metadata") or {}).get("General", {}).get("title") or f"signal {index}"
    return Candidate(
        str(title),
        shape,
        dtype,
        lambda order: array_blocks(DaskArray(path, array), shape, order, dtype),  # memory maps: any part is read alone
        scalings=tuple(_scaling(axis) for axis in axes) if len(axes) == len(shape) else (),
        patterns=patterns and (len(shape) > 3 or (len(shape) == 3 and shape[0] > 1)),
        scan_shape=scan_shape,
    )


def _scaling(axis: dict[str, Any]) -> Scaling:
    scale, unit = axis.get("scale"), axis.get("units")
    return Scaling(
        float(scale) if scale is not None else None,
        unit if isinstance(unit, str) else None,
        float(axis.get("offset") or 0.0),
        str(axis.get("name") or ""),
    )


def _splits_patterns(array: Any) -> bool:
    return array.ndim >= 3 and hasattr(array, "numblocks") and array.numblocks[-2:] != (1, 1)


def _facts(signals: list[dict[str, Any]]) -> dict[str, Any]:
    """Beam energy, where a signal gives it."""
    for signal in signals:
        energy = (signal.get("metadata") or {}).get("Acquisition_instrument", {}).get("TEM", {}).get("beam_energy")
        if isinstance(energy, (int, float)) and energy > 0:
            return {"beam_energy_keV": float(energy)}
    return {}
