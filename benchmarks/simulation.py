"""What the kinematic engine costs, and how far it agrees with multislice where physics says that it should.

    python benchmarks/simulation.py [--films DIR] [--only ag1,ag2,ag3] [--side 100]

DIR holds multislice simulations of the same films (`ag1_small.h5`, ..., scan and detector axes x first); without them
only the cost is measured. Measured are (a) the distance from each predicted disk to the nearest disk that the package
measures in the same pattern, and (b) the correlation of virtual dark-field images of the same reflections, around the
grain and over the whole scan. Nothing is left out but what is named below; (b) is sorted by the grain's greatest
thickness over the reflection's extinction distance, since kinematic theory holds where that is small.
"""

from __future__ import annotations

import argparse
import itertools
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_stemnmf.dataset import Dataset
from napari_stemnmf.disks.detection import find_disks
from napari_stemnmf.disks.probe import find_probe
from napari_stemnmf.preprocessing.survey import take_survey
from napari_stemnmf.simulation.diffraction import disks
from napari_stemnmf.simulation.film import Film
from napari_stemnmf.stage_settings import PreprocessSettings
from napari_stemnmf.study.films import Q_SPAN, KinematicFilm, ScanGrid, diffracting, kinematic_film, silver_specimen
from napari_stemnmf.study.simulate import simulate

AS_IT_IS = PreprocessSettings(hot_pixels="off")

FILMS = ("ag1", "ag2", "ag3")
DETECTOR = 126
PROBE_RADIUS = 8 / 3  # px of that detector
SEEN = 0.005
"""(a) Disks with at least this share of the beam are predicted to be seen: 1000 electrons."""
BRIGHT = 0.01
"""(b) Reflections that have at least this share of the beam somewhere in the scan."""
AROUND = 8
"""(b) Around a grain: so many positions, four standard deviations of the source's blur."""
BINS = (0.0, 0.125, 0.25, 0.5, np.inf)
"""(b) Greatest thickness over extinction distance."""
THIN = 0.25
"""(b) Thin is what lies below this: an intensity that two beams would have 20 % lower, as sin² does from its square."""


@dataclass(frozen=True, eq=False)
class Compared:
    """A film by both engines, on the same positions."""

    counts: np.ndarray  # (n, q_y, q_x), multislice
    dose: float
    engine: KinematicFilm
    film: Film  # of the same grains: `film.beams` belong to columns 1... of `engine.shares`
    grid: ScanGrid

    @property
    def beams(self) -> Iterator[tuple[int, int, int]]:
        """Grain, number of the beam in it, column of `engine.shares`."""
        column = 1
        for grain, beams in enumerate(self.film.beams):
            for k in range(len(beams.q)):
                yield grain, k, column
                column += 1

    @property
    def q(self) -> np.ndarray:
        """(q_y, q_x) of each column of `engine.shares`, px."""
        q = np.concatenate([np.zeros((1, 2)), *[b.q for b in self.film.beams]]) / (Q_SPAN / DETECTOR)
        return q + self.engine.center


def compared(folder: Path, name: str, side: int = 100) -> Compared:
    """The first `side` x `side` positions of a film."""
    with h5py.File(folder / f"{name}_small.h5") as file:
        counts = file["data"][:side, :side].transpose(1, 0, 3, 2)  # x comes first there
        dose = float(file["data"].attrs["dose_e_per_pattern"])
    specimen, grid = silver_specimen(name), ScanGrid((side, side))
    engine, film = kinematic_film(specimen, grid, DETECTOR), diffracting(specimen, grid)
    return Compared(counts.reshape(-1, DETECTOR, DETECTOR), dose, engine, film, grid)


def disk_distances(pair: Compared) -> np.ndarray:
    """(a) px from each predicted disk to the nearest one that is measured in the same pattern.

    Predicted are reflections with `SEEN` of the beam in this pattern that lie on the detector with their whole disk and
    do not touch the direct one.
    """
    side = pair.grid.shape[0]
    counts = np.ascontiguousarray(pair.counts).reshape(side, side, DETECTOR, DETECTOR)
    dataset = Dataset.from_array(counts, scan_step=0.5, q_step=0.2)
    peaks = find_disks(dataset, find_probe(dataset, take_survey(dataset, AS_IT_IS)))
    q = pair.q
    whole = (np.abs(q - (DETECTOR - 1) / 2) <= (DETECTOR - 1) / 2 - PROBE_RADIUS).all(axis=1)
    apart = np.linalg.norm(q - pair.engine.center, axis=1) > 2 * PROBE_RADIUS + 1
    shares = pair.engine.shares.tocoo()
    kept = (shares.data >= SEEN) & (whole & apart)[shares.col]
    predicted = np.column_stack([shares.row[kept] * 1e4, q[shares.col[kept]]])
    pattern = np.repeat(np.arange(side**2), np.diff(peaks.offsets))
    tree = cKDTree(np.column_stack([pattern * 1e4, peaks.q_y, peaks.q_x]))
    return np.minimum(tree.query(predicted)[0], DETECTOR)


