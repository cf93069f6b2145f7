"""Open a 4D-STEM scan, get grains you can look at, correct, measure and trust.

>>> import napari_stemnmf as stem
>>> dataset = stem.open("scan.h5")                                  # doctest: +SKIP
>>> analysis = stem.analyse(dataset, stem.Recipe.preset("paper"))   # doctest: +SKIP
>>> analysis.grains["vdf"].masks.shape                               # doctest: +SKIP

Names are loaded when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.control import Control, Progress
    from napari_stemnmf.dataset import Axis, Dataset
    from napari_stemnmf.grains.grains import Grains
    from napari_stemnmf.grains.scoring import Scores, score
    from napari_stemnmf.pipeline import analyse
    from napari_stemnmf.reading.opening import open
    from napari_stemnmf.recipe import Recipe
    from napari_stemnmf.simulation.sample import sample
    from napari_stemnmf.study.simulate import simulate

__version__ = "0.5.0"

_HOMES = {
    "Analysis": "analysis",
    "Axis": "dataset",
    "Control": "control",
    "Dataset": "dataset",
    "Grains": "grains.grains",
    "Progress": "control",
    "Recipe": "recipe",
    "Scores": "grains.scoring",
    "analyse": "pipeline",
    "open": "reading.opening",
    "sample": "simulation.sample",
    "score": "grains.scoring",
    "simulate": "study.simulate",
}

__all__ = [
    "Analysis", "Axis", "Control", "Dataset", "Grains", "Progress", "Recipe", "Scores", "__version__",
    "analyse", "open", "sample", "score", "simulate",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'napari_stemnmf' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"napari_stemnmf.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
