"""``stemnmf run``: a scan's grains, into a folder; ``stemnmf demo``: the same of a sample, compared with its truth."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf.cli.batch import is_batch, run_all
from napari_stemnmf.cli.options import (
    ANALYSIS_NAME,
    add_file,
    add_recipe_options,
    open_file,
    place,
    recipe_from,
    with_settings,
)
from napari_stemnmf.cli.terminal import Reporter
from napari_stemnmf.cli.wording import in_options
from napari_stemnmf.errors import AnalysisError, StemNMFError
from napari_stemnmf.files.locks import held
from napari_stemnmf.files.writing import make_folder
from napari_stemnmf.texts import NOT_WRITTEN, why

if TYPE_CHECKING:
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.dataset import Dataset
    from napari_stemnmf.recipe import Recipe
    from napari_stemnmf.streaming.pools import Executor

DEMO_SEEDS = 10  # enough for the sample; a scan of one's own deserves more


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("run", help="find the grains of a scan", **with_settings())
    add_file(parser, several=True)
    out_help = "folder for the results, of several scans with a folder for each in it; made if need be"
    parser.add_argument("--out", required=True, type=place, metavar="DIR", help=out_help)
    overwrite_help = "start afresh even if DIR holds an analysis, which is replaced when the run is done"
    parser.add_argument("--overwrite", action="store_true", help=overwrite_help)
    add_recipe_options(parser)
    _add_cluster_options(parser)
    parser.set_defaults(command=_run)


def _run(options: argparse.Namespace) -> int:
    recipe = recipe_from(options)
    several = is_batch(options.files)
    dataset = None if several else open_file(options, options.files[0])
    with _cluster(options) as executor:
        how = {
            "workers": options.workers,
            "executor": executor,
            "memory": options.memory,
            "overwrite": options.overwrite,
        }
        if dataset is None:
            return run_all(
                options.files,
                options.out,
                lambda file, out: run_into(open_file(options, str(file)), recipe, out, **how),
            )
        run_into(dataset, recipe, options.out, **how)
    return 0


def _add_cluster_options(parser: argparse.ArgumentParser) -> None:
    """Where the scan is read and worked on, and what that may take."""
    memory_help = "memory that the run may take, as in 4; default: half of what is free"
    parser.add_argument("--memory", type=gigabytes, metavar="GB", help=memory_help)
    group = parser.add_mutually_exclusive_group()
    at_help = "have the workers of a dask scheduler read the scan, as in tcp://host:8786; they need to see its file"
    group.add_argument("--scheduler", default="", metavar="ADDRESS", help=at_help)
    processes_help = "have so many processes of this machine read the scan, in place of threads"
    group.add_argument("--workers-processes", type=_count, default=0, metavar="N", help=processes_help)


def _count(text: str) -> int:
    """A number of processes, 1 or more."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is no number of processes; give 1 or more")
    return int(text)


