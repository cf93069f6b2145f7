"""``stemnmf simulate``: the paper's films, and the stand-in for its experiment, with known truth."""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path
from typing import Any

from napari_stemnmf.cli.options import pair
from napari_stemnmf.cli.terminal import Reporter, interrupt_sets
from napari_stemnmf.control import Control
from napari_stemnmf.errors import Cancelled

NAMES = ("ag1", "ag2", "ag3", "nanowire")


def add(commands: Any) -> None:
    """Add the command to the parser's."""
    about = "simulate a scan of the paper, with known truth"
    parser = commands.add_parser("simulate", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("name", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    parser.add_argument("--out", type=Path, required=True, metavar="F.h5", help="the file")
    parser.add_argument("--seed", type=int, metavar="N", help="of grains and noise; default: the paper's grain numbers")
    parser.add_argument(
        "--scan", type=_scan, metavar="ROWS,COLUMNS", help="positions, 5 Å apart, or one number for a square"
    )
    parser.add_argument("--detector", type=int, metavar="N", help="pixels along each axis; default 252, nanowire 432")
    parser.add_argument("--dose", type=float, metavar="E", help="electrons a pattern; default 2e5, nanowire 1e6")
    parser.add_argument("--engine", choices=("kinematic", "multislice"), default="kinematic", help="default: kinematic")
    parser.add_argument("--slice-thickness", type=float, default=4.0, metavar="A", help="of multislice, Å; default 4")
    parser.add_argument("--no-noise", action="store_true", help="write expected shares of the beam, not counts")
    parser.add_argument("--workers", type=int, metavar="N", help="threads; default: all cores")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that was not simulated, too")
    parser.set_defaults(command=_simulate)


def _scan(text: str) -> tuple[int, int]:
    return pair(text) if "," in text or "x" in text else pair(f"{text},{text}")


def _simulate(options: argparse.Namespace) -> int | None:
    import h5py

    from napari_stemnmf.study.simulate import simulate

    cancel = threading.Event()
    try:
        with Reporter() as reporter, interrupt_sets(cancel):
            path = simulate(
                options.name,
                options.out,
                seed=options.seed,
                scan=options.scan,
                detector=options.detector,
                dose=options.dose,
                engine=options.engine,
                slice_thickness=options.slice_thickness,
                noise=not options.no_noise,
                overwrite=options.overwrite,
                control=Control(reporter, cancel, f"simulate {options.name}"),
                workers=options.workers,
            )
    except Cancelled:
        from napari_stemnmf.cli import CANCELLED

        print(f"stemnmf: simulate was cancelled; {options.out} was not written.", file=sys.stderr)
        return CANCELLED
    with h5py.File(path) as file:
        rows, columns, q_y, q_x = file["data"].shape
        grains = len(file["labels"])
    print(f"{path}: {rows} x {columns} patterns of {q_y} x {q_x} px, {grains} true grains in {path}::labels")
    return None
