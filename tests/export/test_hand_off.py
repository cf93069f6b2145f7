"""What other programs are handed is what was found: values, units, axes. The real tools: benchmarks/handoff.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy.spatial.transform import Rotation

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.calibration.geometry import centred
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.formats import FORMATS, Source
from napari_stemnmf.export.orientation_maps import bunge
from napari_stemnmf.export.results import export
from napari_stemnmf.export.vectors import of_grains
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.layers import label_layers, layers
from napari_stemnmf.orientation.disks import grain_disks


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> stem.Analysis:
    """Grains of tracked spots of a scan with an ellipse, whose first grain is rejected."""
    path = tmp_path_factory.mktemp("scan") / "film.h5"
    stem.sample((24, 26), (64, 64), seed=2).save(path)
    recipe = stem.Recipe.preset("default").replaced({"ellipse.ratio": 1.05, "ellipse.angle": 30})
    analysis = stem.analyse(stem.open(path), recipe)
    first = int(analysis.grains["vdf"].ids[0])
    return pipeline.edit(analysis, "vdf", Edit("reject", (first,)))


def written(analysis: stem.Analysis, folder: Path, *to: str, **how: Any) -> list[Path]:
    done = export(analysis, folder, to, **how)
    assert done.left_out == []
    assert all(path.exists() for path in done.written)
    return done.written


def calibrated(root: h5py.Group, cell: tuple[int, int]) -> np.ndarray:
    """Vectors (n, 3) as py4DSTEM makes them of a file: origin, ellipse, pixel size, as its documentation has it."""
    known = {name: item[()] for name, item in root["metadatabundle/calibration"].items() if hasattr(item, "shape")}
    rows = root["braggvectors/_v_uncal/data"][cell]
    v = np.stack([rows["qx"] - known["qx0"][cell], rows["qy"] - known["qy0"][cell]])
    turn = known["theta"] - np.pi / 2
    e = known["b"] / known["a"]
    s, c = np.sin(turn), np.cos(turn)
    v = np.array([[e * s**2 + c**2, s * c * (1 - e)], [s * c * (1 - e), s**2 + e * c**2]]) @ v
    return np.column_stack([*(v * known["Q_pixel_size"]), rows["intensity"]])


def test_bragg_vectors_of_the_grains_are_their_disks(found: stem.Analysis, tmp_path: Path) -> None:
    (path,) = written(found, tmp_path, "py4dstem")
    disks, kept = grain_disks(found, "vdf"), found.grains["vdf"].ids[1:]
    with h5py.File(path) as file:
        assert (file.attrs["version_major"], file.attrs["version_minor"]) == (1, 0)
        root = file["datacube_root"]
        assert root["metadatabundle/grains/grain_id"][()].tolist() == kept.tolist()
        assert root["braggvectors/_v_uncal/data"].shape == (len(kept), 1)
        known = root["metadatabundle/calibration"]
        assert known["Q_pixel_units"][()] == b"A^-1"
        for row, grain in enumerate(kept):
            own = disks.of(int(grain))
            expected = np.column_stack([own.q_y / 10, own.q_x / 10, own.intensity])
            assert len(own)
            np.testing.assert_allclose(calibrated(root, (row, 0)), expected, rtol=1e-5, atol=1e-6)
        cube = root["datacube/data"][()]
        np.testing.assert_array_equal(cube[:, 0], found.patterns["vdf"].patterns[1:])
        assert [root[f"datacube/dim{i}"].attrs["name"] for i in range(4)] == ["Rx", "Ry", "Qx", "Qy"]


def test_bragg_vectors_of_the_scan_are_the_calibrated_disks(found: stem.Analysis, tmp_path: Path) -> None:
    (path,) = written(found, tmp_path, "py4dstem-scan")
    peaks, calibration = found.peaks, found.calibration
    assert peaks is not None
    assert calibration is not None
    y, x = centred(peaks, calibration)
    with h5py.File(path) as file:
        root = file["braggvectors_root"]
        assert root["braggvectors/_v_uncal/data"].shape == peaks.scan_shape
        assert root["metadatabundle/calibration/R_pixel_size"][()] == found.axes[1].scale
        for position in (0, 27, 400):
            own, cell = peaks.of(position), (position // 26, position % 26)
            expected = np.column_stack([y[own], x[own]]) * calibration.pixel_size / 10
            np.testing.assert_allclose(calibrated(root, cell)[:, :2], expected, rtol=1e-4, atol=1e-5)


def test_vectors_of_quantem_are_those_of_the_grains(found: stem.Analysis, tmp_path: Path) -> None:
    (path,) = written(found, tmp_path, "quantem", grains="all")
    source = Source(found, found, "all")
    expected = of_grains(source, "vdf")
    store = zarr.storage.ZipStore(path, mode="r")
    root = zarr.open_group(store, mode="r")
    assert root.attrs["_autoserialize"]["class_name"] == "Vector"
    state = root["_state"]
    np.testing.assert_allclose(state["data"][:, 0], expected.q_y / 10, rtol=1e-6)
    np.testing.assert_allclose(state["data"][:, 1], expected.q_x / 10, rtol=1e-6)
    assert state["cell_lengths"][:].tolist() == np.diff(expected.offsets).tolist()
    assert state["shape/values"][:].tolist() == [len(found.grains["vdf"]), 1]
    store.close()


def test_signals_of_pyxem(found: stem.Analysis, tmp_path: Path) -> None:
    rsciio = pytest.importorskip("rsciio.hspy", reason="RosettaSciIO, of the extra formats, is not installed")
    patterns, vectors = written(found, tmp_path, "pyxem")
    (signal,) = rsciio.file_reader(patterns)
    assert signal["metadata"]["Signal"]["signal_type"] == "electron_diffraction"
    np.testing.assert_array_equal(signal["data"], found.patterns["vdf"].patterns[1:])
    grain, ky, kx = signal["axes"]
    assert (grain["name"], ky["name"], kx["name"], kx["units"]) == ("grain", "ky", "kx", "$A^{-1}$")
    assert found.calibration is not None
    assert kx["scale"] == pytest.approx(found.calibration.pixel_sides[1] / 10)
    assert -kx["offset"] / kx["scale"] == pytest.approx(found.calibration.geometry.q_x, abs=0.5)
    (signal,) = rsciio.file_reader(vectors)
    assert signal["metadata"]["VectorMetadata"]["column_names"] == ["kx", "ky", "intensity"]
    disks, kept = grain_disks(found, "vdf"), found.grains["vdf"].ids[1:]
    for cell, grain_id in zip(signal["data"], kept, strict=True):
        own = disks.of(int(grain_id))
        np.testing.assert_allclose(cell, np.column_stack([own.q_x / 10, own.q_y / 10, own.intensity]), rtol=1e-6)


def indexed(analysis: stem.Analysis) -> tuple[stem.Analysis, np.ndarray]:
    """The analysis with random orientations, the last grain of no phase."""
    count = len(analysis.grains["vdf"])
    matrices = Rotation.random(count, random_state=1).as_matrix()
    phase = np.array([*["Ag"] * (count - 1), ""], object)
    silver = SimpleNamespace(lattice=(4.0853,) * 3 + (90.0,) * 3, laue_group="m-3m", space_group=225)
    score, margin = np.linspace(0.5, 1, count), np.ones(count)
    known = SimpleNamespace(matrices=matrices, phase=phase, score=score, margin=margin, crystals={"Ag": silver})
    return replace(analysis, others={**analysis.others, "orientations": {"vdf": known}}), matrices


def test_angles_of_bunge_are_those_of_the_inverse() -> None:
    matrices = np.concatenate(
        [Rotation.random(50, random_state=2).as_matrix(), np.eye(3)[None], [np.diag([1, -1, -1])]]
    )
    phi1, phi, phi2 = bunge(matrices).T

    def about(axis: str, angle: np.ndarray) -> np.ndarray:
        return Rotation.from_euler(axis, -angle[:, None]).as_matrix()  # passive

    g = about("z", phi2) @ about("x", phi) @ about("z", phi1)
    np.testing.assert_allclose(g, matrices.transpose(0, 2, 1), atol=1e-12)


def test_orientation_maps_have_the_dominant_grain_and_the_layers(found: stem.Analysis, tmp_path: Path) -> None:
    analysis, matrices = indexed(found)
    grains = analysis.grains["vdf"]
    paths = written(analysis, tmp_path, "orix", "ang", grains="all")
    deep = len(label_layers(grains))
    assert deep > 1
    assert len(paths) == 2 * (1 + deep)
    dominant = grains.labels.ravel()
    angles = bunge(matrices)
    with h5py.File(tmp_path / "orientations-vdf.h5") as file:
        data, header = file["crystal_map/data"], file["crystal_map/header"]
        assert data["grain_id"][()].tolist() == dominant.tolist()
        assert header["scan_unit"][()].tolist() == [b"nm"]
        assert header["phases/0/structure/lattice/abcABG"][()].tolist() == [4.0853, 4.0853, 4.0853, 90, 90, 90]
        row = grains.row_of(int(dominant[dominant > 0][0]))
        at = int(np.flatnonzero(dominant == grains.ids[row])[0])
        np.testing.assert_allclose([data[name][at] for name in ("phi1", "Phi", "phi2")], angles[row])
        assert (data["x"][at], data["y"][at]) == (at % 26 * analysis.axes[1].scale, at // 26 * analysis.axes[0].scale)
        nothing = (dominant == 0) | (dominant == grains.ids[-1])
        assert (data["phase_id"][()] == np.where(nothing, -1, 0)).all()
    table = np.loadtxt(tmp_path / "orientations-vdf.ang")
    assert table.shape == (24 * 26, 12)
    np.testing.assert_allclose(table[at, :3], angles[row], atol=1e-5)
    assert (table[nothing, 7] == 0).all()  # not indexed, for MTEX: no phase,
    assert (table[nothing, 6] == -1).all()  # and for orix: no confidence
    assert table[at, 3] == pytest.approx(at % 26 * analysis.axes[1].scale / 1000)
    whole = set()
    for layer in range(1, deep + 1):
        of_layer = np.loadtxt(tmp_path / f"orientations-vdf-layer{layer}.ang")[:, 10].astype(int)
        for grain in np.unique(of_layer[of_layer > 0]):
            assert np.array_equal(of_layer.reshape(24, 26) == grain, grains.mask(grains.row_of(int(grain))))
            whole.add(int(grain))
    assert whole == set(grains.ids.tolist())


def test_grains_that_are_not_indexed_have_no_map_and_the_rest_is_written(found: stem.Analysis, tmp_path: Path) -> None:
    done = export(found, tmp_path, ["ang", "coco"])
    assert [path.name for path in done.written] == ["grains-vdf.coco.json", "grains-vdf.coco.png"]
    assert len(done.left_out) == 1
    assert "are not indexed: this version finds no orientations" in done.left_out[0]


def test_ome_zarr_has_labels_that_do_not_overlap_and_the_table(found: stem.Analysis, tmp_path: Path) -> None:
    (path,) = written(found, tmp_path, "ome-zarr")
    written(found, tmp_path, "ome-zarr")  # once more: a store that is there is replaced
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    root = zarr.open_group(path, mode="r", zarr_format=3)
    (scales,) = root.attrs["ome"]["multiscales"]
    assert root.attrs["ome"]["version"] == "0.5"
    assert [axis["unit"] for axis in scales["axes"]] == ["nanometer", "nanometer"]
    assert scales["datasets"][0]["coordinateTransformations"][0]["scale"] == [axis.scale for axis in found.axes[:2]]
    grains, areas = found.grains["vdf"], found.tables["vdf"].set_index("grain_id")["area_px"]
    seen = []
    for name in root["labels"].attrs["ome"]["labels"]:
        label, about = root[f"labels/{name}/0"][:], root[f"labels/{name}"].attrs["ome"]["image-label"]
        for row in about["properties"]:
            number = row["label-value"]
            assert row["area_px"] == areas[number]
            assert np.array_equal(label == number, grains.mask(grains.row_of(number)))
            seen.append(number)
    assert sorted(seen) == grains.ids[1:].tolist()


def test_what_is_no_store_is_not_replaced(found: stem.Analysis, tmp_path: Path) -> None:
    (tmp_path / "grains-vdf.ome.zarr").mkdir()
    (tmp_path / "grains-vdf.ome.zarr" / "mine.txt").write_text("mine")
    done = export(found, tmp_path, ["ome-zarr"])
    assert "is there and is something else" in done.left_out[0]
    assert [entry.name for entry in (tmp_path / "grains-vdf.ome.zarr").iterdir()] == ["mine.txt"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["grains-vdf.ome.zarr"]


def test_annotations_hold_the_table_and_the_class(found: stem.Analysis, tmp_path: Path) -> None:
    grain = int(found.grains["vdf"].ids[2])
    coco, _, geojson = written(
        pipeline.edit(found, "vdf", Edit("class", (grain,), "twin")), tmp_path, "coco", "geojson"
    )
    content = json.loads(coco.read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    classes = {a["id"]: names[a["category_id"]] for a in content["annotations"]}
    assert classes == {int(i): "twin" if i == grain else "grain" for i in found.grains["vdf"].ids[1:]}
    (own,) = [a for a in content["annotations"] if a["id"] == grain]
    y, x = found.grains["vdf"].places(2)
    assert own["bbox"] == [x.min(), y.min(), x.max() - x.min() + 1, y.max() - y.min() + 1]
    assert own["attributes"]["area_px"] == own["area"] == len(y)
    features = json.loads(geojson.read_text())
    assert features["about"]["pixel_size"] == {"x": found.axes[1].scale, "y": found.axes[0].scale, "unit": "nm"}
    assert [f["properties"]["grain_id"] for f in features["features"]] == found.grains["vdf"].ids[1:].tolist()


def test_layers_hold_every_grain_and_none_that_overlap() -> None:
    rng = np.random.default_rng(3)
    masks = np.zeros((20, 15, 15), bool)
    for mask, (y, x, h, w) in zip(masks, rng.integers(1, 8, (20, 4)), strict=True):
        mask[y : y + h, x : x + w] = True
    grains = Grains.from_masks(masks)
    of = layers(grains)
    assert all(masks[of == layer].sum(axis=0).max() == 1 for layer in range(of.max() + 1))
    assert layers(Grains.from_masks(np.zeros((0, 3, 3), bool))).tolist() == []


def test_every_format_is_written_or_says_why(found: stem.Analysis, tmp_path: Path) -> None:
    """The rows of the table that need no figure; without a calibration of the detector, those that need it say so."""
    names = [row.name for row in FORMATS if row.name not in ("figures", "analysis")]
    analysis, _ = indexed(found)
    files = {path.name for path in written(analysis, tmp_path / "all", *names)}
    assert {row.file.format(feature="vdf", scan="film") for row in FORMATS if row.name in names} <= files
    assert analysis.calibration is not None
    without = replace(analysis, calibration=replace(analysis.calibration, pixel_unit="px", pixel_method="none"))
    done = export(without, tmp_path / "px", names)
    assert len(done.left_out) == 4  # py4dstem, quantem twice, pyxem
    assert all("not calibrated in 1/nm" in sentence for sentence in done.left_out)


def test_a_format_that_is_not_there_is_told(found: stem.Analysis, tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="no format 'matlab'; choose from csv"):
        export(found, tmp_path / "new", ["matlab"])
    assert not (tmp_path / "new").exists()
    none = pipeline.edit(found, "vdf", Edit("reject", tuple(found.grains["vdf"].ids.tolist())))
    done = export(none, tmp_path, ["coco"])
    assert done.written == []
    assert "All grains were rejected" in done.left_out[0]


def test_parquet_keeps_types(found: stem.Analysis, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (path,) = written(found, tmp_path, "parquet")
    table = pd.read_parquet(path)
    assert table["grain_id"].tolist() == found.grains["vdf"].ids[1:].tolist()
    assert table["touches_border"].dtype == bool
