"""Disks of all sizes, distances and doses: which are found, beside what their counts allow.

    python benchmarks/disk_grid.py [--seed 0] [--sizes 32,128,256,1024]

Lattices of disks fill the detector, with and without a beam stop; heights vary, and a fifth of the electrons is
background with a diffuse ring. Counted are the disks that neither the detector's edge nor the stop cuts. Each has two
figures that are exact for its counts: the signal-to-noise ratio that the zero-sum template has of it, and the
probability that an ideal detector finds it. That one knows shape and place of the disk, and all else in the pattern,
and takes the likelihood ratio; it has the false rate of 5 sigma, as the product. Of the disks
above 6 sigma the product has to find so much of what the ideal one finds; printed is also the share of all that the
ideal one finds. A cut disk is neither asked for nor false within its radius.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import NamedTuple

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - after the limits on threads
from scipy import signal  # noqa: E402
from scipy.spatial import cKDTree  # noqa: E402
from scipy.stats import norm  # noqa: E402

RADII, SHARE = (0.4, 1.0, 2.5, 5.0, 10.0), 0.1  # px; and a share of the detector, which is the largest
SPACINGS = (2.2, 2.8, 4.0, 8.0)  # radii
DOSES = (1e3, 1e4, 1e5, 1e6, 1e7)  # electrons a pattern
SIZES = (32, 128, 256, 1024)  # px along the detector
CLOSEST = 3.0  # px between disks; nearer ones are not resolved by pixels
MOST = 3000  # disks of a pattern
DISKS, PATTERNS, LARGE = 80, 12, 512  # so many disks are looked at, or so many patterns; one on large detectors
SEEN, IDEAL = 6.0, 5.0  # sigma of the template; of the false rate
LEAST_RECALL, TIGHT, TIGHT_RECALL, MOST_FALSE = 0.95, 2.5, 0.60, 0.05  # TIGHT: radii below which less is asked
FEW = 4  # disks, up to which recall is not judged


class Cell(NamedTuple):
    """One kind of pattern; lengths in px."""

    size: int
    radius: float
    spacing: float
    electrons: float
    stop: bool

    def patterns(self) -> int:
        """How many of them are looked at."""
        there = (self.size / self.spacing) ** 2
        return 1 if self.size > LARGE else int(np.clip(np.ceil(DISKS / there), 2, PATTERNS))


class Disks(NamedTuple):
    """The true disks of the patterns of a cell."""

    at: np.ndarray  # (n, 3) pattern, q_y, q_x
    sigma: np.ndarray  # (n,) signal-to-noise ratio that the template has of it; 0 where it is cut
    ideal: np.ndarray  # (n,) probability that the ideal detector finds it; 0 where it is cut


def cells(size: int) -> list[Cell]:
    """All kinds of patterns on a detector, but for the doses, which follow."""
    found = []
    for radius in sorted({*(r for r in RADII if r <= SHARE * size), SHARE * size}):
        steps = sorted({max(times * radius, CLOSEST) for times in SPACINGS})
        steps = [step for step in steps if size / step > 3 and (size / step) ** 2 <= MOST]
        found += [Cell(size, radius, step, 0.0, stop) for step in steps for stop in (False, True)]
    return found


def stamp_of(at: np.ndarray, radius: float, pad: int, fine: int = 8) -> np.ndarray:
    """The share of each pixel around the one nearest to `at` that a disk covers."""
    part = (np.arange((2 * pad + 1) * fine) + 0.5) / fine - 0.5 - pad
    y, x = at - np.rint(at)
    inside = (part[:, None] - y) ** 2 + (part[None] - x) ** 2 <= radius**2
    return inside.reshape(2 * pad + 1, fine, 2 * pad + 1, fine).mean((1, 3))


def make(cell: Cell, seed: int) -> tuple[np.ndarray, Disks, np.ndarray | None]:
    """Counts (1, patterns, size, size), the true disks, and the mask of the beam stop."""
    from napari_stemnmf.disks.template import synthetic_kernel

    rng, size, radius = np.random.default_rng(seed), cell.size, cell.radius
    kernel = synthetic_kernel(radius).astype(np.float64)
    pad = max(int(np.ceil(radius + 2)), kernel.shape[0] // 2) + 2
    middle = (size - 1) / 2 + rng.uniform(-1.0, 1.0, 2)
    n = int(np.ceil(size / cell.spacing)) + 1
    order = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 2, indexing="ij"), -1).reshape(-1, 2)
    halo = background(size, middle, radius, pad)
    hidden = shadow(size, middle, radius)
    counts, truth = [], []
    for p in range(cell.patterns()):
        angle = rng.uniform(0, np.pi / 2)
        at = cell.spacing * order @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]] + middle
        there = (np.minimum(at, size - 1 - at) > -radius).all(1)
        height = 0.5 * np.exp(-cell.spacing / (0.3 * size) * np.hypot(*order.T)) * rng.uniform(0.3, 1.0, len(order))
        height[(order == 0).all(1)] = 1.0
        at, height = at[there], height[there]
        stamps = np.array([stamp_of(place, radius, pad) for place in at]) * height[:, None, None]
        corner = np.rint(at).astype(int) + pad  # of the stamp's middle, with a margin of two stamps
        wide = np.zeros((size + 4 * pad, size + 4 * pad))
        for (i, j), stamp in zip(corner, stamps, strict=True):
            wide[i : i + 2 * pad + 1, j : j + 2 * pad + 1] += stamp
        image = wide[2 * pad : -2 * pad, 2 * pad : -2 * pad]
        scale = 0.8 * cell.electrons / image.sum()
        expected = scale * wide + 0.2 * cell.electrons * np.pad(halo, 2 * pad, "edge")
        whole = (np.minimum(at, size - 1 - at) > radius + 0.6).all(1)
        if cell.stop:
            whole &= cKDTree(np.argwhere(hidden)).query(at)[0] > radius + 1.5
        figures = np.zeros((len(at), 2))
        if whole.any():
            around = np.array([expected[i : i + 2 * pad + 1, j : j + 2 * pad + 1] for i, j in corner[whole]])
            figures[whole] = np.stack(
                [seen(around, scale * stamps[whole], kernel), ideal(around, scale * stamps[whole])], 1
            )
        truth.append(np.column_stack([np.full(len(at), p), at, figures]))
        expected = expected[2 * pad : -2 * pad, 2 * pad : -2 * pad]
        counts.append(rng.poisson(np.where(hidden & cell.stop, 0.01 * expected, expected)))
    table = np.concatenate(truth)
    return np.array([counts], np.uint32), Disks(table[:, :3], table[:, 3], table[:, 4]), ~hidden if cell.stop else None


def background(size: int, middle: np.ndarray, radius: float, pad: int) -> np.ndarray:
    """What is not disks, which adds up to 1: a halo and a diffuse ring, both as wide as the probe makes them."""
    y, x = np.indices((size + 2 * pad, size + 2 * pad)) - pad
    away = np.hypot(y - middle[0], x - middle[1])
    halo = np.exp(-away / (0.35 * size)) + 0.5 * np.exp(-(((away - 0.3 * size) / (0.08 * size)) ** 2))
    smeared = signal.fftconvolve(halo, stamp_of(np.zeros(2), radius, pad), mode="valid")
    return np.asarray(smeared / smeared.sum())


def shadow(size: int, middle: np.ndarray, radius: float) -> np.ndarray:
    """The pixels behind the beam stop."""
    y, x = np.indices((size, size))
    round_part = np.hypot(y - middle[0], x - middle[1]) <= 1.6 * radius + 1.0
    return np.asarray(round_part | ((np.abs(x - middle[1]) < 0.6 * radius + 1.0) & (y > middle[0])))


def seen(expected: np.ndarray, disks: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Signal-to-noise ratio that the template has of disks (n, y, x), each in the middle of its expected counts."""
    cut = (expected.shape[1] - kernel.shape[0]) // 2
    inner = np.s_[:, cut : cut + kernel.shape[0], cut : cut + kernel.shape[0]]
    return np.asarray((disks[inner] * kernel).sum((1, 2)) / np.sqrt((expected[inner] * kernel**2).sum((1, 2))))


