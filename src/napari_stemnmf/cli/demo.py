"""``stemnmf demo``: the main job on a sample with known truth."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_stemnmf.cli.options import add_recipe_options, recipe_from
from napari_stemnmf.cli.run import ANALYSIS_NAME, run_into

DEMO_SEEDS = 10  # enough for the sample; a scan of one's own deserves more


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("demo", help="make a sample scan with known truth, find its grains, compare")
    parser.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="folder for scan and results")
    parser.add_argument("--napari", action="store_true", help="show the results in napari")
    add_recipe_options(parser)
    parser.set_defaults(command=_demo)


def _demo(options: argparse.Namespace) -> None:
    from napari_stemnmf.grains.scoring import score
    from napari_stemnmf.reading.opening import open as open_scan
    from napari_stemnmf.simulation.sample import sample

    if options.seeds is None and options.recipe is None:
        options.seeds = DEMO_SEEDS
    recipe = recipe_from(options)
    options.out.mkdir(parents=True, exist_ok=True)
    scan = options.out / "sample.h5"
    made = sample()
    if not scan.exists():
        made.save(scan)
    rows, columns, q_y, q_x = made.dataset.shape
    print(f"{scan}: {rows} x {columns} patterns of {q_y} x {q_x} px, {len(made.masks)} true grains, some overlapping")
    analysis = run_into(open_scan(scan), recipe, options.out, workers=options.workers)
    print("Against the truth (1 is perfect, except FNR_A, where 0 is):")
    shown = ("precision_A", "FNR_A", "TPR_G", "mean_iou", "f1_iou50")
    print("      found  true  hit  " + "  ".join(f"{name:>11}" for name in shown))
    for name, grains in analysis.grains.items():
        scores = score(grains, made.masks).as_dict()
        counts = f"{scores['n_found']:>5}  {scores['n_true']:>4}  {scores['n_true_hit']:>3}"
        print(f"{name.upper():<4}  {counts}  " + "  ".join(f"{scores[key]:>11.3f}" for key in shown))
    picture = options.out / f"overview-{recipe.features[0]}.png"
    print(f"Look at {picture}, or open {options.out / ANALYSIS_NAME} in napari.")
    if options.napari:
        from napari_stemnmf.plugin.window import show

        show(options.out / ANALYSIS_NAME)
