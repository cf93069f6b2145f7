"""What the eye is on, in words: the disks of a pattern, a point of it. No Qt."""

from __future__ import annotations

import numpy as np


def of_preview(heights: np.ndarray, snr: np.ndarray, seconds: float) -> str:
    """The disks of one pattern, in two lines."""
    took = f"looked for in {1e3 * seconds:.0f} ms"
    if not len(heights):
        return f"No disk\n{took}"
    what = "1 disk" if len(heights) == 1 else f"{len(heights)} disks"
    return f"{what}, SNR {snr.min():.1f} to {snr.max():.0f}\nleast height {heights.min():.3g} counts; {took}"


def of_point(q_y: float, q_x: float, value: float, radius: float | None, step: float, unit: str) -> str:
    """A point of the shown pattern, in two lines: pixel and value, then radius and, if it is known, the d-spacing."""
    text = f"q_y {q_y:.0f}, q_x {q_x:.0f}: {value:.4g}\n"
    if radius is None:
        return text
    text += f"r {radius:.1f} px"
    if unit == "1/nm" and radius * step > 0:
        text += f" = {radius * step:.3g} 1/nm, d {1 / (radius * step):.3g} nm"
    return text
