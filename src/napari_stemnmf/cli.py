"""The ``stemnmf`` command: the pipeline in a shell.

Every setting of the recipe can be given with ``--set NAME=VALUE``; the options with names of their own are those
that people change at every run. Results go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf import __version__
from napari_stemnmf.control import Progress
from napari_stemnmf.errors import AnalysisError, Cancelled, RecipeError, StemNMFError
from napari_stemnmf.recipe import FEATURES, PRESETS, Recipe
from napari_stemnmf.settings import walk

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Dataset

ANALYSIS_NAME = "analysis.stemnmf.h5"
DEMO_SEEDS = 10  # enough for the sample; a scan of one's own deserves more
CANCELLED = 130  # what a shell expects of a command that was interrupted


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 0 done, 1 a clear error, 2 wrong usage, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options) or 0)
    except Cancelled as stop:
        print(f"stemnmf: {stop} What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return CANCELLED
    except StemNMFError as error:
        print(f"stemnmf: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="stemnmf", description="Grains from 4D-STEM scans.")
    parser.add_argument("--version", action="version", version=f"napari-stemnmf {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    with_settings: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "epilog": "settings for --set NAME=VALUE:\n" + _settings_help(),
    }

    info = commands.add_parser("info", help="say what a file holds")
    _add_file(info)
    info.set_defaults(command=_info)

    run = commands.add_parser("run", help="find the grains of a scan", **with_settings)
    _add_file(run)
    run.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results; made if need be")
    run.add_argument("--overwrite", action="store_true", help="start afresh even if DIR holds an analysis")
    _add_recipe_options(run)
    run.set_defaults(command=_run)

    calibrate = commands.add_parser(
        "calibrate", help="find disks, centres, ellipse and pixel size of a scan, and draw them", **with_settings
    )
    _add_file(calibrate)
    calibrate.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    calibrate.add_argument(
        "--out", type=Path, metavar="DIR", help="folder for the figures and the analysis, from which run goes on"
    )
    _add_settings_options(calibrate)
    calibrate.set_defaults(command=_calibrate)

    score = commands.add_parser("score", help="compare found grains with the truth")
    score.add_argument("analysis", type=Path, metavar="ANALYSIS", help=f"an analysis file, as in DIR/{ANALYSIS_NAME}")
    score.add_argument(
        "--truth", required=True, metavar="FILE::NAME", help="true grains: stack of masks or label image"
    )
    score.add_argument(
        "--feature", choices=FEATURES, help="representation to score; default: the first in the analysis"
    )
    score.set_defaults(command=_score)

    recipe = commands.add_parser("recipe", help="print a recipe to edit and give to run --recipe")
    _add_recipe_options(recipe)
    recipe.set_defaults(command=_recipe)

    demo = commands.add_parser("demo", help="make a sample scan with known truth, find its grains, compare")
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR", help="folder for scan and results")
    demo.add_argument("--napari", action="store_true", help="show the results in napari")
    _add_recipe_options(demo)
    demo.set_defaults(command=_demo)
    return parser


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="a 4D-STEM scan; FILE::NAME names one of several datasets in it")
    parser.add_argument(
        "--scan-shape", type=_pair, metavar="ROWS,COLUMNS", help="for a file that holds a stack of patterns"
    )


def _add_recipe_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--features", metavar="aa,rv,bd", help=f"representations, of {', '.join(FEATURES)}")
    parser.add_argument("--seeds", type=int, metavar="N", help="random starts of each clustering")
    _add_settings_options(parser)


def _add_settings_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=tuple(PRESETS), default="default", help="settings to start from")
    parser.add_argument("--recipe", type=Path, metavar="R.toml", help="settings from a file, in place of a preset")
    parser.add_argument("--mask", metavar="FILE", help="detector mask, true where pixels are kept")
    parser.add_argument("--workers", type=int, metavar="N", help="threads; default: all cores")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="change one setting; repeatable",
    )


def _settings_help() -> str:
    lines = []
    for name, f, value in walk(Recipe()):
        unit = f" [{f.metadata['unit']}]" if f.metadata["unit"] else ""
        lines.append(f"  {name} (default {'auto' if value is None else value}): {f.metadata['help']}{unit}")
    return "\n".join([*lines, "  a leading * changes all representations: --set '*.separation.min_size=10'"]).replace(
        "%", "%%"
    )


def _pair(text: str) -> tuple[int, int]:
    try:
        rows, columns = (int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not ROWS,COLUMNS") from None
    if rows < 1 or columns < 1:
        raise argparse.ArgumentTypeError(f"'{text}' must be positive")
    return rows, columns


def recipe_from(options: argparse.Namespace) -> Recipe:
    """The recipe that the options of a command line describe."""
    recipe = Recipe.load(options.recipe) if options.recipe else Recipe.preset(options.preset)
    changes: dict[str, Any] = {}
    if getattr(options, "features", None):
        changes["features"] = options.features
    if getattr(options, "seeds", None) is not None:
        changes["*.clustering.seeds"] = options.seeds
    if options.mask:
        changes["beam_stop.mask"] = options.mask
    for item in options.settings:
        name, equals, value = item.partition("=")
        if not equals:
            raise RecipeError(f"--set needs NAME=VALUE, not '{item}'.")
        changes[name.strip()] = value.strip()
    return recipe.replaced(changes)


def _open(options: argparse.Namespace) -> Dataset:
    from napari_stemnmf.reading.opening import open as open_scan

    return open_scan(options.file, scan_shape=options.scan_shape)


def _info(options: argparse.Namespace) -> None:
    from napari_stemnmf.reading.opening import describe

    print(describe(_open(options)))


def _recipe(options: argparse.Namespace) -> None:
    print(recipe_from(options).to_toml(), end="")


def _run(options: argparse.Namespace) -> None:
    recipe = recipe_from(options)
    dataset = _open(options)
    _run_into(dataset, recipe, options.out, workers=options.workers, overwrite=options.overwrite)


def _run_into(
    dataset: Dataset, recipe: Recipe, out: Path, *, workers: int | None = None, overwrite: bool = False
) -> Analysis:
    """Analyse, write all results into `out`, and print what was found and where it lies."""
    from napari_stemnmf.export.results import write_results
    from napari_stemnmf.pipeline import analyse

    _make_folder(out)
    path = out / ANALYSIS_NAME
    if overwrite:
        path.unlink(missing_ok=True)
    cancel = threading.Event()
    with _Reporter() as reporter, _interrupt_sets(cancel):
        analysis = analyse(dataset, recipe, progress=reporter, cancel=cancel, workers=workers, path=path)
    for name, grains in analysis.grains.items():
        model = analysis.models[name]
        print(
            f"{name.upper()}: {len(grains)} grains from {model.W.shape[1]} components "
            f"(seed {model.seed} of {len(model.seeds)}, error {model.error:.4f})"
        )
    _warn(analysis)
    for written in [path, *write_results(analysis, out)]:
        print(f"  {written}")
    return analysis


def _calibrate(options: argparse.Namespace) -> None:
    from napari_stemnmf.export.calibration import summary, text, write_calibration
    from napari_stemnmf.pipeline import analyse, prepared

    recipe, dataset = recipe_from(options), _open(options)
    path = None
    if options.out is not None:
        _make_folder(options.out)
        path = options.out / ANALYSIS_NAME
    cancel = threading.Event()
    with _Reporter() as reporter, _interrupt_sets(cancel):
        analysis = analyse(
            dataset, recipe, progress=reporter, cancel=cancel, workers=options.workers, path=path, until="calibrate"
        )
    _warn(analysis)
    print(json.dumps(summary(analysis), indent=2, allow_nan=False) if options.json else text(analysis))
    if path is not None:
        for written in [path, *write_calibration(analysis, options.out, prepared(analysis, dataset))]:
            print(f"  {written}", file=sys.stderr if options.json else sys.stdout)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AnalysisError(f"The folder {folder} cannot be made: {error}.") from error


def _warn(analysis: Analysis) -> None:
    for warning in analysis.warnings:
        print(f"stemnmf: {warning}", file=sys.stderr)


def _score(options: argparse.Namespace) -> None:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.grains.scoring import score
    from napari_stemnmf.reading.masks import load_masks

    analysis = Analysis.load(options.analysis)
    feature = options.feature or next(iter(analysis.grains), None)
    if feature not in analysis.grains:
        found = ", ".join(analysis.grains) or "none"
        raise AnalysisError(f"{options.analysis} holds no grains of '{feature or 'any feature'}' (it has: {found}).")
    scores = score(analysis.grains[feature], load_masks(options.truth)).as_dict()
    known = {name: None if value != value else value for name, value in scores.items()}  # JSON has no NaN
    print(json.dumps({"feature": feature, **known}, indent=2, allow_nan=False))


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
    analysis = _run_into(open_scan(scan), recipe, options.out, workers=options.workers)
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


class _Reporter:
    """Progress on stderr: one line that is rewritten on a terminal, one line a stage elsewhere."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stage = ""
        self._since = self._shown = 0.0
        self._live = sys.stderr.isatty()

    def __enter__(self) -> _Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_stage()

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            now = time.monotonic()
            if progress.stage != self._stage:
                self._end_stage()
                self._stage, self._since, self._shown = progress.stage, now, 0.0
            if self._live and (now - self._shown > 0.1 or progress.fraction == 1.0):
                self._shown = now
                line = f"{progress.stage} {progress.fraction:4.0%} {progress.message}"
                print(f"\r\x1b[K{line[:100]}", end="", file=sys.stderr, flush=True)

    def _end_stage(self) -> None:
        if self._stage:
            start = "\r\x1b[K" if self._live else ""
            print(f"{start}{self._stage}: {time.monotonic() - self._since:.1f} s", file=sys.stderr, flush=True)
            self._stage = ""


class _interrupt_sets:  # noqa: N801 - reads as a statement
    """Within the block, Ctrl-C (and a polite kill) sets an event instead of tearing the work apart."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event
        self._former: dict[int, Any] = {}

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, lambda *_: self._event.set())

    def __exit__(self, *_: object) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
