"""A scan with six grains, under review in a window."""

from __future__ import annotations

from typing import Any

import pytest
from review_hands import Canvas, grains, scan

from napari_stemnmf.analysis import Analysis, Input
from napari_stemnmf.grains.measurement import measure
from napari_stemnmf.grains.patterns import grain_patterns
from napari_stemnmf.plugin.docks.review.widget import ReviewWidget
from napari_stemnmf.plugin.layers.result_layers import all_layers
from napari_stemnmf.plugin.session import Session
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.recipe import Recipe


@pytest.fixture
def session() -> Session:
    """A scan whose grains were found and measured."""
    dataset, found = scan(grains()), grains()
    analysis = Analysis(Recipe.preset("nmf", ("aa",)), Input.of(dataset))
    analysis = analysis.with_result("survey", take_survey(dataset, analysis.recipe.preprocess))
    for stage in ("probe", "peaks", "calibration"):
        analysis = analysis.with_result(stage, None)
    analysis = analysis.with_result("features/aa", None).with_result("models/aa", None).with_result("grains/aa", found)
    analysis.features.clear()
    analysis.models.clear()
    known = grain_patterns(dataset, {"aa": found}, source=analysis.keys["survey"])["aa"]
    analysis = analysis.with_result("patterns/aa", known)
    table = measure(found, dataset.axes, known)
    return Session(dataset, analysis.with_result("tables/aa", table))


@pytest.fixture
def dock(viewer: Any, qtbot: Any, session: Session) -> ReviewWidget:
    """Review beside the scan, in a window that is shown."""
    for data, meta, kind in all_layers(session):
        getattr(viewer, f"add_{kind}")(data, **meta)
    widget = ReviewWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Review", area="right")
    viewer.window.resize(1280, 800)
    viewer.show()
    viewer.window.activate()
    qtbot.waitUntil(lambda: widget.native.isVisible(), timeout=10_000)
    qtbot.wait(50)
    viewer.fit_to_view()
    qtbot.wait(50)
    return widget


@pytest.fixture
def canvas(viewer: Any, dock: ReviewWidget) -> Canvas:
    return Canvas(viewer, dock)
