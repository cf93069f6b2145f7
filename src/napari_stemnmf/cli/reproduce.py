"""``stemnmf reproduce``: the paper's study, done again into a folder."""

from __future__ import annotations

import argparse
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_stemnmf.cli.terminal import Reporter, interrupt_sets

if TYPE_CHECKING:
    from napari_stemnmf.study.outcome import Study


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "reproduce",
        help="do the paper's study again: simulate, analyse, score, draw, compare",
        description="The study of Bruefach, Ophus & Scott (2022), done again; DIR/index.html shows it.",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for all results; gone on with")
    parser.add_argument("--quick", action="store_true", help="small films, few seeds: to see that all works")
    parser.add_argument(
        "--films",
        type=Path,
        metavar="FOLDER",
        help="take the films that lie there: HDF5 files named ag1*, ag2*, ag3*, nanowire*, truth in 'labels'",
    )
    parser.add_argument(
        "--engine",
        choices=("kinematic", "multislice"),
        default="kinematic",
        help="what simulates the films that are not given",
    )
    parser.add_argument(
        "--seeds", type=int, metavar="N", help="random starts of each clustering; default: 25, quick: 3"
    )
    parser.add_argument("--no-nanowire", action="store_true", help="leave out the nanowire")
    parser.add_argument("--workers", type=int, metavar="N", help="threads; default: all cores")
    parser.set_defaults(command=_reproduce)


def _reproduce(options: argparse.Namespace) -> None:
    from napari_stemnmf.study.study import reproduce

    cancel = threading.Event()
    with Reporter() as reporter, interrupt_sets(cancel):
        study = reproduce(
            options.out,
            quick=options.quick,
            films=options.films,
            engine=options.engine,
            seeds=options.seeds,
            nanowire=not options.no_nanowire,
            progress=reporter,
            cancel=cancel,
            workers=options.workers,
        )
    _tell(study)


def _tell(study: Study) -> None:
    """The verdicts, one a line, and where the page lies."""
    width = max(len(judged.verdict.value) for judged in study.judged)
    for judged in study.judged:
        print(f"{judged.verdict.value:<{width}}  {judged.claim.text}: {judged.ours}")
    counts = Counter(judged.verdict.value for judged in study.judged)
    print(f"{len(study.judged)} claims: {', '.join(f'{n} {verdict}' for verdict, n in counts.items())}.")
    if study.plan.quick:
        print("Quick study: its numbers say nothing of the paper's films.")
    print(f"Look at {study.folder / 'index.html'}.")
