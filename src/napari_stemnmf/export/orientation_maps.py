"""Hand-off to orix and MTEX: orientation maps as a CrystalMap in orix's HDF5, and as .ang.

A map has one grain at a position. So there is the map of the dominant grains, and where grains overlap one more for
each layer in which none do, which together hold every grain whole.

Angles are those of Bunge for the rotation from the axes of the sample to those of the crystal: v_crystal = g v_lab, lab
x along scan_x, y along scan_y, z along the beam. It is the inverse of the matrices in an analysis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import h5py
import numpy as np

from napari_stemnmf import __version__
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.emd import hdf5_file
from napari_stemnmf.export.formats import Source
from napari_stemnmf.files.writing import write_text
from napari_stemnmf.grains.layers import label_layers

NONE = -1
"""Number of what has no phase, as orix has it."""
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink", "tab:olive")
"""Of phases, one after the other."""
TSL = {
    "-1": "1", "2/m": "20", "mmm": "22", "4/m": "4", "4/mmm": "42", "-3": "3", "-3m": "32", "6/m": "6", "6/mmm": "62",
    "m-3": "23", "m-3m": "43",
}  # fmt: skip
"""Numbers of Laue groups in .ang files."""


class Crystal(Protocol):
    """What maps tell of a phase: lattice a, b, c in Å and alpha, beta, gamma in degrees, Laue group, space group."""

    @property
    def lattice(self) -> Sequence[float]: ...
    @property
    def laue_group(self) -> str: ...
    @property
    def space_group(self) -> int: ...


class Orientations(Protocol):
    """What an analysis knows of the orientations of its grains, row by row, and of the crystals that were offered."""

    matrices: np.ndarray
    phase: Sequence[str]
    score: np.ndarray
    margin: np.ndarray
    crystals: Mapping[str, Crystal]


class Phase(NamedTuple):
    """A crystal with its name; a space group of 0 is not known."""

    name: str
    lattice: tuple[float, ...]
    laue_group: str
    space_group: int = 0


@dataclass(frozen=True, eq=False)
class Map:
    """One grain at each position: row of the grain (n,), -1 for none, and what is known of the grains (g,)."""

    name: str
    rows: np.ndarray
    ids: np.ndarray
    phase: np.ndarray
    angles: np.ndarray
    score: np.ndarray
    margin: np.ndarray

    def at(self, values: np.ndarray, otherwise: float) -> np.ndarray:
        """What a grain has, at its positions."""
        filled = np.full((len(self.rows), *values.shape[1:]), otherwise, np.float64)
        filled[self.rows >= 0] = values[self.rows[self.rows >= 0]]
        return filled

    @property
    def phases(self) -> np.ndarray:
        """(n,) number of the phase at each position, `NONE` for none."""
        return self.at(self.phase.astype(np.float64), NONE).astype(np.int64)


def write_orix(source: Source, feature: str, path: Path) -> list[Path]:
    """Write the maps as HDF5 files of orix.

    Raises
    ------
    AnalysisError
        If the grains are not indexed, or a file cannot be written.
    """

    def write(target: Path, each: Map, phases: Sequence[Phase]) -> None:
        with hdf5_file(target, 200 * each.rows.size) as file:
            _write_orix(file, source, each, phases)

    return _written(source, feature, path, write)


def write_ang(source: Source, feature: str, path: Path) -> list[Path]:
    """Write the maps as .ang: positions in micrometres, angles in radians, and grain and margin as further columns.

    Raises
    ------
    AnalysisError
        If the grains are not indexed, or a file cannot be written.
    """
    return _written(source, feature, path, lambda target, each, phases: write_text(target, _ang(source, each, phases)))


def _written(
    source: Source, feature: str, path: Path, write: Callable[[Path, Map, Sequence[Phase]], None]
) -> list[Path]:
    """The file of each map, which `write` writes."""
    phases, written = _phases(source, feature), []
    for each in _maps(source, feature, [phase.name for phase in phases]):
        written.append(path.with_name(f"{path.stem}{each.name}{path.suffix}"))
        write(written[-1], each, phases)
    return written


def bunge(matrices: np.ndarray) -> np.ndarray:
    """Angles phi1, Phi, phi2 (g, 3), rad, of matrices (g, 3, 3) by which v_lab = R v_crystal, as Bunge has them.

    phi1 and phi2 are in 0 to 2 pi, Phi in 0 to pi; where Phi leaves only their sum, phi2 is 0.
    """
    g = np.swapaxes(matrices, 1, 2)
    phi = np.arccos(np.clip(g[:, 2, 2], -1, 1))
    steep = np.abs(np.sin(phi)) < 1e-8
    first = np.where(steep, np.arctan2(g[:, 0, 1], g[:, 0, 0]), np.arctan2(g[:, 2, 0], -g[:, 2, 1]))
    second = np.where(steep, 0.0, np.arctan2(g[:, 0, 2], g[:, 1, 2]))
    return np.stack([first % (2 * np.pi), phi, second % (2 * np.pi)], axis=1)


def _maps(source: Source, feature: str, names: Sequence[str]) -> Iterator[Map]:
    """The map of the dominant grains, and if grains overlap those of the layers."""
    grains, known = source.shown.grains[feature], _orientations(source, feature)
    number = {name: i for i, name in enumerate(names)}
    rows = {int(i): row for row, i in enumerate(source.analysis.grains[feature].ids)}
    order = np.array([rows[int(i)] for i in grains.ids], np.int64)
    phase = np.array([number.get(str(known.phase[row]), NONE) for row in order], np.int64)
    matrices = np.where(phase[:, None, None] >= 0, np.asarray(known.matrices)[order], np.eye(3))
    each = (grains.ids, phase, bunge(matrices), np.asarray(known.score)[order], np.asarray(known.margin)[order])
    layers = label_layers(grains) if grains.overlap.max(initial=0) > 1 else []
    for name, labels in [("", grains.labels), *((f"-layer{i}", image) for i, image in enumerate(layers, 1))]:
        yield Map(name, _rows_of(labels, grains.ids), *each)


def _rows_of(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Rows of grains in a label image, flat, -1 for none."""
    row = np.full(int(ids.max(initial=0)) + 1, -1, np.int64)
    row[ids] = np.arange(len(ids))
    return np.asarray(row[labels.ravel()])


