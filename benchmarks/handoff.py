"""Every hand-off opened by the tool it is for, in environments of their own, and what was found equal there.

    python benchmarks/handoff.py ANALYSIS.stemnmf.h5 [--environments DIR] [--only py4dstem,pyxem] [--truth FILM.h5]

Makes one environment for each tool (py4DSTEM; pyxem, HyperSpy and orix; quantem; napari-ome-zarr with pycocotools and
shapely) in DIR and keeps it for the next time. The analysis is exported and each file read by the tool's own functions:
values, units and axes are compared with those of the analysis. py4DSTEM and quantem then run their own orientation
matching on the file as it is. With the film's truth, and where the grains are indexed, orientations are compared.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
from scipy.spatial.transform import Rotation

import napari_stemnmf as stem
from napari_stemnmf.calibration.geometry import centred
from napari_stemnmf.export.formats import FORMATS, Source
from napari_stemnmf.export.results import export
from napari_stemnmf.export.vectors import of_grains

PACKAGES = {
    "py4dstem": ["py4DSTEM", "emdfile"],
    "pyxem": ["pyxem", "hyperspy", "orix", "rosettasciio"],
    "quantem": ["quantem"],
    "ome-zarr": ["ome-zarr", "napari-ome-zarr", "pycocotools", "shapely"],
}
"""By environment, what is installed into it."""

SHARED = """
import itertools, sys
import numpy as np

known = np.load(sys.argv[1], allow_pickle=False)
folder = sys.argv[2]

def told(what, good, detail=""):
    print(f"  {'ok  ' if good else 'FAIL'} {what}{': ' if detail else ''}{detail}", flush=True)

def cell(i):
    rows = slice(known["offsets"][i], known["offsets"][i + 1])
    return known["q_y"][rows] / 10, known["q_x"][rows] / 10, known["intensity"][rows]

def agrees(matrices, truth):
    "Smallest angles of cubic crystals, degrees."
    signs = [np.diag(s) for s in itertools.product((1, -1), repeat=3)]
    turns = [s @ np.eye(3)[list(p)] for p in itertools.permutations(range(3)) for s in signs]
    turns = np.array([t for t in turns if np.linalg.det(t) > 0])
    found = []
    for one, other in zip(matrices, truth):
        trace = np.einsum("ij,sjk,ik->s", one, turns, other).max()
        found.append(np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1))))
    return np.array(found)
"""
"""What each check begins with."""

PY4DSTEM = """
import time, warnings
warnings.simplefilter("ignore")
import py4DSTEM
from py4DSTEM.process.diffraction import Crystal

root = py4DSTEM.read(f"{folder}/py4dstem-vdf.h5")
vectors, cube = root.tree("braggvectors"), root.tree("datacube")
told("grains: N x 1 Bragg vectors", vectors.shape == (len(known["ids"]), 1), str(vectors.shape))
worst = 0.0
for i in range(len(known["ids"])):
    v, (x, y, intensity) = vectors.cal[i, 0], cell(i)
    assert len(v.qx) == len(x)
    worst = max([worst, *np.abs(v.qx - x), *np.abs(v.qy - y)])