def dark_fields(pair: Compared) -> np.ndarray:
    """(b) One row for each reflection, of a grain in the scan, that is `BRIGHT` and apart from the direct disk.

    Columns: thickness over extinction distance, correlation around the grain, correlation over the scan, thickness in
    Å, kinematic over multislice intensity at the maximum.
    """
    shape = pair.grid.shape
    patterns = np.concatenate([pair.engine.row(i) for i in range(shape[0])]).reshape(len(pair.counts), -1)
    counts = pair.counts.reshape(len(pair.counts), -1)
    bright = pair.engine.shares.max(axis=0).toarray().ravel() >= BRIGHT
    rows, places = [], pair.q
    for grain, k, column in pair.beams:
        beams = pair.film.beams[grain]
        margin = pair.film.margin
        depth = pair.film.depth[grain][margin:-margin, margin:-margin]
        radius, q = np.linalg.norm(beams.q[k]), places[column]
        inside = ((q > PROBE_RADIUS) & (q < DETECTOR - 1 - PROBE_RADIUS)).all()
        if not (bright[column] and inside and depth.any() and radius / (Q_SPAN / DETECTOR) > 2 * PROBE_RADIUS + 1):
            continue
        aperture = disks(
            beams.q[k], (DETECTOR, DETECTOR), (pair.engine.center,) * 2, Q_SPAN / DETECTOR, PROBE_RADIUS
        ).indices
        images = [
            image[:, aperture].sum(axis=1, dtype=np.float64).reshape(shape) / scale
            for image, scale in ((patterns, 1.0), (counts, pair.dose))
        ]
        near = ndimage.binary_dilation(depth > 0, iterations=AROUND)
        thick = float(depth.max())
        local = np.corrcoef(images[0][near], images[1][near])[0, 1]
        overall = np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1]
        rows.append((thick / beams.extinction[k], local, overall, thick, images[0].max() / images[1].max()))
    return np.array(rows)


def cost(name: str) -> None:
    """Print what a film of full size takes."""
    with tempfile.TemporaryDirectory() as folder:
        began, cpu = time.perf_counter(), time.process_time()
        path = simulate(name, Path(folder) / "film.h5", workers=2)
        wall, cpu = time.perf_counter() - began, time.process_time() - cpu
        size = path.stat().st_size / 2**20
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name} 100 x 100 x 252 x 252: {wall:.1f} s wall, {cpu:.1f} s CPU, {size:.0f} MiB; peak {memory:.2f} GiB")


def report(folder: Path, name: str, side: int) -> None:
    """Print how far a film agrees with multislice."""
    pair = compared(folder, name, side)
    distances = disk_distances(pair)
    quantiles = " ".join(f"{q:.0%} {np.quantile(distances, q):.2f}" for q in (0.25, 0.5, 0.75, 0.9))
    found = (distances <= PROBE_RADIUS).mean()
    print(f"{name} (a) {len(distances)} predicted disks: distance px {quantiles}; {found:.1%} within a radius")
    fields = dark_fields(pair)
    for low, high in itertools.pairwise(BINS):
        rows = fields[(fields[:, 0] >= low) & (fields[:, 0] < high)]
        if len(rows):
            around, over = (np.quantile(rows[:, k], [0, 0.1, 0.5]) for k in (1, 2))
            numbers = "; ".join(
                f"{what} least {v[0]:.3f} 10% {v[1]:.3f} median {v[2]:.3f}"
                for what, v in (("around the grain", around), ("over the scan", over))
            )
            print(
                f"{name} (b) t/xi {low:g} to {high:g}: {len(rows)} reflections, {numbers}; at least 0.8 "
                f"{(rows[:, 1] >= 0.8).mean():.0%}; intensity kinematic/multislice {np.median(rows[:, 4]):.2f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--films", type=Path, default=None)
    parser.add_argument("--only", default=",".join(FILMS))
    parser.add_argument("--side", type=int, default=100)
    options = parser.parse_args()
    beside = Path(os.environ.get("STEMNMF_SHARED") or Path(__file__).resolve().parents[2] / "shared" / "data") / "films"
    folder = options.films or beside
    for name in options.only.split(","):
        cost(name)
        if (folder / f"{name}_small.h5").is_file():
            report(folder, name, options.side)


if __name__ == "__main__":
    main()
