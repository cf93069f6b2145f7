"""Scans whose grains anyone can count: how often each preset and representation finds the right number, and where.

    python benchmarks/simple_scans.py [--kinds crystal,half] [--seeds 5] [--first 0] [--doses 1e4,1e5,1e6]

A scan is right where the number of grains is, and each true grain has one of an IoU of 0.8 or more; where there is no
grain to be found, a sentence must say why.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

import napari_stemnmf as stem
from napari_stemnmf.errors import StemNMFError
from napari_stemnmf.simulation.simple import KINDS, simple_scan

PRESETS = ("paper", "default")
LEAST_IOU = 0.8


def right(grains: stem.Grains | None, masks: np.ndarray, why: str) -> bool:
    """Whether the grains are the true ones; none, with a reason, where there are none."""
    if grains is None or len(grains) == 0:
        return len(masks) == 0 and bool(why)
    return len(grains) == len(masks) and all(best_iou(mask, grains.masks) >= LEAST_IOU for mask in masks)


def best_iou(mask: np.ndarray, others: np.ndarray) -> float:
    """The best intersection over union of a mask with one of others."""
    return max((float((mask & other).sum() / (mask | other).sum()) for other in others), default=0.0)


def main() -> None:
    """Print right / total by kind, preset and representation, and what was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--doses", default="1e4,1e5,1e6")
    parser.add_argument("--nmf-seeds", type=int, default=2)
    options = parser.parse_args()
    counts: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
    for kind in options.kinds.split(","):
        for dose in map(float, options.doses.split(",")):
            for seed in range(options.first, options.first + options.seeds):
                scan = simple_scan(kind, seed=seed, dose=dose)
                for preset in PRESETS:
                    recipe = stem.Recipe.preset(preset).replaced({"*.clustering.seeds": options.nmf_seeds})
                    try:
                        analysis = stem.analyse(scan.dataset, recipe, until="refine")
                    except StemNMFError as error:
                        print(f"{kind} {dose:g} seed {seed} {preset}: {error}", flush=True)
                        analysis = None
                    for feature in recipe.features:
                        grains = analysis.grains.get(feature) if analysis else None
                        why = (
                            grains.note if grains is not None else analysis.failed.get(feature, "") if analysis else ""
                        )
                        count = counts[kind, preset, feature]
                        count[1] += 1
                        if right(grains, scan.masks, why):
                            count[0] += 1
                        else:
                            found = "none" if grains is None else [int(mask.sum()) for mask in grains.masks]
                            true = [int(mask.sum()) for mask in scan.masks]
                            print(
                                f"{kind} {dose:g} seed {seed} {preset} {feature}: {found}, true {true}. {why}",
                                flush=True,
                            )
    columns = [(preset, feature) for preset in PRESETS for feature in stem.Recipe.preset(preset).features]
    print(f"{'':12}" + "".join(f"{p} {f:<4}".rjust(13) for p, f in columns))
    for kind in options.kinds.split(","):
        row = "".join("{} / {}".format(*counts[kind, p, f]).rjust(13) for p, f in columns)
        print(f"{kind:12}{row}")


if __name__ == "__main__":
    main()
