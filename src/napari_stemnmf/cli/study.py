"""``stemnmf simulate`` and ``stemnmf reproduce``: the paper's scans with known truth, and its study done again."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import Any

from napari_stemnmf.cli.options import pair, place, threads
from napari_stemnmf.cli.terminal import Reporter
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled

NAMES = ("ag1", "ag2", "ag3", "nanowire")
ENGINES = ("kinematic", "multislice")


def add(commands: Any) -> None:
    """Add both commands to the parser's."""
    about = "simulate a scan of the paper, with known truth"
    parser = commands.add_parser("simulate", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("name", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    parser.add_argument("--out", type=place, required=True, dest="path", metavar="F.h5", help="the file")
    parser.add_argument("--seed", type=int, metavar="N", help="of grains and noise; default: the paper's grain numbers")
    positions = "positions, 5 Å apart, or one number for a square"
    parser.add_argument("--scan", type=_scan, metavar="ROWS,COLUMNS", help=positions)
    parser.add_argument("--detector", type=int, metavar="N", help="pixels along each axis; default 252, nanowire 432")
    parser.add_argument("--dose", type=float, metavar="E", help="electrons a pattern; default 2e5, nanowire 1e6")
    parser.add_argument("--engine", choices=ENGINES, default="kinematic", help="default: kinematic")
    parser.add_argument("--slice-thickness", type=float, default=4.0, metavar="A", help="of multislice, Å; default 4")
    shares = "write expected shares of the beam, not counts"
    parser.add_argument("--no-noise", action="store_false", dest="noise", help=shares)
    parser.add_argument("--workers", type=threads, metavar="N", help="threads; default: all cores")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that was not simulated, too")
    parser.set_defaults(command=_simulate)

    parser = commands.add_parser(
        "reproduce",
        help="do the paper's study again: simulate, analyse, score, draw, compare",
        description="The study of Bruefach, Ophus & Scott (2022), done again; DIR/index.html shows it.",
    )
    parser.add_argument("--out", required=True, type=place, metavar="DIR", help="folder for all results; gone on with")
    parser.add_argument("--quick", action="store_true", help="small films, few seeds: to see that all works")
    given = "take the films that lie there: HDF5 files named ag1*, ag2*, ag3*, nanowire*, truth in 'labels'"
    parser.add_argument("--films", type=place, metavar="FOLDER", help=given)
    simulated = "what simulates the films that are not given"
    parser.add_argument("--engine", choices=ENGINES, default="kinematic", help=simulated)
    seeds = "random starts of each clustering; default: 25, quick: 3"
    parser.add_argument("--seeds", type=int, metavar="N", help=seeds)
    parser.add_argument("--no-nanowire", action="store_false", dest="nanowire", help="leave out the nanowire")
    parser.add_argument("--workers", type=threads, metavar="N", help="threads; default: all cores")
    parser.set_defaults(command=_reproduce)


def _scan(text: str) -> tuple[int, int]:
    return pair(text) if "," in text or "x" in text else pair(f"{text},{text}")


def _arguments(options: argparse.Namespace) -> dict[str, Any]:
    """The options by the names of the function's arguments."""
    return {name: value for name, value in vars(options).items() if name != "command"}


def _simulate(options: argparse.Namespace) -> int | None:
    import h5py

    from napari_stemnmf.study.simulate import simulate

    try:
        with Reporter() as reporter:
            control = Control(reporter, reporter.cancel, f"simulate {options.name}")
            path = simulate(**_arguments(options), control=control)
    except Cancelled:
        from napari_stemnmf.cli import CANCELLED

        print(f"stemnmf: simulate was cancelled; {options.path} was not written.", file=sys.stderr)
        return CANCELLED
    with h5py.File(path) as file:
        rows, columns, q_y, q_x = file["data"].shape
        grains = len(file["labels"])
    print(f"{path}: {rows} x {columns} patterns of {q_y} x {q_x} px, {grains} true grains in {path}::labels")
    return None


def _reproduce(options: argparse.Namespace) -> None:
    from napari_stemnmf.study.study import reproduce

    with Reporter() as reporter:
        study = reproduce(**_arguments(options), progress=reporter, cancel=reporter.cancel)
    width = max(len(judged.verdict.value) for judged in study.judged)
    for judged in study.judged:
        print(f"{judged.verdict.value:<{width}}  {judged.claim.text}: {judged.ours}")
    counts = Counter(judged.verdict.value for judged in study.judged)
    print(f"{len(study.judged)} claims: {', '.join(f'{n} {verdict}' for verdict, n in counts.items())}.")
    if study.plan.quick:
        print("Quick study: its numbers say nothing of the paper's films.")
    print(f"Look at {study.folder / 'index.html'}.")
