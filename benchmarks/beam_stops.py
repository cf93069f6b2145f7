"""Beam stops in mean patterns: how many are found, how much of them, and what is taken for one where there is none.

    python benchmarks/beam_stops.py [--seed 0] [--plain 200] [--rings 100] [--stops 12]

Mean patterns of films of a few grains (spacing, size of the disks, diffuse light, place and brightness of the beam
vary) and of amorphous rings have no stop; in films there are stops of six kinds. One counts as found where 90 % of it,
but for a pixel along its outline, is masked, and no more than a tenth of its area further than four pixels from it.
"""

from __future__ import annotations

import argparse
import os
import sys

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402 - after the limits on threads
from scipy import ndimage  # noqa: E402

from napari_stemnmf.preprocessing.beam_stop import find_beam_stop  # noqa: E402

SIZES = (64, 96, 128, 256)  # px along the detector
KINDS = ("bar", "round end", "disk", "disk on an arm", "thin arm", "needle")
MOST_FALSE, FOUND, BEYOND, FAR = 0.02, 0.9, 0.1, 4.0  # share of what has no stop; of a stop; of its area; px


def film(chance: np.random.Generator, size: int, lit: bool) -> tuple[np.ndarray, np.ndarray]:
    """Expected mean pattern of a few grains, counts, and where the beam hits it; `lit` between the disks, too."""
    middle = 0.5 * (size - 1) + size * chance.uniform(-0.06, 0.06, 2) * (1.0 if lit else 2.0)
    y, x = np.indices((size, size))
    away = np.hypot(y - middle[0], x - middle[1])
    ground = chance.uniform(0.03, 0.1) if lit else chance.choice([0.0, 0.002, 0.02, 0.1])
    pattern = ground * np.exp(-away / (size * chance.uniform(0.15, 0.4)))
    radius = size * chance.uniform(0.012, 0.045)
    spacing = max(radius * chance.uniform(3.0, 7.0), 4.0)
    pattern += chance.choice([0.02, 0.2, 1.0]) * np.clip(radius + 0.5 - away, 0, 1)
    steps = int(size / spacing) + 1
    for angle in chance.uniform(0, np.pi / 2, chance.integers(1, 6)):
        turn = spacing * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        for place in np.argwhere(np.ones((2 * steps + 1, 2 * steps + 1))) - steps:
            at = middle + turn @ place
            if place.any() and (at > -radius).all() and (at < size + radius).all():
                height = 0.15 * np.exp(-(np.hypot(*place) - 1) / 1.6) * chance.uniform(0, 2)
                pattern += height * np.clip(radius + 0.5 - np.hypot(y - at[0], x - at[1]), 0, 1)
    return pattern / pattern.sum(), middle


def amorphous(chance: np.random.Generator, size: int) -> np.ndarray:
    """Expected mean pattern of one or two rings, the direct beam in the middle."""
    y, x = np.indices((size, size)) - 0.5 * (size - 1) - chance.uniform(-0.05, 0.05, (2, 1, 1)) * size
    away, radius = np.hypot(y, x), size * chance.uniform(0.12, 0.3)
    width = radius * chance.uniform(0.1, 0.45)
    pattern = np.exp(-(((away - radius) / width) ** 2))
    if chance.uniform() < 0.5:
        pattern += 0.4 * np.exp(-(((away - 1.75 * radius) / (1.5 * width)) ** 2))
    pattern += chance.choice([0.0, 0.02, 0.3, 5.0]) * np.clip(0.03 * size + 0.5 - away, 0, 1)
    return (pattern + 10.0 ** chance.uniform(-5, -2)) / pattern.sum()


def stop_of(kind: str, chance: np.random.Generator, size: int, middle: np.ndarray) -> np.ndarray:
    """(q_y, q_x) where a stop is; its end or disk hides the beam."""
    y, x = np.indices((size, size)) - middle[:, None, None] - chance.uniform(-0.01, 0.01, (2, 1, 1)) * size
    angle = chance.uniform(0, 2 * np.pi)
    along, across = y * np.sin(angle) + x * np.cos(angle), y * np.cos(angle) - x * np.sin(angle)
    half, disk = size * chance.uniform(0.05, 0.08), size * chance.uniform(0.08, 0.11)
    arm = {"disk on an arm": 0.035, "thin arm": 0.018}.get(kind, 0.0) * size * chance.uniform(0.8, 1.2)
    round_disk = np.hypot(y, x) < disk
    return np.asarray(
        {
            "bar": (np.abs(across) < half) & (along > -half),
            "round end": ((np.abs(across) < half) & (along > 0)) | (np.hypot(y, x) < half),
            "disk": round_disk,
            "needle": (np.abs(across) < half * np.clip(1.0 + along / (0.5 * size), 0.3, 2.0)) & (along > -half),
        }.get(kind, round_disk | ((np.abs(across) < max(arm, 1.0)) & (along > 0)))
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plain", type=int, default=200)
    parser.add_argument("--rings", type=int, default=100)
    parser.add_argument("--stops", type=int, default=12, help="of each kind")
    options = parser.parse_args()

    def counted(chance: np.random.Generator, expected: np.ndarray) -> np.ndarray:
        dose, patterns = 10.0 ** chance.uniform(3.5, 6), chance.choice([100, 400, 2000])
        return np.asarray(chance.poisson(expected * dose * patterns) / patterns)

    wrong = 0
    for number, what in ((options.plain, "films"), (options.rings, "amorphous rings")):
        false = []
        for k in range(number):
            chance = np.random.default_rng([options.seed, len(what), k])
            size = int(chance.choice(SIZES))
            expected = film(chance, size, chance.uniform() < 0.3)[0] if what == "films" else amorphous(chance, size)
            keep = find_beam_stop(counted(chance, expected))
            false += [] if keep is None else [(k, size, round(float((~keep).mean()), 3))]
        wrong += len(false) > MOST_FALSE * number
        print(f"{what} without a stop: {len(false)} of {number} masked {false or ''}", flush=True)
    for kind in KINDS:
        lost = []
        for k in range(options.stops):
            chance = np.random.default_rng([options.seed, 99, k])
            size = int(chance.choice(SIZES))
            expected, middle = film(chance, size, True)
            stop = stop_of(kind, chance, size, middle)
            light = np.where(stop, chance.choice([0.0, 0.0, 0.01]), 1.0)
            keep = find_beam_stop(counted(chance, expected * light))
            masked = np.zeros_like(stop) if keep is None else ~keep
            core = ndimage.binary_erosion(stop, border_value=1)
            held = float(masked[core].mean())
            beyond = (masked & (ndimage.distance_transform_edt(~stop) > FAR)).sum() / stop.sum()
            if held < FOUND or beyond > BEYOND:
                lost.append(f"{k}: {size} px, {held:.2f} held, {beyond:.2f} beyond")
        print(f"{kind}: {options.stops - len(lost)} of {options.stops} found {'; '.join(lost)}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
