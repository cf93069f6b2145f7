"""What calibration reaches on distorted scans with known truth, beside the bounds it is held to.

    python benchmarks/calibration.py [--sizes 126,252,432] [--doses 1e4,1e5,1e6] [--seeds 1]

Every scan goes through the pipeline with the preset ``default`` and not one parameter changed: hot pixels, beam stop,
probe, disks, centres, ellipse, then AA beside the AA of the undistorted film. A line for each scan, open and with a
beam stop over the centre (then the undistorted film is masked alike); the last line says how many bounds were missed,
and is the exit status.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from itertools import product

import numpy as np

import napari_stemnmf as stem
from napari_stemnmf.calibration.geometry import Calibration, Geometry
from napari_stemnmf.features.featurize import featurize
from napari_stemnmf.features.polar import Centers
from napari_stemnmf.preprocessing.preparation import prepare
from napari_stemnmf.study.distorted import Distorted, distorted

BOUNDS = {"centre_px": 0.1, "ratio": 0.002, "angle_deg": 2.0, "aa_r": 0.98}
CENTRE_BEHIND_STOP = 0.25
DESCAN = ((7.0, -3.0), (-4.0, 7.0))


def constant(geometry: Geometry, scan_shape: tuple[int, int]) -> Calibration:
    """A calibration with the same centre for every pattern."""
    origin = np.full((*scan_shape, 2), (geometry.q_y, geometry.q_x), np.float32)
    return Calibration(geometry, origin, np.full_like(origin, np.nan))


def measure(scan: Distorted, workers: int | None) -> dict[str, float]:
    """What was found in one scan, against its truth."""
    recipe = stem.Recipe.preset("nmf", ["aa"]).replaced({"*.featurize.intensity": "linear"})
    start = time.process_time()
    analysis = stem.analyse(scan.dataset, recipe, until="calibrate", workers=workers)
    spent = time.process_time() - start
    geometry, origin = analysis.calibration.geometry, analysis.calibration.origin
    hot = {tuple(p) for p in analysis.survey.hot_pixels.tolist()}
    true_hot = {tuple(p) for p in scan.hot_pixels.tolist()}
    seen = {p for p in true_hot if scan.mask is None or scan.mask[p]}
    found = {
        "centre_px": float(np.sqrt(((origin - scan.center) ** 2).sum(axis=-1).mean())),
        "ratio": abs(geometry.ellipse_ratio - scan.ellipse_ratio),
        "angle_deg": abs((geometry.ellipse_angle - scan.ellipse_angle + 90.0) % 180.0 - 90.0),
        "hot_missed": len(seen - hot),
        "disk_pixels_touched": len(hot - true_hot),
        "shadow_open": 0.0,
        "CPU_s": spent,
    }
    if scan.mask is not None:
        mask = geometry.mask if geometry.mask is not None else np.ones_like(scan.mask)
        found["shadow_open"] = float(mask[~scan.mask].mean())
    found["aa_r"] = _aa_correlation(scan, analysis, recipe)
    return found


def _aa_correlation(scan: Distorted, analysis: stem.Analysis, recipe: stem.Recipe) -> float:
    """Pearson's r of the AA of the distorted scan with that of the plain film, masked alike where there is a stop."""
    plain = stem.analyse(scan.plain, recipe, until="calibrate")
    rings = featurize(scan.plain, plain.survey, plain.calibration, recipe).features["aa"].details["rings"]
    same = recipe.replaced({"aa.featurize.rings": rings})
    data = prepare(scan.dataset, analysis.survey.hot_pixels, recipe.preprocess)
    ours = featurize(data, analysis.survey, analysis.calibration, same, peaks=analysis.peaks).features["aa"]
    around = plain.calibration.geometry
    if scan.mask is not None:
        seen = Centers.of(analysis.calibration.geometry, analysis.calibration.origin).geometries[0]
        moved = (round(around.q_y - seen.q_y), round(around.q_x - seen.q_x))
        around = replace(around, mask=np.roll(seen.mask, moved, axis=(0, 1)))
    plainly = constant(around, plain.calibration.scan_shape)
    theirs = featurize(scan.plain, plain.survey, plainly, same).features["aa"]
    names = [list(zip(f.columns["ring"], f.columns["azimuth"], strict=True)) for f in (ours, theirs)]
    both = sorted(set(names[0]) & set(names[1]))
    a, b = (
        f.values[:, [columns.index(c) for c in both]].ravel() for f, columns in zip((ours, theirs), names, strict=True)
    )
    return float(np.corrcoef(a, b)[0, 1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", default="126,252,432")
    parser.add_argument("--doses", default="1e4,1e5,1e6")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--ellipse", type=float, default=1.02)
    parser.add_argument("--scan", type=int, default=16)
    options = parser.parse_args()
    missed = lines = 0
    names = ("centre_px", "ratio", "angle_deg", "aa_r", "hot_missed", "disk_pixels_touched", "shadow_open", "CPU_s")
    print(f"{'size':>5} {'dose':>6} {'stop':>5} {'seed':>4} " + " ".join(f"{n:>11}" for n in names))
    cases = product(options.sizes.split(","), options.doses.split(","), (False, True), range(options.seeds))
    for size, dose, stop, seed in cases:
        scan = distorted(
            (options.scan, options.scan), int(size), dose=float(dose), ellipse_ratio=options.ellipse,
            ellipse_angle=(30.0 + 50.0 * seed) % 180.0, descan=DESCAN, beam_stop=stop, seed=seed,
        )  # fmt: skip
        found = measure(scan, None)
        bounds = BOUNDS | ({"centre_px": CENTRE_BEHIND_STOP} if stop else {})
        bad = [n for n, bound in bounds.items() if (found[n] < bound if n == "aa_r" else found[n] > bound)]
        bad += [n for n in ("hot_missed", "disk_pixels_touched") if found[n]]
        missed, lines = missed + len(bad), lines + 1
        numbers = " ".join(f"{found[n]:>11.4g}" for n in names)
        print(f"{size:>5} {dose:>6} {'yes' if stop else 'no':>5} {seed:>4} {numbers}  {' '.join(bad)}", flush=True)
    print(f"{missed} bounds missed on {lines} scans.")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
