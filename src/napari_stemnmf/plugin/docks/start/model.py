"""What the start page says of a scan and of what was found. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_stemnmf.plugin.wording import in_window, readable, size_of
from napari_stemnmf.units import notes_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_stemnmf.dataset import Axis
    from napari_stemnmf.plugin.session import Session
    from napari_stemnmf.streaming.first_images import FirstImages

SURE = 0.9
"""Probability of being right from which a grain that nothing speaks against need not be looked at."""
NO_SCAN = (
    "Open a 4D-STEM scan, drop its file on the canvas, or take the sample. "
    "An image layer with four axes is taken, too: choose it above."
)


def facts(session: Session) -> list[tuple[str, str]]:
    """What is in the file of a scan, as names and sentences: sizes, calibration, beam, and what is assumed of them."""
    dataset = session.dataset
    if dataset is None:
        rows, columns = session.scan_shape
        return [("Scan", f"{rows} × {columns} positions; its file is not open, so there are results only")]
    y, x, q_y, q_x = dataset.axes
    found = [
        ("Scan", f"{y.size} × {x.size} positions{_step((y, x), ', step ')}"),
        ("Patterns", f"{q_y.size} × {q_x.size} pixels{_step((q_y, q_x), ', ')}"),
        ("Data", f"{dataset.dtype}, {size_of(dataset.nbytes)}"),
    ]
    beam = [text for text in (_voltage(dataset.metadata), _dose(session)) if text]
    if beam:
        found.append(("Beam", ", ".join(beam)))
    assumed = [
        text
        for axes, text in (
            ((y, x), "the scan's step is not in the file: lengths are counted in positions"),
            (
                (q_y, q_x),
                "no camera calibration in the file: spacings are in pixels until Calibrate has a ring",
            ),
        )
        if any(axis.assumed and axis.unit == "px" for axis in axes)
    ]
    if assumed:
        found.append(("Assumed", "; ".join(assumed)))
    return found


def odd(session: Session) -> list[str]:
    """What is odd about a scan, a sentence each."""
    if session.analysis is not None:
        return [in_window(line) for line in session.analysis.warnings]
    of_file = notes_of(session.dataset.axes, session.dataset.metadata) if session.dataset is not None else ()
    return [in_window(line) for line in dict.fromkeys((*of_file, *(session.oddities or ())))]


@dataclass(frozen=True)
class Card:
    """What was found of a scan: grains that count, those that need a look, and the share that no grain explains."""

    grains: int
    doubtful: int
    unexplained: float | None

    def text(self) -> str:
        """As in "25 grains · 6 need a look · 8 % of the diffracted intensity not explained"."""
        if not self.grains:
            return "No grains were found"
        look = "none needs a look" if not self.doubtful else _count(self.doubtful, "needs a look", "need a look")
        parts = [_count(self.grains, "grain", "grains"), look]
        if self.unexplained is not None and np.isfinite(self.unexplained):
            parts.append(f"{100 * self.unexplained:.0f} % of the diffracted intensity not explained")
        return " · ".join(parts)


def card(session: Session, feature: str) -> Card | None:
    """What was found for a representation; None before its grains were measured."""
    analysis = session.analysis
    if analysis is None or feature not in analysis.grains or feature not in analysis.tables:
        return None
    from napari_stemnmf.export.chosen import wanted
    from napari_stemnmf.grains.unexplained import whole

    share, kept = analysis.unexplained.get(feature), wanted(analysis, feature, "kept")
    known = share is not None and analysis.peaks is not None and analysis.calibration is not None and len(kept)
    left = whole(share, analysis.peaks, analysis.calibration) if known else None  # type: ignore[arg-type]
    ids = {int(grain) for grain, keep in zip(analysis.grains[feature].ids, kept, strict=True) if keep}
    return Card(len(ids), len(doubtful(session, feature) & ids), left)


def doubtful(session: Session, feature: str) -> set[int]:
    """Grains that nobody has decided on and that something speaks against, or of which little is known."""
    analysis, review = session.analysis, session.review(feature)
    if analysis is None or feature not in analysis.tables:
        return set()
    table = analysis.tables[feature]
    sure = np.zeros(len(table), bool)
    if "confidence" in table:
        reasons = table["reason"].fillna("") if "reason" in table else np.full(len(table), "")
        sure = (table["confidence"].to_numpy(float) >= SURE) & (np.asarray(reasons) == "")
    decided: set[int] = set()
    if review is not None:
        verdicts = review.verdicts()["verdict"]
        decided = set(verdicts.index[verdicts != ""].tolist())
    return {int(grain) for grain in table["grain_id"][~sure]} - decided


def most_doubtful(session: Session, feature: str) -> int:
    """The grain that most needs a look; 0 where none does."""
    among = doubtful(session, feature)
    if not among or session.analysis is None:
        return 0
    table = session.analysis.tables[feature].set_index("grain_id")
    if "confidence" not in table:
        return min(among)
    return min(sorted(among), key=lambda grain: float(table["confidence"].fillna(0.0)[grain]))


def reading_line(images: FirstImages | None, error: str = "") -> str:
    """How far the first images are; empty once they are whole."""
    if error:
        return error
    if images is None:
        return "Preview: reading the scan…"
    return "" if images.whole else f"Preview: {images.fraction:.0%} of the scan read"


def queue_line(others: Sequence[str]) -> str:
    """What a run would wait for; empty for nothing."""
    return f"begins when {' and '.join(others)} {'is' if len(others) == 1 else 'are'} done" if others else ""


def _step(axes: Sequence[Axis], before: str) -> str:
    if any(axis.unit == "px" for axis in axes):
        return ""
    each = [f"{readable(axis.scale)} {axis.unit}" for axis in axes]
    per = "" if axes[0].name.startswith("scan") else " a pixel"
    return before + (each[0] if each[0] == each[1] else f"{each[0]} (y), {each[1]} (x)") + per


def _voltage(metadata: dict[str, object]) -> str:
    for name, factor in (("beam_energy_keV", 1.0), ("beam_energy_eV", 1e-3)):
        value = metadata.get(name)
        if isinstance(value, int | float) and value > 0:
            return f"{value * factor:g} kV"
    return ""


def _dose(session: Session) -> str:
    """Electrons where the file tells, else the counts of a pattern, which are on the canvas."""
    dataset, look = session.dataset, session.canvas.first_look
    told = dataset.metadata.get("dose_e_per_pattern") if dataset is not None else None
    if isinstance(told, int | float) and told > 0:
        return f"{readable(float(told))} electrons a pattern"
    if dataset is None or look is None or look.images is None:
        return ""
    return f"{readable(float(np.median(look.images.total)) * int(np.prod(dataset.detector_shape)))} counts a pattern"


def _count(many: int, one: str, more: str) -> str:
    return f"{many} {one if many == 1 else more}"