def _orientations(source: Source, feature: str) -> Orientations:
    known: Orientations | None = source.analysis.result(f"orientations/{feature}")
    if known is None or len(known.phase) != len(source.analysis.grains[feature]):
        raise AnalysisError(
            f"The grains of {feature.upper()} are not indexed: this version finds no orientations, so it has no map."
        )
    return known


def _phases(source: Source, feature: str) -> list[Phase]:
    """The phases that were offered."""
    offered = _orientations(source, feature).crystals
    return [
        Phase(name, tuple(float(value) for value in crystal.lattice), crystal.laue_group, int(crystal.space_group or 0))
        for name, crystal in offered.items()
    ]


def _steps(source: Source) -> tuple[float, float, str]:
    step_y, step_x = source.analysis.axes[:2]
    return step_y.scale, step_x.scale, step_x.unit


def _write_orix(file: h5py.File, source: Source, found: Map, phases: Sequence[Phase]) -> None:
    rows, columns = source.analysis.axes[0].size, source.analysis.axes[1].size
    step_y, step_x, unit = _steps(source)
    y, x = np.indices((rows, columns)).reshape(2, -1)
    angles = found.at(found.angles, 0.0)
    data: dict[str, np.ndarray] = {
        "phi1": angles[:, 0], "Phi": angles[:, 1], "phi2": angles[:, 2], "x": x * step_x, "y": y * step_y,
        "phase_id": found.phases, "id": np.arange(len(x)), "is_in_data": np.ones(len(x), bool),
        "score": found.at(found.score, 0.0), "margin": found.at(found.margin, 0.0),
        "grain_id": found.at(found.ids.astype(np.float64), 0.0).astype(np.int64),
    }  # fmt: skip
    file["manufacturer"], file["version"] = _text("orix"), _text("0.15.0")
    top = file.create_group("crystal_map")
    for name, values in data.items():
        top.create_dataset(f"data/{name}", data=values)
    header = top.create_group("header")
    header["grid_type"], header["scan_unit"] = _text("square"), _text(unit)
    header["nx"], header["ny"], header["rotations_per_point"] = ([n] for n in (columns, rows, 1))
    header["x_step"], header["y_step"] = [float(step_x)], [float(step_y)]
    nothing = Phase("not_indexed", (1.0, 1.0, 1.0, 90.0, 90.0, 90.0), "None")
    listed = [(NONE, nothing, "white")] if (found.phases == NONE).any() else []
    listed += [(i, phase, COLOURS[i % len(COLOURS)]) for i, phase in enumerate(phases)]
    for number, phase, colour in listed:
        group = header.create_group(f"phases/{number}")
        group["name"], group["color"], group["point_group"] = map(_text, (phase.name, colour, phase.laue_group))
        group["space_group"] = [phase.space_group] if phase.space_group else _text("None")
        group.create_group("structure/atoms")
        lattice = group.create_group("structure/lattice")
        lattice["abcABG"], lattice["baserot"] = np.array(phase.lattice), np.eye(3)


