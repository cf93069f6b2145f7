"""How clear the disks of a scan are."""

from __future__ import annotations

import numpy as np

from napari_stemnmf.disks.detection import Peaks


def third_brightest(peaks: Peaks, centre: tuple[float, float], radius: float) -> float:
    """Signal-to-noise ratio of the third brightest disk beside the direct beam, in the upper quarter of patterns."""
    far = np.hypot(peaks.q_y - centre[0], peaks.q_x - centre[1]) > 2 * radius
    pattern, snr = peaks.pattern[far], peaks.snr[far]
    order = np.lexsort((-snr, pattern))
    count = np.bincount(pattern, minlength=1)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    third = np.zeros(len(count))
    third[count > 2] = snr[order][first[count > 2] + 2]
    return float(np.quantile(third[count > 0], 0.75)) if (count > 0).any() else 0.0
