"""What the estimates multiply: seconds of this machine's work, and how much work there usually is.

Seconds are of one core of a server with two (x86-64 with AVX-512, NumPy with OpenBLAS); those of the clustering were
fitted to the fits that 225 seeds on the simulated films have recorded, with their times. The counts of work are means
over the same films. `benchmarks/cost.py` compares estimates with what runs take.
"""

from __future__ import annotations

READ_PLAIN, READ_PACKED = 0.25e-9, 4e-9
"""Seconds for a byte of patterns, on one core, from a file that holds them as they are (in the system's cache), and
from one that is compressed."""
PACKED = 0.8
"""A file is compressed if it is smaller than this share of its patterns."""
LOOK_PIXEL, PROJECT_PIXEL, DISK_PIXEL = 0.8e-9, {"aa": 0.9e-9, "rv": 1.3e-9}, 10e-9
"""Seconds for a pixel: the survey, each feature of the patterns, and the search for disks."""
DISK, DISK_LATER = 15e-6, 3e-6
"""Seconds for a disk: to find it, and to calibrate with it."""
PROBE_SECONDS = 1.1
"""Of finding the mask and the probe; most of it is the same for all scans."""
MEASURE_PIXEL, MEMBER_PIXEL = 0.9e-9, 0.6e-9
"""Seconds for a pixel of the scan, and for one of a pattern of a grain."""
SEPARATE_MAP, MEASURE_GRAIN, STABLE_MAP = 25e-9, 25e-9, 115e-9
"""Seconds for a probe position of a component map, of a grain's mask, and of another seed's map to compare with."""
DENSE, SPARSE, GRAM, SWEEP = 8.1e-11, 7.4e-10, 1.7e-10, 6.7e-10
"""Seconds of an iteration of NMF for each probe position and component: times the columns of a dense matrix, times the
values of a sparse row, times the components, and once."""
PASSES = {"aa": 97.0, "rv": 157.0, "bd": 113.0}
"""Work of one seed, iterations times components over all its fits, as a multiple of one iteration with the components
that it starts from; at a merge threshold of 0.5."""
PASSES_SLOPE = 3.0
"""How fast that grows with the merge threshold: its logarithm's slope."""
NO_DRAFT = {"aa": 3.2, "rv": 2.4, "bd": 1.7}
"""Factor on that where the first fits are not made on a quarter of the scan."""
DRAFT_ROWS = 1000, 10
"""A draft has at least so many probe positions, and so many for each component."""
FALLING, FALLING_NO_DRAFT = 0.5, 0.8
"""Mean of components over starting components, weighted by the work; with coarse fits and without."""
SUGGESTED, SUGGESTED_RV_GLOBAL, DISKS = 20, 9, 15
"""What the scree suggests (less for RV if all columns have one scale), and disks of a pattern, where unknown."""
RINGS = 4
"""Rings of AA where they are not known."""
LIBRARIES = 60e6
"""Bytes of compiled code and tables that the first read of a scan brings into memory."""
COPIES = 1.5
"""Copies of a block of patterns that a pass makes, its own included."""
