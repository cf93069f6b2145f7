"""No text that comes with data becomes code in a script, a formula in a spreadsheet, or a file elsewhere."""

from __future__ import annotations

import ast
import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import napari_stemnmf as stem
from napari_stemnmf import pipeline
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.export.results import TICKED, export, write_results
from napari_stemnmf.export.script import literal, script
from napari_stemnmf.export.tables import harmless, to_csv, write_labels
from napari_stemnmf.grains.editing import Edit

BREAKING = (
    "x'''+str(__import__('os').system('touch PWNED'))+r'''",
    'x"""+str(__import__("os").system("touch PWNED"))+"""',
    "x'); __import__('os').system('touch PWNED'); ('",
    'x"); __import__("os").system("touch PWNED"); ("',
    "x\\",
    "x\\'); import os #",
    "x\n__import__('os').system('touch PWNED')\n",
    "x\r\nimport os\r\n",
    "{__import__('os')}",
    "x\u2028import os",
)
"""Texts that have a way out of some kind of string."""
RECIPE = stem.Recipe.preset("nmf", features=["bd"]).replaced({"bd.clustering.seeds": 1, "bd.clustering.components": 12})


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> stem.Analysis:
    path = tmp_path_factory.mktemp("scan") / "film.h5"
    stem.sample(scan_shape=(24, 24), detector_shape=(48, 48), seed=1).save(path)
    return stem.analyse(stem.open(path), RECIPE, workers=1)


def filled(analysis: stem.Analysis, text: str) -> stem.Analysis:
    """The analysis with a text at each place where data may hold one."""
    first = int(analysis.grains["bd"].ids[0])
    found = pipeline.edit(analysis, "bd", Edit("comment", (first,), text), Edit("class", (first,), f"{text}."))
    recipe = RECIPE.replaced({"beam_stop.mask": text, "preprocess.dark": text})
    record = replace(found.input, name=text, source=f"{text}::{text}", fingerprint=text)
    return replace(found, recipe=recipe, input=record, mask=np.eye(48, dtype=bool))


def skeleton(text: str) -> str:
    """A script with every text in it emptied: what of it is code."""

    class Emptied(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.Constant:
            return ast.Constant("" if isinstance(node.value, str) else node.value)

    return ast.unparse(Emptied().visit(ast.parse(text)))


@pytest.mark.parametrize("text", BREAKING)
def test_no_text_gets_out_of_its_string_in_a_script(analysis: stem.Analysis, text: str) -> None:
    written = script(filled(analysis, text), options={"dataset": text}, path=text)
    assert skeleton(written) == skeleton(script(filled(analysis, "x"), options={"dataset": "x"}, path="x"))
    held = {node.value for node in ast.walk(ast.parse(written)) if isinstance(node, ast.Constant)}
    assert text in held, "and it is there as it was given"


@given(st.text())
def test_a_literal_is_read_back_as_it_was(text: str) -> None:
    assert ast.literal_eval(literal(text)) == text
    assert ast.literal_eval(literal((text, 1, 2.5))) == (text, 1, 2.5)
    literal(text).encode("utf-8")


def test_only_values_become_literals(analysis: stem.Analysis) -> None:
    class Sly(str):
        def __repr__(self) -> str:
            return "__import__('os')"

    for value in (Sly("x"), object(), [1], np.float64(1)):
        with pytest.raises(TypeError, match="cannot be a literal"):
            literal(value)
    model = replace(analysis.models["bd"])
    object.__setattr__(model, "seed", "__import__('os').system('touch PWNED')")
    chosen = replace(analysis, models={"bd": model}, keys={**analysis.keys, "models/bd": "x seed 1"})
    with pytest.raises(AnalysisError, match="where a number belongs"):
        script(chosen)
    for shape in (("__import__('os')", 24, 48, 48), (24.5, 24, 48, 48)):
        with pytest.raises(AnalysisError, match="number"):
            script(replace(analysis, input=replace(analysis.input, shape=shape)))


@pytest.mark.parametrize(
    "text", ['=HYPERLINK("http://x")', "=cmd|'/C calc'!A0", "@SUM(1)", "+1", "-1", "  =1", "\t=1", "\r=1", "＝1"]
)
def test_no_cell_of_a_table_is_a_formula(analysis: stem.Analysis, text: str, tmp_path: Path) -> None:
    write_results(filled(analysis, text), tmp_path)
    (row, *_) = list(csv.DictReader((tmp_path / "grains-bd.csv").open(encoding="utf-8", newline="")))
    for column, noted in (("comment", text), ("class", f"{text}.")):
        assert row[column].strip()[0] not in "=+-@＝"
        assert noted.replace("\r", "\\r") in row[column]
    assert float(row["area_px"]) == analysis.tables["bd"]["area_px"].iloc[0]


def test_what_parts_cells_elsewhere_does_not_make_a_formula_either() -> None:
    assert harmless("thin; =cmd()") == "thin;' =cmd()"
    assert harmless("one\n=cmd()") == "one\n'=cmd()"
    for text in ("twin", "a-b, 2 + 3 = 5", "-".join("ab"), "", "5 nm", "a; b"):
        assert harmless(text) == text
    assert harmless(-1.5) == -1.5
    assert np.isnan(harmless(float("nan")))


def test_numbers_and_plain_texts_of_a_table_stay_as_they_are(tmp_path: Path) -> None:
    table = pd.DataFrame({"a": [-1.5, 2.0], "b": ["x", None], "c": [True, False], "d": [-3, 4]})
    to_csv(table, tmp_path / "a.csv")
    table.to_csv(tmp_path / "b.csv", index=False)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.parametrize("name", ["../../out", "/tmp/x", "..", "a\nb", "", "$\\frac$ a$b$", "日本"])
def test_results_stay_in_their_folder_whatever_a_scan_is_called(
    analysis: stem.Analysis, name: str, tmp_path: Path
) -> None:
    named = replace(analysis, input=replace(analysis.input, name=name))
    folder = tmp_path / "in" / "folder"
    done = export(named, folder, [*TICKED, "overviews", "analysis", "stacks"])
    assert done.left_out == []
    assert {path.resolve().parent for path in done.written} == {folder}
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert len(list(folder.iterdir())) == len(done.written) == 7


def test_figures_and_pictures_of_any_class_and_unit(analysis: stem.Analysis, tmp_path: Path) -> None:
    axes = tuple(replace(axis, unit="µm\n") for axis in analysis.input.axes)
    survey = replace(analysis.survey, axes=axes)
    write_labels(replace(analysis, survey=survey), "bd", tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.imagej_metadata["unit"] == "\\u00B5m\\u000A"
