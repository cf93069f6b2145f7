"""Tables and label images of reviewed grains, as other programs read them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.results import write_results
from napari_stemnmf.export.tables import table_of, write_label_stack, write_labels, write_tables
from napari_stemnmf.grains.editing import Edit

RECIPE = stem.Recipe.preset("nmf", features=["aa", "rv"]).replaced(
    {"*.clustering.seeds": 1, "*.clustering.components": 20}
)


@pytest.fixture(scope="module")
def dataset():
    return stem.sample(scan_shape=(24, 24), detector_shape=(48, 48), seed=2).dataset


@pytest.fixture(scope="module")
def measured(dataset):
    return stem.analyse(dataset, RECIPE)


@pytest.fixture(scope="module")
def reviewed(measured, dataset):
    """AA with a gap in the ids, and words; RV as it was found."""
    first, second, third, *_ = (int(i) for i in measured.grains["aa"].ids)
    edits = [
        Edit("new", points=[(0, 0), (0, 1)]),
        Edit("merge", (first, third)),
        Edit("accept", (first, second)),
        Edit("class", (second,), "fcc, twin"),
    ]
    return pipeline.run(pipeline.edit(measured, "aa", *edits), dataset, "measure")


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_tables_say_what_was_decided(reviewed, tmp_path, format):
    aa, rv = write_tables(reviewed, tmp_path / "new", format)
    assert [path.name for path in (aa, rv)] == [f"grains-aa.{format}", f"grains-rv.{format}"]
    table = pd.read_csv(aa, keep_default_na=False) if format == "csv" else pd.read_parquet(aa)
    assert list(table.columns) == [*reviewed.tables["aa"].columns, "verdict", "class", "comment"]
    assert table["grain_id"].tolist() == reviewed.grains["aa"].ids.tolist()
    assert table["verdict"].tolist() == ["accepted", "accepted"] + [""] * (len(table) - 2)
    assert table["class"].tolist()[:3] == ["", "fcc, twin", ""]
    np.testing.assert_allclose(table["area_nm2"].astype(float), reviewed.tables["aa"]["area_nm2"])
    assert "verdict" not in (pd.read_csv(rv) if format == "csv" else pd.read_parquet(rv))
    (only,) = write_tables(reviewed, tmp_path / "accepted", format, grains="accepted")
    assert len(pd.read_csv(only) if format == "csv" else pd.read_parquet(only)) == 2


def test_rows_of_other_grains_are_not_written(measured, reviewed, tmp_path):
    later = pipeline.undo(pipeline.undo(pipeline.undo(reviewed, "aa"), "aa"), "aa")
    for odd in (later, replace(later, patterns={})):
        with pytest.raises(AnalysisError, match="not as they were when they were measured; run Measure"):
            write_results(odd, tmp_path)
    said = pipeline.edit(measured, "aa", Edit("reject", (int(measured.grains["aa"].ids[0]),)))
    assert table_of(said, "aa", "all")["verdict"].iloc[0] == "rejected"
    assert len(table_of(said, "aa")) == len(measured.grains["aa"]) - 1
    other = pipeline.with_recipe(said, said.recipe.replaced({"aa.refinement.min_size": 11}))
    assert len(table_of(other, "aa")) == len(table_of(said, "aa"))  # stale, and yet the table is that of the grains
    with pytest.raises(AnalysisError, match="No grain was accepted"):
        write_tables(said, tmp_path, grains="accepted")
    with pytest.raises(AnalysisError, match="run Measure"):
        write_tables(replace(said, tables={}), tmp_path)
    with pytest.raises(AnalysisError, match="choose from csv, parquet"):
        write_tables(said, tmp_path, "xls")
    (tmp_path / "file").write_text("")
    with pytest.raises(AnalysisError, match="cannot be written"):
        write_tables(said, tmp_path / "file")


def test_label_images_open_with_ids_scale_and_names(reviewed, tmp_path):
    grains = reviewed.grains["aa"]
    write_label_stack(reviewed, "aa", tmp_path / "stack.tif")
    write_labels(reviewed, "aa", tmp_path / "labels.tif")
    with tifffile.TiffFile(tmp_path / "stack.tif") as file:
        np.testing.assert_array_equal(file.asarray(), grains.stack)
        meta, page = file.imagej_metadata, file.pages[0]
        assert file.series[0].axes == "ZYX"
        assert meta["unit"] == reviewed.axes[1].unit == "nm"
        assert meta["Labels"][:2] == [f"grain {grains.ids[0]}", f"grain {grains.ids[1]} fcc, twin"]
        assert 1 / (page.tags["XResolution"].value[0] / page.tags["XResolution"].value[1]) == pytest.approx(0.5)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "labels.tif"), grains.labels)
    assert tifffile.imread(tmp_path / "stack.tif").dtype == np.uint16
    with pytest.raises(AnalysisError, match="no grains of BD yet"):
        write_label_stack(reviewed, "bd", tmp_path / "bd.tif")
    one = pipeline.edit(reviewed, "aa", *(Edit("delete", (int(i),)) for i in grains.ids[1:]))
    write_label_stack(one, "aa", tmp_path / "one.tif")
    assert tifffile.imread(tmp_path / "one.tif").max() == grains.ids[0]
    with pytest.raises(AnalysisError, match="has no grain"):
        write_label_stack(pipeline.edit(one, "aa", Edit("delete", (int(grains.ids[0]),))), "aa", tmp_path / "none.tif")
