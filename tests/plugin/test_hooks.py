"""Opening and saving in a real viewer."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.plugin import hooks
from napari_stemnmf.plugin.layers import result_layers as layers
from napari_stemnmf.plugin.session import SESSION_KEY, Session

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")


def test_a_scan_opens_as_a_virtual_image_and_a_hidden_lazy_4d_layer(viewer: Any, scan_file: Path, layer: Any) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    patterns, image = layer("patterns"), layer("virtual image")
    dataset = stem.open(scan_file)
    assert isinstance(patterns.data, da.Array)
    assert patterns.data.shape == dataset.shape
    assert not patterns.visible
    assert image.visible
    assert image.data.shape == dataset.scan_shape
    assert np.allclose(patterns.scale, [a.scale for a in dataset.axes])
    assert [f"{u:~}" for u in patterns.units] == ["nm", "nm", "1 / nm", "1 / nm"]
    assert [f"{u:~}" for u in image.units] == ["nm", "nm"]
    assert patterns.axis_labels == ("scan_y", "scan_x", "q_y", "q_x")
    assert image.axis_labels == ("scan_y", "scan_x")
    assert patterns.metadata["stemnmf_dataset"].shape == dataset.shape
    assert patterns.metadata[SESSION_KEY] is image.metadata[SESSION_KEY]


def test_the_contrast_of_patterns_is_set_from_few_chunks() -> None:
    read = []

    def block(block_info: Any = None) -> np.ndarray:
        read.append(1)
        return np.full((1, 4, 8, 8), 7, np.uint16)

    data = da.map_blocks(block, chunks=((1,) * 50, (4,), (8,), (8,)), dtype=np.uint16, meta=np.empty((0,) * 4, "u2"))
    assert layers.pattern_limits(stem.Dataset.from_array(data)) == (0.0, 7.0)
    assert len(read) <= layers.SAMPLED_PATTERNS


def test_a_large_scan_opens_within_two_seconds_of_cpu(tmp_path: Path) -> None:
    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, "w+", np.uint16, (256, 256, 128, 128))  # 2 GB, sparse on disk
    hooks.read_scan(str(path))  # imports and compiles
    began = time.process_time()
    assert len(hooks.read_scan(str(path))) == 2
    assert time.process_time() - began < 2.0


def test_what_is_no_scan_is_left_to_other_readers(tmp_path: Path) -> None:
    np.save(tmp_path / "picture.npy", np.zeros((8, 8)))
    (tmp_path / "folder").mkdir()
    assert hooks.get_reader(str(tmp_path / "picture.npy")) is None
    assert hooks.get_reader(str(tmp_path / "folder")) is None
    assert hooks.get_reader([str(tmp_path / "a.h5"), str(tmp_path / "b.h5")]) is None


@pytest.mark.parametrize(
    ("name", "content"), [("empty.h5", b""), ("text.mib", b"no detector wrote this"), ("x.seq", b"1")]
)
def test_a_file_that_cannot_be_read_gives_one_sentence(
    viewer: Any, notifications: list[str], tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    viewer.open(tmp_path / name, plugin="napari-stemnmf")
    (message,) = notifications
    assert message.startswith(name)
    assert message.count(". ") == 0
    assert len(viewer.layers) == 0


def test_a_folder_opens_where_a_format_is_a_folder(viewer: Any, shared: Path, layer: Any) -> None:
    viewer.open(shared / "semireal" / "SPED_Ag_semireal_crop64x64.zspy", plugin="napari-stemnmf")
    assert layer("patterns").data.shape == (64, 64, 56, 56)
    assert layer("virtual image").scale[0] == pytest.approx(20.37, rel=1e-3)


@pytest.mark.parametrize(
    "name",
    [
        "films/ag1_small.h5",
        "semireal/SPED_Ag_semireal_12x16x56x56_nion.dm4",
        "real/TIA_5x5x256x256",
        "readers/written_by_rsciio/semireal_12x16x56x56.blo",
    ],
)
def test_shared_files_open_in_the_viewer(viewer: Any, shared: Path, layer: Any, name: str) -> None:
    path = shared / name
    if path.is_dir():
        path = next(path.glob("*.emi"))
    viewer.open(path, plugin="napari-stemnmf")
    dataset = stem.open(path)
    assert layer("patterns").data.shape == dataset.shape
    (image,) = [each for each in viewer.layers if each.name.endswith(("virtual image", "preview"))]
    assert np.isfinite(image.data).all()


def test_the_sample_opens_from_the_menu(viewer: Any, layer: Any) -> None:
    viewer.open_sample("napari-stemnmf", "silver_grains")
    assert layer("patterns").data.shape == (48, 48, 96, 96)


@pytest.fixture
def saved(analysis: stem.Analysis, scan_file: Path, tmp_path: Path) -> Path:
    path = tmp_path / "result.stemnmf.h5"
    analysis.save(path)
    return path


def names(viewer: Any) -> set[str]:
    return {layer.name for layer in viewer.layers}


def test_an_analysis_opens_with_all_its_layers(viewer: Any, saved: Path, analysis: stem.Analysis, layer: Any) -> None:
    viewer.open(saved, plugin="napari-stemnmf")
    for feature in ("AA", "RV"):
        for kind in ("component maps", "grains", "grain stack", "overlap"):
            assert f"{analysis.input.name} {feature} {kind}" in names(viewer)
    grains = layer("AA grains")
    assert np.array_equal(grains.data, analysis.grains["aa"].labels)
    assert grains.visible
    assert not layer("RV grains").visible
    assert len(grains.features) == len(analysis.grains["aa"]) + 1
    assert list(grains.features.index) == list(range(len(grains.features)))
    assert list(grains.features["grain_id"][1:]) == list(analysis.grains["aa"].ids)
    assert "dissimilarity" in grains.features
    assert np.array_equal(layer("AA grain stack").data, analysis.grains["aa"].stack)
    assert layer("AA overlap").data.max() == analysis.grains["aa"].masks.sum(axis=0).max()
    assert grains.metadata[SESSION_KEY].dataset is not None


def test_picking_a_label_gives_its_row(viewer: Any, saved: Path, layer: Any) -> None:
    viewer.open(saved, plugin="napari-stemnmf")
    grains = layer("AA grains")
    y, x = np.argwhere(grains.data > 0)[0]
    label = grains.get_value([0.0] * (viewer.dims.ndim - 2) + [y * grains.scale[0], x * grains.scale[1]], world=True)
    assert label == grains.data[y, x]
    assert grains.features["grain_id"][label] == label


def test_a_viewer_with_an_analysis_keeps_its_unit(viewer: Any, saved: Path) -> None:
    viewer.open(saved, plugin="napari-stemnmf")
    assert [f"{u:~}" for u in viewer.layers.extent.units[-2:]] == ["nm", "nm"]


def test_an_analysis_opens_without_its_scan(
    viewer: Any, saved: Path, scan_file: Path, tmp_path: Path, layer: Any
) -> None:
    moved = tmp_path / "elsewhere" / "film.h5"
    moved.parent.mkdir()
    shutil.copy(scan_file, moved)
    alone = stem.analyse(stem.open(moved), stem.Recipe.preset("nmf", ["aa"]).replaced({"aa.clustering.seeds": 1}))
    alone.save(tmp_path / "alone.stemnmf.h5")
    moved.unlink()
    viewer.open(tmp_path / "alone.stemnmf.h5", plugin="napari-stemnmf")
    assert layer("AA grains").metadata[SESSION_KEY].dataset is None


def test_saving_the_layers_saves_the_analysis(
    viewer: Any, saved: Path, tmp_path: Path, analysis: stem.Analysis
) -> None:
    viewer.open(saved, plugin="napari-stemnmf")
    again = tmp_path / "again.stemnmf.h5"
    assert viewer.layers.save(str(again), plugin="napari-stemnmf") == [str(again)]
    loaded = stem.Analysis.load(again)
    assert np.array_equal(loaded.grains["rv"].masks, analysis.grains["rv"].masks)
    before = names(viewer)
    viewer.layers.clear()
    viewer.open(again, plugin="napari-stemnmf")
    assert names(viewer) == before


def test_one_layer_is_enough_to_save_its_analysis(viewer: Any, saved: Path, tmp_path: Path, layer: Any) -> None:
    viewer.open(saved, plugin="napari-stemnmf")
    layer("RV grains").save(str(tmp_path / "one.stemnmf.h5"), plugin="napari-stemnmf")
    assert set(stem.Analysis.load(tmp_path / "one.stemnmf.h5").grains) == {"aa", "rv", "bd"}


def test_a_name_without_ending_gets_it(saved: Path, tmp_path: Path) -> None:
    layer_data = hooks.read_analysis(str(saved))
    assert hooks.write_analysis(str(tmp_path / "plain"), layer_data) == [str(tmp_path / "plain.stemnmf.h5")]


def test_layers_without_analysis_cannot_be_saved_as_one(scan_file: Path, tmp_path: Path) -> None:
    with pytest.raises(stem.errors.AnalysisError, match="run Featurize first"):
        hooks.write_analysis(str(tmp_path / "x.stemnmf.h5"), hooks.read_scan(str(scan_file)))


def test_layers_of_two_scans_are_not_saved_as_one(saved: Path, tmp_path: Path) -> None:
    both = [*hooks.read_analysis(str(saved)), *hooks.read_analysis(str(saved))]
    with pytest.raises(stem.errors.AnalysisError, match="several scans"):
        hooks.write_analysis(str(tmp_path / "x.stemnmf.h5"), both)


def test_a_renamed_analysis_is_still_known(
    viewer: Any, saved: Path, tmp_path: Path, layer: Callable[[str], Any]
) -> None:
    shutil.copy(saved, tmp_path / "renamed.h5")
    viewer.open(tmp_path / "renamed.h5", plugin="napari-stemnmf")
    assert layer("AA grains").data.any()


def test_pixels_are_pixels_where_a_file_gives_no_scale() -> None:
    session = Session(stem.Dataset.from_array(np.ones((3, 4, 5, 6))))
    (_, image, _), (_, patterns, _) = layers.scan_layers(session)
    assert image["units"] == ["pixel"] * 2
    assert patterns["units"] == ["pixel"] * 4
