"""What is said of a point and of the disks of a pattern."""

from __future__ import annotations

import numpy as np

from napari_stemnmf.plugin.patterns.readings import of_point, of_preview


def test_a_point_is_read_in_pixels_and_in_nanometres() -> None:
    assert of_point(3.2, 4.0, 17.0, None, 0.2, "1/nm") == "q_y 3, q_x 4: 17\n"
    assert of_point(3.2, 4.0, 17.0, 21.2, 0.2, "1/nm").endswith("r 21.2 px = 4.24 1/nm, d 0.236 nm")
    assert of_point(3.2, 4.0, 17.0, 21.2, 1.0, "px").endswith("r 21.2 px")


def test_the_preview_says_how_weak_its_weakest_disk_is() -> None:
    assert of_preview(np.array([9.0, 2.5]), np.array([40.0, 5.25]), 0.004) == (
        "2 disks, SNR 5.2 to 40\nleast height 2.5 counts; looked for in 4 ms"
    )
    assert of_preview(np.array([]), np.array([]), 0.004) == "No disk\nlooked for in 4 ms"
