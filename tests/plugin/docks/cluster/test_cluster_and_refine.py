"""Cluster and Refine in a real window: the scree, other seeds, and grains that follow the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMessageBox

import napari_stemnmf as stem
from napari_stemnmf.grains.editing import Edit
from napari_stemnmf.plugin.layers.display import find
from napari_stemnmf.representation_settings import RefinementSettings

pytestmark = pytest.mark.filterwarnings("error::FutureWarning", "error::DeprecationWarning:napari")


@pytest.fixture
def opened(viewer: Any, analysis: stem.Analysis, tmp_path: Path) -> stem.Analysis:
    """Both features, analysed and opened in the viewer."""
    analysis.save(tmp_path / "a.stemnmf.h5")
    viewer.open(tmp_path / "a.stemnmf.h5", plugin="napari-stemnmf")
    return analysis


def answer(button: str) -> None:
    """Press a button of the question that is about to be asked."""

    def press() -> None:
        box = QApplication.activeModalWidget()
        assert isinstance(box, QMessageBox)
        next(each for each in box.buttons() if each.text() == button).click()

    QTimer.singleShot(200, press)


def test_the_start_is_set_in_the_scree_and_another_seed_by_a_click(
    viewer: Any, opened: stem.Analysis, step: Any, qtbot: Any
) -> None:
    cluster = step("Cluster")
    session, form = cluster.session, cluster._clustering
    qtbot.waitUntil(lambda: cluster.scree.line is not None, timeout=20_000)
    assert cluster.scree.line.value() == 12  # of the quick settings
    form.editor("components").automatic.value = True
    suggested = opened.models["aa"].scree.suggested
    automatic = max(2, round(session.recipe.aa.clustering.start_factor * suggested))
    assert cluster.scree.line.value() == automatic
    assert form.editor("components").box.value == automatic
    cluster.scree.line.setValue(17.3)
    cluster.scree.line.sigPositionChangeFinished.emit(cluster.scree.line)
    assert session.recipe.aa.clustering.components == 17
    assert cluster.scree.line.value() == 17
    cluster.feature.value = "rv"
    qtbot.waitUntil(lambda: cluster.scree.line is not None and cluster.scree.line.value() == 12, timeout=20_000)

    session.set_recipe(opened.recipe)
    cluster.feature.value = "aa"
    seeds, model = cluster.seeds, opened.models["aa"]
    assert seeds.table.rowCount() == len(model.seeds) == 2
    assert f"In use: seed {model.seed}" in seeds.summary.text()
    assert not seeds.use.isEnabled()
    other = next(record for record in model.seeds if record.seed != model.seed)
    seeds.by_k.clicked.emit(other.seed)  # a click on the end of its line
    assert seeds.use.text() == f"Use seed {other.seed}"
    seeds.use.click()
    qtbot.waitUntil(
        lambda: session.running is None and session.result("cluster", "aa").seed == other.seed, timeout=20_000
    )
    assert session.result("cluster", "aa").k == other.k
    assert np.array_equal(find(viewer, session, "maps/aa").data, session.result("cluster", "aa").maps)
    assert session.state("refine", "aa") == "stale"
    assert f"In use: seed {other.seed}" in seeds.summary.text()


def test_grains_follow_the_settings_until_refine_makes_them_the_result(
    viewer: Any, opened: stem.Analysis, step: Any, click: Any, qtbot: Any
) -> None:
    viewer.show()  # the preview is drawn where it is seen
    refine = step("Refine")
    session, form = refine.session, refine.forms.of(RefinementSettings)
    session.set_recipe(opened.recipe)
    qtbot.waitUntil(lambda: refine.weights.line is not None, timeout=20_000)
    active = viewer.layers.selection.active
    assert find(viewer, session, "preview/aa") is None  # it is what Refine has found

    form.editor("threshold_scale").box.value = 0.6
    form.editor("min_size").box.value = 3
    qtbot.waitUntil(lambda: not refine._preview.busy and refine._last.request.settings.min_size == 3, timeout=20_000)
    qtbot.waitUntil(lambda: find(viewer, session, "preview/aa") is not None, timeout=20_000)
    preview = find(viewer, session, "preview/aa")
    assert preview.contour > 0
    assert viewer.layers.selection.active is active
    assert refine.summary.text().startswith(f"Live: {len(np.unique(preview.data)) - 1} grain")
    refine.filled.value = True
    assert preview.contour == 0

    line = refine.weights.line
    line.setValue(1.4 * refine._last.histogram.threshold)
    line.sigDragged.emit(line)
    line.sigPositionChangeFinished.emit(line)
    assert session.recipe.aa.refinement.threshold_scale == pytest.approx(0.84, abs=0.01)
    qtbot.waitUntil(lambda: refine._last.request.settings == session.recipe.aa.refinement, timeout=20_000)
    shown = preview.data.copy()
    assert find(viewer, session, "preview/aa") is preview

    refine.native.hide()  # another tab
    assert find(viewer, session, "preview/aa") is None
    refine.native.show()
    qtbot.waitUntil(lambda: find(viewer, session, "preview/aa") is not None, timeout=20_000)
    viewer.layers.remove(find(viewer, session, "preview/aa"))
    assert not refine.live.value
    refine.live.value = True

    session.edit("aa", Edit("comment", (int(opened.grains["aa"].ids[0]),), "mine"))
    answer("Keep")
    refine.run.native.click()
    assert session.running is None
    assert session.review("aa") is not None
    answer("Replace")
    click(refine)
    assert session.review("aa") is None
    assert np.array_equal(session.result("refine", "aa").labels, shown)
    assert find(viewer, session, "preview/aa") is None
    assert not refine.summary.text().startswith("Live")


def test_without_maps_or_features_the_docks_say_what_to_do(viewer: Any, scan_file: Path, step: Any) -> None:
    viewer.open(scan_file, plugin="napari-stemnmf")
    refine, cluster = step("Refine"), step("Cluster")
    assert "run Cluster" in refine.weights._note
    assert "once Featurize has run" in cluster.scree._note
    assert not refine.component.enabled
    assert cluster.seeds.summary.text().startswith("No seeds yet")


def test_groups_of_spots_have_views_of_their_own(
    viewer: Any, tracked: stem.Analysis, step: Any, tmp_path: Path, qtbot: Any
) -> None:
    tracked.save(tmp_path / "v.stemnmf.h5")
    viewer.open(tmp_path / "v.stemnmf.h5", plugin="napari-stemnmf")
    viewer.show()
    cluster, groups = step("Cluster"), tracked.models["vdf"]
    cluster.session.set_recipe(tracked.recipe)
    tabs = cluster.tabs
    assert [tabs.tabText(i) for i in range(tabs.count()) if tabs.isTabVisible(i)] == ["Groups"]
    assert str(groups) in cluster.groups.summary.text()
    counts = [int(cluster.groups.table.item(i, 0).text()) for i in range(cluster.groups.table.rowCount())]
    assert sum(counts) == len(groups.group)
    assert f"Groups VDF: {groups}." in cluster.status.value

    refine = step("Refine")
    qtbot.waitUntil(lambda: refine.likely.line is not None, timeout=20_000)
    assert refine.weights.isHidden()
    assert refine.likely.line.value() == tracked.recipe.vdf.refinement.min_confidence
    refine.likely.line.setValue(0.9)
    refine.likely.line.sigPositionChangeFinished.emit(refine.likely.line)
    assert refine.session.recipe.vdf.refinement.min_confidence == 0.9
    likely = np.count_nonzero(tracked.grains["vdf"].confidence >= 0.9)
    qtbot.waitUntil(lambda: f"Live: {likely} grain" in refine.summary.text(), timeout=20_000)
    refine.session.set_recipe(tracked.recipe)
    qtbot.waitUntil(lambda: refine.likely.line.value() == 0.5, timeout=20_000)