def _text(text: str) -> np.ndarray:
    """A text as orix keeps it."""
    return np.array([text.encode("utf-8")])


def _ang(source: Source, found: Map, phases: Sequence[Phase]) -> str:
    rows, columns = source.analysis.axes[0].size, source.analysis.axes[1].size
    step_y, step_x, unit = _steps(source)
    micrometres = 1e-3 if unit == "nm" else 1.0
    head = ["TEM_PIXperUM           1.000000", "x-star                 0.000000", "y-star                 0.000000"]
    head += ["z-star                 0.000000", "WorkingDistance        0.000000", ""]
    for number, phase in enumerate(phases, 1):
        head += [
            f"Phase {number}", f"MaterialName    {phase.name}", f"Formula    {phase.name}", "Info",
            f"Symmetry    {TSL[phase.laue_group]}",
            "LatticeConstants    " + " ".join(f"{value:.4f}" for value in phase.lattice), "NumberFamilies    0",
        ]  # fmt: skip
    head += [
        "GRID: SqrGrid", f"XSTEP: {step_x * micrometres:.7f}", f"YSTEP: {step_y * micrometres:.7f}",
        f"NCOLS_ODD: {columns}", f"NCOLS_EVEN: {columns}", f"NROWS: {rows}", "",
        f"OPERATOR: napari-stemnmf {__version__}", "", "SAMPLEID:", "", "SCANID:", "",
        "Column names: phi1, Phi, phi2, x, y, image_quality, confidence_index, phase_id, detector_signal, pattern_fit, "
        "grain_id, margin", "",
    ]  # fmt: skip
    y, x = np.indices((rows, columns)).reshape(2, -1) * micrometres
    number = found.phases
    lost = number == NONE
    angles = np.where(lost[:, None], 4 * np.pi, found.at(found.angles, 4 * np.pi))
    table = np.column_stack([
        angles, x * step_x, y * step_y, np.ones(len(x)), np.where(lost, -1.0, found.at(found.score, -1.0)),
        number + 1, np.zeros(len(x)), np.where(lost, 180.0, 0.0), found.at(found.ids.astype(np.float64), 0.0),
        found.at(found.margin, 0.0),
    ])  # fmt: skip
    row = "{:9.5f} {:9.5f} {:9.5f} {:12.7f} {:12.7f} {:.1f} {:8.5f} {:.0f} {:.0f} {:.1f} {:.0f} {:8.5f}"
    lines = [*(f"# {line}".rstrip() if line else "#" for line in head), *(row.format(*line) for line in table.tolist())]
    return "\n".join(lines) + "\n"
