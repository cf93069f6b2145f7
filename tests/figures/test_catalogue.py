"""All figures by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_stemnmf.errors import AnalysisError
from napari_stemnmf.figures.catalogue import CATALOGUE, draw

PAGE = 175.0


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_figure_is_drawn_from_what_it_says_it_needs(drawn_sample, name, readable):
    analysis, sample = drawn_sample
    entry = CATALOGUE[name]
    analyses = {"film": analysis} if entry.analyses == "one" else {"film": analysis, "again": analysis}
    truths = dict.fromkeys(analyses, sample.masks) if entry.needs_truth else None
    figure = draw(name, analyses, truths)
    readable(figure, PAGE)
    if entry.uses_scan:
        readable(draw(name, analyses, truths, {"film": sample.dataset}), PAGE)
    if entry.needs_feature:
        readable(draw(name, analyses, truths, feature="bd"), PAGE)


def test_what_a_figure_needs_is_asked_for(drawn_sample):
    analysis, _ = drawn_sample
    with pytest.raises(AnalysisError, match="no figure 'figure 3'"):
        draw("figure 3", {"film": analysis})
    with pytest.raises(AnalysisError, match="one analysis; 2"):
        draw("sizes", {"film": analysis, "again": analysis})
    with pytest.raises(AnalysisError, match="true masks of 'film'"):
        draw("films", {"film": analysis})
    with pytest.raises(AnalysisError, match="needs an analysis"):
        draw("run-times", {})


def test_looking_at_the_catalogue_imports_no_matplotlib():
    code = "import sys, napari_stemnmf.figures.catalogue as c; assert c.CATALOGUE; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
