"""What the docks of Cluster and Refine say before and during a run, without a window."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

import napari_stemnmf as stem
from napari_stemnmf.clustering.iterative_nmf import SeedProgress
from napari_stemnmf.control import Control
from napari_stemnmf.grains.refinement import refine
from napari_stemnmf.grains.tracked import outlined
from napari_stemnmf.plugin.docks.cluster.model import (
    ScreeRequest,
    fates,
    find_scree,
    summary,
    traces_of_model,
    traces_of_news,
)
from napari_stemnmf.plugin.docks.refine.model import MOST, Request, preview, scale_at


def test_the_preview_is_what_refine_gives(analysis: stem.Analysis) -> None:
    model, settings = analysis.models["aa"], analysis.recipe.aa.refinement
    for changed in (settings, replace(settings, threshold_scale=0.6, min_size=3), replace(settings, min_coherence=1.0)):
        live, grains = preview(Request(model, changed, 0)), refine(model.maps, changed)
        assert np.array_equal(live.labels, grains.labels)
        assert live.grains == len(grains)
        assert live.overlap == pytest.approx((grains.overlap > 1).mean())
        every = refine(model.maps, replace(changed, min_size=1))
        assert live.small == len(every) - len(grains)
    assert live.noise == model.k
    assert f"{model.k} maps left out as noise" in live.summary()
    assert live.histogram.noise == bool(np.isnan(grains.thresholds[0]))


def test_the_line_in_the_histogram_moves_the_threshold_to_where_it_is_dropped(analysis: stem.Analysis) -> None:
    model, settings = analysis.models["aa"], replace(analysis.recipe.aa.refinement, threshold_scale=0.8)
    histogram = preview(Request(model, settings, 0)).histogram
    assert histogram.counts.sum() > 0
    wanted = 1.3 * histogram.threshold
    scale = scale_at(histogram, wanted)
    moved = preview(Request(model, replace(settings, threshold_scale=scale), 0)).histogram
    assert moved.threshold == pytest.approx(wanted, rel=2e-3)
    assert scale_at(histogram, 1e9) == 20.0


def test_noise_is_counted_and_not_drawn(analysis: stem.Analysis) -> None:
    """Trap: a mask of the whole scan for each of ten thousand specks."""
    maps = np.random.default_rng(0).random((40, 100, 100), np.float32)
    W = maps.reshape(40, -1).T
    model = replace(analysis.models["aa"], W=W, H=np.ones((40, 3), np.float32), scan_shape=(100, 100))
    settings = replace(analysis.recipe.aa.refinement, min_coherence=0.0, smoothing=0.0, min_size=1, threshold_scale=1.8)
    live = preview(Request(model, settings, 0))
    assert live.grains > MOST
    assert live.labels is None
    assert "too many to draw" in live.summary()


def test_all_components_of_a_large_scan_are_cut_at_once(analysis: stem.Analysis) -> None:
    """26 maps of 100 x 100 in under 0.3 s, several times over on a quiet machine."""
    y, x = np.mgrid[:100, :100]
    maps = [np.exp(-((y - 8 * i % 97) ** 2 + (x - 13 * i % 89) ** 2) / 90.0) for i in range(26)]
    W = np.array(maps, np.float32).reshape(26, -1).T + 0.01
    model = replace(analysis.models["aa"], W=W, H=np.ones((26, 3), np.float32), scan_shape=(100, 100))
    request = Request(model, analysis.recipe.aa.refinement, 3)
    preview(request)
    begun = time.perf_counter()
    assert preview(request).grains == 26
    assert time.perf_counter() - begun < 0.3


def test_news_of_seeds_become_lines_as_the_model_has_them(analysis: stem.Analysis) -> None:
    from napari_stemnmf.clustering.ensemble import cluster

    told: list[SeedProgress] = []
    chain = analysis.recipe.aa
    control = Control(lambda progress: told.append(progress.detail))
    model = cluster(analysis.features["aa"], chain.scaling, chain.clustering, control=control, workers=2)
    half = traces_of_news(told[:2])
    assert half[0].status == "running"
    assert summary(half, 2, None).startswith("0 of 2 seeds done.")
    traces = traces_of_news(told)
    for live, record in zip(traces, traces_of_model(model), strict=True):
        assert live == record
    assert f"Best: seed {model.seed}, k {model.k}" in summary(traces, 2, None)
    assert summary(traces, 2, model.seed) == f"In use: seed {model.seed}, k {model.k}, error {model.error:.4f}."
    assert traces_of_model(None) == []


def test_seeds_in_windows_become_lines_window_by_window_and_their_grains_the_preview(analysis: stem.Analysis) -> None:
    from napari_stemnmf.clustering.ensemble import cluster
    from napari_stemnmf.grains.evidence import refine_model

    told: list[SeedProgress] = []
    chain = analysis.recipe.aa
    settings = replace(chain.clustering, windows="auto", window_size=16)
    control = Control(lambda progress: told.extend([progress.detail] * (progress.detail is not None)))
    model = cluster(analysis.features["aa"], chain.scaling, settings, control=control, workers=2)
    count = len(model.windows)
    assert count > 1
    traces = traces_of_news(told)
    assert [trace.step for trace in traces] == ["window"] * len(model.seeds)
    for live, kept in zip(traces, traces_of_model(model), strict=True):
        assert (live.seed, live.k, live.status, live.step) == (kept.seed, kept.k, kept.status, kept.step)
        assert live.error == pytest.approx(kept.error)
        assert len(live.ks) == len(live.errors) == len(kept.ks) == len(kept.errors) == count
        assert kept.ks[-1] == kept.k
    assert summary(traces, 2, model.seed).startswith(f"In use: seed {model.seed}, k ")
    request = ScreeRequest(analysis.features["aa"], chain.scaling, settings, Control())
    assert find_scree(request).suggested == model.scree.suggested
    assert not request.is_of(request.features, chain.scaling, chain.clustering)
    live, grains = preview(Request(model, chain.refinement, 0)), refine_model(model, chain.refinement)
    assert np.array_equal(live.labels, grains.labels)


def test_the_preview_of_groups_is_what_refine_gives_and_knows_how_likely_all_are(tracked: stem.Analysis) -> None:
    groups, features, settings = tracked.models["vdf"], tracked.features["vdf"], tracked.recipe.vdf.refinement
    odd = np.zeros(groups.scan_shape, bool)
    odd[:, :3] = True
    for changed in (settings, replace(settings, min_confidence=0.9, min_size=12), replace(settings, min_size=10**6)):
        live = preview(Request(groups, changed, 0, odd, features=features))
        grains = outlined(groups, features, changed, left_out=odd)
        assert np.array_equal(live.labels, grains.labels)
        assert live.note == grains.note
        assert live.grains == len(grains)
        assert len(live.likely) == groups.k
    assert f"of {groups.k} groups of spots" in live.summary()
    assert "too small" not in live.summary()


def test_what_became_of_every_track_is_said(tracked: stem.Analysis) -> None:
    groups = tracked.models["vdf"]
    lines = fates(groups)
    assert lines[0] == (np.count_nonzero(groups.group >= 0), "in a group: spots of one grain")
    assert sum(count for count, _ in lines) == len(groups.group)