told("calibrated positions are those of the grain disks, largest difference [1/Å]", worst < 1e-5, f"{worst:.1e}")
told("unit of the detector", vectors.calibration.get_Q_pixel_units() == "A^-1")
told("pattern cube", np.array_equal(cube.data[:, 0], known["patterns"]), str(cube.data.shape))
scan = py4DSTEM.read(f"{folder}/py4dstem-scan.h5")
told("scan: shape", tuple(scan.shape) == tuple(known["scan_shape"]), str(scan.shape))
worst = 0.0
for position in range(0, len(known["scan_offsets"]) - 1, 97):
    rows = slice(known["scan_offsets"][position], known["scan_offsets"][position + 1])
    v = scan.cal[position // scan.shape[1], position % scan.shape[1]]
    worst = max([worst, *np.abs(v.qx - known["scan_y"][rows]), *np.abs(v.qy - known["scan_x"][rows])])
told("calibrated positions are those of the disks, largest difference [1/Å]", worst < 1e-4, f"{worst:.1e}")

crystal = Crystal(np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]), 47, 4.0853)
crystal.calculate_structure_factors(1.6)
crystal.orientation_plan(
    zone_axis_range=np.array([[0, 1, 1], [1, 1, 1]]), angle_step_zone_axis=1.0, angle_step_in_plane=2.0,
    accel_voltage=1e3 * float(known["kilovolts"]), sigma_excitation_error=0.02, progress_bar=False,
)
began = time.process_time()
found = crystal.match_orientations(vectors, progress_bar=False)
took = time.process_time() - began
told("ACOM runs on the file as it is", found.matrix.shape[0] == len(known["ids"]), f"{took:.1f} s CPU")
matrices = found.matrix[:, 0, 0].transpose(0, 2, 1)  # v_lab = R v_crystal; lab x along rows, y along columns
np.save(f"{folder}/acom.npy", matrices)
if "truth" in known:
    found = []
    for orientation in known["truth"][known["truth_known"]]:
        ideal = crystal.generate_diffraction_pattern(orientation_matrix=orientation.T, sigma_excitation_error=0.02)
        found.append(crystal.match_single_pattern(ideal, verbose=False).matrix[0].T)
    angle = agrees(found, known["truth"][known["truth_known"]])
    right = np.mean(angle < 1)
    print(f"       of disks that it simulates itself, without noise, ACOM has {right:.0%} right within 1 deg")
for what in ("truth", "ours"):
    if what in known:
        chosen = known[f"{what}_known"]
        angle = agrees(matrices[chosen], known[what][chosen])
        shares = ", ".join(f"within {limit} deg {np.mean(angle < limit):.0%}" for limit in (1, 2, 5))
        print(f"       ACOM against {what}: {shares}; median {np.median(angle):.2f} deg of {len(angle)} grains")
"""

PYXEM = """
import warnings
warnings.simplefilter("ignore")
import hyperspy.api as hs
from orix import io

patterns = hs.load(f"{folder}/pyxem-patterns-vdf.hspy")
told("patterns are ElectronDiffraction2D", type(patterns).__name__ == "ElectronDiffraction2D", str(patterns))
told("their values", np.array_equal(patterns.data, known["patterns"]))
axes = patterns.axes_manager.signal_axes
told("their axes", [a.name for a in axes] == ["kx", "ky"], ", ".join(f"{a.name} {a.scale:.4g} {a.units}" for a in axes))
vectors = hs.load(f"{folder}/pyxem-vectors-vdf.hspy")
told("vectors are DiffractionVectors", type(vectors).__name__ == "DiffractionVectors", str(vectors))
told("their columns", list(vectors.column_names) == ["kx", "ky", "intensity"], str(vectors.units))
good = all(np.allclose(vectors.data[i], np.column_stack(cell(i))[:, [1, 0, 2]]) for i in range(len(known["ids"])))
told("their values are the grain disks in 1/Å", good)
told("they become polar vectors", type(vectors.to_polar()).__name__ == "PolarVectors")
for name in ("orientations-vdf.h5", "orientations-vdf.ang"):
    xmap = io.load(f"{folder}/{name}")
    step = f"{xmap.shape}, {xmap.dx} {xmap.scan_unit}"
    told(f"{name}: shape and step", xmap.shape == tuple(known["scan_shape"]), step)
    labels = known["labels"].ravel()
    rows = np.searchsorted(known["ids"], labels)
    inside = (labels > 0) & (xmap.phase_id >= 0)
    expected = known["maps"][rows[inside]].transpose(0, 2, 1)
    worst = np.abs(xmap.rotations[inside].to_matrix().reshape(-1, 3, 3) - expected).max()
    told(f"{name}: rotations from lab to crystal, largest difference of elements", worst < 2e-5, f"{worst:.1e}")
    told(f"{name}: nothing is indexed where no grain is", (xmap.phase_id[labels == 0] == -1).all())
    print("       " + str(xmap).replace(chr(10), chr(10) + "       "))
