"""Figure 5: image, maps and sizes of the grains of a scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.maps import scan_image
from napari_stemnmf.figures.sizes import sizes
from napari_stemnmf.figures.style import save

ALL = {"rv": 4, "aa": 9, "bd": 6}
WHY = "The detector has no room for the radial variance between the central disk and its edge; bin less."


def words(figure):
    return {" ".join(t.get_text().split()) for t in figure.findobj(match=lambda a: hasattr(a, "get_text"))}


def test_a_measured_run_is_drawn_with_all_panels(drawn_sample, readable, uncluttered, tmp_path):
    analysis, _ = drawn_sample
    figure = sizes(analysis)
    readable(figure, 175)
    uncluttered(figure)
    assert {*"abcdefg", "RV", "AA", "BD"} <= words(figure)
    assert {"area (nm²)", "maximum diameter (nm)", "weighted dissimilarity"} <= words(figure)
    mean = analysis.tables["aa"]["area_nm2"].mean()
    assert any(t.startswith("AA mean") and float(t.split()[-1]) == pytest.approx(mean, rel=0.01) for t in words(figure))
    assert all(path.stat().st_size > 20_000 for path in save(figure, tmp_path / "figure5"))


@pytest.mark.parametrize(
    ("shape", "step"),
    [
        ((30, 30), None),
        ((110, 25), None),
        ((25, 110), 0.5),
        ((30, 50), None),
        ((50, 30), 0.5),
        ((150, 20), 0.5),
    ],
)
def test_scans_of_any_shape_are_arranged_on_a_page(by_hand, uncluttered, shape, step):
    figure = sizes(by_hand(shape, ALL, step=step))
    uncluttered(figure)
    assert figure.get_figheight() * 25.4 < 235
    unit = "px" if step is None else "nm"
    assert f"maximum diameter ({unit})" in words(figure)
    assert {"4 grains", "9 grains", "6 grains"} <= words(figure)


def test_representations_without_grains_or_without_success_keep_their_place(by_hand, uncluttered):
    figure = sizes(by_hand((30, 30), {"aa": 0, "bd": 1}, failed={"rv": WHY}))
    uncluttered(figure)
    assert {WHY, "no grains", "1 grain", "AA none", "RV", *"abcdefg"} <= words(figure)


def test_one_representation_and_many_grains(by_hand, uncluttered):
    figure = sizes(by_hand((60, 40), {"aa": 120}))
    uncluttered(figure)
    assert {"120 grains", *"abcde"} <= words(figure)
    assert "f" not in words(figure)


def test_a_table_that_lacks_a_column_leaves_its_panel_out(by_hand, uncluttered):
    analysis = by_hand((30, 30), {"aa": 4})
    bare = replace(analysis, tables={"aa": analysis.tables["aa"].drop(columns="dissimilarity")})
    figure = sizes(bare)
    uncluttered(figure)
    assert "weighted dissimilarity" not in words(figure)
    uncluttered(sizes(replace(analysis, tables={})))


def test_nothing_to_draw_is_said_in_a_sentence(by_hand):
    with pytest.raises(AnalysisError, match="holds no grains to draw; run it to the end"):
        sizes(by_hand((20, 20), {}, failed={"rv": WHY}))
    analysis = by_hand((20, 20), {"aa": 2})
    with pytest.raises(AnalysisError, match="no image of the scan"):
        sizes(replace(analysis, features={}))


def test_the_image_comes_from_the_rings_where_there_are_any(drawn_sample):
    analysis, _ = drawn_sample
    image = scan_image(analysis)
    assert image.title.startswith("dark field")
    np.testing.assert_allclose(image.values.ravel(), analysis.features["aa"].values.mean(axis=1))
    assert scan_image(analysis, "bd").values.shape == image.values.shape
    assert scan_image(replace(analysis, features={})).title == "mean of each pattern"
