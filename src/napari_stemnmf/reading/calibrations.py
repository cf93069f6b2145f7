"""Calibrations of axes in HDF5 files, in the conventions of the programs that write them.

Only hard links are followed: a calibration in another file is not worth opening it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_stemnmf.reading import containment
from napari_stemnmf.reading.hdf5_access import child, open_hdf5
from napari_stemnmf.reading.vectors import number, number_list, scaling_of, text
from napari_stemnmf.units import Scaling

EVEN = 1e-3
"""Steps of an axis differ by no more than this share where they are even."""
LONGEST_AXIS = 2**20
"""So many coordinates are read at most."""
_SIDES = (("height", "Y"), ("width", "X"))
_STEPS = {  # attributes of a dataset: which pair of axes they calibrate, in which unit
    "Q_pixel_size_invA": ("q", "1/Å"), "Q_pixel_size_inv_A": ("q", "1/Å"), "Q_pixel_size_invnm": ("q", "1/nm"),
    "Q_pixel_size_inv_nm": ("q", "1/nm"), "Q_pixel_size_mrad": ("q", "mrad"), "R_pixel_size_A": ("scan", "Å"),
    "R_pixel_size_nm": ("scan", "nm"),
}  # fmt: skip


def scalings(node: Any, named: tuple[Scaling | None, ...] = ()) -> tuple[Scaling | None, ...]:
    """The calibration of each axis of an h5py dataset; of several conventions, the first that gives one is taken.

    What a NeXus file says of it is `named`.
    """
    ndim, parent = len(node.shape), node.parent
    found = [from_attributes(node.attrs, ndim), _py4dstem(node), _hspy(parent, ndim)]
    found += [list(named) if len(named) == ndim else None, _emd(node), _velox(node), _dimension_scales(node)]
    return tuple(next((s[i] for s in found if s and _is_calibrated(s[i])), None) for i in range(ndim))


def from_attributes(attributes: Mapping[str, Any], ndim: int) -> list[Scaling | None]:
    """Steps that the attributes of an array give, such as ``Q_pixel_size_invA`` and ``center_px``."""
    out: list[Scaling | None] = [None] * ndim
    if ndim != 4:
        return out
    center = number_list(attributes.get("center_px"))
    for key, (pair, unit) in _STEPS.items():
        steps, q = number_list(attributes.get(key)), pair == "q"
        for i, step in enumerate(steps * 2 if len(steps) == 1 else steps if len(steps) == 2 else ()):
            offset = -step * center[i] if q and len(center) == 2 else 0.0
            out[2 + i if q else i] = Scaling(step, unit, offset)
    return out


def facts(file: Any) -> dict[str, Any]:
    """The beam energy, where the file gives it in a known place."""
    out: dict[str, Any] = {}
    energy = number(file.attrs.get("energy_eV"))
    if energy is None:
        beam = child_at(file, "entry/instrument/detector/detectorSpecific/photon_energy")
        energy = number(beam[()]) if beam is not None and beam.shape == () else None
    if energy:
        out["beam_energy_keV"] = energy / 1e3
    experiments = child(file, "Experiments")
    for name in experiments if experiments is not None else ():
        tem = child_at(experiments, f"{name}/metadata/Acquisition_instrument/TEM")
        kilovolts = number(tem.attrs.get("beam_energy")) if tem is not None else None
        if kilovolts:
            out["beam_energy_keV"] = kilovolts
    return out


def is_preferred(node: Any) -> bool:
    """Whether py4DSTEM's class marks this dataset as the scan."""
    return any(text(node.parent.attrs.get(f"{by}_class")) == "DataCube" for by in ("python", "py4dstem"))


def is_velox(node: Any) -> bool:
    """Whether a dataset is an image stack as Velox writes it, the frames along the last axis."""
    parts = node.name.strip("/").split("/")
    return parts[:2] == ["Data", "Image"] and parts[-1] == "Data" and len(node.shape) == 3


def dectris(file: Any, path: Path) -> dict[str, Any]:
    """Scan shape and step of a Dectris master, from itself or from the STEM file beside it."""
    group = child_at(file, "entry/data")
    shape = number_list(group.attrs.get("scan_shape")) if group is not None else []
    out: dict[str, Any] = {"scan_shape": None, "scalings": (None, None), "metadata": {"format": "Dectris (HDF5)"}}
    beside = path.with_name(path.name.replace("_master.h5", ".h5"))
    if beside != path and beside.is_file():
        with open_hdf5(containment.beside(beside.name, path, path.parent)) as other:
            stem = child(other, "STEM Metadata")
            attributes = stem.attrs if stem is not None else {}
            rows, columns = number(attributes.get("NumPixelsY")), number(attributes.get("NumPixelsX"))
            step = number(attributes.get("Pixel Size"))
        if rows and columns:
            shape = [rows, columns]
        if step:
            out["scalings"] = (Scaling(step, "nm"), Scaling(step, "nm"))
    if len(shape) == 2:
        out["scan_shape"] = (int(shape[0]), int(shape[1]))
    return out


