"""Grains that are scored against a truth, and their scores. No viewer, no Qt.

The grains of the analysis are scored with their overlaps and weights. A Labels layer of grains that was painted is
scored beside them, under a name of its own; its best matches are by area, as paint has no weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_stemnmf.control import Control
from napari_stemnmf.errors import DataError
from napari_stemnmf.grains.grains import Grains
from napari_stemnmf.grains.scoring import confusion

if TYPE_CHECKING:
    from napari_stemnmf.grains.scoring import Scores

PAINTED = {"grains": "painted labels", "stack": "painted stack"}
"""Suffix of the name of a painted layer's grains, by the kind of the layer's role."""
MOST_LABELS = 2**31
"""Positions times labels of a painted label image, at most."""


class Subject(NamedTuple):
    """Grains that are scored."""

    name: str
    """ "AA", or "AA painted labels"."""
    feature: str
    grains: Grains


class Row(NamedTuple):
    """A found grain and its best match, or a true grain that is none; rows of the masks, -1 for none."""

    found: int
    true: int
    TPR: float
    FPR: float
    iou: float


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores against one truth.

    Attributes
    ----------
    where : str
        Name of the layer, or of the file, that the truth came from.
    truth : ndarray of bool, (t, scan_y, scan_x)
    subjects : tuple of Subject
    scores : tuple of Scores
        One a subject.
    """

    where: str
    truth: np.ndarray
    subjects: tuple[Subject, ...]
    scores: tuple[Scores, ...]

    def by_name(self, film: str) -> dict[tuple[str, str], Scores]:
        """The scores as the tables of `score_table` take them."""
        return {(film, s.name): score for s, score in zip(self.subjects, self.scores, strict=True)}

    def index(self, name: str) -> int:
        """Place of the subject of that name; -1 if there is none."""
        names = [subject.name for subject in self.subjects]
        return names.index(name) if name in names else -1

    def rows(self, index: int) -> list[Row]:
        """The found grains of a subject with their best matches, then the true grains that match none."""
        scores = self.scores[index]
        columns = (scores.found, scores.best_match, scores.distributions["TPR_G"], scores.distributions["FPR_G"])
        found = [
            Row(int(f), int(t), float(TPR), float(FPR), float(iou))
            for f, t, TPR, FPR, iou in zip(*columns, scores.best_iou, strict=True)
        ]
        nan = float("nan")
        return found + [Row(-1, int(t), nan, nan, nan) for t in scores.missed]

    def match(self, index: int, row: Row) -> np.ndarray:
        """(scan_y, scan_x) int8: `score_table.confusion` of the two grains of a row at each position."""
        nothing = np.zeros(self.truth.shape[1:], bool)
        found = self.subjects[index].grains.mask(row.found) if row.found >= 0 else nothing
        return confusion(found, self.truth[row.true] if row.true >= 0 else nothing)

    def is_of(self, grains: Mapping[str, Grains]) -> bool:
        """Whether the recorded grains are still those that were scored."""
        recorded = {s.feature: s.grains for s in self.subjects if s.name == s.feature.upper()}
        return recorded.keys() == grains.keys() and all(grains[name] is recorded[name] for name in recorded)


def score_all(
    where: str,
    truth: Callable[[], np.ndarray],
    recorded: Mapping[str, Grains],
    layers: Mapping[str, np.ndarray],
    control: Control | None = None,
) -> Scored:
    """Score the grains of all features.

    Parameters
    ----------
    where : str
        Name of the truth.
    truth : callable
        Gives the true masks (t, scan_y, scan_x); may read a file.
    recorded : mapping of feature to Grains
        Grains of the analysis.
    layers : mapping of role to ndarray
        Labels of the layers "grains/aa" (scan_y, scan_x) and "stack/aa" (g, scan_y, scan_x).
    control : Control, optional

    Returns
    -------
    Scored
        Of the grains of each feature, each followed by its painted layers if they differ.

    Raises
    ------
    StemNMFError
        If there are no masks in the truth, or they are of another scan.
    """
    from napari_stemnmf.grains.scoring import score

    control = Control() if control is None else control
    masks = truth()
    subjects, scores = [], []
    for feature, grains in recorded.items():
        for subject in (Subject(feature.upper(), feature, grains), *_painted(feature, grains, layers)):
            control.check()
            subjects.append(subject)
            scores.append(score(subject.grains, masks))
    return Scored(where, masks, tuple(subjects), tuple(scores))


def _painted(feature: str, grains: Grains, layers: Mapping[str, np.ndarray]) -> list[Subject]:
    """The grains in the layers of a feature that differ from those of the analysis."""
    found = []
    labels, stack = layers.get(f"grains/{feature}"), layers.get(f"stack/{feature}")
    if labels is not None and labels.shape == grains.scan_shape and not np.array_equal(labels, grains.labels):
        found.append((PAINTED["grains"], Grains.of(_of_labels(labels), labels.shape)))
    if stack is not None and stack.shape == (len(grains), *grains.scan_shape):
        at = [np.flatnonzero(stack[row]) for row in range(len(grains))]
        if any(not np.array_equal(where, grains.part(row)[0]) for row, where in enumerate(at)):
            parts = [(where, np.ones(len(where), np.float32)) for where in at]
            found.append((PAINTED["stack"], Grains.of(parts, grains.scan_shape, ids=grains.ids)))
    return [Subject(f"{feature.upper()} {what}", feature, painted) for what, painted in found]


def _of_labels(labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions and weights of each label; row i is label i + 1, so that the numbers stay those of the layer."""
    highest = max(0, int(labels.max(initial=0)))
    if highest * labels.size > MOST_LABELS:
        raise DataError(f"A painted layer has the label {highest}; paint with small numbers to have it scored.")
    at = np.flatnonzero(labels > 0)
    row = labels.ravel()[at].astype(np.int64) - 1
    order = np.argsort(row, kind="stable")
    ends = np.cumsum(np.bincount(row, minlength=highest))[:-1]
    return [(where, np.ones(len(where), np.float32)) for where in np.split(at[order], ends) if highest]