"""

QUANTEM = """
from quantem.core.io import load
from quantem.core.io.file_readers import read_emdfile_to_4dstem

vectors = load(f"{folder}/quantem-vdf.zip")
told("grains: a Vector", vectors.shape == (len(known["ids"]), 1), f"{vectors.fields} {vectors.units}")
worst = 0.0
for i in range(len(known["ids"])):
    rows = vectors[i, 0].tensor.numpy()
    worst = max(worst, np.abs(rows[:, :2] - np.column_stack(cell(i))[:, :2]).max(initial=0.0))
told("its values are the grain disks, largest difference [1/Å]", worst < 1e-6, f"{worst:.1e}")
scan = load(f"{folder}/quantem-scan.zip")
told("scan: a Vector", tuple(scan.shape) == tuple(known["scan_shape"]), str(scan.metadata))
cube = read_emdfile_to_4dstem(f"{folder}/py4dstem-vdf.h5")
same = np.array_equal(np.asarray(cube.array)[:, 0], known["patterns"])
told("pattern cube of the EMD file", same, str(cube.sampling))
"""

OME_ZARR = """
import json
from napari_ome_zarr import napari_get_reader
from pycocotools.coco import COCO
from shapely.geometry import shape

path = f"{folder}/grains-vdf.ome.zarr"
layers = napari_get_reader(path)(path)
image = [one for one in layers if one[2] == "image"][0]
same = np.array_equal(np.asarray(image[0][0]), known["image"])
told("an image with scale and unit", same, f"{image[1]['scale']} {image[1]['units']}")
seen, good = [], True
for data, how, kind in layers:
    if kind != "labels":
        continue
    data, rows = np.asarray(data[0]), how["properties"]
    same = list(how["scale"]) == list(image[1]["scale"])
    told(f"{how['name']}: scale and unit", same, f"{how['scale']} {how['units']}")
    where = {int(i): n for n, i in enumerate(rows["index"])}
    for grain in np.unique(data[data > 0]):
        mask = known["masks"][list(known["ids"]).index(grain)]
        good &= np.array_equal(data == grain, mask) and rows["area_px"][where[int(grain)]] == mask.sum()
        seen.append(int(grain))
