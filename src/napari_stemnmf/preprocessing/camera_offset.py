"""An offset that a camera adds to all counts, as its darkest pixels show it: they hold much and hardly vary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from napari_stemnmf.preprocessing.dead_pixels import count_step

DARKEST = 0.02
"""Share of the pixels that is looked at."""
HIGH, STILL = 0.05, 0.3
"""An offset is so high, over what the brightest pixel has above it, and varies less than this share of what counts
would."""


@dataclass(frozen=True, eq=False)
class DarkPixels:
    """The darkest pixels of a scan: an offset of the camera is what they hold though they hardly vary."""

    places: np.ndarray  # flat
    level: float
    brightest: float
    seen: list[np.ndarray] = field(default_factory=list)

    @classmethod
    def of(cls, mean: np.ndarray, mask: np.ndarray | None) -> DarkPixels:
        """Those of a mean pattern (q_y, q_x), of which a mask keeps some."""
        kept = np.flatnonzero(np.isfinite(mean).ravel() if mask is None else mask.ravel())
        values = mean.ravel()[kept]
        number = max(1, int(DARKEST * len(kept)))
        places = kept[np.argpartition(values, number - 1)[:number]]
        return cls(places, float(np.median(mean.ravel()[places])), float(values.max()))

    def watched(self, patterns: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """The same patterns, of which the dark pixels are kept."""
        for pattern in patterns:
            self.seen.append(np.asarray(pattern).ravel()[self.places])
            yield pattern

    def notes(self) -> list[str]:
        """A sentence where the counts stand on an offset."""
        if len(self.seen) < 3 or not self.level > HIGH * (self.brightest - self.level):
            return []
        seen = np.stack(self.seen).astype(np.float64)
        if np.median(seen.var(axis=0, ddof=1)) >= STILL * self.level * count_step(seen):
            return []
        return [
            f"The counts stand on an offset of about {self.level:.4g}, which holds no information: give a dark "
            "reference (preprocess.dark)."
        ]
