"""Figures of films: truth, maps and scores; the number of grains at each position."""

from __future__ import annotations

import numpy as np
import pytest

from napari_stemnmf.errors import AnalysisError, DataError
from napari_stemnmf.figures.films import films, grains_per_pattern
from napari_stemnmf.figures.style import save
from napari_stemnmf.grains.scoring import score

PAGE = 175.0
WHY = "No ring of disks was found in the maximum pattern; give the rings in the recipe, or leave AA out."


def words(figure):
    return {" ".join(t.get_text().split()) for t in figure.findobj(match=lambda a: hasattr(a, "get_text"))}


@pytest.fixture
def two(by_hand):
    """Two films with truth: two representations of three of the second have no grains."""
    thin = by_hand((30, 30), {"rv": 2, "aa": 6, "bd": 9})
    thick = by_hand((30, 30), {"rv": 0, "bd": 20}, failed={"aa": WHY})
    return {"thin": thin, "thick": thick}, {"thin": thin.grains["aa"].masks, "thick": thin.grains["bd"].masks}


def test_all_films_maps_and_charts_are_drawn_inside_the_page(two, readable, uncluttered, tmp_path):
    figure = films(*two)
    readable(figure, 175)
    uncluttered(figure)
    shown = words(figure)
    assert {"thin", "thick", "truth", "RV", "AA", "BD", "precision_A (%)", "TPR_G (%)", *"abcdefg"} <= shown
    assert {"6 grains", "2 grains", "9 grains", "no grains", "20 grains", "2 nm"} <= shown
    assert WHY in shown
    written = save(figure, tmp_path / "figure4")
    assert all(path.stat().st_size > 20_000 for path in written)


def test_bars_and_means_have_the_numbers_of_the_scores(two):
    analyses, truths = two
    shown = words(films(analyses, truths))
    for name, feature in (("thin", "rv"), ("thin", "aa"), ("thin", "bd"), ("thick", "bd")):
        scores = score(analyses[name].grains[feature], truths[name])
        assert f"{100 * scores.precision_A:.1f}" in shown
        if feature != "rv":
            assert f"{name} mean {100 * scores.TPR_G:.1f}" in shown


@pytest.mark.parametrize("counts", [{"aa": 1}, {"rv": 3}, {"rv": 3, "bd": 4}])
def test_one_film_and_any_representations(by_hand, uncluttered, counts):
    analysis = by_hand((20, 20), counts)
    figure = films({"x": analysis}, {"x": analysis.grains[next(iter(counts))].masks})
    uncluttered(figure)
    assert len(figure.findobj(match=lambda a: hasattr(a, "get_xlim"))) == 1 + len(counts) + 1 + max(
        1, len([f for f in counts if f != "rv"])
    )


def test_truth_without_grains_is_drawn(by_hand, uncluttered):
    analysis = by_hand((20, 20), {"aa": 3, "bd": 2})
    figure = films({"x": analysis}, {"x": np.zeros((0, 20, 20), bool)})
    uncluttered(figure)
    assert {"no grains", "0.0", "x mean 0.00"} <= words(figure)


def test_many_films_fit_on_a_page(by_hand, uncluttered):
    analysis = by_hand((20, 20), {"rv": 3, "aa": 4, "bd": 5})
    names = [f"film_number_{i}" for i in range(6)]
    figure = films(dict.fromkeys(names, analysis), dict.fromkeys(names, analysis.grains["aa"].masks))
    uncluttered(figure)
    assert figure.get_figheight() * 25.4 < 240


def test_a_wire_without_calibration_beside_a_film(by_hand, uncluttered):
    wire, film = by_hand((88, 20), {"aa": 12}, step=None), by_hand((20, 20), {"aa": 3})
    figure = films({"wire": wire, "film": film}, {n: a.grains["aa"].masks for n, a in (("wire", wire), ("film", film))})
    uncluttered(figure)
    assert {"5 px", "2 nm"} <= words(figure)


def test_what_is_missing_is_said_in_a_sentence(by_hand):
    analysis = by_hand((20, 20), {"aa": 3})
    with pytest.raises(AnalysisError, match="no truth for 'x'; give the true masks"):
        films({"x": analysis}, {})
    with pytest.raises(AnalysisError, match="no grains to draw; run the analyses"):
        films({"x": by_hand((20, 20), {})}, {"x": np.zeros((1, 20, 20), bool)})
    with pytest.raises(AnalysisError, match="no grains to draw"):
        films({}, {})
    with pytest.raises(DataError, match="of the same scan"):
        films({"x": analysis}, {"x": np.zeros((1, 9, 9), bool)})


def test_every_map_counts_grains_on_one_scale(by_hand, readable):
    one = by_hand((20, 20), {"rv": 3, "aa": 12})
    other = by_hand((30, 9), {"aa": 4, "bd": 6}, failed={"rv": "No radius has half of its azimuths on valid pixels."})
    truth = np.ones((5, 20, 20), bool)
    figure = grains_per_pattern({"film": one, "wire": other}, {"film": truth})
    readable(figure, PAGE)
    maps = {ax.get_title(): ax.images for ax in figure.axes if ax.get_title()}
    assert list(maps) == [f"{film}: {what}" for film in ("film", "wire") for what in ("truth", "RV", "AA", "BD")]
    assert (maps["film: truth"][0].get_array() == 5).all()
    np.testing.assert_array_equal(maps["film: AA"][0].get_array(), one.grains["aa"].overlap)
    most = max(5, one.grains["aa"].overlap.max(), other.grains["bd"].overlap.max())
    drawn = [maps[name][0] for name in ("film: truth", "film: RV", "film: AA", "wire: AA", "wire: BD")]
    assert {image.get_clim() for image in drawn} == {(-0.5, most + 0.5)}
    said = {ax.get_title(): " ".join(t.get_text() for t in ax.texts) for ax in figure.axes}
    assert said["wire: truth"] == "not given"
    assert said["film: BD"] == "not run"
    assert "No radius" in said["wire: RV"].replace("\n", " ")


def test_single_grains_are_pale_even_where_none_overlap(by_hand, readable):
    figure = grains_per_pattern({"film": by_hand((16, 16), {"aa": 1})})
    readable(figure, PAGE)
    assert sum(figure.axes[0].images[0].cmap(1)[:3]) > 1.5


def test_grains_of_another_scan_are_refused(by_hand):
    with pytest.raises(AnalysisError, match="20 x 20"):
        grains_per_pattern({"film": by_hand((20, 20), {"aa": 2})}, {"film": np.ones((2, 10, 10), bool)})
    with pytest.raises(AnalysisError, match="no grains"):
        grains_per_pattern({"film": by_hand((20, 20), {})})
