"""What a film of the paper costs by multislice, and how it agrees with the shared film of the same grains.

    python benchmarks/multislice.py [--films ag1,ag2,ag3] [--rows 6] [--whole]

For each film: wall and CPU time of the whole scan (100 x 100 positions, 252 x 252 pixels), extrapolated from two scans
of a few rows, or measured with --whole; peak memory of the process; agreement of expected patterns with the counts of
the shared film, over the pixels outside the direct beam; and what slices of 4 Å cost against slices of 2 Å. Needs the
extra ``simulation``; without the shared films the agreement is left out.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path

import h5py
import numpy as np

from napari_stemnmf.control import Control, Progress
from napari_stemnmf.study.films import ScanGrid, Specimen, silver_specimen
from napari_stemnmf.study.multislice import multislice_rows

SHARED = Path(os.environ.get("STEMNMF_SHARED") or Path(__file__).resolve().parents[2] / "shared" / "data")
SCAN, DETECTOR, DOSE = (100, 100), 252, 2e5
BEAM = 6.0  # px of the binned detector; what lies farther out is scattered
BLOCK = 11  # positions along each axis whose blur is compared at the middle one


def agreement(expected: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """Of expected counts with Poisson counts, (n, pixels): correlation, raw and without the counts' known variance."""
    expected, counts = expected.ravel().astype(np.float64), counts.ravel().astype(np.float64)
    raw = float(np.corrcoef(expected, counts)[0, 1])
    share = counts.mean() / counts.var()  # of the counts' variance, their noise: a Poisson variance is its mean
    return {"raw": raw, "without noise": raw / np.sqrt(1 - share), "intensity": float(expected.sum() / counts.sum())}


def scattered() -> np.ndarray:
    """Pixels of the shared films' detector outside the direct beam, (126, 126) bool."""
    q = np.arange(126) - 62.75
    return np.asarray(np.hypot(q[:, None], q) > BEAM)


def cost(specimen: Specimen, shape: tuple[int, int]) -> tuple[float, float]:
    """Wall and CPU seconds of a scan."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in multislice_rows(specimen, ScanGrid(shape), DETECTOR):
        pass
    return time.perf_counter() - wall, time.process_time() - cpu


def whole(name: str, specimen: Specimen) -> None:
    """The whole film, beside the shared one."""

    def show(progress: Progress) -> None:
        if progress.done % 10 == 0:
            spent = time.perf_counter() - wall, time.process_time() - cpu
            print(f"  {progress.done:.0f} rows: {spent[0]:.0f} s, CPU {spent[1]:.0f} s", flush=True)

    wall, cpu = time.perf_counter(), time.process_time()
    outside, found = scattered(), []
    path = SHARED / "films" / f"{name}_small.h5"
    for i, row in enumerate(multislice_rows(specimen, ScanGrid(SCAN), DETECTOR, control=Control(show))):
        if path.exists():
            with h5py.File(path) as file:
                counts = file["data"][:, i].transpose(0, 2, 1)  # its first axes run along x
            binned = row.reshape(len(row), 126, 2, 126, 2).sum(axis=(2, 4))
            found.append(agreement(binned[:, outside] * DOSE, counts[:, outside]))
    spent = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name}, whole: {spent[0]:.0f} s, CPU {spent[1]:.0f} s", flush=True)
    for key in found[0] if found else ():
        values = np.array([f[key] for f in found])
        print(f"  rows, {key}: median {np.median(values):.4f}, {values.min():.4f} to {values.max():.4f}")


def part(name: str, specimen: Specimen, rows: int) -> None:
    """Cost from two short scans; agreement at a few positions; slices of 4 Å beside slices of 2 Å."""
    cost(specimen, (1, 1))  # imports and compiled code
    few, more = (np.array(cost(specimen, (n, SCAN[1]))) for n in (1, 1 + rows))
    a_row = (more - few) / rows
    film = few + a_row * (SCAN[0] - 1)
    print(f"{name}: a row {a_row[0]:.1f} s, CPU {a_row[1]:.1f} s; the film {film[0]:.0f} s, CPU {film[1]:.0f} s")
    middles = [(15, 15), (40, 60), (70, 25)]
    offsets = np.stack(np.meshgrid(*[np.arange(BLOCK) - BLOCK // 2] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    weights = np.exp(-((offsets / 2.0) ** 2).sum(axis=1) / 2)
    path, outside = SHARED / "films" / f"{name}_small.h5", scattered()
    for y, x in middles:
        if path.exists():
            around = ScanGrid((BLOCK, BLOCK), origin=((y - BLOCK // 2) * 5.0, (x - BLOCK // 2) * 5.0))
            patterns = np.concatenate(list(multislice_rows(specimen, around, 126, blur=0.0)))
            expected = np.tensordot(weights / weights.sum(), patterns, 1)
            with h5py.File(path) as file:
                counts = file["data"][x, y].T
            result = agreement(expected[outside] * DOSE, counts[outside])
            numbers = ", ".join(f"{key} {value:.4f}" for key, value in result.items())
            print(f"  ({y}, {x}), {counts[outside].sum()} scattered electrons: {numbers}", flush=True)
        here = ScanGrid((1, 1), origin=(y * 5.0, x * 5.0))
        thick, thin = (
            next(multislice_rows(specimen, here, 126, blur=0.0, slice_thickness=t))[:, outside] for t in (4.0, 2.0)
        )
        error = np.linalg.norm(thick - thin) / max(np.linalg.norm(thin), 1e-12)
        print(
            f"  ({y}, {x}): slices of 4 Å differ from those of 2 Å by {error:.4f} of the scattered part (rms)",
            flush=True,
        )


def main() -> None:
    """Print what is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", default="ag1,ag2,ag3")
    parser.add_argument("--rows", type=int, default=6, help="scan rows to extrapolate from")
    parser.add_argument("--whole", action="store_true", help="every film whole")
    arguments = parser.parse_args()
    for name in arguments.films.split(","):
        specimen = silver_specimen(name)
        if arguments.whole:
            whole(name, specimen)
        else:
            part(name, specimen, arguments.rows)
        print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB", flush=True)


if __name__ == "__main__":
    main()
