"""The figure of the representations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_stemnmf import pipeline
from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.representations import representations

PAGE = 175.0


def words(figure):
    return " ".join(text.get_text() for ax in figure.axes for text in [ax.title, ax.xaxis.label, *ax.texts])


def test_all_panels_of_the_paper_s_figure_are_drawn(drawn_sample, readable):
    analysis, sample = drawn_sample
    figure = representations(analysis, pipeline.prepared(analysis, sample.dataset))
    readable(figure, PAGE)
    panels = figure.axes[:8]
    assert all(ax.has_data() and ax.get_xlabel() and ax.get_ylabel() for ax in panels)
    assert [ax.get_xlabel() for ax in panels[1:7]] == ["$q_x$ (1/nm)"] * 6
    assert "counts²" in words(figure)
    assert "(nm)" in panels[0].get_xlabel()


def test_the_row_of_bins_that_is_shown_is_that_of_the_position(drawn_sample):
    analysis, _ = drawn_sample
    position = (12, 7)
    figure = representations(analysis, position=position)
    found = analysis.features["bd"]
    shown = figure.axes[4].images[0].get_array()
    np.testing.assert_allclose(np.sum(shown**4), found.values[[12 * 24 + 7]].sum(), rtol=1e-5)  # weak ones are lifted
    peaks = analysis.peaks.of(12 * 24 + 7)
    assert f"{peaks.stop - peaks.start} disks" in figure.axes[3].get_title()


def test_without_the_scan_a_grain_stands_for_its_patterns(drawn_sample, readable):
    analysis, _ = drawn_sample
    figure = representations(analysis)
    readable(figure, PAGE)
    assert "grain" in figure.axes[3].get_title()
    representations(replace(analysis, patterns={})).draw_without_rendering()


def test_narrow_scan_with_beam_stop_and_ellipse_is_drawn(drawn_wire, readable):
    analysis, data = drawn_wire
    figure = representations(analysis, data)
    readable(figure, PAGE)
    cells = next(c for c in figure.axes[6].collections if c.get_array() is not None)
    first = analysis.features["aa"].columns["ring"] == analysis.features["aa"].columns["ring"].min()
    assert len(cells.get_paths()) == first.sum() < 72


def test_what_the_data_does_not_allow_is_said_in_its_panel(drawn_sample, readable):
    analysis, _ = drawn_sample
    alone = replace(analysis, features={"rv": analysis.features["rv"]}, failed={"aa": "No diffraction ring was found."})
    figure = representations(alone)
    readable(figure, PAGE)
    said = words(figure).replace("\n", " ")
    assert "No diffraction ring was found." in said
    assert "BD was not computed." in said
    nothing = replace(analysis, features={}, peaks=None, patterns={}, grains={})
    readable(representations(nothing), PAGE)


def test_impossible_requests_are_refused(drawn_sample):
    analysis, _ = drawn_sample
    with pytest.raises(AnalysisError, match="24 x 24"):
        representations(analysis, position=(24, 0))
    with pytest.raises(AnalysisError, match="calibrate"):
        representations(replace(analysis, calibration=None))