def ideal(expected: np.ndarray, disks: np.ndarray) -> np.ndarray:
    """Probability that the likelihood ratio finds disks (n, y, x) in expected counts, at the false rate of IDEAL sigma.

    Both tails of the sum over Poisson counts are those of Lugannani and Rice (Adv. Appl. Prob. 12 (1980) 475).
    """
    without = np.maximum(expected - disks, 1e-9 * expected).reshape(len(disks), -1)
    step = np.log(expected.reshape(len(disks), -1) / without)

    def sums(s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        lifted = without * np.exp(s[:, None] * step)
        return (lifted - without).sum(1), (lifted * step).sum(1), (lifted * step**2).sum(1)

    def tail(s: np.ndarray, cumulant: np.ndarray, at: np.ndarray, curvature: np.ndarray) -> np.ndarray:
        w = np.sign(s) * np.sqrt(np.maximum(2.0 * (s * at - cumulant), 1e-12))
        return np.asarray(norm.sf(w) + norm.pdf(w) * (1.0 / (s * np.sqrt(curvature)) - 1.0 / w))

    low, high = np.full(len(disks), 1e-4), np.full(len(disks), 60.0 / np.maximum(step.max(1), 1.0))
    for _ in range(50):
        s = 0.5 * (low + high)
        more = tail(s, *sums(s)) > norm.sf(IDEAL)
        low, high = np.where(more, s, low), np.where(more, high, s)
    of_none, at, curvature = sums(low)
    with_it = low - 1.0
    with_it = np.where(np.abs(with_it) < 1e-3, 1e-3, with_it)
    return np.clip(tail(with_it, of_none - sums(np.ones(len(disks)))[0], at, curvature), 0.0, 1.0)


def find(counts: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """The disks (n, 3) that are found: pattern, q_y, q_x; none where the pattern is refused."""
    import napari_stemnmf as stem
    from napari_stemnmf.disks.detection import find_disks
    from napari_stemnmf.disks.probe import find_probe
    from napari_stemnmf.errors import DataError
    from napari_stemnmf.preprocessing.survey import take_survey
    from napari_stemnmf.stage_settings import DiskSettings, PreprocessSettings

    data = stem.Dataset.from_array(counts)
    survey = take_survey(data, PreprocessSettings(hot_pixels="off"), workers=1)
    try:
        probe = find_probe(data, survey, mask)
    except DataError:
        return np.empty((0, 3))
    peaks = find_disks(data, probe, DiskSettings(max_peaks=10000), workers=1)
    return np.stack([peaks.pattern, peaks.q_y, peaks.q_x], axis=1).reshape(-1, 3)


class Score(NamedTuple):
    """How a cell went."""

    recall: float  # of the disks above SEEN; NaN where there are none
    number: int  # of those
    asked: float  # the least recall
    of_ideal: float  # disks found over disks that the ideal detector finds; NaN where that finds none
    false: float  # share of what was found
    off: int  # number of those

    @property
    def missed(self) -> bool:
        """Whether a bound is."""
        return (self.number > FEW and self.recall < self.asked) or self.false > MOST_FALSE


def judge(cell: Cell, disks: Disks, found: np.ndarray) -> Score:
    """Recall and false share, beside what is asked."""
    apart = np.array([10.0 * cell.size, 1.0, 1.0])  # disks of different patterns never match
    near, clear = max(0.5 * cell.radius, 1.0), disks.sigma > SEEN
    whole = disks.sigma > 0.0
    hit, off = np.zeros(len(disks.at), bool), np.zeros(len(found), bool)
    if len(found):
        hit = cKDTree(found * apart).query(disks.at * apart)[0] < near
        distance, which = cKDTree(disks.at * apart).query(found * apart)
        off = distance >= np.where(whole[which], near, max(cell.radius, near))  # a cut disk is pulled, but there
    tight = cell.spacing < TIGHT * cell.radius or cell.spacing < CLOSEST + 0.5
    allowed = float(disks.ideal[whole].sum())
    return Score(
        recall=float(hit[clear].mean()) if clear.any() else np.nan,
        number=int(clear.sum()),
        asked=(TIGHT_RECALL if tight else LEAST_RECALL) * float(disks.ideal[clear].mean()) if clear.any() else 0.0,
        of_ideal=float(hit[whole].sum()) / allowed if allowed >= 1.0 else np.nan,
        false=float(off.mean()) if len(off) else 0.0,
        off=int(off.sum()),
    )


def grid(seed: int, sizes: tuple[int, ...] = SIZES) -> bool:
    """Print the grid, a line for each kind of lattice; whether a bound is missed."""
    print(f"recall / disks above {SEEN:.0f} sigma, disks found over those of the ideal detector, false share; at "
          + ", ".join(f"{dose:.0e}" for dose in DOSES))  # fmt: skip
    missed = scored = 0
    for size in sizes:
        for kind in cells(size):
            stop = ", stop" if kind.stop else ""
            line = f"{size:5} px, radius {kind.radius:5.3g}, {kind.spacing:5.1f} px apart{stop:6} :"
            for dose in DOSES:
                cell = kind._replace(electrons=dose)
                counts, disks, mask = make(cell, seed)
                score = judge(cell, disks, find(counts, mask))
                missed, scored = missed + score.missed, scored + 1
                line += " " + ("-" if np.isnan(score.recall) else f"{score.recall:.2f}") + f"/{score.number:<4d}"
                line += "  - " if np.isnan(score.of_ideal) else f"{score.of_ideal:4.2f}"
                line += f" {score.false:.2f}{'!' if score.missed else ' '}|"
            print(line, flush=True)
    print(f"{missed} of {scored} cells miss a bound.")
    return bool(missed)


def main() -> int:
    """Run and print; the exit status is 1 where a bound is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", default=",".join(str(n) for n in SIZES))
    options = parser.parse_args()
    return int(grid(options.seed, tuple(int(n) for n in options.sizes.split(","))))


if __name__ == "__main__":
    sys.exit(main())