def gigabytes(text: str) -> float:
    """Bytes, from a number of GB above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is no number of GB; give one above 0")
    return number * 1e9


def _cluster(options: argparse.Namespace) -> AbstractContextManager[Executor | None]:
    """What reads the scan in place of threads, if that was asked for."""
    from napari_stemnmf.streaming.cluster import workers_at

    return workers_at(options.scheduler, options.workers_processes)


def run_into(
    dataset: Dataset,
    recipe: Recipe,
    out: Path,
    *,
    workers: int | None = None,
    overwrite: bool = False,
    executor: Executor | None = None,
    memory: float | None = None,
) -> Analysis:
    """Analyse, write all results into `out`, and print what was found and where it is."""
    from napari_stemnmf.analysis import Analysis
    from napari_stemnmf.export.record import recorded
    from napari_stemnmf.export.results import write_results
    from napari_stemnmf.pipeline import analyse
    from napari_stemnmf.resuming import unfinished

    make_folder(out)
    path = out / ANALYSIS_NAME
    with held(path, "another stemnmf run"):
        earlier = None
        with suppress(AnalysisError) if overwrite else nullcontext():  # a damaged one may be replaced
            earlier = Analysis.load(path) if path.exists() else None
        if earlier is not None and not overwrite:
            _look_before(earlier, path, dataset, recipe)
        try:
            with Reporter() as reporter:
                analysis = analyse(
                    dataset, recipe, progress=reporter, cancel=reporter.cancel, workers=workers, path=path,
                    overwrite=overwrite, executor=executor, memory=memory,
                )  # fmt: skip
        except StemNMFError:
            if recorded(out):
                print(f"stemnmf: Tables and pictures in {out} are those of an earlier run.", file=sys.stderr)
            raise
        for name in recipe.features:
            if name not in analysis.grains:
                why = in_options(analysis.failed.get(name, "it was not computed."))
                print(f"{name.upper()}: 0 grains, as it was left out: {why}")
                continue
            print(_summary(analysis, name))
        warn(analysis, told=[f"{name.upper()}: {grains.note}" for name, grains in analysis.grains.items()])
        for written in [path, *write_results(analysis, out, earlier)]:
            print(f"  {written}")
        if earlier is not None and earlier.keys.get("calibration") != analysis.keys.get("calibration"):
            _tell_of_figures(out)
        unfinished(path).unlink(missing_ok=True)
    return analysis


def _summary(analysis: Analysis, name: str) -> str:
    """What was found of a representation, in a line."""
    from napari_stemnmf.export.chosen import wanted
    from napari_stemnmf.grains.unexplained import whole

    grains, explain = analysis.grains[name], ""
    share = analysis.unexplained.get(name)
    if share is not None and len(grains) and analysis.peaks is not None and analysis.calibration is not None:
        explain = f"; they explain {1 - whole(share, analysis.peaks, analysis.calibration):.0%} of what is diffracted"
    note = f". {in_options(grains.note)}" if grains.note else ""
    kept = int(wanted(analysis, name, "kept").sum())
    out = len(grains) - kept
    rejected = f" and {out} that {'was' if out == 1 else 'were'} rejected," if out else ""
    return f"{name.upper()}: {kept} grains{rejected} from {analysis.models[name]}{explain}{note}"


def _look_before(earlier: Analysis, path: Path, dataset: Dataset, recipe: Recipe) -> None:
    """Refuse a run under which grains that were reviewed by hand would be found again; say what else decides it."""
    from napari_stemnmf.pipeline import start

    if earlier.mask is not None:
        print(f"stemnmf: The mask that was drawn by hand, which {path} holds, counts as well.", file=sys.stderr)
    reviewed = [name for name, review in earlier.reviews.items() if review.edits and name in recipe.features]
    if not reviewed:
        return
    begun = start(dataset, recipe, earlier)
    same = begun.input.fingerprint == earlier.input.fingerprint
    lost = [name.upper() for name in reviewed if same and not begun.is_current(f"grains/{name}", partial=True)]
    if lost:
        raise AnalysisError(
            f"{path} holds a review of {' and '.join(lost)} by hand, which these settings would replace; "
            "choose another folder, or --overwrite to start afresh."
        )


def _tell_of_figures(out: Path) -> None:
    """Say that figures of the command calibrate are of other settings."""
    figures = [name for name in ("calibration.png", "calibration.pdf") if (out / name).is_file()]
    if figures:
        print(f"stemnmf: {' and '.join(figures)} in {out} are of an earlier calibration.", file=sys.stderr)


def warn(analysis: Analysis, told: Sequence[str] = ()) -> None:
    """Say on stderr what is odd about the data, beside what was told."""
    for warning in analysis.warnings:
        if warning in told:
            continue
        print(f"stemnmf: {in_options(warning)}", file=sys.stderr)


def add_demo(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser("demo", help="make a sample scan with known truth, find its grains, compare")
    parser.add_argument("--out", type=place, default=Path("demo"), metavar="DIR", help="folder for scan and results")
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
    make_folder(options.out)
    scan = options.out / "sample.h5"
    made = sample()
    if not scan.exists():
        try:
            made.save(scan)
        except OSError as error:
            raise AnalysisError(f"{scan} cannot be written: {why(error, NOT_WRITTEN)}.") from error
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
        from napari_stemnmf.plugin.hooks import show

        show(options.out / ANALYSIS_NAME)