def child_at(group: Any, path: str) -> Any:
    """A member some levels down, by hard links, or None."""
    for part in path.split("/"):
        group = child(group, part) if group is not None else None
    return group


def _is_calibrated(scaling: Scaling | None) -> bool:
    return scaling is not None and (scaling.scale is not None or bool(scaling.name))


def _py4dstem(node: Any) -> list[Scaling | None] | None:
    """The calibration of a py4DSTEM data cube, in its own group or the root's."""
    if len(node.shape) != 4 or child(node.parent, "dim0") is None:
        return None
    group = node.parent
    while True:
        for name in ("metadatabundle/calibration", "calibration", "_calibration"):
            found = child_at(group, name)
            if found is not None and child(found, "Q_pixel_size") is not None:
                q = Scaling(number(_value(found, "Q_pixel_size")), text(_value(found, "Q_pixel_units")))
                r = Scaling(number(_value(found, "R_pixel_size")), text(_value(found, "R_pixel_units")))
                return [r, r, q, q]
        if group.name == "/":
            return None
        group = group.parent


def _hspy(parent: Any, ndim: int) -> list[Scaling | None] | None:
    """HyperSpy's groups ``axis-0``, ``axis-1``..."""
    out: list[Scaling | None] = []
    for i in range(ndim):
        group = child(parent, f"axis-{i}")
        attributes = getattr(group, "attrs", None)
        if attributes is None:
            return None
        out.append(from_hspy_axis(attributes, child(group, "axis")))
    return out


def from_hspy_axis(attributes: Mapping[str, Any], coordinates: Any = None) -> Scaling:
    """One axis as HyperSpy stores it, in HDF5 and in Zarr: by its step, or by its `coordinates` if they are even."""
    scale, offset = number(attributes.get("scale")), number(attributes.get("offset")) or 0.0
    few = 1 < getattr(coordinates, "size", 0) <= LONGEST_AXIS
    values = number_list(coordinates[:]) if scale is None and few else []
    steps = np.diff(values)
    if len(steps) and np.allclose(steps, steps.mean(), rtol=EVEN, atol=0.0):
        scale, offset = float(steps.mean()), values[0]
    return Scaling(scale, text(attributes.get("units")), offset, text(attributes.get("name")).replace("_None_", ""))


def _emd(node: Any) -> list[Scaling | None] | None:
    """The vectors ``dim0``... (EMD 1.0) or ``dim1``... (EMD 0.x)."""
    first = 0 if child(node.parent, "dim0") is not None else 1
    vectors = [child(node.parent, f"dim{first + i}") for i in range(len(node.shape))]
    out = [scaling_of(v, "", size) for v, size in zip(vectors, node.shape, strict=True)]
    if "/CBED_array_depth" in node.name:  # Prismatic computes in ångström and labels them nm
        prismatic = {"[n_m]": "Å", "[n_m^-1]": "1/Å"}
        out = [Scaling(s.scale, prismatic.get(s.unit or "", s.unit), s.offset, s.name) if s else None for s in out]
    return out


def _dimension_scales(node: Any) -> list[Scaling | None]:
    """HDF5's own dimension scales."""
    pairs = zip(node.shape, node.dims, strict=True)
    return [scaling_of(d[0], d.label, size) if len(d) else None for size, d in pairs]


def _velox(node: Any) -> list[Scaling | None] | None:
    """The pixel size in the JSON beside a Velox image stack (q_y, q_x, frames)."""
    metadata = child(node.parent, "Metadata") if is_velox(node) else None
    if metadata is None or metadata.dtype != np.uint8 or metadata.ndim not in (1, 2):
        return None
    column = metadata[:, 0] if metadata.ndim == 2 else metadata[:]
    try:
        binary = json.loads(column.tobytes().split(b"\0")[0])["BinaryResult"]
        steps = [(number(binary["PixelSize"][side]), binary[f"PixelUnit{axis}"]) for side, axis in _SIDES]
    except (ValueError, KeyError, TypeError):
        return None
    return [*(Scaling(step, text(unit)) for step, unit in steps), None]


def _value(group: Any, name: str) -> Any:
    """What a scalar member of a group holds, or None."""
    node = child(group, name)
    return node[()] if getattr(node, "shape", None) in ((), (1,)) else None
