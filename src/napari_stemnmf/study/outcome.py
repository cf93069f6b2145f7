"""What a study found, before it is drawn and written.

Leans on analyses, and on the numbers and verdicts of this room.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_stemnmf.analysis import Analysis
from napari_stemnmf.grains.scoring import Scores
from napari_stemnmf.study.claims import Judged
from napari_stemnmf.study.manifest import key_of
from napari_stemnmf.study.measures import Numbers
from napari_stemnmf.study.plan import Plan

ANALYSIS_NAME = "analysis.stemnmf.h5"


@dataclass(frozen=True, eq=False)
class Variant:
    """A film with AA clustered at another merge threshold, and its scores by feature; no scores without truth."""

    analysis: Analysis
    scores: dict[str, Scores]


@dataclass(frozen=True, eq=False)
class Film:
    """One scan of the study, analysed.

    Attributes
    ----------
    name : str
    path : Path
        Its file.
    analysis : Analysis
    truth : ndarray of bool, (t, scan_y, scan_x), or None
        The true grains; None where the file holds none.
    scores : dict of str to Scores
        By feature; empty without truth.
    variants : dict of float to Variant
        By merge threshold of AA.
    dose : float or None
        Electrons a pattern; None where the file does not say.
    """

    name: str
    path: Path
    analysis: Analysis
    truth: np.ndarray | None
    scores: dict[str, Scores]
    variants: dict[float, Variant]
    dose: float | None = None

    @property
    def analysis_file(self) -> str:
        """Where its analysis lies in the study's folder."""
        return f"{self.name}/{ANALYSIS_NAME}"

    @property
    def key(self) -> str:
        """Names everything that is drawn or counted from it."""
        found = [a.keys for a in (self.analysis, *(variant.analysis for variant in self.variants.values()))]
        return key_of(self.name, found, None if self.truth is None else (self.truth.shape, self.truth.tobytes()))


@dataclass(frozen=True, eq=False)
class Judgement:
    """Everything measured, and the verdicts on the paper's claims."""

    numbers: Numbers
    judged: list[Judged]


@dataclass(frozen=True, eq=False)
class Study:
    """What `reproduce` gives back.

    Attributes
    ----------
    folder : Path
        Where all of it lies.
    plan : Plan
        Settings.
    films : dict of str to Film
    numbers : Numbers
        Everything measured.
    judged : list of Judged
        The verdicts on the paper's claims.
    variants : dict of float to Judgement
        The same with AA merged at other thresholds.
    done : list of str
        Steps that were not there yet, or not current.
    """

    folder: Path
    plan: Plan
    films: dict[str, Film]
    numbers: Numbers
    judged: list[Judged]
    variants: dict[float, Judgement]
    done: list[str]
