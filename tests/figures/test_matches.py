"""Pictures of found grains against true ones."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from napari_stemnmf.dataset import Axis
from napari_stemnmf.errors import DataError
from napari_stemnmf.figures.matches import PAGE_HEIGHT, matches
from napari_stemnmf.figures.style import KIND_COLOURS, MM, WIDTHS
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.scoring import FN, FP, TP

AXES = (Axis("scan_y", 40, 0.5, "nm"), Axis("scan_x", 50, 0.5, "nm"))


def block(rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    mask = np.zeros((40, 50), bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


TRUTH = np.stack([block((0, 10), (0, 10)), block((20, 30), (10, 30)), block((35, 40), (40, 50))])
FOUND = Grains.from_masks(np.stack([block((2, 12), (0, 10)), block((20, 30), (12, 30)), block((0, 5), (40, 50))]))


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def count(picture: np.ndarray, kind: int) -> int:
    return int(np.isclose(picture, to_rgb(KIND_COLOURS[kind])).all(axis=-1).sum())


def test_every_found_and_every_missed_grain_has_a_picture_of_its_kinds():
    figure = matches(FOUND, TRUTH, AXES)
    pictures = [np.asarray(image.get_array()) for image in figure.axes[0].images]
    assert [[count(picture, kind) for kind in (TP, FP, FN)] for picture in pictures] == [
        [80, 20, 20], [180, 0, 20], [0, 50, 0], [0, 0, 50],
    ]  # fmt: skip
    said = words(figure)
    for line in ("1 → 1", "0.80 | 0.67", "2 → 2", "0.90 | 0.90", "no match", "not found"):
        assert line in said
    assert any("bar: 2 nm" in line for line in said)


def test_one_to_one_partners_are_bold_and_shown_where_they_are_no_best_match():
    weights = np.ones((1, 40, 50))
    weights[:, 6:9] = 9.0  # most of the weight lies in the upper grain, most of the area in the lower one
    truth = np.stack([block((0, 9), (0, 10)), block((9, 30), (0, 10))])
    figure = matches(Grains.from_masks(block((6, 30), (0, 10))[None], weights), truth)
    bold = {text.get_text() for text in figure.axes[0].texts if text.get_fontweight() == "bold"}
    assert {"1 ↔ 2", "IoU 0.88"} <= bold
    assert "1 → 1" in words(figure)
    assert "1 → 1" not in bold


@pytest.mark.parametrize("grains", [9, 110])
def test_it_fits_on_a_page_and_nothing_is_cut_off(grains: int):
    places = [(int(i) // 11 * 3, int(i) % 11 * 4) for i in np.arange(grains)]
    masks = np.stack([block((r, r + 3), (c, c + 4)) for r, c in places])
    figure = matches(Grains.from_masks(masks), masks, AXES)
    width, height = figure.get_size_inches() / MM
    assert width == pytest.approx(WIDTHS["page"])
    assert height <= PAGE_HEIGHT
    figure.canvas.draw()
    whole = figure.bbox
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert text.get_fontsize() >= 6
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1, text.get_text()
        assert whole.y0 <= box.y0 < box.y1 <= whole.y1, text.get_text()


def test_a_scan_of_unequal_steps_keeps_its_shape():
    axes = (Axis("scan_y", 40, 1.0, "nm"), Axis("scan_x", 50, 0.5, "nm"))
    left, right, bottom, top = matches(FOUND, TRUTH, axes).axes[0].images[0].get_extent()
    assert (bottom - top) / (right - left) == pytest.approx(40 * 1.0 / (50 * 0.5))


@pytest.mark.parametrize(("found", "true"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_found_and_nothing_true_can_be_drawn(found: int, true: int):
    figure = matches(Grains.from_masks(FOUND.masks[:found]), TRUTH[:true])
    figure.canvas.draw()
    assert len(figure.axes[0].images) == found + true


def test_grains_of_another_scan_are_refused():
    with pytest.raises(DataError):
        matches(FOUND, TRUTH[:, 1:])
