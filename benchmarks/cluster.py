"""What it costs to read a scan by the workers of a dask cluster in place of threads.

    python benchmarks/cluster.py [SCAN] [--processes 2] [--until disks]

The stages that read the scan run once by threads and once by as many processes of one thread each (a local cluster).
Printed are seconds on the clock and of CPU time, of all processes together, and whether the disks are the same to the
bit. Asked for: 0.8 times the rate of threads, where the machine has the cores. Without SCAN it is a simulated one of
100 x 100 patterns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import distributed
import numpy as np

import napari_stemnmf as stem
from napari_stemnmf.streaming.cluster import local_processes


def warm_up(client: distributed.Client, path: Path) -> None:
    """Have everything compiled and imported, here and there."""
    dataset = stem.open(path)
    stem.analyse(dataset, until="disks", workers=2)
    stem.analyse(dataset, until="disks", client=client)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", nargs="?", type=Path)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--until", default="disks")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        local_processes(options.processes) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        small = Path(folder) / "small.h5"
        stem.sample((40, 40), (126, 126), seed=1).save(small)
        path = options.scan or Path(folder) / "film.h5"
        if options.scan is None:
            stem.simulate("ag2", path, seed=941, detector=126)
        warm_up(client, small)
        dataset = stem.open(path)
        wall, cpu = time.perf_counter(), time.process_time()
        here = stem.analyse(dataset, until=options.until, workers=options.processes)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"{options.processes} threads:   {wall:6.1f} s, {cpu:6.1f} s of CPU")
        before = sum(client.run(time.process_time).values())
        wall_there, cpu_there = time.perf_counter(), time.process_time()
        there = stem.analyse(dataset, until=options.until, client=client)
        wall_there, cpu_there = time.perf_counter() - wall_there, time.process_time() - cpu_there
        cpu_there += sum(client.run(time.process_time).values()) - before
        print(f"{options.processes} processes: {wall_there:6.1f} s, {cpu_there:6.1f} s of CPU")
        print(f"rate {wall / wall_there:.2f} on the clock, {cpu / cpu_there:.2f} by CPU")
        assert here.peaks is not None
        assert there.peaks is not None
        same = all(np.array_equal(getattr(here.peaks, name), getattr(there.peaks, name)) for name in ("q_y", "height"))
        print("the same disks to the bit" if same else "OTHER DISKS")


if __name__ == "__main__":
    main()