good = good and sorted(seen) == known["ids"].tolist()
told("labels are the masks, and properties the table's rows", good, f"{len(seen)} grains")
coco = COCO(f"{folder}/grains-vdf.coco.json")
good = all(np.array_equal(coco.annToMask(coco.anns[int(i)]), m) for i, m in zip(known["ids"], known["masks"]))
told("pycocotools: masks of the annotations", good, f"{len(coco.anns)} grains")
features = json.load(open(f"{folder}/grains-vdf.geojson"))["features"]
shapes = [shape(feature["geometry"]) for feature in features]
told("shapely: polygons are valid", all(one.is_valid for one in shapes))
same = [one.area for one in shapes] == known["masks"].sum(axis=(1, 2)).tolist()
told("shapely: their areas are those of the masks", same)
"""

CHECKS = {"py4dstem": PY4DSTEM, "pyxem": PYXEM, "quantem": QUANTEM, "ome-zarr": OME_ZARR}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("analysis", type=Path)
    parser.add_argument("--environments", type=Path, default=Path("handoff-environments"))
    parser.add_argument("--only", default=",".join(PACKAGES))
    parser.add_argument("--truth", type=Path, help="film with the datasets labels and orientations")
    options = parser.parse_args()
    analysis = stem.Analysis.load(options.analysis)
    folder = options.environments / "files"
    indexed = analysis.result("orientations/vdf") is not None
    if not indexed:
        print("the grains are not indexed: the orientation maps are of random orientations")
        analysis = made_up(analysis)
    names = [row.name for row in FORMATS if row.hand_off]
    done = export(analysis, folder, names, grains="all")
    print(f"{len(done.written)} files; left out: {' '.join(done.left_out) or 'nothing'}")
    known = options.environments / "known.npz"
    np.savez(known, **expected(analysis, options.truth, indexed))
    for name in filter(None, options.only.split(",")):
        python = environment(options.environments / name, PACKAGES[name])
        script = options.environments / f"check-{name}.py"
        script.write_text(textwrap.dedent(SHARED) + CHECKS[name])
        versions = subprocess.run([python, "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True)
        wanted = {package.lower() for package in PACKAGES[name]}
        print(
            name, *(line for line in versions.stdout.split() if line.partition("==")[0].lower() in wanted), flush=True
        )
        ended = subprocess.run([python, "-I", script, known, folder], stderr=subprocess.PIPE, text=True)
        if ended.returncode:
            print(f"  FAIL ended with an error:\n{ended.stderr[-2000:]}")


def environment(path: Path, packages: list[str]) -> str:
    """The Python of an environment with some packages, which is made if need be."""
    python = path / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", path], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return str(python.absolute())


def made_up(analysis: stem.Analysis) -> stem.Analysis:
    """The analysis with random orientations, the first grain of no phase: enough to see that maps are read right."""
    count = len(analysis.grains["vdf"])
    silver = SimpleNamespace(lattice=(4.0853, 4.0853, 4.0853, 90.0, 90.0, 90.0), laue_group="m-3m", space_group=225)
    known = SimpleNamespace(
        matrices=Rotation.random(count, random_state=5).as_matrix(), phase=["", *["Ag"] * (count - 1)],
        score=np.linspace(0.5, 1, count), margin=np.full(count, 0.1), crystals={"Ag": silver},
    )  # fmt: skip
    return replace(analysis, others={**analysis.others, "orientations": {"vdf": known}})


def expected(analysis: stem.Analysis, truth: Path | None, indexed: bool) -> dict[str, np.ndarray]:
    """What the tools should find, as arrays."""
    grains, peaks, calibration = analysis.grains["vdf"], analysis.peaks, analysis.calibration
    assert peaks is not None and calibration is not None and analysis.survey is not None  # noqa: PT018
    found = of_grains(Source(analysis, analysis, "all"), "vdf")
    y, x = (part * calibration.pixel_size / 10 for part in centred(peaks, calibration))
    arrays = {
        "ids": grains.ids, "masks": grains.masks, "labels": grains.labels,
        "patterns": analysis.patterns["vdf"].patterns,
        "offsets": found.offsets, "q_y": found.q_y, "q_x": found.q_x, "intensity": found.intensity,
        "scan_shape": np.array(grains.scan_shape), "scan_offsets": peaks.offsets, "scan_y": y, "scan_x": x,
        "image": analysis.survey.virtual_image,
        "kilovolts": np.array(analysis.input.metadata.get("beam_energy_keV", 300.0)),
    }  # fmt: skip
    swapped = np.array([[0, 1, 0], [1, 0, 0], [0, 0, -1]])  # our lab axes to those of py4DSTEM
    known = analysis.result("orientations/vdf")
    arrays["maps"] = np.asarray(known.matrices)
    if indexed:
        arrays["ours"], arrays["ours_known"] = swapped @ arrays["maps"], np.array([bool(p) for p in known.phase])
    if truth is not None:
        with h5py.File(truth) as file:
            labels, orientations, ours = file["labels"][()], file["orientations"][()], "made_by" in file.attrs
        iou = np.array([[(m & t).sum() / (m | t).sum() for t in labels] for m in grains.masks])
        true = orientations[iou.argmax(axis=1)]
        mirror = np.diag([1.0, 1.0, -1.0])  # films of others: x along scan_y, y along scan_x, beam the other way
        arrays["truth"] = swapped @ true if ours else mirror @ true @ -np.eye(3)
        arrays["truth_known"] = iou.max(axis=1) > 0.5
    return arrays


if __name__ == "__main__":
    main()
